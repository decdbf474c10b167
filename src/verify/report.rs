//! What `verify` says: for people, or as JSON for machines.

use std::fmt;
use std::time::Duration;

use anstyle::AnsiColor;
use bytesize::ByteSize;
use serde::Serialize;

use super::brokers::KafkaReport;
use super::chain::{Held, PartitionReport};
use super::files::Depth;
use super::violation::Violation;
use crate::engine::state::Scope;

/// The version of the JSON form.
const REPORT_VERSION: u32 = 1;
/// The most violations that are told to people one by one.
const TOLD: usize = 50;
/// The most epochs of a partition that are told to people one by one.
const TOLD_EPOCHS: usize = 5;

/// What came of checking an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    version: u32,
    output: String,
    verdict: Verdict,
    /// How closely files were looked at.
    checked: &'static str,
    elapsed_ms: u64,
    topics: Vec<TopicReport>,
}

/// Whether the promises hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// They do.
    Proved,
    /// Something is wrong.
    Violated,
}

impl Verdict {
    /// Returns the verdict for people, in its colour if they can see it.
    fn shown(self, painted: bool) -> String {
        let (text, colour) = match self {
            Self::Proved => ("proved", AnsiColor::Green),
            Self::Violated => ("VIOLATED", AnsiColor::Red),
        };
        let style = colour.on_default().bold();
        if painted { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// What came of checking a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicReport {
    pub(super) topic: String,
    /// The consumer group that the output belongs to.
    pub(super) group: String,
    /// Files that receipts name.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    pub(super) markers: u64,
    /// Epochs that have on-time files and no marker.
    pub(super) unmarked: Vec<String>,
    /// Whether the event times of rows could be compared with their epochs, if rows were looked at.
    pub(super) event_time_is_checked: bool,
    pub(super) partitions: Vec<PartitionReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kafka: Option<Vec<KafkaReport>>,
    pub(super) violations: Vec<Violation>,
}

impl Report {
    pub(super) fn new(output: &str, depth: Depth, topics: Vec<TopicReport>, elapsed: Duration) -> Self {
        let sound = topics.iter().all(|topic| topic.violations.is_empty());
        Self {
            version: REPORT_VERSION,
            output: output.to_owned(),
            verdict: if sound { Verdict::Proved } else { Verdict::Violated },
            checked: match depth {
                Depth::Footers => "sizes and footers",
                Depth::Checksums => "sizes, footers and checksums",
                Depth::Rows => "sizes, footers, checksums and rows",
            },
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            topics,
        }
    }

    /// Returns the verdict.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Returns everything that is wrong.
    pub fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.topics.iter().flat_map(|topic| &topic.violations)
    }

    /// Returns how many files receipts name, in all topics.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.topics.iter().map(|topic| topic.files).sum()
    }

    /// Returns the report as JSON.
    ///
    /// # Errors
    /// When it has no JSON form, which cannot be.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }
}

/// `{:#}` paints the verdicts.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for topic in &self.topics {
            if f.alternate() {
                writeln!(f, "{topic:#}")?;
            } else {
                writeln!(f, "{topic}")?;
            }
        }
        let verdict = self.verdict.shown(f.alternate());
        let seconds = self.elapsed_ms as f64 / 1_000.0;
        match self.verdict {
            Verdict::Proved => {
                write!(
                    f,
                    "{verdict}: every record read is in exactly one place ({} checked in {seconds:.1} s)",
                    self.checked
                )
            }
            Verdict::Violated => {
                let count = self.violations().count();
                write!(
                    f,
                    "{verdict}: {count} thing{} wrong ({} checked in {seconds:.1} s)",
                    plural(count),
                    self.checked
                )
            }
        }
    }
}

impl TopicReport {
    fn sum(&self, of: fn(&PartitionReport) -> u64) -> u64 {
        self.partitions.iter().map(of).sum()
    }

    fn write_unpublished(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |held: fn(&PartitionReport) -> Held| {
            let rows: u64 = self.partitions.iter().map(|partition| held(partition).rows).sum();
            let dead: u64 = self.partitions.iter().map(|partition| held(partition).dead_letters).sum();
            (rows, dead)
        };
        let ((waiting, waiting_dead), (publishing, publishing_dead)) = (of(|it| it.waiting), of(|it| it.publishing));
        if waiting + waiting_dead > 0 {
            let scopes: usize = self.partitions.iter().map(|partition| partition.open_epochs.len()).sum();
            writeln!(
                f,
                "  not closed yet     {waiting} rows and {waiting_dead} dead letters in {scopes} open epochs (in the lane logs)"
            )?;
        }
        if publishing + publishing_dead > 0 {
            writeln!(f, "  being published    {publishing} rows and {publishing_dead} dead letters")?;
        }
        Ok(())
    }

    /// What is on its way, partition by partition: wanted by those who compare with Kafka.
    fn write_kafka(&self, f: &mut fmt::Formatter<'_>, kafka: &[KafkaReport]) -> fmt::Result {
        for found in kafka {
            let lane = self.partitions.iter().find(|lane| lane.partition == found.partition);
            write!(f, "  partition {:<4}     ", found.partition)?;
            match lane {
                Some(lane) => write!(f, "position {}", lane.position)?,
                None => write!(f, "not begun")?,
            }
            match found.committed {
                Some(committed) => write!(f, ", committed {committed}")?,
                None => write!(f, ", nothing committed")?,
            }
            writeln!(f, ", Kafka has {} to {}: {} not read", found.low, found.end, found.unread)?;
            if let Some(note) = &found.note {
                writeln!(f, "                     {note}")?;
            }
            let open = lane.map(|lane| lane.open_epochs.as_slice()).unwrap_or_default();
            for scope in open.iter().take(TOLD_EPOCHS) {
                let which = match scope.scope {
                    Scope::OnTime(epoch) => format!("rows of epoch {}", epoch.label()),
                    Scope::Late(epoch) => format!("late rows of epoch {}", epoch.label()),
                    Scope::DeadLetter => "dead letters".to_owned(),
                };
                writeln!(f, "                     not published: {} {which}", scope.rows)?;
            }
            if open.len() > TOLD_EPOCHS {
                writeln!(f, "                     … and {} epochs more", open.len() - TOLD_EPOCHS)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for TopicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.violations.is_empty() { Verdict::Proved } else { Verdict::Violated };
        writeln!(f, "{}: {}", self.topic, verdict.shown(f.alternate()))?;
        for violation in self.violations.iter().take(TOLD) {
            writeln!(f, "  {violation}")?;
        }
        if self.violations.len() > TOLD {
            writeln!(f, "  … and {} more; --json has them all", self.violations.len() - TOLD)?;
        }
        let records = self.sum(|it| it.totals.records);
        writeln!(
            f,
            "  records read       {records} in {} partitions = {} rows + {} dead letters + {} dropped",
            self.partitions.len(),
            self.sum(|it| it.totals.rows),
            self.sum(|it| it.totals.dead_letters),
            self.sum(|it| it.totals.dropped)
        )?;
        writeln!(
            f,
            "  published          {} rows ({} late) and {} dead letters in {} files, {}, {} receipts, {} epoch markers",
            self.sum(|it| it.published.rows),
            self.sum(|it| it.published.late),
            self.sum(|it| it.published.dead_letters),
            self.files,
            ByteSize::b(self.bytes),
            self.sum(|it| it.receipts),
            self.markers
        )?;
        self.write_unpublished(f)?;
        let skipped = self.sum(|it| it.totals.skipped_offsets);
        if skipped > 0 {
            writeln!(f, "  skipped            {skipped} offsets that Kafka had lost (--on-data-loss skip)")?;
        }
        let (lost, lost_dead) = (self.sum(|it| it.given_up.rows), self.sum(|it| it.given_up.dead_letters));
        if lost + lost_dead > 0 {
            writeln!(
                f,
                "  given up           {lost} rows and {lost_dead} dead letters whose entries were gone (`recover`)"
            )?;
        }
        if let (Some(first), Some(last)) = (self.unmarked.first(), self.unmarked.last()) {
            writeln!(
                f,
                "  without a marker   {} epochs, {first} to {last}: not all partitions have passed them",
                self.unmarked.len()
            )?;
        }
        if !self.event_time_is_checked {
            writeln!(f, "  not checked        the event times of rows: their column is none of timestamps")?;
        }
        if let Some(kafka) = &self.kafka {
            self.write_kafka(f, kafka)?;
        }
        Ok(())
    }
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { " is" } else { "s are" }
}
