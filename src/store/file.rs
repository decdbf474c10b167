//! Published files: written anywhere, then created whole under their final name.
//!
//! A final name is only ever *created*. Small files are one create-only PUT. Large ones, and all files of stores that stage beside the
//! object, are written under the control folder and copied by a request that fails if the name exists.

use std::io::{self, Write};

use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error as ObjectError, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload,
};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::{Store, StoreError, create_only};

/// From this size on a file is uploaded in parts, of this size each. S3 wants at least 5 MiB.
const PART_BYTES: usize = 8 << 20;

/// What the store holds under a final name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Size in bytes.
    pub bytes: u64,
    /// The SHA-256 of the bytes, in hexadecimal.
    pub sha256: String,
    /// Whether this call created it; otherwise it was there, and was read back.
    pub created: bool,
}

/// A file on its way to its final name. Blocking: must not be used on a thread of the runtime.
#[derive(Debug)]
pub struct FileWriter {
    store: Store,
    runtime: Handle,
    to: Path,
    staging: Path,
    buffer: Vec<u8>,
    upload: Option<Box<dyn MultipartUpload>>,
    hash: Sha256,
    bytes: u64,
}

impl Store {
    /// Begins a file that will be created as `to`; `staging` is a key of its own for large files.
    #[must_use]
    pub fn write_file(&self, to: Path, staging: Path, runtime: &Handle) -> FileWriter {
        FileWriter {
            store: self.clone(),
            runtime: runtime.clone(),
            to,
            staging,
            buffer: Vec::new(),
            upload: None,
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    /// Returns the size and the checksum of what the store holds.
    pub(super) async fn read_back(&self, key: &Path) -> Result<StoredFile, StoreError> {
        let failed = |source| StoreError::request("read back", key)(source);
        let mut stream = self.objects.get(key).await.map_err(failed)?.into_stream();
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|source| StoreError::request("read back", key)(source))?;
            bytes += u64::try_from(piece.len()).unwrap_or(0);
            hash.update(&piece);
        }
        Ok(StoredFile { bytes, sha256: hex::encode(hash.finalize()), created: false })
    }
}

impl FileWriter {
    /// Creates the file under its final name, unless there is one: then says what that one is.
    ///
    /// # Errors
    /// When the store fails. The call may be repeated with a new writer.
    pub fn finish(mut self) -> Result<StoredFile, StoreError> {
        let runtime = self.runtime.clone();
        runtime.block_on(self.create())
    }

    async fn create(&mut self) -> Result<StoredFile, StoreError> {
        let rest = PutPayload::from(Bytes::from(std::mem::take(&mut self.buffer)));
        let objects = &self.store.objects;
        let created = match &mut self.upload {
            None if !self.store.stages_beside => objects.put_opts(&self.to, rest, create_only()).await.map(|_| ()),
            None => {
                objects.put(&self.staging, rest).await.map_err(StoreError::request("write", &self.staging))?;
                self.publish_staged().await
            }
            Some(upload) => {
                upload.put_part(rest).await.map_err(StoreError::request("upload", &self.staging))?;
                upload.complete().await.map_err(StoreError::request("upload", &self.staging))?;
                self.publish_staged().await
            }
        };
        match created {
            Ok(()) => {
                let sha256 = hex::encode(self.hash.clone().finalize());
                Ok(StoredFile { bytes: self.bytes, sha256, created: true })
            }
            Err(ObjectError::AlreadyExists { .. } | ObjectError::Precondition { .. }) => {
                self.store.read_back(&self.to).await
            }
            Err(source) => Err(StoreError::request("create", &self.to)(source)),
        }
    }

    async fn publish_staged(&self) -> Result<(), ObjectError> {
        let create = CopyOptions::new().with_mode(CopyMode::Create);
        let copied = self.store.objects.copy_opts(&self.staging, &self.to, create).await;
        if let Err(error) = self.store.objects.delete(&self.staging).await {
            tracing::warn!(key = %self.staging, %error, "an upload was left behind");
        }
        copied
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        self.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        self.buffer.extend_from_slice(bytes);
        while self.buffer.len() > PART_BYTES {
            let rest = self.buffer.split_off(PART_BYTES);
            let part = PutPayload::from(Bytes::from(std::mem::replace(&mut self.buffer, rest)));
            let runtime = self.runtime.clone();
            runtime.block_on(async {
                if self.upload.is_none() {
                    self.upload = Some(self.store.objects.put_multipart(&self.staging).await?);
                }
                match &mut self.upload {
                    Some(upload) => upload.put_part(part).await,
                    None => Ok(()),
                }
            })?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
