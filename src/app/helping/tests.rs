use std::thread;
use std::time::Duration;

use rdkafka::config::ClientConfig;

use super::*;
use crate::engine::commit::Committed;
use crate::kafka::ffi::Queue;
use crate::kafka::member::{Assignments, Bridge, CommitRequest, Member};

/// A group that nobody joins.
struct Nobody;

impl Assignments for Nobody {
    fn assigned(&self, _: Vec<(TopicPartition, Committed)>) {}

    fn revoked(&self, _: Vec<TopicPartition>) -> Vec<CommitRequest> {
        Vec::new()
    }

    fn lost(&self, _: Vec<TopicPartition>) {}

    fn committed(&self, _: &CommitRequest, _: Option<String>) {}

    fn rebalanced(&self) {}

    fn queue(&self, _: &TopicPartition) -> Option<Arc<Queue<Bridge>>> {
        None
    }
}

/// Workers without a broker, and what each is told.
fn crew(count: usize) -> (Arc<Crew>, Vec<Receiver<ToWorker>>) {
    let mut config = ClientConfig::new();
    config.set("group.id", "g");
    let (_, consumer, _) = Member::new(&config, Arc::new(Nobody)).expect("a member");
    let queue = Arc::new(Queue::new(&consumer).expect("a queue"));
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| channel()).unzip();
    let mailboxes: Vec<Mailbox> =
        senders.into_iter().map(|messages| Mailbox { messages, queue: Arc::clone(&queue) }).collect();
    (Crew::new(&mailboxes), receivers)
}

fn part(helper: usize) -> Part {
    Part { batch: Batch::with_capacity(0), helper, lent: Vec::new(), decoded: None }
}

#[test]
fn only_a_worker_that_waits_is_claimed_and_only_once() {
    let (crew, _receivers) = crew(6);
    assert!(!crew.may_help(0) && crew.claim(0).is_empty());
    crew.while_waiting(1, || {
        crew.while_waiting(4, || {
            assert!(crew.may_help(0));
            assert_eq!(crew.claim(0), [1, 4]);
            assert!(!crew.may_help(0) && crew.claim(0).is_empty());
        });
        // It was claimed, and is not there again because another one is.
        crew.while_waiting(2, || assert_eq!(crew.claim(0), [2]));
    });
    assert!(crew.claim(0).is_empty());
    // Who is claimed and waits again has perhaps not been told yet; it will be told twice.
    crew.while_waiting(1, || assert_eq!(crew.claim(0), [1]));
    let waits = |number: usize| crew.members[number].waits.store(true, Ordering::Relaxed);
    (0..6).for_each(waits);
    assert_eq!(crew.claim(0), [0, 1, 2]);
    assert_eq!(crew.claim(0), [3, 4, 5], "the others are not claimed for nothing");
}

#[test]
fn who_has_taken_as_much_does_not_help() {
    let (crew, _receivers) = crew(2);
    let ms = Duration::from_millis;
    let helps = |number| crew.while_waiting(1 - number, || crew.may_help(number) && crew.claim(number) == [1 - number]);
    crew.note_taken(0, 1_000, ms(0));
    assert!(helps(0), "it has taken nothing");
    crew.note_taken(1, 500, ms(0));
    assert!(helps(0), "it has taken no more than half");
    crew.note_taken(1, 1, ms(199));
    assert!(!helps(0) && !helps(1), "each has its hands full");
    // What both have taken counts less and less.
    crew.note_taken(0, 20_000, ms(200));
    assert!(helps(0));
    for turn in 2..10_u64 {
        crew.note_taken(1, 2_000, ms(turn * 200));
    }
    assert!(helps(1) && !helps(0));
}

#[test]
fn the_rows_of_all_workers_count_together() {
    let (crew, _receivers) = crew(3);
    assert_eq!([crew.note_rows(0, 5), crew.note_rows(2, 10), crew.note_rows(0, 1)], [5, 15, 11]);
}

#[test]
fn a_batch_is_divided_so_that_all_are_done_together() {
    assert!(starts(2_048, 0).is_empty());
    assert_eq!(starts(2_000, 1), [400]);
    assert_eq!(starts(1_300, 3), [100, 500, 900]);
}

#[test]
fn what_a_helper_has_decoded_comes_back() {
    let (crew, receivers) = crew(2);
    let helper = thread::spawn(move || {
        let message = receivers[1].recv_timeout(Duration::from_secs(10)).expect("something to do");
        let ToWorker::Help(job) = message else { panic!("a job") };
        job.run();
    });
    let part = crew.send(part(1)).wait().expect("an answer");
    assert_eq!((part.helper, part.decoded), (1, Some(Ok(()))));
    helper.join().expect("an end");
}

#[test]
fn a_part_whose_helper_has_ended_stays_with_its_worker() {
    let (crew, receivers) = crew(2);
    drop(receivers);
    let part = crew.send(part(1)).wait().expect("the part");
    assert_eq!((part.helper, part.decoded), (1, None));
}

#[test]
fn a_part_that_is_lost_with_its_helper_is_missed() {
    let (crew, receivers) = crew(2);
    let away = crew.send(part(1));
    assert!(matches!(away, Away::Sent(_)));
    drop(receivers);
    assert!(away.wait().is_none());
}
