//! The checks of the fuzzer on its corpora, and on what chance makes of them: what was found once is never found again.
//!
//! `scripts/fuzz` lets the fuzzer look further.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on should fail loudly, and say with which file; how long it looks is told by a variable"
)]

#[allow(unreachable_pub, reason = "the fuzzer uses it as a library")]
mod checks;

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// How often each file of a corpus is changed; `FUZZ_CHANGES` says otherwise.
const CHANGES: u64 = 2_000;

/// The files of the corpus of a check, in the order of their names.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect()
}

/// Changes some bytes: flipped, cut out, doubled, taken from another file.
fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut StdRng) {
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..=bytes.len());
        let some = random.random_range(0..16).min(bytes.len() - at);
        match random.random_range(0..5) {
            0 if some > 0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => drop(bytes.drain(at..at + some)),
            2 => {
                let again = bytes[at..at + some].to_vec();
                bytes.splice(at..at, again);
            }
            3 => bytes.truncate(at),
            _ => {
                let from = random.random_range(0..=other.len());
                let to = other.len().min(from + some);
                bytes.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
}

fn try_corpus(name: &str, check: fn(&[u8])) {
    let files = corpus(name);
    assert!(!files.is_empty(), "{name} has a corpus");
    for (file, bytes) in files {
        println!("{file}");
        check(&bytes);
    }
}

fn try_what_chance_makes_of_it(name: &str, check: fn(&[u8])) {
    let files = corpus(name);
    let changes = std::env::var("FUZZ_CHANGES").map_or(CHANGES, |changes| changes.parse().unwrap());
    for (place, (file, bytes)) in files.iter().enumerate() {
        for seed in 0..changes {
            println!("{file}, seed {seed}");
            let mut random = StdRng::seed_from_u64(seed);
            let other = &files[(place + 1 + random.next_u32() as usize) % files.len()].1;
            let mut changed = bytes.clone();
            change(&mut changed, other, &mut random);
            check(&changed);
        }
    }
    if name == "decode" {
        println!("{} records", checks::decode::RECORDS.load(Ordering::Relaxed));
    }
}

macro_rules! tests_of {
    ($($check:ident),*) => {
        $(mod $check {
            use super::{checks, try_corpus, try_what_chance_makes_of_it};

            #[test]
            fn holds_for_its_corpus() {
                try_corpus(stringify!($check), checks::$check::check);
            }

            #[test]
            fn holds_for_what_chance_makes_of_it() {
                try_what_chance_makes_of_it(stringify!($check), checks::$check::check);
            }
        })*
    };
}

tests_of!(decode, entry, lane, object, partition, timestamp);
