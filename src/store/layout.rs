//! Every key of the output, built and parsed in one place.
//!
//! Keys are relative to the output's root. No event names a path outside of its topic's folder: folder names of partition values are
//! encoded before they come here, and [`Path::parse`] refuses what is left.

use object_store::path::Path;

use crate::engine::state::{Close, EntryNumber, PartitionId, Scope};
use crate::engine::time::{Epoch, EpochLength, EventTime};

/// The version of the folder and file layout that this program writes.
pub const LAYOUT_VERSION: u32 = 1;
/// Where dead letters go, beside the topics' folders.
pub const DEAD_LETTER: &str = "_dead_letter";
/// Where everything but data goes, beside the topics' folders.
pub const META: &str = "_meta";

/// The keys of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    topic: String,
}

impl Layout {
    /// Returns the layout of `topic`. Kafka's own rules keep `/` out of a topic's name.
    #[must_use]
    pub fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned() }
    }

    /// Returns the topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Returns the folder of published rows.
    #[must_use]
    pub fn data(&self) -> Path {
        Path::from(self.topic.as_str())
    }

    /// Returns the folder of published dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> Path {
        Path::from(DEAD_LETTER).join(self.topic.as_str())
    }

    /// Returns the folder of published rows, or dead letters, as `scope` says.
    #[must_use]
    pub fn root_of(&self, scope: &Scope) -> Path {
        match scope {
            Scope::OnTime(_) | Scope::Late(_) => self.data(),
            Scope::DeadLetter => self.dead_letters(),
        }
    }

    /// Returns the key of the claim.
    #[must_use]
    pub fn claim(&self) -> Path {
        self.control().join("claim.json")
    }

    /// Returns a key to try the store with.
    #[must_use]
    pub fn probe(&self, random: u64) -> Path {
        self.control().join("probes").join(format!("{random:016x}"))
    }

    /// Returns the folder of [`Layout::probe`].
    #[must_use]
    pub fn probes(&self) -> Path {
        self.control().join("probes")
    }

    /// Returns the key of a version of the schema.
    #[must_use]
    pub fn schema(&self, version: u32) -> Path {
        self.schemas().join(format!("{version}.json"))
    }

    /// Returns the folder of the schema's versions.
    #[must_use]
    pub fn schemas(&self) -> Path {
        self.meta().join("schema")
    }

    /// Returns the folder of a lane log.
    #[must_use]
    pub fn lane_log(&self, partition: PartitionId) -> Path {
        self.control().join(format!("p{partition}"))
    }

    /// Returns the partition whose lane log a folder of the control folder is; `None` for any other.
    #[must_use]
    pub fn parse_lane_log(folder: &Path) -> Option<PartitionId> {
        let digits = folder.filename()?.strip_prefix('p')?;
        digits.parse().ok().map(PartitionId)
    }

    /// Returns the key of an entry; numbers are zero-padded so that they list in order.
    #[must_use]
    pub fn entry(&self, partition: PartitionId, number: EntryNumber) -> Path {
        self.lane_log(partition).join(format!("{:020}.entry", number.0))
    }

    /// Returns the number of an entry whose key was listed; `None` for any other key.
    #[must_use]
    pub fn parse_entry(key: &Path) -> Option<EntryNumber> {
        let digits = key.filename()?.strip_suffix(".entry")?;
        (digits.len() == 20).then(|| digits.parse().ok().map(EntryNumber)).flatten()
    }

    /// Returns the folder of all partitions' closed-through objects.
    #[must_use]
    pub fn closed(&self) -> Path {
        self.control().join("closed")
    }

    /// Returns the folder of one partition's closed-through objects.
    #[must_use]
    pub fn closed_of(&self, partition: PartitionId) -> Path {
        self.closed().join(format!("p{partition}"))
    }

    /// Returns the key that says that a partition is closed through a time: microseconds, so that any value has a name.
    #[must_use]
    pub fn closed_through(&self, partition: PartitionId, through: EventTime) -> Path {
        self.closed_of(partition).join(through.0.to_string())
    }

    /// Returns what a closed-through key says.
    #[must_use]
    pub fn parse_closed_through(key: &Path) -> Option<(PartitionId, EventTime)> {
        let parts: Vec<_> = key.parts().collect();
        let [.., partition, through] = parts.as_slice() else { return None };
        let partition = partition.as_ref().strip_prefix('p')?.parse().ok()?;
        Some((PartitionId(partition), EventTime(through.as_ref().parse().ok()?)))
    }

    /// Returns a key under the control folder for a file that is written in parts.
    #[must_use]
    pub fn upload(&self, partition: PartitionId, random: u64) -> Path {
        self.control().join("uploads").join(format!("p{partition}-{random:016x}"))
    }

    /// Returns the folder of markers and receipts.
    #[must_use]
    pub fn epochs(&self) -> Path {
        self.meta().join("epochs")
    }

    /// Returns the key of an epoch's marker.
    #[must_use]
    pub fn marker(&self, epoch: Epoch) -> Path {
        self.epochs().join(format!("{}.json", epoch.label()))
    }

    /// Returns the epoch that a marker's key, or a folder of receipts, names.
    #[must_use]
    pub fn parse_epoch(name: &str, length: EpochLength) -> Option<Epoch> {
        let label = name.strip_suffix(".json").unwrap_or(name);
        let start = chrono::NaiveDateTime::parse_from_str(label, "%Y%m%dT%H%M%SZ").ok()?;
        Some(length.epoch_of(EventTime(start.and_utc().timestamp_micros())))
    }

    /// Returns the folder of the receipts of dead letters.
    #[must_use]
    pub fn dead_letter_receipts(&self) -> Path {
        self.meta().join("dead_letter")
    }

    /// Returns the key of the receipt of a close.
    #[must_use]
    pub fn receipt(&self, partition: PartitionId, chain: &str, close: &Close) -> Path {
        self.receipt_of(partition, chain, close.entry.number, &close.scope)
    }

    /// The same, by what names a close.
    #[must_use]
    pub fn receipt_of(&self, partition: PartitionId, chain: &str, entry: EntryNumber, scope: &Scope) -> Path {
        let name = format!("{}.json", stem(partition, chain, entry, scope));
        match scope {
            Scope::OnTime(epoch) | Scope::Late(epoch) => self.epochs().join(epoch.label()).join(name),
            Scope::DeadLetter => self.dead_letter_receipts().join(name),
        }
    }

    /// Returns the partition and the closing entry that the name of a receipt tells.
    #[must_use]
    pub fn parse_receipt(key: &Path) -> Option<(PartitionId, EntryNumber)> {
        let mut parts = key.filename()?.strip_prefix('p')?.strip_suffix(".json")?.split('-');
        let (partition, _chain, entry) = (parts.next()?, parts.next()?, parts.next()?);
        Some((PartitionId(partition.parse().ok()?), EntryNumber(entry.parse().ok()?)))
    }

    /// Whether a listed key is a receipt of `partition`.
    #[must_use]
    pub fn is_receipt_of(partition: PartitionId, key: &Path) -> bool {
        let prefix = format!("p{partition}-");
        key.filename().is_some_and(|name| name.starts_with(&prefix))
    }

    /// Returns the key of a published file: `folders` are the encoded `column=value` names.
    ///
    /// # Errors
    /// When a folder name is no part of a path.
    pub fn file(
        &self,
        partition: PartitionId,
        chain: &str,
        close: &Close,
        folders: &[String],
    ) -> Result<Path, object_store::path::Error> {
        let root = self.root_of(&close.scope).to_string();
        let name = self.file_name(partition, chain, close.entry.number, &close.scope);
        Path::parse([&[root], folders, &[name]].concat().join("/"))
    }

    /// Returns the name of the files of a close, each of which is in another folder.
    #[must_use]
    pub fn file_name(&self, partition: PartitionId, chain: &str, entry: EntryNumber, scope: &Scope) -> String {
        let stem = stem(partition, chain, entry, scope);
        match scope {
            Scope::OnTime(epoch) | Scope::Late(epoch) => format!("{}-{stem}.parquet", epoch.label()),
            Scope::DeadLetter => format!("{stem}.parquet"),
        }
    }

    fn meta(&self) -> Path {
        Path::from(META).join(self.topic.as_str())
    }

    /// Returns the folder of the claim, the lane logs and whatever else is no data.
    #[must_use]
    pub fn control(&self) -> Path {
        self.meta().join("control")
    }
}

/// What names the files and the receipt of a close: the partition, the chain and the closing entry, never who publishes or when.
fn stem(partition: PartitionId, chain: &str, entry: EntryNumber, scope: &Scope) -> String {
    let kind = match scope {
        Scope::OnTime(_) | Scope::DeadLetter => "",
        Scope::Late(_) => "-late",
    };
    format!("p{partition}-{chain}-{entry}{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::state::{EntryId, EntryRef, Offset, Recipe, Totals};

    fn close(scope: Scope) -> Close {
        Close {
            scope,
            sequence: 1,
            entry: EntryRef { number: EntryNumber(42), id: EntryId(1) },
            position: Offset(0),
            totals: Totals::default(),
            rows: Vec::new(),
            recipe: Recipe {
                partition_by: Vec::new(),
                max_buckets: 1,
                layout: 1,
                schema: 1,
                compression: "none".to_owned(),
            },
        }
    }

    fn quarter() -> EpochLength {
        EpochLength::from_us(900_000_000).expect("15 minutes divide a day")
    }

    #[test]
    fn files_are_named_by_epoch_partition_chain_and_closing_entry() {
        let layout = Layout::new("web");
        let epoch = quarter().epoch_of(EventTime(1_795_367_745_000_000));
        let folders = ["year=2026".to_owned(), "page_url_path=%2Fhome".to_owned()];
        let file = layout.file(PartitionId(3), "7f3a9c1e", &close(Scope::OnTime(epoch)), &folders).expect("a path");
        assert_eq!(file.as_ref(), "web/year=2026/page_url_path=%2Fhome/20261122T171500Z-p3-7f3a9c1e-42.parquet");
        let late = layout.receipt(PartitionId(3), "7f3a9c1e", &close(Scope::Late(epoch)));
        assert_eq!(late.as_ref(), "_meta/web/epochs/20261122T171500Z/p3-7f3a9c1e-42-late.json");
        let dead = layout.file(PartitionId(3), "7f3a9c1e", &close(Scope::DeadLetter), &[]).expect("a path");
        assert_eq!(dead.as_ref(), "_dead_letter/web/p3-7f3a9c1e-42.parquet");
    }

    #[test]
    fn keys_that_were_built_are_parsed_back() {
        let layout = Layout::new("web");
        let entry = layout.entry(PartitionId(3), EntryNumber(42));
        assert_eq!(entry.as_ref(), "_meta/web/control/p3/00000000000000000042.entry");
        assert_eq!(Layout::parse_entry(&entry), Some(EntryNumber(42)));
        let through = EventTime(-900_000_000);
        let closed = layout.closed_through(PartitionId(3), through);
        assert_eq!(Layout::parse_closed_through(&closed), Some((PartitionId(3), through)));
        let epoch = quarter().epoch_of(EventTime(1_795_367_745_000_000));
        let marker = layout.marker(epoch);
        assert_eq!(marker.filename().and_then(|name| Layout::parse_epoch(name, quarter())), Some(epoch));
    }

    #[test]
    fn a_folder_name_that_climbs_is_refused() {
        let layout = Layout::new("web");
        assert!(layout.file(PartitionId(0), "c", &close(Scope::DeadLetter), &["..".to_owned()]).is_err());
    }
}
