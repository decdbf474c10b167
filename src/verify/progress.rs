//! What a person at a terminal sees meanwhile; nothing anywhere else.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on a terminal.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn start() -> Self {
        Self { bar: io::stderr().is_terminal().then(ProgressBar::new_spinner) }
    }

    /// Says what happens, before it is known how much there is to do.
    pub(super) fn say(&self, topic: &str, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_style(style("{spinner} {msg}"));
            bar.set_message(format!("{topic}: {what}"));
            bar.enable_steady_tick(std::time::Duration::from_millis(100));
        }
    }

    /// So many files are to be looked at.
    pub(super) fn expect(&self, topic: &str, files: usize) {
        if let Some(bar) = &self.bar {
            bar.set_style(style("{bar:30} {human_pos} of {human_len} files of {msg}, {eta} to go"));
            bar.set_length(u64::try_from(files).unwrap_or(u64::MAX));
            bar.set_position(0);
            bar.set_message(topic.to_owned());
        }
    }

    /// One file more.
    pub(super) fn advance(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
