//! A store that fails as the fault suite says: before the work, after it, slowly, or without its fence.
//!
//! The fail points `store.put`, `store.get`, `store.list`, `store.delete` and `store.copy` take `return(refuse)` (nothing is done),
//! `return(forget)` (it is done, and the answer is lost) and `return(slow:MILLISECONDS)`; `store.unfenced` has entries put
//! whether they are there or not.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Returns `objects` with the faults around it.
pub(super) fn around(objects: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
    Arc::new(Faulty(objects))
}

#[derive(Debug)]
struct Faulty(Arc<dyn ObjectStore>);

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with faults", self.0)
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Refuse,
    Forget,
    Slow(Duration),
}

impl Fault {
    fn at(point: &str) -> Option<Self> {
        fail::fail_point!(point, |said: Option<String>| Self::parse(&said?));
        None
    }

    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some(("slow", ms)) => ms.parse().ok().map(|ms| Self::Slow(Duration::from_millis(ms))),
            None if text == "refuse" => Some(Self::Refuse),
            None if text == "forget" => Some(Self::Forget),
            _ => None,
        }
    }
}

/// Whether the fence is to be taken away, so that the suite can show that it notices.
fn is_unfenced() -> bool {
    fail::fail_point!("store.unfenced", |_| true);
    false
}

fn failed(point: &str, what: &'static str) -> Error {
    Error::Generic { store: "faulty", source: format!("{point}: {what}").into() }
}

/// Carries out a request, or what the point makes of it.
async fn through<T>(point: &str, request: impl Future<Output = Result<T>>) -> Result<T> {
    match Fault::at(point) {
        None => request.await,
        Some(Fault::Refuse) => Err(failed(point, "nothing was done")),
        Some(Fault::Forget) => {
            let _ = request.await;
            Err(failed(point, "the answer was lost"))
        }
        Some(Fault::Slow(pause)) => {
            tokio::time::sleep(pause).await;
            request.await
        }
    }
}

/// The same for answers that come piece by piece: the fault comes first, and ends them.
fn streamed<T: Send + 'static>(
    point: &'static str,
    answers: BoxStream<'static, Result<T>>,
) -> BoxStream<'static, Result<T>> {
    let answers = async move {
        match Fault::at(point) {
            None => answers,
            Some(Fault::Refuse) => failing(failed(point, "nothing was done")),
            Some(Fault::Forget) => {
                answers.for_each(|_| std::future::ready(())).await;
                failing(failed(point, "the answer was lost"))
            }
            Some(Fault::Slow(pause)) => {
                tokio::time::sleep(pause).await;
                answers
            }
        }
    };
    futures::stream::once(answers).flatten().boxed()
}

fn failing<T: Send + 'static>(error: Error) -> BoxStream<'static, Result<T>> {
    futures::stream::once(std::future::ready(Err(error))).boxed()
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut opts: PutOptions) -> Result<PutResult> {
        if location.as_ref().ends_with(".entry") && is_unfenced() {
            opts.mode = PutMode::Overwrite;
        }
        through("store.put", self.0.put_opts(location, payload, opts)).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        through("store.put", self.0.put_multipart_opts(location, opts)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        through("store.get", self.0.get_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        streamed("store.delete", self.0.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        streamed("store.list", self.0.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        streamed("store.list", self.0.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        through("store.list", self.0.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        through("store.copy", self.0.copy_opts(from, to, options)).await
    }
}
