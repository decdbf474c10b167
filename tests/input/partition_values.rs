//! Folders named after anything at all: three readers get the very value back, or it is in `_extra`, and nothing leaves its folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::python::python;
use crate::job::{Job, Summary};

/// Produces an event for each value, runs, and returns the ids (from 0) of those whose value is in `_extra`.
fn kept_in_extra(job: &Job, values: &[Value], kind: &str, flags: &[&str]) -> BTreeSet<usize> {
    let event = |(id, value)| json!({"event_timestamp": "2025-06-01T12:00:00Z", "id": id, "v": value}).to_string();
    let events: Vec<String> = values.iter().enumerate().map(event).collect();
    job.produce(&events);
    let count = u64::try_from(values.len()).unwrap();
    let summary = job.run(&[&["--partition-by", "v"], flags].concat());
    assert_eq!(summary, Summary { records: count, rows: count, dead_letters: 0, dropped: 0 });

    let file = job.file("events.jsonl", &events.join("\n"));
    let output = job.output();
    let output = output.to_str().unwrap();
    let args = ["--events", &file, "--output", output, "--topic", &job.topic, "--column", "v", "--type", kind];
    let said = python("check_partition_values.py", &args);
    assert_eq!(names(job.folder()), ["events.jsonl", "out"]);
    assert_eq!(names(&job.output()), ["_meta", &job.topic]);
    serde_json::from_str(&said).unwrap()
}

/// What is in a folder, whatever its name.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn any_text_can_name_a_folder() {
    let job = Job::new("texts", 1);
    let exact = [
        "/home",
        "/",
        "//",
        "a/b/../c",
        "..",
        ".",
        "../../../../tmp/escaped",
        "/etc/passwd",
        "a=b",
        "v=1",
        "=",
        "%",
        "%2F",
        "%%",
        "100%",
        "'",
        "\"",
        "it's \"so\"",
        "`x`",
        "$HOME",
        "a\nb",
        "\n",
        "\r\n",
        "\t",
        "\0",
        "a\0b",
        "\u{7f}",
        "\u{1}",
        "\\",
        "C:\\x",
        "a\\..\\b",
        "😀",
        "👩‍👩‍👧‍👦",
        "grün",
        "Ελλάδα",
        "Россия",
        "日本語",
        "한국어",
        "العربية",
        "עברית",
        "ไทย",
        "हिन्दी",
        "e\u{301}",
        "é",
        " ",
        "  ",
        " leading",
        "trailing ",
        "trailing.",
        "dots...",
        "~",
        "~user",
        "*",
        "?",
        "[a-z]",
        "{a,b}",
        "<x>",
        "a|b",
        "a:b",
        "#",
        "a&b",
        "a+b",
        "a;b",
        "^",
        "007",
        "1.0",
        "true",
        "NaN",
        "null",
        "NULL",
        "None",
        "2025-06-01",
        "2025-06-01 12:00:00",
        "A",
        "a",
        "_hidden",
        ".hidden",
        "_temporary",
        "part.parquet",
        "\u{feff}bom",
        "\u{200b}",
        "\u{202e}rtl",
        "\u{85}",
        "\u{2028}",
        "\u{10ffff}",
    ];
    // 255 bytes are what a folder's name may have; `v=` takes two.
    let (longest, too_long) = ("x".repeat(253), "x".repeat(254));
    let in_extra = [
        "",
        "__HIVE_DEFAULT_PARTITION__",
        "__OTHER__",
        "__EMPTY__",
        &too_long,
        &"y".repeat(300),
        &"/".repeat(300),
        &"😀".repeat(300),
        &format!("{}!", "😀".repeat(300)),
        "\u{ffff}",
    ];
    let mut values: Vec<Value> = exact.iter().map(|text| json!(text)).collect();
    values.extend([json!(longest), Value::Null]);
    let first_in_extra = values.len();
    values.extend(in_extra.iter().map(|text| json!(text)));
    let kept = kept_in_extra(&job, &values, "string", &[]);
    assert_eq!(kept, (first_in_extra..values.len()).collect());
}

#[test]
fn integers_name_folders_to_the_last_digit() {
    let job = Job::new("integers", 1);
    let values = [json!(i64::MIN), json!(i64::MAX), json!(9_007_199_254_740_993_i64), json!(0), json!(-1), Value::Null];
    assert_eq!(kept_in_extra(&job, &values, "long", &[]), BTreeSet::new());
}

#[test]
fn a_value_that_is_no_text_is_in_extra_and_its_folder_is_that_of_null() {
    let job = Job::new("no-texts", 1);
    let values = [json!("a text"), json!(1), json!({"a": [1, 2]}), json!(true), json!("another")];
    assert_eq!(kept_in_extra(&job, &values, "string", &[]), BTreeSet::from([1, 2, 3]));
}

#[test]
fn buckets_beyond_the_limit_share_a_folder() {
    let job = Job::new("buckets", 1);
    // The first three have folders of their own.
    let values: Vec<Value> = [("a", 5), ("b", 1), ("c", 4), ("/d", 3), ("e", 2), ("", 1)]
        .iter()
        .flat_map(|(text, times)| vec![json!(text); *times])
        .collect();
    let kept = kept_in_extra(&job, &values, "string", &["--max-buckets", "3"]);
    assert_eq!(names(&job.output().join(&job.topic)), ["v=__OTHER__", "v=a", "v=b", "v=c"]);
    let others = [10, 11, 12, 13, 14, 15];
    assert_eq!(kept, BTreeSet::from(others), "the rows of /d, e and the empty text");
    assert_eq!(job.ask("SELECT id FROM {rows} WHERE v = '__OTHER__' ORDER BY 1"), others.map(|id| json!([id])));
}
