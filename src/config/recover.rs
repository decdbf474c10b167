//! The flags of `recover`.

use clap::{Args, ValueHint};

/// The flags of `recover`.
#[derive(Debug, Clone, Args)]
pub struct RecoverConfig {
    /// Folder or URL of the output, as `run` has it.
    #[arg(long, env = "OUTPUT", value_name = "PATH|URL", value_hint = ValueHint::DirPath)]
    pub output: String,
    /// Topic whose lane logs have lost entries.
    #[arg(long, env = "TOPIC", value_name = "NAME")]
    pub topic: String,
    /// Only say what would be given up.
    #[arg(long)]
    pub dry_run: bool,
}
