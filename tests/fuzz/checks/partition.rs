//! Any two texts: different values have different folders, no folder leads elsewhere, and readers get the value back.

use object_store::path::Path;
use streams_to_parquet::partition::hive::{EMPTY, Folder, MAX_NAME_BYTES, NULL, OTHER, decode, folder, other};

/// The longest name of a partition column, written out.
const MAX_COLUMN_BYTES: usize = 128;

pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let _ = decode(text);
    let (one, two) = text.split_once('\u{1e}').unwrap_or((text, ""));
    let (first, second) = (folder("k", Some(one)), folder("k", Some(two)));
    assert_eq!(first.name == second.name, one == two, "{one:?} and {two:?}");
    for shared in [folder("k", None), other("k")] {
        assert_ne!(first.name, shared.name);
    }
    is_sound(one, &first);
    // Longer names of columns are refused with the flags; each of their bytes may become three.
    if (1..=MAX_COLUMN_BYTES / 3).contains(&one.len()) {
        is_sound(two, &folder(one, Some(two)));
    }
}

fn is_sound(value: &str, folder: &Folder) {
    let Folder { name, exact } = folder;
    assert!(name.len() <= MAX_NAME_BYTES && name.contains('='), "{name:?}");
    assert!(!name.contains('/') && !name.bytes().any(|byte| byte.is_ascii_control()), "{name:?}");
    let path = Path::parse(format!("topic/{name}/file")).expect("folders are parts of paths");
    assert_eq!(path.parts().count(), 3, "{name:?}");
    if *exact {
        let (_, back) = decode(name).expect("a folder's own name");
        assert_eq!(back.as_deref(), Some(value), "{name:?}");
        assert!(![NULL, EMPTY, OTHER, ""].contains(&value), "{value:?}");
    }
}
