//! Receipts against the files' names: each file in one receipt, each under the path that follows from its close.
//!
//! Pure: looks at listings.

use std::collections::{BTreeMap, BTreeSet};

use object_store::path::Path;

use super::lanes::Lanes;
use super::violation::{Kind, Violation};
use crate::engine::state::Scope;
use crate::engine::time::{EpochLength, EventTime};
use crate::parquet::names::DEAD_PARTITION_BY;
use crate::partition::{DERIVED, hive};
use crate::store::Layout;
use crate::store::claim::Claim;
use crate::store::receipt::{FileReceipt, Receipt};

/// A file that a receipt names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) receipt: &'a Receipt,
    pub(super) file: &'a FileReceipt,
}

/// Checks that a receipt lies where it says that it belongs, and that its parts agree.
pub(super) fn check_receipt(layout: &Layout, claim: &Claim, key: &Path, receipt: &Receipt) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut wrong = |what: String| {
        let violation = Violation::new(Kind::ReceiptContradiction, what);
        violations.push(violation.partition(receipt.partition).entry(receipt.entry).path(key));
    };
    let own = layout.receipt_of(receipt.partition, &receipt.chain.to_string(), receipt.entry, &receipt.scope);
    if *key != own {
        wrong(format!("by what it says, it belongs at {own}"));
    }
    if receipt.topic != claim.topic || receipt.topic_id != claim.topic_id {
        wrong(format!("is of topic `{}` with id {}", receipt.topic, receipt.topic_id));
    }
    let (rows, bytes) = receipt.files.iter().fold((0, 0), |(rows, bytes), file| (rows + file.rows, bytes + file.bytes));
    if (rows, bytes) != (receipt.rows, receipt.bytes) {
        wrong(format!("{} rows and {} bytes, yet its files have {rows} and {bytes}", receipt.rows, receipt.bytes));
    }
    if receipt.files.is_empty() {
        wrong("names no file".to_owned());
    }
    violations
}

/// Checks that a file's path follows from its receipt.
pub(super) fn check_path(layout: &Layout, claim: &Claim, named: Named<'_>) -> Option<Violation> {
    let Named { receipt, file } = named;
    let violation = |what: String| {
        let violation = Violation::new(Kind::FilePath, what).partition(receipt.partition).entry(receipt.entry);
        Some(match Path::parse(&file.path) {
            Ok(path) => violation.path(&path),
            Err(_) => violation,
        })
    };
    let root = layout.root_of(&receipt.scope);
    let Some(parts) = file.path.strip_prefix(root.as_ref()).and_then(|rest| rest.strip_prefix('/')) else {
        return violation(format!("is not below {root}"));
    };
    let mut folders: Vec<&str> = parts.split('/').collect();
    let name = folders.pop().unwrap_or_default();
    let own = layout.file_name(receipt.partition, &receipt.chain.to_string(), receipt.entry, &receipt.scope);
    if name != own {
        return violation(format!("by its receipt, its name is {own}"));
    }
    let columns: Vec<&str> = match receipt.scope {
        Scope::OnTime(_) | Scope::Late(_) => claim.partition_by.iter().map(String::as_str).collect(),
        Scope::DeadLetter => DEAD_PARTITION_BY.to_vec(),
    };
    let decoded: Option<Vec<(String, Option<String>)>> = folders.iter().map(|folder| hive::decode(folder)).collect();
    let Some(decoded) = decoded.filter(|found| found.iter().map(|(column, _)| column.as_str()).eq(columns)) else {
        return violation(format!("its folders are not those of {}", claim.partition_by.join(", ")));
    };
    let epoch = receipt.scope.epoch()?;
    let wrong = decoded.into_iter().find(|(column, value)| {
        DERIVED.contains(&column.as_str()) && !is_of_epoch(column, value.as_deref(), epoch.start, claim.epoch_us)
    });
    let (column, value) = wrong?;
    violation(format!("{column} {} is not of epoch {}", value.unwrap_or_else(|| "null".to_owned()), epoch.label()))
}

/// Whether a derived partition value can be one of rows of the epoch that begins at `start`.
fn is_of_epoch(column: &str, value: Option<&str>, start: EventTime, length: EpochLength) -> bool {
    let (first, last) = (start.civil(), start.plus_us(length.as_us() - 1).civil());
    match column {
        "year" => value == Some(first.year.to_string().as_str()),
        "month" => value == Some(first.month.to_string().as_str()),
        "day" => value == Some(first.day.to_string().as_str()),
        "hour" => {
            value.and_then(|value| value.parse().ok()).is_some_and(|hour| (first.hour..=last.hour).contains(&hour))
        }
        _ => true,
    }
}

/// The files that receipts name, by path; and those that are named twice.
pub(super) fn named<'a>(receipts: impl Iterator<Item = &'a Receipt>) -> (BTreeMap<&'a str, Named<'a>>, Vec<Violation>) {
    let (mut named, mut violations) = (BTreeMap::new(), Vec::new());
    for receipt in receipts {
        for file in &receipt.files {
            if let Some(before) = named.insert(file.path.as_str(), Named { receipt, file }) {
                let what = format!("the receipts of entries {} and {} name it", before.receipt.entry, receipt.entry);
                let mut violation = Violation::new(Kind::FileTwice, what).partition(receipt.partition);
                violation.path = Some(file.path.clone());
                violations.push(violation);
            }
        }
    }
    (named, violations)
}

/// Returns the files that no receipt names, but for those of closes that are being published.
pub(super) fn foreign(
    layout: &Layout,
    files: &BTreeMap<Path, u64>,
    named: &BTreeMap<&str, Named<'_>>,
    lanes: &Lanes<'_>,
) -> Vec<Violation> {
    let publishing: BTreeSet<(Path, String)> = lanes
        .unpublished()
        .map(|(state, close)| {
            let (partition, chain) = (state.identity.partition, state.chain.to_string());
            let name = layout.file_name(partition, &chain, close.entry.number, &close.scope);
            (layout.root_of(&close.scope), name)
        })
        .collect();
    let roots = [layout.data(), layout.dead_letters()];
    let is_publishing = |path: &Path| {
        let root = roots.iter().find(|root| path.prefix_matches(root));
        root.cloned().zip(path.filename().map(str::to_owned)).is_some_and(|place| publishing.contains(&place))
    };
    files
        .keys()
        .filter(|path| !named.contains_key(path.as_ref()) && !is_publishing(path))
        .map(|path| Violation::new(Kind::FileForeign, "no receipt names it").path(path))
        .collect()
}
