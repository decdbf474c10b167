//! What can be wrong with an entry.

use parquet::errors::ParquetError;
use thiserror::Error;

/// Why an entry could not be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The bytes end before the footer says so, or are too few for one.
    #[error("entry is truncated: {size} bytes")]
    Truncated {
        /// How many bytes there are.
        size: u64,
    },
    /// Not a Parquet file, or one that another program wrote.
    #[error("not an entry of a lane log")]
    Foreign,
    /// A version of the format that this program does not know.
    #[error("entry has version {found} of the format, this program reads version {known}: update this instance")]
    Version {
        /// The version that the entry names.
        found: String,
        /// The version that this program reads.
        known: u32,
    },
    /// A checksum does not agree, or parts contradict each other.
    #[error("entry is damaged: {what}")]
    Damaged {
        /// Which part.
        what: String,
    },
    /// Rows that cannot become an entry: a mistake of the caller.
    #[error("rows do not fit an entry: {what}")]
    Rows {
        /// What is wrong with them.
        what: String,
    },
    /// The source could not be read.
    #[error("failed to read an entry")]
    Read {
        /// What the source said.
        source: std::io::Error,
    },
    /// Parquet refused.
    #[error("failed to {doing}")]
    Parquet {
        /// What was tried.
        doing: &'static str,
        /// What it said.
        source: ParquetError,
    },
    /// The state or the index of segments has no JSON form, or is none.
    #[error("failed to {doing}")]
    Json {
        /// What was tried.
        doing: &'static str,
        /// What it said.
        source: serde_json::Error,
    },
}

impl EntryError {
    /// Whether the bytes are no entry, and never will be: not a failure of the source, nor a version that another program reads.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::Truncated { .. } | Self::Foreign | Self::Damaged { .. } => true,
            Self::Version { .. } | Self::Rows { .. } | Self::Read { .. } | Self::Parquet { .. } | Self::Json { .. } => {
                false
            }
        }
    }

    /// Returns a function that says what was being done when Parquet (or Arrow) failed.
    pub(super) fn parquet<E: Into<ParquetError>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Parquet { doing, source: source.into() }
    }

    /// Returns a function that says what was being done when the JSON failed.
    pub(super) fn json(doing: &'static str) -> impl FnOnce(serde_json::Error) -> Self {
        move |source| Self::Json { doing, source }
    }

    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }

    pub(super) fn rows(what: impl Into<String>) -> Self {
        Self::Rows { what: what.into() }
    }
}
