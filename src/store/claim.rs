//! The claim: which group writes a topic into this output, and with which settings that must never change.

use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Layout, Store, StoreError};
use crate::engine::event::PutOutcome;
use crate::engine::time::EpochLength;

/// The version of the claim's format.
pub const CLAIM_VERSION: u32 = 1;

/// What the first instance said, and every instance must agree with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// [`CLAIM_VERSION`].
    pub version: u32,
    /// The consumer group.
    pub group: String,
    /// The Kafka cluster's id.
    pub cluster_id: String,
    /// The topic's name.
    pub topic: String,
    /// The topic's id, which changes when a topic is deleted and created again.
    pub topic_id: String,
    /// The length of an epoch in microseconds: files of two lengths would overlap.
    pub epoch_us: EpochLength,
    /// The partition columns: readers refuse a data set whose folders differ.
    pub partition_by: Vec<String>,
}

/// Why the output cannot be written by this instance.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// The store failed.
    #[error("cannot claim the output")]
    Store {
        /// What it said.
        #[from]
        source: StoreError,
    },
    /// Somebody else has it.
    #[error("topic `{topic}` in this output belongs to {what} `{theirs}`, this instance has `{ours}`: {way_out}")]
    Taken {
        /// The topic.
        topic: String,
        /// What differs.
        what: &'static str,
        /// What the claim says.
        theirs: String,
        /// What we are.
        ours: String,
        /// What to do.
        way_out: &'static str,
    },
}

impl Claim {
    /// Finds that the topic's folders of the output are somebody else's. Nothing is put.
    ///
    /// # Errors
    /// When the claim that is there says anything else, or the store fails.
    pub async fn check(&self, store: &Store, layout: &Layout) -> Result<(), ClaimError> {
        let key = layout.claim();
        match store.get(&key).await? {
            Some(found) => self.agree(&Self::read(key, &found)?),
            None => Ok(()),
        }
    }

    /// Returns the claim that is there, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or the store fails.
    pub async fn load(store: &Store, layout: &Layout) -> Result<Option<Self>, ClaimError> {
        let key = layout.claim();
        let found = store.get(&key).await?;
        Ok(found.map(|found| Self::read(key, &found)).transpose()?)
    }

    /// Claims the topic's folders of the output, or finds that an instance of the same group has.
    ///
    /// # Errors
    /// When the claim that is there says anything else, or the store fails.
    pub async fn stake(&self, store: &Store, layout: &Layout) -> Result<(), ClaimError> {
        let key = layout.claim();
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| StoreError::Unreadable { key: key.clone(), why: error.to_string() })?;
        if store.create(&key, Bytes::from(text)).await == PutOutcome::Created {
            return Ok(());
        }
        let found =
            store.get(&key).await?.ok_or(StoreError::Unfit("it says that a claim is there, and does not have it"))?;
        self.agree(&Self::read(key, &found)?)
    }

    fn read(key: Path, found: &[u8]) -> Result<Self, StoreError> {
        let theirs: Self = serde_json::from_slice(found)
            .map_err(|error| StoreError::Unreadable { key: key.clone(), why: error.to_string() })?;
        if theirs.version != CLAIM_VERSION {
            let why = format!("version {} is not known, this program knows {CLAIM_VERSION}: update it", theirs.version);
            return Err(StoreError::Unreadable { key, why });
        }
        Ok(theirs)
    }

    fn agree(&self, theirs: &Self) -> Result<(), ClaimError> {
        const ANOTHER: &str = "choose another --output";
        const RECREATED: &str = "the topic was deleted and created again; choose another --output for its new records";
        const FIXED: &str = "it cannot change in an output; keep it, or choose another --output";
        let length = |claim: &Self| {
            let us = u64::try_from(claim.epoch_us.as_us()).unwrap_or(0);
            humantime::format_duration(std::time::Duration::from_micros(us)).to_string()
        };
        let pairs = [
            ("consumer group", theirs.group.clone(), self.group.clone(), ANOTHER),
            ("Kafka cluster", theirs.cluster_id.clone(), self.cluster_id.clone(), ANOTHER),
            ("topic id", theirs.topic_id.clone(), self.topic_id.clone(), RECREATED),
            ("--epoch", length(theirs), length(self), FIXED),
            ("--partition-by", theirs.partition_by.join(","), self.partition_by.join(","), FIXED),
        ];
        match pairs.into_iter().find(|(_, theirs, ours, _)| theirs != ours) {
            None => Ok(()),
            Some((what, theirs, ours, way_out)) => {
                Err(ClaimError::Taken { topic: self.topic.clone(), what, theirs, ours, way_out })
            }
        }
    }
}
