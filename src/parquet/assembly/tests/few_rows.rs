//! Files of few rows, which are written page by page, against the same files as Parquet's own writer has them.

use arrow::array::{BinaryArray, BooleanArray, Date32Array, Float64Array, Int32Array};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;

use super::*;

const ROWS: usize = 60;

/// Columns of every kind: plain ones, texts that repeat and texts of their own, nulls alone, and what is not plain.
fn columns() -> Vec<(&'static str, ArrayRef)> {
    let some = |i: usize| i % 7 != 3;
    let number = |i: usize| i32::try_from(i * 31 % 17).expect("small");
    let texts = |text: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new((0..ROWS).map(|i| some(i).then(|| text(i))).collect::<StringArray>())
    };
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("repeated", texts(&|i| ["ä", "", "long enough to be cut ".repeat(9).as_str()][i % 3].to_owned())),
        ("own", texts(&|i| format!("own {i}"))),
        ("bytes", Arc::new((0..ROWS).map(|i| some(i).then(|| vec![u8::MAX; i * 2 % 99])).collect::<BinaryArray>())),
        ("flag", Arc::new((0..ROWS).map(|i| some(i).then_some(i % 2 == 0)).collect::<BooleanArray>())),
        ("number", Arc::new((0..ROWS).map(|i| some(i).then(|| number(i))).collect::<Int32Array>())),
        ("date", Arc::new((0..ROWS).map(|i| some(i).then(|| number(i))).collect::<Date32Array>())),
        ("real", Arc::new((0..ROWS).map(|i| some(i).then(|| f64::from(number(i)))).collect::<Float64Array>())),
        ("nothing", Arc::new(StringArray::new_null(ROWS))),
    ];
    columns.extend(nested(ROWS));
    columns
}

/// The rows of two paths with these columns, in two entries, and the user's schema.
fn entries() -> (Vec<EntryReader>, SchemaRef) {
    let mut user = None;
    let entries = [(1, 0..ROWS - 7), (2, ROWS - 7..ROWS)].map(|(number, range)| {
        let offsets = range.clone().map(|i| i64::try_from(i).expect("small"));
        let rows: Vec<Row<'_>> =
            offsets.map(|offset| (now(), "22", Some(if offset % 3 == 0 { "/b" } else { "/a" }), offset)).collect();
        let mut content = content(&rows);
        let batch = &mut content.rows.as_mut().expect("rows").rows;
        let own = columns().into_iter().map(|(name, array)| (name.to_owned(), array.slice(range.start, range.len())));
        let mut all: Vec<(String, ArrayRef, bool)> = own.map(|(name, array)| (name, array, true)).collect();
        let count = all.len();
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            all.push((field.name().clone(), column.clone(), field.is_nullable()));
        }
        *batch = RecordBatch::try_from_iter_with_nullable(all).expect("columns of one length");
        let kinds: Vec<usize> = (0..count).collect();
        user = Some(Arc::new(batch.schema_ref().project(&kinds).expect("these columns")));
        entry(number, &content)
    });
    (entries.to_vec(), user.expect("a schema"))
}

fn files(codec: &str) -> Vec<Bytes> {
    let (entries, user) = entries();
    let mut close = close(now(), &[1, 2]);
    close.recipe.compression = codec.to_owned();
    let assembled = Assembly::open(&close, entries, &user, &folder, &AssemblyOptions::default());
    let files = write_all(&mut assembled.expect("entries of the close"));
    files.into_iter().map(|(_, _, bytes)| bytes).collect()
}

pub(super) fn metadata(file: &Bytes) -> Arc<ParquetMetaData> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    Arc::clone(ArrowReaderMetadata::load(file, options).expect("page indexes").metadata())
}

/// Compares all that a file says of its columns, but what depends on the encoding.
pub(super) fn compare(ours: &ParquetMetaData, reference: &ParquetMetaData) {
    assert_eq!((ours.num_row_groups(), reference.num_row_groups()), (1, 1));
    let pages = [ours, reference].map(|file| file.page_index_for_row_group(0));
    for (leaf, columns) in ours.row_group(0).columns().iter().zip(reference.row_group(0).columns()).enumerate() {
        let name = columns.0.column_path().to_string();
        assert_eq!(columns.0.statistics(), columns.1.statistics(), "statistics of {name}");
        assert_eq!(columns.0.num_values(), columns.1.num_values(), "{name}");
        let [our_starts, starts] = [&pages[0], &pages[1]].map(|pages| {
            let locations = pages.page_locations(leaf).expect("locations");
            locations.iter().map(|page| page.first_row_index).collect::<Vec<_>>()
        });
        assert_eq!(our_starts, starts, "pages of {name}");
        let [our_index, index] = [&pages[0], &pages[1]].map(|pages| pages.column_index(leaf).expect("a column index"));
        assert_eq!(our_index.null_counts(), index.null_counts(), "null counts of {name}");
        assert_eq!(our_index.get_boundary_order(), index.get_boundary_order(), "order of {name}");
        // Behind these come the bounds; before them also histograms, which we leave out.
        let bounds =
            |index: &ColumnIndexMetaData| format!("{index:?}").split_once("nan_counts").expect("bounds").1.to_owned();
        assert_eq!(bounds(our_index), bounds(index), "bounds of {name}");
    }
}

#[test]
fn files_of_few_rows_say_what_parquets_own_writer_says() {
    // It writes the files of a codec that the pages do not know.
    let reference = files("snappy");
    for codec in ["zstd:1", "zstd:7", "none"] {
        let ours = files(codec);
        assert_eq!(ours.len(), reference.len());
        for (ours, reference) in ours.iter().zip(&reference) {
            assert_eq!(read(ours), read(reference), "{codec}");
            compare(&metadata(ours), &metadata(reference));
        }
    }
}

#[test]
fn texts_that_repeat_have_a_sorted_dictionary_in_small_files_too() {
    let file = metadata(&files("zstd:1")[0]);
    let has_dictionary = |name: &str| {
        let mut columns = file.row_group(0).columns().iter();
        let column = columns.find(|column| column.column_path().string() == name).expect("the column");
        column.dictionary_page_offset().is_some()
    };
    assert_eq!((has_dictionary("repeated"), has_dictionary("own")), (true, false));
}
