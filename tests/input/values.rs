//! Values are exact: what Python's JSON reads out of an event is what pyarrow and DuckDB read out of the Parquet.

use serde_json::{Value, json};

use crate::common::python::python;
use crate::job::{Job, Summary};

/// The events' schema, as Spark writes one.
const SCHEMA: &str = r#"{"type":"struct","fields":[
  {"name":"event_timestamp","type":"timestamp","nullable":false,"metadata":{}},
  {"name":"long","type":"long","nullable":true,"metadata":{}},
  {"name":"integer","type":"integer","nullable":true,"metadata":{}},
  {"name":"double","type":"double","nullable":true,"metadata":{}},
  {"name":"boolean","type":"boolean","nullable":true,"metadata":{}},
  {"name":"money","type":"decimal(38,18)","nullable":true,"metadata":{}},
  {"name":"small","type":"decimal(9,2)","nullable":true,"metadata":{}},
  {"name":"text","type":"string","nullable":true,"metadata":{}},
  {"name":"day","type":"date","nullable":true,"metadata":{}},
  {"name":"bytes","type":"binary","nullable":true,"metadata":{}},
  {"name":"seen","type":"timestamp","nullable":true,"metadata":{}},
  {"name":"user","type":{"type":"struct","fields":[
     {"name":"id","type":"long"},
     {"name":"tags","type":{"type":"array","elementType":"string","containsNull":true}},
     {"name":"home","type":{"type":"struct","fields":[{"name":"lat","type":"decimal(10,7)"}]}}]}},
  {"name":"matrix","type":{"type":"array","elementType":{"type":"array","elementType":"long","containsNull":true},"containsNull":true}},
  {"name":"visits","type":{"type":"array","elementType":{"type":"struct","fields":[{"name":"at","type":"timestamp"},{"name":"n","type":"long"}]},"containsNull":true}},
  {"name":"scores","type":{"type":"map","keyType":"string","valueType":"decimal(20,5)","valueContainsNull":true}},
  {"name":"nested","type":{"type":"map","keyType":"string","valueType":{"type":"array","elementType":"long","containsNull":true},"valueContainsNull":true}}]}"#;

/// The members of an event, beside its timestamp, and the fields that do not fit.
type Event = (&'static str, &'static [&'static str]);

const EVENTS: [Event; 32] = [
    (r#""long":9223372036854775807,"integer":2147483647,"double":1.7976931348623157e308,"boolean":true"#, &[]),
    (r#""long":-9223372036854775808,"integer":-2147483648,"double":5e-324,"boolean":false"#, &[]),
    (r#""long":9007199254740993,"double":0.1,"integer":0"#, &[]),
    (r#""double":-0.0,"long":-1"#, &[]),
    (r#""double":123456789.123456789,"money":1"#, &[]),
    (r#""money":99999999999999999999.999999999999999999"#, &[]),
    (r#""money":-99999999999999999999.999999999999999999,"small":-9999999.99"#, &[]),
    (r#""money":0.000000000000000001,"small":0.10"#, &[]),
    (r#""money":12e3,"small":1.5e1"#, &[]),
    (r#""text":"grün 日本語 العربية 😀 👩‍👩‍👧‍👦 e\u0301 \u0000 \"\\\/\b\f\n\r\t \ud83d\ude00""#, &[]),
    (r#""text":"""#, &[]),
    (r#""text":null,"long":null,"user":null,"matrix":null,"scores":null"#, &[]),
    (r#""day":"0001-01-01","bytes":"AP/+AQ==""#, &[]),
    (r#""day":"9999-12-31","bytes":"""#, &[]),
    (r#""day":"2024-02-29","bytes":"eyJub3QiOiJ0ZXh0In0=""#, &[]),
    (r#""seen":"2025-06-01T12:00:00.000001Z""#, &[]),
    (r#""seen":"2025-06-01 23:59:59.999999+05:30""#, &[]),
    (r#""seen":"1969-12-31T23:59:59.999999-08:00""#, &[]),
    (r#""seen":"0001-01-01T00:00:00""#, &[]),
    (r#""seen":"9999-12-31T23:59:59.999999Z""#, &[]),
    (r#""seen":1748779200.123456"#, &[]),
    (r#""user":{"id":9223372036854775807,"tags":["a",null,"","😀"],"home":{"lat":-89.9999999}}"#, &[]),
    (r#""user":{},"matrix":[],"visits":[],"scores":{},"nested":{}"#, &[]),
    (r#""user":{"tags":[],"home":null},"matrix":[[1,2],[],null,[null,-9223372036854775808]]"#, &[]),
    (r#""visits":[{"at":"2025-06-01T12:00:00.000001+01:00","n":1},null,{"n":null}]"#, &[]),
    (r#""scores":{"":123456789012345.12345,"a b":null,"ключ":-0.00001},"nested":{"a":[1,null],"b":null,"c":[]}"#, &[]),
    // What fits no column, or has none, is in `_extra` to the last digit.
    (r#""long":9223372036854775808,"integer":2147483648,"boolean":1"#, &["long", "integer", "boolean"]),
    (r#""money":0.0000000000000000001,"small":10000000.00"#, &["money", "small"]),
    (r#""text":42,"day":"2025-02-29","bytes":"not base64","seen":"soon""#, &["text", "day", "bytes", "seen"]),
    (r#""user":{"id":"x"},"matrix":[[1],2],"scores":[1],"double":"1.5""#, &["user", "matrix", "scores", "double"]),
    (r#""new":1.10,"newer":{"a":[123456789012345678901234567890.123456789]},"newest":"😀\u0000","none":null"#, &[]),
    (r#""Text":"another case is another field","ärger":[true]"#, &[]),
];

#[test]
fn every_value_of_every_type_comes_back_to_the_last_digit() {
    let job = Job::new("values", 1);
    let event = |(members, _): &Event| format!(r#"{{"event_timestamp":"2025-06-01T11:59:59.999999Z",{members}}}"#);
    let events: Vec<String> = EVENTS.iter().map(event).collect();
    job.produce(&events);
    let schema = job.file("schema.json", SCHEMA);
    let count = u64::try_from(events.len()).unwrap();
    let summary = job.run(&["--schema", &schema, "--partition-by", "year,month"]);
    assert_eq!(summary, Summary { records: count, rows: count, dead_letters: 0, dropped: 0 });

    let misfits: Value =
        EVENTS.iter().enumerate().map(|(offset, (_, names))| (offset.to_string(), json!(names))).collect();
    let file = job.file("events.jsonl", &events.join("\n"));
    let output = job.output();
    let args = ["--events", &file, "--schema", &schema, "--misfits", &misfits.to_string()];
    python("check_values.py", &[&args[..], &["--output", output.to_str().unwrap(), "--topic", &job.topic]].concat());
}

#[test]
fn of_a_repeated_key_the_last_one_wins() {
    let job = Job::new("repeated", 1);
    job.produce(&[
        r#"{"event_timestamp":"2025-06-01T12:00:00Z","n":1,"s":"a"}"#,
        r#"{"event_timestamp":"nonsense","n":"x","s":"/../b","new":1,"n":2,"new":2,"event_timestamp":"2025-06-01T12:00:01Z","s":"c"}"#,
        r#"{"event_timestamp":"2025-06-01T12:00:02Z","n":3,"n":null,"s":"d"}"#,
        r#"{"event_timestamp":"2025-06-01T12:00:03Z","event_timestamp":null,"n":4}"#,
    ]);
    let schema = r#"{"type":"struct","fields":[{"name":"event_timestamp","type":"timestamp"},{"name":"n","type":"long"},
        {"name":"s","type":"string"}]}"#;
    let schema = job.file("schema.json", schema);
    let summary = job.run(&["--partition-by", "s", "--schema", &schema]);
    assert_eq!(summary, Summary { records: 4, rows: 3, dead_letters: 1, dropped: 0 });
    assert_eq!(
        job.ask("SELECT epoch_ms(event_timestamp), n, s, _extra FROM {rows} ORDER BY _kafka_offset"),
        [
            json!([1_748_779_200_000_i64, 1, "a", null]),
            json!([1_748_779_201_000_i64, 2, "c", r#"{"new":2}"#]),
            json!([1_748_779_202_000_i64, null, "d", null]),
        ]
    );
    assert_eq!(job.ask("SELECT _kafka_offset, reason FROM {dead}"), [json!([3, "timestamp_null"])]);
}
