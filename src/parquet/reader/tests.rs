use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::{Array, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, UInt32Type};
use bytes::Bytes;

use super::*;
use crate::engine::state::Scope;
use crate::parquet::fixture::{Row, add_columns, content, epoch, open, state};
use crate::parquet::{EntryOptions, write_entry};

/// An entry of two row groups of 1,300 rows, whose column `page` is keys and whose other texts are none; and its bytes.
fn entry_of_keys() -> (EntryReader, Bytes) {
    let rows: Vec<Row<'_>> = (0..2_600).map(|i| (Scope::OnTime(epoch(1)), "22", Some("/a"), i)).collect();
    let mut content = content(&rows);
    let pages = (0..2_600).map(|i| (i % 5 > 0).then(|| format!("page {}", i % 7)));
    let keys = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8));
    add_columns(&mut content, vec![("page", cast(&pages.collect::<StringArray>(), &keys).expect("keys"))]);
    let options = EntryOptions {
        group_rows: 1_300,
        piece_rows: usize::MAX,
        zstd_from_rows: usize::MAX,
        zstd_from_bytes: usize::MAX,
        ..EntryOptions::default()
    };
    let bytes = write_entry(&state(1), &content, &options).expect("an entry");
    (open(bytes.clone()), bytes)
}

fn all(entry: &EntryReader, by_keys: bool) -> Result<Vec<RecordBatch>, EntryError> {
    entry.rows_by_keys(std::iter::once(0..2_600).collect(), &|_| true, &|name| by_keys && name != "_extra").collect()
}

fn page(batch: &RecordBatch) -> &ArrayRef {
    batch.column_by_name("page").expect("the column")
}

#[test]
fn texts_stay_keys_if_they_are_asked_for_and_batches_share_their_dictionary() {
    let (entry, _) = entry_of_keys();
    let (texts, keys) = (all(&entry, false).expect("rows"), all(&entry, true).expect("rows"));
    assert_eq!(keys.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [1_024, 276, 1_024, 276]);
    let mut places = Vec::new();
    for (texts, keys) in texts.iter().zip(&keys) {
        assert_eq!(page(texts).data_type(), &DataType::Utf8);
        assert_eq!(&cast(page(keys), &DataType::Utf8).expect("texts"), page(texts));
        places.push(page(keys).as_dictionary::<UInt32Type>().values().to_data().buffers()[0].as_ptr());
        // Neither has a dictionary.
        for column in ["path", "_extra"] {
            assert_eq!(keys.column_by_name(column).map(|column| column.data_type()), Some(&DataType::Utf8));
        }
    }
    assert_eq!((places[0] == places[1], places[0] == places[2]), (true, false));
}

#[test]
fn a_key_beyond_its_dictionary_is_an_error() {
    let (entry, bytes) = entry_of_keys();
    let chunk = entry.metadata().row_group(0).column(0).clone();
    let (start, length) = chunk.byte_range();
    let (end, mut errors) = (start + length, 0);
    // Three bits for each of 1,040 keys, of which there are seven.
    for at in end - 380..end {
        for flip in [0x01, 0x20, 0x80] {
            let mut damaged = bytes.to_vec();
            damaged[usize::try_from(at).expect("small")] ^= flip;
            let damaged = Bytes::from(damaged);
            let mut entry = open(damaged.clone());
            // The checksum agrees, as if the damage had been written.
            let group = &mut Arc::get_mut(&mut entry.groups).expect("one owner")[0];
            let range =
                usize::try_from(group.bytes.start).expect("small")..usize::try_from(group.bytes.end).expect("small");
            group.checksum = checksum(&[&damaged[range]]);
            let read = catch_unwind(AssertUnwindSafe(|| all(&entry, true)));
            let Ok(batches) = read.unwrap_or_else(|_| panic!("a panic at byte {at}")) else {
                errors += 1;
                continue;
            };
            let highest =
                batches.iter().flat_map(|batch| page(batch).as_dictionary::<UInt32Type>().keys().values()).max();
            assert!(highest.is_some_and(|key| *key < 7), "byte {at}");
        }
    }
    assert!(errors > 50, "{errors}");
}

#[test]
fn a_selection_is_what_a_row_group_and_the_ranges_share() {
    let ranges = [2..5, 5..7, 9..12, 20..21];
    let skip = RowSelector::skip;
    let select = RowSelector::select;
    assert_eq!(selection(&(0..2), &ranges), None);
    assert_eq!(selection(&(0..4), &ranges), Some(RowSelection::from(vec![skip(2), select(2)])));
    assert_eq!(selection(&(4..11), &ranges), Some(RowSelection::from(vec![select(1), select(2), skip(2), select(2)])));
    assert_eq!(selection(&(12..20), &ranges), None);
}
