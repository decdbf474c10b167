//! A real S3 server: versitygw, on a folder.

use std::{net::TcpStream, path::PathBuf, process::Command, time::Duration};

use tempfile::TempDir;

use super::{fetched, free_port, process::Process, scratch, wait_for};

const ACCESS_KEY: &str = "test-access";
const SECRET_KEY: &str = "test-secret";
const BUCKET: &str = "bucket";

/// A running S3 server with one bucket; stopped when dropped.
#[derive(Debug)]
pub struct S3Server {
    port: u16,
    folder: TempDir,
    _process: Process,
}

impl S3Server {
    /// Starts a server and waits until it answers.
    pub fn start() -> Self {
        let folder = scratch("s3");
        // The server takes each folder below its own for a bucket.
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let port = free_port();
        let mut command = Command::new(fetched("tools/versitygw"));
        command.args(["-a", ACCESS_KEY, "-s", SECRET_KEY, "-p", &format!("127.0.0.1:{port}"), "-q", "posix"]);
        command.arg(folder.path());
        let mut process = Process::start("versitygw", command);
        wait_for("the S3 server answers", Duration::from_secs(30), || {
            assert!(process.ended().is_none(), "the S3 server ended");
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { port, folder, _process: process }
    }

    /// The environment that makes our program use this server for `s3://` URLs.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ]
    }

    /// The name of its bucket.
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// What `--output` takes for a prefix of the bucket.
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// The same prefix as a folder of plain files, for readers that know nothing of S3.
    pub fn folder(&self, prefix: &str) -> PathBuf {
        self.folder.path().join(BUCKET).join(prefix)
    }
}
