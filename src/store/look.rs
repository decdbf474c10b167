//! Looking at an output without changing it.

use std::ops::Range;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error as ObjectError, ObjectStore, ObjectStoreExt};

use super::file::StoredFile;
use super::{Store, StoreError};

impl Store {
    /// Returns the keys below `folder`, and the size of each object in bytes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_sizes(&self, folder: &Path) -> Result<Vec<(Path, u64)>, StoreError> {
        let listed = self.objects.list(Some(folder)).map_ok(|object| (object.location, object.size)).try_collect();
        listed.await.map_err(StoreError::request("list", folder))
    }

    /// Returns the size of an object in bytes, or `None` if there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn size(&self, key: &Path) -> Result<Option<u64>, StoreError> {
        found(self.objects.head(key).await.map(|object| object.size), "look for", key)
    }

    /// Returns the bytes of `range` of an object, or `None` if there is no such object.
    ///
    /// # Errors
    /// When the store fails, or the object is shorter.
    pub async fn get_range(&self, key: &Path, range: Range<u64>) -> Result<Option<Bytes>, StoreError> {
        found(self.objects.get_range(key, range).await, "read", key)
    }

    /// Reads an object to its end, and returns its size and checksum; `None` if there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn describe(&self, key: &Path) -> Result<Option<StoredFile>, StoreError> {
        match self.read_back(key).await {
            Ok(stored) => Ok(Some(stored)),
            Err(StoreError::Request { source: ObjectError::NotFound { .. }, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn found<T>(asked: Result<T, ObjectError>, doing: &'static str, key: &Path) -> Result<Option<T>, StoreError> {
    match asked {
        Ok(found) => Ok(Some(found)),
        Err(ObjectError::NotFound { .. }) => Ok(None),
        Err(source) => Err(StoreError::request(doing, key)(source)),
    }
}
