//! What the program promises, tried from outside: real processes, a real broker, a producer and readers that are not ours.
//!
//! One module a promise, and one program for all of them, so that they share a broker.

#![allow(clippy::unwrap_used, reason = "what is not there fails the test, loudly")]

#[path = "../common/mod.rs"]
mod common;
mod job;

mod bounded;
mod honest_lag;
mod nothing_half_done_is_visible;
mod nothing_is_doubled;
mod nothing_is_lost;
