//! Texts that stay keys of the dictionary that their row group has of them: which columns are read so, and what rows then take in memory.
//!
//! Sizes are a matter of the footer alone, and rather too large than too small.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::{ConvertedType, Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;

use super::GroupPlace;
use crate::parquet::pages::is_flat;

/// What a key takes in memory, or the place of a text that is written out.
const KEY_BYTES: u64 = 4;
/// What a value takes in memory, at most, beside the bytes of a text.
const WIDEST_BYTES: u64 = 16;

/// The leaves whose texts stay keys in each row group that has a dictionary of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Keyed(Vec<usize>);

impl Keyed {
    /// Returns those of the columns that `by_keys` names which are plain texts.
    pub(super) fn new(parquet: &ArrowReaderMetadata, by_keys: &dyn Fn(&str) -> bool) -> Self {
        let descr = parquet.parquet_schema();
        let is_text = |leaf: usize| {
            let (column, root) = (descr.column(leaf), descr.get_column_root_idx(leaf));
            let field = parquet.schema().fields().get(root);
            // Parquet's reader of dictionaries knows texts by this type, and by no other.
            let is_text = is_flat(&column) && column.converted_type() == ConvertedType::UTF8;
            is_text && field.is_some_and(|field| field.data_type() == &DataType::Utf8 && by_keys(field.name()))
        };
        Self((0..descr.num_columns()).filter(|leaf| is_text(*leaf)).collect())
    }

    /// Returns how row group `number` is decoded.
    pub(super) fn metadata(
        &self,
        parquet: &ArrowReaderMetadata,
        number: usize,
    ) -> Result<ArrowReaderMetadata, ParquetError> {
        let chunks = parquet.metadata().row_group(number).columns();
        let mut fields = parquet.schema().fields().to_vec();
        let mut is_plain = true;
        for leaf in self.0.iter().filter(|leaf| chunks.get(**leaf).is_some_and(has_dictionary)) {
            if let Some(field) = fields.get_mut(parquet.parquet_schema().get_column_root_idx(*leaf)) {
                let kind = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8));
                *field = Arc::new(Field::clone(field).with_data_type(kind));
                is_plain = false;
            }
        }
        if is_plain {
            return Ok(parquet.clone());
        }
        let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
        ArrowReaderMetadata::try_new(Arc::clone(parquet.metadata()), options.with_skip_arrow_metadata(true))
    }
}

fn has_dictionary(chunk: &ColumnChunkMetaData) -> bool {
    chunk.dictionary_page_offset().is_some()
}

/// What the row groups of an entry take in memory while texts are keys.
#[derive(Debug)]
pub(in crate::parquet) struct KeyedBytes(Vec<GroupBytes>);

/// What some rows take that lie in one row group, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::parquet) struct GroupBytes {
    rows: Range<u64>,
    /// The dictionaries, which all rows of the row group share.
    pub(in crate::parquet) dictionaries: u64,
    /// The rows themselves.
    pub(in crate::parquet) values: u64,
}

impl KeyedBytes {
    /// Finds out what row groups take in the columns that `wanted` names.
    pub(super) fn new(
        parquet: &ArrowReaderMetadata,
        places: &[GroupPlace],
        keyed: &Keyed,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Self {
        let descr = parquet.parquet_schema();
        let kind = |leaf| parquet.schema().fields().get(descr.get_column_root_idx(leaf)).map(|field| field.data_type());
        let is_wanted = |leaf: &usize| wanted(descr.get_column_root(*leaf).name());
        let leaves: Vec<usize> = (0..descr.num_columns()).filter(is_wanted).collect();
        let of_group = |place: &GroupPlace| {
            let chunks = parquet.metadata().row_group(place.number).columns();
            let rows = place.rows.end - place.rows.start;
            let (mut dictionaries, mut values) = (0_u64, 0_u64);
            for (leaf, chunk) in leaves.iter().filter_map(|leaf| Some((*leaf, chunks.get(*leaf)?))) {
                let is_keyed = has_dictionary(chunk) && keyed.0.binary_search(&leaf).is_ok();
                let bytes = if is_keyed {
                    dictionaries = dictionaries.saturating_add(uncompressed_bytes(chunk));
                    rows.saturating_mul(KEY_BYTES)
                } else {
                    written_out_bytes(chunk, kind(leaf))
                };
                values = values.saturating_add(bytes);
            }
            GroupBytes { rows: place.rows.clone(), dictionaries, values: values.min(place.decoded_bytes) }
        };
        Self(places.iter().map(of_group).collect())
    }

    /// Returns the row groups that `rows` touch, by their numbers, and what these rows take of each.
    pub(in crate::parquet) fn of(&self, rows: Range<u64>) -> impl Iterator<Item = (usize, GroupBytes)> {
        let (start, end) = (rows.start, rows.end);
        let first = self.0.partition_point(|group| group.rows.end <= start);
        let groups = self.0.iter().enumerate().skip(first).take_while(move |(_, group)| group.rows.start < end);
        groups.map(move |(number, group)| {
            let rows = start.max(group.rows.start)..end.min(group.rows.end);
            let each = group.values.div_ceil((group.rows.end - group.rows.start).max(1));
            let values = each.saturating_mul(rows.end - rows.start);
            (number, GroupBytes { rows, dictionaries: group.dictionaries, values })
        })
    }
}

fn uncompressed_bytes(chunk: &ColumnChunkMetaData) -> u64 {
    u64::try_from(chunk.uncompressed_size()).unwrap_or(u64::MAX)
}

/// Returns what the values of a chunk take where none is a key; the greatest number if the footer does not tell.
fn written_out_bytes(chunk: &ColumnChunkMetaData, kind: Option<&DataType>) -> u64 {
    let values = u64::try_from(chunk.num_values()).unwrap_or(u64::MAX);
    match (chunk.column_type(), kind) {
        (Type::BYTE_ARRAY, _) if has_dictionary(chunk) => u64::MAX,
        (Type::BYTE_ARRAY, kind) => {
            let is_plain = matches!(kind, Some(DataType::Utf8 | DataType::Binary));
            let beside = if is_plain { KEY_BYTES } else { WIDEST_BYTES };
            uncompressed_bytes(chunk).saturating_add(values.saturating_mul(beside))
        }
        (_, Some(DataType::Boolean)) => values,
        (_, kind) => {
            let width = kind.and_then(DataType::primitive_width).and_then(|width| u64::try_from(width).ok());
            values.saturating_mul(width.unwrap_or(WIDEST_BYTES))
        }
    }
}
