//! The footer of an entry: sealed with a checksum when written, and believed only with it.
//!
//! The checksum covers every byte of the footer to the end of the file, itself taken as zeros; it is looked at before anything is
//! parsed. The row groups have their own, in the index; so has the page index, which stands between them and the footer.

use std::hash::Hasher as _;

use bytes::Bytes;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader};
use twox_hash::XxHash3_64;

use super::error::EntryError;
use super::index::Index;
use super::names::{CHECKSUM, FORMAT, PAGE_INDEX, SEGMENTS, STATE};
use super::source::ReadAt;
use crate::engine::state::{LaneState, STATE_VERSION};

/// What stands where the checksum will.
pub(super) const UNSEALED: &str = "0000000000000000";

/// What is read at once from the end of an entry: most footers are smaller.
const TAIL_BYTES: u64 = 64 * 1024;
/// The length of the footer and Parquet's magic number.
const TRAILER_BYTES: usize = 8;
const MAGIC: &[u8] = b"PAR1";

/// A footer whose checksum agreed.
pub(super) struct Footer {
    pub(super) parquet: ParquetMetaData,
    pub(super) state: LaneState,
    pub(super) index: Index,
    /// The checksum of what stands between the last row group and the footer, if there is a page index.
    pub(super) page_index: Option<String>,
    /// Where the footer begins, in bytes.
    pub(super) start: u64,
}

/// Returns the checksum of some bytes: their XXH3 of 64 bits, in hexadecimal digits. It is against damage, not against somebody who wants
/// an entry to look sound; SHA-256 took a hundredth of all CPU.
pub(super) fn checksum(parts: &[&[u8]]) -> String {
    let mut hash = XxHash3_64::new();
    for part in parts {
        hash.write(part);
    }
    format!("{:0width$x}", hash.finish(), width = UNSEALED.len())
}

/// Puts the checksums into the footer of a finished entry, whose rows end at `rows_end`.
///
/// # Errors
/// When there is no room for them, which the writer of the footer left.
pub(super) fn seal(mut file: Vec<u8>, rows_end: usize) -> Result<Bytes, EntryError> {
    let no_room = || EntryError::rows("no room for the checksum of the footer");
    let start = footer_start(&file).filter(|start| *start >= rows_end).ok_or_else(no_room)?;
    let (rows, footer) = file.split_at_mut(start);
    let page_index = rows.get(rows_end..).unwrap_or_default();
    if let (false, Some(at)) = (page_index.is_empty(), digits_of(PAGE_INDEX, footer)) {
        let sum = checksum(&[page_index]);
        footer[at..at + UNSEALED.len()].copy_from_slice(sum.as_bytes());
    }
    let at = digits_of(CHECKSUM, footer).ok_or_else(no_room)?;
    let sum = checksum(&[footer]);
    footer[at..at + UNSEALED.len()].copy_from_slice(sum.as_bytes());
    Ok(file.into())
}

/// Returns where the footer of a whole file begins.
fn footer_start(file: &[u8]) -> Option<usize> {
    let [a, b, c, d, ..] = *file.last_chunk::<TRAILER_BYTES>()?;
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
    file.len().checked_sub(TRAILER_BYTES)?.checked_sub(length)
}

/// Returns where in a footer the digits of a checksum are: behind the last mention of its key, the Thrift header of
/// the value and the value's length.
fn digits_of(key: &str, footer: &[u8]) -> Option<usize> {
    let found = footer.windows(key.len()).rposition(|window| window == key.as_bytes())?;
    let at = found + key.len() + 2;
    (footer.len() >= at + UNSEALED.len() + TRAILER_BYTES).then_some(at)
}

/// Reads the footer of an entry: one read of the last 64 KiB, and one more if it is larger.
///
/// # Errors
/// When the source fails, or the bytes are no sound entry of a known version.
pub(super) fn load(source: &dyn ReadAt) -> Result<Footer, EntryError> {
    let size = source.size();
    let read = |range| source.read_at(range).map_err(|source| EntryError::Read { source });
    let mut tail = read(size.saturating_sub(TAIL_BYTES)..size)?;
    let (rest, trailer) = tail.split_last_chunk::<TRAILER_BYTES>().ok_or(EntryError::Truncated { size })?;
    let [a, b, c, d, magic @ ..] = trailer;
    if magic != MAGIC {
        // An entry that lost its end still has its beginning; what never had one is something else.
        let begins = read(0..4)?;
        return Err(if begins == MAGIC { EntryError::Truncated { size } } else { EntryError::Foreign });
    }
    let length = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
    let available = u64::try_from(rest.len()).unwrap_or(u64::MAX);
    let footer_bytes = length.saturating_add(8);
    let start = size.checked_sub(footer_bytes).ok_or(EntryError::Truncated { size })?;
    if length > available {
        tail = read(start..size)?;
    }
    let skip = tail.len().saturating_sub(usize::try_from(footer_bytes).unwrap_or(usize::MAX));
    parse(&tail.slice(skip..), start)
}

fn parse(footer: &[u8], start: u64) -> Result<Footer, EntryError> {
    let at = digits_of(CHECKSUM, footer).ok_or(EntryError::Foreign)?;
    let (before, rest) = footer.split_at(at);
    let (found, behind) = rest.split_at(UNSEALED.len());
    if checksum(&[before, UNSEALED.as_bytes(), behind]).as_bytes() != found {
        return Err(EntryError::damaged("the checksum of its footer does not agree"));
    }
    let thrift = footer.get(..footer.len().saturating_sub(TRAILER_BYTES)).unwrap_or_default();
    // As published files have them: what is copied keeps them.
    let options = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false);
    let parquet = ParquetMetaDataReader::decode_metadata_with_options(thrift, Some(&options))
        .map_err(EntryError::parquet("decode the footer of an entry"))?;
    let find = |key: &str| {
        let mut pairs = parquet.file_metadata().key_value_metadata().into_iter().flatten();
        pairs.find(|pair| pair.key == key).and_then(|pair| pair.value.as_deref())
    };
    let value = |key: &'static str| find(key).ok_or_else(|| EntryError::damaged(format!("its footer lacks `{key}`")));
    let known = STATE_VERSION;
    let found = value(FORMAT)?;
    if found != known.to_string() {
        return Err(EntryError::Version { found: found.to_owned(), known });
    }
    let state: LaneState =
        serde_json::from_str(value(STATE)?).map_err(EntryError::json("parse the state of a lane"))?;
    if state.version != known {
        return Err(EntryError::Version { found: state.version.to_string(), known });
    }
    if let Some(what) = state.contradiction() {
        return Err(EntryError::damaged(format!("its state contradicts itself: {what}")));
    }
    let index = serde_json::from_str(value(SEGMENTS)?).map_err(EntryError::json("parse the index of an entry"))?;
    let page_index = find(PAGE_INDEX).map(str::to_owned);
    Ok(Footer { parquet, state, index, page_index, start })
}
