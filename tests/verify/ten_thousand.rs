//! A healthy output of 10,000 files, and how long its proof takes.

use crate::output::{Output, Size};

#[test]
fn ten_thousand_files_are_proved() {
    let output = Output::new(Size { partitions: 4, epochs: 10, buckets: 250, rows: 2 });
    let files = |folder: &str| output.keys(folder).len();
    // And a file of dead letters for each partition.
    assert_eq!((files("web"), files("_dead_letter")), (10_000, 4));
    for flags in [&[][..], &["--checksums"], &["--deep"]] {
        let said = output.verify(flags);
        assert_eq!(said.code, 0, "{} {:?}", said.stderr, said.kinds());
        assert_eq!(said.report["topics"][0]["files"], 10_004);
        let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
        eprintln!("verify {flags:?} over 10,004 files, {profile} profile: {} ms", said.report["elapsed_ms"]);
    }
}
