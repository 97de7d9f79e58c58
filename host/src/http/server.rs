//! Listens, serves connections with bounded patience, and drains on shutdown.

mod opening;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::opening::Opening;

/// A client that takes longer to send its headers holds a connection for nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Start line and headers of one request. What is larger never reaches a handler and gets a bare
/// 431; so this is well above what the envelope allows and refuses with a problem.
const HEAD_BYTES_MAX: usize = 256 << 10;
/// Headers of one request.
const HEADERS_MAX: usize = 100;
/// Requests that one HTTP/2 connection may run at the same time.
const STREAMS_MAX: u32 = 128;
/// After a failed accept (no file descriptors left, say) the loop rests instead of spinning.
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// How long requests in flight may take once the shutdown has begun.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(40);

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    head_timeout: Duration,
}

impl Listener {
    /// Binds; port 0 picks one.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            head_timeout: HEAD_TIMEOUT,
        })
    }

    /// The same listener with another patience for the headers of a request.
    #[must_use]
    pub const fn with_head_timeout(mut self, head_timeout: Duration) -> Self {
        self.head_timeout = head_timeout;
        self
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then lets the requests in flight finish.
    pub async fn serve(self, router: Router, stop: CancellationToken) {
        let graceful = GracefulShutdown::new();
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, _peer)) => {
                    let service = router.clone();
                    connections.spawn(connection(stream, service, self.head_timeout, &graceful));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
        drop(self.socket);
        connections.close();
        tokio::select! {
            () = graceful.shutdown() => {}
            () = tokio::time::sleep(DRAIN_MAX) => {
                tracing::warn!(connections = connections.len(), "shutdown: connections are cut");
            }
        }
    }
}

fn connection(
    stream: TcpStream,
    router: Router,
    head_timeout: Duration,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + 'static {
    // A small answer must not wait for the next one.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
    let service = TowerToHyperService::new(router);
    let served = builder
        .serve_connection(TokioIo::new(Opening::new(stream, head_timeout)), service)
        .into_owned();
    let watched = graceful.watch(served);
    async move {
        if let Err(error) = watched.await {
            tracing::debug!(error, "connection ended early");
        }
    }
}
