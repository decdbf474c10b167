//! What comes in: records as bad as can be, values that must stay exact, folders named after anything, and mistakes of the
//! operator.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on should fail loudly")]

#[path = "../common/mod.rs"]
mod common;

mod bad_input;
mod generated;
mod job;
mod late;
mod mistakes;
mod partition_values;
mod passwords;
mod values;
