use arrow::array::{DictionaryArray, Int64Array, ListArray, StringArray};
use arrow::datatypes::UInt32Type;
use arrow::util::display::array_value_to_string;

use super::*;
use crate::parquet::fixture::longs;

fn tag(offset: i64) -> RowTag {
    RowTag { scope: 0, bucket: u32::try_from(offset).expect("small") }
}

/// Rows with these offsets, as a worker has them: `text` is a dictionary or plain.
fn source(offsets: &[i64], is_keyed: bool, unwanted: &[u32]) -> HelpedRows {
    let text = |offset: i64| (offset % 4 != 3).then(|| format!("text {}", offset % 5));
    let texts: Vec<Option<String>> = offsets.iter().map(|offset| text(*offset)).collect();
    let texts = texts.iter().map(Option::as_deref);
    let texts: ArrayRef = match is_keyed {
        true => Arc::new(texts.collect::<DictionaryArray<UInt32Type>>()),
        false => Arc::new(texts.collect::<StringArray>()),
    };
    let list = |offset: &i64| (offset % 3 > 0).then(|| vec![Some(*offset), None]);
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(offsets.iter().map(list));
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("text", texts, true),
        ("list", Arc::new(lists), true),
        (KAFKA_OFFSET, Arc::new(Int64Array::from(offsets.to_vec())), false),
    ];
    let rows = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
    let tags = offsets.iter().map(|offset| tag(*offset)).collect();
    HelpedRows { rows: EntryRows { rows, tags }, unwanted: unwanted.to_vec() }
}

fn shown(rows: &RecordBatch) -> Vec<Vec<String>> {
    let show = |row| rows.columns().iter().map(|column| array_value_to_string(column, row).expect("a value")).collect();
    (0..rows.num_rows()).map(show).collect()
}

#[test]
fn rows_of_several_sources_stand_in_the_order_of_their_offsets() {
    for (first, second) in [(true, true), (true, false), (false, true), (false, false)] {
        let own = source(&[1, 2, 5, 6, 20], first, &[]).rows;
        let helped = vec![source(&[3, 4, 11, 12, 13], second, &[1, 2, 4]), source(&[7, 8, 9, 21], true, &[])];
        let joined = join(Some(own), helped).expect("sources that fit").expect("rows");
        let offsets = [1, 2, 3, 5, 6, 7, 8, 9, 12, 20, 21];
        assert_eq!(longs(&joined.rows, KAFKA_OFFSET), offsets);
        assert_eq!(joined.tags, offsets.map(tag));
        assert_eq!(shown(&joined.rows), shown(&source(&offsets, false, &[]).rows.rows));
        let is_keyed = matches!(joined.rows.column(0).data_type(), DataType::Dictionary(..));
        assert_eq!(is_keyed, first && second, "texts are all one or the other");
        assert_eq!(joined.rows.schema().field(0).data_type(), joined.rows.column(0).data_type());
    }
}

#[test]
fn columns_that_share_rows_get_their_own() {
    let share = |mut source: HelpedRows| {
        let (schema, mut columns, _) = source.rows.rows.clone().into_parts();
        let keyed: DictionaryArray<UInt32Type> = ["text 0", "text 1", "text 2", "text 0"].into_iter().collect();
        let numbers = (0..source.rows.tags.len()).map(|row| u32::try_from(row % 4).expect("small"));
        columns[0] = Arc::new(DictionaryArray::new(numbers.collect::<Vec<_>>().into(), Arc::new(keyed)));
        let fields = schema.fields().iter().zip(&columns);
        let fields = fields.map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone()));
        source.rows.rows =
            RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).expect("rows");
        source
    };
    let own = share(source(&[1, 2, 5, 6, 20], true, &[])).rows;
    for is_keyed in [true, false] {
        let helped = vec![source(&[4, 8], is_keyed, &[]), share(source(&[9, 10], true, &[0]))];
        let joined = join(Some(own.clone()), helped).expect("sources that fit").expect("rows");
        let texts: Vec<String> = shown(&joined.rows).into_iter().map(|row| row[0].clone()).collect();
        assert_eq!(texts, ["text 0", "text 1", "text 4", "text 2", "text 0", "text 3", "text 1", "text 0"]);
        assert_eq!(longs(&joined.rows, KAFKA_OFFSET), [1, 2, 4, 5, 6, 8, 10, 20]);
    }
}

#[test]
fn without_help_the_rows_are_those_of_the_worker() {
    let own = source(&[1, 2], true, &[]).rows;
    let joined = join(Some(own.clone()), Vec::new()).expect("nothing to join").expect("rows");
    assert!(Arc::ptr_eq(joined.rows.column(0), own.rows.column(0)), "not copied");
    assert!(join(None, Vec::new()).expect("nothing").is_none());
}

#[test]
fn a_source_without_a_row_that_is_wanted_leaves_none() {
    assert!(join(None, vec![source(&[1, 2], true, &[0, 1])]).expect("sources that fit").is_none());
    let joined = join(None, vec![source(&[1, 2], true, &[0])]).expect("sources that fit").expect("a row");
    assert_eq!(longs(&joined.rows, KAFKA_OFFSET), [2]);
}

#[test]
fn sources_that_do_not_fit_are_refused() {
    let refused = |helped: HelpedRows| {
        let own = source(&[1, 2], true, &[]).rows;
        join(Some(own), vec![helped]).expect_err("does not fit").to_string()
    };
    let mut few_tags = source(&[3, 4], true, &[]);
    few_tags.rows.tags.pop();
    assert_eq!(refused(few_tags), "rows do not fit an entry: 1 tags for 2 rows");
    assert!(refused(source(&[3, 4], true, &[1, 1])).contains("is not wanted"));
    assert!(refused(source(&[3, 4], true, &[2])).contains("is not wanted"));
    let mut other = source(&[3, 4], true, &[]);
    other.rows.rows = other.rows.rows.project(&[1, 0, 2]).expect("three columns");
    assert_eq!(refused(other), "failed to join the rows of several threads");
    let mut no_offset = source(&[3, 4], true, &[]);
    no_offset.rows.rows = no_offset.rows.rows.project(&[0, 1]).expect("three columns");
    assert_eq!(refused(no_offset), "rows do not fit an entry: no column `_kafka_offset`");
}
