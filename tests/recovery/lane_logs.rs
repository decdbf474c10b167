//! Entries of the lane log that are gone, damaged, or of a newer version.

use std::path::PathBuf;
use std::sync::Arc;

use streams_to_parquet::engine::state::LaneState;
use streams_to_parquet::parquet::{Content, EntryOptions, EntryReader, write_entry};
use streams_to_parquet::store::Layout;

use crate::job::Job;

/// A partition whose epoch 12:15 is open in entries 2 and 4 (offsets 0 and 1, and 2), and whose newest entry is the last.
fn open_job(name: &str) -> Job {
    let job = Job::new(name, 1);
    job.produce_at(0, &[16, 17]);
    job.run(&["--keep-open"]);
    job.produce_at(0, &[18]);
    job.run(&["--keep-open"]);
    job
}

/// The numbers of the entries that hold rows, from the state of the newest.
fn holding(job: &Job) -> Vec<u64> {
    let newest = job.entries(0).pop().unwrap();
    let entry = EntryReader::open(Arc::new(bytes::Bytes::from(job.read(&newest)))).unwrap();
    entry.state().waiting.values().flatten().map(|held| held.entry.number.0).collect()
}

fn entry_of(job: &Job, number: u64) -> std::path::PathBuf {
    job.entries(0).into_iter().find(|key| key.to_str().unwrap().ends_with(&format!("/{number:020}.entry"))).unwrap()
}

#[test]
fn rows_whose_entry_is_gone_stop_the_partition_until_they_are_restored_or_given_up() {
    let job = open_job("gone");
    let held = holding(&job);
    assert_eq!(held.len(), 2, "{held:?}");
    let lost = entry_of(&job, held[0]);
    let bytes = job.read(&lost);
    job.remove(&lost);
    let words =
        ["epoch 20250601T121500Z", "missing, damaged or replaced", "Restore the entry from a backup", "`recover`"];
    job.rehearse(&[]).refused(1, &words);
    job.run(&[]).refused(1, &words);

    // Restored: nothing was lost.
    job.write(&lost, &bytes);
    job.rehearse(&[]).said(&["/0  goes on at offset 3"]);
    job.recover(&[]).said(&["nothing to give up"]);
    job.remove(&lost);

    let told = [format!("entry {}: it is gone", held[0])];
    let dry = job.recover(&["--dry-run"]);
    dry.said(&[
        &told[0],
        "would give up 2 rows of epoch 20250601T121500Z",
        "nothing was changed; 2 rows would be given up",
    ]);
    let entries = job.entries(0);
    job.recover(&["--dry-run"]).said(&[]);
    assert_eq!(job.entries(0), entries);
    job.recover(&[]).said(&[&told[0], "gave up 2 rows of epoch 20250601T121500Z that entry", "2 rows were given up"]);
    job.recover(&[]).said(&["nothing to give up"]);
    assert_eq!(job.run(&[]).number("records read"), 0);
    let lane = &job.proved()[0];
    assert_eq!((&lane["published"]["rows"], &lane["given_up"]["rows"]), (&1.into(), &2.into()));
    assert_eq!(job.markers().len(), 1);
}

#[test]
fn a_first_entry_that_is_gone_is_put_back() {
    let job = open_job("first");
    job.run(&[]);
    let first = job.entries(0).remove(0);
    job.remove(&first);
    let seen = job.verify();
    seen.refused(1, &["1 violation"]);
    assert!(seen.stdout.contains("the first entry of the lane log is gone"), "{}", seen.stdout);
    job.recover(&["--dry-run"]).said(&["would put the first entry back", "nothing was changed"]);
    assert!(!job.entries(0).contains(&first));
    job.recover(&[]).said(&["put the first entry back"]);
    job.recover(&[]).said(&["nothing to give up"]);
    job.proved();
    assert_eq!(job.run(&[]).number("records read"), 0);
}

#[test]
fn rows_whose_entry_is_damaged_are_as_good_as_gone() {
    let job = open_job("damaged");
    let held = holding(&job);
    let lost = entry_of(&job, held[1]);
    let mut bytes = job.read(&lost);
    bytes[10] ^= 1;
    job.write(&lost, &bytes);
    job.run(&[]).refused(1, &["missing, damaged or replaced", "`recover`"]);
    job.recover(&["--dry-run"]).said(&["the checksum of its row group 0 does not agree", "would give up 1 rows"]);
    job.recover(&[]).said(&["1 rows were given up"]);
    job.verify().said(&["given up           1 rows and 0 dead letters whose entries were gone"]);
    job.run(&[]).said(&[]);
    let lane = &job.proved()[0];
    assert_eq!((&lane["published"]["rows"], &lane["given_up"]["rows"]), (&2.into(), &1.into()));
}

/// A job with a close that is decided and not published, and the key that its receipt will have.
fn unpublished_job(name: &str) -> (Job, PathBuf) {
    let job = open_job(name);
    let lost = entry_of(&job, holding(&job)[0]);
    let bytes = job.read(&lost);
    job.remove(&lost);
    job.run(&[]).refused(1, &["missing, damaged or replaced"]);
    job.write(&lost, &bytes);
    let newest = job.entries(0).pop().unwrap();
    let entry = EntryReader::open(Arc::new(bytes::Bytes::from(job.read(&newest)))).unwrap();
    let LaneState { identity, chain, closes, .. } = entry.state();
    let close = closes.iter().find(|close| !close.rows.is_empty()).unwrap();
    let key = Layout::new(&identity.topic).receipt(identity.partition, &chain.to_string(), close);
    (job, PathBuf::from(key.to_string()))
}

#[test]
fn a_receipt_that_is_damaged_or_of_another_close_is_refused() {
    let (job, key) = unpublished_job("receipt");
    let entries = job.entries(0);
    job.write(&key, b"{\"version\":1,\"topic\":");
    job.run(&[]).refused(
        1,
        &["epoch 20250601T121500Z by entry", "cannot be published: its receipt", "cannot be read", "Remove"],
    );
    assert_eq!(job.entries(0), entries, "nothing was said, nothing collected");
    job.remove(&key);
    job.run(&[]).said(&[]);
    job.proved();

    let (other, place) = unpublished_job("other-receipt");
    other.write(&place, &job.read(&key));
    other.run(&[]).refused(1, &["disagrees with the lane log in: topic, chain"]);
    other.remove(&place);
    other.run(&[]).said(&[]);
    other.proved();
}

#[test]
fn a_close_that_lost_all_of_its_rows_leaves_a_gap_that_is_told() {
    let job = open_job("all-gone");
    for number in holding(&job) {
        let key = entry_of(&job, number);
        // The newest carries the state.
        if Some(&key) != job.entries(0).last() {
            job.remove(&key);
        }
    }
    // The run decides the close, and cannot publish it.
    job.produce_at(0, &[50]);
    job.run(&[]).refused(1, &["`recover`"]);
    job.recover(&[]).said(&["rows were given up"]);
    job.run(&[]).said(&[]);
    let lane = &job.proved()[0];
    let sum = lane["published"]["rows"].as_u64().unwrap() + lane["given_up"]["rows"].as_u64().unwrap();
    assert_eq!((sum, &lane["waiting"]["rows"]), (4, &0.into()));
    assert!(lane["given_up"]["rows"].as_u64().unwrap() >= 2);
}

#[test]
fn a_lane_log_that_lost_its_end_or_all_of_it_is_refused() {
    let job = open_job("no-end");
    job.run(&[]);
    let entries = job.entries(0);
    let newest = entries.last().unwrap();
    let bytes = job.read(newest);
    job.remove(newest);
    let words = ["the group's committed offset mirrors entry", "--output", "restore it"];
    job.rehearse(&[]).refused(1, &words);
    job.run(&[]).refused(1, &words);
    job.write(newest, &bytes);
    job.rehearse(&[]).said(&["/0  goes on at offset 3"]);

    let all: Vec<_> = entries.iter().map(|key| (key.clone(), job.read(key))).collect();
    entries.iter().for_each(|key| job.remove(key));
    job.kafka.delete_group(&job.group);
    let words =
        ["holds receipts of this partition, but its lane log is gone", "Restore the control folder", "--output"];
    job.rehearse(&[]).refused(1, &words);
    job.run(&[]).refused(1, &words);
    all.iter().for_each(|(key, bytes)| job.write(key, bytes));
    assert_eq!(job.run(&[]).number("records read"), 0);
    job.proved();
}

#[test]
fn a_newest_entry_that_is_damaged_or_newer_than_the_program_is_refused() {
    let job = open_job("newer");
    let newest = job.entries(0).pop().unwrap();
    let bytes = job.read(&newest);
    job.write(&newest, &bytes[..bytes.len() - 50]);
    let words = ["cannot be read: entry is truncated", "Restore it from a backup"];
    job.rehearse(&[]).refused(1, &words);
    job.run(&[]).refused(1, &words);
    job.recover(&[]).refused(1, &["the newest entry", "Nothing but a backup"]);

    let mut state = EntryReader::open(Arc::new(bytes::Bytes::from(bytes.clone()))).unwrap().state().clone();
    state.version = 2;
    job.write(&newest, &write_entry(&state, &Content::default(), &EntryOptions::default()).unwrap());
    let words = ["entry has version 2 of the format, this program reads version 1: update this instance"];
    job.rehearse(&[]).refused(1, &words);
    job.run(&[]).refused(1, &words);
    job.recover(&[]).refused(2, &["update this instance"]);
    job.write(&newest, &bytes);
    job.run(&[]).said(&[]);
    job.proved();
}
