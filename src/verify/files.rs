//! One published file against its receipt: the footer, and if wanted the bytes and the rows.

use std::collections::BTreeMap;

use bytes::Bytes;
use object_store::path::Path;
use roaring::RoaringTreemap;
use sha2::{Digest, Sha256};

use super::names::Named;
use super::rows;
use super::violation::{Kind, Violation};
use crate::config::verify::VerifyConfig;
use crate::engine::state::Scope;
use crate::parquet::names::{KAFKA_OFFSET, KAFKA_PARTITION};
use crate::parquet::published::{self, Footer, Published, PublishedError};
use crate::store::{Store, StoreError};

/// A file of at most this size is read with one request if its bytes are wanted, in bytes.
const WHOLE_BYTES: u64 = 8 << 20;

/// How closely files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Depth {
    /// Sizes and footers.
    Footers,
    /// The checksums of all bytes, too.
    Checksums,
    /// The rows, too.
    Rows,
}

impl Depth {
    /// Returns what the flags ask for.
    pub(super) const fn of(config: &VerifyConfig) -> Self {
        match (config.deep, config.checksums) {
            (true, _) => Self::Rows,
            (false, true) => Self::Checksums,
            (false, false) => Self::Footers,
        }
    }
}

/// What all files of a topic are compared with.
#[derive(Debug, Clone)]
pub(super) struct Expectations {
    /// The column that holds the event time, if it is one of timestamps.
    pub(super) event_time: Option<String>,
}

/// What came of looking at a file.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) violations: Vec<Violation>,
    /// The offsets of its rows, if they were read.
    pub(super) offsets: RoaringTreemap,
}

/// Looks at a file that is there with the size that its receipt says.
///
/// # Errors
/// When the store fails.
pub(super) async fn look(
    store: &Store,
    key: &Path,
    named: Named<'_>,
    depth: Depth,
    expected: &Expectations,
) -> Result<Looked, StoreError> {
    let mut looked = Looked::default();
    let (receipt, size) = (named.receipt, named.file.bytes);
    let violation = |kind: Kind, what: String| {
        Violation::new(kind, what).partition(receipt.partition).entry(receipt.entry).path(key)
    };
    let gone = || violation(Kind::FileMissing, "it went away while it was looked at".to_owned());
    let whole = if depth >= Depth::Checksums && size <= WHOLE_BYTES {
        let Some(bytes) = store.get_range(key, 0..size).await? else {
            looked.violations.push(gone());
            return Ok(looked);
        };
        Some(bytes)
    } else {
        None
    };
    if depth >= Depth::Checksums {
        let sha256 = match &whole {
            Some(bytes) => Some(hex::encode(Sha256::digest(bytes))),
            None => store.describe(key).await?.map(|stored| stored.sha256),
        };
        if sha256.as_ref() != Some(&named.file.sha256) {
            let what = "its bytes are not those that were published (SHA-256)".to_owned();
            looked.violations.push(violation(Kind::FileChecksum, what));
        }
    }
    let footer = match footer(store, key, size, whole.as_ref()).await? {
        None => {
            looked.violations.push(gone());
            return Ok(looked);
        }
        Some(Err(error)) => {
            looked.violations.push(violation(Kind::FileUnreadable, error.to_string()));
            return Ok(looked);
        }
        Some(Ok(footer)) => footer,
    };
    looked.violations.extend(check_footer(&footer, named).into_iter().map(|(kind, what)| violation(kind, what)));
    if depth >= Depth::Rows {
        let source = rows::Source { store: store.clone(), key: key.clone(), whole, footer };
        let (found, offsets) = rows::look(source, named, expected).await?;
        looked.violations.extend(found.into_iter().map(|(kind, offset, what)| {
            let violation = violation(kind, what);
            offset.map_or(violation.clone(), |offset| violation.offset(offset))
        }));
        looked.offsets = offsets;
    }
    Ok(looked)
}

async fn footer(
    store: &Store,
    key: &Path,
    size: u64,
    whole: Option<&Bytes>,
) -> Result<Option<Result<Published, PublishedError>>, StoreError> {
    let tail = match whole {
        Some(bytes) => Some(bytes.clone()),
        None => store.get_range(key, published::tail(size)).await?,
    };
    let Some(tail) = tail else { return Ok(None) };
    let range = match Published::read(&tail, size) {
        Ok(Footer::Whole(footer)) => return Ok(Some(Ok(footer))),
        Ok(Footer::Longer(range)) => range,
        Err(error) => return Ok(Some(Err(error))),
    };
    let Some(tail) = store.get_range(key, range).await? else { return Ok(None) };
    Ok(Some(match Published::read(&tail, size) {
        Ok(Footer::Whole(footer)) => Ok(footer),
        Ok(Footer::Longer(_)) => Err(PublishedError::Truncated),
        Err(error) => Err(error),
    }))
}

/// Compares a footer with the receipt: what the file says of itself, its rows, and what its statistics tell of its offsets.
fn check_footer(footer: &Published, named: Named<'_>) -> Vec<(Kind, String)> {
    let Named { receipt, file } = named;
    let mut wrong = Vec::new();
    if footer.rows() != file.rows {
        let what = format!("it has {} rows, its receipt says {}", footer.rows(), file.rows);
        wrong.push((Kind::FileRows, what));
    }
    let kind = match receipt.scope {
        Scope::OnTime(_) => "on_time",
        Scope::Late(_) => "late",
        Scope::DeadLetter => "dead_letter",
    };
    let mut says: BTreeMap<&str, String> = BTreeMap::from([
        ("topic", receipt.topic.clone()),
        ("kafka_partition", receipt.partition.to_string()),
        ("chain", receipt.chain.to_string()),
        ("closing_entry", receipt.entry.to_string()),
        ("kind", kind.to_owned()),
        ("rows", file.rows.to_string()),
        ("first_offset", file.first_offset.to_string()),
        ("last_offset", file.last_offset.to_string()),
        ("schema", receipt.schema.to_string()),
    ]);
    if let Some(epoch) = receipt.scope.epoch() {
        says.insert("epoch_start", epoch.start.to_string());
        says.insert("epoch_end", epoch.end.to_string());
    }
    for (key, expected) in says {
        let found = footer.says(key).unwrap_or("nothing");
        if found != expected {
            wrong.push((Kind::FileMetadata, format!("it says of itself: {key} {found}; its receipt says {expected}")));
        }
    }
    if let Some(range) = footer.range(KAFKA_OFFSET)
        && range != (file.first_offset, file.last_offset)
    {
        let (first, last) = range;
        let what =
            format!("it has offsets {first} to {last}, its receipt says {} to {}", file.first_offset, file.last_offset);
        wrong.push((Kind::FileOffsets, what));
    }
    let partition = i64::from(receipt.partition.0);
    if let Some(range) = footer.range(KAFKA_PARTITION)
        && range != (partition, partition)
    {
        wrong.push((Kind::RowPartition, format!("it has rows of Kafka partitions {} to {}", range.0, range.1)));
    }
    wrong
}
