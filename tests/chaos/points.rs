//! The fail points of the protocol, in the order in which a lane passes them.

/// A fail point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) name: &'static str,
    /// How often it may be passed before the fault, at most: a lane comes by here often, or hardly ever.
    pub(crate) most_passes: u32,
    /// It is passed when the instance is asked to end.
    pub(crate) at_the_end: bool,
}

const fn often(name: &'static str) -> Point {
    Point { name, most_passes: 8, at_the_end: false }
}

const fn seldom(name: &'static str) -> Point {
    Point { name, most_passes: 1, at_the_end: false }
}

const fn at_the_end(name: &'static str) -> Point {
    Point { name, most_passes: 0, at_the_end: true }
}

/// All of them.
pub(crate) const POINTS: [Point; 21] = [
    often("list.after"),
    seldom("load.after"),
    seldom("start.before"),
    often("merge.before"),
    often("append.before"),
    seldom("append.closing"),
    often("append.after"),
    often("commit.before"),
    often("commit.after"),
    often("publish.before"),
    seldom("publish.between"),
    seldom("receipt.before"),
    seldom("receipt.after"),
    seldom("closed-through.before"),
    seldom("closed-through.after"),
    seldom("marker.before"),
    seldom("marker.after"),
    seldom("collect.before"),
    seldom("collect.between"),
    at_the_end("handover.before"),
    at_the_end("handover.after"),
];
