use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, DictionaryArray, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::ZstdLevel;
use parquet::file::metadata::page_index::RowGroupPageIndex;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use proptest::prelude::*;

use super::*;

fn options() -> ArrowWriterOptions {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Page)
        // Its pages end between batches.
        .set_write_batch_size(1_000)
        .build();
    ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true)
}

fn is_required(name: &str) -> bool {
    name == "offset"
}

fn schema_of(columns: &[(&str, ArrayRef)]) -> SchemaRef {
    let kind = |column: &ArrayRef| {
        let mut kind = column.data_type();
        while let DataType::Dictionary(_, values) = kind {
            kind = values;
        }
        kind.clone()
    };
    let fields: Vec<Field> =
        columns.iter().map(|(name, column)| Field::new(*name, kind(column), !is_required(name))).collect();
    Arc::new(Schema::new(fields))
}

/// A file with one row group, written page by page.
fn ours(columns: &[(&str, ArrayRef)], rows: &[u32]) -> Bytes {
    ours_as(Column::of, columns, rows)
}

fn ours_as(form: fn(&ArrayRef) -> Option<Column>, columns: &[(&str, ArrayRef)], rows: &[u32]) -> Bytes {
    let (mut file, _): (SerializedFileWriter<Vec<u8>>, _) =
        ArrowWriter::try_new_with_options(Vec::new(), schema_of(columns), options())
            .and_then(ArrowWriter::into_serialized_writer)
            .expect("a writer");
    let mut encoder = Encoder::new(Packer::zstd(ZstdLevel::default()).expect("memory"));
    let descr = file.schema_descr().columns().to_vec();
    let mut group = file.next_row_group().expect("a row group");
    for ((_, column), descr) in columns.iter().zip(&descr) {
        let column = form(column).expect("a plain column");
        encoder.chunk(&column, rows, descr).and_then(|chunk| chunk.append_to(&mut group, true)).expect("a chunk");
    }
    group.close().expect("columns");
    file.into_inner().expect("a file").into()
}

/// The same, written by the reference.
fn reference(columns: &[(&str, ArrayRef)], rows: &[u32]) -> (RecordBatch, Bytes) {
    let schema = schema_of(columns);
    let rows = UInt32Array::from(rows.to_vec());
    let plain = |(column, field): (&(&str, ArrayRef), &Arc<Field>)| {
        let taken = take(&column.1, &rows, None).expect("rows that are there");
        cast(&taken, field.data_type()).expect("texts")
    };
    let columns = columns.iter().zip(schema.fields()).map(plain).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("columns of one length");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new_with_options(&mut bytes, schema, options()).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a file");
    (batch, bytes.into())
}

fn read(file: &Bytes) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).expect("Parquet");
    let schema = Arc::clone(reader.schema());
    let batches: Vec<RecordBatch> =
        reader.with_batch_size(1_000).build().expect("a reader").collect::<Result<_, _>>().expect("rows");
    arrow::compute::concat_batches(&schema, &batches).expect("one schema")
}

fn metadata(file: &Bytes) -> Arc<ParquetMetaData> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    Arc::clone(ArrowReaderMetadata::load(file, options).expect("page indexes").metadata())
}

/// Compares rows, statistics and page indexes with those of the reference.
fn compare(columns: &[(&str, ArrayRef)], rows: &[u32]) {
    let reference = reference(columns, rows);
    compare_with(&reference, &ours_as(Column::of, columns, rows), columns);
    compare_with(&reference, &ours_as(Column::interned, columns, rows), columns);
}

fn compare_with((expected, reference): &(RecordBatch, Bytes), ours: &Bytes, columns: &[(&str, ArrayRef)]) {
    assert_eq!(read(ours), *expected);
    let (ours, reference) = (metadata(ours), metadata(reference));
    let (our_pages, reference_pages) = (ours.page_index_for_row_group(0), reference.page_index_for_row_group(0));
    assert_eq!(ours.row_group(0).num_rows(), reference.row_group(0).num_rows());
    for (place, (name, _)) in columns.iter().enumerate() {
        let (a, b) = (ours.row_group(0).column(place), reference.row_group(0).column(place));
        assert_eq!(a.statistics(), b.statistics(), "statistics of {name}");
        assert_eq!((a.num_values(), a.compression()), (b.num_values(), b.compression()), "{name}");
        let starts = |pages: &RowGroupPageIndex| -> Vec<i64> {
            pages.page_locations(place).expect("locations").iter().map(|page| page.first_row_index).collect()
        };
        assert_eq!(starts(&our_pages), starts(&reference_pages), "pages of {name}");
        let (a, b) = (our_pages.column_index(place), reference_pages.column_index(place));
        let (Some(a), Some(b)) = (a, b) else { panic!("no column index of {name}") };
        assert_eq!(a.num_pages(), b.num_pages(), "{name}");
        assert_eq!(a.null_counts(), b.null_counts(), "null counts of {name}");
        assert_eq!(a.get_boundary_order(), b.get_boundary_order(), "order of {name}");
        for page in 0..usize::try_from(a.num_pages()).expect("few pages") {
            assert_eq!(a.is_null_page(page), b.is_null_page(page), "{name}");
        }
        // Behind these come the bounds; before them also histograms, which we leave out.
        let bounds = |index: &ColumnIndexMetaData| {
            let text = format!("{index:?}");
            text.split_once("nan_counts").expect("bounds").1.to_owned()
        };
        assert_eq!(bounds(a), bounds(b), "bounds of {name}");
    }
}

fn dictionary(texts: &[Option<&str>]) -> ArrayRef {
    let array: DictionaryArray<UInt32Type> = texts.iter().copied().collect();
    Arc::new(array)
}

#[test]
fn what_is_written_says_the_same_as_the_reference() {
    let rows = 45_000;
    let long: Vec<String> = (0..200).map(|i| format!("{}{i}", "é".repeat(20 + i))).collect();
    let few: Vec<Option<&str>> = (0..rows).map(|i| (i % 7 != 3).then(|| long[i * i % 200].as_str())).collect();
    let runs: Vec<Option<&str>> = (0..rows).map(|i| Some(["a", "b", "c"][i / 100 % 3])).collect();
    let own: Vec<String> = (0..rows).map(|i| format!("{:x}", i * 7_919 % 1_000_003)).collect();
    let numbers = |i: usize| i64::try_from(i * 7_919 % 10_007).expect("small") - 5_000;
    let small = |i: usize| i32::try_from(numbers(i)).expect("small");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("few", dictionary(&few)),
        ("runs", dictionary(&runs)),
        ("one", dictionary(&vec![Some("x"); rows])),
        ("own", Arc::new(StringArray::from_iter_values(&own))),
        ("some", Arc::new((0..rows).map(|i| (i > 25_000).then(|| &own[i])).collect::<StringArray>())),
        ("none", Arc::new(StringArray::new_null(rows))),
        ("offset", Arc::new((0..rows).map(|i| numbers(i) + 5_000).collect::<Int64Array>())),
        ("long", Arc::new((0..rows).map(|i| (i % 5 > 0).then(|| numbers(i))).collect::<Int64Array>())),
        ("integer", Arc::new((0..rows).map(small).collect::<Int32Array>())),
        ("day", Arc::new(Date32Array::from_iter_values((0..rows).map(small)))),
        ("bit", Arc::new((0..rows).map(|i| (i % 3 > 0).then_some(i % 2 > 0)).collect::<BooleanArray>())),
        ("time", {
            let times = TimestampMicrosecondArray::from_iter_values((0..rows).map(|i| numbers(i) + 1_000));
            Arc::new(times.with_timezone("UTC"))
        }),
    ];
    let all: Vec<u32> = (0..rows).map(place).collect();
    compare(&columns, &all);
    let backwards: Vec<u32> = all.iter().rev().step_by(3).copied().collect();
    compare(&columns, &backwards);
}

/// Byte strings whose bytes are of every value, every fourth of up to 130 bytes and often of the greatest where its bounds are cut.
fn byte_string(i: usize) -> Vec<u8> {
    let length = if i.is_multiple_of(4) { i / 4 % 131 } else { i % 7 };
    let byte = |place: usize| u8::try_from((i * 31 + place * 7) % 256).expect("a byte");
    (0..length).map(|place| if !(i + place).is_multiple_of(3) && place > i % 70 { 255 } else { byte(place) }).collect()
}

#[test]
fn byte_strings_say_the_same_as_the_reference() {
    let rows = 45_000;
    let own: Vec<Vec<u8>> = (0..rows).map(byte_string).collect();
    let greatest = vec![255_u8; 100];
    // Ascends from page to page, and no bound is UTF-8; the greatest values are too long for one.
    let up =
        |i: usize| [&vec![0xc3; if i.is_multiple_of(4) { 70 } else { 3 }][..], &(i / 1_000).to_be_bytes()].concat();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("own", Arc::new(BinaryArray::from_iter_values(&own))),
        ("some", Arc::new((0..rows).map(|i| (i % 7 != 3).then(|| &own[i])).collect::<BinaryArray>())),
        ("late", Arc::new((0..rows).map(|i| (i > 25_000).then(|| &own[i])).collect::<BinaryArray>())),
        ("few", Arc::new((0..rows).map(|i| (i % 5 > 0).then(|| &own[i % 200])).collect::<BinaryArray>())),
        ("few keys", {
            let keys: UInt32Array = (0..rows).map(|i| (i % 5 > 0).then(|| place(i % 200))).collect();
            let values = Arc::new(BinaryArray::from_iter_values(&own[..200]));
            Arc::new(DictionaryArray::<UInt32Type>::new(keys, values))
        }),
        ("greatest", Arc::new((0..rows).map(|i| (i % 9 == 0).then_some(&greatest)).collect::<BinaryArray>())),
        ("empty", Arc::new(BinaryArray::from_iter_values(vec![b""; rows]))),
        ("none", Arc::new((0..rows).map(|_| None::<&[u8]>).collect::<BinaryArray>())),
        ("up", Arc::new(BinaryArray::from_iter_values((0..rows).map(up)))),
    ];
    let all: Vec<u32> = (0..rows).map(place).collect();
    compare(&columns, &all);
    let backwards: Vec<u32> = all.iter().rev().step_by(3).copied().collect();
    compare(&columns, &backwards);
}

#[test]
fn texts_and_byte_strings_are_not_written_as_each_other() {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("text", Arc::new(StringArray::from(vec!["a"]))),
        ("bytes", Arc::new(BinaryArray::from_iter_values([b"\xff"]))),
    ];
    let (file, _) = ArrowWriter::try_new_with_options(Vec::new(), schema_of(&columns), options())
        .and_then(ArrowWriter::into_serialized_writer)
        .expect("a writer");
    let mut encoder = Encoder::new(Packer::None);
    let mut refused = |column: usize, as_column: usize| {
        let column = Column::of(&columns[column].1).expect("a plain column");
        encoder
            .chunk(&column, &[0], &file.schema_descr().column(as_column))
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(refused(0, 0), Ok(()));
    assert_eq!(refused(1, 1), Ok(()));
    assert_eq!(refused(0, 1), Err("Parquet error: column \"bytes\" is of another type".to_owned()));
    assert_eq!(refused(1, 0), Err("Parquet error: column \"text\" is of another type".to_owned()));
}

#[test]
fn a_dictionary_that_most_rows_do_not_share_is_written_as_texts() {
    let own: Vec<String> = (0..100).map(|i| format!("text {i}")).collect();
    let texts: Vec<Option<&str>> = own.iter().map(|text| Some(text.as_str())).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![("own", dictionary(&texts))];
    let rows: Vec<u32> = (0..100).collect();
    compare(&columns, &rows);
    assert_eq!(metadata(&ours(&columns, &rows)).row_group(0).column(0).dictionary_page_offset(), None);
}

/// A dictionary in which every text stands twice, and rows that use both: as rows of two threads are joined.
fn doubled(texts: &[Option<&str>]) -> ArrayRef {
    let once = dictionary(texts);
    let once = once.as_dictionary::<UInt32Type>();
    let count = place(once.values().len());
    let keys: UInt32Array =
        once.keys().iter().enumerate().map(|(row, key)| key.map(|key| key + count * place(row % 2))).collect();
    let values = arrow::compute::concat(&[once.values(), once.values()]).expect("texts");
    Arc::new(DictionaryArray::try_new(keys, values).expect("keys that are there"))
}

#[test]
fn a_text_that_stands_in_a_dictionary_twice_is_written_once() {
    let texts: Vec<Option<&str>> = (0..100).map(|i| (i % 9 != 4).then(|| ["b", "", "a"][i / 2 % 3])).collect();
    let rows: Vec<u32> = (0..100).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![("few", doubled(&texts))];
    compare(&columns, &rows);
    // The same bytes, whoever read which row.
    let once: Vec<(&str, ArrayRef)> = vec![("few", dictionary(&texts))];
    assert!(ours(&columns, &rows) == ours(&once, &rows));
}

#[test]
fn texts_that_repeat_are_found_and_stand_in_a_dictionary() {
    let texts: Vec<Option<&str>> = (0..100).map(|i| (i % 9 != 4).then(|| ["b", "", "a"][i % 3])).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![("few", Arc::new(StringArray::from(texts)))];
    let rows: Vec<u32> = (0..100).collect();
    let file = ours_as(Column::interned, &columns, &rows);
    assert!(metadata(&file).row_group(0).column(0).dictionary_page_offset().is_some());
    compare(&columns, &rows);
}

#[test]
fn pages_of_long_texts_are_short() {
    let long = "x".repeat(300_000);
    let columns: Vec<(&str, ArrayRef)> = vec![("long", Arc::new(StringArray::from(vec![long.as_str(); 10])))];
    let file = ours(&columns, &(0..10).collect::<Vec<_>>());
    assert_eq!(metadata(&file).page_index_for_row_group(0).page_locations(0).map(Vec::len), Some(3));
    assert_eq!(read(&file).num_rows(), 10);
}

#[test]
fn a_value_that_all_rows_share_says_the_same_as_the_reference() {
    let (rows, long) = (25_000, "é".repeat(40));
    let texts = ["", "events", &long].map(|text| {
        let array: ArrayRef = Arc::new(StringArray::from(vec![text; rows]));
        (Constant::Text(text), array)
    });
    let numbers = [-3, 7].map(|number| {
        let array: ArrayRef = Arc::new(Int32Array::from(vec![number; rows]));
        (Constant::Number(number), array)
    });
    let all: Vec<u32> = (0..rows).map(place).collect();
    for (value, array) in texts.into_iter().chain(numbers) {
        for name in ["offset", "may be null"] {
            let columns = [(name, Arc::clone(&array))];
            let (mut file, _): (SerializedFileWriter<Vec<u8>>, _) =
                ArrowWriter::try_new_with_options(Vec::new(), schema_of(&columns), options())
                    .and_then(ArrowWriter::into_serialized_writer)
                    .expect("a writer");
            let mut encoder = Encoder::new(Packer::zstd(ZstdLevel::default()).expect("memory"));
            let descr = file.schema_descr().column(0);
            let mut group = file.next_row_group().expect("a row group");
            let chunk = encoder.constant(value, rows, &descr);
            chunk.and_then(|chunk| chunk.append_to(&mut group, true)).expect("a chunk");
            group.close().expect("columns");
            compare_with(&reference(&columns, &all), &file.into_inner().expect("a file").into(), &columns);
            let other = if matches!(value, Constant::Number(_)) { Constant::Text("x") } else { Constant::Number(1) };
            assert!(encoder.constant(other, rows, &descr).is_err());
        }
    }
}

#[test]
fn a_null_where_there_may_be_none_is_refused() {
    let columns: Vec<(&str, ArrayRef)> = vec![("offset", Arc::new(Int64Array::from(vec![1])))];
    let (file, _) = ArrowWriter::try_new_with_options(Vec::new(), schema_of(&columns), options())
        .and_then(ArrowWriter::into_serialized_writer)
        .expect("a writer");
    let descr = file.schema_descr().column(0);
    let mut encoder = Encoder::new(Packer::None);
    let mut refused = |column: ArrayRef| {
        let column = Column::of(&column).expect("a plain column");
        encoder.chunk(&column, &[0], &descr).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(
        refused(Arc::new(Int64Array::from(vec![None]))),
        Err("Parquet error: column \"offset\" has nulls".to_owned())
    );
    let other = Err("Parquet error: column \"offset\" is of another type".to_owned());
    assert_eq!(refused(Arc::new(Int32Array::from(vec![1]))), other);
}

fn texts() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        "[a-c]{0,2}".prop_map(Some),
        "\\PC{0,90}".prop_map(Some),
        Just(Some("\u{10ffff}".repeat(17)))
    ]
}

fn byte_strings() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        Just(None),
        prop::collection::vec(0_u8..3, 0..2).prop_map(Some),
        prop::collection::vec(prop_oneof![Just(u8::MAX), any::<u8>()], 0..90).prop_map(Some),
        Just(Some(vec![u8::MAX; 65]))
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn any_texts_say_the_same_as_the_reference(
        texts in prop::collection::vec(texts(), 1..60),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..200),
    ) {
        let given: Vec<Option<&str>> = texts.iter().map(Option::as_deref).collect();
        let columns: Vec<(&str, ArrayRef)> =
            vec![("keys", dictionary(&given)), ("doubled", doubled(&given)), ("plain", Arc::new(StringArray::from(given)))];
        let rows: Vec<u32> = order.iter().map(|row| place(row.index(texts.len()))).collect();
        compare(&columns, &rows);
    }

    #[test]
    fn any_byte_strings_say_the_same_as_the_reference(
        values in prop::collection::vec(byte_strings(), 1..60),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..200),
    ) {
        let keys = UInt32Array::from_iter_values((0..values.len()).map(place));
        let all: Arc<BinaryArray> = Arc::new(values.iter().map(|value| value.as_deref()).collect());
        let some: Arc<BinaryArray> = Arc::new(values.iter().map(|value| Some(value.as_deref().unwrap_or(b"\x80"))).collect());
        let columns: Vec<(&str, ArrayRef)> =
            vec![("keys", Arc::new(DictionaryArray::<UInt32Type>::new(keys, some))), ("plain", all)];
        let rows: Vec<u32> = order.iter().map(|row| place(row.index(values.len()))).collect();
        compare(&columns, &rows);
    }
}

/// Keys of texts, and the numbers of rows for them: texts that nobody says, and a text that is there twice.
fn shared_rows(numbers: &[u32], keys: &[u32]) -> (ArrayRef, ArrayRef) {
    let texts: Vec<String> =
        (0..=keys.iter().copied().max().unwrap_or(0)).map(|key| format!("{}", key % 7 * 3)).collect();
    let keyed = DictionaryArray::new(UInt32Array::from(keys.to_vec()), Arc::new(StringArray::from(texts)));
    let numbers = UInt32Array::from(numbers.to_vec());
    let own = take(&keyed, &numbers, None).expect("keys that are there");
    (Arc::new(DictionaryArray::new(numbers, Arc::new(keyed))), own)
}

proptest! {
    #[test]
    fn columns_that_share_rows_are_written_as_those_with_their_own(
        numbers in prop::collection::vec(0_u32..40, 1..200),
        keys in prop::collection::vec(prop::collection::vec(0_u32..30, 40), 1..4),
        pieces in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 1..100), 1..4),
    ) {
        let columns: Vec<_> = keys.iter().map(|keys| shared_rows(&numbers, keys)).collect();
        // One buffer of numbers for all columns, and others like it.
        let first = columns[0].0.as_dictionary::<UInt32Type>();
        let shared: Vec<ArrayRef> =
            columns.iter().map(|(shared, _)| Arc::new(first.with_values(Arc::clone(shared.as_dictionary::<UInt32Type>().values()))) as _).collect();
        let schema = schema_of(&[("text", Arc::clone(&columns[0].1))]);
        let (file, _) = ArrowWriter::try_new_with_options(Vec::new(), schema, options()).and_then(ArrowWriter::into_serialized_writer).expect("a writer");
        let descr = &file.schema_descr().columns()[0];
        let new = || Encoder::new(Packer::zstd(ZstdLevel::default()).expect("memory"));
        let mut encoder = new();
        for piece in pieces {
            let rows: Vec<u32> = piece.iter().map(|row| place(row.index(numbers.len()))).collect();
            for ((others, own), shared) in columns.iter().zip(&shared) {
                let expected = new().chunk(&Column::of(own).expect("texts"), &rows, descr).expect("a chunk");
                let expected = format!("{expected:?}");
                for array in [shared, others] {
                    let column = Column::of(array).expect("texts");
                    let chunk = encoder.chunk(&column, &rows, descr).expect("a chunk");
                    prop_assert_eq!(format!("{chunk:?}"), expected.clone());
                }
            }
        }
    }
}
