//! Folders named `column=value`, as Hive, Spark, pyarrow and DuckDB read them.
//!
//! # Rules
//! * ASCII that Hive escapes, or that object stores, URLs or shells trip over, is written `%XX` in upper-case hex. Everything
//!   beyond ASCII stays as it is, since Spark reads `%XX` as a character and not as a byte.
//! * Null is [`NULL`]. The empty text is [`EMPTY`], since Spark refuses a whole data set that has a folder `column=`; the folder that
//!   takes the rows of all other buckets is [`OTHER`]. A value that reads like one of the three has its first `_` written `%5F`.
//! * A name that would pass [`MAX_NAME_BYTES`] is cut and ends in `~` and a hash of the whole; no other name holds a `~`.
//! * Names hold no `/` and no control character of ASCII, and are neither `.` nor `..`: nothing leaves its folder.

use std::borrow::Cow;
use std::fmt::Write as _;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str};
use sha2::{Digest, Sha256};

pub use crate::names::OTHER;

/// The value that stands for null.
pub const NULL: &str = "__HIVE_DEFAULT_PARTITION__";
/// The value that stands for the empty text.
pub const EMPTY: &str = "__EMPTY__";
/// The longest name of a folder that every file system can hold, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// `~` and 16 hex digits.
const HASH_BYTES: usize = 17;

/// What is written `%XX`: Spark's `escapePathName`, and what S3, GCS, URLs and Windows advise against.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'\'')
    .add(b'*')
    .add(b'+')
    .add(b'/')
    .add(b':')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'~');

/// The folder of one partition value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The name, `column=value`.
    pub name: String,
    /// Whether readers get the very value back; if not, it must be kept elsewhere.
    pub exact: bool,
}

/// Returns the folder of `value` of the partition column `column`; different values have different folders.
#[must_use]
pub fn folder(column: &str, value: Option<&str>) -> Folder {
    match value {
        None => named(column, NULL, true),
        Some("") => named(column, EMPTY, false),
        Some(value) if [NULL, EMPTY, OTHER].contains(&value) => named(column, &value.replacen('_', "%5F", 1), false),
        // XML, in which object stores list names, cannot hold these two.
        Some(value) => named(column, &encode(value), !value.contains(['\u{fffe}', '\u{ffff}'])),
    }
}

/// Returns the folder of `column` that takes the rows of all buckets beyond the limit.
#[must_use]
pub fn other(column: &str) -> Folder {
    named(column, OTHER, false)
}

/// Returns the folder with a value that is encoded already; the name is shortened if need be.
fn named(column: &str, value: &str, exact: bool) -> Folder {
    let name = format!("{}={value}", encode(column));
    if name.len() <= MAX_NAME_BYTES { Folder { name, exact } } else { Folder { name: shortened(&name), exact: false } }
}

/// Returns the column and the value that a folder's name stands for; `None` if it is no such name.
///
/// The value of a shortened name is what is left of it.
#[must_use]
pub fn decode(name: &str) -> Option<(String, Option<String>)> {
    let (column, value) = name.split_once('=')?;
    let column = decode_part(column)?;
    match value {
        NULL => Some((column, None)),
        EMPTY => Some((column, Some(String::new()))),
        value => Some((column, Some(decode_part(value)?))),
    }
}

/// Returns the beginning of `name` and a hash of the whole.
fn shortened(name: &str) -> String {
    let room = MAX_NAME_BYTES - HASH_BYTES;
    let mut end = name.char_indices().map(|(start, _)| start).take_while(|start| *start <= room).last().unwrap_or(0);
    // A cut inside `%XX` would be read as something else.
    if let Some(start) = name.get(..end).and_then(|kept| kept.rfind('%'))
        && start + 3 > end
    {
        end = start;
    }
    let hash = Sha256::digest(name.as_bytes());
    format!("{}~{}", name.get(..end).unwrap_or_default(), hex::encode(hash.get(..8).unwrap_or_default()))
}

pub(super) fn encode(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| !byte.is_ascii() || !escapes(byte)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match u8::try_from(char) {
            Ok(byte) if byte.is_ascii() && escapes(byte) => {
                let _ = write!(out, "%{byte:02X}");
            }
            _ => out.push(char),
        }
    }
    Cow::Owned(out)
}

fn escapes(byte: u8) -> bool {
    percent_encoding::percent_encode(&[byte], ESCAPED).next().is_some_and(|text| text.len() == 3)
}

fn decode_part(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use object_store::local::LocalFileSystem;
    use object_store::path::Path;
    use object_store::{ObjectStore, ObjectStoreExt};
    use proptest::prelude::*;

    use super::*;

    fn exact(value: &str) -> String {
        let folder = folder("k", Some(value));
        assert!(folder.exact, "{value:?}");
        folder.name
    }

    #[test]
    fn unsafe_characters_are_escaped_and_letters_of_any_script_stay() {
        assert_eq!(exact("/home"), "k=%2Fhome");
        assert_eq!(exact("a=b%c"), "k=a%3Db%25c");
        assert_eq!(exact("\0\n\x7f"), "k=%00%0A%7F");
        assert_eq!(exact("grün 日本 😀"), "k=grün 日本 😀");
        assert_eq!(exact(".."), "k=..");
        assert_eq!(exact("-7"), "k=-7");
        assert_eq!(exact("2026-11-22 17:10:16.211964"), "k=2026-11-22 17%3A10%3A16.211964");
        assert_eq!(folder("a/b=", Some("1")).name, "a%2Fb%3D=1");
    }

    #[test]
    fn values_that_readers_take_for_null_are_not_exact() {
        assert_eq!(folder("k", None), Folder { name: "k=__HIVE_DEFAULT_PARTITION__".into(), exact: true });
        assert!(!folder("k", Some(NULL)).exact);
        assert_eq!(folder("k", Some(NULL)).name, "k=%5F_HIVE_DEFAULT_PARTITION__");
        assert_eq!(folder("k", Some("")), Folder { name: "k=__EMPTY__".into(), exact: false });
        assert_eq!(folder("k", Some(OTHER)), Folder { name: "k=%5F_OTHER__".into(), exact: false });
        assert_eq!(other("k"), Folder { name: "k=__OTHER__".into(), exact: false });
    }

    #[test]
    fn a_long_value_is_cut_and_told_apart_by_its_hash() {
        assert_eq!(exact(&"x".repeat(253)).len(), 255);
        let one = folder("k", Some(&"😀".repeat(64)));
        let other = folder("k", Some(&format!("{}!", "😀".repeat(64))));
        assert!(!one.exact && one.name.len() <= 255 && one.name != other.name);
        assert!(one.name.starts_with("k=😀") && one.name.contains("😀~"));
        let slashes = folder("k", Some(&"/".repeat(100))).name;
        let (kept, hash) = slashes.split_once('~').unwrap();
        assert_eq!((kept, hash.len()), (format!("k={}", "%2F".repeat(78)).as_str(), 16));
    }

    #[test]
    fn a_local_store_writes_exactly_these_names() {
        let values = [
            "😀", "a\nb", "\0", "%", "%2F", "..", ".", "../../x", "dot.", "space ", " ", "a\\b", "C:\\x", "#1", "",
            "~", "é",
        ];
        let home = tempfile::tempdir().unwrap();
        let store = LocalFileSystem::new_with_prefix(home.path()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for value in values {
                let name = folder("k", Some(value)).name;
                let path = Path::parse(format!("topic/{name}/part.parquet")).unwrap();
                store.put(&path, value.to_owned().into()).await.unwrap();
                let written = std::fs::read(home.path().join("topic").join(&name).join("part.parquet")).unwrap();
                assert_eq!(written, value.as_bytes());
            }
            let mut found: Vec<String> = store
                .list(None)
                .map_ok(|object| object.location.parts().nth(1).unwrap().as_ref().to_owned())
                .try_collect()
                .await
                .unwrap();
            let mut expected = values.map(|value| folder("k", Some(value)).name);
            found.sort();
            expected.sort();
            assert_eq!(found, expected);
        });
    }

    fn values() -> impl Strategy<Value = String> {
        let taken = proptest::sample::select(vec![NULL, EMPTY, OTHER, ""]).prop_map(String::from);
        prop_oneof![taken, any::<String>(), "[a-c/%=~.]{0,6}", "\\PC{60,130}", "[\\x00-\\x7f]{0,300}"]
    }

    proptest! {
        #[test]
        fn every_value_stays_in_its_folder_and_comes_back(column in "\\PC{1,20}", value in values()) {
            let Folder { name, exact } = folder(&column, Some(&value));
            prop_assert!(name.len() <= MAX_NAME_BYTES);
            prop_assert!(!name.contains('/') && name != "." && name != ".." && !name.bytes().any(|b| b.is_ascii_control()));
            let path = Path::parse(format!("t/{name}/f")).unwrap();
            prop_assert_eq!(path.as_ref(), format!("t/{name}/f"));
            let (read_column, read) = decode(&name).unwrap();
            prop_assert_eq!(read_column, column);
            if exact {
                prop_assert_eq!(read, Some(value));
            }
        }

        #[test]
        fn different_values_have_different_folders(one in values(), other in values()) {
            let (a, b) = (folder("k", Some(&one)), folder("k", Some(&other)));
            prop_assert_eq!(a.name == b.name, one == other);
            prop_assert_ne!(a.name, folder("k", None).name);
        }
    }
}
