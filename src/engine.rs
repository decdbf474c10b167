//! The protocol core as a sans-IO state machine.
//!
//! Facts go in ([`event::Input`], records through [`lane::Lane::place`]), requests come out ([`event::Action`]). Nothing here opens a
//! socket, reads a clock, spawns a task or iterates in an order that is not fixed: one input sequence, one action sequence.
//! That is what lets a seeded simulation drive the real thing through every crash point.
//!
//! # Units
//! Offsets are Kafka's *next offset to read*. Event times are Unix microseconds (UTC).

pub mod commit;
pub mod event;
pub mod give_up;
pub mod lane;
pub mod marker;
pub mod mutation;
pub mod publish;
pub mod soundness;
pub mod state;
pub mod time;

#[cfg(test)]
mod simulation;
