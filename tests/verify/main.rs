//! `verify`, tried from outside: sound outputs are proved, and every planted damage is found and named.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on should fail loudly, and a figure is shown"
)]

#[path = "../common/mod.rs"]
mod common;
mod forge;
#[allow(dead_code, reason = "shared with the tests of the promises")]
#[path = "../promises/job.rs"]
mod job;
mod output;

mod live;
mod planted;
mod ten_thousand;
