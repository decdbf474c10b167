//! Dead letters whose row groups are copied, against those that are decoded and encoded again.

use arrow::array::{AsArray, BinaryArray};
use parquet::file::metadata::ParquetMetaData;

use super::*;
use crate::parquet::Content;

/// Dead letters of two days, with every byte in their values and in some keys, beside rows of an epoch.
fn letters(number: u64, offsets: std::ops::Range<i64>, rows: &[Row<'_>]) -> EntryReader {
    let day = |offset: &i64| if offset % 100 == 7 { "21" } else { "22" };
    let dead: Vec<(&str, i64)> = offsets.map(|offset| (day(&offset), offset)).collect();
    let mut content = with_dead(content(rows), &dead);
    let of = |offset: i64| u8::try_from(offset % 256).expect("a byte");
    let batch = &mut content.dead.as_mut().expect("dead letters").rows;
    let offsets: Vec<i64> = dead.iter().map(|(_, offset)| *offset).collect();
    let reasons = offsets.iter().map(|offset| ["not_json", "null_value", "late"][usize::from(of(*offset)) % 3]);
    let keys = offsets.iter().map(|offset| (offset % 3 > 0).then(|| [of(*offset); 3]));
    let values =
        offsets.iter().map(|offset| (offset % 5 > 0).then(|| vec![of(*offset); 100 + usize::from(of(*offset))]));
    let mut columns = batch.columns().to_vec();
    columns[2] = Arc::new(StringArray::from_iter_values(reasons));
    columns[4] = Arc::new(keys.collect::<BinaryArray>());
    columns[5] = Arc::new(values.collect::<BinaryArray>());
    let names = batch.schema();
    let named = names.fields().iter().zip(columns).map(|(field, column)| (field.name(), column, true));
    *batch = RecordBatch::try_from_iter_with_nullable(named).expect("columns of one length");
    entry_of(number, &content)
}

fn entry_of(number: u64, content: &Content) -> EntryReader {
    let options =
        EntryOptions { closing_piece_bytes: 20_000, zstd_from_rows: 1, copied_rows: 1_000, ..EntryOptions::default() };
    open(write_entry(&state(number), content, &options).expect("an entry"))
}

fn entries() -> Vec<EntryReader> {
    vec![
        letters(1, 0..1_500, &[]),
        letters(2, 1_500..1_520, &[]),
        letters(4, 1_520..2_000, &[(now(), "22", Some("/a"), 5_000), (now(), "22", None, 5_001)]),
    ]
}

fn files(codec: &str) -> Vec<(WrittenFile, Bytes)> {
    let mut close = close(Scope::DeadLetter, &[1, 2, 4]);
    close.recipe.compression = codec.to_owned();
    let files = write_all(&mut assembly(&close, entries()).expect("entries of the close"));
    files.into_iter().map(|(_, written, bytes)| (written, bytes)).collect()
}

fn metadata(file: &Bytes) -> Arc<ParquetMetaData> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    Arc::clone(ArrowReaderMetadata::load(file, options).expect("page indexes").metadata())
}

#[test]
fn many_dead_letters_are_copied_and_few_are_encoded_between_them() {
    let (copied, encoded) = (files("zstd:1"), files("snappy"));
    let groups = |files: &[(WrittenFile, Bytes)]| -> Vec<Vec<(i64, bool)>> {
        files.iter().map(|(_, bytes)| seen(bytes).1).collect()
    };
    assert_eq!(groups(&copied), [vec![(20, true)], vec![(743, true), (742, true), (19, true), (476, true)]]);
    assert_eq!(groups(&encoded), [vec![(20, true)], vec![(1_980, true)]]);
    for ((_, copied), (_, encoded)) in copied.iter().zip(&encoded) {
        assert_eq!(read(copied), read(encoded));
        let [copied, encoded] = [copied, encoded].map(metadata);
        assert_eq!(copied.file_metadata().schema_descr(), encoded.file_metadata().schema_descr());
    }
    let rows = read(&copied[1].1);
    let values = rows.column_by_name("value").expect("the column").as_binary::<i32>();
    assert_eq!((values.value(1), values.is_null(0)), (&[1_u8; 101][..], true));
}

#[test]
fn a_copied_row_group_says_of_its_columns_what_parquets_own_writer_says() {
    let copied = metadata(&files("zstd:1")[1].1);
    // A file with the same rows as the last row group alone.
    let mut close = close(Scope::DeadLetter, &[4]);
    close.recipe.compression = "snappy".to_owned();
    let entries = entries().into_iter().skip(2).collect();
    let encoded = write_all(&mut assembly(&close, entries).expect("an entry of the close"));
    let encoded = metadata(&encoded[1].2);
    for (ours, reference) in copied.row_group(3).columns().iter().zip(encoded.row_group(0).columns()) {
        let name = ours.column_path().to_string();
        assert_eq!(ours.column_descr(), reference.column_descr());
        assert_eq!(ours.statistics(), reference.statistics(), "statistics of {name}");
        assert_eq!(ours.num_values(), reference.num_values(), "{name}");
    }
}
