//! Rows of one lane that several threads have decoded, each into columns of its own, put into the order in which they arrived.
//!
//! One column after the other, each source dropped as soon as it has been copied: so never more than one column is there twice. A
//! dictionary is not looked through again: those of all sources stand one behind the other, and a text may be in there more than once.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, Capacities, DictionaryArray, MutableArrayData, RecordBatch, make_array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, UInt32Type};
use arrow::error::ArrowError;

use super::entry::{EntryRows, RowTag};
use super::error::EntryError;
use super::names::KAFKA_OFFSET;

/// Rows that another thread than that of the lane has decoded.
#[derive(Debug, Clone)]
pub struct HelpedRows {
    /// The rows, in the order of their offsets.
    pub rows: EntryRows,
    /// Which of them are no rows of the entry (they came late, and such rows are not wanted), in ascending order. Their tags mean nothing.
    pub unwanted: Vec<u32>,
}

/// Rows of one source that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    source: usize,
    rows: Range<usize>,
}

/// Returns the lane's `own` rows and those of its helpers in the order of their offsets, without what is not wanted.
///
/// # Errors
/// When rows do not fit their tags, or the columns of two sources do not fit each other.
pub fn join(own: Option<EntryRows>, helped: Vec<HelpedRows>) -> Result<Option<EntryRows>, EntryError> {
    if helped.is_empty() {
        return Ok(own);
    }
    let own = own.map(|rows| HelpedRows { rows, unwanted: Vec::new() });
    let sources: Vec<HelpedRows> = own.into_iter().chain(helped).collect();
    let wanted = sources.iter().map(wanted).collect::<Result<Vec<_>, _>>()?;
    let pieces = in_order(&sources, wanted)?;
    let (batches, tags): (Vec<_>, Vec<_>) = sources.into_iter().map(|of| (of.rows.rows, of.rows.tags)).unzip();
    let tags = pieces.iter().flat_map(|piece| tags_of(&tags, piece)).copied().collect::<Vec<RowTag>>();
    if tags.is_empty() {
        return Ok(None);
    }
    let rows = columns(batches, &pieces).map_err(EntryError::parquet("join the rows of several threads"))?;
    Ok(Some(EntryRows { rows, tags }))
}

fn tags_of<'a>(tags: &'a [Vec<RowTag>], piece: &Piece) -> &'a [RowTag] {
    tags.get(piece.source).and_then(|tags| tags.get(piece.rows.clone())).unwrap_or_default()
}

/// Returns the rows that are wanted of a source.
fn wanted(source: &HelpedRows) -> Result<Vec<Range<usize>>, EntryError> {
    let rows = source.rows.rows.num_rows();
    if source.rows.tags.len() != rows {
        return Err(EntryError::rows(format!("{} tags for {rows} rows", source.rows.tags.len())));
    }
    let (mut ranges, mut next) = (Vec::new(), 0);
    for row in &source.unwanted {
        let row = usize::try_from(*row).unwrap_or(usize::MAX);
        if row < next || row >= rows {
            return Err(EntryError::rows(format!("row {row} of {rows} is not wanted, and {next} were looked at")));
        }
        ranges.push(next..row);
        next = row + 1;
    }
    ranges.push(next..rows);
    ranges.retain(|range| !range.is_empty());
    Ok(ranges)
}

/// Returns the wanted rows of all sources in the order of their offsets.
fn in_order(sources: &[HelpedRows], wanted: Vec<Vec<Range<usize>>>) -> Result<Vec<Piece>, EntryError> {
    let mut offsets = Vec::with_capacity(sources.len());
    for source in sources {
        let column = source.rows.rows.column_by_name(KAFKA_OFFSET);
        let column = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
        let column = column.filter(|column| column.null_count() == 0);
        offsets.push(column.ok_or_else(|| EntryError::rows(format!("no column `{KAFKA_OFFSET}`")))?.values());
    }
    let offset = |source: usize, row: usize| offsets.get(source).and_then(|offsets| offsets.get(row)).copied();
    // What is left of each source, the next piece last.
    let mut left: Vec<Vec<Range<usize>>> =
        wanted.into_iter().map(|ranges| ranges.into_iter().rev().collect()).collect();
    let mut pieces = Vec::new();
    loop {
        let heads = left.iter().enumerate().filter_map(|(source, ranges)| {
            let rows = ranges.last()?.clone();
            Some((offset(source, rows.start)?, Piece { source, rows }))
        });
        let mut heads: Vec<(i64, Piece)> = heads.collect();
        heads.sort_unstable_by_key(|(offset, _)| *offset);
        let mut heads = heads.into_iter();
        let Some((_, Piece { source, rows })) = heads.next() else { return Ok(pieces) };
        // Up to where another source goes on.
        let until = heads.next().map_or(i64::MAX, |(offset, _)| offset);
        let before = |row: &usize| offset(source, *row).is_some_and(|offset| offset < until);
        let end = rows.start + rows.clone().skip(1).take_while(before).count() + 1;
        if let Some(ranges) = left.get_mut(source) {
            ranges.pop();
            if end < rows.end {
                ranges.push(end..rows.end);
            }
        }
        pieces.push(Piece { source, rows: rows.start..end });
    }
}

/// Returns the rows that `pieces` name, of sources with columns of the same names.
fn columns(batches: Vec<RecordBatch>, pieces: &[Piece]) -> Result<RecordBatch, ArrowError> {
    let Some(schema) = batches.first().map(RecordBatch::schema) else {
        return Err(ArrowError::InvalidArgumentError("there is no source of rows".to_owned()));
    };
    let mut sources = Vec::with_capacity(batches.len());
    for batch in batches {
        let (fields, columns, _) = batch.into_parts();
        let names = |schema: &Schema| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
        if names(&fields) != names(&schema) {
            return Err(ArrowError::SchemaError("two sources have other columns".to_owned()));
        }
        sources.push(columns.into_iter());
    }
    let (mut fields, mut joined) = (Vec::new(), Vec::new());
    for field in schema.fields() {
        let array = column(sources.iter_mut().filter_map(Iterator::next).collect(), pieces)?;
        fields.push(Field::clone(field).with_data_type(array.data_type().clone()));
        joined.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), joined)
}

/// Returns the values that `pieces` name. Texts that are a dictionary in one source alone are written out.
fn column(mut arrays: Vec<ArrayRef>, pieces: &[Piece]) -> Result<ArrayRef, ArrowError> {
    for array in &mut arrays {
        if let Some(shared) = shared(array) {
            *array = take(shared.values(), shared.keys(), None)?;
        }
    }
    let is_keyed = |array: &ArrayRef| matches!(array.data_type(), DataType::Dictionary(..));
    if !arrays.iter().all(is_keyed) {
        for array in &mut arrays {
            if let DataType::Dictionary(_, texts) = array.data_type() {
                *array = cast(array, texts)?;
            }
        }
    }
    if arrays.windows(2).any(|pair| matches!(pair, [a, b] if a.data_type() != b.data_type())) {
        return Err(ArrowError::SchemaError("a column has another type in another source".to_owned()));
    }
    let data: Vec<ArrayData> = arrays.into_iter().map(|array| array.to_data()).collect();
    let rows = pieces.iter().map(|piece| piece.rows.len()).sum();
    let is_text = data.iter().all(|array| matches!(array.data_type(), DataType::Utf8 | DataType::Binary));
    let room = match is_text {
        true => Capacities::Binary(rows, Some(data.iter().map(value_bytes).sum())),
        false => Capacities::Array(rows),
    };
    let mut joined = MutableArrayData::try_with_capacities(data.iter().collect(), false, room)?;
    for Piece { source, rows } in pieces {
        joined.try_extend(*source, rows.start, rows.end)?;
    }
    Ok(make_array(joined.freeze()))
}

/// Returns a column as one that shares its rows with others: a dictionary whose values are one.
fn shared(array: &ArrayRef) -> Option<&DictionaryArray<UInt32Type>> {
    let is_keyed = |array: &ArrayRef| matches!(array.data_type(), DataType::Dictionary(..));
    array.as_dictionary_opt().filter(|dictionary| is_keyed(dictionary.values()))
}

/// Returns the size of all texts of a column.
fn value_bytes(texts: &ArrayData) -> usize {
    texts.buffers().get(1).map_or(0, |bytes| bytes.len())
}

#[cfg(test)]
mod tests;
