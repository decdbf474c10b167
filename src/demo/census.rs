//! What is in the output, counted from the Parquet files themselves: no counter of the instances has a part in it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, Int64Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::TOPIC;
use super::folder::for_each_file;
use crate::error::Error;
use crate::parquet::names::{KAFKA_OFFSET, KAFKA_PARTITION};
use crate::store::layout::DEAD_LETTER;

/// What is in the output.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    /// Rows in data files, late ones included.
    pub(super) rows: u64,
    /// Rows in the files of late rows.
    pub(super) late: u64,
    /// Rows in the files of dead letters.
    pub(super) dead_letters: u64,
    /// Different pairs of Kafka partition and offset, over all of them.
    pub(super) distinct: u64,
    /// Data files.
    pub(super) files: u64,
    /// Those of them that hold late rows.
    pub(super) late_files: u64,
    /// Files of dead letters.
    pub(super) dead_letter_files: u64,
    /// Bytes of all files.
    pub(super) bytes: u64,
    /// Epochs that have data files.
    pub(super) epochs: u64,
}

/// Counts what is in the output `folder`.
///
/// # Errors
/// When a file cannot be read as Parquet, or says nothing of where its rows come from.
pub(super) fn take(folder: &Path) -> Result<Census, Error> {
    let (mut census, mut seen, mut epochs) = (Census::default(), HashSet::new(), BTreeSet::new());
    let mut count = |path: &Path| -> Result<(), Failure> {
        let found = read(path).map_err(|why| Failure(format!("cannot read `{}`: {why}", path.display())))?;
        seen.extend(found.offsets);
        census.bytes += found.bytes;
        match found.says.get("kind").map(String::as_str) {
            Some("dead_letter") => {
                census.dead_letter_files += 1;
                census.dead_letters += found.rows;
                return Ok(());
            }
            Some("late") => {
                census.late_files += 1;
                census.late += found.rows;
            }
            _ => {}
        }
        census.files += 1;
        census.rows += found.rows;
        epochs.extend(found.says.get("epoch_start").cloned());
        Ok(())
    };
    let counted = for_each_file(&folder.join(TOPIC), &mut count);
    counted
        .and_then(|()| for_each_file(&folder.join(DEAD_LETTER).join(TOPIC), &mut count))
        .map_err(|Failure(why)| Error::Failed(why))?;
    census.distinct = u64::try_from(seen.len()).unwrap_or(u64::MAX);
    census.epochs = u64::try_from(epochs.len()).unwrap_or(u64::MAX);
    Ok(census)
}

struct Failure(String);

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(format!("cannot look through the output: {error}"))
    }
}

/// What one file holds.
struct Found {
    rows: u64,
    bytes: u64,
    offsets: Vec<(i32, i64)>,
    /// What it says of itself, by the keys without our prefix.
    says: BTreeMap<String, String>,
}

fn read(path: &Path) -> Result<Found, Box<dyn std::error::Error>> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let footer = builder.metadata().file_metadata();
    let rows = u64::try_from(footer.num_rows())?;
    let pairs = footer.key_value_metadata().into_iter().flatten();
    let says =
        pairs.filter_map(|pair| Some((pair.key.strip_prefix("streams-to-parquet.")?.to_owned(), pair.value.clone()?)));
    let says = says.collect();
    let columns = ProjectionMask::columns(builder.parquet_schema(), [KAFKA_PARTITION, KAFKA_OFFSET]);
    let mut offsets = Vec::new();
    for batch in builder.with_projection(columns).build()? {
        let batch = batch?;
        let partitions =
            batch.column_by_name(KAFKA_PARTITION).and_then(|column| column.as_primitive_opt::<Int32Type>());
        let of_rows = batch.column_by_name(KAFKA_OFFSET).and_then(|column| column.as_primitive_opt::<Int64Type>());
        let (partitions, of_rows) = partitions.zip(of_rows).ok_or("no Kafka coordinates in it")?;
        offsets.extend(partitions.values().iter().copied().zip(of_rows.values().iter().copied()));
    }
    Ok(Found { rows, bytes, offsets, says })
}
