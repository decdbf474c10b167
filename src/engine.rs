//! The protocol core as a sans-IO state machine.

pub mod state;
pub mod time;
