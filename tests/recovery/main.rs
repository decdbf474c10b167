//! When something outside went wrong: each state is noticed, told with its way out, and left by it.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on should fail loudly")]

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "shared with the tests of the promises")]
#[path = "../promises/job.rs"]
mod job;
mod scene;

mod lane_logs;
mod offsets;
mod topics;
mod truncated;
