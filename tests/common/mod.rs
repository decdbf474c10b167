//! The harness: a real Kafka, a real S3 server, our program and the Python scripts, all as child processes.
//!
//! `scripts/test` fetches what it needs into the target folder: `kafka/` (jars), `venv/` (Python), `tools/` (versitygw).
//! Servers listen on 127.0.0.1 only. Everything is waited for with a limit, and everything that is started is stopped by
//! its process id, whatever becomes of the test: see [`watchdog`].
//!
//! (A `mod.rs` because Cargo takes every file directly under `tests` for a test of its own.)

#![allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "each test file uses a part of the harness; tests wait by the clock, and a broken harness should fail loudly"
)]

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub mod kafka;
pub mod process;
pub mod proxy;
pub mod python;
pub mod s3;
pub mod watchdog;

/// The 20,000 events that an independent producer sends.
pub const EVENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/fake_web_events-20k.jsonl.gz");

/// Cargo's target folder, where `scripts/test` puts what the tests need.
pub fn target() -> &'static Path {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    scratch.parent().unwrap_or(scratch)
}

/// Path of a fetched tool below the target folder. Panics, with the cure, when it is not there.
pub fn fetched(name: &str) -> PathBuf {
    let path = target().join(name);
    assert!(path.exists(), "{} is missing: run scripts/test once, it fetches what the tests need", path.display());
    path
}

/// A folder that is removed when it is dropped, or when the test process ends in any other way.
pub fn scratch(name: &str) -> TempDir {
    let folder = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    watchdog::remove(folder.path());
    folder
}

/// A name that no other test and no earlier run has: `name-<process id>-<number>`.
pub fn unique(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    format!("{name}-{:x}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A port on 127.0.0.1 where nothing listens.
///
/// Never the same twice in one process, and outside of the range from which Linux takes the ports of outgoing
/// connections: otherwise one of those could take it between this call and its use.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    for _ in 0..COUNT {
        let number = std::process::id().wrapping_mul(101).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + number % COUNT).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port on 127.0.0.1");
}

/// Asks again and again until `ready` gives a value; panics with `what` when `limit` has passed.
pub fn wait_for<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
