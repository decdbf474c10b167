use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;

use super::*;
use crate::parquet::fixture::{CHAIN, Row, content, entry, epoch, longs, open, state, texts, with_dead};
use crate::parquet::names::CHECKSUM;
use crate::parquet::{EntryReader, ReadAt, read_state};

fn whole(rows: Range<u64>) -> Vec<Range<u64>> {
    std::iter::once(rows).collect()
}

fn all_rows(entry: &EntryReader) -> RecordBatch {
    let end = entry.segments().last().map_or(0, |segment| segment.start + segment.rows);
    let batches: Vec<RecordBatch> = entry.rows(whole(0..end), &|_| true).collect::<Result<_, _>>().expect("sound rows");
    arrow::compute::concat_batches(batches[0].schema_ref(), &batches).expect("one schema")
}

fn hand_worked() -> Content {
    let (now, late) = (Scope::OnTime(epoch(1)), Scope::Late(epoch(0)));
    let rows: [Row<'_>; 5] = [
        (now, "22", Some("/home"), 10),
        (late, "21", Some("/home"), 11),
        (now, "22", Some("/about"), 12),
        (now, "22", None, 13),
        (now, "22", Some("/home"), 15),
    ];
    with_dead(content(&rows), &[("22", 14), ("21", 16)])
}

#[test]
fn rows_stand_sorted_and_the_index_says_where() {
    let entry = entry(1, &hand_worked());
    let rows = all_rows(&entry);
    assert_eq!(longs(&rows, "_kafka_offset"), [13, 12, 10, 15, 11, 16, 14]);
    let paths: Vec<_> =
        texts(&rows, "path").into_iter().map(|path| path.unwrap_or_else(|| "null".to_owned())).collect();
    assert_eq!(paths, ["null", "/about", "/home", "/home", "/home", "null", "null"]);
    assert_eq!(texts(&rows, "_dead_reason")[4..], [None, Some("not_json".to_owned()), Some("not_json".to_owned())]);

    let text = |segment: &Segment| {
        let values: Vec<&str> = segment.values.iter().map(|value| value.as_deref().unwrap_or("null")).collect();
        let offsets = format!("{}..={}", segment.first_offset, segment.last_offset);
        format!("{:?} {} +{} {offsets}", values, segment.start, segment.rows)
    };
    assert_eq!(
        entry.segments().iter().map(text).collect::<Vec<_>>(),
        [
            r#"["22", "null"] 0 +1 13..=13"#,
            r#"["22", "/about"] 1 +1 12..=12"#,
            r#"["22", "/home"] 2 +2 10..=15"#,
            r#"["21", "/home"] 4 +1 11..=11"#,
            r#"["2026", "11", "21"] 5 +1 16..=16"#,
            r#"["2026", "11", "22"] 6 +1 14..=14"#,
        ]
    );
    let scopes: Vec<Scope> = entry.segments().iter().map(|segment| segment.scope).collect();
    assert_eq!(scopes[2..5], [Scope::OnTime(epoch(1)), Scope::Late(epoch(0)), Scope::DeadLetter]);
}

#[test]
fn the_state_comes_back_from_the_footer_alone() {
    let bytes = write_entry(&state(7), &hand_worked(), &EntryOptions::default()).expect("an entry");
    assert_eq!(read_state(&bytes).expect("sound"), state(7));
    let entry = open(bytes);
    assert_eq!((entry.state().chain, entry.partition_by()), (CHAIN, ["day".to_owned(), "path".to_owned()].as_slice()));
}

#[test]
fn an_entry_without_rows_is_small_and_carries_the_state() {
    let bytes = write_entry(&state(2), &Content::default(), &EntryOptions::default()).expect("an entry");
    assert!(bytes.len() < 1_500, "{} bytes", bytes.len());
    let entry = open(bytes);
    assert_eq!(*entry.state(), state(2));
    assert!(entry.segments().is_empty());
    assert_eq!(entry.rows(whole(0..10), &|_| true).count(), 0);
}

#[test]
fn an_entry_of_dead_letters_alone_has_no_columns_of_the_user() {
    let rows = all_rows(&entry(1, &with_dead(content(&[]), &[("22", 4), ("22", 5)])));
    assert!(rows.column_by_name("path").is_none());
    assert_eq!(longs(&rows, "_kafka_offset"), [4, 5]);
}

#[test]
fn ranges_are_read_across_row_groups() {
    let rows: Vec<Row<'_>> = (0..100).map(|offset| (Scope::OnTime(epoch(0)), "22", Some("/a"), offset)).collect();
    let options = EntryOptions { group_rows: 7, ..EntryOptions::default() };
    let entry = open(write_entry(&state(1), &content(&rows), &options).expect("an entry"));
    let batches = entry.rows(vec![3..8, 8..9, 40..44, 99..100], &|name| name == "n");
    let n: Vec<i64> = batches.flat_map(|batch| longs(&batch.expect("sound rows"), "n")).collect();
    assert_eq!(n, [30, 40, 50, 60, 70, 80, 400, 410, 420, 430, 990]);
}

/// Remembers what was read.
struct Recorder(Bytes, Mutex<Vec<Range<u64>>>);

impl ReadAt for Recorder {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, range: Range<u64>) -> std::io::Result<Bytes> {
        self.1.lock().expect("one thread").push(range.clone());
        self.0.read_at(range)
    }
}

#[test]
fn a_footer_takes_one_read_and_a_row_group_another() {
    let bytes = write_entry(&state(1), &hand_worked(), &EntryOptions::default()).expect("an entry");
    let source = Arc::new(Recorder(bytes, Mutex::default()));
    let reader = EntryReader::open(source.clone()).expect("a sound entry");
    assert_eq!(reader.rows(whole(0..5), &|_| true).count(), 1);
    let size = source.0.size();
    let reads = source.1.lock().expect("one thread").clone();
    assert_eq!((reads.len(), reads[0].clone(), reads[1].start), (2, 0..size, 4));
    assert!(reads[1].end < size);
}

#[test]
fn few_large_rows_are_compressed() {
    let rows = [(Scope::OnTime(epoch(0)), "22", Some("/"), 5), (Scope::OnTime(epoch(0)), "22", Some("/"), 6)];
    let content = content(&rows);
    let codec = |zstd_from_bytes| {
        let options = EntryOptions { zstd_from_bytes, ..EntryOptions::default() };
        let entry = open(write_entry(&state(1), &content, &options).expect("an entry"));
        entry.metadata().row_group(0).column(0).compression()
    };
    let bytes: usize = content.rows.iter().flat_map(|rows| rows.rows.columns()).map(bytes_of).sum();
    assert_eq!(codec(bytes + 1), Compression::UNCOMPRESSED);
    assert!(matches!(codec(bytes), Compression::ZSTD(_)));
}

#[test]
fn an_entry_is_heard_to_grow() {
    let options = EntryOptions { group_rows: 2, ..EntryOptions::default() };
    let mut heard = Vec::new();
    let written = write_entry_watched(&state(1), &hand_worked(), &options, &mut |bytes| heard.push(bytes));
    let bytes = written.expect("an entry");
    assert!(heard.len() > 1 && heard.is_sorted(), "{heard:?}");
    assert_eq!(heard.last().copied(), usize::try_from(rows_end(&bytes)).ok());
}

#[test]
fn ten_thousand_buckets_have_a_small_footer() {
    let paths: Vec<String> = (0..10_000).map(|i| format!("/page/number/{i}")).collect();
    let offsets = 5_000_000..;
    let rows: Vec<Row<'_>> = paths
        .iter()
        .chain(&paths)
        .zip(offsets)
        .map(|(path, offset)| (Scope::OnTime(epoch(0)), "22", Some(path.as_str()), offset))
        .collect();
    let bytes = write_entry(&state(1), &content(&rows), &EntryOptions::default()).expect("an entry");
    let entry = open(bytes.clone());
    let footer = bytes.len() - usize::try_from(rows_end(&bytes)).expect("small");
    println!("10,000 segments: footer of {footer} bytes, entry of {} bytes", bytes.len());
    assert_eq!(entry.segments().len(), 10_000);
    assert!(footer < 500_000, "{footer} bytes");
    assert_eq!(entry.segments()[9_999].rows, 2);
}

fn rows_end(bytes: &Bytes) -> u64 {
    super::super::footer::load(bytes).expect("a sound footer").start
}

#[test]
fn no_flipped_byte_is_overlooked_and_none_panics() {
    let bytes = write_entry(&state(1), &hand_worked(), &EntryOptions::default()).expect("an entry");
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80] {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= flip;
            let damaged = Bytes::from(damaged);
            let read = catch_unwind(AssertUnwindSafe(|| {
                let entry = EntryReader::open(Arc::new(damaged))?;
                entry.rows(whole(0..7), &|_| true).collect::<Result<Vec<_>, _>>()
            }));
            let read = read.unwrap_or_else(|_| panic!("a panic at byte {at}"));
            // The magic number at the beginning tells nothing, and is not looked at.
            assert!(read.is_err() || at < 4, "byte {at} flipped and not seen");
        }
    }
}

#[test]
fn no_truncated_entry_is_believed_and_none_panics() {
    let bytes = write_entry(&state(1), &hand_worked(), &EntryOptions::default()).expect("an entry");
    for length in 0..bytes.len() {
        assert!(read_state(&bytes.slice(..length)).is_err(), "{length} of {} bytes", bytes.len());
    }
    let half = read_state(&bytes.slice(..bytes.len() / 2)).expect_err("half an entry");
    assert!(matches!(half, EntryError::Truncated { .. }), "{half}");
}

#[test]
fn a_foreign_file_is_refused_as_such() {
    let mut file = Vec::new();
    let rows = hand_worked().rows.expect("rows").rows;
    let mut writer = ArrowWriter::try_new(&mut file, rows.schema(), None).expect("a writer");
    writer.write(&rows).expect("rows");
    writer.close().expect("a file");
    for foreign in [Bytes::from(file), Bytes::from_static(b"{\"some\": \"json of some length\"}")] {
        assert!(matches!(read_state(&foreign), Err(EntryError::Foreign)));
    }
}

#[test]
fn an_unknown_version_is_refused_with_both_numbers() {
    let newer = LaneState { version: 2, ..state(1) };
    let bytes = write_entry(&newer, &Content::default(), &EntryOptions::default()).expect("an entry");
    let error = read_state(&bytes).expect_err("a version that is not known");
    assert_eq!(
        error.to_string(),
        "entry has version 2 of the format, this program reads version 1: update this instance"
    );
}

#[test]
fn a_topic_that_is_named_like_the_checksum_does_no_harm() {
    let mut odd = state(1);
    odd.identity.topic = format!("{CHECKSUM}0000000000000000");
    let bytes = write_entry(&odd, &Content::default(), &EntryOptions::default()).expect("an entry");
    assert_eq!(read_state(&bytes).expect("sound"), odd);
}

#[test]
fn rows_that_fit_no_entry_are_refused() {
    let write =
        |content: &Content| write_entry(&state(1), content, &EntryOptions::default()).map_err(|e| e.to_string());
    let mut few_tags = hand_worked();
    few_tags.rows.as_mut().expect("rows").tags.pop();
    assert_eq!(write(&few_tags), Err("rows do not fit an entry: 4 tags for 5 rows".to_owned()));
    let mut no_scope = hand_worked();
    no_scope.scopes.pop();
    assert_eq!(write(&no_scope), Err("rows do not fit an entry: a tag names number 1 of 1".to_owned()));
    let mut dead_scope = hand_worked();
    dead_scope.scopes[0] = Scope::DeadLetter;
    assert_eq!(write(&dead_scope), Err("rows do not fit an entry: a row in the scope of dead letters".to_owned()));
}
