//! The rows of one entry, in the order in which the files of a close want them.

use std::ops::Range;

use arrow::array::RecordBatch;

use super::AssembleError;
use super::shape::Shape;
use crate::parquet::index::Segment;
use crate::parquet::plan::FilePlan;
use crate::parquet::reader::{EntryReader, GroupBytes, KeyedBytes, RowStream};

/// Reads the segments of one entry; quick as long as they are asked for in turn.
#[derive(Debug)]
pub(super) struct Cursor {
    entry: EntryReader,
    /// The segments in the order of the files.
    turns: Vec<usize>,
    /// For each segment of the entry its place in `turns`, or none.
    turn_of: Vec<Option<usize>>,
    batch_rows: usize,
    keyed_bytes: KeyedBytes,
    /// Texts are read as keys, where they can be.
    by_keys: bool,
    open: Option<Open>,
}

/// A stream that is under way.
#[derive(Debug)]
struct Open {
    rows: RowStream,
    /// The last batch, if some of it is left, and how many of its rows were passed on.
    left: Option<(RecordBatch, usize)>,
    /// The turn that comes next, and the first that the stream does not bring.
    turns: Range<usize>,
}

impl Cursor {
    /// Returns a cursor for each entry, which knows in what order `files` will ask.
    pub(super) fn for_files(entries: &[EntryReader], files: &[FilePlan], shape: &Shape) -> Vec<Self> {
        let cursor = |entry: &EntryReader| Self {
            entry: entry.clone(),
            turns: Vec::new(),
            turn_of: vec![None; entry.segments().len()],
            batch_rows: usize::MAX,
            keyed_bytes: entry.keyed_bytes(&|name| shape.wants(name), &|name| shape.takes_keys(name)),
            by_keys: false,
            open: None,
        };
        let mut cursors: Vec<Self> = entries.iter().map(cursor).collect();
        let parts = files.iter().flat_map(|file| &file.buckets).flat_map(|bucket| &bucket.parts);
        for part in parts.filter(|part| part.copied.is_none()) {
            let Some(cursor) = cursors.get_mut(part.entry) else { continue };
            if let Some(turn) = cursor.turn_of.get_mut(part.segment) {
                *turn = Some(cursor.turns.len());
                cursor.turns.push(part.segment);
            }
        }
        for cursor in &mut cursors {
            let (first, last) = (cursor.turns.iter().min(), cursor.turns.iter().max());
            let rows = first.and_then(|i| cursor.rows_of(*i)).zip(last.and_then(|i| cursor.rows_of(*i)));
            cursor.batch_rows = rows.map_or(1, |(first, last)| cursor.entry.batch_rows(&(first.start..last.end)));
        }
        cursors
    }

    /// Returns the entry.
    pub(super) fn entry(&self) -> &EntryReader {
        &self.entry
    }

    /// Returns how many rows of the entry are decoded at once.
    pub(super) fn batch_rows(&self) -> usize {
        self.batch_rows
    }

    /// From now on, texts are read as keys.
    pub(super) fn read_keys(&mut self) {
        self.by_keys = true;
    }

    /// Returns the row groups that a segment touches, and what its rows take of each if texts are read as keys.
    pub(super) fn keyed_bytes(&self, segment: usize) -> impl Iterator<Item = (usize, GroupBytes)> {
        self.rows_of(segment).into_iter().flat_map(|rows| self.keyed_bytes.of(rows))
    }

    /// Returns the size in memory of a segment's rows, in bytes, if texts are written out.
    pub(super) fn decoded_bytes(&self, segment: usize) -> u64 {
        self.rows_of(segment).map_or(0, |rows| self.entry.decoded_bytes(&rows))
    }

    /// Returns the memory that the cursor takes while it reads, in bytes; 0 if nothing is read.
    pub(super) fn bytes(&self) -> u64 {
        let rows = self.turns.iter().filter_map(|segment| self.rows_of(*segment));
        rows.map(|rows| self.entry.decoding_bytes(&rows)).max().unwrap_or(0)
    }

    fn rows_of(&self, segment: usize) -> Option<Range<u64>> {
        self.entry.segments().get(segment).map(rows)
    }

    /// Passes the rows of a segment to `to`, in the shape of published files, batch by batch.
    pub(super) fn read(
        &mut self,
        segment: usize,
        shape: &Shape,
        mut to: impl FnMut(RecordBatch) -> Result<(), AssembleError>,
    ) -> Result<(), AssembleError> {
        // Taken out, so that a stream in the middle of a segment does not outlive an error.
        let open = self.open.take();
        let (Some(turn), Some(rows)) = (self.turn_of.get(segment).copied().flatten(), self.rows_of(segment)) else {
            return Err(AssembleError::Contradiction { what: format!("no segment {segment}") });
        };
        let mut open = match open {
            Some(open) if open.turns.start == turn && !open.turns.is_empty() => open,
            _ => self.start(turn, shape),
        };
        let mut wanted = rows.end.saturating_sub(rows.start);
        while wanted > 0 {
            let (batch, start) = match open.left.take() {
                Some(left) => left,
                None => match open.rows.next() {
                    Some(Ok(batch)) => (shape.take_on(&batch)?, 0),
                    Some(Err(source)) => return Err(AssembleError::Entry { entry: self.entry.state().entry, source }),
                    None => {
                        let what = format!("entry {} has fewer rows", self.entry.state().entry.number);
                        return Err(AssembleError::Contradiction { what });
                    }
                },
            };
            let have = batch.num_rows() - start;
            let taken = usize::try_from(wanted).unwrap_or(usize::MAX).min(have);
            wanted -= u64::try_from(taken).unwrap_or(wanted).min(wanted);
            let rows = batch.slice(start, taken);
            if taken < have {
                open.left = Some((batch, start + taken));
            }
            to(rows)?;
        }
        open.turns.start += 1;
        self.open = Some(open);
        Ok(())
    }

    /// Begins a stream at `turn`, which goes on as long as turns ascend in the entry.
    fn start(&self, turn: usize, shape: &Shape) -> Open {
        let turns = self.turns.get(turn..).unwrap_or_default();
        let ascending = turns.windows(2).take_while(|pair| pair[0] < pair[1]).count() + 1;
        let mut ranges = Vec::<Range<u64>>::new();
        for next in turns.iter().take(ascending).filter_map(|segment| self.rows_of(*segment)) {
            match ranges.last_mut() {
                Some(last) if last.end == next.start => last.end = next.end,
                _ => ranges.push(next),
            }
        }
        let by_keys = |name: &str| self.by_keys && shape.takes_keys(name);
        let rows = self.entry.rows_by_keys(ranges, &|name| shape.wants(name), &by_keys);
        Open { rows, left: None, turns: turn..turn + ascending }
    }
}

fn rows(segment: &Segment) -> Range<u64> {
    segment.start..segment.start.saturating_add(segment.rows)
}
