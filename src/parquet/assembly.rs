//! Entries to the published files of a close.
//!
//! The files are planned from the indexes of the entries; then the rows of each file are streamed out of all entries that
//! hold some, oldest entry first within a bucket, which is the order of offsets. Each entry is read once from its
//! beginning to its end as long as files are written in turn; memory holds one row group and one batch of each entry,
//! and the row group that is being written.
//!
//! A segment that has row groups of its own is copied as it is, if the columns and the codec are those of the file; the rows of
//! others are decoded and encoded again. Dead letters, too: their columns have other names in an entry.
//!
//! Texts that stand in a dictionary in the entry stay keys of it until they are encoded, if all that is to be encoded of a file is so
//! little that it waits in memory. In larger files, and in those that are small beside the dictionaries, they are written out.
//!
//! # Invariants
//! * a file is a pure function of the close, its entries and the options: how entries happen to be read, or which files
//!   of the close were written before, leaves no trace in it;
//! * what was written is what the indexes promised, row for row and offset for offset; else the file is an error.

mod copy;
mod cursor;
mod error;
mod file;
mod shape;
mod texts;

use std::collections::BTreeMap;
use std::io::Write;

use arrow::datatypes::SchemaRef;

use self::cursor::Cursor;
use self::file::{FileWriter, file_properties};
use self::shape::Shape;
use super::codec::parse_codec;
use super::names::DEAD_PARTITION_BY;
use super::pages::{Encoder, Packer};
use super::plan::{FilePlan, Part, plan};
use super::reader::EntryReader;
use crate::engine::state::{Close, LaneState, Scope};

pub use self::error::AssembleError;
pub use super::plan::FolderName;

/// The size in memory of the rows that a file encodes at once, at most, in bytes: all of them are there together.
const FEW_BYTES: u64 = 16 << 20;
/// The same if texts are keys, once they are written out: a column may have to be.
const FEW_BYTES_WRITTEN_OUT: u64 = 4 * FEW_BYTES;
/// How many times larger than a file's rows, written out, the dictionaries may be in which its texts stand. Many small files share them, and
/// each would take longer to pass keys on than to pass on its few texts.
const DICTIONARIES_PER_FILE: u64 = 16;

/// How published files are written, beside what the close's recipe says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssemblyOptions {
    /// The most rows of a row group.
    pub group_rows: usize,
    /// The encoded size that a row group should not pass, in bytes; also bounds the memory of a file.
    pub group_bytes: usize,
}

impl Default for AssemblyOptions {
    fn default() -> Self {
        Self { group_rows: 1_048_576, group_bytes: 16 << 20 }
    }
}

/// A file that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// The partition values as its folders tell them, one for each of [`Assembly::partition_columns`].
    pub values: Vec<Option<String>>,
    /// How many rows.
    pub rows: u64,
    /// The lowest Kafka offset among them.
    pub first_offset: i64,
    /// The highest Kafka offset among them.
    pub last_offset: i64,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    /// How many rows.
    pub rows: u64,
    /// The lowest Kafka offset among them.
    pub first_offset: i64,
    /// The highest Kafka offset among them.
    pub last_offset: i64,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// How many row groups.
    pub row_groups: usize,
}

/// The files of a close, one after the other.
#[derive(Debug)]
pub struct Assembly {
    close: Close,
    /// The state of the first entry, for what all of them share; `None` if there is none.
    lane: Option<LaneState>,
    columns: Vec<String>,
    shape: Shape,
    codec: parquet::basic::Compression,
    options: AssemblyOptions,
    files: Vec<FilePlan>,
    /// For each file, whether its texts are keys until they are encoded.
    by_keys: Vec<bool>,
    cursors: Vec<Cursor>,
    /// Writes files of few rows, if it knows the codec.
    encoder: Option<Encoder>,
    /// The file to plan next; the one before is the current one.
    next: usize,
}

impl Assembly {
    /// Plans the files of `close` out of `entries`, which are those that the close names, in its order.
    ///
    /// `schema` has the user's columns, as all files of the close's schema version have them; `folder` names the folder
    /// of a partition column and value.
    ///
    /// # Errors
    /// When an entry is not the one that the close names, is of another lane log or partitioning, or has no rows of it.
    pub fn open(
        close: &Close,
        entries: Vec<EntryReader>,
        schema: &SchemaRef,
        folder: &dyn Fn(&str, Option<&str>) -> FolderName,
        options: &AssemblyOptions,
    ) -> Result<Self, AssembleError> {
        let codec = parse_codec(&close.recipe.compression)
            .map_err(|source| AssembleError::Codec { source: Box::new(source) })?;
        check_entries(close, &entries)?;
        let columns = match close.scope {
            Scope::OnTime(_) | Scope::Late(_) => close.recipe.partition_by.clone(),
            Scope::DeadLetter => DEAD_PARTITION_BY.map(str::to_owned).to_vec(),
        };
        let lane = entries.first().map(|entry| entry.state().clone());
        let shape = Shape::new(close.scope, schema, &columns, lane.as_ref().map(|lane| &lane.identity));
        let mut of_scope = Vec::with_capacity(entries.len());
        for entry in &entries {
            let all = entry.segments();
            let first = all.iter().position(|segment| segment.scope == close.scope).unwrap_or(all.len());
            let segments = all.get(first..).unwrap_or_default();
            let count = segments.iter().take_while(|segment| segment.scope == close.scope).count();
            let segments = segments.get(..count).unwrap_or_default();
            if segments.is_empty() {
                return Err(AssembleError::NoRows { entry: entry.state().entry });
            }
            if segments.iter().any(|segment| segment.values.len() != columns.len()) {
                return Err(AssembleError::Partitioning {
                    entry: entry.state().entry,
                    found: entry.partition_by().to_vec(),
                    expected: columns,
                });
            }
            of_scope.push((first, segments));
        }
        let max_buckets = usize::try_from(close.recipe.max_buckets).unwrap_or(usize::MAX);
        let mut files = plan(&of_scope, &columns, max_buckets, folder);
        copy::plan(&mut files, &entries, &shape, codec).map_err(|source| AssembleError::Write { source })?;
        let packer = Packer::of(codec).map_err(|source| AssembleError::Write { source: source.into() })?;
        let mut cursors = Cursor::for_files(&entries, &files, &shape);
        let by_keys = if packer.is_some() { by_keys(&files, &cursors) } else { vec![false; files.len()] };
        let keyed = files.iter().zip(&by_keys).filter(|(_, by_keys)| **by_keys);
        for part in keyed.flat_map(|(file, _)| decoded_parts(file)) {
            if let Some(cursor) = cursors.get_mut(part.entry) {
                cursor.read_keys();
            }
        }
        Ok(Self {
            close: close.clone(),
            lane,
            columns,
            shape,
            codec,
            options: options.clone(),
            files,
            by_keys,
            cursors,
            encoder: packer.map(Encoder::new),
            next: 0,
        })
    }

    /// Returns the partition columns, in the order of the folders.
    #[must_use]
    pub fn partition_columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the columns of the published files.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        self.shape.schema()
    }

    /// Returns how many files there are.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Returns how many rows there are, in all files together.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.iter().map(FilePlan::rows).sum()
    }

    /// Returns the memory that it takes to read the entries, in bytes: one row group of each that is decoded, and one that is copied.
    #[must_use]
    pub fn reading_bytes(&self) -> u64 {
        let parts = self.files.iter().flat_map(|file| &file.buckets).flat_map(|bucket| &bucket.parts);
        let copied = parts.filter_map(|part| {
            let entry = self.cursors.get(part.entry)?.entry();
            part.copied.clone()?.map(|group| entry.stored_bytes(group)).max()
        });
        self.cursors.iter().map(Cursor::bytes).fold(copied.max().unwrap_or(0), u64::saturating_add)
    }

    /// Moves on to the next file, whether or not the current one was written.
    pub fn next_file(&mut self) -> Option<PlannedFile> {
        let file = self.files.get(self.next)?;
        self.next += 1;
        Some(PlannedFile {
            values: file.values.iter().map(|value| value.as_deref().map(str::to_owned)).collect(),
            rows: file.rows(),
            first_offset: file.first_offset(),
            last_offset: file.last_offset(),
        })
    }

    /// Writes the current file. May be repeated, and gives the same bytes again.
    ///
    /// # Errors
    /// When an entry cannot be read, its rows are not what its index says, or `to` fails; what was written is void.
    pub fn write_file(&mut self, to: impl Write + Send) -> Result<WrittenFile, AssembleError> {
        let current = self.next.checked_sub(1).and_then(|i| self.files.get(i).zip(self.by_keys.get(i)));
        let (Some((file, by_keys)), Some(lane)) = (current, &self.lane) else { return Err(AssembleError::NoFile) };
        let properties = file_properties(&self.close, lane, file, self.codec);
        let chunk_rows = chunk_rows(file, &self.cursors);
        let pages = self.encoder.as_mut().filter(|_| *by_keys || decoded_bytes(file, &self.cursors) <= FEW_BYTES);
        let mut writer = FileWriter::new(to, properties, &self.shape, &self.options, chunk_rows, pages, *by_keys)?;
        for bucket in &file.buckets {
            let kept: Vec<(&str, Option<&str>)> =
                bucket.keeps.iter().map(|i| (self.columns[*i].as_str(), bucket.values[*i].as_deref())).collect();
            for part in &bucket.parts {
                let Some(cursor) = self.cursors.get_mut(part.entry) else { continue };
                match part.copied.clone() {
                    Some(mut groups) => groups.try_for_each(|group| writer.copy(cursor.entry(), group))?,
                    None => cursor.read(part.segment, &self.shape, |rows| writer.push(rows, &kept))?,
                }
            }
        }
        writer.finish(file)
    }
}

/// Returns what of a file is decoded and encoded again.
fn decoded_parts(file: &FilePlan) -> impl Iterator<Item = &Part> {
    file.buckets.iter().flat_map(|bucket| &bucket.parts).filter(|part| part.copied.is_none())
}

/// Returns how many rows of a file are encoded at once: what fits for all of its entries.
fn chunk_rows(file: &FilePlan, cursors: &[Cursor]) -> usize {
    decoded_parts(file).filter_map(|part| cursors.get(part.entry)).map(Cursor::batch_rows).min().unwrap_or(1)
}

/// Returns the size in memory of all that is to be encoded of a file, in bytes, if texts are written out. A matter of the entries and the
/// plan, as all that decides bytes.
fn decoded_bytes(file: &FilePlan, cursors: &[Cursor]) -> u64 {
    let bytes = decoded_parts(file).filter_map(|part| Some(cursors.get(part.entry)?.decoded_bytes(part.segment)));
    bytes.fold(0, u64::saturating_add)
}

/// Returns for each file whether its texts are keys until they are encoded. None are if most of the close is in other files: these are read out
/// of the same entries, and would have each text written out later, which takes longer.
fn by_keys(files: &[FilePlan], cursors: &[Cursor]) -> Vec<bool> {
    let by_keys: Vec<bool> = files.iter().map(|file| may_keep_keys(file, cursors)).collect();
    let (mut keyed, mut others) = (0_u64, 0_u64);
    for (file, by_keys) in files.iter().zip(&by_keys) {
        let sum = if *by_keys { &mut keyed } else { &mut others };
        *sum = sum.saturating_add(decoded_bytes(file, cursors));
    }
    if keyed >= others { by_keys } else { vec![false; files.len()] }
}

/// Whether texts of a file may be keys until they are encoded: all that is to be encoded may be in memory at once, the rows and the
/// dictionaries of all row groups that they lie in.
fn may_keep_keys(file: &FilePlan, cursors: &[Cursor]) -> bool {
    let (mut bytes, mut dictionaries) = (0_u64, BTreeMap::new());
    for part in decoded_parts(file) {
        for (group, held) in cursors.get(part.entry).into_iter().flat_map(|cursor| cursor.keyed_bytes(part.segment)) {
            bytes = bytes.saturating_add(held.values);
            dictionaries.insert((part.entry, group), held.dictionaries);
        }
    }
    let dictionaries = dictionaries.into_values().fold(0, u64::saturating_add);
    let written_out = decoded_bytes(file, cursors);
    bytes.saturating_add(dictionaries) <= FEW_BYTES
        && written_out <= FEW_BYTES_WRITTEN_OUT
        && dictionaries <= written_out.saturating_mul(DICTIONARIES_PER_FILE)
}

/// Checks that the entries are those that the close names, of one lane log, and partitioned as its recipe says.
fn check_entries(close: &Close, entries: &[EntryReader]) -> Result<(), AssembleError> {
    if close.rows.len() != entries.len() {
        return Err(AssembleError::Count { expected: close.rows.len(), found: entries.len() });
    }
    for (held, entry) in close.rows.iter().zip(entries) {
        let state = entry.state();
        if state.entry != held.entry {
            return Err(AssembleError::OtherEntry { expected: held.entry, found: state.entry });
        }
        let first = entries.first().map_or(state, EntryReader::state);
        if state.chain != first.chain || state.identity != first.identity {
            return Err(AssembleError::OtherLog { entry: state.entry });
        }
        if close.scope != Scope::DeadLetter && entry.partition_by() != close.recipe.partition_by {
            return Err(AssembleError::Partitioning {
                entry: state.entry,
                found: entry.partition_by().to_vec(),
                expected: close.recipe.partition_by.clone(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
