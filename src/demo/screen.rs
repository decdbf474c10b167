//! What one sees while the demo works: a bar on a terminal, otherwise a plain line every few seconds; all on standard error.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::TOPIC;
use super::feeder::Fed;
use super::folder::for_each_file;
use crate::app::{Progress, clock};

/// How often the bar moves.
const FRAME: Duration = Duration::from_millis(200);
/// How often a plain line is written.
const LINE: Duration = Duration::from_secs(3);

/// Shows how the demo goes; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    bar: Option<ProgressBar>,
    fed: Arc<Fed>,
    members: Arc<Mutex<Vec<Progress>>>,
    folder: PathBuf,
    began: Duration,
}

impl Screen {
    pub(super) fn new(events: u64, fed: Arc<Fed>, folder: PathBuf) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("  {bar:24} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(events).with_style(style)
        });
        Self { bar, fed, members: Arc::default(), folder, began: clock::elapsed() }
    }

    /// Says what happens next.
    pub(super) fn say(&self, what: &str) {
        let line = format!("{:>5.1} s  {what}", self.elapsed().as_secs_f64());
        match &self.bar {
            Some(bar) => bar.suspend(|| print(&line)),
            None => print(&line),
        }
    }

    /// Shows one more instance.
    pub(super) fn watch(&self, instance: Progress) {
        self.members.lock().unwrap_or_else(PoisonError::into_inner).push(instance);
    }

    /// Shows how it goes, until it is dropped.
    pub(super) async fn show(self) {
        let every = if self.bar.is_some() { FRAME } else { LINE };
        loop {
            tokio::time::sleep(every).await;
            let screen = self.clone();
            // Counting files takes its time.
            let Ok(text) = tokio::task::spawn_blocking(move || screen.text()).await else { return };
            match &self.bar {
                Some(bar) => {
                    bar.set_position(self.fed.sent.load(Ordering::Relaxed));
                    bar.set_message(text);
                }
                None => self.say(&format!("  {text}")),
            }
        }
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Returns how long it has taken.
    pub(super) fn elapsed(&self) -> Duration {
        clock::elapsed().saturating_sub(self.began)
    }

    fn text(&self) -> String {
        let (sent, durable) = (self.fed.sent.load(Ordering::Relaxed), self.fed.committed.load(Ordering::Relaxed));
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let held: Vec<String> = members.iter().map(|member| member.partitions().to_string()).collect();
        let mut files = 0_u64;
        // Folders come and go while they are looked through: the count may be too low for a moment.
        let _: io::Result<()> = for_each_file(&self.folder.join(TOPIC), &mut |_| {
            files += 1;
            Ok(())
        });
        let held = if held.is_empty() { "-".to_owned() } else { held.join("+") };
        format!("{sent} sent, {durable} durable, {files} files; instances hold {held} partitions")
    }
}

fn print(line: &str) {
    let _ = writeln!(io::stderr(), "{line}"); // nobody is told when standard error is closed
}
