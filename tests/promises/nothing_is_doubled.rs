//! What the lane log covers is never read again, whatever Kafka says of the group's offsets.

use crate::{
    common::process::Signal,
    job::{ALL, Job, PATIENCE},
};

#[test]
fn after_a_crash_only_what_no_entry_holds_is_read_again() {
    let job = Job::new("crashed", 4);
    job.produce(":3000");
    let mut first = job.start(&["--commit-interval", "500ms"]);
    job.wait_until_all_is_committed();
    assert_eq!(job.files().len(), 0, "no epoch is closed: the offsets advanced by the interval");
    first.process.signal(Signal::Kill);

    // This one reads on, and crashes with all of it in memory only.
    job.produce("3000:5000");
    let mut second = job.start(&["--commit-interval", "1h"]);
    second.wait_for_metric("position", |position| position == 5_000.0);
    assert_eq!(second.records(), 0.0, "nothing was appended");
    second.process.signal(Signal::Kill);

    job.produce("5000:");
    let covered: i64 = job.committed().into_iter().flatten().map(|(offset, _)| offset).sum();
    assert_eq!(covered, 3_000);
    assert_eq!(job.run_until_end(), ALL - 3_000);
    job.check();
}

#[test]
fn an_offset_that_fell_back_to_an_older_commit_of_ours_doubles_nothing() {
    let job = Job::new("rewound", 4);
    job.produce(":2000");
    let instance = job.start(&["--commit-interval", "500ms"]);
    job.wait_until_all_is_committed();
    let older = job.committed();
    let rewind = || {
        for (partition, commit) in (0..).zip(&older) {
            if let Some((offset, metadata)) = commit {
                job.kafka.commit(&job.group, &job.topic, partition, *offset, metadata);
            }
        }
        assert_eq!(job.committed(), older);
    };
    job.produce("2000:5000");
    job.wait_until_all_is_committed();
    assert_eq!(instance.stop(), 5_000);

    rewind();
    job.produce("5000:");
    assert_eq!(job.run_until_end(), ALL - 5_000);
    job.check();

    rewind();
    let files = job.files();
    assert_eq!(job.run_until_end(), 0);
    assert_eq!(job.files(), files);
    job.wait_until_all_is_committed();
    job.check();
}

#[test]
fn a_partition_whose_offset_a_tool_has_moved_stops_until_the_operator_decides() {
    let job = Job::new("moved", 4);
    job.produce(":5000");
    let instance = job.start(&["--commit-interval", "500ms"]);
    job.wait_until_all_is_committed();
    assert_eq!(instance.stop(), 5_000);

    let before = job.committed()[1].clone().map_or(0, |(offset, _)| offset);
    job.kafka.reset_offset(&job.group, &job.topic, 1, 10);
    job.produce("5000:");
    let mut stopped = job.start(&["--until-end"]);
    assert_eq!(stopped.process.wait(PATIENCE).code(), Some(1));
    let said = stopped.process.stderr();
    assert!(said.contains("committed offset 10 was not written by this program, which is at offset"), "{said}");
    assert!(said.contains("--on-foreign-offset"), "{said}");
    assert!(said.contains(&format!("stopped partitions: {}/1", job.topic)), "{said}");
    assert_eq!(job.committed()[1], Some((10, String::new())), "the tool's offset stays as it is");

    // The other partitions are read already.
    let missing = job.kafka.end_offsets(&job.topic)[1] - before;
    let read = job.start(&["--until-end", "--on-foreign-offset", "resume"]).finish();
    assert_eq!(read, u64::try_from(missing).unwrap());
    job.check();
}

#[test]
fn a_second_group_is_refused_in_the_same_output() {
    let job = Job::new("claimed", 4);
    job.produce(":5000");
    job.run_until_end();
    let files = job.files();

    let mut other = job.start(&["--until-end", "--group", "others"]);
    assert_eq!(other.process.wait(PATIENCE).code(), Some(2));
    let said = other.process.stderr();
    assert!(said.contains(&format!("belongs to consumer group `{}`, this instance has `others`", job.group)), "{said}");
    assert!(said.contains("choose another --output"), "{said}");
    assert_eq!(job.files(), files);
    assert_eq!(job.kafka.committed("others", &job.topic, 1), None);
}
