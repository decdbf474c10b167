//! Runs scenarios, one after the other or some at once, and writes down what they find.

use std::{
    any::Any,
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use crate::{
    common::kafka::KafkaCluster,
    flags::{Flags, Protocol},
    report::{Outcome, Report},
    scenarios::{self, Brokers, End, Scenario},
    stage::{SESSION, Stage},
};

/// One run of a scenario.
#[derive(Debug, Clone)]
struct Run {
    scenario: Scenario,
    protocol: Protocol,
    seed: u64,
    duration: Duration,
    short: bool,
}

/// Runs what the flags say; returns a report of each run, and with `--results` those of earlier calls, too.
pub(crate) fn run_all(flags: &Flags) -> Result<Vec<Report>, String> {
    let mut runs = VecDeque::new();
    for scenario in scenarios::chosen(&flags.scenario)? {
        let protocols = match flags.protocol {
            Some(one) => vec![one],
            None if flags.short => scenarios::shared_protocols(&scenario),
            None => scenario.protocols.to_vec(),
        };
        for seed in flags.seed..flags.seed + flags.runs {
            for protocol in &protocols {
                let (duration, short) = (flags.duration(), flags.short);
                runs.push_back(Run { scenario, protocol: *protocol, seed, duration, short });
            }
        }
    }
    let (runs, reports) = (Mutex::new(runs), Mutex::new(Vec::new()));
    let mut kept = match &flags.results {
        None => None,
        Some(path) => Some(Mutex::new(open(path)?)),
    };
    thread::scope(|scope| {
        for _ in 0..flags.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next = lock(&runs).pop_front();
                    let Some(run) = next else { return };
                    let report = run.perform();
                    eprintln!("{}", report.line());
                    let line = serde_json::to_string(&report).unwrap();
                    if !flags.table {
                        println!("{line}");
                    }
                    if let Some(file) = &kept {
                        writeln!(lock(file), "{line}").unwrap();
                    }
                    lock(&reports).push(report);
                }
            });
        }
    });
    match (&flags.results, kept.take()) {
        (Some(path), Some(_)) => read(path),
        _ => Ok(reports.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

fn open(path: &Path) -> Result<File, String> {
    OpenOptions::new().create(true).append(true).open(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> Result<Vec<Report>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.lines()
        .map(|line| serde_json::from_str(line).map_err(|error| format!("{}: {error}", path.display())))
        .collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Server properties of every cluster: sessions as short as the instances want them.
pub(crate) fn server_properties() -> Vec<(&'static str, String)> {
    vec![
        ("group.consumer.session.timeout.ms", SESSION.as_millis().to_string()),
        ("group.consumer.min.session.timeout.ms", "1000".to_owned()),
        ("message.max.bytes", "33554432".to_owned()),
        ("replica.fetch.max.bytes", "33554432".to_owned()),
        ("log.cleaner.backoff.ms", "200".to_owned()),
        ("offsets.retention.check.interval.ms", "1000".to_owned()),
    ]
}

/// One broker for all scenarios that do it no harm.
fn shared() -> Arc<KafkaCluster> {
    static SHARED: OnceLock<Arc<KafkaCluster>> = OnceLock::new();
    Arc::clone(SHARED.get_or_init(|| Arc::new(start(1))))
}

fn start(brokers: usize) -> KafkaCluster {
    let properties = server_properties();
    let properties: Vec<(&str, &str)> = properties.iter().map(|(name, value)| (*name, value.as_str())).collect();
    KafkaCluster::start_by_proxy(brokers, &properties)
}

impl Run {
    fn perform(&self) -> Report {
        let mut report = Report {
            scenario: self.scenario.full_name(),
            protocol: self.protocol.name().to_owned(),
            seed: self.seed,
            outcome: Outcome::Bad,
            why: None,
            faults: 0,
            records: 0,
            lost: 0,
            doubled: 0,
            recovered_s: 0.0,
            seconds: 0.0,
            measured: std::collections::BTreeMap::new(),
        };
        let set = catch_unwind(AssertUnwindSafe(|| {
            let kafka = match self.scenario.brokers {
                Brokers::Shared => shared(),
                Brokers::Own(count) => Arc::new(start(count)),
            };
            let name = self.scenario.full_name();
            let Scenario { partitions, topic_configs, .. } = self.scenario;
            Stage::set(&name, kafka, self.protocol, self.seed, self.duration, partitions, topic_configs)
        }));
        let mut stage = match set {
            Ok(stage) => stage,
            Err(panic) => {
                report.why = Some(format!("the stage could not be set: {}", said(panic.as_ref())));
                return report;
            }
        };
        stage.short = self.short;
        let played = catch_unwind(AssertUnwindSafe(|| self.scenario.play(&mut stage)));
        (report.faults, report.seconds) = (stage.faults(), stage.seconds());
        report.recovered_s = (stage.recovered().as_secs_f64() * 10.0).round() / 10.0;
        report.measured.clone_from(&stage.measured);
        let (outcome, why) = match played {
            Ok(End::Judged(verdict)) => {
                (report.records, report.lost, report.doubled) = (verdict.records, verdict.lost, verdict.doubled);
                match verdict.problem() {
                    None if verdict.records == 0 => (Outcome::Bad, Some("there were no records".to_owned())),
                    None => (Outcome::Good, None),
                    Some(problem) => (Outcome::Bad, Some(problem)),
                }
            }
            Ok(End::Noticed(how)) => (Outcome::Noticed, Some(how)),
            Ok(End::Unnoticed(why)) => (Outcome::Bad, Some(why)),
            Ok(End::Skipped(why)) => (Outcome::Skipped, Some(why)),
            Err(panic) => (Outcome::Bad, Some(said(panic.as_ref()))),
        };
        (report.outcome, report.why) = (outcome, why);
        if report.is_good() {
            let _ = catch_unwind(AssertUnwindSafe(|| stage.take_down()));
        } else {
            eprintln!("everything is left in {}", stage.folder().display());
        }
        report
    }
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
