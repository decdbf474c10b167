//! What a metric family is: its name, help and labels are written down once, and the number of its labels is part of its type.

use std::fmt;

use prometheus::core::Collector;
use prometheus::{Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

use super::MetricsError;

/// What all names begin with.
const NAMESPACE: &str = "streams_to_parquet";

/// How the values of a family behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; starts at 0 with the process.
    Counter,
    /// Is what it is now.
    Gauge,
    /// Counts observations by size.
    Histogram,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// One line of the documentation: a metric family as it is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The full name.
    pub name: String,
    /// How its values behave.
    pub kind: Kind,
    /// The names of its labels, in order.
    pub labels: Vec<String>,
    /// What it says, in a sentence.
    pub help: String,
}

/// A family that can be made from its name, its help and its shape.
pub(super) trait Family: Collector + Clone + 'static {
    /// What else it needs: label names, or the upper bounds of its buckets.
    type Shape;
    const KIND: Kind;

    fn create(options: Opts, shape: Self::Shape) -> prometheus::Result<Self>;
}

/// Counters that share a name and differ in `N` label values.
#[derive(Debug, Clone)]
pub(super) struct CounterFamily<const N: usize>(IntCounterVec);

impl<const N: usize> CounterFamily<N> {
    /// Returns the counter with these label values, which is there from now on.
    pub(super) fn with(&self, labels: [&str; N]) -> IntCounter {
        self.0.with_label_values(&labels)
    }
}

/// Gauges that share a name and differ in `N` label values.
#[derive(Debug, Clone)]
pub(super) struct GaugeFamily<const N: usize>(GaugeVec);

impl<const N: usize> GaugeFamily<N> {
    /// Sets the gauge with these label values, which is there from now on.
    pub(super) fn set(&self, labels: [&str; N], value: f64) {
        self.0.with_label_values(&labels).set(value);
    }

    /// Takes away the gauge with these label values, if there is one.
    pub(super) fn remove(&self, labels: [&str; N]) {
        let _ = self.0.remove_label_values(&labels); // Err: it was never set.
    }
}

impl<const N: usize> Family for CounterFamily<N> {
    type Shape = [&'static str; N];
    const KIND: Kind = Kind::Counter;

    fn create(options: Opts, labels: Self::Shape) -> prometheus::Result<Self> {
        IntCounterVec::new(options, &labels).map(Self)
    }
}

impl<const N: usize> Family for GaugeFamily<N> {
    type Shape = [&'static str; N];
    const KIND: Kind = Kind::Gauge;

    fn create(options: Opts, labels: Self::Shape) -> prometheus::Result<Self> {
        GaugeVec::new(options, &labels).map(Self)
    }
}

impl Family for Gauge {
    type Shape = [&'static str; 0];
    const KIND: Kind = Kind::Gauge;

    fn create(options: Opts, []: Self::Shape) -> prometheus::Result<Self> {
        Self::with_opts(options)
    }
}

impl Family for Histogram {
    type Shape = &'static [f64];
    const KIND: Kind = Kind::Histogram;

    fn create(options: Opts, bounds: Self::Shape) -> prometheus::Result<Self> {
        Self::with_opts(HistogramOpts::from(options).buckets(bounds.to_vec()))
    }
}

impl<const N: usize> Collector for CounterFamily<N> {
    fn desc(&self) -> Vec<&prometheus::core::Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.0.collect()
    }
}

impl<const N: usize> Collector for GaugeFamily<N> {
    fn desc(&self) -> Vec<&prometheus::core::Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.0.collect()
    }
}

/// Puts families into a registry, and keeps a description of each.
#[derive(Debug, Default)]
pub(super) struct Registration {
    pub(super) registry: Registry,
    pub(super) descriptions: Vec<Description>,
}

impl Registration {
    /// Makes the family `name` and registers it.
    pub(super) fn family<F: Family>(
        &mut self,
        name: &'static str,
        help: &str,
        shape: F::Shape,
    ) -> Result<F, MetricsError> {
        let failed = |source| MetricsError::Register { name, source };
        let family = F::create(Opts::new(name, help.trim()).namespace(NAMESPACE), shape).map_err(failed)?;
        self.descriptions.extend(family.desc().into_iter().map(|desc| Description {
            name: desc.fq_name.clone(),
            kind: F::KIND,
            labels: desc.variable_labels.clone(),
            help: desc.help.clone(),
        }));
        self.registry.register(Box::new(family.clone())).map_err(failed)?;
        Ok(family)
    }
}

/// Declares a struct of families: the name of a field is the name of its metric, and its doc comment is the help text.
macro_rules! families {
    (
        $(#[$attribute:meta])*
        struct $name:ident { $(#[doc = $help:literal] $field:ident: $family:ty = $shape:expr,)* }
    ) => {
        $(#[$attribute])*
        pub(super) struct $name { $(#[doc = $help] pub(super) $field: $family,)* }

        impl $name {
            /// Makes every family and registers it.
            pub(super) fn register(registration: &mut Registration) -> Result<Self, MetricsError> {
                Ok(Self { $($field: registration.family::<$family>(stringify!($field), $help, $shape)?,)* })
            }
        }
    };
}
pub(super) use families;
