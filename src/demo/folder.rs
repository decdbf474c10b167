//! The demo's output folder: never anybody else's.

use std::fs;
use std::io;
use std::path::Path;

use super::TOPIC;
use crate::error::Error;
use crate::store::layout::{DEAD_LETTER, META};

/// Says that the folder is a demo's, which the next demo may replace.
const MARK: &str = ".streams-to-parquet-demo";
const MARK_TEXT: &str =
    "The output of `streams-to-parquet demo`. The next demo replaces it, as long as this file is here.\n";

/// Makes the folder ready: it is absent, empty, or a demo's before.
///
/// # Errors
/// [`Error::Mistake`] when the folder holds anything else; nothing is touched then.
pub(super) fn prepare(folder: &Path) -> Result<(), Error> {
    let failed = |error: io::Error| Error::Mistake(format!("--output: cannot use `{}`: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    let marked = folder.join(MARK).is_file();
    let empty = fs::read_dir(folder).map_err(failed)?.next().is_none();
    if !marked && !empty {
        return Err(Error::Mistake(format!(
            "--output: `{}` is not empty, and not the output of a demo: choose another folder",
            folder.display()
        )));
    }
    for part in [TOPIC, META, DEAD_LETTER] {
        match fs::remove_dir_all(folder.join(part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    fs::write(folder.join(MARK), MARK_TEXT).map_err(failed)
}

/// Calls `visit` for every Parquet file under `folder`, in the order of their names. A folder that is not there has none.
///
/// # Errors
/// When a folder cannot be read, or `visit` fails.
pub(super) fn for_each_file<E: From<io::Error>>(
    folder: &Path,
    visit: &mut impl FnMut(&Path) -> Result<(), E>,
) -> Result<(), E> {
    for (path, is_folder) in entries(folder)? {
        if is_folder {
            for_each_file(&path, visit)?;
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            visit(&path)?;
        }
    }
    Ok(())
}

/// Returns what lies in a folder, folders first, by name; nothing if it is not there.
pub(super) fn entries(folder: &Path) -> io::Result<Vec<(std::path::PathBuf, bool)>> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry?;
        found.push((entry.path(), entry.file_type()?.is_dir()));
    }
    found.sort_by(|(a, a_is_folder), (b, b_is_folder)| b_is_folder.cmp(a_is_folder).then_with(|| a.cmp(b)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let precious = folder.path().join(TOPIC).join("precious.parquet");
        fs::create_dir_all(folder.path().join(TOPIC)).expect("a folder");
        fs::write(&precious, "rows").expect("a file");
        let error = prepare(folder.path()).expect_err("refused");
        assert!(error.is_mistake());
        assert!(precious.is_file());
        assert!(!folder.path().join(MARK).exists());
    }

    #[test]
    fn a_demo_replaces_what_a_demo_left_and_nothing_else() {
        let outer = tempfile::tempdir().expect("a folder");
        let folder = outer.path().join("demo-output");
        prepare(&folder).expect("an absent folder is made");
        let old = folder.join(TOPIC).join("year=2026/old.parquet");
        fs::create_dir_all(old.parent().expect("a folder")).expect("a folder");
        fs::write(&old, "rows").expect("a file");
        fs::write(folder.join("notes.txt"), "mine").expect("a file");
        prepare(&folder).expect("a demo's");
        assert!(!folder.join(TOPIC).exists());
        assert!(folder.join("notes.txt").is_file());
    }
}
