//! Blocking reads of ranges of one object, as the Parquet reader wants them.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error as ObjectError, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;

use super::{Store, StoreError};

/// One object, as it was when it was opened: an object that took its name since is not read.
#[derive(Debug)]
pub struct StoredObject {
    store: Store,
    meta: ObjectMeta,
    runtime: Handle,
}

impl Store {
    /// Opens an object for blocking reads; `None` if there is none. `runtime` carries them out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open_object(&self, key: &Path, runtime: &Handle) -> Result<Option<StoredObject>, StoreError> {
        match self.objects.head(key).await {
            Ok(meta) => Ok(Some(StoredObject { store: self.clone(), meta, runtime: runtime.clone() })),
            Err(ObjectError::NotFound { .. }) => Ok(None),
            Err(source) => Err(StoreError::request("look for", key)(source)),
        }
    }
}

impl StoredObject {
    /// Returns the size of the object in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.meta.size
    }

    /// Returns the bytes of `range`. Must not be called on a thread of the runtime.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when the object is gone or another has its name; otherwise what the store said.
    pub fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let options =
            GetOptions { range: Some(range.into()), if_match: self.meta.e_tag.clone(), ..GetOptions::default() };
        let location = &self.meta.location;
        let read = async { self.store.objects.get_opts(location, options).await?.bytes().await };
        self.runtime.block_on(read).map_err(|error| {
            let gone = matches!(error, ObjectError::NotFound { .. } | ObjectError::Precondition { .. });
            if gone { io::Error::new(io::ErrorKind::NotFound, error) } else { io::Error::other(error) }
        })
    }
}
