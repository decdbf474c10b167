//! Turns a Kafka topic of JSON events into partitioned Parquet files, exactly once.

pub mod app;
pub mod config;
pub mod demo;
pub mod engine;
pub mod error;
pub mod generate;
pub mod heap;
pub mod http;
pub mod infer;
pub mod kafka;
pub mod metrics;
pub mod names;
pub mod parquet;
pub mod partition;
pub mod record;
pub mod recover;
pub mod schema;
pub mod store;
pub mod verify;

#[cfg(test)]
mod architecture {
    //! Arrows point one way: the engine knows no edge, edges do not know each other, and nothing but `main` knows the whole.

    use std::path::Path;

    /// A module, and the modules of this crate that it may name.
    const MAY_NAME: [(&str, &[&str]); 10] = [
        ("names", &[]),
        ("engine", &["engine"]),
        ("schema", &["names", "record", "schema"]),
        ("record", &["engine", "record", "schema"]),
        ("partition", &["engine", "names", "partition", "record", "schema"]),
        ("parquet", &["engine", "names", "parquet"]),
        ("kafka", &["engine", "kafka"]),
        ("store", &["engine", "store"]),
        ("http", &["http", "metrics"]),
        ("metrics", &["engine", "metrics"]),
    ];

    fn sources(of: &Path) -> Vec<std::path::PathBuf> {
        let Ok(entries) = std::fs::read_dir(of) else { return Vec::new() };
        let paths = entries.map(|entry| entry.expect("a folder can be read").path());
        paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn edges_do_not_know_each_other() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for (module, may_name) in MAY_NAME {
            let mut files = sources(&root.join(module));
            files.push(root.join(format!("{module}.rs")));
            for file in files {
                let text = std::fs::read_to_string(&file).expect("a source can be read");
                for named in text.split("crate::").skip(1) {
                    let named = named.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                    assert!(named.is_empty() || may_name.contains(&named), "{} names `{named}`", file.display());
                }
            }
        }
    }
}
