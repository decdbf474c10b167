//! Child processes: our program, brokers, servers, scripts.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{target, watchdog};

/// Lines of a log that are shown when a test fails.
const TAIL_LINES: usize = 60;

/// Logs stay in `target/tmp/logs`, one folder for each run of a test file, so that a failure can be looked into later.
static LOGS: LazyLock<PathBuf> = LazyLock::new(|| {
    let program = std::env::current_exe().ok();
    let stem = program.as_deref().and_then(|path| path.file_stem()).and_then(|stem| stem.to_str()).unwrap_or("test");
    let folder = target().join("tmp/logs").join(format!("{stem}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("cannot make a folder for logs");
    folder
});

/// What a test may send to a process.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    /// Ends it in order.
    Term,
    /// Ctrl-C.
    Int,
    /// Ends it at once: the crash.
    Kill,
    /// Freezes it: the zombie of tomorrow.
    Stop,
    /// Wakes it up.
    Cont,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Cont => "CONT",
        }
    }
}

/// A running child; killed when it is dropped. If that is because the test failed, the ends of its logs are shown.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    log: PathBuf,
}

impl Process {
    /// Starts `streams-to-parquet` with these arguments, and no environment variable that could be taken for a flag.
    pub fn ours(args: &[&str]) -> Self {
        Self::ours_with(args, &[])
    }

    /// The same, with these environment variables.
    pub fn ours_with(args: &[&str], environment: &[(&str, String)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_streams-to-parquet"));
        command.args(args).env_clear();
        for name in ["PATH", "HOME", "RUST_BACKTRACE", "RUST_LOG"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        Self::start(args.first().unwrap_or(&"streams-to-parquet"), command)
    }

    /// Starts `command`, its output going to files.
    ///
    /// In a process group of its own: a Ctrl-C in the terminal goes to the test alone, and the watchdog does the rest.
    pub fn start(name: &str, mut command: Command) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let log = LOGS.join(format!("{:03}-{name}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        command
            .stdin(Stdio::null())
            .stdout(File::create(stream_path(&log, "stdout")).unwrap())
            .stderr(File::create(stream_path(&log, "stderr")).unwrap())
            .process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        watchdog::watch(child.id());
        Self { name: name.to_owned(), child, ended: None, log }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output up to now.
    pub fn stdout(&self) -> String {
        self.output("stdout")
    }

    /// What it has written to standard error up to now.
    pub fn stderr(&self) -> String {
        self.output("stderr")
    }

    fn output(&self, stream: &str) -> String {
        String::from_utf8_lossy(&fs::read(stream_path(&self.log, stream)).unwrap_or_default()).into_owned()
    }

    /// The ends of both outputs, for a failure message.
    pub fn tails(&self) -> String {
        let mut text = String::new();
        for stream in ["stdout", "stderr"] {
            let output = self.output(stream);
            let lines: Vec<_> = output.lines().collect();
            let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
            let path = stream_path(&self.log, stream);
            text.push_str(&format!("--- {} ({}), the end of {}:\n{tail}\n", self.name, self.id(), path.display()));
        }
        text
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
            if self.ended.is_some() {
                watchdog::forget(self.child.id());
            }
        }
        self.ended
    }

    /// Waits until it has ended; panics when it has not within `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(start.elapsed() < limit, "{} did not end within {limit:?}", self.name);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it has ended with success, and returns its standard output; panics otherwise.
    pub fn succeed(&mut self, limit: Duration) -> String {
        let status = self.wait(limit);
        assert!(status.success(), "{} ended with {status}", self.name);
        self.stdout()
    }

    /// Sends a signal, unless it has ended already.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            // The shell's own `kill`: the call itself would be unsafe code here. As long as we have not waited for the
            // child, its id is not given to another process.
            let line = format!("kill -{} {}", signal.name(), self.child.id());
            let status = Command::new("sh").args(["-c", &line]).status().unwrap();
            assert!(status.success(), "`{line}` failed: {status}");
        }
    }

    /// Kills it at once and waits for its end.
    pub fn kill(&mut self) -> ExitStatus {
        if self.ended().is_none() {
            self.child.kill().unwrap();
        }
        self.wait(Duration::from_secs(30))
    }

    /// SIGTERM, and the time that it may take to end in order; panics when it takes longer.
    pub fn terminate(&mut self, limit: Duration) -> ExitStatus {
        self.signal(Signal::Term);
        self.wait(limit)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = self.child.kill(); // It may have ended just now.
            let _ = self.child.wait();
            watchdog::forget(self.child.id());
        }
        if thread::panicking() {
            eprintln!("{}", self.tails());
        }
    }
}

fn stream_path(log: &Path, stream: &str) -> PathBuf {
    log.with_file_name(format!("{}.{stream}", log.file_name().unwrap_or_default().display()))
}

/// Status and body of an HTTP GET, e.g. of `/metrics`; `None` while nobody answers there.
pub fn http_get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
