//! Records that one worker takes alone, and the same records with help, must leave the same entry.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use chrono_tz::Tz;

use super::*;
use crate::engine::commit::Committed;
use crate::engine::event::{Action, Input, Now};
use crate::engine::lane::tests::{config, identity};
use crate::engine::lane::{LaneConfig, LatePolicy};
use crate::engine::state::{LaneState, PartitionId};
use crate::metrics::Metrics;
use crate::parquet::{EntryOptions, EntryRows, join, write_entry};
use crate::record::OnMisfit;
use crate::record::timestamp::{TimeUnit, TimestampParser};
use crate::schema::{Field, Type};

/// 2026-11-22T00:00:00Z, in milliseconds.
const MIDNIGHT_MS: i64 = 1_795_305_600_000;
/// Where the lane begins to read; what lies before it is not wanted.
const START: i64 = 3;
/// The number of a worker that helps.
const HELPER: usize = 4;

/// A lane that reads from [`START`] on.
fn lane(late: LatePolicy) -> Lane {
    let config = LaneConfig { late, ..config() };
    let now = Now { mono_ms: 1_000, wall: EventTime::from_ms(MIDNIGHT_MS) };
    let mut lane = Lane::assigned(config, identity(), Committed::Nothing, 7, now);
    while lane.reads_from().is_none() {
        let asked = lane.poll_action().unwrap();
        let answer = if let Action::List { ticket, .. } = asked {
            Input::Listed { ticket, numbers: Some(Vec::new()) }
        } else if let Action::LookForReceipts { ticket } = asked {
            Input::ReceiptsFound { ticket, found: Some(false) }
        } else if let Action::ResolveStart { ticket } = asked {
            Input::Resolved { ticket, offset: Offset(START) }
        } else if let Action::Start { ticket, .. } = asked {
            Input::Started { ticket }
        } else {
            panic!("{asked:?}")
        };
        lane.handle(now, answer);
    }
    lane
}

/// What stands in the log: a key, a value and the Kafka timestamp; or the log's end.
type Element = Option<(Option<Vec<u8>>, Option<Vec<u8>>, i64)>;

/// Records of all kinds: good ones, late ones, those that are no events, and an end between them.
fn elements(count: usize) -> Vec<Element> {
    let element = |number: usize| {
        let minutes = if number % 7 == 5 { number / 20 } else { 90 + number };
        let time = format!("2026-11-22T{:02}:{:02}:00Z", minutes / 60, minutes % 60);
        let path = ["/a", "/b", "/é"][number * number % 3];
        let value = match number % 11 {
            2 => Some("{".to_owned()),
            4 => None,
            6 => Some(format!(r#"{{"at":"{time}","path":"{path}","n":"no number","new":{number}}}"#)),
            8 => Some(format!(r#"{{"at":"{time}","n":{number}}}"#)),
            _ => Some(format!(r#"{{"at":"{time}","path":"{path}","n":{number},"own":"text {number}"}}"#)),
        };
        let key = (!number.is_multiple_of(3)).then(|| format!("key {number}").into_bytes());
        let at_ms = MIDNIGHT_MS + i64::try_from(minutes).unwrap() * 60_000;
        (number % 13 != 12).then(|| (key, value.map(String::into_bytes), at_ms))
    };
    (0..count).map(element).collect()
}

/// The elements as a queue hands them over, the first of which has the offset `from`.
fn messages(elements: &[Element], from: usize) -> impl Iterator<Item = Message<'_>> {
    (i64::try_from(from).unwrap()..).zip(elements).map(|(offset, element)| {
        let content = match element {
            Some((key, value, timestamp_ms)) => {
                Received::Record { key: key.as_deref(), value: value.as_deref(), timestamp_ms: *timestamp_ms }
            }
            None => Received::End,
        };
        Message { offset, content }
    })
}

struct Bench {
    lane: Lane,
    rows: Rows,
    metrics: LaneMetrics,
    value_bytes: usize,
}

impl Bench {
    fn new(late: LatePolicy, on_misfit: OnMisfit) -> Self {
        let fields = [("at", Type::Timestamp), ("path", Type::String), ("n", Type::Long), ("own", Type::String)];
        let schema = Schema::new(fields.map(|(name, kind)| Field::new(name, kind)).to_vec()).unwrap();
        let by = PartitionBy::parse(&["hour".to_owned(), "path".to_owned()], &schema).unwrap();
        let options = DecoderOptions {
            timestamp_field: "at".into(),
            timestamps: TimestampParser::new(TimeUnit::Auto, Tz::UTC),
            max_future: Some(Duration::from_secs(3_600)),
            on_misfit,
        };
        let metrics = Metrics::new().unwrap().lane("t", PartitionId(3));
        Self { lane: lane(late), rows: Rows::new(&Arc::new(schema), &options, by), metrics, value_bytes: 0 }
    }

    fn take(&mut self, elements: &[Element], from: usize) {
        let mut messages = messages(elements, from).peekable();
        while messages.peek().is_some() {
            let taken = self.rows.take(&mut self.lane, &self.metrics, &mut messages);
            assert_eq!(taken.failed, None);
            self.value_bytes += taken.value_bytes;
            messages.next_if(|message| record(*message).is_none());
        }
    }

    /// Has the elements decoded by a helper, and `meanwhile` something done; then they are placed.
    fn take_helped(&mut self, elements: &[Element], from: usize, helper: usize, meanwhile: impl FnOnce(&mut Self)) {
        let mut sheet = self.rows.lend(helper);
        sheet.decode(messages(elements, from)).unwrap();
        meanwhile(self);
        let mut messages = messages(elements, from).peekable();
        while messages.peek().is_some() {
            let with = (helper, &mut sheet);
            let taken = self.rows.take_helped(&mut self.lane, &self.metrics, &mut messages, with);
            assert_eq!(taken.failed, None);
            self.value_bytes += taken.value_bytes;
            messages.next_if(|message| record(*message).is_none());
        }
        self.rows.give_back(helper, sheet);
    }

    /// Cuts; returns the rows, the dead letters and the bytes of the entry.
    fn cut(&mut self) -> (Vec<String>, Vec<String>, bytes::Bytes) {
        let (mut content, helped) = self.rows.cut().unwrap();
        content.rows = join(content.rows, helped).unwrap();
        let text = |column: &ArrayRef, row: usize| {
            let is_time = matches!(column.data_type(), DataType::Timestamp(..));
            let shown = if is_time { &cast(column, &DataType::Int64).unwrap() } else { column };
            array_value_to_string(shown, row).unwrap()
        };
        let show = |batch: &RecordBatch, row: usize| {
            batch.columns().iter().map(|column| text(column, row)).collect::<Vec<_>>().join(" | ")
        };
        let of_tag = |tag: &RowTag| {
            let (scope, bucket) = (usize::try_from(tag.scope).unwrap(), usize::try_from(tag.bucket).unwrap());
            format!("{:?} {:?}", content.scopes[scope], content.buckets[bucket])
        };
        let row = |(row, tag), batch| format!("{} {}", show(batch, row), of_tag(tag));
        let rows = content.rows.iter().flat_map(|EntryRows { rows, tags }| {
            tags.iter().enumerate().map(move |tagged| row(tagged, rows)).collect::<Vec<_>>()
        });
        let dead = content.dead.iter().flat_map(|dead| {
            let bucket = |row: usize| content.buckets[usize::try_from(dead.buckets[row]).unwrap()].clone();
            (0..dead.rows.num_rows())
                .map(|row| format!("{} {:?}", show(&dead.rows, row), bucket(row)))
                .collect::<Vec<_>>()
        });
        let state = LaneState { totals: self.lane.totals(), ..LaneState::before_the_first_entry(&identity()) };
        let entry = write_entry(&state, &content, &EntryOptions::default()).unwrap();
        (rows.collect(), dead.collect(), entry)
    }
}

const POLICIES: [LatePolicy; 3] = [LatePolicy::Append, LatePolicy::DeadLetter, LatePolicy::Drop];

#[test]
fn with_help_the_entry_is_the_same_wherever_the_batch_is_divided() {
    const BATCH: usize = 40;
    let elements = elements(3 * BATCH);
    for (late, on_misfit) in
        POLICIES.into_iter().flat_map(|late| [(late, OnMisfit::Extra), (late, OnMisfit::DeadLetter)])
    {
        let mut alone = Bench::new(late, on_misfit);
        alone.take(&elements, 0);
        let (totals, counts, expected) = (alone.lane.totals(), alone.rows.counts(), alone.cut());
        assert!(
            expected.0.len() > BATCH && expected.1.len() > 10 && totals.late + totals.dropped > 0
                || late == LatePolicy::DeadLetter
        );
        for at in 0..=BATCH {
            let mut bench = Bench::new(late, on_misfit);
            for from in (0..elements.len()).step_by(BATCH) {
                let batch = &elements[from..from + BATCH];
                // What the worker keeps, and two parts for others.
                let (own, rest) = batch.split_at(at);
                let (one, two) = rest.split_at(rest.len() / 2);
                bench.take(own, from);
                bench.take_helped(one, from + own.len(), HELPER, |_| {});
                bench.take_helped(two, from + own.len() + one.len(), HELPER + 1, |_| {});
            }
            assert_eq!((bench.lane.totals(), bench.value_bytes), (totals, alone.value_bytes), "{late:?} {at}");
            if late == LatePolicy::Append {
                assert_eq!(bench.rows.counts(), counts);
            }
            let entry = bench.cut();
            assert_eq!((&entry.0, &entry.1), (&expected.0, &expected.1), "{late:?} {at}");
            assert!(entry.2 == expected.2, "the bytes of the entry, {late:?} {at}");
            // The next entry begins anew.
            assert_eq!((bench.cut().0, bench.rows.counts().misfits.len()), (Vec::new(), 4));
        }
    }
}

#[test]
fn what_is_not_welcome_any_more_is_no_row() {
    let elements = elements(30);
    let mut bench = Bench::new(LatePolicy::Append, OnMisfit::Extra);
    bench.take(&elements[..10], 0);
    let (taken, bytes) = (bench.lane.totals(), bench.value_bytes);
    let now = Now { mono_ms: 1_000, wall: EventTime::from_ms(MIDNIGHT_MS) };
    bench.take_helped(&elements[10..], 10, HELPER, |bench| bench.lane.handle(now, Input::Interrupted));
    assert_eq!((bench.lane.totals(), bench.value_bytes), (taken, bytes));
    let mut alone = Bench::new(LatePolicy::Append, OnMisfit::Extra);
    alone.take(&elements[..10], 0);
    assert_eq!(bench.cut(), alone.cut());
}

#[test]
fn what_is_forgotten_is_forgotten_in_every_sheet() {
    let elements = elements(30);
    let mut bench = Bench::new(LatePolicy::Append, OnMisfit::Extra);
    bench.take(&elements[..10], 0);
    let own = bench.rows.bytes();
    bench.take_helped(&elements[10..], 10, HELPER, |_| {});
    let counts = bench.rows.counts();
    assert!(counts.unknown_fields > 0 && bench.rows.bytes() > own, "the rows of helpers count");
    bench.rows.forget();
    assert!(bench.rows.bytes() < own);
    // What metrics have counted does not become less.
    assert_eq!(bench.rows.counts(), counts);
    let (rows, dead, _) = bench.cut();
    assert!(rows.is_empty() && dead.is_empty());
}

#[test]
fn a_row_that_nobody_has_placed_is_no_entry() {
    let elements = elements(10);
    let mut bench = Bench::new(LatePolicy::Append, OnMisfit::Extra);
    let mut sheet = bench.rows.lend(HELPER);
    sheet.decode(messages(&elements, 0)).unwrap();
    bench.rows.give_back(HELPER, sheet);
    assert!(bench.rows.cut().unwrap_err().to_string().contains("rows, and 0 were placed"));
}

#[test]
fn a_record_that_nobody_has_decoded_is_not_passed_over() {
    let elements = elements(10);
    let mut bench = Bench::new(LatePolicy::Append, OnMisfit::Extra);
    let mut sheet = bench.rows.lend(HELPER);
    sheet.decode(messages(&elements[..5], 0)).unwrap();
    let with = (HELPER, &mut sheet);
    let taken = bench.rows.take_helped(&mut bench.lane, &bench.metrics, &mut messages(&elements, 0).peekable(), with);
    assert_eq!(taken.failed.as_deref(), Some("nobody has decoded the record at offset 5"));
    assert_eq!(bench.lane.reads_from(), Some(Offset(5)));
}
