//! The stories, and what each needs.

mod brokers;
mod bugs;
mod crash;
mod freeze;
mod groups;
mod histories;
mod inputs;
mod kill;
mod liveness;
mod network;
mod offsets;
mod random;
mod soak;
mod stores;
mod tale;

use crate::{
    flags::Protocol,
    points::{POINTS, Point},
    stage::Stage,
    verdict::Verdict,
};

/// How a scenario ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The records were counted.
    Judged(Verdict),
    /// A deliberate bug was noticed, and how.
    Noticed(String),
    /// A deliberate bug was not.
    Unnoticed(String),
    /// This machine cannot do it, and why.
    Skipped(String),
}

/// The brokers that a scenario needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Brokers {
    /// One, which it does no harm.
    Shared,
    /// So many of its own.
    Own(usize),
}

#[derive(Debug, Clone, Copy)]
enum Story {
    Plain(fn(&mut Stage) -> End),
    /// It goes through fail points: all of them in an order that the seed chooses, or one.
    AtPoints(fn(&mut Stage, &[Point]) -> End),
}

/// A scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    name: &'static str,
    about: &'static str,
    story: Story,
    point: Option<Point>,
    pub(crate) protocols: &'static [Protocol],
    pub(crate) brokers: Brokers,
    pub(crate) partitions: i32,
    pub(crate) topic_configs: &'static [(&'static str, &'static str)],
    /// Not run unless it is asked for.
    on_demand: bool,
}

const BOTH: &[Protocol] = &[Protocol::Classic, Protocol::Consumer];
const CLASSIC: &[Protocol] = &[Protocol::Classic];

const fn scenario(name: &'static str, about: &'static str, story: Story) -> Scenario {
    Scenario {
        name,
        about,
        story,
        point: None,
        protocols: BOTH,
        brokers: Brokers::Shared,
        partitions: 4,
        topic_configs: &[],
        on_demand: false,
    }
}

const fn plain(name: &'static str, about: &'static str, story: fn(&mut Stage) -> End) -> Scenario {
    scenario(name, about, Story::Plain(story))
}

const fn at_points(name: &'static str, about: &'static str, story: fn(&mut Stage, &[Point]) -> End) -> Scenario {
    scenario(name, about, Story::AtPoints(story))
}

impl Scenario {
    const fn classic(self) -> Self {
        Self { protocols: CLASSIC, ..self }
    }

    const fn with_brokers(self, count: usize) -> Self {
        Self { brokers: Brokers::Own(count), ..self }
    }

    const fn with_partitions(self, partitions: i32) -> Self {
        Self { partitions, ..self }
    }

    const fn with_topic(self, topic_configs: &'static [(&'static str, &'static str)]) -> Self {
        Self { topic_configs, ..self }
    }

    const fn on_demand(self) -> Self {
        Self { on_demand: true, ..self }
    }
}

fn all() -> Vec<Scenario> {
    let freezes = "an instance freezes at each fail point for longer than its session, and wakes up";
    let mut all = vec![
        at_points("kill", "an instance is killed at each fail point; another takes over", kill::at_points),
        at_points("freeze", freezes, freeze::at_points),
        plain("random", "instances are killed, frozen, stopped and started at random", random::anything),
        plain("storm", "instances join and leave every second", groups::storm),
        plain("rolling", "all instances are restarted in order, twice", groups::rolling),
        plain("static", "static members are killed, restarted, and started twice", groups::fixed_members),
        plain("late-commit", "the network delivers a commit after later ones", offsets::late_commit).with_brokers(1),
        plain("rewound", "the group's offsets fall back to older commits of ours", offsets::rewound).classic(),
        plain("expired", "the group's offsets are gone", offsets::expired).classic(),
        plain("reset", "a tool moves an offset; the operator decides", offsets::reset).classic(),
        plain("broker-killed", "three brokers: each is killed and comes back", brokers::killed)
            .with_brokers(brokers::BROKERS),
        plain("broker-away", "the only broker is killed and comes back", brokers::away).with_brokers(1),
        plain("broker-frozen", "three brokers: each freezes and wakes up", brokers::frozen)
            .classic()
            .with_brokers(brokers::BROKERS),
        plain("leaders", "three brokers: leaders and the coordinator move", brokers::moved)
            .classic()
            .with_brokers(brokers::BROKERS),
        plain("latency", "the network of one instance is slow", network::slow).classic().with_brokers(1),
        plain("resets", "the connections of one instance are reset again and again", network::resets)
            .classic()
            .with_brokers(1),
        plain("cut", "one instance is cut off from the brokers", network::cut).with_brokers(1),
        plain("half-open", "the connections of one instance fall silent", network::half_open).with_brokers(1),
        plain("disk-full", "the disk is full, and somebody makes room", stores::disk_full).classic(),
        plain("forbidden", "the output may not be written any more, and may again", stores::forbidden).classic(),
        plain("slow-store", "writes and listings take seconds", stores::slow).classic(),
        plain("failing-store", "requests to the store fail at random", stores::refusing).classic(),
        plain("forgetful-store", "requests to the store fail after their work was done", stores::forgetful).classic(),
        plain("torn", "a crash of the machine leaves half an object", stores::torn).classic(),
        plain("poison", "bursts of records that are no events", inputs::poison).classic(),
        plain("large", "records of 10 MiB", inputs::large).classic().with_topic(inputs::LARGE),
        plain("compacted", "the topic is compacted under way", inputs::compacted)
            .classic()
            .with_topic(inputs::COMPACTED),
        plain("transactions", "transactions, of which some are aborted", inputs::transactions).classic(),
        plain("jumps", "event times jump by hours and days", inputs::jumps).classic(),
        plain("clocks", "the clocks of the hosts jump", inputs::clocks).classic(),
        plain("hung-append", "an append never ends: the instance leaves", liveness::hung_append),
        plain("hung-poll", "the thread that speaks to the group hangs: the instance leaves", liveness::hung_poll),
        plain("unheard", "commits get nowhere: the instance leaves", liveness::unheard),
        plain("hung-worker", "a worker thread hangs: the instance leaves", liveness::hung_worker),
        plain("crash", "an instance is killed at any time: one commit interval is read again", crash::at_any_time),
        plain("soak", "everything at once", soak::everything).with_brokers(brokers::BROKERS).on_demand(),
    ];
    all.extend(bugs::scenarios());
    all
}

/// The list of all scenarios, and of the fail points.
pub(crate) fn list() -> String {
    let mut text = String::new();
    for scenario in all() {
        let Scenario { name, about, .. } = scenario;
        let notes = if scenario.on_demand { " (only if asked for)" } else { "" };
        text.push_str(&format!("{name:<24} {about}{notes}\n"));
        if let Story::AtPoints(_) = scenario.story {
            POINTS.iter().for_each(|point| text.push_str(&format!("  {name}@{}\n", point.name)));
        }
    }
    text
}

/// The protocols under which a scenario is played in a short pass: both where there are points to share, else one, so that both have their turn.
pub(crate) fn shared_protocols(scenario: &Scenario) -> Vec<Protocol> {
    let place = all().iter().position(|one| one.name == scenario.name).unwrap_or(0);
    match scenario.story {
        Story::AtPoints(_) => scenario.protocols.to_vec(),
        Story::Plain(_) => scenario.protocols.iter().cycle().skip(place).take(1).copied().collect(),
    }
}

/// The scenarios of these names; without names, all that need not be asked for.
pub(crate) fn chosen(names: &[String]) -> Result<Vec<Scenario>, String> {
    if names.is_empty() {
        return Ok(all().into_iter().filter(|scenario| !scenario.on_demand).collect());
    }
    names
        .iter()
        .map(|name| find(name).ok_or_else(|| format!("there is no scenario `{name}`; --list has them")))
        .collect()
}

fn find(name: &str) -> Option<Scenario> {
    let (name, point) = name.split_once('@').map_or((name, None), |(name, point)| (name, Some(point)));
    let scenario = all().into_iter().find(|scenario| scenario.name == name)?;
    match (point, scenario.story) {
        (None, _) => Some(scenario),
        (Some(point), Story::AtPoints(_)) => {
            let point = POINTS.into_iter().find(|known| known.name == point)?;
            Some(Scenario { point: Some(point), ..scenario })
        }
        (Some(_), Story::Plain(_)) => None,
    }
}

impl Scenario {
    pub(crate) fn full_name(&self) -> String {
        self.point.map_or_else(|| self.name.to_owned(), |point| format!("{}@{}", self.name, point.name))
    }

    pub(crate) fn play(&self, stage: &mut Stage) -> End {
        match self.story {
            Story::Plain(story) => story(stage),
            Story::AtPoints(story) => {
                let points = self.point.map_or_else(|| shuffled(stage), |point| vec![point]);
                story(stage, &points)
            }
        }
    }
}

fn shuffled(stage: &mut Stage) -> Vec<Point> {
    use rand::seq::SliceRandom;
    let mut points = POINTS.to_vec();
    points.shuffle(&mut stage.random);
    if stage.short {
        let mut place = usize::from(stage.protocol == Protocol::Classic);
        points.retain(|_| {
            place += 1;
            place % 2 == 0
        });
    }
    points
}
