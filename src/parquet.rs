//! The Parquet edge: rows to an entry of the lane log, and entries to published files.
//!
//! Blocking and pure: bytes in, bytes out. Knows no store, no Kafka and no clock; the same input gives the same bytes.
//!
//! * [`entry`] writes an entry: one Parquet file with the rows that came since the entry before, sorted by scope and
//!   bucket, and the whole state of the lane in its footer;
//! * `pages` writes plain columns page by page, for both;
//! * [`reader`] reads entries back through [`ReadAt`], the footer alone or a scope's rows;
//! * [`join()`] puts the rows of several threads into one order;
//! * [`merge`] puts the rows of older entries before those of a new one;
//! * [`assembly`] makes the published files of a close out of the entries that hold its rows.
//!
//! # Units
//! Offsets of rows and files are those of the records themselves, in an `i64`: never "next to read".

pub mod assembly;
pub mod codec;
pub mod entry;
mod error;
mod extra;
#[cfg(test)]
mod fixture;
mod footer;
mod index;
pub mod join;
pub mod merge;
pub mod names;
mod pages;
mod plan;
pub mod published;
pub mod reader;
mod sort;
mod source;
mod widen;

pub use assembly::{AssembleError, Assembly, AssemblyOptions, FolderName, PlannedFile, WrittenFile};
pub use codec::{CodecError, parse_codec};
pub use entry::{Content, DeadRows, EntryOptions, EntryRows, RowTag, write_entry, write_entry_watched};
pub use error::EntryError;
pub use index::{Segment, Values};
pub use join::{HelpedRows, join};
pub use merge::{OlderRows, take_over};
pub use reader::{EntryReader, RowStream, read_state};
pub use source::ReadAt;
