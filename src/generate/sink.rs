//! Where events go: JSON lines in a file or on standard output, or a Kafka topic (in `producer`).

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::GenerateError;
use crate::engine::time::EventTime;

/// How many bytes are written at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Takes events one by one: the caller appends the bytes to [`Sink::buffer`], then calls [`Sink::emit`].
pub(super) trait Sink {
    /// Returns the buffer that the next event is to be appended to.
    fn buffer(&mut self) -> &mut Vec<u8>;

    /// Takes what was appended as one event. `false`: it was told to stop, and did not take it.
    fn emit(&mut self, key: &str, event_time: EventTime, stop: &AtomicBool) -> Result<bool, GenerateError>;

    /// Waits for this long, and serves what happens meanwhile.
    fn wait(&mut self, time: Duration) -> Result<(), GenerateError>;

    /// Brings everything to its end; returns how many events are known to be stored.
    fn finish(&mut self, stop: &AtomicBool) -> Result<u64, GenerateError>;
}

/// Writes each event as a line.
pub(super) struct Lines {
    target: String,
    file: Box<dyn Write>,
    buffer: Vec<u8>,
    written: u64,
    /// Whether the reader of a pipe went away, which ends the stream without an error.
    closed: bool,
}

impl Lines {
    /// Opens the file at `path` for writing; `-` is standard output.
    pub(super) fn open(path: &Path) -> Result<Self, GenerateError> {
        let target = path.display().to_string();
        let file: Box<dyn Write> = if target == "-" {
            Box::new(raw_stdout())
        } else {
            Box::new(File::create(path).map_err(|source| GenerateError::Write { target: target.clone(), source })?)
        };
        Ok(Self::to(file, target))
    }

    pub(super) fn to(file: Box<dyn Write>, target: String) -> Self {
        Self { target, file, buffer: Vec::with_capacity(CHUNK_BYTES + 4096), written: 0, closed: false }
    }

    fn write(&mut self) -> Result<(), GenerateError> {
        let result = self.file.write_all(&self.buffer).and_then(|()| self.file.flush());
        self.buffer.clear();
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(source) => Err(GenerateError::Write { target: self.target.clone(), source }),
            Ok(()) => Ok(()),
        }
    }
}

/// Returns standard output without the line buffer that Rust puts before it.
#[cfg(unix)]
fn raw_stdout() -> impl Write {
    use std::os::fd::AsFd as _;
    let copy = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    // Without a copy (no free descriptor) the buffered one does the same, only slower.
    copy.map_or_else(|_| Box::new(io::stdout().lock()) as Box<dyn Write>, |file| Box::new(file))
}

/// Returns standard output.
#[cfg(not(unix))]
fn raw_stdout() -> impl Write {
    io::stdout().lock()
}

impl Sink for Lines {
    #[inline]
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    #[inline]
    fn emit(&mut self, _: &str, _: EventTime, _: &AtomicBool) -> Result<bool, GenerateError> {
        if self.closed {
            return Ok(false);
        }
        self.buffer.push(b'\n');
        self.written += 1;
        if self.buffer.len() >= CHUNK_BYTES {
            self.write()?;
        }
        Ok(true)
    }

    /// Writes what there is first, so that a reader of a slow stream sees it.
    fn wait(&mut self, time: Duration) -> Result<(), GenerateError> {
        if !self.buffer.is_empty() {
            self.write()?;
        }
        std::thread::sleep(time);
        Ok(())
    }

    fn finish(&mut self, _: &AtomicBool) -> Result<u64, GenerateError> {
        self.write()?;
        Ok(self.written)
    }
}
