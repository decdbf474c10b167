use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, DictionaryArray, Int64Array, ListArray, MapBuilder, RecordBatch, StringArray, StringBuilder,
    StructArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Compression;
use parquet::file::metadata::PageIndexPolicy;

use super::*;
use crate::engine::state::{ChainId, EntryId};
use crate::parquet::fixture::{
    Row, add_columns, close, content, entry, epoch, folder, longs, open, read, repeat, schema, state, texts, with_dead,
    write_all,
};
use crate::parquet::{EntryOptions, write_entry};

mod dead_letters;
mod few_rows;
mod keyed;

fn now() -> Scope {
    Scope::OnTime(epoch(1))
}

/// Three entries with rows of one epoch, of the next and of late ones.
fn three_entries() -> Vec<EntryReader> {
    let next = Scope::OnTime(epoch(2));
    let late = Scope::Late(epoch(0));
    let one: [Row<'_>; 4] = [
        (now(), "22", Some("/b"), 1),
        (now(), "22", Some("/a"), 2),
        (next, "22", Some("/a"), 3),
        (now(), "22", Some("/b"), 4),
    ];
    let two: [Row<'_>; 3] = [(late, "22", Some("/b"), 5), (now(), "22", Some("/c"), 6), (now(), "22", Some("/b"), 7)];
    let three: [Row<'_>; 3] = [(now(), "22", None, 8), (now(), "22", Some("/a"), 9), (next, "22", Some("/b"), 10)];
    vec![entry(1, &content(&one)), entry(2, &content(&two)), entry(4, &content(&three))]
}

fn assembly(close: &Close, entries: Vec<EntryReader>) -> Result<Assembly, AssembleError> {
    Assembly::open(close, entries, &schema(), &folder, &AssemblyOptions::default())
}

/// Each file as its folders' values, and the offsets of its rows in order.
fn summary(close: &Close, entries: Vec<EntryReader>) -> Vec<(String, Vec<i64>)> {
    let mut assembly = assembly(close, entries).expect("entries of the close");
    let files = write_all(&mut assembly);
    let values = |values: &[Option<String>]| {
        values.iter().map(|value| value.as_deref().unwrap_or("null")).collect::<Vec<_>>().join(" ")
    };
    files.iter().map(|(planned, _, bytes)| (values(&planned.values), longs(&read(bytes), "_kafka_offset"))).collect()
}

#[test]
fn three_entries_make_one_file_a_bucket_in_the_order_of_offsets() {
    assert_eq!(
        summary(&close(now(), &[1, 2, 4]), three_entries()),
        [
            ("22 null".to_owned(), vec![8]),
            ("22 /a".to_owned(), vec![2, 9]),
            ("22 /b".to_owned(), vec![1, 4, 7]),
            ("22 /c".to_owned(), vec![6]),
        ]
    );
}

#[test]
fn late_rows_are_a_close_of_their_own() {
    let late = close(Scope::Late(epoch(0)), &[2]);
    let two = three_entries().remove(1);
    assert_eq!(summary(&late, vec![two]), [("22 /b".to_owned(), vec![5])]);
}

#[test]
fn a_file_has_the_users_columns_without_the_folders_and_says_where_it_came_from() {
    let mut assembly = assembly(&close(now(), &[1, 2, 4]), three_entries()).expect("entries of the close");
    assert_eq!(assembly.partition_columns(), ["day", "path"]);
    let (planned, written, bytes) = write_all(&mut assembly).remove(2);
    assert_eq!((planned.rows, planned.first_offset, planned.last_offset), (3, 1, 7));
    assert_eq!((written.rows, written.first_offset, written.last_offset, written.row_groups), (3, 1, 7, 1));
    assert_eq!(written.bytes, u64::try_from(bytes.len()).expect("small"));

    let rows = read(&bytes);
    let names: Vec<&str> = rows.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["n", "_extra", "_kafka_partition", "_kafka_offset", "_kafka_timestamp"]);
    assert_eq!(rows.schema_ref(), assembly.schema());
    assert_eq!(longs(&rows, "n"), [10, 40, 70]);

    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let metadata = ArrowReaderMetadata::load(&bytes, options).expect("page indexes");
    let file = metadata.metadata().file_metadata();
    assert_eq!(file.created_by(), Some(concat!("streams-to-parquet version ", env!("CARGO_PKG_VERSION"))));
    let pairs = file.key_value_metadata().expect("pairs");
    let says: Vec<(&str, &str)> =
        pairs.iter().map(|pair| (pair.key.as_str(), pair.value.as_deref().unwrap_or_default())).collect();
    assert_eq!(
        says,
        [
            ("streams-to-parquet.topic", "events"),
            ("streams-to-parquet.kafka_partition", "3"),
            ("streams-to-parquet.chain", "7f3a9c1e"),
            ("streams-to-parquet.closing_entry", "9"),
            ("streams-to-parquet.kind", "on_time"),
            ("streams-to-parquet.epoch_start", "1970-01-01T00:15:00Z"),
            ("streams-to-parquet.epoch_end", "1970-01-01T00:30:00Z"),
            ("streams-to-parquet.rows", "3"),
            ("streams-to-parquet.first_offset", "1"),
            ("streams-to-parquet.last_offset", "7"),
            ("streams-to-parquet.schema", "1"),
            ("streams-to-parquet.layout", "1"),
            ("streams-to-parquet.version", env!("CARGO_PKG_VERSION")),
        ]
    );
    let column = metadata.metadata().row_group(0).column(0);
    assert!(column.statistics().is_some() && column.column_index_offset().is_some());
    assert!(matches!(column.compression(), Compression::ZSTD(_)));
}

#[test]
fn an_entry_with_another_id_is_refused() {
    let mut other = close(now(), &[1, 2, 4]);
    other.rows[1].entry.id = EntryId(0xbad);
    let error = assembly(&other, three_entries()).expect_err("another entry 2").to_string();
    assert_eq!(error, "entry 2 is 000000000000abc2, the close names 0000000000000bad");
}

#[test]
fn entries_that_are_not_those_of_the_close_are_refused() {
    let open = |close: &Close, entries| assembly(close, entries).map(drop).map_err(|error| error.to_string());
    let three = close(now(), &[1, 2, 4]);
    let few = three_entries().split_off(1);
    assert_eq!(open(&three, few), Err("2 entries for a close that names 3".to_owned()));
    let late = close(Scope::Late(epoch(0)), &[1, 2, 4]);
    assert_eq!(open(&late, three_entries()), Err("entry 1 has no rows of the close that names it".to_owned()));
    let mut by_path = three.clone();
    by_path.recipe.partition_by = vec!["path".to_owned()];
    let expected = r#"entry 1 is partitioned by ["day", "path"], the close by ["path"]"#;
    assert_eq!(open(&by_path, three_entries()), Err(expected.to_owned()));
    let mut strange = three.clone();
    strange.recipe.compression = "brotli".to_owned();
    assert_eq!(open(&strange, three_entries()), Err("the recipe of the close cannot be followed".to_owned()));

    let mut foreign = state(2);
    foreign.chain = ChainId(1);
    let bytes = write_entry(&foreign, &content(&[(now(), "22", None, 6)]), &EntryOptions::default()).expect("an entry");
    let mut entries = three_entries();
    entries[1] = open_bytes(bytes);
    assert_eq!(open(&three, entries), Err("entry 2 belongs to another lane log".to_owned()));
}

fn open_bytes(bytes: Bytes) -> EntryReader {
    crate::parquet::fixture::open(bytes)
}

#[test]
fn a_close_without_rows_has_no_files() {
    let mut assembly = assembly(&close(now(), &[]), Vec::new()).expect("nothing to check");
    assert_eq!(assembly.next_file(), None);
    assert!(matches!(assembly.write_file(Vec::new()), Err(AssembleError::NoFile)));
}

#[test]
fn the_same_close_gives_the_same_bytes_whatever_was_written_before() {
    let rows: Vec<(i64, String)> = (0..9_000).map(|offset| (offset, format!("/{}", offset * 7_919 % 23))).collect();
    let rows: Vec<Row<'_>> = rows.iter().map(|(offset, path)| (now(), "22", Some(path.as_str()), *offset)).collect();
    let entries = || {
        let options = EntryOptions { group_rows: 700, ..EntryOptions::default() };
        let parts = rows.chunks(3_000).zip([1, 2, 4]);
        parts
            .map(|(part, number)| open(write_entry(&state(number), &content(part), &options).expect("an entry")))
            .collect::<Vec<_>>()
    };
    let close = close(now(), &[1, 2, 4]);
    let files = write_all(&mut assembly(&close, entries()).expect("entries of the close"));
    assert_eq!(files.len(), 23);
    let mut again = assembly(&close, entries()).expect("entries of the close");
    for (i, (planned, written, bytes)) in files.iter().enumerate() {
        assert_eq!(again.next_file().as_ref(), Some(planned));
        if i % 3 == 0 {
            continue; // is in the store already
        }
        for _ in 0..=i % 2 {
            let mut same = Vec::new();
            assert_eq!(again.write_file(&mut same).expect("a file"), *written);
            assert_eq!(same, *bytes);
        }
    }
    let offsets = |bytes: &Bytes| longs(&read(bytes), "_kafka_offset");
    assert!(files.iter().all(|(_, _, bytes)| offsets(bytes).is_sorted()));
    assert_eq!(files.iter().map(|(_, _, bytes)| offsets(bytes).len()).sum::<usize>(), 9_000);
}

/// Fails after some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_could_not_be_written_can_be_written_again() {
    let close = close(now(), &[1, 2, 4]);
    let expected = write_all(&mut assembly(&close, three_entries()).expect("entries of the close"));
    let mut assembly = assembly(&close, three_entries()).expect("entries of the close");
    assembly.next_file();
    assembly.next_file();
    assert!(matches!(assembly.write_file(Full(100)), Err(AssembleError::Write { .. })));
    let mut bytes = Vec::new();
    assembly.write_file(&mut bytes).expect("a file");
    assert_eq!(bytes, expected[1].2);
}

#[test]
fn buckets_beyond_the_limit_are_one_file_and_keep_their_values() {
    let mut few = close(now(), &[1, 2, 4]);
    few.recipe.max_buckets = 2;
    let mut assembly = assembly(&few, three_entries()).expect("entries of the close");
    let files = write_all(&mut assembly);
    let values: Vec<_> = files.iter().map(|(planned, _, _)| planned.values[1].as_deref().unwrap_or("null")).collect();
    assert_eq!(values, ["/a", "/b", "__OTHER__"]); // in the order of first offsets: /b, /a, /c, null
    let other = read(&files[2].2);
    assert_eq!(longs(&other, "_kafka_offset"), [8, 6]);
    let kept = [r#"{"path":null}"#, r#"{"path":"/c"}"#].map(|text| Some(text.to_owned()));
    assert_eq!(texts(&other, "_extra"), kept);
    assert_eq!(texts(&read(&files[0].2), "_extra"), [None, None]);
}

#[test]
fn values_that_a_folder_cannot_tell_are_kept_in_extra() {
    let rows: [Row<'_>; 5] = [
        (now(), "22", Some("/much-too-long"), 1),
        (now(), "22", Some(""), 2),
        (now(), "22", None, 3),
        (now(), "22", Some("/a"), 4),
        (now(), "22", Some("/much-too-different"), 5),
    ];
    let mut content = content(&rows);
    let batch = &mut content.rows.as_mut().expect("rows").rows;
    let mut columns = batch.columns().to_vec();
    columns[2] = Arc::new(StringArray::from(vec![Some(r#"{"new": 1.0}"#), None, None, None, None]));
    *batch = RecordBatch::try_new(batch.schema(), columns).expect("the same types");
    let mut assembly = assembly(&close(now(), &[1]), vec![entry(1, &content)]).expect("entries of the close");
    let files = write_all(&mut assembly);
    let extra: Vec<Vec<Option<String>>> = files.iter().map(|(_, _, bytes)| texts(&read(bytes), "_extra")).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        extra,
        [
            vec![None],                                                                                       // /a
            vec![some(r#"{"path":"/much-too-different"}"#), some(r#"{"new": 1.0,"path":"/much-too-long"}"#)], // /much~
            vec![None, some(r#"{"path":""}"#)],                                                               // null
        ]
    );
}

#[test]
fn dead_letters_are_files_of_their_own() {
    let one = with_dead(content(&[(now(), "22", Some("/a"), 1)]), &[("22", 2), ("21", 3)]);
    let two = with_dead(content(&[]), &[("22", 4)]);
    let entries = vec![entry(1, &one), entry(2, &two)];
    let mut assembly = assembly(&close(Scope::DeadLetter, &[1, 2]), entries).expect("entries of the close");
    assert_eq!(assembly.partition_columns(), ["year", "month", "day"]);
    let files = write_all(&mut assembly);
    let days: Vec<_> = files.iter().map(|(planned, _, _)| planned.values[2].as_deref()).collect();
    assert_eq!(days, [Some("21"), Some("22")]);
    let rows = read(&files[1].2);
    let names: Vec<&str> = rows.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    let expected =
        ["topic", "_kafka_partition", "_kafka_offset", "_kafka_timestamp", "reason", "detail", "key", "value"];
    assert_eq!(names, expected);
    assert_eq!(longs(&rows, "_kafka_offset"), [2, 4]);
    assert_eq!(texts(&rows, "topic"), vec![Some("events".to_owned()); 2]);
    let value = rows.column(7).as_any().downcast_ref::<arrow::array::BinaryArray>().expect("bytes");
    assert_eq!(value.value(1), b"[4]");
}

#[test]
fn an_older_and_narrower_schema_is_widened() {
    let wide = Arc::new(Schema::new(vec![
        Field::new("new", DataType::Utf8, true),
        Field::new("n", DataType::Float64, true),
        Field::new("path", DataType::Utf8, true),
    ]));
    let options = AssemblyOptions::default();
    let mut assembly = Assembly::open(&close(now(), &[1, 2, 4]), three_entries(), &wide, &folder, &options)
        .expect("entries of the close");
    let rows = read(&write_all(&mut assembly)[2].2);
    assert_eq!(texts(&rows, "new"), [None, None, None]);
    let n = rows.column_by_name("n").expect("n");
    assert_eq!(arrow::array::AsArray::as_primitive::<arrow::datatypes::Float64Type>(n).values(), &[10.0, 40.0, 70.0]);
}

/// A struct with a list in it and a map beside it, for the rows 0, 1, 2, …
fn nested(rows: usize) -> Vec<(&'static str, ArrayRef)> {
    let long = |i: usize| i64::try_from(i).expect("few rows");
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>(
        (0..rows).map(|i| (i % 3 != 0).then(|| (0..i % 3).map(|j| Some(long(i * 10 + j))).collect::<Vec<_>>())),
    );
    let user = StructArray::from(vec![
        (Arc::new(Field::new("name", DataType::Utf8, true)), {
            Arc::new((0..rows).map(|i| (i % 2 == 0).then(|| format!("u{i}"))).collect::<StringArray>()) as ArrayRef
        }),
        (Arc::new(Field::new("visits", list.data_type().clone(), true)), Arc::new(list) as ArrayRef),
    ]);
    let mut map = MapBuilder::new(None, StringBuilder::new(), arrow::array::Int64Builder::new());
    for i in 0..rows {
        map.keys().append_value(format!("k{i}"));
        map.values().append_value(long(i));
        map.append(i % 4 != 3).expect("as many keys as values");
    }
    vec![("user", Arc::new(user)), ("tags", Arc::new(map.finish()))]
}

#[test]
fn nested_columns_come_through() {
    let rows: Vec<Row<'_>> =
        (0..40).map(|offset| (now(), "22", Some(if offset % 2 == 0 { "/a" } else { "/b" }), offset)).collect();
    let mut content = content(&rows);
    add_columns(&mut content, nested(40));
    let batch = &content.rows.as_ref().expect("rows").rows;
    let user = Arc::new(batch.schema_ref().project(&[0, 1]).expect("two columns"));

    let options = EntryOptions { group_rows: 9, ..EntryOptions::default() };
    let entry = open(write_entry(&state(1), &content, &options).expect("an entry"));
    let assembled = Assembly::open(&close(now(), &[1]), vec![entry], &user, &folder, &AssemblyOptions::default());
    let files = write_all(&mut assembled.expect("entries of the close"));
    let expected = repeat(&content.rows.expect("rows").rows, (0..40).filter(|i| i % 2 == 1));
    let rows = read(&files[1].2);
    for column in ["user", "tags"] {
        let (read, expected) = (rows.column_by_name(column), expected.column_by_name(column).expect("the column"));
        let names_aside = arrow::compute::cast(read.expect("the column"), expected.data_type()).expect("one type");
        assert_eq!(&names_aside, expected);
    }
}

#[test]
fn big_files_have_row_groups_of_the_given_size() {
    let rows: Vec<Row<'_>> = (0..5_000).map(|offset| (now(), "22", Some("/a"), offset)).collect();
    let entries = vec![entry(1, &content(&rows))];
    let options = AssemblyOptions { group_rows: 2_000, ..AssemblyOptions::default() };
    let close = close(now(), &[1]);
    let mut assembly = Assembly::open(&close, entries, &schema(), &folder, &options).expect("entries of the close");
    let (_, written, bytes) = write_all(&mut assembly).remove(0);
    assert_eq!((written.rows, written.row_groups), (5_000, 3));
    assert_eq!(read(&bytes).num_rows(), 5_000);
}

#[test]
fn wide_rows_are_read_and_written_a_few_at_a_time() {
    let wide: Vec<String> = (0..40).map(|i| format!("{i}{}", "x".repeat(1_000_000))).collect();
    let rows: Vec<Row<'_>> = (0..40).map(|offset| (now(), "22", Some("/a"), offset)).collect();
    let mut content = content(&rows);
    let batch = &mut content.rows.as_mut().expect("rows").rows;
    let mut columns = batch.columns().to_vec();
    columns[2] = Arc::new(StringArray::from(wide.clone()));
    *batch = RecordBatch::try_new(batch.schema(), columns).expect("the same types");
    let entry = entry(1, &content);
    let batches = entry.rows(std::iter::once(0..40).collect(), &|_| true).map(|batch| batch.expect("sound rows"));
    assert_eq!(batches.map(|batch| batch.num_rows()).max(), Some(4)); // of 1 MB each
    let mut assembly = assembly(&close(now(), &[1]), vec![entry]).expect("entries of the close");
    let rows = read(&write_all(&mut assembly)[0].2);
    assert_eq!(texts(&rows, "_extra"), wide.into_iter().map(Some).collect::<Vec<_>>());
}

#[test]
fn columns_of_dictionary_keys_become_texts() {
    let mut content =
        content(&[(now(), "22", Some("/a"), 1), (now(), "22", Some("/a"), 2), (now(), "22", Some("/b"), 3)]);
    let keys: DictionaryArray<Int32Type> = [Some("x"), None, Some("y")].into_iter().collect();
    add_columns(&mut content, vec![("keys", Arc::new(keys))]);
    let user = Arc::new(Schema::new(vec![Field::new("keys", DataType::Utf8, true)]));
    let entries = vec![entry(1, &content)];
    let assembled = Assembly::open(&close(now(), &[1]), entries, &user, &folder, &AssemblyOptions::default());
    let files = write_all(&mut assembled.expect("entries of the close"));
    assert_eq!(texts(&read(&files[0].2), "keys"), [Some("x".to_owned()), None]);
    assert_eq!(texts(&read(&files[1].2), "keys"), [Some("y".to_owned())]);
}

#[test]
fn an_assembly_may_move_to_another_thread() {
    fn moves<T: Send + 'static>(_: &T) {}
    let assembly = assembly(&close(now(), &[1, 2, 4]), three_entries()).expect("entries of the close");
    moves(&assembly);
}

#[test]
fn a_column_without_a_value_is_kept() {
    let mut content = content(&[(now(), "22", Some("/a"), 1)]);
    let batch = &mut content.rows.as_mut().expect("rows").rows;
    let mut columns = batch.columns().to_vec();
    columns[1] = Arc::new(Int64Array::new_null(1));
    *batch = RecordBatch::try_new(batch.schema(), columns).expect("the same types");
    let mut assembly = assembly(&close(now(), &[1]), vec![entry(1, &content)]).expect("entries of the close");
    let rows = read(&write_all(&mut assembly)[0].2);
    assert_eq!(rows.column_by_name("n").map(|n| n.null_count()), Some(1));
}

#[test]
fn a_file_whose_entry_is_damaged_is_an_error() {
    let bytes =
        write_entry(&state(1), &content(&[(now(), "22", None, 6)]), &EntryOptions::default()).expect("an entry");
    let mut damaged = bytes.to_vec();
    damaged[10] ^= 1;
    let mut assembly = assembly(&close(now(), &[1]), vec![open(damaged.into())]).expect("a sound footer");
    assembly.next_file();
    let error = assembly.write_file(Vec::new()).expect_err("damaged rows");
    assert_eq!(error.to_string(), "failed to read entry 1");
}

/// An entry whose rows are those of `now` alone, which it closes if `closes`; `path` gives that of each row.
fn big_entry(number: u64, offsets: std::ops::Range<i64>, closes: bool, path: impl Fn(i64) -> &'static str) -> Bytes {
    let rows: Vec<Row<'_>> = offsets.map(|offset| (now(), "22", Some(path(offset)), offset)).collect();
    let mut lane = state(number);
    if closes {
        let mut close = close(now(), &[number]);
        close.entry = lane.entry;
        lane.closes = vec![close];
    }
    let options = EntryOptions {
        piece_rows: 1_000,
        closing_piece_rows: 100,
        copied_rows: 700,
        zstd_from_rows: 100,
        ..EntryOptions::default()
    };
    write_entry(&lane, &content(&rows), &options).expect("an entry")
}

/// What readers see of a file: its rows, and for each row group the codec and whether statistics and page index are there.
fn seen(file: &Bytes) -> (RecordBatch, Vec<(i64, bool)>) {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let metadata = ArrowReaderMetadata::load(file, options).expect("page indexes");
    let groups = metadata.metadata().row_groups().iter().map(|group| {
        let mut columns = group.columns().iter();
        let whole = columns.all(|column| {
            column.statistics().is_some()
                && column.page_encoding_stats_mask().is_some()
                && column.column_index_offset().is_some()
                && column.offset_index_offset().is_some()
        });
        (group.num_rows(), whole)
    });
    (read(file), groups.collect())
}

#[test]
fn big_pieces_are_copied_and_small_ones_are_encoded_between_them() {
    let a_or_b = |offset: i64| if offset % 10 == 0 { "/b" } else { "/a" };
    let entries = || {
        let bytes = [
            big_entry(1, 0..2_000, false, a_or_b),
            big_entry(2, 2_000..2_500, false, a_or_b),
            big_entry(4, 2_500..5_000, false, |_| "/a"),
        ];
        bytes.map(open).to_vec()
    };
    let close = close(now(), &[1, 2, 4]);
    let files = write_all(&mut assembly(&close, entries()).expect("entries of the close"));
    let (rows, groups) = seen(&files[0].2);
    assert_eq!(
        groups,
        [(600, true), (600, true), (600, true), (450, true), (625, true), (625, true), (625, true), (625, true)]
    );
    assert_eq!(files[0].1.row_groups, 8);
    let expected: Vec<i64> = (0..2_500).filter(|offset| offset % 10 != 0).chain(2_500..5_000).collect();
    assert_eq!(longs(&rows, "_kafka_offset"), expected);
    assert_eq!(longs(&rows, "n"), expected.iter().map(|offset| offset * 10).collect::<Vec<_>>());
    let partitions = rows.column_by_name("_kafka_partition").expect("the column");
    assert_eq!(partitions.as_ref(), &arrow::array::Int32Array::from(vec![3; expected.len()]));
    let (rows, groups) = seen(&files[1].2);
    assert_eq!((rows.num_rows(), groups), (250, vec![(250, true)]));

    // Another codec: everything is encoded.
    let mut fast = close.clone();
    fast.recipe.compression = "snappy".to_owned();
    let encoded = write_all(&mut assembly(&fast, entries()).expect("entries of the close"));
    assert_eq!(encoded[0].1.row_groups, 1);
    assert_eq!(read(&encoded[0].2), read(&files[0].2));
    // Values that the folder does not tell: so is `_extra`.
    let mut few = close;
    few.recipe.max_buckets = 1;
    let files = write_all(&mut assembly(&few, entries()).expect("entries of the close"));
    let other = files.iter().find(|(planned, _, _)| planned.values[1].as_deref() == Some("__OTHER__"));
    let (_, written, bytes) = other.expect("a file for the rest");
    assert_eq!(written.row_groups, 1);
    assert_eq!(texts(&read(bytes), "_extra")[0].as_deref(), Some(r#"{"path":"/a"}"#));
}

#[test]
fn what_is_all_of_its_file_is_copied_though_it_is_small() {
    let entry = open(big_entry(1, 0..150, true, |offset| if offset % 10 == 0 { "/b" } else { "/a" }));
    let groups: Vec<_> = (0..2).map(|segment| entry.groups_of(segment)).collect();
    assert_eq!(groups, [Some(0..1), None]);
    let [copied, decoded] = [0, 1].map(|group| entry.stored_bytes(group));
    let mut assembly = assembly(&close(now(), &[1]), vec![entry]).expect("entries of the close");
    // Some rows that are decoded, 4 MiB at most, are there beside their row group.
    assert_eq!(assembly.reading_bytes(), copied + decoded + (4 << 20));
    let files = write_all(&mut assembly);
    assert_eq!(files.iter().map(|(_, _, bytes)| seen(bytes).1).collect::<Vec<_>>(), [[(135, true)], [(15, true)]]);
}

#[test]
fn a_page_index_that_is_damaged_is_not_copied() {
    let bytes = big_entry(1, 0..1_500, false, |_| "/a");
    let footer = crate::parquet::footer::load(&bytes).expect("a sound footer");
    let last = footer.index.groups.last().expect("row groups").end;
    for at in [last, footer.start - 1] {
        let mut damaged = bytes.to_vec();
        damaged[usize::try_from(at).expect("small")] ^= 0x10;
        let mut assembly = assembly(&close(now(), &[1]), vec![open(damaged.into())]).expect("a sound footer");
        assembly.next_file();
        let error = assembly.write_file(Vec::new()).expect_err("a damaged page index");
        let AssembleError::Entry { source, .. } = error else { panic!("{error}") };
        assert_eq!(source.to_string(), "entry is damaged: the checksum of its page index does not agree");
    }
}
