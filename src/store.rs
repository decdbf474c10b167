//! The output store: create-only objects, listings, and files that are created whole under their final name.
//!
//! Any store that creates an object atomically if it is absent will do; which one is told by the output's URL. Nothing here assumes
//! that publishing is a rename, knows what the bytes mean, or decides anything: that is the engine's part.

pub mod claim;
#[cfg(feature = "fail-points")]
mod faults;
pub mod file;
pub mod layout;
mod look;
pub mod read;
pub mod receipt;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error as ObjectError, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, PutOptions};
use thiserror::Error;
use url::Url;

use crate::engine::event::PutOutcome;
use crate::engine::state::{EntryNumber, PartitionId};
use crate::engine::time::EventTime;

pub use self::layout::Layout;

/// Why the store cannot be used, or did not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The output is no path and no URL of a store that we know.
    #[error("`{output}` is neither a local path nor a URL of a supported store (s3://, gs://, az://, file://)")]
    Url {
        /// As it was given.
        output: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The folder cannot be made.
    #[error("cannot create the output folder `{path}`")]
    Folder {
        /// The folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no such folder, and this is no time to make one.
    #[error("there is no folder `{path}`")]
    NoFolder {
        /// The folder.
        path: String,
    },
    /// A request failed.
    #[error("cannot {doing} `{key}` in the output")]
    Request {
        /// What was tried.
        doing: &'static str,
        /// The object.
        key: Path,
        /// What the store said.
        source: ObjectError,
    },
    /// It was asked, and the client library is still trying.
    #[error(
        "the store did not answer within {seconds} s: check its URL, and the endpoint and credentials in the environment"
    )]
    Silent {
        /// How long it was waited for.
        seconds: u64,
    },
    /// Two creations of one object both succeeded, or a listing did not show it.
    #[error("the output store cannot be used: {0}")]
    Unfit(&'static str),
    /// An object is not what this program writes.
    #[error("`{key}` in the output cannot be read: {why}")]
    Unreadable {
        /// The object.
        key: Path,
        /// What is wrong with it.
        why: String,
    },
}

impl StoreError {
    fn request(doing: &'static str, key: &Path) -> impl FnOnce(ObjectError) -> Self {
        let key = key.clone();
        move |source| Self::Request { doing, key, source }
    }
}

/// The output.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// A create-only PUT stages its bytes beside the object (local disks): files that readers list are linked from elsewhere.
    stages_beside: bool,
    name: String,
}

impl Store {
    /// Opens the output: a local path, or a URL. `environment` holds the settings of object stores (`AWS_…`, `GOOGLE_…`, `AZURE_…`).
    ///
    /// # Errors
    /// When the output is not understood, or the folder cannot be made.
    pub fn open(output: &str, environment: &BTreeMap<String, String>) -> Result<Self, StoreError> {
        Self::open_or(output, environment, Self::make_folder)
    }

    /// Opens an output that is there, and changes nothing.
    ///
    /// # Errors
    /// When the output is not understood, or its folder is not there.
    pub fn open_existing(output: &str, environment: &BTreeMap<String, String>) -> Result<Self, StoreError> {
        Self::open_or(output, environment, |path| match path.is_dir() {
            true => Ok(()),
            false => Err(StoreError::NoFolder { path: path.display().to_string() }),
        })
    }

    fn open_or(
        output: &str,
        environment: &BTreeMap<String, String>,
        prepare: impl Fn(&std::path::Path) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let local = |path: &std::path::Path| prepare(path).and_then(|()| Self::local(path));
        let url = match Url::parse(output) {
            Ok(url) if url.scheme().len() > 1 && output.contains("://") => url,
            _ => return local(std::path::Path::new(output)),
        };
        let unknown = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Url {
            output: without_password(&url),
            source,
        };
        if matches!(ObjectStoreScheme::parse(&url), Ok((ObjectStoreScheme::Local, _))) {
            let path = url.to_file_path().map_err(|()| unknown("not an absolute path".into()))?;
            return local(&path);
        }
        let defaults = [("aws_copy_if_not_exists", "multipart"), ("timeout", "120s")];
        let defaults = defaults.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        let given = environment.iter().map(|(key, value)| (key.to_lowercase(), value.clone()));
        let (objects, prefix) =
            object_store::parse_url_opts(&url, defaults.chain(given)).map_err(|source| unknown(source.into()))?;
        let objects: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(objects, prefix));
        #[cfg(feature = "fail-points")]
        let objects = faults::around(objects);
        Ok(Self { objects, stages_beside: false, name: without_password(&url) })
    }

    fn make_folder(path: &std::path::Path) -> Result<(), StoreError> {
        let folder = |source| StoreError::Folder { path: path.display().to_string(), source };
        std::fs::create_dir_all(path).map_err(folder)
    }

    fn local(path: &std::path::Path) -> Result<Self, StoreError> {
        let name = path.display().to_string();
        let objects = LocalFileSystem::new_with_prefix(path)
            .map_err(|source| StoreError::Url { output: name.clone(), source: source.into() })?
            .with_fsync(true);
        let objects: Arc<dyn ObjectStore> = Arc::new(objects);
        #[cfg(feature = "fail-points")]
        let objects = faults::around(objects);
        Ok(Self { objects, stages_beside: true, name })
    }

    /// Returns the output as people write it, without secrets.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks that the store creates an object only if it is absent, and that a listing shows it at once.
    ///
    /// # Errors
    /// When it does not, or cannot be written to.
    pub async fn probe(&self, layout: &Layout, random: u64) -> Result<(), StoreError> {
        let key = layout.probe(random);
        let create = || self.objects.put_opts(&key, Bytes::from_static(b"probe").into(), create_only());
        match create().await {
            // The store's client repeats a PUT whose answer was lost, and then finds its own.
            Ok(_) | Err(ObjectError::AlreadyExists { .. } | ObjectError::Precondition { .. }) => {}
            Err(source) => return Err(StoreError::request("create", &key)(source)),
        }
        match create().await {
            Err(ObjectError::AlreadyExists { .. } | ObjectError::Precondition { .. }) => {}
            Ok(_) => {
                return Err(StoreError::Unfit(
                    "it creates an object that is there already: exactly-once cannot be kept",
                ));
            }
            Err(source) => return Err(StoreError::request("create again", &key)(source)),
        }
        let listed = self.list(&layout.probes()).await?;
        if !listed.contains(&key) {
            return Err(StoreError::Unfit("a listing does not show an object that was just created"));
        }
        self.objects.delete(&key).await.map_err(StoreError::request("delete", &key))
    }

    /// Creates an object unless one of that name is there.
    ///
    /// The outcome is what the engine needs to know; what the store said besides is logged.
    pub async fn create(&self, key: &Path, bytes: Bytes) -> PutOutcome {
        match self.objects.put_opts(key, bytes.into(), create_only()).await {
            Ok(_) => PutOutcome::Created,
            Err(ObjectError::AlreadyExists { .. } | ObjectError::Precondition { .. }) => PutOutcome::AlreadyThere,
            Err(error) => {
                tracing::warn!(%key, error = %chain(&error), "the store did not say whether an object was created");
                PutOutcome::NoAnswer
            }
        }
    }

    /// Returns the bytes of an object, or `None` if there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, key: &Path) -> Result<Option<Bytes>, StoreError> {
        match self.objects.get(key).await {
            Ok(found) => found.bytes().await.map(Some).map_err(StoreError::request("read", key)),
            Err(ObjectError::NotFound { .. }) => Ok(None),
            Err(source) => Err(StoreError::request("read", key)(source)),
        }
    }

    /// Whether an object is there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn exists(&self, key: &Path) -> Result<bool, StoreError> {
        match self.objects.head(key).await {
            Ok(_) => Ok(true),
            Err(ObjectError::NotFound { .. }) => Ok(false),
            Err(source) => Err(StoreError::request("look for", key)(source)),
        }
    }

    /// Returns the keys below `folder`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, folder: &Path) -> Result<Vec<Path>, StoreError> {
        let listed = self.objects.list(Some(folder)).map_ok(|object| object.location).try_collect().await;
        listed.map_err(StoreError::request("list", folder))
    }

    /// Returns the objects and the folders directly in `folder`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_one_level(&self, folder: &Path) -> Result<(Vec<Path>, Vec<Path>), StoreError> {
        let listed =
            self.objects.list_with_delimiter(Some(folder)).await.map_err(StoreError::request("list", folder))?;
        Ok((listed.objects.into_iter().map(|object| object.location).collect(), listed.common_prefixes))
    }

    /// Returns the numbers of a lane log, of those at or above `from`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_entries(
        &self,
        layout: &Layout,
        partition: PartitionId,
        from: Option<EntryNumber>,
    ) -> Result<Vec<EntryNumber>, StoreError> {
        let folder = layout.lane_log(partition);
        let listed = match from.filter(|from| from.0 > 0) {
            None => self.objects.list(Some(&folder)),
            // The listing starts *behind* a key.
            Some(from) => {
                let behind = layout.entry(partition, EntryNumber(from.0 - 1));
                self.objects.list_with_offset(Some(&folder), &behind)
            }
        };
        let keys: Vec<Path> = listed
            .map_ok(|object| object.location)
            .try_collect()
            .await
            .map_err(StoreError::request("list", &folder))?;
        Ok(keys
            .iter()
            .filter_map(Layout::parse_entry)
            .filter(|number| from.is_none_or(|from| *number >= from))
            .collect())
    }

    /// Whether the output has receipts of a partition.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_receipts(&self, layout: &Layout, partition: PartitionId) -> Result<bool, StoreError> {
        for folder in [layout.epochs(), layout.dead_letter_receipts()] {
            if self.list(&folder).await?.iter().any(|key| Layout::is_receipt_of(partition, key)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deletes objects; those that are not there any more are as good as deleted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, keys: Vec<Path>) -> Result<(), StoreError> {
        for key in keys {
            match self.objects.delete(&key).await {
                Ok(()) | Err(ObjectError::NotFound { .. }) => {}
                Err(source) => return Err(StoreError::request("delete", &key)(source)),
            }
        }
        Ok(())
    }

    /// Says that a partition is closed through a time, and returns how far all partitions are: the greatest value of each counts.
    ///
    /// # Errors
    /// When the store fails, or does not list what it says to have.
    pub async fn report_closed_through(
        &self,
        layout: &Layout,
        partition: PartitionId,
        through: EventTime,
    ) -> Result<BTreeMap<PartitionId, EventTime>, StoreError> {
        let key = layout.closed_through(partition, through);
        if self.create(&key, Bytes::new()).await == PutOutcome::NoAnswer {
            return Err(StoreError::Unfit("it did not say whether it has a closed-through object"));
        }
        let listed = self.list(&layout.closed()).await?;
        if !listed.contains(&key) {
            // S3 may say "already there" while another PUT, which then fails, is under way.
            return Err(StoreError::Unfit("a closed-through object is not there"));
        }
        let values: Vec<(PartitionId, EventTime)> = listed.iter().filter_map(Layout::parse_closed_through).collect();
        let older = values.iter().filter(|(of, value)| *of == partition && *value < through);
        self.delete(older.map(|(of, value)| layout.closed_through(*of, *value)).collect()).await?;
        let mut greatest = BTreeMap::new();
        for (of, value) in values {
            let known = greatest.entry(of).or_insert(value);
            *known = value.max(*known);
        }
        Ok(greatest)
    }
}

fn create_only() -> PutOptions {
    PutOptions::from(PutMode::Create)
}

fn without_password(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        // Err means that the URL cannot have a password.
        let _ = url.set_password(None);
    }
    url.set_query(None);
    url.to_string()
}

/// Returns an error with all its sources on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = source.source();
    }
    text
}
