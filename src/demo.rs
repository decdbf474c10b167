//! The whole thing in one process, with nothing installed: a broker, four hours of events, three instances in one group.
//!
//! One instance leaves half way, with its lanes full of open epochs. When all events are committed, the others leave, too, and a bounded run closes what is still
//! open. Then the Parquet files on disk are counted, and compared with what was sent.
//!
//! Deliberately absent: any shortcut. The instances are those of `run`; only the broker is not a real one (see `broker`).

mod broker;
mod census;
mod feeder;
mod fleet;
mod folder;
mod ledger;
mod report;
mod screen;

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use self::broker::Broker;
use self::feeder::{Fed, Feeder};
use self::fleet::Fleet;
use self::report::Report;
use self::screen::Screen;
use crate::config::DemoConfig;
use crate::error::Error;

/// The topic.
const TOPIC: &str = "web-events";
/// Its partitions.
const PARTITIONS: i32 = 12;
/// The consumer group.
const GROUP: &str = "demo";
/// How many instances share the work.
const INSTANCES: usize = 3;
/// Events that are there before the first instance starts: what the schema is inferred from.
const FIRST_EVENTS: u64 = 5_000;
/// How long the last, bounded run may take.
const LAST_RUN: Duration = Duration::from_secs(60);

/// Runs the demo.
///
/// # Errors
/// When the output folder is somebody else's, anything fails, or what is found is not what was sent.
pub async fn run(config: DemoConfig, mut stop: watch::Receiver<bool>) -> Result<(), Error> {
    let folder = config.output;
    folder::prepare(&folder)?;
    let broker = Broker::start()?;
    let address = broker.address();
    let fed = Arc::new(Fed::default());
    let screen = Screen::new(config.events, Arc::clone(&fed), folder.clone());
    let showing = tokio::spawn(screen.clone().show());
    let played = tokio::select! {
        played = play(&address, config.events, &folder, &fed, &screen) => played,
        _ = stop.wait_for(|stop| *stop) => Err(Error::Failed("interrupted".to_owned())),
    };
    showing.abort();
    screen.clear();
    fed.stop.store(true, Ordering::Relaxed);
    let (sent, left_after) = played?;
    let counted = folder.clone();
    let found = blocking(move || census::take(&counted)).await?;
    let report = Report { sent, found, left_after, elapsed: screen.elapsed(), folder: &folder };
    match writeln!(std::io::stdout(), "\n{report}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            return Err(Error::Failed(format!("cannot print: {error}")));
        }
        _ => {}
    }
    match report.differences().first() {
        None => Ok(()),
        Some(difference) => Err(Error::Failed(format!("the output is not what was sent: {difference}"))),
    }
}

/// Plays the piece; returns what was sent, and how much of it when an instance left.
async fn play(
    address: &str,
    events: u64,
    folder: &Path,
    fed: &Arc<Fed>,
    screen: &Screen,
) -> Result<(feeder::Sent, u64), Error> {
    let output = text_of(folder)?;
    screen.say(&format!("a broker inside this process, topic {TOPIC} with {PARTITIONS} partitions"));
    let feeder = Feeder::new(address, events, Arc::clone(fed))?;
    let feeder = feed(feeder, FIRST_EVENTS.min(events / 4)).await?;
    screen.say(&format!("{INSTANCES} instances start; the first infers the schema from the first events"));
    let flags = fleet::flags(address, output, &[])?;
    let first = fleet::prepare(flags.clone()).await?;
    // The others find its schema. All join at once, so that the group shares its partitions out only once.
    let (second, third) = tokio::try_join!(fleet::prepare(flags.clone()), fleet::prepare(flags))?;
    let mut fleet = Fleet::default();
    for ready in [first, second, third] {
        screen.watch(fleet.launch(ready));
    }
    fleet.share_out().await?;
    screen.say("the partitions are shared out; the events of the last four hours come, out of order, late and malformed ones among them");
    let feeder = alive(&mut fleet, feed(feeder, events / 2)).await?;
    let left_after = feeder.total().events;
    screen.say("half way: an instance leaves, and hands over what it holds; the events go on");
    let feeding = tokio::spawn(feed(feeder, events));
    fleet.stop(INSTANCES - 1).await?;
    let feeder = alive(&mut fleet, async { feeding.await.map_err(|error| Error::Failed(error.to_string()))? }).await?;
    screen.say("all events are sent; waiting until they are durable and committed");
    let feeder = alive(&mut fleet, catch_up(feeder)).await?;
    screen.say("the other instances leave; the newest epochs are still open, kept in the lane logs");
    for place in 0..INSTANCES - 1 {
        fleet.stop(place).await?;
    }
    screen.say("one more run, with --until-end, closes and publishes them");
    let last = fleet::prepare(fleet::flags(address, output, &["--until-end"])?).await?;
    screen.watch(fleet.launch(last));
    let ended = tokio::time::timeout(LAST_RUN, fleet.join(INSTANCES)).await;
    ended.map_err(|_| Error::Failed("the last run did not end in time".to_owned()))??;
    screen.say("counting what is in the files");
    Ok((feeder.total(), left_after))
}

/// Does `work` while all instances that should run do.
async fn alive<T>(fleet: &mut Fleet, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        done = work => done,
        error = fleet.failure() => Err(error),
    }
}

async fn feed(mut feeder: Feeder, until: u64) -> Result<Feeder, Error> {
    blocking(move || feeder.feed(until).map(|()| feeder)).await
}

async fn catch_up(mut feeder: Feeder) -> Result<Feeder, Error> {
    blocking(move || feeder.catch_up().map(|()| feeder)).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Failed(error.to_string()))?
}

fn text_of(folder: &Path) -> Result<&str, Error> {
    folder.to_str().ok_or_else(|| Error::Mistake(format!("--output: `{}` is not UTF-8", folder.display())))
}
