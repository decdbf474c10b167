//! Wires the edges to the engine; owns the clock, the threads and the shutdown.
//!
//! One instance: a poll thread (a member of the group), worker threads with the lanes, and a runtime for the store. Records go from
//! librdkafka's queues to the workers without a thread between; everything slow is asked for and answered by messages.

mod board;
mod budget;
pub mod clock;
mod draft;
mod fail_point;
mod group;
mod guard;
mod helping;
mod horizon;
mod instance;
mod io;
mod letters;
mod lull;
mod marking;
mod publisher;
mod pulse;
mod rehearsal;
mod rows;
mod runner;
mod sheet;
mod tally;
pub mod topic;
mod watchdog;
mod worker;

pub use instance::{Instance, Progress, run};
pub use rehearsal::{Rehearsal, rehearse};
pub use tally::Summary;
