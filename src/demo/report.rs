//! The summary at the end, for somebody who sees the program for the first time.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use bytesize::ByteSize;

use super::census::Census;
use super::feeder::Sent;
use super::folder::entries;
use super::{INSTANCES, PARTITIONS, TOPIC};

/// How many entries of a folder the tree shows.
const SHOWN: usize = 2;
/// The folder that is drawn closed: what is in it is of no use to anybody but the instances.
const CLOSED: &str = "control";

/// What was sent, what is there, and whether they agree.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) sent: Sent,
    pub(super) found: Census,
    /// How many events had been sent when an instance left.
    pub(super) left_after: u64,
    pub(super) elapsed: Duration,
    pub(super) folder: &'a Path,
}

impl Report<'_> {
    /// Returns what does not agree, in a sentence for each.
    pub(super) fn differences(&self) -> Vec<String> {
        let (sent, found) = (self.sent, &self.found);
        let mut differences = Vec::new();
        let mut compare = |what: &str, found: u64, sent: u64| {
            if found != sent {
                differences.push(format!("{what}: {found} found, {sent} expected"));
            }
        };
        compare("rows and dead letters", found.rows + found.dead_letters, sent.events);
        compare("dead letters", found.dead_letters, sent.malformed);
        compare("different Kafka offsets", found.distinct, sent.events);
        differences
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, found, left_after, elapsed, folder } = self;
        let good = sent.events - sent.malformed;
        writeln!(
            f,
            "Four hours of web events in {:.0} seconds: {INSTANCES} instances shared {PARTITIONS} Kafka partitions; one left",
            elapsed.as_secs_f64()
        )?;
        writeln!(
            f,
            "after {} events, and the others took over what it held. A last run closed the epochs still open.",
            grouped(*left_after)
        )?;
        writeln!(f)?;
        writeln!(f, "                              sent to Kafka   found in Parquet")?;
        writeln!(f, "  good events -> rows       {:>15} {:>18}", grouped(good), grouped(found.rows))?;
        writeln!(f, "  malformed -> dead letters {:>15} {:>18}", grouped(sent.malformed), grouped(found.dead_letters))?;
        let all = found.rows + found.dead_letters;
        writeln!(f, "  together                  {:>15} {:>18}", grouped(sent.events), grouped(all))?;
        writeln!(f, "  different Kafka offsets   {:>15} {:>18}", grouped(sent.events), grouped(found.distinct))?;
        let differences = self.differences();
        if differences.is_empty() {
            writeln!(f, "\n  The sums agree: every event is there, and no event is there twice.")?;
        }
        for difference in &differences {
            writeln!(f, "\n  WRONG: {difference}.")?;
        }
        writeln!(f)?;
        writeln!(f, "  epochs of 15 minutes      {:>15}", grouped(found.epochs))?;
        let on_time = found.files - found.late_files;
        writeln!(f, "  files                     {:>15}   one for each epoch and page", grouped(on_time))?;
        writeln!(
            f,
            "  files of late rows        {:>15}   {} rows came after their epoch was closed",
            grouped(found.late_files),
            grouped(found.late)
        )?;
        writeln!(f, "  files of dead letters     {:>15}", grouped(found.dead_letter_files))?;
        writeln!(f, "  size                      {:>15}   of {} of JSON", ByteSize(found.bytes), ByteSize(sent.bytes))?;
        writeln!(f, "\n{}/", folder.display())?;
        let mut text = String::new();
        tree(folder, "", &mut text)?;
        f.write_str(&text)?;
        let folder = folder.display();
        writeln!(f, "\nTry a query, with DuckDB's command line or with Python:\n")?;
        writeln!(
            f,
            "  duckdb -c \"SELECT page_url_path, count(*) AS events, count(DISTINCT user_custom_id) AS users FROM read_parquet('{folder}/{TOPIC}/**/*.parquet', hive_partitioning = true) GROUP BY ALL ORDER BY events DESC LIMIT 10\"\n"
        )?;
        write!(
            f,
            "  python3 -c \"import pyarrow.dataset as ds; print(ds.dataset('{folder}/{TOPIC}', partitioning='hive').count_rows())\""
        )
    }
}

/// Returns a number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Draws what is in a folder, the first entries of each.
fn tree(folder: &Path, indent: &str, text: &mut String) -> fmt::Result {
    // A folder that cannot be read is drawn empty.
    let mut found = entries(folder).unwrap_or_default();
    found.retain(|(path, _)| !name(path).starts_with('.'));
    // Data comes before what is about data.
    found.sort_by_key(|(path, _)| name(path).starts_with('_'));
    // Nothing is said of one more: it is shown instead.
    let shown = if found.len() > SHOWN + 1 { SHOWN } else { found.len() };
    for (place, (path, is_folder)) in found.iter().take(shown).enumerate() {
        let last = place + 1 == found.len();
        writeln!(
            text,
            "{indent}{} {}{}",
            if last { "└──" } else { "├──" },
            name(path),
            if *is_folder { "/" } else { "" }
        )?;
        if *is_folder && name(path) != CLOSED {
            tree(path, &format!("{indent}{}", if last { "    " } else { "│   " }), text)?;
        }
    }
    if found.len() > shown {
        writeln!(text, "{indent}└── … and {} more", found.len() - shown)?;
    }
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(sent: Sent, found: Census) -> Report<'static> {
        Report { sent, found, left_after: 2, elapsed: Duration::ZERO, folder: Path::new("nowhere") }
    }

    #[test]
    fn a_lost_row_is_a_difference_and_so_is_one_that_came_twice() {
        let sent = Sent { events: 4, malformed: 1, ..Sent::default() };
        let found = |rows, distinct| Census { rows, dead_letters: 1, distinct, ..Census::default() };
        assert_eq!(report(sent, found(3, 4)).differences(), Vec::<String>::new());
        assert_eq!(report(sent, found(2, 3)).differences().len(), 2);
        assert_eq!(report(sent, found(4, 4)).differences(), ["rows and dead letters: 5 found, 4 expected"]);
        // One lost, another doubled: the sums agree, the offsets do not.
        assert_eq!(report(sent, found(3, 3)).differences(), ["different Kafka offsets: 3 found, 4 expected"]);
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_tree_shows_the_first_of_many() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["d", "a", "c", "b", "e"] {
            std::fs::write(folder.path().join(name), "").expect("a file");
        }
        let mut text = String::new();
        tree(folder.path(), "", &mut text).expect("a string takes everything");
        assert_eq!(text, "├── a\n├── b\n└── … and 3 more\n");
    }
}
