//! A seeded simulation of the lane protocol: the real [`Lane`](super::lane::Lane), two processes that may both believe that they own the
//! partition, and a network and a store that do everything that real ones do. A seed is one history, and replays exactly:
//!
//! ```text
//! SIMULATION_SEED=4711 cargo test --lib replay -- --nocapture
//! ```
//!
//! What may happen between any two steps: a request is applied late, twice or never, or its answer is lost; a process crashes,
//! freezes and wakes up, loses the partition without noticing, or hands it over; a commit of long ago lands; a downstream job
//! compacts published files; a new program version with other settings starts. Then the faults end, one process is left to finish,
//! and the promises are checked: nothing lost, nothing doubled, nothing half-done, one file a bucket.

#![allow(clippy::wildcard_enum_match_arm, reason = "an answer of another kind than asked for is no answer")]

mod exploration;
mod faults;
mod process;
mod promises;
mod scripts;
mod store;
mod tests;

use std::fmt::Write as _;

use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use self::process::{Process, Request};
use self::store::{Answer, Object, Op, Store};
use super::event::{Input, Now};
use super::lane::{DataLossPolicy, ForeignOffsetPolicy, LaneConfig, LatePolicy, MergeConfig};
use super::mutation::Mutation;
use super::state::{Offset, Recipe};
use super::time::{EpochLength, EventTime};

const MINUTE_US: i64 = 60_000_000;
const QUARTER_US: i64 = 15 * MINUTE_US;
/// 2026-11-22T12:00:00Z.
const NOON: EventTime = EventTime(1_795_348_800_000_000);
/// Steps within which everything must be settled after the last fault.
const SETTLE_STEPS: u64 = 4_000;

/// A record of the Kafka partition; without an event time it is a dead letter.
#[derive(Debug, Clone, Copy)]
struct Record {
    time: Option<EventTime>,
    kafka_timestamp: EventTime,
}

/// A broken promise.
#[derive(Debug)]
pub(super) struct Violation {
    seed: u64,
    what: String,
    trace: String,
}

/// What a history contained.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Stats {
    steps: u64,
    crashes: u64,
}

struct Simulation {
    rng: Pcg64Mcg,
    step: u64,
    now: Now,
    records: Vec<Record>,
    /// Records that the producer has still to send.
    unsent: usize,
    frontier: EventTime,
    store: Store,
    network: Vec<Request>,
    processes: Vec<Process>,
    owner: usize,
    mutation: Mutation,
    weights: Weights,
    idles: bool,
    stats: Stats,
    trace: Option<String>,
}

/// How likely the faults of this history are, in thousandths.
struct Weights {
    lose: u32,
    delay: u32,
    double: u32,
    crash: u32,
    rebalance: u32,
    freeze: u32,
    compact: u32,
    /// How many requests are held up in the network: most for some steps, a few for hundreds.
    hold: u32,
    /// How soon a process learns that it has lost the partition.
    unaware: u32,
    /// How often Kafka holds an old commit when the partition is assigned.
    old_commit: u32,
    /// How soon a request whose sender is gone lands or is lost.
    linger: u32,
    read_batch: usize,
    late: u32,
    commit_interval_ms: u64,
    gather_closes_ms: u64,
    collect_grace_ms: u64,
    most_entries: usize,
}

impl Weights {
    /// Nothing goes wrong.
    const fn none() -> Self {
        Self {
            lose: 0,
            delay: 0,
            double: 0,
            crash: 0,
            rebalance: 0,
            freeze: 0,
            compact: 0,
            hold: 0,
            unaware: 0,
            old_commit: 0,
            linger: 300,
            read_batch: 5,
            late: 0,
            commit_interval_ms: 1_000,
            gather_closes_ms: 0,
            collect_grace_ms: 0,
            most_entries: 32,
        }
    }
}

/// Runs one history.
pub(super) fn run(seed: u64, mutation: Mutation, traced: bool) -> Result<Stats, Violation> {
    let mut simulation = Simulation::new(seed, mutation, traced);
    let outcome = simulation.history();
    let stats = simulation.stats;
    outcome.map(|()| stats).map_err(|what| Violation { seed, what, trace: simulation.trace.take().unwrap_or_default() })
}

impl Simulation {
    fn new(seed: u64, mutation: Mutation, traced: bool) -> Self {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let weights = Weights {
            lose: rng.random_range(0..250),
            delay: rng.random_range(0..250),
            double: rng.random_range(0..80),
            crash: rng.random_range(0..12),
            rebalance: rng.random_range(0..25),
            freeze: rng.random_range(0..25),
            compact: rng.random_range(0..40),
            hold: rng.random_range(0..400),
            unaware: rng.random_range(2..30),
            old_commit: rng.random_range(0..500),
            linger: if rng.random_bool(0.5) { 300 } else { 10 },
            read_batch: rng.random_range(1..6),
            late: rng.random_range(0..150),
            commit_interval_ms: rng.random_range(500..6_000),
            collect_grace_ms: rng.random_range(0..3_000),
            most_entries: rng.random_range(1..6),
            gather_closes_ms: [0, 1_000, 5_000][rng.random_range(0..3)],
        };
        let store = Store { mutation, ..Store::default() };
        Self {
            step: 0,
            now: Now { mono_ms: 1_000, wall: NOON },
            records: Vec::new(),
            unsent: rng.random_range(8..80),
            frontier: NOON,
            store,
            network: Vec::new(),
            processes: vec![Process::new(0, mutation), Process::new(1, mutation)],
            owner: 0,
            mutation,
            weights,
            idles: rng.random_bool(0.3),
            stats: Stats::default(),
            trace: traced.then(String::new),
            rng,
        }
    }

    fn history(&mut self) -> Result<(), String> {
        self.assign(0);
        let faults_end = self.rng.random_range(100..900);
        while self.step < faults_end || self.unsent > 0 {
            self.fault();
            self.progress();
            self.after_step()?;
        }
        self.calm()?;
        self.settle(true)?;
        // One more late record, when nothing else is open and the clock on the wall says nothing new.
        self.records.push(Record { time: Some(NOON.plus_us(-QUARTER_US)), kafka_timestamp: self.frontier });
        self.settle(false)?;
        promises::at_the_end(self)
    }

    fn after_step(&mut self) -> Result<(), String> {
        self.step += 1;
        self.stats.steps = self.step;
        for process in &self.processes {
            if let Some(reason) = &process.stopped {
                return Err(format!("process {} stopped: {reason}", process.id));
            }
        }
        match self.store.complaint.take() {
            Some(complaint) => Err(complaint),
            None => promises::at_any_time(&self.store),
        }
    }

    fn chance(&mut self, thousandths: u32) -> bool {
        self.rng.random_range(0..1000) < thousandths
    }

    fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{:5} {}", self.step, line(self));
            if let Some(trace) = &mut self.trace {
                let _ = writeln!(trace, "{line}");
            }
        }
    }

    fn config(&mut self) -> LaneConfig {
        // Another program version, or other settings, may start at any time; the event-time settings stay.
        let layout = if self.rng.random_bool(0.3) { "path,year" } else { "path" };
        LaneConfig {
            epoch: EpochLength::from_us(QUARTER_US).expect("15 minutes divide a day"),
            allowed_lateness_us: 5 * MINUTE_US,
            late: LatePolicy::Append,
            commit_interval_ms: self.weights.commit_interval_ms,
            gather_closes_ms: self.weights.gather_closes_ms,
            idle_timeout_ms: 30_000,
            collect_grace_ms: self.weights.collect_grace_ms,
            merge: MergeConfig { most_entries: self.weights.most_entries, most_bytes: 400 },
            recipe: Recipe {
                partition_by: vec![layout.to_owned()],
                max_buckets: 10,
                layout: u32::try_from(self.owner).unwrap_or(0),
                schema: 1,
                compression: "none".to_owned(),
            },
            on_foreign_offset: ForeignOffsetPolicy::Stop,
            on_data_loss: DataLossPolicy::Stop,
            mutation: self.mutation,
        }
    }

    /// Kafka gives the partition to a process.
    fn assign(&mut self, owner: usize) {
        self.owner = owner;
        let config = self.config();
        let seed = u128::from(self.rng.next_u64()) << 64 | u128::from(self.rng.next_u64());
        let build = self.rng.random_range(0..2);
        self.note(|_| format!("partition is assigned to process {owner}"));
        self.processes[owner].build = build;
        self.processes[owner].frozen = false;
        if self.chance(self.weights.old_commit) && !self.store.commits.is_empty() {
            let old = self.rng.random_range(0..self.store.commits.len());
            self.store.committed = self.store.commits.get(old).cloned();
            self.note(|simulation| format!("a commit of long ago lands: {:?}", simulation.store.committed));
        }
        self.processes[owner].assign(config, &self.store, seed, self.now);
        self.act(owner);
    }

    fn act(&mut self, id: usize) {
        let range = (Offset(0), Offset(i64::try_from(self.records.len()).unwrap_or(0)));
        let sent = self.network.len();
        let gave_way = self.processes[id].act(&mut self.network, self.now, range);
        if let Some(number) = gave_way
            && !self.store.was_ahead(number, self.processes[id].own_entries())
        {
            self.store.complaint.get_or_insert(format!("process {id} drops entry {number} although nobody is ahead"));
        }
        self.launch(id, sent);
    }

    /// Requests from `sent` on are on their way.
    fn launch(&mut self, id: usize, sent: usize) {
        for index in sent..self.network.len() {
            self.network[index].not_before = self.hold();
            self.note(|simulation| format!("process {id} sends {}", brief(&simulation.network[index].op)));
        }
    }

    /// Returns the step before which a new request does not reach its goal.
    fn hold(&mut self) -> u64 {
        // A heavy tail: what lands when the world has moved on by several entries is what hurts.
        let held = self.chance(self.weights.hold);
        if held { self.step + (1 << self.rng.random_range(0..10)) } else { 0 }
    }

    fn progress(&mut self) {
        match self.rng.random_range(0..10) {
            0 => self.produce(),
            1..=2 => {
                let id = self.rng.random_range(0..2);
                self.read(id);
            }
            3..=4 => {
                let ms = self.rng.random_range(0..1_500);
                self.tick(ms);
                for id in 0..2 {
                    self.wake(id);
                }
            }
            _ => self.progress_network(),
        }
    }

    fn tick(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall = self.now.wall.plus_us(i64::try_from(ms * 1000).unwrap_or(0));
    }

    fn wake(&mut self, id: usize) {
        if self.processes[id].frozen {
            return;
        }
        if let Some(lane) = &mut self.processes[id].lane {
            lane.tick(self.now);
        }
        self.act(id);
    }

    fn produce(&mut self) {
        if self.unsent == 0 {
            return;
        }
        self.unsent -= 1;
        self.frontier = self.frontier.plus_us(self.rng.random_range(0..4 * MINUTE_US));
        let behind = if self.chance(self.weights.late) {
            self.rng.random_range(20..50) * MINUTE_US
        } else {
            self.rng.random_range(0..4) * MINUTE_US
        };
        let time = if self.chance(40) { None } else { Some(self.frontier.plus_us(-behind)) };
        self.records.push(Record { time, kafka_timestamp: self.frontier });
    }

    /// A process takes some records, if its lane welcomes them. It may be a zombie: Kafka still serves it what it has fetched.
    fn read(&mut self, id: usize) {
        if self.processes[id].frozen {
            return;
        }
        for _ in 0..self.rng.random_range(0..=self.weights.read_batch) {
            let Some(from) = self.processes[id].lane.as_ref().and_then(super::lane::Lane::reads_from) else { return };
            let Some(record) = usize::try_from(from.0).ok().and_then(|index| self.records.get(index)).copied() else {
                if self.idles {
                    self.processes[id].tell(self.now, Input::AtEnd { offset: from });
                }
                break;
            };
            self.note(|_| format!("process {id} reads offset {from}"));
            self.processes[id].place(from, &record);
        }
        if self.chance(20) {
            self.processes[id].tell(self.now, Input::Flush);
        }
        self.act(id);
    }

    /// One request moves on: it is applied, or answered, or lost.
    fn progress_network(&mut self) {
        if self.network.is_empty() {
            return;
        }
        let index = self.rng.random_range(0..self.network.len());
        let (lose, delay, double) = (self.weights.lose, self.weights.delay, self.weights.double);
        if self.network[index].answer.is_some() {
            return self.deliver(index);
        }
        if self.network[index].not_before > self.step {
            if !self.is_orphan(index) && self.chance(delay) {
                self.give_up(index);
            }
            return;
        }
        if self.is_orphan(index) {
            // Its sender is gone; it may still land, or be lost.
            if self.chance(self.weights.linger) {
                let request = self.network.swap_remove(index);
                if self.rng.random_bool(0.6) {
                    self.note(|_| format!("a request of long ago lands: {}", brief(&request.op)));
                    self.store.apply(&request.op, self.step);
                }
            }
            return;
        }
        if self.chance(delay) {
            return self.give_up(index);
        }
        if self.chance(double) && is_write(&self.network[index].op) {
            let not_before = self.hold();
            self.network.push(self.network[index].nobodys(not_before));
        }
        let op = self.network[index].op.clone();
        let refuses =
            matches!(&op, Op::Create { key, .. } if !self.store.objects.contains_key(key)) && self.chance(double / 2);
        // S3 answers 409 while another PUT of that key is under way, whatever becomes of that one.
        let answer = if refuses { Answer::AlreadyThere } else { self.store.apply(&op, self.step) };
        let lost = self.chance(lose);
        self.note(|simulation| {
            let request = &simulation.network[index];
            format!(
                "process {}: {} -> {}{}",
                request.process,
                brief(&request.op),
                brief_answer(&answer),
                if lost { " (answer lost)" } else { "" }
            )
        });
        self.network[index].answer = Some(if lost { Answer::Nothing } else { answer });
    }

    /// The client gives up, the request lives on.
    fn give_up(&mut self, index: usize) {
        let request = &self.network[index];
        if is_write(&request.op) {
            let not_before = request.not_before.max(self.hold());
            self.network.push(self.network[index].nobodys(not_before));
        }
        self.network[index].answer = Some(Answer::Nothing);
        self.note(|simulation| format!("no answer in time: {}", brief(&simulation.network[index].op)));
    }

    fn is_orphan(&self, index: usize) -> bool {
        let request = &self.network[index];
        self.processes[request.process].life != request.life
    }

    fn deliver(&mut self, index: usize) {
        let (id, orphan) = (self.network[index].process, self.is_orphan(index));
        if !orphan && self.processes[id].frozen {
            return;
        }
        let request = self.network.swap_remove(index);
        if orphan {
            return;
        }
        let sent = self.network.len();
        self.processes[id].answered(&mut self.network, &request, self.now);
        self.launch(id, sent);
        self.act(id);
    }

    /// The faults end: requests of long ago land or are lost, and one process is left.
    fn calm(&mut self) -> Result<(), String> {
        self.note(|_| "the faults end".to_owned());
        let Weights { commit_interval_ms, gather_closes_ms, collect_grace_ms, most_entries, .. } = self.weights;
        self.weights =
            Weights { commit_interval_ms, gather_closes_ms, collect_grace_ms, most_entries, ..Weights::none() };
        for id in 0..2 {
            self.processes[id].frozen = false;
        }
        self.network.iter_mut().for_each(|request| request.not_before = 0);
        let zombie = 1 - self.owner;
        self.processes[zombie].forget();
        if self.rng.random_bool(0.5) {
            self.processes[self.owner].forget();
            self.assign(zombie);
        }
        self.idles = true;
        self.after_step()
    }

    /// What is left must be finished.
    fn settle(&mut self, wall_moves: bool) -> Result<(), String> {
        let owner = self.owner;
        for _ in 0..SETTLE_STEPS {
            while !self.network.is_empty() {
                self.progress_network();
            }
            let wall = self.now.wall;
            self.tick(1_000);
            if !wall_moves {
                self.now.wall = wall;
            } else if self.step.is_multiple_of(50) {
                // Idleness closes what the wall clock has passed.
                self.now.wall = self.now.wall.plus_us(QUARTER_US);
            }
            self.read(owner);
            self.wake(owner);
            self.after_step()?;
            if promises::is_settled(self) {
                return Ok(());
            }
        }
        Err(format!("not settled {SETTLE_STEPS} steps after the last fault: {:#?}", self.processes[owner].lane))
    }
}

fn is_write(op: &Op) -> bool {
    matches!(op, Op::Create { .. } | Op::Delete { .. } | Op::Commit { .. })
}

fn brief(op: &Op) -> String {
    match op {
        Op::Create { key, object: Object::Entry { rows, entry, .. } } => {
            let id = entry.id;
            format!("create {key} {id} with {:?}", rows.iter().map(|row| row.offset.0).collect::<Vec<_>>())
        }
        Op::Create { key, object } => format!("create {key} {object:?}"),
        Op::ListEntries { .. } | Op::Get { .. } | Op::ReceiptsExist | Op::Delete { .. } | Op::Commit { .. } => {
            format!("{op:?}")
        }
    }
}

fn brief_answer(answer: &Answer) -> String {
    match answer {
        Answer::Got(Some(_)) => "found".to_owned(),
        other => format!("{other:?}"),
    }
}
