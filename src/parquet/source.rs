//! Where the bytes of an entry come from.

use std::io;
use std::ops::Range;

use bytes::{Buf, Bytes};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// A blocking source of the bytes of one object, whose size is known.
pub trait ReadAt: Send + Sync {
    /// Returns the size of the object in bytes.
    fn size(&self) -> u64;

    /// Returns the bytes of `range`, all of them.
    ///
    /// # Errors
    /// When the source fails, or holds fewer bytes.
    fn read_at(&self, range: Range<u64>) -> io::Result<Bytes>;
}

impl ReadAt for Bytes {
    fn size(&self) -> u64 {
        u64::try_from(self.len()).unwrap_or(u64::MAX)
    }

    fn read_at(&self, range: Range<u64>) -> io::Result<Bytes> {
        slice(self, 0, &range).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Returns the bytes of `range` of an object, of which `bytes` are those from `base` on.
fn slice(bytes: &Bytes, base: u64, range: &Range<u64>) -> Option<Bytes> {
    let start = usize::try_from(range.start.checked_sub(base)?).ok()?;
    let end = usize::try_from(range.end.checked_sub(base)?).ok()?;
    (start <= end && end <= bytes.len()).then(|| bytes.slice(start..end))
}

/// Some bytes of a file, such as one row group, read at once: Parquet's reader would ask for them 8 KiB at a time.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Where in the file they begin.
    pub(super) base: u64,
    pub(super) bytes: Bytes,
}

impl Part {
    fn end(&self) -> u64 {
        self.base.saturating_add(self.bytes.size())
    }

    fn part(&self, range: &Range<u64>) -> Result<Bytes> {
        slice(&self.bytes, self.base, range).ok_or_else(|| ParquetError::EOF(format!("bytes {range:?} were not read")))
    }
}

impl Length for Part {
    fn len(&self) -> u64 {
        self.end()
    }
}

impl ChunkReader for Part {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.part(&(start..self.end()))?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        self.part(&(start..end))
    }
}
