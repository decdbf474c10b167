//! The top error, and what it means to whoever started the program.

use std::process::ExitCode;

use thiserror::Error;

use crate::config::ConfigError;
use crate::generate::GenerateError;
use crate::http::HttpError;
use crate::kafka::cluster::ClusterError;
use crate::metrics::MetricsError;
use crate::partition::PartitionError;
use crate::schema::SchemaError;
use crate::store::StoreError;
use crate::store::claim::ClaimError;
use crate::verify::VerifyError;

/// Why the program ends with an error.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A flag.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The cluster, or a topic.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The output.
    #[error("--output: {0}")]
    Store(#[from] StoreError),
    /// The output belongs to somebody else.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The schema.
    #[error("--schema: {0}")]
    Schema(#[from] SchemaError),
    /// `--partition-by`.
    #[error("--partition-by: {0}")]
    Partition(#[from] PartitionError),
    /// `--http`.
    #[error("--http: {0}")]
    Http(#[from] HttpError),
    /// The metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// `generate`.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// `verify` could not check.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// `verify` has found something wrong.
    #[error("{found} violation(s): the report has them")]
    Violated {
        /// How many things.
        found: usize,
    },
    /// A mistake that is told with the flag that it is about.
    #[error("{0}")]
    Mistake(String),
    /// The run could not go on.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// Returns the exit code: 2 when the operator can mend it and nothing was read, 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(if self.is_mistake() { 2 } else { 1 })
    }

    /// Whether the operator can mend it, and nothing was read yet.
    #[must_use]
    pub fn is_mistake(&self) -> bool {
        match self {
            Self::Generate(error) => error.is_mistake(),
            Self::Metrics(_) | Self::Failed(_) | Self::Violated { .. } => false,
            Self::Config(_)
            | Self::Cluster(_)
            | Self::Store(_)
            | Self::Claim(_)
            | Self::Schema(_)
            | Self::Partition(_)
            | Self::Http(_)
            | Self::Verify(_)
            | Self::Mistake(_) => true,
        }
    }
}
