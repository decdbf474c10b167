//! Column chunks written page by page: plain columns of a flat row, and texts that stand in a dictionary already. Byte strings are
//! written as texts are, but for where their bounds are cut.
//!
//! Parquet's own writer looks every text up again, compares texts for the bounds of each page, and has a compressor for each
//! column. Here a dictionary is *sorted*, so that bounds are those of small numbers, and one compressor serves all columns.
//! What is written says the same as that writer's files do; it stays the reference in tests, and writes what is not plain.
//!
//! # Invariants
//! The bytes of a chunk are a function of the column, the rows and the codec.

mod bounds;
mod chunk;
mod column;
mod constant;
mod even;
mod hybrid;
mod others;
mod prefixed;

use arrow::array::{Array, BooleanArray};
use arrow::buffer::NullBuffer;
use parquet::basic::{BoundaryOrder, Compression, Encoding, Type};
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescPtr;

use self::bounds::{Bounds, Cut, lower, upper};
use self::chunk::{Body, ChunkWriter};
use self::column::{Dictionary, KnownRows, Used};
use self::prefixed::Extremes;

pub(super) use self::chunk::{Chunk, Packer};
pub(super) use self::column::Column;
pub(super) use self::constant::Constant;
pub(super) use self::others::{Others, leaves_of};

/// The most rows of a page.
const PAGE_ROWS: usize = 20_000;
/// The most bytes of texts in a page, the last text aside.
const PAGE_BYTES: usize = 1 << 20;
/// What a text takes in memory beside its bytes.
const OFFSET_BYTES: usize = 4;
/// What it takes in a page beside its bytes: its length.
const LENGTH_BYTES: usize = 4;

/// Writes chunks; keeps what it needs for the next.
pub(super) struct Encoder {
    packer: Packer,
    body: Vec<u8>,
    places: Vec<u32>,
    levels: Vec<u32>,
    shared: KnownRows,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

/// Calls `each` with every one of `rows` that is not null.
fn present(rows: &[u32], nulls: Option<&NullBuffer>, mut each: impl FnMut(usize)) {
    let rows = rows.iter().map(|row| index(*row));
    match nulls {
        None => rows.for_each(each),
        Some(nulls) => rows.filter(|row| nulls.is_valid(*row)).for_each(&mut each),
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn place(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Encoder {
    /// Returns an encoder whose chunks are compressed with `packer`.
    pub(super) fn new(packer: Packer) -> Self {
        Self { packer, body: Vec::new(), places: Vec::new(), levels: Vec::new(), shared: KnownRows::default() }
    }

    /// Returns the codec of the chunks.
    pub(super) const fn codec(&self) -> Compression {
        self.packer.codec()
    }

    /// Writes `rows` of `column`, in this order, as the column that `descr` describes.
    ///
    /// # Errors
    /// When the column is of another type, or has nulls where there may be none.
    pub(super) fn chunk(
        &mut self,
        column: &Column,
        rows: &[u32],
        descr: &ColumnDescPtr,
    ) -> Result<Chunk, ParquetError> {
        if !column.fits(descr) || !is_flat(descr) {
            return Err(ParquetError::General(format!("column {} is of another type", descr.path())));
        }
        if descr.max_def_level() == 0 && column.has_nulls() {
            return Err(ParquetError::General(format!("column {} has nulls", descr.path())));
        }
        match column {
            Column::Dictionary(dictionary) => {
                let mut shared = std::mem::take(&mut self.shared);
                let chunk = match dictionary.used(rows, &mut shared) {
                    Some(used) => self.dictionary(dictionary, &used, rows, descr),
                    None => self.text(|row| dictionary.text(row), dictionary.nulls(), rows, descr),
                };
                self.shared = shared;
                chunk
            }
            Column::Bytes(values, _) => {
                let (offsets, bytes) = (values.value_offsets(), values.value_data());
                let at = |row: usize| usize::try_from(offsets[row]).unwrap_or(0);
                self.text(|row| &bytes[at(row)..at(row + 1)], column.nulls(), rows, descr)
            }
            Column::Long(values, nulls) => {
                self.numbers(|row| values[row], nulls.as_ref(), rows, descr, i64::to_le_bytes, Statistics::Int64)
            }
            Column::Integer(values, nulls) => {
                self.numbers(|row| values[row], nulls.as_ref(), rows, descr, i32::to_le_bytes, Statistics::Int32)
            }
            Column::Boolean(values) => self.booleans(values, rows, descr),
            Column::Null => self.nulls(rows, descr),
        }
    }

    /// Begins a page: the levels of its rows. Returns how many are null.
    fn begin(&mut self, rows: &[u32], nulls: Option<&NullBuffer>, descr: &ColumnDescPtr) -> usize {
        self.body.clear();
        if descr.max_def_level() == 0 {
            return 0;
        }
        self.body.extend_from_slice(&[0; 4]);
        let mut null = 0;
        match nulls {
            None => hybrid::push_run(1, rows.len(), 1, &mut self.body),
            Some(nulls) => {
                self.levels.clear();
                self.levels.extend(rows.iter().map(|row| u32::from(nulls.is_valid(index(*row)))));
                null = self.levels.iter().filter(|level| **level == 0).count();
                hybrid::encode(&self.levels, 1, &mut self.body);
            }
        }
        self.end_levels();
        null
    }

    fn end_levels(&mut self) {
        let length = place(self.body.len() - 4).to_le_bytes();
        self.body[..4].copy_from_slice(&length);
    }

    fn dictionary(
        &mut self,
        dictionary: &Dictionary,
        used: &Used<'_>,
        rows: &[u32],
        descr: &ColumnDescPtr,
    ) -> Result<Chunk, ParquetError> {
        let Used { keys, places, sorted, text_bytes } = used;
        let mut chunk = ChunkWriter::new(descr, Encoding::RLE_DICTIONARY);
        chunk.count(text_bytes + rows.len() * OFFSET_BYTES);
        let texts: Vec<&[u8]> = sorted.iter().map(|key| dictionary.text_of(*key)).collect();
        chunk.dictionary(Body::Texts { levels: &[], texts: &texts }, sorted.len(), &mut self.packer)?;
        let text = |place: u32| sorted.get(index(place)).map_or(&[][..], |key| dictionary.text_of(*key));
        let width = hybrid::width_of(sorted.len().saturating_sub(1));
        let (mut bounds, cut, mut keys, all) = (Bounds::new(), Cut::of(descr), &**keys, rows.len());
        for rows in rows.chunks(PAGE_ROWS) {
            let null = self.begin(rows, dictionary.nulls(), descr);
            self.places.clear();
            let (of_page, others) = keys.split_at_checked(rows.len() - null).unwrap_or((keys, &[]));
            keys = others;
            // (An iterator that knows its length takes a third of the time.)
            self.places.extend(of_page.iter().map(|key| places[index(*key)]));
            self.body.push(width);
            hybrid::encode(&self.places, width, &mut self.body);
            let page = match rows.len() == all {
                // Every text is there.
                true => (0, place(sorted.len().saturating_sub(1))),
                // Both in one pass that does not wait for comparisons.
                false => self.places.iter().fold((u32::MAX, 0), |(min, max), at| (min.min(*at), max.max(*at))),
            };
            let page = (!self.places.is_empty()).then_some(page);
            if let Some((min, max)) = page {
                bounds.add(min, max);
            }
            let page = page.map(|(min, max)| (lower(text(min), cut).0.to_vec(), upper(text(max), cut).0));
            chunk.page(Body::Bytes(&self.body), rows.len(), null, page, &mut self.packer)?;
        }
        let whole = bounds.whole().map(|(min, max)| (text(min), text(max)));
        chunk.finish(|nulls| text_statistics(whole, cut, nulls), bounds.order())
    }

    fn text<'a>(
        &mut self,
        text: impl Fn(usize) -> &'a [u8],
        nulls: Option<&NullBuffer>,
        mut rows: &[u32],
        descr: &ColumnDescPtr,
    ) -> Result<Chunk, ParquetError> {
        let mut chunk = ChunkWriter::new(descr, Encoding::PLAIN);
        let (mut bounds, cut) = (Bounds::new(), Cut::of(descr));
        let mut texts = Vec::new();
        while !rows.is_empty() {
            let mut bytes = 0;
            texts.clear();
            let fits = rows.iter().take(PAGE_ROWS).take_while(|row| {
                let fits = bytes < PAGE_BYTES;
                let row = index(**row);
                if fits && nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                    let text = text(row);
                    bytes += text.len();
                    texts.push(text);
                }
                fits
            });
            let (page_rows, rest) = rows.split_at(fits.count());
            rows = rest;
            let null = self.begin(page_rows, nulls, descr);
            let mut page = Extremes::new();
            texts.iter().for_each(|text| page.add(text));
            let page = page.found();
            if let Some((min, max)) = page {
                bounds.add(min, max);
            }
            let body = Body::Texts { levels: &self.body, texts: &texts };
            chunk.count(body.len());
            let page = page.map(|(min, max)| (lower(min, cut).0.to_vec(), upper(max, cut).0));
            chunk.page(body, page_rows.len(), null, page, &mut self.packer)?;
        }
        chunk.finish(|nulls| text_statistics(bounds.whole(), cut, nulls), bounds.order())
    }

    fn numbers<T: Ord + Copy, const N: usize>(
        &mut self,
        value: impl Fn(usize) -> T,
        nulls: Option<&NullBuffer>,
        rows: &[u32],
        descr: &ColumnDescPtr,
        bytes: impl Fn(T) -> [u8; N],
        statistics: impl FnOnce(ValueStatistics<T>) -> Statistics,
    ) -> Result<Chunk, ParquetError> {
        let mut chunk = ChunkWriter::new(descr, Encoding::PLAIN);
        let mut bounds = Bounds::new();
        for rows in rows.chunks(PAGE_ROWS) {
            let null = self.begin(rows, nulls, descr);
            let mut page: Option<(T, T)> = None;
            present(rows, nulls, |row| {
                let value = value(row);
                self.body.extend_from_slice(&bytes(value));
                let (min, max) = page.unwrap_or((value, value));
                page = Some((min.min(value), max.max(value)));
            });
            if let Some((min, max)) = page {
                bounds.add(min, max);
            }
            chunk.count(rows.len() * N);
            let page = page.map(|(min, max)| (bytes(min).to_vec(), bytes(max).to_vec()));
            chunk.page(Body::Bytes(&self.body), rows.len(), null, page, &mut self.packer)?;
        }
        let (min, max) = bounds.whole().unzip();
        let of = |nulls| {
            let values = ValueStatistics::new(min, max, None, Some(nulls), false);
            // Readers of old know the bounds of signed numbers by other names.
            statistics(values.with_backwards_compatible_min_max(true))
        };
        chunk.finish(of, bounds.order())
    }

    fn booleans(&mut self, values: &BooleanArray, rows: &[u32], descr: &ColumnDescPtr) -> Result<Chunk, ParquetError> {
        let mut chunk = ChunkWriter::new(descr, Encoding::PLAIN);
        let mut bounds = Bounds::new();
        for rows in rows.chunks(PAGE_ROWS) {
            let null = self.begin(rows, values.nulls(), descr);
            let (mut byte, mut count, mut some) = (0_u8, 0_u32, [false; 2]);
            present(rows, values.nulls(), |row| {
                let value = values.values().value(row);
                some[usize::from(value)] = true;
                byte |= u8::from(value) << (count % 8);
                count += 1;
                if count % 8 == 0 {
                    self.body.push(std::mem::take(&mut byte));
                }
            });
            if count % 8 > 0 {
                self.body.push(byte);
            }
            chunk.count(rows.len().div_ceil(8));
            let page = (count > 0).then(|| (!some[0], some[1]));
            if let Some((min, max)) = page {
                bounds.add(min, max);
            }
            let page = page.map(|(min, max)| (vec![u8::from(min)], vec![u8::from(max)]));
            chunk.page(Body::Bytes(&self.body), rows.len(), null, page, &mut self.packer)?;
        }
        let (min, max) = bounds.whole().unzip();
        chunk.finish(
            |nulls| Statistics::Boolean(ValueStatistics::new(min, max, None, Some(nulls), false)),
            bounds.order(),
        )
    }

    fn nulls(&mut self, rows: &[u32], descr: &ColumnDescPtr) -> Result<Chunk, ParquetError> {
        let mut chunk = ChunkWriter::new(descr, Encoding::PLAIN);
        for rows in rows.chunks(PAGE_ROWS) {
            self.body.clear();
            self.body.extend_from_slice(&[0; 4]);
            hybrid::push_run(0, rows.len(), 1, &mut self.body);
            self.end_levels();
            chunk.page(Body::Bytes(&self.body), rows.len(), rows.len(), None, &mut self.packer)?;
        }
        let kind = descr.physical_type();
        chunk.finish(|nulls| null_statistics(kind, nulls), BoundaryOrder::ASCENDING)
    }
}

/// Whether values of a column lie neither in a list nor in a struct.
pub(super) fn is_flat(descr: &ColumnDescPtr) -> bool {
    descr.max_rep_level() == 0 && descr.path().parts().len() == 1
}

fn push_text(text: &[u8], body: &mut Vec<u8>) {
    body.extend_from_slice(&place(text.len()).to_le_bytes());
    body.extend_from_slice(text);
}

fn text_statistics(whole: Option<(&[u8], &[u8])>, cut: Cut, nulls: u64) -> Statistics {
    let Some((min, max)) = whole else { return null_statistics(Type::BYTE_ARRAY, nulls) };
    let ((min, exact_min), (max, exact_max)) = (lower(min, cut), upper(max, cut));
    let (min, max) = (ByteArray::from(min.to_vec()), ByteArray::from(max));
    let values = ValueStatistics::new(Some(min), Some(max), None, Some(nulls), false);
    Statistics::ByteArray(values.with_min_is_exact(exact_min).with_max_is_exact(exact_max))
}

/// Returns the statistics of a chunk that has no value.
fn null_statistics(kind: Type, nulls: u64) -> Statistics {
    let nulls = Some(nulls);
    match kind {
        Type::BOOLEAN => Statistics::boolean(None, None, None, nulls, false),
        Type::INT32 => Statistics::int32(None, None, None, nulls, false),
        Type::INT64 => Statistics::int64(None, None, None, nulls, false),
        Type::INT96 => Statistics::int96(None, None, None, nulls, false),
        Type::FLOAT => Statistics::float(None, None, None, nulls, false),
        Type::DOUBLE => Statistics::double(None, None, None, nulls, false),
        Type::BYTE_ARRAY => Statistics::byte_array(None, None, None, nulls, false),
        Type::FIXED_LEN_BYTE_ARRAY => Statistics::fixed_len_byte_array(None, None, None, nulls, false),
    }
}

#[cfg(test)]
mod tests;
