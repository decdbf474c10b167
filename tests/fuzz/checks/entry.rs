//! Any footer, sealed as if it had just been written: a sound entry, or an error; and damage is told before anything is believed.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use streams_to_parquet::parquet::{EntryReader, read_state};

const CHECKSUM: &[u8] = b"streams-to-parquet.checksum";
const DIGITS: usize = 16;
const TRAILER: usize = 8;

pub fn check(data: &[u8]) {
    let as_it_is = Bytes::copy_from_slice(data);
    let sound = read_state(&as_it_is).is_ok();
    if let (Some(place), true) = (data.len().checked_sub(TRAILER + 100), sound) {
        let mut flipped = data.to_vec();
        flipped[place] ^= 0x40;
        assert!(read_state(&Bytes::from(flipped)).is_err(), "a bit of the footer was flipped");
        assert!(read_state(&as_it_is.slice(..data.len() - 1)).is_err(), "the last byte was cut off");
    }
    let sealed = Bytes::from(seal(data.to_vec()));
    if let Ok(state) = read_state(&sealed) {
        assert_eq!(state.contradiction(), None);
        let text = serde_json::to_string(&state).expect("plain data");
        assert_eq!(
            serde_json::from_str::<streams_to_parquet::engine::state::LaneState>(&text).expect("its own JSON"),
            state
        );
    }
    let Ok(entry) = EntryReader::open(Arc::new(sealed)) else { return };
    assert!(entry.segments().iter().all(|segment| segment.values.len() <= 1 << 16));
    let _ = entry.check_groups();
    let rows = entry.segments().last().map_or(0, |segment| segment.start + segment.rows);
    let batches = entry.rows(std::iter::once(0..rows).collect(), &|_| true);
    let read: usize = batches.map_while(Result::ok).map(|batch| batch.num_rows()).sum();
    assert!(u64::try_from(read).is_ok_and(|read| read <= rows), "{read} of {rows} rows");
}

/// Writes the checksum that fits the footer, as far as it has the form of one.
fn seal(mut file: Vec<u8>) -> Vec<u8> {
    let sealed = || {
        let (rest, trailer) = file.split_last_chunk::<TRAILER>()?;
        let [a, b, c, d, ..] = *trailer;
        let start = rest.len().checked_sub(usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?)?;
        let footer = &file[start..];
        let at = footer.windows(CHECKSUM.len()).rposition(|window| window == CHECKSUM)? + CHECKSUM.len() + 2;
        (footer.len() >= at + DIGITS + TRAILER).then_some((start, start + at))
    };
    if let Some((start, at)) = sealed() {
        file[at..at + DIGITS].fill(b'0');
        let sum = hex::encode(Sha256::digest(&file[start..]));
        file[at..at + DIGITS].copy_from_slice(&sum.as_bytes()[..DIGITS]);
    }
    file
}
