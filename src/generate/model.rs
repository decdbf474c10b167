//! The stream of fake events: a pure function of its configuration.
//!
//! Opens nothing, reads no clock, allocates nothing per event. The same [`ModelConfig`] gives the same bytes on every
//! platform; a test pins them.
//!
//! # Units
//! Event times are Unix microseconds (UTC); the step between events is in picoseconds, so that high rates add up.

use super::pages::{Pages, Site};
use super::random::{Fraction, Random};
use super::text::TimeText;
use super::visitor::{Visitor, World};
use crate::engine::time::{BEYOND_LATEST, EARLIEST, EventTime};

/// How far behind its place an out-of-order event lies: 2 seconds to 2 minutes, in microseconds.
const OUT_OF_ORDER_US: (u64, u64) = (2_000_000, 120_000_000);
/// How far behind its place a late event lies: 30 minutes to 2 hours, in microseconds.
///
/// More than an allowed lateness of 5 minutes and an epoch of 15.
const LATE_US: (u64, u64) = (1_800_000_000, 7_200_000_000);

/// What the stream of events looks like.
///
/// An event is late, out of order or malformed, or none of them, but never two at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelConfig {
    /// Names the stream: the same seed, the same events.
    pub seed: u64,
    /// The event time of the first event.
    pub start: EventTime,
    /// How much event time passes from one event to the next on average, in picoseconds.
    pub step_ps: u64,
    /// The share of events that lie 2 seconds to 2 minutes behind their place.
    pub out_of_order: Fraction,
    /// The share of events that lie 30 minutes to 2 hours behind their place.
    pub late: Fraction,
    /// The share of events that cannot become a row.
    pub malformed: Fraction,
    /// Whether a malformed event may be empty, which a file of JSON lines cannot hold.
    pub may_be_empty: bool,
    /// Which pages the visitors walk through.
    pub site: Site,
    /// How many visitors are on the site at any time.
    pub visitors: u16,
}

impl ModelConfig {
    /// Returns a stream of good events in order, 1,000 of them in a second of event time, of 2,000 visitors.
    #[must_use]
    pub fn new(seed: u64, start: EventTime) -> Self {
        Self {
            seed,
            start,
            step_ps: 1_000_000_000,
            out_of_order: Fraction::NONE,
            late: Fraction::NONE,
            malformed: Fraction::NONE,
            may_be_empty: true,
            site: Site::Shop,
            visitors: 2000,
        }
    }
}

/// Where an event lies in event time, in comparison with its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// In its place.
    InOrder,
    /// 2 seconds to 2 minutes behind its place.
    OutOfOrder,
    /// 30 minutes to 2 hours behind its place.
    Late,
}

/// Why an event cannot become a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Text that is not JSON.
    NotJson,
    /// An event that ends half way.
    Truncated,
    /// An array around the event.
    Array,
    /// A byte that UTF-8 does not know.
    InvalidUtf8,
    /// No timestamp field.
    MissingTimestamp,
    /// A timestamp that is no time.
    UnparsableTimestamp,
    /// A timestamp of null.
    NullTimestamp,
    /// A timestamp in the year 0.
    YearZero,
    /// A value of no bytes.
    Empty,
}

impl Malformed {
    /// Every kind, in the order in which a stream cycles through them; the one that is no line comes last.
    pub const ALL: [Self; 9] = [
        Self::NotJson,
        Self::Truncated,
        Self::Array,
        Self::InvalidUtf8,
        Self::MissingTimestamp,
        Self::UnparsableTimestamp,
        Self::NullTimestamp,
        Self::YearZero,
        Self::Empty,
    ];
}

/// What an event is, beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventInfo<'a> {
    /// The Kafka key: the path of the page.
    pub key: &'a str,
    /// The event time, also of a malformed event (the one that it would have had).
    pub event_time: EventTime,
    /// Where it lies in event time.
    pub timing: Timing,
    /// Why it cannot become a row, if it cannot.
    pub malformed: Option<Malformed>,
}

/// Makes fake web events: visitors who walk through the pages of a site.
#[derive(Debug)]
pub struct EventGenerator {
    random: Random,
    world: World,
    pages: Pages,
    visitors: Vec<Visitor>,
    steps: Steps,
    time_text: TimeText,
    out_of_order: Fraction,
    late: Fraction,
    malformed: Fraction,
    malformed_kinds: std::iter::Cycle<std::slice::Iter<'static, Malformed>>,
    /// For each page, whether an event named it.
    seen: Vec<bool>,
    keys: u64,
}

impl EventGenerator {
    /// Starts the stream that `config` describes.
    #[must_use]
    pub fn new(config: &ModelConfig) -> Self {
        let mut random = Random::new(config.seed);
        let world = World::new();
        let pages = Pages::new(config.site);
        let visitors = (0..config.visitors.max(1)).map(|_| newcomer(&mut random, &world, &pages)).collect();
        let [kinds @ .., _] = &Malformed::ALL;
        let kinds = if config.may_be_empty { &Malformed::ALL[..] } else { kinds };
        Self {
            seen: vec![false; pages.len()],
            keys: 0,
            random,
            world,
            pages,
            visitors,
            steps: Steps::new(config.start, config.step_ps),
            time_text: TimeText::default(),
            out_of_order: config.out_of_order,
            late: config.late,
            malformed: config.malformed,
            malformed_kinds: kinds.iter().cycle(),
        }
    }

    /// Appends the bytes of the next event to `out` and says what it is. Adds no newline.
    #[inline]
    pub fn next_event(&mut self, out: &mut Vec<u8>) -> EventInfo<'_> {
        let place = self.steps.next(&mut self.random);
        let (malformed, timing) = match self.random.kind([self.malformed, self.late, self.out_of_order]) {
            None => (None, Timing::InOrder),
            Some(0) => (self.malformed_kinds.next().copied(), Timing::InOrder),
            Some(1) => (None, Timing::Late),
            Some(_) => (None, Timing::OutOfOrder),
        };
        let event_time = clamp(place.plus_us(-self.behind_us(timing)));

        let index = self.random.index(self.visitors.len());
        let page = self.visitors.get(index).map_or(0, |visitor| visitor.page);
        match malformed {
            None => {
                self.append_event(out, index, Stamp::Time(event_time));
            }
            Some(kind) => self.append_malformed(out, index, event_time, kind),
        }
        self.walk(index);
        self.count(page);
        EventInfo { key: self.pages.path(page), event_time, timing, malformed }
    }

    /// Returns how many different keys the events so far had.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Returns the place in event time of the event to come.
    #[must_use]
    pub fn event_time(&self) -> EventTime {
        clamp(self.steps.place)
    }

    fn behind_us(&mut self, timing: Timing) -> i64 {
        let (first, last) = match timing {
            Timing::InOrder => return 0,
            Timing::OutOfOrder => OUT_OF_ORDER_US,
            Timing::Late => LATE_US,
        };
        i64::try_from(self.random.between(first, last)).unwrap_or(0) // two hours fit
    }

    /// Appends a whole event of the visitor `index`.
    #[inline]
    fn append_event(&mut self, out: &mut Vec<u8>, index: usize, stamp: Stamp) {
        let Some(visitor) = self.visitors.get(index) else { return };
        let path = self.pages.path(visitor.page).as_bytes();
        out.extend_from_slice(b"{\"event_id\": \"");
        self.random.uuid(out);
        match stamp {
            Stamp::Time(time) => {
                out.extend_from_slice(b"\", \"event_timestamp\": \"");
                out.extend_from_slice(self.time_text.render(time));
                out.extend_from_slice(b"\", ");
            }
            Stamp::Field(text) => out.extend_from_slice(text.as_bytes()),
        }
        out.extend_from_slice(b"\"event_type\": \"pageview\", \"page_url\": \"http://www.dummywebsite.com");
        out.extend_from_slice(path);
        out.extend_from_slice(b"\", \"page_url_path\": \"");
        out.extend_from_slice(path);
        out.extend_from_slice(b"\", ");
        visitor.append_to(out);
    }

    #[cold]
    fn append_malformed(&mut self, out: &mut Vec<u8>, index: usize, time: EventTime, kind: Malformed) {
        /// Where the first digit of the event's id stands.
        const ID: usize = 14;
        let start = out.len();
        match kind {
            Malformed::Empty => {}
            Malformed::NotJson => out.extend_from_slice(b"GET /home HTTP/1.1 is not an event"),
            Malformed::Truncated => {
                self.append_event(out, index, Stamp::Time(time));
                out.truncate(start + (out.len() - start) / 2);
            }
            Malformed::Array => {
                out.push(b'[');
                self.append_event(out, index, Stamp::Time(time));
                out.push(b']');
            }
            Malformed::InvalidUtf8 => {
                self.append_event(out, index, Stamp::Time(time));
                if let Some(byte) = out.get_mut(start + ID) {
                    *byte = 0xff;
                }
            }
            Malformed::MissingTimestamp => self.append_event(out, index, Stamp::Field("\", ")),
            Malformed::UnparsableTimestamp => {
                self.append_event(out, index, Stamp::Field("\", \"event_timestamp\": \"yesterday at noon\", "));
            }
            Malformed::NullTimestamp => {
                self.append_event(out, index, Stamp::Field("\", \"event_timestamp\": null, "));
            }
            Malformed::YearZero => {
                let field = "\", \"event_timestamp\": \"0000-01-01 00:00:00.000000\", ";
                self.append_event(out, index, Stamp::Field(field));
            }
        }
    }

    /// Takes the visitor `index` to the next page, into a new session, or lets another person in.
    #[inline]
    fn walk(&mut self, index: usize) {
        let Some(visitor) = self.visitors.get_mut(index) else { return };
        if let Some(page) = self.pages.next(&mut self.random, visitor.page) {
            visitor.page = page;
            return;
        }
        if self.random.below(2) == 0 {
            visitor.become_another(&mut self.random, &self.world);
        }
        visitor.begin_session(&mut self.random);
        visitor.page = self.pages.entrance(&mut self.random);
    }

    #[inline]
    fn count(&mut self, page: u32) {
        if let Some(seen) = usize::try_from(page).ok().and_then(|page| self.seen.get_mut(page)) {
            self.keys += u64::from(!*seen);
            *seen = true;
        }
    }
}

/// Returns somebody whom nobody has seen, on the way to a first page.
fn newcomer(random: &mut Random, world: &World, pages: &Pages) -> Visitor {
    let mut visitor = Visitor::default();
    visitor.become_another(random, world);
    visitor.begin_session(random);
    visitor.page = pages.entrance(random);
    visitor
}

/// Returns the plausible time nearest to `time`.
fn clamp(time: EventTime) -> EventTime {
    time.clamp(EARLIEST, BEYOND_LATEST.plus_us(-1))
}

/// The timestamp field of an event: a time, or this text between the id and the event's type.
#[derive(Debug, Clone, Copy)]
enum Stamp {
    Time(EventTime),
    Field(&'static str),
}

/// The places of the events in event time: one in each step, at random inside it, the first at its beginning.
#[derive(Debug)]
struct Steps {
    place: EventTime,
    /// The beginning of the step after `place`, and the picoseconds that are not yet a microsecond.
    next: EventTime,
    rest_ps: u64,
    step_us: u64,
    step_rest_ps: u64,
}

impl Steps {
    const PS_IN_US: u64 = 1_000_000;

    fn new(start: EventTime, step_ps: u64) -> Self {
        let (step_us, step_rest_ps) = (step_ps / Self::PS_IN_US, step_ps % Self::PS_IN_US);
        let mut steps = Self { place: start, next: start, rest_ps: 0, step_us, step_rest_ps };
        steps.advance();
        steps
    }

    /// Returns the place of the next event, and moves on.
    #[inline]
    fn next(&mut self, random: &mut Random) -> EventTime {
        let place = self.place;
        let inside = random.below(self.step_us.max(1));
        self.place = self.next.plus_us(i64::try_from(inside).unwrap_or(0)); // a 1,000,000th of a `u64` fits
        self.advance();
        place
    }

    #[inline]
    fn advance(&mut self) {
        self.rest_ps += self.step_rest_ps;
        let carry = self.rest_ps / Self::PS_IN_US;
        self.rest_ps %= Self::PS_IN_US;
        self.next = self.next.plus_us(i64::try_from(self.step_us + carry).unwrap_or(i64::MAX));
    }
}
