//! What must hold of any bytes: each check panics when it does not. Run by the fuzzer on what it invents, and by `cargo test` on the
//! corpora and on what chance makes of them.

pub mod decode;
pub mod entry;
pub mod lane;
pub mod object;
pub mod partition;
pub mod timestamp;
