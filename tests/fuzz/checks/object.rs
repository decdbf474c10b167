//! Any bytes in the place of a small object: read whole or refused, and what is read is written the same.

use chrono::NaiveDateTime;
use serde::Serialize;
use serde::de::DeserializeOwned;
use streams_to_parquet::engine::commit::Committed;
use streams_to_parquet::engine::state::Offset;
use streams_to_parquet::engine::time::EpochLength;
use streams_to_parquet::parquet::published::{Footer, Published, tail};
use streams_to_parquet::schema::Schema;
use streams_to_parquet::store::Layout;
use streams_to_parquet::store::claim::Claim;
use streams_to_parquet::store::receipt::{Marker, Receipt};

pub fn check(data: &[u8]) {
    if let Ok(receipt) = Receipt::read(data) {
        is_read_back(&receipt);
    }
    if let Ok(marker) = Marker::read(data) {
        is_read_back(&marker);
    }
    if let Ok(claim) = serde_json::from_slice::<Claim>(data) {
        is_read_back(&claim);
        assert!(EpochLength::from_us(claim.epoch_us.as_us()).is_some());
    }
    if let Committed::Ours { offset, metadata } = Committed::read(Offset(7), data) {
        let again = Committed::read(offset, metadata.to_text().as_bytes());
        assert_eq!(again, Committed::Ours { offset, metadata });
    }
    // The last bytes of a published file, and as many before them.
    for longer in [0, 1 << 20] {
        let size = u64::try_from(data.len()).expect("few bytes") + longer;
        if let Ok(Footer::Whole(footer)) = Published::read(&bytes::Bytes::copy_from_slice(data), size) {
            let _ = (footer.rows(), footer.says("rows"), footer.range("_kafka_offset"));
        }
        assert!(tail(size).end == size);
    }
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(schema) = Schema::from_json(text) {
        let again = Schema::from_json(&schema.to_json()).expect("its own JSON");
        assert_eq!(again.fields(), schema.fields());
        let _ = (schema.columns(), schema.entry_columns());
    }
    is_a_key_or_none(text);
}

fn is_read_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(object: &T) {
    let text = serde_json::to_vec(object).expect("plain data");
    assert_eq!(serde_json::from_slice::<T>(&text).expect("its own JSON"), *object);
}

/// What a listing shows is a key of ours, or is passed over.
fn is_a_key_or_none(text: &str) {
    let key = object_store::path::Path::from(text);
    let _ = Layout::parse_receipt(&key);
    let _ = Layout::parse_lane_log(&key);
    let _ = Layout::parse_closed_through(&key);
    if let Some(number) = Layout::parse_entry(&key) {
        assert!(key.filename().is_some_and(
            |name| name.trim_start_matches(['0', '+']).starts_with(&number.0.to_string()) || number.0 == 0
        ));
    }
    let quarter = EpochLength::from_us(900_000_000).expect("15 minutes");
    if let Some(epoch) = Layout::parse_epoch(text, quarter) {
        let label = text.strip_suffix(".json").unwrap_or(text);
        let start = NaiveDateTime::parse_from_str(label, "%Y%m%dT%H%M%SZ").expect("it was read");
        assert_eq!(quarter.epoch_of(epoch.start), epoch);
        assert!(epoch.start.0 <= start.and_utc().timestamp_micros());
    }
}
