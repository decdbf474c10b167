//! Why a close could not be assembled.

use arrow::error::ArrowError;
use parquet::errors::ParquetError;
use thiserror::Error;

use crate::engine::state::EntryRef;
use crate::parquet::{CodecError, EntryError};

/// Why the files of a close could not be planned or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// Not as many entries as the close names.
    #[error("{found} entries for a close that names {expected}")]
    Count {
        /// How many the close names.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// An entry is not the one that the close names: the log has changed since, look at it again.
    #[error("entry {} is {}, the close names {}", .found.number, .found.id, .expected.id)]
    OtherEntry {
        /// What the close names.
        expected: EntryRef,
        /// What the entry says that it is.
        found: EntryRef,
    },
    /// An entry belongs to another lane log than the first.
    #[error("entry {} belongs to another lane log", .entry.number)]
    OtherLog {
        /// The entry.
        entry: EntryRef,
    },
    /// An entry has no rows of the close, which says that it has.
    #[error("entry {} has no rows of the close that names it", .entry.number)]
    NoRows {
        /// The entry.
        entry: EntryRef,
    },
    /// The buckets of an entry are made of other columns than the recipe of the close says.
    #[error("entry {} is partitioned by {found:?}, the close by {expected:?}", .entry.number)]
    Partitioning {
        /// The entry.
        entry: EntryRef,
        /// The partition columns of the entry.
        found: Vec<String>,
        /// The partition columns of the recipe.
        expected: Vec<String>,
    },
    /// The recipe names no codec.
    #[error("the recipe of the close cannot be followed")]
    Codec {
        /// What is wrong with it.
        source: Box<CodecError>,
    },
    /// An entry could not be read.
    #[error("failed to read entry {}", .entry.number)]
    Entry {
        /// The entry.
        entry: EntryRef,
        /// What was wrong.
        source: EntryError,
    },
    /// A column of an entry has no place in the published files.
    #[error("column `{column}` of an entry does not fit the schema")]
    Column {
        /// The column.
        column: String,
        /// What was wrong.
        source: ArrowError,
    },
    /// The rows of a file are not those that the indexes of its entries promise.
    #[error("rows differ from the index of their entries: {what}")]
    Contradiction {
        /// What differs.
        what: String,
    },
    /// There is no current file.
    #[error("no file to write")]
    NoFile,
    /// The file could not be written.
    #[error("failed to write a published file")]
    Write {
        /// What was wrong.
        source: ParquetError,
    },
}
