//! The footer of a published file: what the file says of itself, and whether its row groups are all there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::statistics::Statistics;
use thiserror::Error;

use super::names::SAYS;

/// What is read at once from the end of a file, in bytes: most footers are smaller.
const TAIL_BYTES: u64 = 32 * 1024;
/// The length of the footer and Parquet's magic number.
const TRAILER_BYTES: u64 = 8;
const MAGIC: &[u8] = b"PAR1";

/// What is wrong with a file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PublishedError {
    /// The bytes do not end as a Parquet file does.
    #[error("it does not end as a Parquet file does: cut off, or no Parquet file")]
    Truncated,
    /// The footer cannot be decoded.
    #[error("its footer is damaged: {source}")]
    Footer {
        /// What Parquet said.
        source: parquet::errors::ParquetError,
    },
    /// Parts of the footer contradict each other, or the file.
    #[error("its footer contradicts the file: {what}")]
    Contradiction {
        /// Which.
        what: String,
    },
}

/// Returns the range to read first of a file of `size` bytes.
#[must_use]
pub const fn tail(size: u64) -> Range<u64> {
    size.saturating_sub(TAIL_BYTES)..size
}

/// A footer, or what must be read for it.
#[derive(Debug)]
pub enum Footer {
    /// The footer.
    Whole(Published),
    /// It is longer than what was read: read this.
    Longer(Range<u64>),
}

/// The footer of a published file.
#[derive(Debug, Clone)]
pub struct Published {
    parquet: Arc<ParquetMetaData>,
    says: BTreeMap<String, String>,
}

impl Published {
    /// Reads the footer out of the last bytes of a file of `size` bytes.
    ///
    /// # Errors
    /// When the bytes are no sound footer, or its row groups are not in the file.
    pub fn read(tail: &Bytes, size: u64) -> Result<Footer, PublishedError> {
        let (rest, trailer) = tail.split_last_chunk::<8>().ok_or(PublishedError::Truncated)?;
        let [a, b, c, d, magic @ ..] = trailer;
        if magic != MAGIC {
            return Err(PublishedError::Truncated);
        }
        let length = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
        let start = size.checked_sub(length + TRAILER_BYTES).ok_or(PublishedError::Truncated)?;
        let skip = u64::try_from(rest.len()).unwrap_or(u64::MAX).checked_sub(length);
        let Some(skip) = skip.and_then(|skip| usize::try_from(skip).ok()) else {
            return Ok(Footer::Longer(start..size));
        };
        let thrift = rest.get(skip..).unwrap_or_default();
        let parquet =
            ParquetMetaDataReader::decode_metadata(thrift).map_err(|source| PublishedError::Footer { source })?;
        check_groups(&parquet, start)?;
        let pairs = parquet.file_metadata().key_value_metadata().into_iter().flatten();
        let says = pairs.filter_map(|pair| Some((pair.key.strip_prefix(SAYS)?.to_owned(), pair.value.clone()?)));
        let says = says.collect();
        Ok(Footer::Whole(Self { parquet: Arc::new(parquet), says }))
    }

    /// Returns what the file says of itself under `key`.
    #[must_use]
    pub fn says(&self, key: &str) -> Option<&str> {
        self.says.get(key).map(String::as_str)
    }

    /// Returns Parquet's own view of the footer.
    #[must_use]
    pub const fn parquet(&self) -> &Arc<ParquetMetaData> {
        &self.parquet
    }

    /// Returns how many rows the file has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        u64::try_from(self.parquet.file_metadata().num_rows()).unwrap_or(0)
    }

    /// Returns the least and the greatest value of a column of integers, if the statistics of all row groups tell.
    #[must_use]
    pub fn range(&self, column: &str) -> Option<(i64, i64)> {
        let schema = self.parquet.file_metadata().schema_descr();
        let place = schema.columns().iter().position(|found| found.path().string() == column)?;
        let mut range: Option<(i64, i64)> = None;
        for group in self.parquet.row_groups() {
            let statistics = group.columns().get(place)?.statistics()?;
            #[allow(clippy::wildcard_enum_match_arm, reason = "columns of other types have no range of integers")]
            let (low, high) = match statistics {
                Statistics::Int64(found) => (*found.min_opt()?, *found.max_opt()?),
                Statistics::Int32(found) => (i64::from(*found.min_opt()?), i64::from(*found.max_opt()?)),
                _ => return None,
            };
            let known = range.unwrap_or((low, high));
            range = Some((known.0.min(low), known.1.max(high)));
        }
        range
    }
}

/// Checks that the row groups lie before the footer, and have the rows that the footer counts.
fn check_groups(parquet: &ParquetMetaData, footer_start: u64) -> Result<(), PublishedError> {
    let contradiction = |what: String| Err(PublishedError::Contradiction { what });
    let rows: i64 = parquet.row_groups().iter().map(parquet::file::metadata::RowGroupMetaData::num_rows).sum();
    let counted = parquet.file_metadata().num_rows();
    if rows != counted {
        return contradiction(format!("{rows} rows in its row groups, {counted} in all"));
    }
    for (number, group) in parquet.row_groups().iter().enumerate() {
        for column in group.columns() {
            let outside = || format!("a column of row group {number} lies outside of it");
            let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
            let (Ok(start), Ok(length)) = (u64::try_from(start), u64::try_from(column.compressed_size())) else {
                return contradiction(outside());
            };
            if start < 4 || start.saturating_add(length) > footer_start {
                return contradiction(outside());
            }
        }
    }
    Ok(())
}
