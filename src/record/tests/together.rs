//! What a record becomes among others: the same, whatever layouts and phrases those have taught.

use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::*;
use crate::record::phrases::Limits;

/// What a batch shows, row by row, whether texts stand in a dictionary or not; times as microseconds.
fn shown(batch: &RecordBatch) -> Vec<Vec<String>> {
    let plain = |column: &ArrayRef| {
        let is_time = matches!(column.data_type(), DataType::Timestamp(..));
        if is_time { cast(column, &DataType::Int64).unwrap() } else { Arc::clone(column) }
    };
    let columns: Vec<ArrayRef> = batch.columns().iter().map(plain).collect();
    let cell = |column: &ArrayRef, row| match column.is_null(row) {
        true => "-".to_owned(),
        false => array_value_to_string(column, row).unwrap(),
    };
    (0..batch.num_rows()).map(|row| columns.iter().map(|column| cell(column, row)).collect()).collect()
}

/// Phrases are looked for at once, and again and again.
const EARLY: Sampling = Sampling { after: 2, records: 6, again_after: 10 };

/// Phrases are forgotten soon, and so is what does not pay.
const LOW: Limits = Limits { bytes: 256, first_look: 12 };

/// The rows, what became of each record, and what was counted.
type Decoded = (Vec<Vec<String>>, Vec<Result<EventTime, Rejection>>, Counts);

/// Decodes records with one decoder, `at_once` together, and each with a decoder of its own, which has seen no other record and knows no layout.
fn decode_both_ways(records: &[Vec<u8>], at_once: usize, on_misfit: OnMisfit) -> [Decoded; 2] {
    let fields = vec![
        Field::new("at", Type::Timestamp),
        Field::new("a", Type::String),
        Field::new("b", Type::Long),
        Field::new("c", Type::Boolean),
        Field::new("d", Type::Array(Box::new(Type::String))),
        Field::new("e", Type::Timestamp),
        Field::new("f", Type::String),
    ];
    let options = DecoderOptions { on_misfit, ..options() };
    let new = || Decoder::new(Arc::new(Schema::new(fields.clone()).unwrap()), options.clone()).with_sampling(EARLY);
    // Every fifth row is not wanted, but that of the first.
    let wanted = |offset: i64| offset % 5 != 4;
    let (mut one, mut columns, mut outcomes, mut rows) = (new(), new().columns(), Vec::new(), Vec::new());
    columns.phrases.limits = LOW;
    let all: Vec<Record<'_>> = (0..)
        .zip(records)
        .map(|(offset, record)| Record { coordinates: at(offset), key: None, value: Some(record) })
        .collect();
    for (number, some) in all.chunks(at_once).enumerate() {
        one.decode_all(some.iter().copied(), &mut columns, |record, outcome| {
            outcomes.push(outcome);
            wanted(record.coordinates.offset.0)
        })
        .unwrap();
        if number % 4 == 3 {
            rows.extend(shown(&columns.finish().unwrap()));
        }
    }
    rows.extend(shown(&columns.finish().unwrap()));
    let together = (rows, outcomes, one.counts().clone());
    let (mut columns, mut outcomes, mut sum) = (new().columns(), Vec::new(), new().counts().clone());
    for (offset, record) in (0..).zip(records) {
        let (mut own, rows) = (new(), columns.len());
        outcomes.push(own.decode(Some(record), at(offset), &mut columns));
        // What a row that is not wanted cannot hold is not looked at, unless it decides whether there is a row.
        if wanted(offset) || on_misfit == OnMisfit::DeadLetter {
            sum.unknown_fields += own.counts().unknown_fields;
            sum.misfits.iter_mut().zip(&own.counts().misfits).for_each(|(sum, more)| *sum += more);
        }
        if !wanted(offset) {
            columns.truncate(rows);
        }
    }
    [together, (shown(&columns.finish().unwrap()), outcomes, sum)]
}

fn keys() -> impl Strategy<Value = Vec<&'static str>> {
    let usual = Just(vec!["at", "a", "b", "c", "d", "e"]);
    let some = prop::sample::subsequence(vec!["at", "a", "b", "c", "e"], 1..5).prop_shuffle();
    let any = prop::collection::vec(prop::sample::select(vec!["at", "a", "b", "c", "d", "e", "x", "\\u0061"]), 0..6);
    prop_oneof![4 => some, 2 => usual, 1 => any]
}

fn values() -> impl Strategy<Value = String> {
    let texts = "[ -~é\t]{0,12}".prop_map(|text| serde_json::Value::from(text).to_string());
    let others = [
        "null",
        "true",
        "false",
        "1",
        "-0",
        "01",
        "1.5e3",
        "[]",
        "[\"x\",null]",
        "{\"y\":1}",
        "\"\\ud800\"",
        "",
        "nul",
    ];
    let times =
        ["\"2026-11-22 17:10:16.211964\"", "\"2026-11-22T17:10:16Z\"", "1795367416", "\"9999-01-01T00:00:00Z\""];
    prop_oneof![3 => texts, 2 => prop::sample::select(others.to_vec()).prop_map(str::to_owned),
        3 => prop::sample::select(times.to_vec()).prop_map(str::to_owned)]
}

/// Which layout, the values, and the event time unless it is one of these.
type RecordParts = (prop::sample::Index, Vec<String>, Option<&'static str>);

/// Records of few layouts, with any values; some are damaged.
fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let space = prop::sample::select(vec!["", " ", "\n"]);
    let layouts = prop::collection::vec((keys(), space), 1..4);
    let time = prop_oneof![6 => Just(Some("\"2026-11-22 17:10:16.211964\"")), 1 => Just(None)];
    let record = (any::<prop::sample::Index>(), prop::collection::vec(values(), 8), time);
    let damage = prop_oneof![6 => Just(None), 1 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(Some)];
    (layouts, prop::collection::vec((record, damage), 1..150)).prop_map(|(layouts, records)| {
        let write = |((layout, values, time), damage): (RecordParts, Option<(prop::sample::Index, u8)>)| {
            let (keys, space) = layout.get(&layouts);
            let members = keys.iter().zip(values).map(|(key, value)| {
                let value = if *key == "at" { time.map_or(value, str::to_owned) } else { value };
                format!("{space}\"{key}\":{space}{value}")
            });
            let mut bytes = format!("{{{}}}{space}", members.collect::<Vec<_>>().join(",")).into_bytes();
            if let Some((at, byte)) = damage {
                *at.get_mut(&mut bytes) = byte;
            }
            bytes
        };
        records.into_iter().map(write).collect()
    })
}

proptest! {
    #[test]
    fn a_record_says_the_same_whatever_records_were_before(
        records in records(),
        at_once in 1_usize..150,
        on_misfit in prop::sample::select(vec![OnMisfit::Extra, OnMisfit::DeadLetter]),
    ) {
        let [together, alone] = decode_both_ways(&records, at_once, on_misfit);
        prop_assert_eq!(together, alone);
    }

    #[test]
    fn a_phrase_says_what_taking_it_apart_says(
        records in repetitive_records(),
        at_once in 1_usize..150,
        on_misfit in prop::sample::select(vec![OnMisfit::Extra, OnMisfit::DeadLetter]),
    ) {
        let [together, alone] = decode_both_ways(&records, at_once, on_misfit);
        prop_assert_eq!(together, alone);
    }
}

/// The number `n` of a stream of records that repeat what they say of few visitors, and say each their own id.
fn of_a_visitor(n: usize) -> String {
    let visitor = n * 7919 % 50;
    let device = if visitor.is_multiple_of(3) { "null".to_owned() } else { format!("\"device {}\"", visitor % 7) };
    format!(
        r#"{{"id":"{n:08}",{AT},"visitor":"visitor {visitor}","country":"é{}","device":{device},"is_mobile":{},"page":"{}"}}"#,
        visitor % 11,
        visitor.is_multiple_of(2),
        n % 13,
    )
}

#[test]
fn what_visitors_say_again_is_known_by_heart() {
    let text = |name| Field::new(name, Type::String);
    let fields = vec![text("id"), Field::new("at", Type::Timestamp), text("visitor"), text("country"), text("device")];
    let more = vec![Field::new("is_mobile", Type::Boolean), text("page")];
    let schema = Arc::new(Schema::new([fields, more].concat()).unwrap());
    let new = || Decoder::new(Arc::clone(&schema), options());
    let early = Sampling { after: 5_000, records: 500, again_after: 1_000 };
    let (mut usual, mut early) = (new(), new().with_sampling(early));
    let (mut one, mut other) = (usual.columns(), early.columns());
    for batch in 0..2 {
        let records: Vec<String> = (batch * 10_000..(batch + 1) * 10_000).map(of_a_visitor).collect();
        for (decoder, columns) in [(&mut usual, &mut one), (&mut early, &mut other)] {
            let all = (0..).zip(&records);
            let all = all.map(|(n, record)| Record { coordinates: at(n), key: None, value: Some(record.as_bytes()) });
            decoder.decode_all(all, columns, |_, outcome| outcome.is_ok()).unwrap();
        }
        // As many as there are visitors; the pages, which have nothing to do with them, are in none.
        assert_eq!([one.phrases.len(), other.phrases.len()], [if batch == 0 { 0 } else { 50 }, 50], "batch {batch}");
        let [one, other] = [&mut one, &mut other].map(|columns| columns.finish().unwrap());
        assert_eq!(shown(&one), shown(&other));
    }
}

#[test]
fn a_layout_does_not_outlive_what_differs() {
    let records = [
        r#"{"at":"2026-11-22 17:10:16.211964","a":"x","b":1}"#,
        r#"{"at":"2026-11-22 17:10:16.211964","a":null,"b":2}"#,
        r#"{"at":"2026-11-22 17:10:16.211964","a":"\u0079","b":3}"#,
        r#"{"at":"2026-11-22 17:10:16.211964","a":["z"],"b":4}"#,
        r#"{"at":"2026-11-22 17:10:16.211964","a":"x","b":5,"b":6}"#,
        r#"{"at":"2026-11-22 17:10:16.211964","a":"x","b":"7"}"#,
        r#"{"at":"2026-11-22 17:10:16.211964","a":"x","b":8"#,
        r#"{"at":null,"a":"x","b":9}"#,
    ];
    let records: Vec<Vec<u8>> = records.iter().map(|record| record.as_bytes().to_vec()).collect();
    let [together, alone] = decode_both_ways(&records, 64, OnMisfit::Extra);
    assert_eq!(together, alone);
    let shown: Vec<&str> = together.0.iter().flat_map(|row| [row[1].as_str(), row[2].as_str()]).collect();
    // The fifth row is not wanted.
    assert_eq!(shown, ["x", "1", "-", "2", "y", "3", "-", "4", "x", "-"]);
}

/// Records of few layouts that repeat what others say, in any combination.
fn repetitive_records() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let text = prop_oneof![
        4 => prop::sample::select(vec!["\"x\"", "\"x,\"", "\"\"", "\"é\"", "\"xyzxyzxyzxyzxyzxyz\"", "null"]).prop_map(str::to_owned),
        1 => values(),
    ];
    let number =
        prop_oneof![4 => prop::sample::select(vec!["1", "12", "-1", "null"]).prop_map(str::to_owned), 1 => values()];
    let phrase = (text.clone(), number.clone(), prop::sample::select(vec!["true", "false", "null"]));
    let phrases = prop::collection::vec((phrase, number, text), 2..5);
    let order = prop::sample::select(vec![
        "t,a,b,c,e,f",
        "a,b,c,t,e,f",
        "t,f,e,c,b,a",
        "e,a,b,c,f,t",
        "t,a,b,e",
        "t,b,c",
        "f,t,a,c",
    ]);
    let index = any::<prop::sample::Index>;
    // A byte that is no UTF-8 may stand anywhere, before what is known and behind it.
    let damage = prop_oneof![9 => Just(None), 1 => index().prop_map(Some)];
    let which = prop::collection::vec((index(), index(), damage), 1..150);
    (prop::collection::vec(order, 1..3), phrases, which).prop_map(|(orders, phrases, which)| {
        let write = |(at, (phrase, order, damage)): (usize, (prop::sample::Index, prop::sample::Index, Option<_>))| {
            let ((a, b, c), e, f) = phrase.get(&phrases);
            let members = order.get(&orders).split(',').map(|key| match key {
                "t" => format!("\"at\":\"2026-11-22 17:10:16.{at:06}\""),
                "a" => format!("\"a\":{a}"),
                "b" => format!("\"b\":{b}"),
                "c" => format!("\"c\":{c}"),
                "e" => format!("\"e\":{e}"),
                _ => format!("\"f\":{f}"),
            });
            let mut bytes = format!("{{{}}}", members.collect::<Vec<_>>().join(",")).into_bytes();
            if let Some(damaged) = damage.map(|at: prop::sample::Index| at.get_mut(&mut bytes)) {
                *damaged = 0xff;
            }
            bytes
        };
        which.into_iter().enumerate().map(write).collect()
    })
}
