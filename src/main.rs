//! Parses the flags, starts the logs, runs a command, and says how it ended.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, atomic::Ordering};

use clap::{CommandFactory, Parser};
use streams_to_parquet::app::{self, clock};
use streams_to_parquet::config::{Cli, Command, LogConfig, LogFormat};
use streams_to_parquet::error::Error;
use streams_to_parquet::store::chain;
use streams_to_parquet::{demo, generate, heap, infer, recover, verify};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    heap::keep_little();
    // The only reader of the environment beside `config`. It would let go whoever is held at a point when it is dropped: they stay held.
    #[cfg(feature = "fail-points")]
    std::mem::forget(fail::FailScenario::setup());
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let level = if matches!(cli.command, Command::Demo(_) | Command::Verify(_)) { "error" } else { "info" };
    let outcome = start_logs(&cli.log, level)
        .and_then(|()| runtime.map_err(|error| Error::Failed(format!("cannot start the runtime: {error}"))))
        .and_then(|runtime| {
            let outcome = runtime.block_on(run(cli.command));
            // Requests that nobody waits for any more must not hold up the end.
            runtime.shutdown_background();
            outcome
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done if standard error is gone, too.
            let _ = writeln!(std::io::stderr(), "error: {}", chain(&error).trim_end());
            error.exit_code()
        }
    }
}

async fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Run(config) if config.operation.dry_run => {
            let rehearsal = app::rehearse(&config, &store_environment()).await?;
            say(&rehearsal.to_string())?;
            rehearsal.stops().map_or(Ok(()), |why| Err(Error::Failed(why)))
        }
        Command::Run(config) => {
            if config.operation.memory_limit.as_u64() < heap::SMALL {
                heap::keep_less();
            }
            let summary = app::run(*config, &store_environment(), stop_signal()?).await?;
            say(&summary.to_string())
        }
        Command::Generate { events, client } => {
            let brokers = events.target.brokers.clone();
            let client = match events.target.output {
                Some(_) => None,
                None => Some(client.client(brokers.as_deref())?),
            };
            let stop = Arc::new(AtomicBool::new(false));
            let (flag, mut signalled) = (Arc::clone(&stop), stop_signal()?);
            tokio::spawn(async move {
                let _ = signalled.wait_for(|stop| *stop).await;
                flag.store(true, Ordering::Relaxed);
            });
            let generating = tokio::task::spawn_blocking(move || generate::run(&events, client, &stop, &clock::wall));
            generating.await.map_err(|error| Error::Failed(error.to_string()))??;
            Ok(())
        }
        Command::Verify(config) => {
            let report = verify::run(&config, &store_environment()).await?;
            if config.json {
                say(&report.to_json().map_err(|error| Error::Failed(error.to_string()))?)?;
            } else {
                // Takes the colours out where no terminal shows them, or nobody wants them (NO_COLOR).
                printed(writeln!(anstream::stdout(), "{report:#}"))?;
            }
            match report.violations().count() {
                0 => Ok(()),
                found => Err(Error::Violated { found }),
            }
        }
        Command::Recover(config) => say(&recover::run(&config, &store_environment()).await?.to_string()),
        Command::Demo(config) => demo::run(config, stop_signal()?).await,
        Command::InferSchema(config) => {
            let inferring = tokio::task::spawn_blocking(move || infer::run(&config));
            say(&inferring.await.map_err(|error| Error::Failed(error.to_string()))??)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "streams-to-parquet", &mut script);
            say(&String::from_utf8_lossy(&script))
        }
    }
}

/// Prints a result to standard output. A reader that has closed it has seen enough.
fn say(text: &str) -> Result<(), Error> {
    printed(writeln!(std::io::stdout(), "{text}"))
}

fn printed(written: std::io::Result<()>) -> Result<(), Error> {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::Failed(format!("cannot print: {error}")))
        }
        _ => Ok(()),
    }
}

fn start_logs(config: &LogConfig, level: &str) -> Result<(), Error> {
    let filter = EnvFilter::try_new(config.log.as_deref().unwrap_or(level))
        .map_err(|error| Error::Mistake(format!("--log: {error}")))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}

/// Returns the settings of object stores in the environment.
fn store_environment() -> BTreeMap<String, String> {
    const PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];
    let ours = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    std::env::vars().filter(|(name, _)| ours(name)).collect()
}

/// Returns what becomes true at SIGTERM or SIGINT. The second one ends the program at once.
fn stop_signal() -> Result<watch::Receiver<bool>, Error> {
    let failed = |error: std::io::Error| Error::Failed(format!("cannot listen to signals: {error}"));
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate()).map_err(failed)?, signal(SignalKind::interrupt()).map_err(failed)?);
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        for last in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if last {
                std::process::exit(130);
            }
            stop.send_replace(true);
        }
    });
    Ok(stopped)
}
