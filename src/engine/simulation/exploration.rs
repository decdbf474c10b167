//! Every history of a small world: two processes that may both believe that they own the lane, a handful of records, and a few faults, each possible
//! between any two steps. The code under test is the real lane and its protocol; [`stateright`] walks through all states.
//!
//! Free at every step: whose turn it is, which write is served next (one that is left alone is slow), when what was read is appended. Each of these
//! costs one of a given number of faults: a crash, a partition that moves without its owner's knowledge, an answer that is lost, a request that lives on
//! after its sender has given up, reads that are slow, a request that is served now and answered later. Time goes on in leaps that are longer than any wait.
//! Commits and markers decide nothing, and are served at once.
//!
//! # Invariants checked
//! * in every state: nothing that a reader could see is doubled, every receipt is true, no lane stops;
//! * from every state without requests on their way: when the faults end, all that was read is published, once, and the lanes come to rest.

use std::hash::{DefaultHasher, Hash, Hasher};

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use stateright::{Checker, Model, Property};

use super::process::{Caller, Process, Request};
use super::store::{Answer, Object, Op, Store};
use super::tests::from_environment;
use super::{MINUTE_US, NOON, QUARTER_US, Record, Simulation, Weights, is_write, promises};
use crate::engine::event::{Input, Now};
use crate::engine::lane::tests::config;
use crate::engine::lane::{Lane, LaneConfig, MergeConfig};
use crate::engine::mutation::Mutation;
use crate::engine::state::Offset;

/// A small world.
#[derive(Debug, Clone)]
struct Small {
    /// Event times of the records, in minutes after noon.
    minutes: Vec<i64>,
    /// How many of the records are in an entry when the histories begin.
    settled: usize,
    /// How many faults a history may have.
    faults: u8,
    /// How many leaps of time.
    leaps: u8,
    /// Whether a partition that moves without its owner's knowledge is the only fault.
    only_steals: bool,
    /// How many entries may hold rows of one scope before they are merged, in each process.
    most_entries: [usize; 2],
    mutation: Mutation,
}

/// A state of it.
#[derive(Debug, Clone)]
struct World {
    store: Store,
    network: Vec<Request>,
    processes: Vec<Process>,
    owner: usize,
    now: Now,
    faults: u8,
    leaps: u8,
    assigned: u64,
    /// What is read in this step is answered later.
    slow: bool,
    broken: Option<String>,
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { store, network, processes, owner, now, faults, leaps, assigned, slow, broken } = self;
        (store, processes, owner, now, faults, leaps, assigned, slow, broken).hash(state);
        // The order in which requests were sent says nothing.
        let each = network.iter().map(hash_of);
        each.fold(0_u64, u64::wrapping_add).hash(state);
    }
}

fn is_read(op: &Op) -> bool {
    matches!(op, Op::ListEntries { .. } | Op::Get { .. } | Op::ReceiptsExist)
}

fn decides_nothing(op: &Op) -> bool {
    matches!(op, Op::Commit { .. } | Op::Create { object: Object::ClosedThrough, .. })
}

fn hash_of(thing: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    hasher.finish()
}

/// As far as the checker is concerned, states that hash alike are one.
impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        hash_of(self) == hash_of(other)
    }
}

/// What may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    what: What,
    /// A fault: what is read because of it is answered later.
    slow: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A process reads the next record.
    Read(usize),
    /// A process appends what it has read.
    Flush(usize),
    /// A request is served and answered.
    Serve(usize),
    /// A request is served, and answered later.
    ServeOnly(usize),
    /// A request is served, and its answer is lost.
    LoseAnswer(usize),
    /// The sender of a request gives up, and the request lives on.
    GiveUp(usize),
    /// A process dies, and the partition goes to the other.
    Crash(usize),
    /// The partition goes to the other process, and its owner does not know.
    Steal,
    /// Time leaps.
    Leap,
}

impl Small {
    fn world(&self) -> World {
        let processes = vec![Process::new(0, self.mutation), Process::new(1, self.mutation)];
        let store = Store { mutation: self.mutation, ..Store::default() };
        let now = Now { mono_ms: 1_000, wall: NOON };
        let (faults, leaps) = (self.faults, self.leaps);
        let mut world = World {
            store,
            network: Vec::new(),
            processes,
            owner: 0,
            now,
            faults,
            leaps,
            assigned: 0,
            slow: false,
            broken: None,
        };
        self.assign(&mut world, 0);
        if self.settled > 0 {
            self.settle(&mut world);
        }
        world
    }

    /// Process 0 has taken the first records, appended them, and rests.
    fn settle(&self, world: &mut World) {
        self.serve_all(world);
        for _ in 0..self.settled {
            if let Some((offset, record)) = self.next_record(world, 0) {
                world.processes[0].place(offset, &record);
            }
        }
        let now = world.now;
        world.processes[0].tell(now, Input::Flush);
        self.act(world, 0);
        self.serve_all(world);
    }

    fn serve_all(&self, world: &mut World) {
        while !world.network.is_empty() {
            self.apply(world, 0);
            self.deliver(world, 0);
        }
    }

    fn config(&self, owner: usize) -> LaneConfig {
        LaneConfig {
            idle_timeout_ms: 30_000,
            collect_grace_ms: 0,
            merge: MergeConfig { most_entries: self.most_entries[owner], most_bytes: 1_000 },
            mutation: self.mutation,
            ..config()
        }
    }

    fn assign(&self, world: &mut World, owner: usize) {
        world.owner = owner;
        world.assigned += 1;
        let seed = u128::from(world.assigned) << 96 | u128::from(world.assigned) << 1 | 1;
        let now = world.now;
        world.processes[owner].assign(self.config(owner), &world.store, seed, now);
        self.act(world, owner);
    }

    /// Carries out what the lane asks for. What it reads is served at once; so are commits and markers, or the world would not stay small.
    fn act(&self, world: &mut World, id: usize) {
        let end = Offset(i64::try_from(self.minutes.len()).unwrap_or(0));
        let now = world.now;
        let _ = world.processes[id].act(&mut world.network, now, (Offset(0), end));
        if world.slow {
            let reads = world.network.iter_mut().filter(|request| request.not_before == 0 && is_read(&request.op));
            reads.for_each(|request| request.not_before = 1);
        }
        let quick =
            |request: &Request| request.not_before == 0 && (is_read(&request.op) || decides_nothing(&request.op));
        while let Some(index) = world.network.iter().position(quick) {
            self.apply(world, index);
            self.deliver(world, index);
        }
    }

    fn record(&self, offset: Offset) -> Option<Record> {
        let minutes = self.minutes.get(usize::try_from(offset.0).ok()?)?;
        let time = NOON.plus_us(minutes * MINUTE_US);
        Some(Record { time: Some(time), kafka_timestamp: time })
    }

    fn next_record(&self, world: &World, id: usize) -> Option<(Offset, Record)> {
        let from = world.processes[id].lane.as_ref().and_then(Lane::reads_from)?;
        Some((from, self.record(from)?))
    }

    fn apply(&self, world: &mut World, index: usize) {
        let op = world.network[index].op.clone();
        let answer = world.store.apply(&op, 0);
        // A history of commits would tell states apart that are alike.
        world.store.commits.clear();
        world.network[index].answer = Some(answer);
    }

    fn deliver(&self, world: &mut World, index: usize) {
        let request = world.network.swap_remove(index);
        let id = request.process;
        if world.processes[id].life == request.life {
            let now = world.now;
            world.processes[id].answered(&mut world.network, &request, now);
            self.act(world, id);
        }
    }

    /// When the faults end here, everything comes to a good end.
    fn ends_well(&self, world: &World) -> Result<(), String> {
        let mut simulation = Simulation {
            rng: Pcg64Mcg::seed_from_u64(1),
            step: 0,
            now: world.now,
            records: (0..).map_while(|offset| self.record(Offset(offset))).collect(),
            unsent: 0,
            frontier: NOON.plus_us(4 * QUARTER_US),
            store: world.store.clone(),
            network: world.network.clone(),
            processes: world.processes.clone(),
            owner: world.owner,
            mutation: self.mutation,
            weights: Weights::none(),
            idles: true,
            stats: super::Stats::default(),
            trace: None,
        };
        simulation.calm()?;
        simulation.settle(true)?;
        promises::at_the_end(&simulation)
    }
}

impl Model for Small {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![self.world()]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if world.broken.is_some() {
            return;
        }
        let mut free = Vec::new();
        for id in 0..2 {
            if self.next_record(world, id).is_some() {
                free.push(What::Read(id));
            }
            if world.processes[id].has_rows_to_append() {
                free.push(What::Flush(id));
            }
        }
        free.extend((0..world.network.len()).map(What::Serve));
        if world.leaps > 0 {
            free.push(What::Leap);
        }
        steps.extend(free.iter().map(|what| Step { what: *what, slow: false }));
        if world.faults == 0 {
            return;
        }
        steps.push(Step { what: What::Steal, slow: false });
        if self.only_steals {
            return;
        }
        steps.extend(free.iter().map(|what| Step { what: *what, slow: true }));
        let alive = (0..2).filter(|id| world.processes[*id].lane.is_some());
        let mut faults: Vec<What> = alive.map(What::Crash).collect();
        for (index, request) in world.network.iter().enumerate() {
            let waits = world.processes[request.process].life == request.life && request.caller != Caller::Nobody;
            if waits && request.answer.is_none() {
                faults.push(What::ServeOnly(index));
                if is_write(&request.op) {
                    faults.extend([What::LoseAnswer(index), What::GiveUp(index)]);
                }
            }
        }
        steps.extend(faults.iter().map(|what| Step { what: *what, slow: false }));
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        world.slow = step.slow;
        world.faults -= u8::from(step.slow);
        match step.what {
            What::Read(id) => {
                let (offset, record) = self.next_record(&world, id)?;
                world.processes[id].place(offset, &record);
                self.act(&mut world, id);
            }
            What::Flush(id) => {
                let now = world.now;
                world.processes[id].tell(now, Input::Flush);
                self.act(&mut world, id);
            }
            What::Serve(index) => {
                if world.network[index].answer.is_none() {
                    self.apply(&mut world, index);
                }
                self.deliver(&mut world, index);
            }
            What::ServeOnly(index) => {
                world.faults -= 1;
                self.apply(&mut world, index);
            }
            What::LoseAnswer(index) => {
                world.faults -= 1;
                self.apply(&mut world, index);
                world.network[index].answer = Some(Answer::Nothing);
                self.deliver(&mut world, index);
            }
            What::GiveUp(index) => {
                world.faults -= 1;
                let late = world.network[index].nobodys(0);
                world.network.push(late);
                world.network[index].answer = Some(Answer::Nothing);
                self.deliver(&mut world, index);
            }
            What::Crash(id) => {
                world.faults -= 1;
                world.processes[id].forget();
                if id == world.owner {
                    self.assign(&mut world, 1 - id);
                }
            }
            What::Steal => {
                world.faults -= 1;
                let next = 1 - world.owner;
                self.assign(&mut world, next);
            }
            What::Leap => {
                world.leaps -= 1;
                world.now.mono_ms += 100_000;
                for id in 0..2 {
                    let now = world.now;
                    if let Some(lane) = &mut world.processes[id].lane {
                        lane.tick(now);
                    }
                    self.act(&mut world, id);
                }
            }
        }
        if std::mem::take(&mut world.slow) && !world.network.iter().any(|request| request.not_before == 1) {
            return None; // nothing was read
        }
        // What nobody waits for and changes nothing is nothing.
        let lives: Vec<u64> = world.processes.iter().map(|process| process.life).collect();
        world.network.retain(|request| {
            let waits = lives[request.process] == request.life && request.caller != Caller::Nobody;
            waits || (is_write(&request.op) && request.answer.is_none())
        });
        let stopped = world.processes.iter().find_map(|process| process.stopped.as_ref().map(ToString::to_string));
        let seen = promises::at_any_time(&world.store).err();
        let rests = || if world.network.is_empty() { self.ends_well(&world).err() } else { None };
        world.broken = stopped.or(seen).or_else(rests);
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("every promise is kept", |_, world: &World| world.broken.is_none())]
    }
}

/// Explores all of it; returns how many states there are, or the history that breaks a promise.
fn explore(small: Small) -> Result<usize, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = small.clone().checker().threads(threads).spawn_dfs().join();
    match checker.discovery("every promise is kept") {
        None => Ok(checker.unique_state_count()),
        Some(path) => {
            let (last, steps) = (path.last_state().broken.clone().unwrap_or_default(), path.into_actions());
            Err(format!("{last}\nafter {steps:?}"))
        }
    }
}

/// Records of two epochs, the second of which closes the first.
const TWO: [i64; 2] = [1, 20];
/// The last closes the first epoch, and the first is in the second, which stays open.
const THREE: [i64; 3] = [16, 2, 20];

fn small(minutes: &[i64], faults: u8) -> Small {
    let (minutes, mutation) = (minutes.to_vec(), Mutation::None);
    Small { minutes, settled: 0, faults, leaps: 1, only_steals: false, most_entries: [9, 9], mutation }
}

/// One entry holds a row of an epoch that stays open; the partition moves while process 0 merges and process 1 does not.
fn moving() -> Small {
    Small { settled: 1, only_steals: true, most_entries: [1, 9], ..small(&THREE, 1) }
}

fn keeps_the_promises(small: Small) {
    match explore(small.clone()) {
        Ok(states) => println!("{small:?}: {states} states, no violation"),
        Err(what) => panic!("{small:?}: {what}"),
    }
}

fn breaks_a_promise(small: Small, mutation: Mutation) {
    let what = explore(Small { mutation, ..small }).expect_err("a broken rule must show");
    println!("{mutation:?}: {}", what.lines().last().unwrap_or_default());
}

#[test]
fn faults_between_any_two_steps_lose_nothing_and_double_nothing() {
    let faults = from_environment("EXPLORATION_FAULTS").and_then(|faults| u8::try_from(faults).ok()).unwrap_or(1);
    keeps_the_promises(small(&[1], 1 + faults));
    keeps_the_promises(small(&TWO, faults));
}

#[test]
fn a_partition_that_moves_unnoticed_loses_nothing_and_doubles_nothing() {
    let faults = from_environment("EXPLORATION_FAULTS").and_then(|faults| u8::try_from(faults).ok()).unwrap_or(1);
    keeps_the_promises(Small { faults, ..moving() });
}

#[test]
fn finds_an_entry_overwritten() {
    breaks_a_promise(small(&TWO, 1), Mutation::OverwriteEntries);
}

#[test]
fn finds_a_publication_before_its_entry() {
    breaks_a_promise(small(&TWO, 1), Mutation::PublishBeforeAppend);
}

#[test]
fn finds_a_collection_without_a_check() {
    breaks_a_promise(moving(), Mutation::CollectUnchecked);
}

#[test]
fn finds_a_publication_without_a_check() {
    breaks_a_promise(moving(), Mutation::PublishUnchecked);
}
