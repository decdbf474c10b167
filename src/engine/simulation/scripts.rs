//! Histories that chance hardly meets, played step by step.
//!
//! What they have in common: an entry lands in the hole that its successor left by collecting. Each history keeps every promise, and
//! with its rule broken it does not.

use super::process::Request;
use super::store::{Object, Op};
use super::{MINUTE_US, NOON, Record, Simulation, Weights, promises};
use crate::engine::event::Input;
use crate::engine::lane::Lane;
use crate::engine::mutation::Mutation;
use crate::engine::state::{EntryNumber, EntryRef};

/// A history that is told, not drawn.
struct Script {
    simulation: Simulation,
}

/// What is held up in the network.
type HeldUp = dyn Fn(&Request) -> bool;

impl Script {
    fn new(mutation: Mutation, most_entries: usize) -> Self {
        let mut simulation = Simulation::new(0, mutation, true);
        simulation.weights = Weights { commit_interval_ms: u64::MAX, most_entries, ..Weights::none() };
        simulation.unsent = 0;
        Self { simulation }
    }

    /// Kafka gives the partition to a process, which recovers.
    fn assign(&mut self, id: usize) {
        self.simulation.assign(id);
        self.run(id);
    }

    /// A record whose event time is so many minutes after noon.
    fn produce(&mut self, minutes: i64) {
        let time = NOON.plus_us(minutes * MINUTE_US);
        self.simulation.records.push(Record { time: Some(time), kafka_timestamp: time });
    }

    /// A process reads that many records, and does nothing about it.
    fn read(&mut self, id: usize, records: usize) {
        for _ in 0..records {
            let process = &mut self.simulation.processes[id];
            let from = process.lane.as_ref().and_then(Lane::reads_from).expect("records are welcome");
            let record = self.simulation.records[usize::try_from(from.0).expect("an offset")];
            self.simulation.note(|_| format!("process {id} reads offset {from}"));
            self.simulation.processes[id].place(from, &record);
        }
    }

    /// A process appends what it has read.
    fn flush(&mut self, id: usize) {
        self.tell(id, Input::Flush);
    }

    fn tell(&mut self, id: usize, input: Input) {
        let now = self.simulation.now;
        self.simulation.processes[id].tell(now, input);
        self.simulation.act(id);
    }

    /// All that a process waits for is done and answered, until it waits for nothing more.
    fn run(&mut self, id: usize) {
        self.run_but(id, &|_| false);
    }

    /// The same, but for what is held up.
    fn run_but(&mut self, id: usize, held_up: &HeldUp) {
        self.simulation.act(id);
        while let Some(index) = self.simulation.network.iter().position(|request| {
            request.process == id && !held_up(request) && self.simulation.processes[id].life == request.life
        }) {
            self.step(index);
        }
    }

    /// One request does its work (or has done it), and is answered; if nobody waits any more, it only does its work.
    fn step(&mut self, index: usize) {
        if self.simulation.network[index].answer.is_none() {
            self.apply(index);
        }
        self.simulation.deliver(index);
    }

    fn apply(&mut self, index: usize) {
        let op = self.simulation.network[index].op.clone();
        let answer = self.simulation.store.apply(&op, self.simulation.step);
        self.simulation.note(|_| format!("{} -> {}", super::brief(&op), super::brief_answer(&answer)));
        self.simulation.network[index].answer = Some(answer);
        self.simulation.step += 1;
    }

    /// What was held up goes on: the first request of that kind.
    fn let_go(&mut self, held_up: &HeldUp) {
        let index = self.simulation.network.iter().position(held_up).expect("something is held up");
        self.step(index);
    }

    fn wait(&mut self, id: usize, ms: u64) {
        self.simulation.tick(ms);
        self.simulation.wake(id);
        self.run(id);
    }

    /// A process appends that its publications have ended, and collects.
    fn say(&mut self, id: usize) {
        self.wait(id, 100_000);
        self.flush(id);
        self.wait(id, 100_000);
        self.wait(id, 100_000);
    }

    fn newest(&self, id: usize) -> EntryRef {
        self.simulation.processes[id].lane.as_ref().expect("a lane").newest().entry
    }

    fn has_entry(&self, number: u64) -> bool {
        self.simulation.store.find_entry(EntryNumber(number)).is_some()
    }

    /// The history ends well: whoever holds the partition finishes, and every promise is kept.
    fn end(mut self) -> Result<(), String> {
        let outcome = self.simulation.after_step().and_then(|()| self.simulation.calm()).and_then(|()| {
            self.simulation.settle(true)?;
            promises::at_the_end(&self.simulation)
        });
        outcome.map_err(|what| format!("{}\n{what}", self.simulation.trace.take().unwrap_or_default()))
    }
}

fn creates_entry(number: u64) -> impl Fn(&Request) -> bool {
    move |request| matches!(&request.op, Op::Create { object: Object::Entry { entry, .. }, .. } if entry.number == EntryNumber(number))
}

fn lists(request: &Request) -> bool {
    matches!(request.op, Op::ListEntries { .. })
}

/// Process 0 closes 12:00 with entry 4, which is held up. Process 1 closes it with entry 5, publishes it, and collects its own entry 4: there
/// process 0's lands. Entry 3 holds rows of an epoch that stays open. Process 0 merges from `most_entries` on.
fn an_append_lands_in_the_hole(mutation: Mutation, most_entries: usize) -> Result<(), String> {
    let mut script = Script::new(mutation, most_entries);
    script.assign(0);
    for minutes in [1, 16, 17, 2, 20, 21] {
        script.produce(minutes);
    }
    script.read(0, 2);
    script.flush(0);
    script.run(0);
    assert_eq!(script.newest(0).number, EntryNumber(2));
    script.read(0, 1);
    script.flush(0);
    script.run_but(0, &creates_entry(3));
    script.read(0, 3); // 12:20 moves the watermark to 12:15, and 12:21 is in the closing entry
    script.let_go(&creates_entry(3));
    script.run_but(0, &|request| lists(request) || creates_entry(4)(request));
    // A listing that was begun before the append knows nothing of what comes now; its answer is on its way.
    if let Some(listing) = script.simulation.network.iter().position(lists) {
        script.apply(listing);
    }

    script.simulation.weights.most_entries = 9;
    script.assign(1);
    script.read(1, 1); // 12:02 alone, in an entry that closes nothing
    script.flush(1);
    script.run(1);
    script.read(1, 1); // 12:20 closes 12:00 with entry 5
    script.run(1);
    script.say(1);
    assert!(script.has_entry(3) && !script.has_entry(4) && script.has_entry(5), "there is a hole");

    script.let_go(&creates_entry(4));
    script.run(0);
    script.wait(0, 100_000);
    script.simulation.owner = 1;
    script.end()
}

/// Process 1 finds the partition idle and closes 12:00 with entry 3; its publication is held up as it reads that entry. Process 0, which does not know that
/// it has lost the partition, reads one record more into an entry 3 of its own, which is held up, too. The next owner publishes the close and collects entry 3;
/// then process 0's lands, and process 1 reads that.
fn a_publisher_reads_what_landed_in_the_hole(mutation: Mutation) -> Result<(), String> {
    let mut script = Script::new(mutation, 9);
    script.assign(0);
    script.produce(16);
    script.read(0, 1);
    script.flush(0);
    script.run(0);
    assert_eq!(script.newest(0).number, EntryNumber(2));

    script.simulation.assign(1);
    script.run(1);
    script.produce(2);
    script.read(1, 1);
    let end = script.simulation.processes[1].lane.as_ref().map(Lane::position).expect("a lane");
    script.tell(1, Input::AtEnd { offset: end });
    script.simulation.now.wall = NOON.plus_us(21 * MINUTE_US);
    let reads_entry_3 = |request: &Request| matches!(&request.op, Op::Get { key } if *key == format!("log/{:020}", 3));
    script.simulation.tick(100_000);
    script.simulation.wake(1);
    script.run_but(1, &reads_entry_3);
    assert!(script.simulation.network.iter().any(|request| request.process == 1 && reads_entry_3(request)));

    script.produce(3);
    script.read(0, 2);
    script.flush(0);
    let mine = |request: &Request| request.process == 0 && creates_entry(3)(request);
    script.run_but(0, &mine);
    script.simulation.processes[0].forget();

    script.assign(0);
    script.wait(0, 100_000);
    script.read(0, 1);
    script.say(0);
    assert!(!script.has_entry(3) && script.has_entry(4), "there is a hole");

    script.let_go(&mine);
    assert!(script.has_entry(3));
    script.let_go(&reads_entry_3);
    script.run(1);
    script.end()
}

fn keeps_and_breaks(history: impl Fn(Mutation) -> Result<(), String>, rule: Mutation) {
    if let Err(what) = history(Mutation::None) {
        panic!("the rules are kept, and yet: {what}");
    }
    let what = history(rule).expect_err("a broken rule must show");
    println!("{rule:?}: found by its history: {}", what.lines().last().unwrap_or_default());
}

#[test]
fn finds_a_publication_without_a_check() {
    keeps_and_breaks(|rule| an_append_lands_in_the_hole(rule, 9), Mutation::PublishUnchecked);
}

#[test]
fn finds_a_check_by_an_older_listing() {
    keeps_and_breaks(|rule| an_append_lands_in_the_hole(rule, 9), Mutation::CheckByOlderListing);
}

#[test]
fn finds_a_collection_without_a_check() {
    keeps_and_breaks(|rule| an_append_lands_in_the_hole(rule, 1), Mutation::CollectUnchecked);
}

#[test]
fn finds_entries_taken_by_number_alone() {
    keeps_and_breaks(a_publisher_reads_what_landed_in_the_hole, Mutation::IgnoreEntryIds);
}
