//! Which values of a layout to look up together as [phrases](crate::record::phrases), decided from what records say.
//!
//! Values that stand side by side make a run if records that repeat each of them repeat them together, as all that is said of a visitor is
//! repeated with each of the visitor's events. A value that most records have for themselves (an id, the event time) is in no run, and ends one.

use std::hash::BuildHasher as _;
use std::mem::take;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::fast::RandomState;
use memchr::memmem::Finder;

use crate::record::phrases::RunId;

/// When it is decided which values of records are looked up together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// How many records of a layout come before: the dictionaries of columns tell then what is said again in the long run.
    pub after: u32,
    /// How many records are looked at.
    pub records: usize,
    /// After how many more it is decided again, since data change.
    pub again_after: u32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { after: 16_384, records: 1_024, again_after: 1 << 17 }
    }
}

/// The most runs of a layout: one bit each.
const MOST_RUNS: usize = 64;

/// Values of records of one layout that are looked up together.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: RunId,
    pub(super) steps: Range<usize>,
    /// How long its phrases have been, in bytes; `usize::MAX` and 0 before the first.
    pub(super) shortest: usize,
    pub(super) longest: usize,
    /// Finds what follows its phrases; `None` if the record ends behind them.
    pub(super) end: Option<Finder<'static>>,
}

/// The runs of a layout, and what is known for the next decision.
#[derive(Debug)]
pub(super) struct Plan {
    runs: Vec<Run>,
    sample: Sample,
    sampling: Sampling,
    hasher: RandomState,
    /// Records that are not looked at.
    pause: u32,
}

impl Plan {
    pub(super) fn new(sampling: Sampling) -> Self {
        let (runs, sample, hasher) = (Vec::new(), Sample::default(), RandomState::default());
        Self { runs, sample, sampling, hasher, pause: sampling.after }
    }

    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub(super) fn runs_mut(&mut self) -> &mut [Run] {
        &mut self.runs
    }

    /// Whether [`Plan::is_sampling`] will say so of the next record.
    #[inline]
    pub(super) const fn samples_next(&self) -> bool {
        self.pause <= 1
    }

    /// Counts a record; returns whether it is to be [added](Self::add) to the sample.
    #[inline]
    pub(super) const fn is_sampling(&mut self) -> bool {
        self.pause = self.pause.saturating_sub(1);
        self.pause == 0
    }

    /// Adds the values of a record to the sample; returns it when it is large enough to decide.
    pub(super) fn add<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>) -> Option<Sample> {
        let hash = |value: &[u8]| u32::try_from(self.hasher.hash_one(value) >> 32).unwrap_or(0);
        if self.sample.records == 0 {
            self.sample.hashes.reserve_exact(self.sampling.records * values.size_hint().0);
        }
        self.sample.hashes.extend(values.map(hash));
        self.sample.records += 1;
        (self.sample.records >= self.sampling.records).then(|| {
            self.pause = self.sampling.again_after;
            take(&mut self.sample)
        })
    }

    /// Looks these values up together from now on. Runs that stay keep what is known of their phrases; `before` tells what stands before a value.
    pub(super) fn decide<'a>(&mut self, runs: Vec<Range<usize>>, before: impl Fn(usize) -> Option<&'a [u8]>) {
        let mut known = take(&mut self.runs);
        self.runs.extend(runs.into_iter().take(MOST_RUNS).map(|steps| {
            let end = before(steps.end).map(|literal| Finder::new(literal).into_owned());
            match known.iter().position(|run| run.steps == steps) {
                Some(place) => known.swap_remove(place),
                None => Run { id: next_id(), steps, shortest: usize::MAX, longest: 0, end },
            }
        }));
    }
}

/// Returns an id that no other run of this process has, until four billion have been given out.
fn next_id() -> RunId {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    RunId(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Hashes of the values of some records, one record after the other.
#[derive(Debug, Default)]
pub(super) struct Sample {
    hashes: Vec<u32>,
    records: usize,
}

impl Sample {
    /// Returns which values make runs; none of them `is_own`, which most records have for themselves.
    pub(super) fn runs(&self, is_own: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
        let width = self.hashes.len() / self.records.max(1);
        let values = |step: usize| self.hashes.iter().skip(step).step_by(width).copied();
        let (mut together, mut scratch) = (Vec::with_capacity(self.records), Vec::with_capacity(self.records));
        let mut repeated = |step: usize| {
            Some(repeats(values(step), &mut scratch)).filter(|count| *count * 4 >= self.records && !is_own(step))
        };
        let repeated: Vec<Option<usize>> = (0..width).map(&mut repeated).collect();
        let (mut runs, mut first) = (Vec::new(), 0);
        while first < width {
            let mut end = first + 1;
            if let Some(Some(alone)) = repeated.get(first) {
                let mut count = *alone;
                together.clear();
                together.extend(values(first));
                while let Some(Some(alone)) = repeated.get(end) {
                    let both = repeats(together.iter().zip(values(end)).map(|(a, b)| mixed(*a, b)), &mut scratch);
                    // Nine of ten: where they are independent, far fewer are.
                    if both * 10 < count.min(*alone) * 9 {
                        break;
                    }
                    together.iter_mut().zip(values(end)).for_each(|(a, b)| *a = mixed(*a, b));
                    (count, end) = (both, end + 1);
                }
            }
            if end > first + 1 {
                runs.push(first..end);
            }
            first = end;
        }
        runs
    }
}

/// Returns how many of some values are there before; `scratch` is memory to sort them in.
fn repeats(values: impl Iterator<Item = u32>, scratch: &mut Vec<u32>) -> usize {
    scratch.clear();
    scratch.extend(values);
    let all = scratch.len();
    scratch.sort_unstable();
    scratch.dedup();
    all - scratch.len()
}

/// Returns a hash of two hashes.
const fn mixed(a: u32, b: u32) -> u32 {
    a.rotate_left(5).wrapping_mul(0x9e37_79b1) ^ b
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the runs of records whose number `n` has the values `values(n)`; a step of `own` is told to be one.
    fn runs<const N: usize>(values: impl Fn(usize) -> [String; N], own: &[usize]) -> String {
        let mut plan = Plan::new(Sampling::default());
        let sample = (0..Sampling::default().records).find_map(|record| {
            let values = values(record);
            plan.add(values.iter().map(String::as_bytes))
        });
        format!("{:?}", sample.unwrap().runs(|step| own.contains(&step)))
    }

    #[test]
    fn values_that_are_repeated_together_make_a_run() {
        let visitor = |record: usize| (record * 7919) % 400;
        let values = |record: usize| {
            let visitor = visitor(record);
            [record, 1, visitor, visitor / 2, visitor / 4, record % 3].map(|value| value.to_string())
        };
        // An id; a constant; a visitor with a city and a country; a page, which has nothing to do with them.
        assert_eq!(runs(values, &[]), "[1..5]");
        assert_eq!(runs(values, &[3]), "[1..3]");
        assert_eq!(runs(values, &[1, 2]), "[3..5]");
    }

    #[test]
    fn values_that_are_repeated_without_each_other_make_none() {
        // (Two primes: all pairs occur, each as late as can be.)
        assert_eq!(runs(|record| [record % 101, record % 103].map(|value| value.to_string()), &[]), "[]");
        // Of few pairs each is repeated.
        assert_eq!(runs(|record| [record % 5, record % 7].map(|value| value.to_string()), &[]), "[0..2]");
    }

    #[test]
    fn a_run_that_stays_keeps_its_name() {
        let mut plan = Plan::new(Sampling::default());
        plan.decide(vec![0..2, 3..5], |_| None);
        let ids: Vec<RunId> = plan.runs().iter().map(|run| run.id).collect();
        plan.runs_mut()[1].longest = 20;
        plan.decide(vec![0..3, 3..5], |step| (step < 5).then_some(b", ".as_slice()));
        let [changed, same] = plan.runs() else { panic!("two runs") };
        assert!(changed.id != ids[0] && changed.end.is_some());
        assert!(same.id == ids[1] && same.longest == 20);
    }

    #[test]
    fn records_are_looked_at_from_time_to_time() {
        let mut plan = Plan::new(Sampling { after: 100, records: 10, again_after: 200 });
        let until = |plan: &mut Plan| (1..).find(|_| plan.is_sampling());
        assert_eq!(until(&mut plan), Some(100));
        let decided = (1..).find(|_| {
            assert!(plan.is_sampling());
            plan.add([b"a".as_slice()].into_iter()).is_some()
        });
        assert_eq!(decided, Some(10));
        assert_eq!(until(&mut plan), Some(200));
    }
}
