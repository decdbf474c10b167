//! The group's offsets expired, or were moved; the topic's records are gone; another group comes.

use crate::job::Job;

/// A partition that was read to offset 4, in which epoch 12:15 (offsets 2 and 3) is open.
fn read_job(name: &str) -> Job {
    let job = Job::new(name, 1);
    job.produce_at(0, &[1, 2, 16, 17]);
    assert_eq!(job.run(&["--keep-open", "--allowed-lateness", "1m"]).number("records read"), 4);
    assert_eq!(job.files().len(), 1);
    job
}

#[test]
fn offsets_that_expired_are_committed_again() {
    let job = read_job("expired");
    job.kafka.delete_group(&job.group);
    assert_eq!(job.committed(), [None]);
    job.produce_at(0, &[18, 31, 33]);
    job.rehearse(&[]).said(&[
        "/0  goes on at offset 4, 3 before the log's end",
        "1 epochs open",
        "commits anew to the group",
    ]);
    assert_eq!(job.run(&[]).number("records read"), 3);
    assert_eq!(job.committed()[0].as_ref().map(|(offset, _)| *offset), Some(7));
    assert_eq!(job.proved()[0]["published"]["rows"], 7);
}

#[test]
fn an_offset_that_a_tool_moved_back_is_ignored_or_read_again() {
    let job = read_job("back");
    job.kafka.reset_offset(&job.group, &job.topic, 0, 1);
    let words = [
        "/0: the group's committed offset 1 was not written by this program, which is at offset 4",
        "--on-foreign-offset",
        "`resume`",
        "`accept`",
    ];
    job.rehearse(&[]).refused(1, &words);
    job.run(&[]).refused(1, &words);
    assert_eq!(job.committed(), [Some((1, String::new()))], "the tool's offset stays as it is");
    let resume = ["--on-foreign-offset", "resume"];
    job.rehearse(&resume).said(&["/0  goes on at offset 4, 0 before the log's end", "commits anew to the group"]);
    let accept = ["--on-foreign-offset", "accept"];
    job.rehearse(&accept).said(&["/0  goes on at offset 1, 3 before the log's end, after entry", "instead of 4"]);
    // Chosen: offsets 1 to 3 are read again, and are late now.
    assert_eq!(job.run(&accept).number("records read"), 3);
    let lane = &job.proved()[0];
    assert_eq!((&lane["position"], &lane["published"]["rows"]), (&4.into(), &7.into()));
    // What was accepted once is no news.
    assert_eq!(job.run(&[]).number("records read"), 0);
}

#[test]
fn an_offset_that_a_tool_moved_forward_leaves_a_gap_that_adds_up() {
    let job = read_job("forward");
    job.produce_at(0, &[18, 19, 20]);
    job.kafka.reset_offset(&job.group, &job.topic, 0, 6);
    let accept = ["--on-foreign-offset", "accept"];
    job.rehearse(&accept).said(&["/0  goes on at offset 6, 1 before the log's end, after entry", "instead of 4"]);
    assert_eq!(job.run(&accept).number("records read"), 1);
    let lane = &job.proved()[0];
    assert_eq!((&lane["position"], &lane["totals"]["records"]), (&7.into(), &5.into()));
}

#[test]
fn records_that_retention_took_before_they_were_read_are_told_and_skipped_only_if_told_to() {
    let job = read_job("outran");
    job.produce_at(0, &[18, 19, 20]);
    job.delete_records(0, 6);
    let words = ["/0: offsets 4 to 5 are lost", "Kafka's log now begins at 6", "--on-data-loss skip"];
    job.rehearse(&[]).refused(1, &words);
    job.run(&[]).refused(1, &words);
    let skip = ["--on-data-loss", "skip"];
    job.rehearse(&skip)
        .said(&["/0  goes on at offset 6, 1 before the log's end", "skips 2 offsets that Kafka has lost"]);
    assert_eq!(job.run(&skip).number("records read"), 1);
    let lane = &job.proved()[0];
    assert_eq!((&lane["totals"]["skipped_offsets"], &lane["totals"]["records"]), (&2.into(), &5.into()));
    // Nothing more is lost, and the flag is needed no more.
    assert_eq!(job.run(&[]).number("records read"), 0);
}

#[test]
fn a_second_group_is_refused_before_it_does_anything() {
    let job = read_job("second-group");
    let words = ["belongs to consumer group", &job.group, "this instance has `others`", "choose another --output"];
    for ended in [job.rehearse(&["--group", "others"]), job.run(&["--group", "others"])] {
        ended.refused(2, &words);
    }
    assert_eq!(job.kafka.committed("others", &job.topic, 0), None);
    job.rehearse(&[]).said(&["/0  goes on at offset 4"]);
}
