//! Each damage that may befall an output, planted: found, with its coordinates.

use std::fs;
use std::sync::LazyLock;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use serde_json::{Value, json};

use crate::forge::{with_first_time_moved, with_offsets};
use crate::output::{Output, SMALL, Said, TOPIC};

/// A sound output. Tests damage copies of it.
static SOUND: LazyLock<Output> = LazyLock::new(|| Output::new(SMALL));

/// A file of published rows: of partition 0, epoch 22:15, bucket 1.
const FILE: &str = "web/year=2026/month=11/day=22/page_url_path=%2Fpage%2F1/20261122T221500Z-p0-7f3a9c00-2.parquet";
/// Another one of that close.
const SIBLING: &str = "web/year=2026/month=11/day=22/page_url_path=%2Fpage%2F2/20261122T221500Z-p0-7f3a9c00-2.parquet";

/// What is wrong must be exactly of these kinds; returns it.
fn violated(said: &Said, kinds: &[&str]) -> Vec<Value> {
    assert_eq!(said.code, 1, "{} {:?}", said.stderr, said.report);
    assert_eq!(said.report["verdict"], "violated");
    assert_eq!(said.kinds(), kinds, "{:#?}", said.violations());
    said.violations()
}

fn proved(said: &Said) {
    assert_eq!(said.code, 0, "{} {:#}", said.stderr, said.report);
    assert_eq!(said.report["verdict"], "proved");
}

#[test]
fn a_sound_output_is_proved() {
    for flags in [&[][..], &["--checksums"], &["--deep"]] {
        let said = SOUND.verify(flags);
        proved(&said);
        let topic = &said.report["topics"][0];
        // 9 epochs of 3 buckets and a file of dead letters, twice.
        assert_eq!((topic["topic"].as_str(), topic["files"].as_u64()), (Some(TOPIC), Some(56)));
        let lane = &topic["partitions"][1];
        assert_eq!(
            (lane["published"]["rows"].as_u64(), lane["published"]["dead_letters"].as_u64()),
            (Some(108), Some(1))
        );
        assert_eq!((lane["waiting"]["rows"].as_u64(), lane["totals"]["records"].as_u64()), (Some(1), Some(110)));
        // A gap of Kafka's is no record.
        assert_eq!(lane["position"], 111);
    }
}

#[test]
fn a_file_that_was_deleted_is_missed() {
    let output = SOUND.copy();
    fs::remove_file(output.path().join(FILE)).unwrap();
    let found = violated(&output.verify(&[]), &["file_missing"]);
    assert_eq!((found[0]["path"].as_str(), found[0]["partition"].as_i64()), (Some(FILE), Some(0)));
    assert_eq!((found[0]["topic"].as_str(), found[0]["entry"].as_u64()), (Some(TOPIC), Some(2)));
}

#[test]
fn a_file_that_was_doubled_is_found() {
    let output = SOUND.copy();
    let copies = [
        // Under another name, in another folder under its own, as another entry's, and as late rows.
        FILE.replace("20261122T221500Z", "copy-of-20261122T221500Z"),
        FILE.replace("%2Fpage%2F1", "%2Fpage%2F9"),
        FILE.replace("-2.parquet", "-3.parquet"),
        FILE.replace("-2.parquet", "-2-late.parquet"),
    ];
    let bytes = fs::read(output.path().join(FILE)).unwrap();
    copies.iter().for_each(|copy| output.put(copy, &bytes));
    let found = violated(&output.verify(&[]), &["file_foreign"]);
    let mut paths: Vec<&str> = found.iter().filter_map(|found| found["path"].as_str()).collect();
    let mut expected: Vec<&str> = copies.iter().map(String::as_str).collect();
    paths.sort_unstable();
    expected.sort_unstable();
    assert_eq!(paths, expected);
}

#[test]
fn a_row_group_that_was_cut_off_is_missed() {
    let output = SOUND.copy();
    let bytes = fs::read(output.path().join(FILE)).unwrap();
    output.put(FILE, &bytes[..bytes.len() / 2]);
    violated(&output.verify(&[]), &["file_size"]);
    // Of the right length, and empty from the middle on.
    let mut torn = bytes.clone();
    torn[bytes.len() / 2..].fill(0);
    output.put(FILE, &torn);
    violated(&output.verify(&[]), &["file_unreadable"]);
    // A sound file that lost its second row group, whose receipt was made to fit but for the rows.
    output.put(FILE, &bytes);
    output.rewrite(FILE, |rows| rows.slice(0, 2), 2);
    output.describe(FILE);
    output.edit_receipt(FILE, |file| file["rows"] = 4.into());
    violated(&output.verify(&[]), &["file_rows", "file_offsets", "file_metadata"]);
    // And one whose receipt was made to fit in all: the sums tell.
    output.describe(FILE);
    let found = violated(&output.verify(&[]), &["sums"]);
    assert!(found[0]["what"].as_str().unwrap().contains("107 found"), "{found:?}");
    assert!(found[0]["what"].as_str().unwrap().contains("2 missing"), "{found:?}");
}

#[test]
fn a_byte_that_flipped_in_a_file_is_found_by_its_checksum() {
    let output = SOUND.copy();
    let mut bytes = fs::read(output.path().join(FILE)).unwrap();
    bytes[20] ^= 1;
    output.put(FILE, &bytes);
    proved(&output.verify(&[]));
    let found = violated(&output.verify(&["--checksums"]), &["file_checksum"]);
    assert_eq!(found[0]["path"], FILE);
}

#[test]
fn a_receipt_that_was_deleted_is_missed() {
    let output = SOUND.copy();
    let (receipt, _) = output.receipt_of(FILE);
    fs::remove_file(output.path().join(&receipt)).unwrap();
    let found = violated(&output.verify(&[]), &["file_foreign", "receipt_missing", "sums"]);
    let missing = found.iter().find(|found| found["kind"] == "receipt_missing").unwrap();
    assert!(missing["what"].as_str().unwrap().contains("receipt 2 of the chain missing"), "{missing}");
    assert_eq!(missing["partition"], 0);
    // The last one of the chain leaves no gap between others.
    let output = SOUND.copy();
    fs::remove_file(output.path().join(format!("_meta/{TOPIC}/dead_letter/p1-7f3a9c01-2.json"))).unwrap();
    let found = violated(&output.verify(&[]), &["file_foreign", "receipt_missing", "sums"]);
    let missing = found.iter().find(|found| found["kind"] == "receipt_missing").unwrap();
    assert!(missing["what"].as_str().unwrap().contains("receipt 10 of the chain missing"), "{missing}");
}

#[test]
fn a_receipt_that_was_doubled_or_edited_is_found() {
    let output = SOUND.copy();
    let (key, mut receipt) = output.receipt_of(FILE);
    output.put(&key.replace("-2.json", "-3.json"), receipt.to_string().as_bytes());
    let found = violated(&output.verify(&[]), &["file_twice", "receipt_contradiction", "receipt_twice", "sums"]);
    assert!(found.iter().any(|found| found["path"] == key.replace("-2.json", "-3.json")), "{found:?}");

    let output = SOUND.copy();
    receipt["rows"] = json!(13);
    output.put(&key, receipt.to_string().as_bytes());
    violated(&output.verify(&[]), &["receipt_contradiction", "sums"]);
    output.put(&key, b"{\"version\":1,");
    let found = violated(&output.verify(&[]), &["file_foreign", "receipt_missing", "receipt_unreadable", "sums"]);
    assert!(
        found.iter().any(|found| found["path"] == key && found["entry"] == 2 && found["partition"] == 0),
        "{found:?}"
    );
}

#[test]
fn a_file_of_somebody_else_is_found() {
    let output = SOUND.copy();
    let foreign = ["web/notes.txt", "web/year=2026/month=11/day=22/_SUCCESS", "_dead_letter/web/x.parquet"];
    foreign.iter().for_each(|key| output.put(key, b"not ours"));
    let found = violated(&output.verify(&[]), &["file_foreign"]);
    assert_eq!(found.len(), 3);
    assert!(foreign.iter().all(|key| found.iter().any(|found| found["path"] == *key)), "{found:?}");
}

#[test]
fn an_entry_that_was_edited_is_found() {
    let newest = format!("_meta/{TOPIC}/control/p0/{:020}.entry", 3);
    let bytes = fs::read(SOUND.path().join(&newest)).unwrap();
    // A digit of the state, which lies in the footer.
    let place = bytes.windows(10).position(|window| window == b"\"position\"").unwrap() + 11;
    let mut edited = bytes.clone();
    edited[place] ^= 1;
    let output = SOUND.copy();
    output.put(&newest, &edited);
    let found = violated(&output.verify(&[]), &["entry_unreadable", "marker"]);
    let entry = &found[0];
    assert_eq!(
        (entry["partition"].as_i64(), entry["entry"].as_u64(), &entry["path"]),
        (Some(0), Some(3), &json!(newest))
    );
    assert!(entry["what"].as_str().unwrap().contains("checksum of its footer"), "{entry}");
    // Truncated.
    output.put(&newest, &bytes[..bytes.len() - 100]);
    violated(&output.verify(&[]), &["entry_unreadable", "marker"]);
    // A row, which only those find who read it.
    let mut edited = bytes.clone();
    edited[10] ^= 1;
    output.put(&newest, &edited);
    proved(&output.verify(&[]));
    let found = violated(&output.verify(&["--checksums"]), &["entry_unreadable"]);
    assert!(found[0]["what"].as_str().unwrap().contains("row group 0"), "{found:?}");
}

#[test]
fn a_state_that_was_forged_with_its_checksum_does_not_add_up() {
    let output = SOUND.copy();
    output.forge_newest(0, |state| {
        state.totals.rows += 1;
        state.totals.records += 1;
    });
    let found = violated(&output.verify(&[]), &["sums"]);
    assert_eq!((found[0]["partition"].as_i64(), found[0]["entry"].as_u64()), (Some(0), Some(3)));
    output.forge_newest(0, |state| {
        state.totals.rows -= 1;
        state.totals.records -= 1;
        state.closes_decided += 1;
    });
    violated(&output.verify(&[]), &["receipt_missing"]);
    output.forge_newest(0, |state| {
        state.closes_decided -= 1;
        state.position.0 = 90;
    });
    violated(&output.verify(&[]), &["receipt_order", "sums"]);
}

#[test]
fn a_state_that_contradicts_itself_is_found() {
    let output = SOUND.copy();
    output.forge_newest(0, |state| state.totals.rows += 1);
    let found = violated(&output.verify(&[]), &["entry_unreadable", "marker"]);
    assert!(found[0]["what"].as_str().unwrap().contains("do not add up"), "{found:?}");
}

#[test]
fn a_lane_log_that_lost_entries_is_found() {
    let log = format!("{TOPIC}/control/p0");
    let entry = |number: u64| SOUND.path().join(format!("_meta/{log}/{number:020}.entry"));
    let lost = |numbers: &[u64]| {
        let output = SOUND.copy();
        for number in numbers {
            fs::remove_file(output.path().join(entry(*number).strip_prefix(SOUND.path()).unwrap())).unwrap();
        }
        output
    };
    // The state of entry 2 lists closes that have receipts, and is a sound one: only the row of entry 3 is gone, and nothing tells.
    proved(&lost(&[3]).verify(&[]));
    let found = violated(&lost(&[2, 3]).verify(&[]), &["log_behind", "marker"]);
    assert_eq!((found[0]["partition"].as_i64(), found[0]["entry"].as_u64()), (Some(0), Some(2)));
    violated(&lost(&[1, 2, 3]).verify(&[]), &["log_missing", "marker"]);
    violated(&lost(&[1]).verify(&[]), &["entry_missing"]);
}

#[test]
fn one_offset_twice_is_found() {
    let output = SOUND.copy();
    output.forge(FILE, |rows| with_offsets(&rows, |offsets| offsets[1] = offsets[2]));
    proved(&output.verify(&["--checksums"]));
    let found = violated(&output.verify(&["--deep"]), &["offset_twice"]);
    assert_eq!((found[0]["offset"].as_i64(), found[0]["path"].as_str()), (Some(19), Some(FILE)));
    // And in two files.
    let output = SOUND.copy();
    output.forge(SIBLING, |rows| with_offsets(&rows, |offsets| offsets[0] = 18));
    let found = violated(&output.verify(&["--deep"]), &["offset_twice"]);
    assert_eq!((found[0]["offset"].as_i64(), found[0]["partition"].as_i64()), (Some(18), Some(0)));
}

#[test]
fn one_offset_missing_is_found() {
    let output = SOUND.copy();
    output.forge(FILE, |rows| take_record_batch(&rows, &UInt32Array::from(vec![0, 1, 3])).unwrap());
    let found = violated(&output.verify(&[]), &["sums"]);
    assert_eq!(found[0]["partition"], 0);
    assert!(found[0]["what"].as_str().unwrap().contains("1 missing"), "{found:?}");
}

#[test]
fn an_offset_that_was_never_read_is_found() {
    let output = SOUND.copy();
    output.forge(FILE, |rows| with_offsets(&rows, |offsets| offsets[3] = 500));
    let found = violated(&output.verify(&[]), &["file_offsets"]);
    assert_eq!((found[0]["path"].as_str(), found[0]["entry"].as_u64()), (Some(FILE), Some(2)));
    assert!(
        found[0]["what"].as_str().unwrap().contains("offsets 17 to 500: the lane had read from 0 to 110"),
        "{found:?}"
    );
    // Or is of another lane's rows.
    let output = SOUND.copy();
    output.edit_receipt(FILE, |file| file["first_offset"] = 16.into());
    violated(&output.verify(&[]), &["file_offsets", "file_metadata"]);
}

#[test]
fn a_row_in_the_wrong_folder_is_found() {
    // A row of the next day.
    const DAY_US: i64 = 86_400_000_000;
    let output = SOUND.copy();
    output.forge(FILE, |rows| with_first_time_moved(&rows, DAY_US));
    proved(&output.verify(&["--checksums"]));
    let found = violated(&output.verify(&["--deep"]), &["row_epoch"]);
    assert_eq!((found[0]["offset"].as_i64(), found[0]["path"].as_str()), (Some(17), Some(FILE)));
    // A row of another page, whose file was made to fit nothing else.
    let output = SOUND.copy();
    output.rewrite(FILE, |rows| concat(&rows, &rows.slice(0, 1)), usize::MAX);
    violated(&output.verify(&[]), &["file_size"]);
    // A whole file, with its receipt.
    let output = SOUND.copy();
    let moved = FILE.replace("day=22", "day=23");
    output.put(&moved, &fs::read(output.path().join(FILE)).unwrap());
    fs::remove_file(output.path().join(FILE)).unwrap();
    output.edit_receipt(FILE, |file| file["path"] = json!(moved));
    let found = violated(&output.verify(&[]), &["file_path"]);
    assert!(found[0]["what"].as_str().unwrap().contains("day 23 is not of epoch 20261122T221500Z"), "{found:?}");
}

fn concat(one: &RecordBatch, other: &RecordBatch) -> RecordBatch {
    arrow::compute::concat_batches(&one.schema(), [one, other]).unwrap()
}

#[test]
fn a_marker_that_says_too_much_is_found() {
    let output = SOUND.copy();
    let last = fs::read(output.path().join(format!("_meta/{TOPIC}/epochs/20261123T000000Z.json"))).unwrap();
    let mut marker: Value = serde_json::from_slice(&last).unwrap();
    marker["epoch"] = json!({"start": "2026-11-23T00:15:00Z", "end": "2026-11-23T00:30:00Z"});
    let key = format!("_meta/{TOPIC}/epochs/20261123T001500Z.json");
    output.put(&key, marker.to_string().as_bytes());
    output.put(&format!("_meta/{TOPIC}/control/closed/p1/{}", 1_795_393_800_000_000_i64), b"");
    let found = violated(&output.verify(&[]), &["marker"]);
    let of = |path: &str| found.iter().filter(|found| found["path"] == path).count();
    assert_eq!((of(&key), found.len()), (2, 3), "both partitions, and the closed-through object: {found:#?}");
    // A partition that never was.
    let output = SOUND.copy();
    marker["epoch"] = json!({"start": "2026-11-23T00:00:00Z", "end": "2026-11-23T00:15:00Z"});
    marker["partitions"] = json!([0, 1, 2]);
    output.put(&format!("_meta/{TOPIC}/epochs/20261123T000000Z.json"), marker.to_string().as_bytes());
    let found = violated(&output.verify(&[]), &["marker"]);
    assert_eq!(found[0]["partition"], 2);
}

#[test]
fn files_of_a_close_that_is_being_published_are_no_violation() {
    // The log still lists the closes; the receipt of one is not put yet, nor are all of its files.
    let output = SOUND.copy();
    fs::remove_file(output.path().join(format!("_meta/{TOPIC}/control/p0/{:020}.entry", 3))).unwrap();
    let (receipt, _) = output.receipt_of(FILE);
    fs::remove_file(output.path().join(receipt)).unwrap();
    fs::remove_file(output.path().join(SIBLING)).unwrap();
    // Its epoch cannot be marked before.
    for time in ["221500", "223000", "224500", "230000", "231500", "233000", "234500"] {
        fs::remove_file(output.path().join(format!("_meta/{TOPIC}/epochs/20261122T{time}Z.json"))).unwrap();
    }
    fs::remove_file(output.path().join(format!("_meta/{TOPIC}/epochs/20261123T000000Z.json"))).unwrap();
    for closed in output.keys(&format!("_meta/{TOPIC}/control/closed/p0")) {
        fs::remove_file(output.path().join(closed)).unwrap();
    }
    let said = output.verify(&["--deep"]);
    proved(&said);
    let lane = &said.report["topics"][0]["partitions"][0];
    assert_eq!((lane["publishing"]["rows"].as_u64(), lane["published"]["rows"].as_u64()), (Some(12), Some(96)));
    // But a file of it that is in no folder of its own is nobody's.
    output.put("web/stray/20261122T223000Z-p0-7f3a9c00-2.parquet", b"");
    violated(&output.verify(&[]), &["file_foreign"]);
}

#[test]
fn what_cannot_be_checked_is_no_verdict() {
    let unchecked = |said: &Said, words: &[&str]| {
        assert_eq!(said.code, 2, "{}", said.stderr);
        assert_eq!(said.report, Value::Null);
        words.iter().for_each(|word| assert!(said.stderr.contains(word), "`{word}` is not in: {}", said.stderr));
    };
    let output = SOUND.copy();
    unchecked(&output.verify(&["--topic", "other"]), &["nothing of topic `other`", "--topic"]);
    unchecked(&crate::output::verify(&output.path().join("gone"), &[]), &["--output", "there is no folder"]);
    assert!(!output.path().join("gone").exists(), "nothing is made");
    unchecked(&crate::output::verify(&output.path().join("web"), &[]), &["holds no topic", "--output"]);
    let (key, mut receipt) = output.receipt_of(FILE);
    receipt["version"] = json!(2);
    output.put(&key, receipt.to_string().as_bytes());
    unchecked(&output.verify(&[]), &[&key, "version 2 is not known"]);
}

#[test]
fn people_are_told_what_is_wrong_and_where() {
    let output = SOUND.copy();
    fs::remove_file(output.path().join(FILE)).unwrap();
    let args = ["verify", "--output", output.path().to_str().unwrap()];
    let mut process = crate::common::process::Process::ours(&args);
    assert_eq!(process.wait(std::time::Duration::from_secs(60)).code(), Some(1));
    let said = process.stdout();
    assert!(said.contains(&format!("file_missing: {TOPIC}/0 entry 2 {FILE}: ")), "{said}");
    assert!(said.contains("VIOLATED: 1 thing is wrong"), "{said}");
    assert_eq!(process.stderr(), "error: 1 violation(s): the report has them\n");
}
