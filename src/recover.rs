//! `recover`: gives up rows whose entries are gone from the lane log, so that everything else can be published.
//!
//! The only loss that no flag of `run` decides on, since no policy should: a lane that misses an entry stops. Appends one entry to
//! each lane concerned, by the same create-only request as any owner of the lane; deletes and overwrites nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::config::recover::RecoverConfig;
use crate::engine::event::PutOutcome;
use crate::engine::give_up::{first_again, give_up};
use crate::engine::state::{Close, EntryId, EntryNumber, EntryRef, GivenUp, LaneState, PartitionId, Scope};
use crate::error::Error;
use crate::parquet::{Content, EntryError, EntryOptions, EntryReader, write_entry};
use crate::store::claim::Claim;
use crate::store::{Layout, Store, chain};

/// How often the same bytes are sent while the store does not say what became of them.
const ATTEMPTS: u32 = 10;

/// What was given up, or would be.
#[derive(Debug)]
pub struct Recovery {
    dry_run: bool,
    lanes: Vec<LaneRecovery>,
}

/// What was given up of one lane.
#[derive(Debug)]
struct LaneRecovery {
    topic: String,
    partition: PartitionId,
    lost: BTreeMap<EntryNumber, String>,
    given_up: Vec<GivenUp>,
    /// The first entry is gone: it is put back without rows.
    puts_first: bool,
}

/// What is appended to a lane log, or put back into it.
struct Repair {
    first: Option<LaneState>,
    next: Option<LaneState>,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for lane in &self.lanes {
            let LaneRecovery { topic, partition, lost, given_up, puts_first } = lane;
            for (number, why) in lost {
                writeln!(f, "{topic}/{partition}  entry {number}: {why}")?;
            }
            if *puts_first {
                let verb = if self.dry_run { "would put" } else { "put" };
                writeln!(
                    f,
                    "{topic}/{partition}  {verb} the first entry back, without rows: it keeps others from beginning a second chain"
                )?;
            }
            for lost in given_up {
                let (rows, number) = (lost.held.rows, lost.held.entry.number);
                let verb = if self.dry_run { "would give up" } else { "gave up" };
                writeln!(f, "{topic}/{partition}  {verb} {rows} rows of {} that entry {number} held", lost.scope)?;
            }
        }
        let rows: u64 = self.lanes.iter().flat_map(|lane| &lane.given_up).map(|lost| lost.held.rows).sum();
        match (self.lanes.is_empty(), self.dry_run) {
            (true, _) => write!(f, "nothing to give up: every entry that a lane needs is there and sound"),
            (false, true) => {
                write!(f, "dry run: nothing was changed; {rows} rows would be given up. Restore the entries if you can")
            }
            (false, false) => write!(f, "{rows} rows were given up; `verify` tells so from now on, and `run` goes on"),
        }
    }
}

/// Gives up what is lost, or says what would be.
///
/// # Errors
/// When the output cannot be read or written, or a lane cannot be recovered this way.
pub async fn run(config: &RecoverConfig, environment: &BTreeMap<String, String>) -> Result<Recovery, Error> {
    let store = Store::open_existing(&config.output, environment)?;
    let layout = Layout::new(&config.topic);
    if Claim::load(&store, &layout).await?.is_none() {
        let (output, topic) = (store.name(), &config.topic);
        return Err(Error::Mistake(format!("`{output}` holds nothing of topic `{topic}`: check --topic and --output")));
    }
    let lanes = Lanes { store: &store, layout: &layout };
    let (_, folders) = store.list_one_level(&layout.control()).await?;
    let mut partitions: Vec<PartitionId> = folders.iter().filter_map(Layout::parse_lane_log).collect();
    partitions.sort_unstable();
    let mut found = Vec::new();
    // All of them are looked at before the first is changed.
    for partition in partitions {
        found.extend(lanes.look(partition).await?);
    }
    let mut recovered = Vec::new();
    for (repair, lane) in found {
        if !config.dry_run {
            for state in [&repair.first, &repair.next].into_iter().flatten() {
                lanes.append(state).await?;
            }
        }
        recovered.push(lane);
    }
    Ok(Recovery { dry_run: config.dry_run, lanes: recovered })
}

/// The lanes of a topic.
struct Lanes<'a> {
    store: &'a Store,
    layout: &'a Layout,
}

impl Lanes<'_> {
    /// Returns the entry that would give up what is lost, if anything is.
    async fn look(&self, partition: PartitionId) -> Result<Option<(Repair, LaneRecovery)>, Error> {
        let place = || format!("{}/{partition}", self.layout.topic());
        let numbers = self.store.list_entries(self.layout, partition, None).await?;
        let Some(newest) = numbers.iter().max().copied() else { return Ok(None) };
        let state = match self.open(partition, newest).await? {
            Ok(entry) => entry.state().clone(),
            Err(why) => {
                return Err(Error::Failed(format!(
                    "{}: the newest entry {newest} of the lane log: {why}. Nothing but a backup can bring it back; without one, choose another --output",
                    place()
                )));
            }
        };
        let published = self.published(&state).await?;
        let (mut lost, mut why) = (BTreeSet::new(), BTreeMap::new());
        for entry in needed(&state, &published) {
            if let Some(reason) = self.why_lost(partition, entry).await? {
                lost.insert(entry);
                why.insert(entry.number, reason);
            }
        }
        let is_published = |entry, scope| published.contains(&(entry, scope));
        let next = give_up(&state, EntryId(rand::random()), &lost, is_published);
        let first = (!numbers.contains(&EntryNumber(1))).then(|| first_again(&state, EntryId(rand::random())));
        if next.is_none() && first.is_none() {
            return Ok(None);
        }
        self.check_files(&state, &lost, &published).await?;
        let told = next.as_ref().and_then(|next| next.given_up.get(state.given_up.len()..));
        let (topic, given_up) = (self.layout.topic().to_owned(), told.unwrap_or_default().to_vec());
        let lane = LaneRecovery { topic, partition, lost: why, given_up, puts_first: first.is_some() };
        Ok(Some((Repair { first, next }, lane)))
    }

    /// The closes that have a receipt: what they were made of is needed no more.
    async fn published(&self, state: &LaneState) -> Result<BTreeSet<(EntryNumber, Scope)>, Error> {
        let mut published = BTreeSet::new();
        let (partition, chain) = (state.identity.partition, state.chain.to_string());
        for close in &state.closes {
            if self.store.exists(&self.layout.receipt(partition, &chain, close)).await? {
                published.insert((close.entry.number, close.scope));
            }
        }
        Ok(published)
    }

    /// Says why the rows of an entry are lost, if they are.
    async fn why_lost(&self, partition: PartitionId, entry: EntryRef) -> Result<Option<String>, Error> {
        let reader = match self.open(partition, entry.number).await? {
            Ok(reader) => reader,
            Err(why) => return Ok(Some(why)),
        };
        if reader.state().entry != entry {
            return Ok(Some("another entry has its number".to_owned()));
        }
        let checked = tokio::task::spawn_blocking(move || reader.check_groups()).await;
        self.judge(partition, entry.number, checked.map_err(|error| Error::Failed(error.to_string()))?).map(Result::err)
    }

    /// Opens an entry; or says why it cannot be, if it never will.
    async fn open(&self, partition: PartitionId, number: EntryNumber) -> Result<Result<EntryReader, String>, Error> {
        let key = self.layout.entry(partition, number);
        let Some(object) = self.store.open_object(&key, &Handle::current()).await? else {
            return Ok(Err("it is gone".to_owned()));
        };
        let opened = tokio::task::spawn_blocking(move || EntryReader::open(Arc::new(object))).await;
        self.judge(partition, number, opened.map_err(|error| Error::Failed(error.to_string()))?)
    }

    fn judge<T>(
        &self,
        partition: PartitionId,
        number: EntryNumber,
        read: Result<T, EntryError>,
    ) -> Result<Result<T, String>, Error> {
        let key = self.layout.entry(partition, number);
        match read {
            Ok(value) => Ok(Ok(value)),
            Err(EntryError::Read { source }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Err("it is gone".to_owned()))
            }
            Err(error) if error.is_damage() => Ok(Err(chain(&error))),
            Err(error) => Err(Error::Mistake(format!("--output: `{key}`: {}", chain(&error)))),
        }
    }

    /// Files of a close that loses rows must not be there: made of all rows, they would stay beside a receipt that counts fewer.
    async fn check_files(
        &self,
        state: &LaneState,
        lost: &BTreeSet<EntryRef>,
        published: &BTreeSet<(EntryNumber, Scope)>,
    ) -> Result<(), Error> {
        let loses = |close: &&Close| {
            !published.contains(&(close.entry.number, close.scope))
                && close.rows.iter().any(|held| lost.contains(&held.entry))
        };
        let (partition, chain) = (state.identity.partition, state.chain.to_string());
        for close in state.closes.iter().filter(loses) {
            let name = self.layout.file_name(partition, &chain, close.entry.number, &close.scope);
            let listed = self.store.list(&self.layout.root_of(&close.scope)).await?;
            let there: Vec<String> =
                listed.iter().filter(|key| key.filename() == Some(name.as_str())).map(ToString::to_string).collect();
            if !there.is_empty() {
                let topic = self.layout.topic();
                return Err(Error::Failed(format!(
                    "{topic}/{partition}: the close of {close} was published in part before its rows were lost; move these files out of the output, then try again: {}",
                    there.join(" ")
                )));
            }
        }
        Ok(())
    }

    /// Appends the entry. No answer decides nothing: the very same bytes are sent again.
    async fn append(&self, state: &LaneState) -> Result<(), Error> {
        let (partition, number) = (state.identity.partition, state.entry.number);
        let place = format!("{}/{partition}", self.layout.topic());
        let bytes = write_entry(state, &Content::default(), &EntryOptions::default())
            .map_err(|error| Error::Failed(format!("{place}: {}", chain(&error))))?;
        let key = self.layout.entry(partition, number);
        for _ in 0..ATTEMPTS {
            match self.store.create(&key, bytes.clone()).await {
                PutOutcome::Created => return Ok(()),
                PutOutcome::NoAnswer => tokio::time::sleep(std::time::Duration::from_secs(1)).await,
                PutOutcome::AlreadyThere => match self.open(partition, number).await? {
                    Ok(entry) if entry.state().entry == state.entry => return Ok(()),
                    Ok(_) => {
                        return Err(Error::Failed(format!(
                            "{place}: an instance has appended entry {number} meanwhile; nothing was given up there: try again"
                        )));
                    }
                    // S3 says so also while another request is under way, whatever becomes of that one.
                    Err(_) => tokio::time::sleep(std::time::Duration::from_secs(1)).await,
                },
            }
        }
        Err(Error::Failed(format!(
            "{place}: the store does not say whether it has entry {number}; look with --dry-run"
        )))
    }
}

/// The entries that hold rows which are not published.
fn needed(state: &LaneState, published: &BTreeSet<(EntryNumber, Scope)>) -> BTreeSet<EntryRef> {
    let waiting = state.waiting.values().flatten();
    let closes = state.closes.iter().filter(|close| !published.contains(&(close.entry.number, close.scope)));
    waiting.chain(closes.flat_map(|close| &close.rows)).map(|held| held.entry).collect()
}
