//! Any records, one after the other: what the layouts of earlier records find is what the parser finds, and it is what serde_json finds.
//!
//! The reference knows nothing of layouts, columns or dictionaries: a map of raw values, and the standard library's numbers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use chrono_tz::Tz;
use serde_json::value::RawValue;
use streams_to_parquet::engine::state::Offset;
use streams_to_parquet::record::timestamp::{TimeUnit, TimestampParser};
use streams_to_parquet::record::{Coordinates, Decoder, DecoderOptions, OnMisfit, Reason, Record, Sampling};
use streams_to_parquet::schema::{Field, Schema, Type};

/// What no JSON holds.
const SEPARATOR: u8 = 0x1e;
/// The most records of one input.
const MOST_RECORDS: usize = 40;
/// From this depth on serde_json's own values refuse to nest.
const SERDE_NESTING: usize = 126;

/// The schema: one field of each kind, and some of a web event's.
fn schema() -> Arc<Schema> {
    let one = |kind| Box::new(kind);
    let fields = [
        ("at", Type::Timestamp),
        ("s", Type::String),
        ("l", Type::Long),
        ("b", Type::Boolean),
        ("d", Type::Double),
        ("m", Type::Decimal { precision: 20, scale: 4 }),
        ("t", Type::Date),
        ("o", Type::Struct(vec![Field::new("x", Type::Long), Field::new("y", Type::String)])),
        ("a", Type::Array(one(Type::Long))),
        ("k", Type::Map(one(Type::Integer))),
        ("event_id", Type::String),
        ("page_url_path", Type::String),
        ("geo_country", Type::String),
        ("device_is_mobile", Type::Boolean),
    ];
    let fields = fields.map(|(name, kind)| Field::new(name, kind)).into_iter().collect();
    Arc::new(Schema::new(fields).expect("a sound schema"))
}

fn decoder(schema: &Arc<Schema>) -> Decoder {
    let timestamps = TimestampParser::new(TimeUnit::Auto, Tz::UTC);
    let options =
        DecoderOptions { timestamp_field: "at".into(), timestamps, max_future: None, on_misfit: OnMisfit::Extra };
    // Phrases are looked for at once, and again and again.
    Decoder::new(Arc::clone(schema), options).with_sampling(Sampling { after: 2, records: 6, again_after: 10 })
}

/// How many records have been checked.
pub static RECORDS: AtomicU64 = AtomicU64::new(0);

pub fn check(data: &[u8]) {
    let schema = schema();
    let records: Vec<&[u8]> = data.split(|byte| *byte == SEPARATOR).take(MOST_RECORDS).collect();
    let mut seasoned = decoder(&schema);
    let (mut together, mut alone) = (seasoned.columns(), decoder(&schema).columns());
    let mut accepted = Vec::new();
    RECORDS.fetch_add(records.len() as u64, Ordering::Relaxed);
    let at = |offset| Coordinates { offset: Offset(offset), kafka_timestamp_ms: -1 };
    let mut all = (0..)
        .zip(&records)
        .map(|(offset, record)| Record { coordinates: at(offset), key: None, value: Some(record) })
        .peekable();
    // What becomes rows in one call is known by heart in the next.
    let at_once = 1 + data.len() % MOST_RECORDS;
    while all.peek().is_some() {
        let filled = seasoned.decode_all(all.by_ref().take(at_once), &mut together, |taken, outcome| {
            let record = taken.value.unwrap_or_default();
            let reference = decoder(&schema).decode(Some(record), taken.coordinates, &mut alone);
            assert_eq!(outcome, reference, "{}", shown(record));
            match outcome {
                Ok(_) => accepted.push(record),
                Err(rejection) => is_rightly_rejected(record, rejection.reason),
            }
            true
        });
        filled.expect("room");
    }
    let (together, alone) = (rows(together.finish()), rows(alone.finish()));
    assert_eq!(together, alone, "{}", shown(data));
    for (row, record) in accepted.into_iter().enumerate() {
        says_the_same(&schema, &together, row, record);
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The rows, with texts as they are, whether they stood in a dictionary or not.
fn rows(batch: Result<RecordBatch, arrow::error::ArrowError>) -> Vec<ArrayRef> {
    let plain = |column: &ArrayRef| match column.data_type() {
        DataType::Dictionary(..) => cast(column, &DataType::Utf8).expect("texts"),
        _ => Arc::clone(column),
    };
    batch.expect("columns of one length").columns().iter().map(plain).collect()
}

fn members(record: &[u8]) -> Option<BTreeMap<String, Box<RawValue>>> {
    serde_json::from_slice(record).ok()
}

/// How deep brackets nest, outside of strings.
fn nesting(record: &[u8]) -> usize {
    let (mut depth, mut deepest, mut bytes, mut inside) = (0_usize, 0, record.iter(), false);
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if inside => drop(bytes.next()),
            b'"' => inside = !inside,
            b'[' | b'{' if !inside => depth += 1,
            b']' | b'}' if !inside => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn is_rightly_rejected(record: &[u8], reason: Reason) {
    let is_event = members(record).is_some() && nesting(record) < SERDE_NESTING;
    let is_about_time = matches!(
        reason,
        Reason::TimestampMissing | Reason::TimestampNull | Reason::TimestampUnparsable | Reason::TimestampOutOfRange
    );
    if is_event {
        assert!(is_about_time, "{reason}: {}", shown(record));
    } else {
        assert!(!is_about_time, "{reason}: {}", shown(record));
    }
}

/// Every value of an accepted record is in its column, or in `_extra` as it was written.
fn says_the_same(schema: &Schema, columns: &[ArrayRef], row: usize, record: &[u8]) {
    let mut members = members(record).unwrap_or_else(|| panic!("accepted: {}", shown(record)));
    let extra = columns[schema.fields().len()].as_string::<i32>();
    let extra: BTreeMap<String, Box<RawValue>> = match extra.is_null(row) {
        true => BTreeMap::new(),
        false => serde_json::from_str(extra.value(row)).expect("_extra is JSON"),
    };
    for (field, column) in schema.fields().iter().zip(columns) {
        let raw = members.remove(&field.name);
        let raw = raw.as_ref().map_or("null", |value| value.get());
        let kept = extra.get(&field.name).map(|value| value.get());
        match says(&field.kind, raw) {
            Expected::Null => assert!(column.is_null(row) && kept.is_none(), "`{}` of {}", field.name, shown(record)),
            Expected::Kept => {
                assert!(column.is_null(row), "`{}` of {}", field.name, shown(record));
                assert_eq!(kept, Some(raw), "`{}` of {}", field.name, shown(record));
            }
            Expected::Value(value) => {
                assert_eq!(cell(column, row), value, "`{}` of {}", field.name, shown(record));
                assert_eq!(kept, None, "`{}` of {}", field.name, shown(record));
            }
            // At least nothing is lost: it is in the column, or in `_extra`, or its parts are in both.
            Expected::Unknown => {
                assert!(!column.is_null(row) || kept == Some(raw), "`{}` of {}", field.name, shown(record))
            }
        }
    }
    for (key, raw) in &members {
        assert_eq!(extra.get(key).map(|value| value.get()), Some(raw.get()), "`{key}` of {}", shown(record));
    }
    assert!(extra.keys().all(|key| members.contains_key(key) || schema.index_of(key).is_some()), "{}", shown(record));
}

/// What the reference finds for a column.
enum Expected {
    Null,
    Value(String),
    Kept,
    Unknown,
}

fn says(kind: &Type, raw: &str) -> Expected {
    let value = |value: Option<String>| value.map_or(Expected::Kept, Expected::Value);
    if raw == "null" {
        return Expected::Null;
    }
    match kind {
        Type::String => value(serde_json::from_str(raw).ok()),
        Type::Boolean => value(["true", "false"].contains(&raw).then(|| raw.to_owned())),
        Type::Long => value(raw.parse::<i64>().ok().map(|number| number.to_string())),
        Type::Double => {
            match (raw.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']), raw.parse::<f64>()) {
                (true, Ok(number)) if number.is_finite() => match raw.parse::<i128>() {
                    // Whole numbers only where they are exact.
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_precision_loss,
                        reason = "this is what is compared"
                    )]
                    Ok(whole) => value((whole as f64 as i128 == whole).then(|| number.to_bits().to_string())),
                    Err(_) if raw.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => Expected::Unknown,
                    Err(_) => Expected::Value(number.to_bits().to_string()),
                },
                _ => Expected::Kept,
            }
        }
        _ => Expected::Unknown,
    }
}

fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "null".to_owned();
    }
    match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_bits().to_string(),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Timestamp(..) => column.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
        _ => column.as_string::<i32>().value(row).to_owned(),
    }
}
