//! In steady state an event costs no allocation: neither when it is decoded nor when its bucket is found.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on should fail loudly, and a figure is shown"
)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use chrono_tz::Tz;
use flate2::read::GzDecoder;
use streams_to_parquet::engine::state::Offset;
use streams_to_parquet::engine::time::EventTime;
use streams_to_parquet::partition::{Buckets, PartitionBy};
use streams_to_parquet::record::timestamp::{TimeUnit, TimestampParser};
use streams_to_parquet::record::{Columns, Coordinates, Decoder, DecoderOptions, OnMisfit, Record, Rejection};
use streams_to_parquet::schema::infer::infer;

/// What growing buffers may cost: one allocation for a hundred events.
const MOST_FOR_A_THOUSAND: u64 = 10;

fn events() -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fake_web_events-20k.jsonl.gz");
    let lines = BufReader::new(GzDecoder::new(File::open(path).unwrap()));
    lines.split(b'\n').map(Result::unwrap).filter(|line| !line.is_empty()).collect()
}

struct Stage {
    decoder: Decoder,
    columns: Columns,
    times: Vec<EventTime>,
    buckets: Buckets,
}

impl Stage {
    fn take(&mut self, events: &[Vec<u8>]) {
        let at = |offset| Coordinates { offset: Offset(offset), kafka_timestamp_ms: 1_795_367_416_500 };
        let all =
            (0..).zip(events).map(|(offset, event)| Record { coordinates: at(offset), key: None, value: Some(event) });
        let (first, times) = (self.columns.len(), &mut self.times);
        let place = |_: &Record<'_>, time: Result<EventTime, Rejection>| {
            times.push(time.unwrap());
            true
        };
        self.decoder.decode_all(all, &mut self.columns, place).unwrap();
        for (row, time) in (first..).zip(self.times.drain(..)) {
            self.buckets.bucket(&self.columns, row, time);
        }
    }
}

#[test]
fn an_event_is_decoded_and_routed_without_an_allocation() {
    let events = events();
    let schema = infer(events.iter().take(1_000).map(Vec::as_slice), "event_timestamp", &[]).schema;
    let names = ["year", "month", "day", "page_url_path"].map(str::to_owned);
    let by = PartitionBy::parse(&names, &schema).unwrap();
    let options = DecoderOptions {
        timestamp_field: "event_timestamp".into(),
        timestamps: TimestampParser::new(TimeUnit::Auto, Tz::UTC),
        max_future: None,
        on_misfit: OnMisfit::Extra,
    };
    let decoder = Decoder::new(Arc::new(schema), options);
    let columns = decoder.columns();
    let mut stage = Stage { decoder, columns, times: Vec::new(), buckets: Buckets::new(by) };
    // It is decided by then which values are looked up together.
    stage.take(&events);
    let (_, rest) = events.split_at(events.len() / 2);
    let counted = allocation_counter::measure(|| stage.take(rest));
    let most = u64::try_from(rest.len()).unwrap() * MOST_FOR_A_THOUSAND / 1_000;
    println!("{} allocations, {} bytes, for {} events", counted.count_total, counted.bytes_total, rest.len());
    assert!(counted.count_total <= most, "{} allocations for {} events", counted.count_total, rest.len());
}
