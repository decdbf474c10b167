//! The metrics and the health of the process, over HTTP.
//!
//! Deliberately absent: anything that changes something, authentication, and TLS. The address should be one that only probes and
//! scrapers reach.

mod health;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use thiserror::Error;
use tokio::net::TcpListener;

pub use self::health::Health;
use crate::metrics::Metrics;

const INDEX: &str = concat!(
    "streams-to-parquet ",
    env!("CARGO_PKG_VERSION"),
    "\n\n/metrics  Prometheus metrics\n/livez    200 unless only a restart can help\n/readyz   200 when records are being read\n"
);

/// Why metrics and health cannot be served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The address is taken, not ours, or not allowed.
    #[error("cannot listen on `{address}` for metrics and health: choose another address with `--http`")]
    Bind {
        /// As it was given.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// What the answers are made from.
#[derive(Debug, Clone)]
struct Sources {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

/// Listens on `address`, serves in the background until `shutdown` is ready, and returns the address that was bound: with port 0, the
/// system chose the port.
///
/// Must be called on a Tokio runtime, which the server shares.
///
/// # Errors
/// [`HttpError::Bind`], before anything is served.
pub async fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<SocketAddr, HttpError> {
    let failed = |source| HttpError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let serving = axum::serve(listener, router(Sources { metrics, health })).with_graceful_shutdown(shutdown);
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "metrics and health are no longer served");
        }
    });
    Ok(bound)
}

fn router(sources: Sources) -> Router {
    Router::new()
        .route("/", get(INDEX))
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(sources)
}

async fn metrics(State(sources): State<Sources>) -> Response {
    match sources.metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be shown");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
    }
}

async fn livez(State(sources): State<Sources>) -> Response {
    probe(sources.health.why_dead())
}

async fn readyz(State(sources): State<Sources>) -> Response {
    probe(sources.health.why_not_ready())
}

fn probe(why_not: Option<String>) -> Response {
    why_not.map_or_else(
        || "ok\n".into_response(),
        |reason| (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    struct Server {
        address: SocketAddr,
        health: Arc<Health>,
        shutdown: oneshot::Sender<()>,
    }

    async fn start() -> Server {
        let health = Arc::new(Health::default());
        let metrics = Arc::new(Metrics::new().expect("every declaration is valid"));
        let (shutdown, stopped) = oneshot::channel();
        let until = async move { stopped.await.unwrap_or(()) };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = serve(any, metrics, Arc::clone(&health), until).await.expect("a free port is found");
        Server { address, health, shutdown }
    }

    impl Server {
        /// Returns the whole response to a GET, head and body.
        async fn get(&self, path: &'static str) -> String {
            let address = self.address;
            let read = move || -> io::Result<String> {
                let mut stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
                let mut response = String::new();
                stream.read_to_string(&mut response)?;
                Ok(response)
            };
            tokio::task::spawn_blocking(read).await.expect("does not panic").expect("an answer")
        }
    }

    fn is(response: &str, status: &str, body: &str) -> bool {
        response.starts_with(&format!("HTTP/1.1 {status} ")) && response.ends_with(&format!("\r\n\r\n{body}"))
    }

    #[tokio::test]
    async fn metrics_are_served_in_the_text_format() {
        let response = start().await.get("/metrics").await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        assert!(response.contains("content-type: text/plain; version=0.0.4\r\n"), "{response}");
        assert!(response.contains("\n# TYPE streams_to_parquet_memory_used_bytes gauge\n"), "{response}");
    }

    #[tokio::test]
    async fn a_process_is_live_until_it_says_why_not() {
        let server = start().await;
        assert!(is(&server.get("/livez").await, "200", "ok\n"));
        server.health.set_dead("fenced by another process");
        assert!(is(&server.get("/livez").await, "503", "fenced by another process\n"));
        assert!(is(&server.get("/readyz").await, "503", "fenced by another process\n"));
    }

    #[tokio::test]
    async fn a_process_is_ready_once_it_serves() {
        let server = start().await;
        assert!(is(&server.get("/readyz").await, "503", "starting\n"));
        server.health.set_ready();
        assert!(is(&server.get("/readyz").await, "200", "ok\n"));
    }

    #[tokio::test]
    async fn the_index_names_the_pages_and_nothing_else_is_there() {
        let server = start().await;
        assert!(is(&server.get("/").await, "200", INDEX));
        assert!(server.get("/other").await.starts_with("HTTP/1.1 404 "));
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let first = start().await;
        let (metrics, health) = (Arc::new(Metrics::new().expect("valid")), Arc::clone(&first.health));
        let error = serve(first.address, metrics, health, std::future::pending()).await.expect_err("the port is taken");
        assert!(error.to_string().contains(&first.address.to_string()));
        assert!(matches!(error, HttpError::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse));
    }

    #[tokio::test]
    async fn the_port_is_free_again_after_the_shutdown() {
        let server = start().await;
        assert!(is(&server.get("/livez").await, "200", "ok\n"));
        server.shutdown.send(()).expect("the server waits for it");
        for _ in 0..500 {
            if TcpStream::connect(server.address).is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("still listening on {}", server.address);
    }
}
