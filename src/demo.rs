//! `demo`.

use tokio::sync::watch;

use crate::config::DemoConfig;
use crate::error::Error;

/// Runs the demo.
///
/// # Errors
/// When the output folder is not empty, or anything fails.
pub async fn run(_config: DemoConfig, _stop: watch::Receiver<bool>) -> Result<(), Error> {
    Err(Error::Failed("not there yet".to_owned()))
}
