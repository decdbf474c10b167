//! What a record becomes, with hand-worked values.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Float64Type, Int8Type, Int64Type, TimestampMicrosecondType};
use arrow::util::display::array_value_to_string;
use chrono_tz::Tz;
use proptest::prelude::*;

use super::timestamp::{TimeUnit, TimestampParser};
use super::*;
use crate::schema::{Field, Schema, Type};

mod together;

const AT: &str = r#""at":"2026-11-22 17:10:16.211964""#;

fn options() -> DecoderOptions {
    DecoderOptions {
        timestamp_field: "at".into(),
        timestamps: TimestampParser::new(TimeUnit::Auto, Tz::UTC),
        max_future: Some(Duration::from_secs(3600)),
        on_misfit: OnMisfit::Extra,
    }
}

fn at(offset: i64) -> Coordinates {
    Coordinates { offset: Offset(offset), kafka_timestamp_ms: 1_795_367_416_500 }
}

/// A decoder of events with a time and one more field, `a`.
fn decoder(kind: Type) -> Decoder {
    let fields = vec![Field::new("at", Type::Timestamp), Field::new("a", kind)];
    Decoder::new(Arc::new(Schema::new(fields).unwrap()), options())
}

/// Decodes records that must be rows.
fn rows(decoder: &mut Decoder, records: &[&str]) -> RecordBatch {
    let mut columns = decoder.columns();
    for (offset, record) in (0..).zip(records) {
        decoder.decode(Some(record.as_bytes()), at(offset), &mut columns).unwrap();
    }
    columns.finish().unwrap()
}

/// Decodes `{"at":…,"a":<value>}` and returns what column `a` and `_extra` show.
fn one(kind: Type, value: &str) -> (String, String) {
    let batch = rows(&mut decoder(kind), &[&format!(r#"{{{AT},"a":{value}}}"#)]);
    let show = |column: usize| match batch.column(column).is_null(0) {
        true => String::new(),
        false => array_value_to_string(batch.column(column), 0).unwrap(),
    };
    (show(1), show(2))
}

fn fits(kind: Type, value: &str) -> String {
    let (shown, extra) = one(kind, value);
    assert_eq!(extra, "", "{value} fits");
    shown
}

fn is_kept(kind: Type, value: &str) {
    assert_eq!(one(kind, value), (String::new(), format!(r#"{{"a":{value}}}"#)), "{value}");
}

fn rejection(value: &[u8]) -> Reason {
    let mut decoder = decoder(Type::Long);
    let mut columns = decoder.columns();
    let rejection = decoder.decode(Some(value), at(0), &mut columns).unwrap_err();
    assert!(columns.is_empty() && columns.finish().unwrap().num_rows() == 0);
    assert!(rejection.detail.len() < 500);
    rejection.reason
}

#[test]
fn an_event_becomes_a_row_that_knows_where_it_came_from() {
    let mut decoder = decoder(Type::String);
    let mut columns = decoder.columns();
    let record = format!(r#" {{"a": "caf\u00e9 \"☕\"" , {AT} }} "#);
    let time = decoder.decode(Some(record.as_bytes()), at(41), &mut columns).unwrap();
    assert_eq!(time, EventTime(1_795_367_416_211_964));
    assert_eq!(columns.value_text(1, 0).as_deref(), Some("café \"☕\""));
    assert_eq!(columns.value_text(0, 0).as_deref(), Some("2026-11-22 17:10:16.211964"));
    let batch = columns.finish().unwrap();
    assert_eq!(batch.column(0).as_primitive::<TimestampMicrosecondType>().value(0), time.0);
    assert_eq!(batch.column(3).as_primitive::<Int64Type>().value(0), 41);
    assert_eq!(batch.column(4).as_primitive::<TimestampMicrosecondType>().value(0), 1_795_367_416_500_000);
    assert!(batch.column(2).is_null(0));
}

#[test]
fn values_are_exact_to_the_last_digit() {
    let decimal = Type::Decimal { precision: 38, scale: 18 };
    assert_eq!(fits(Type::Long, "-9223372036854775808"), "-9223372036854775808");
    assert_eq!(
        fits(decimal.clone(), "12345678901234567890.123456789012345678"),
        "12345678901234567890.123456789012345678"
    );
    assert_eq!(fits(decimal, "1e-18"), "0.000000000000000001");
    assert_eq!(fits(Type::Double, "0.1"), "0.1");
    assert_eq!(fits(Type::Double, "-1E3"), "-1000.0");
    assert_eq!(fits(Type::Boolean, "true"), "true");
    assert_eq!(fits(Type::Date, "\"2024-02-29\""), "2024-02-29");
    assert_eq!(fits(Type::Binary, r#""AP\/\/""#), "00ffff");
    assert_eq!(fits(Type::String, r#""\u0000😀""#), "\0😀");
}

#[test]
fn what_does_not_fit_exactly_is_kept_as_it_was_written() {
    is_kept(Type::Long, "\"1\"");
    is_kept(Type::Long, "1.0");
    is_kept(Type::Long, "1e3");
    is_kept(Type::Long, "9223372036854775808");
    is_kept(Type::Byte, "300");
    is_kept(Type::Short, "-32769");
    is_kept(Type::Integer, "2147483648");
    is_kept(Type::Decimal { precision: 5, scale: 0 }, "0.10");
    is_kept(Type::Decimal { precision: 5, scale: 0 }, "\"1\"");
    is_kept(Type::String, "1.50");
    is_kept(Type::String, r#""\ud800""#);
    is_kept(Type::Double, "1e400");
    is_kept(Type::Double, "9007199254740993");
    is_kept(Type::Float, "1e39");
    is_kept(Type::Boolean, "1");
    is_kept(Type::Date, "\"2023-02-29\"");
    is_kept(Type::Date, "\"0000-01-01\"");
    is_kept(Type::Binary, "\"AP//x\"");
    is_kept(Type::Timestamp, "\"soon\"");
    is_kept(Type::Struct(vec![Field::new("b", Type::Long)]), r#"{"b": 1.5, "c": 2}"#);
    is_kept(Type::Struct(vec![Field::new("b", Type::Long)]), "[1]");
    is_kept(Type::Array(Box::new(Type::Long)), r#"[1, "2"]"#);
    is_kept(Type::Map(Box::new(Type::Long)), r#"{"x": 1, "y": {}}"#);
}

#[test]
fn a_misfit_leaves_the_rows_around_it_alone() {
    let nested = Type::Array(Box::new(Type::Struct(vec![Field::new("b", Type::Map(Box::new(Type::Byte)))])));
    let mut decoder = decoder(nested);
    let records =
        [r#"[{"b":{"x":1}},null]"#, r#"[{"b":{"x":2}},{"b":{"y":3,"z":300}}]"#, r#"[{"b":null},{"b":{"w":4}}]"#];
    let records = records.map(|value| format!(r#"{{{AT},"a":{value}}}"#));
    let batch = rows(&mut decoder, &records.each_ref().map(String::as_str));
    let lists = batch.column(1).as_list::<i32>();
    assert!(!lists.is_null(0) && lists.is_null(1) && !lists.is_null(2));
    assert_eq!(lists.value_offsets(), [0, 2, 2, 4]);
    let maps = lists.values().as_struct().column(0).as_map();
    assert_eq!(maps.values().as_primitive::<Int8Type>().values(), &[1, 4]);
    assert_eq!(maps.keys().as_string::<i32>().value(1), "w");
    assert_eq!(batch.column(2).as_string::<i32>().value(1), r#"{"a":[{"b":{"x":2}},{"b":{"y":3,"z":300}}]}"#);
    assert_eq!(decoder.counts().misfits, [0, 1]);
}

#[test]
fn what_the_schema_does_not_know_is_kept_under_its_nesting() {
    let item = Type::Struct(vec![Field::new("zip", Type::String)]);
    let user = Type::Struct(vec![Field::new("home", item.clone()), Field::new("past", Type::Array(Box::new(item)))]);
    let mut decoder = decoder(user);
    let record = format!(
        r#"{{"new": [1, 2.50],"a":{{"home":{{"zip":"1","zip2": 1}},"age":3,"past":[{{}},{{"x":null}},null]}},{AT},"_extra":{{}},"é\"":0}}"#
    );
    let batch = rows(&mut decoder, &[&record]);
    assert_eq!(
        batch.column(2).as_string::<i32>().value(0),
        r#"{"new":[1, 2.50],"a":{"home":{"zip2":1},"age":3,"past":[null,{"x":null},null]},"_extra":{},"é\"":0}"#
    );
    assert_eq!(decoder.counts().unknown_fields, 3);
    assert_eq!(batch.column(1).as_struct().column(1).as_list::<i32>().value_offsets(), [0, 3]);
}

#[test]
fn the_last_of_repeated_keys_wins() {
    let mut decoder = decoder(Type::Long);
    let first_misfit = format!(r#"{{"a":"x","new":1,"at":null,"a":2,"new":3,{AT}}}"#);
    let last_misfit = format!(r#"{{"a":1,{AT},"a":"x","a":"y"}}"#);
    let batch = rows(&mut decoder, &[&first_misfit, &last_misfit]);
    assert_eq!(batch.column(1).as_primitive::<Int64Type>().value(0), 2);
    assert!(batch.column(1).is_null(1));
    let extra = batch.column(2).as_string::<i32>();
    assert_eq!((extra.value(0), extra.value(1)), (r#"{"new":3}"#, r#"{"a":"y"}"#));

    let mut map = self::decoder(Type::Map(Box::new(Type::Long)));
    let batch = rows(&mut map, &[&format!(r#"{{{AT},"a":{{"x":1,"y":2,"x":3}}}}"#)]);
    assert_eq!(batch.column(1).as_map().values().as_primitive::<Int64Type>().values(), &[2, 3]);
}

#[test]
fn a_missing_field_and_null_are_null() {
    let batch = rows(&mut decoder(Type::Double), &[&format!("{{{AT}}}"), &format!(r#"{{"a":null,{AT}}}"#)]);
    assert_eq!(batch.column(1).as_primitive::<Float64Type>().null_count(), 2);
    assert_eq!(batch.column(2).null_count(), 2);
}

#[test]
fn every_bad_record_has_its_reason_and_leaves_no_row() {
    assert_eq!(rejection(b""), Reason::EmptyValue);
    assert_eq!(rejection(b" \n"), Reason::EmptyValue);
    assert_eq!(rejection(b"{\"at\":\"\xff\"}"), Reason::NotUtf8);
    assert_eq!(rejection("\u{feff}{}".as_bytes()), Reason::NotJson);
    for bad in [
        "hello",
        "{",
        "{]",
        "{'at':1}",
        "{\"at\":1,}",
        "{\"at\":1}{}",
        "{\"at\":1} x",
        "{\"\\ud800\":1}",
        "{\"a\":01}",
        "[1",
    ] {
        assert_eq!(rejection(bad.as_bytes()), Reason::NotJson, "{bad}");
    }
    for other in ["[]", "1", "\"{}\"", "null", " true "] {
        assert_eq!(rejection(other.as_bytes()), Reason::NotAnObject, "{other}");
    }
    assert_eq!(rejection(b"{}"), Reason::TimestampMissing);
    assert_eq!(rejection(b"{\"at\":null}"), Reason::TimestampNull);
    for bad in ["\"\"", "\"yesterday\"", "true", "{}", "[1]", "\"2026-11-22\""] {
        assert_eq!(rejection(format!("{{\"at\":{bad}}}").as_bytes()), Reason::TimestampUnparsable, "{bad}");
    }
    for absurd in ["\"0000-01-01T00:00:00Z\"", "\"99999-01-01T00:00:00Z\"", "1e40", "-99999999999999999"] {
        assert_eq!(rejection(format!("{{\"at\":{absurd}}}").as_bytes()), Reason::TimestampOutOfRange, "{absurd}");
    }
    assert_eq!(rejection(b"{\"at\":\"2026-11-22T18:10:16.500001Z\"}"), Reason::TimestampInFuture);
    let mut decoder = decoder(Type::Long);
    let mut columns = decoder.columns();
    assert_eq!(decoder.decode(None, at(0), &mut columns).unwrap_err().reason, Reason::NullValue);
}

#[test]
fn the_future_is_that_of_the_kafka_timestamp() {
    let mut decoder = decoder(Type::Long);
    let mut columns = decoder.columns();
    let just = br#"{"at":"2026-11-22T18:10:16.5Z"}"#;
    assert!(decoder.decode(Some(just), at(0), &mut columns).is_ok());
    let never = Coordinates { offset: Offset(1), kafka_timestamp_ms: -1 };
    assert!(decoder.decode(Some(br#"{"at":"9999-01-01T00:00:00Z"}"#), never, &mut columns).is_ok());
    assert!(columns.finish().unwrap().column(4).is_null(1));
}

#[test]
fn a_record_may_nest_128_deep_and_no_deeper() {
    let nested = |levels: usize| format!(r#"{{{AT},"x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let batch = rows(&mut decoder(Type::Long), &[&nested(127)]);
    assert!(!batch.column(2).is_null(0));
    assert_eq!(rejection(nested(128).as_bytes()), Reason::TooDeep);
    assert_eq!(rejection("[".repeat(10_000_000).as_bytes()), Reason::TooDeep);
    assert_eq!(rejection(nested(5_000_000).as_bytes()), Reason::TooDeep);
    assert_eq!(rejection("{\"a\":".repeat(1_000_000).as_bytes()), Reason::TooDeep);
}

#[test]
fn a_deep_value_is_read_as_deep_as_its_column() {
    let kind = (0..60).fold(Type::Long, |kind, _| Type::Array(Box::new(kind)));
    let value = format!("{}7{}", "[".repeat(60), "]".repeat(60));
    assert_eq!(fits(kind.clone(), &value), value);
    is_kept(kind, &format!("{}{}", "[".repeat(127), "]".repeat(127)));
}

#[test]
fn a_million_unknown_fields_are_no_trouble() {
    let many: String = (0..200_000).map(|n| format!("\"k{}\":{n},", n % 100_000)).collect();
    let mut decoder = decoder(Type::Long);
    let batch = rows(&mut decoder, &[&format!("{{{many}{AT}}}")]);
    assert_eq!(decoder.counts().unknown_fields, 100_000);
    assert!(batch.column(2).as_string::<i32>().value(0).starts_with(r#"{"k0":100000,"k1":100001,"#));
}

#[test]
fn a_misfit_may_be_a_dead_letter() {
    let schema = Schema::new(vec![Field::new("a", Type::Byte), Field::new("b", Type::Array(Box::new(Type::Byte)))]);
    let options = DecoderOptions { on_misfit: OnMisfit::DeadLetter, ..options() };
    let mut decoder = Decoder::new(Arc::new(schema.unwrap()), options);
    let mut columns = decoder.columns();
    let mut decode = |value: &str| decoder.decode(Some(format!("{{{AT},{value}}}").as_bytes()), at(0), &mut columns);
    assert_eq!(
        decode(r#""a":1,"b":[1,300]"#).unwrap_err(),
        Rejection::new(Reason::Misfit, "`b` (array) cannot hold [1,300]")
    );
    assert!(decode(r#""a":1,"b":[2,3]"#).is_ok());
    let batch = columns.finish().unwrap();
    assert_eq!(batch.column(1).as_list::<i32>().values().as_primitive::<Int8Type>().values(), &[2, 3]);
    assert_eq!(batch.column(2).as_string::<i32>().value(0), format!("{{{AT}}}")); // no column of this schema
}

#[test]
fn partition_values_are_plain_text() {
    let text = |kind, value: &str| {
        let mut decoder = decoder(kind);
        let mut columns = decoder.columns();
        let record = format!(r#"{{{AT},"a":{value}}}"#);
        decoder.decode(Some(record.as_bytes()), at(0), &mut columns).unwrap();
        columns.value_text(1, 0).map(|text| text.into_owned())
    };
    let decimal = |scale| Type::Decimal { precision: 10, scale };
    assert_eq!(text(decimal(3), "-0.05").as_deref(), Some("-0.050"));
    assert_eq!(text(decimal(0), "1e3").as_deref(), Some("1000"));
    assert_eq!(text(Type::Long, "-7").as_deref(), Some("-7"));
    assert_eq!(text(Type::Boolean, "false").as_deref(), Some("false"));
    assert_eq!(text(Type::Date, "\"0099-01-02\"").as_deref(), Some("0099-01-02"));
    assert_eq!(text(Type::Timestamp, "0").as_deref(), Some("1970-01-01 00:00:00.000000"));
    assert_eq!(text(Type::String, "\"\"").as_deref(), Some(""));
    assert_eq!(text(Type::String, "null"), None);
    assert_eq!(text(Type::Double, "1.5"), None);
}

#[test]
fn columns_are_cut_back_and_used_again() {
    let mut decoder = decoder(Type::Decimal { precision: 5, scale: 2 });
    let mut columns = decoder.columns();
    for round in 0..2_i64 {
        for row in 0..10 {
            let record = format!(r#"{{{AT},"a":{row},"x":"{row}"}}"#);
            decoder.decode(Some(record.as_bytes()), at(row + round), &mut columns).unwrap();
        }
        assert!(columns.bytes() > 10 * 40);
        columns.truncate(4);
        let batch = columns.finish().unwrap();
        assert_eq!(batch.column(1).as_primitive::<Decimal128Type>().values(), &[0, 100, 200, 300]);
        assert_eq!(batch.column(2).as_string::<i32>().value(3), r#"{"x":"3"}"#);
        assert!(columns.is_empty());
    }
}

/// One fake web event, as a generator in Python wrote it.
const WEB_EVENT: &str = r#"{"event_id": "9008f33c-eee0-423c-9c31-39ed2089140c", "event_timestamp": "2026-11-22 17:10:16.211964", "event_type": "pageview", "page_url": "http://www.dummywebsite.com/home", "page_url_path": "/home", "referer_url": "www.bing.com", "referer_url_scheme": "http", "referer_url_port": "80", "referer_medium": "search", "utm_medium": "organic", "utm_source": "bing", "utm_content": "ad_4", "utm_campaign": "campaign_1", "click_id": "483582fd-8b34-4400-aec5-c9d51faae020", "geo_latitude": "3.31332", "geo_longitude": "117.59152", "geo_country": "ID", "geo_timezone": "Asia/Makassar", "geo_region_name": "Tarakan", "ip_address": "188.227.119.30", "browser_name": "Chrome", "browser_user_agent": "Mozilla/5.0 (Macintosh; U; PPC Mac OS X 10_11_4) AppleWebKit/533.2 (KHTML, like Gecko) Chrome/22.0.843.0 Safari/533.2", "browser_language": "nhn_MX", "os": "Macintosh; U; Intel Mac OS X 10_6_8", "os_name": "MacOS", "os_timezone": "Asia/Makassar", "device_type": "Computer", "device_is_mobile": false, "user_custom_id": "carmenlee@yahoo.com", "user_domain_id": "98e751a7-a0ca-41e6-8a93-8c5805552543"}"#;

#[test]
fn every_value_of_a_web_event_is_in_its_column() {
    let inferred = crate::schema::infer::infer([WEB_EVENT.as_bytes()], "event_timestamp", &[]);
    assert_eq!((inferred.schema.fields().len(), inferred.left_out.len()), (30, 0));
    let options = DecoderOptions { timestamp_field: "event_timestamp".into(), ..options() };
    let mut decoder = Decoder::new(Arc::new(inferred.schema), options);
    let mut columns = decoder.columns();
    decoder.decode(Some(WEB_EVENT.as_bytes()), at(0), &mut columns).unwrap();
    let event: serde_json::Value = serde_json::from_str(WEB_EVENT).unwrap();
    for (place, field) in decoder.schema().fields().iter().enumerate() {
        let value = &event[&field.name];
        let expected = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(columns.value_text(place, 0).as_deref(), Some(expected.as_str()), "{}", field.name);
    }
    assert!(columns.finish().unwrap().column(30).is_null(0));
}
