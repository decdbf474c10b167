//! The instances: the very code of `run`, several times in one process, in one consumer group.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, FromArgMatches};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{GROUP, PARTITIONS, TOPIC};
use crate::app::{Instance, Progress, Summary, clock};
use crate::config::RunConfig;
use crate::error::Error;

/// How often to look how the instances stand.
const LOOK: Duration = Duration::from_millis(100);
/// How long the group may take to share the partitions out.
const JOIN: Duration = Duration::from_secs(40);

/// Instances that are running or have run.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    members: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    stop: watch::Sender<bool>,
    progress: Progress,
    task: Option<JoinHandle<Result<Summary, Error>>>,
}

/// An instance that has checked everything, and has not joined the group yet.
#[derive(Debug)]
pub(super) struct Ready {
    stop: watch::Sender<bool>,
    instance: Instance,
}

/// Prepares an instance.
pub(super) async fn prepare(config: RunConfig) -> Result<Ready, Error> {
    let (stop, stopped) = watch::channel(false);
    let instance = Instance::prepare(config, &BTreeMap::new(), stopped).await?;
    Ok(Ready { stop, instance })
}

impl Fleet {
    /// Lets a prepared instance join the group, and returns how to look at it.
    pub(super) fn launch(&mut self, ready: Ready) -> Progress {
        let Ready { stop, instance } = ready;
        let progress = instance.progress();
        self.members.push(Running { stop, progress: progress.clone(), task: Some(tokio::spawn(instance.run())) });
        progress
    }

    /// Waits until every instance has partitions, and no partition is left over.
    pub(super) async fn share_out(&self) -> Result<(), Error> {
        let began = clock::elapsed();
        loop {
            let held: Vec<usize> = self.members.iter().map(|member| member.progress.partitions()).collect();
            if held.iter().all(|held| *held > 0)
                && held.iter().sum::<usize>() == usize::try_from(PARTITIONS).unwrap_or(0)
            {
                return Ok(());
            }
            if clock::elapsed().saturating_sub(began) > JOIN {
                return Err(Error::Failed(format!("the consumer group did not share its partitions out: {held:?}")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Tells an instance to stop, as SIGTERM does, and returns when it has left.
    pub(super) async fn stop(&mut self, place: usize) -> Result<Summary, Error> {
        let Some(member) = self.members.get_mut(place) else { return Ok(Summary::default()) };
        member.stop.send_replace(true);
        member.join().await
    }

    /// Waits for an instance that ends by itself.
    pub(super) async fn join(&mut self, place: usize) -> Result<Summary, Error> {
        match self.members.get_mut(place) {
            Some(member) => member.join().await,
            None => Ok(Summary::default()),
        }
    }

    /// Returns when an instance has ended that nobody has told to; why it did.
    pub(super) async fn failure(&mut self) -> Error {
        loop {
            let ended =
                self.members.iter_mut().find(|member| member.task.as_ref().is_some_and(JoinHandle::is_finished));
            if let Some(member) = ended {
                return member
                    .join()
                    .await
                    .err()
                    .unwrap_or_else(|| Error::Failed("an instance ended too early".to_owned()));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Running {
    async fn join(&mut self) -> Result<Summary, Error> {
        match self.task.take() {
            Some(task) => task.await.map_err(|error| Error::Failed(error.to_string()))?,
            None => Ok(Summary::default()),
        }
    }
}

/// Returns the flags of an instance: those of `run` with their defaults, but for these. The environment has no part in the demo.
pub(super) fn flags(address: &str, output: &str, more: &[&str]) -> Result<RunConfig, Error> {
    let command = RunConfig::augment_args(clap::Command::new("run").no_binary_name(true));
    let command = command.mut_args(|flag| flag.env(None::<&'static str>));
    let given = [
        &format!("--brokers={address}"),
        &format!("--topic={TOPIC}"),
        &format!("--group={GROUP}"),
        &format!("--output={output}"),
        // Often, since the embedded broker keeps only so much.
        "--commit-interval=500ms",
        "--handover-timeout=10s",
        "--memory-limit=256MiB",
        "--workers=1",
        "-Xsession.timeout.ms=4000",
        "-Xheartbeat.interval.ms=500",
    ];
    let given = given.iter().chain(more);
    let matches = command.try_get_matches_from(given).and_then(|found| RunConfig::from_arg_matches(&found));
    matches.map_err(|error| Error::Failed(format!("the demo's own flags: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_the_defaults_of_run_but_for_the_pace() {
        let config = flags("localhost:1", "-odd/folder", &["--until-end"]).expect("the flags are well-formed");
        assert_eq!(config.output.output, "-odd/folder");
        assert_eq!(config.output.partition_by, ["year", "month", "day", "page_url_path"]);
        assert_eq!(config.operation.commit_interval, Duration::from_millis(500));
        assert!(config.operation.until_end);
        assert_eq!(config.operation.http, None);
    }
}
