//! Listens, bounds who is connected, serves with bounded patience, and drains on shutdown.
//!
//! A connection's bytes pass, from the outside in: `wire` (gives way when a client does not read, and
//! turns the HTTP library's own refusals into problems), `opening` (the first bytes), the library,
//! `attended` (notes who is being answered, for `seats`), and the router.

mod attended;
mod descriptors;
mod farewell;
pub(super) mod framing;
mod opening;
mod plain;
mod seats;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::attended::Attended;
use self::opening::Opening;
use self::seats::{Seat, Seats};
use self::wire::Wire;

/// A client that takes longer to send its headers holds a connection for nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Start line and headers of one request. More than the envelope lets pass, so that it is the one
/// that refuses what is a little too long; not much more, because every connection may make us hold
/// as much.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Headers of one request.
const HEADERS_MAX: usize = 100;
/// Requests that one HTTP/2 connection may run at the same time.
const STREAMS_MAX: u32 = 128;
/// What one HTTP/2 connection may send before anybody reads it.
const WINDOW_BYTES: u32 = 256 << 10;
/// Clients that are connected at the same time. An idle connection costs a few KiB, so this is
/// bounded by descriptors sooner than by memory.
const CONNECTIONS_MAX: usize = 16_384;
/// Clients that the system lets wait until they are accepted; it may allow fewer. Those that come
/// when all places are taken try again after a second, so a burst is slow when there are few.
const WAITING_MAX: u32 = 4_096;
/// Clients that are being told that there is no room; above that they are not told.
const TURNED_AWAY_MAX: usize = 256;
/// After a failed accept (no file descriptors left, say) the loop rests instead of spinning.
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// How long a client that asks nothing may stay then.
const DRAIN_IDLE: Duration = Duration::from_secs(5);
/// How long requests in flight may take once the shutdown has begun.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(40);

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    patience: Patience,
    connections_max: usize,
}

/// How long clients are waited for.
#[derive(Debug, Clone, Copy)]
struct Patience {
    head: Duration,
    /// Unless it is what `http/body.rs` says.
    body: Option<Duration>,
}

impl Listener {
    /// Binds; port 0 picks one.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A restart does not wait for the connections of before.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let socket = socket.listen(WAITING_MAX)?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            patience: Patience {
                head: HEAD_TIMEOUT,
                body: None,
            },
            connections_max: descriptors::room_for(CONNECTIONS_MAX),
        })
    }

    /// The same listener with another patience for the headers of a request.
    #[must_use]
    pub const fn with_head_timeout(mut self, head_timeout: Duration) -> Self {
        self.patience.head = head_timeout;
        self
    }

    /// The same listener with another patience for the body of a request.
    #[must_use]
    pub const fn with_body_timeout(mut self, body_timeout: Duration) -> Self {
        self.patience.body = Some(body_timeout);
        self
    }

    /// The same listener with room for other than [`CONNECTIONS_MAX`] clients.
    #[must_use]
    pub const fn with_connections_max(mut self, connections_max: usize) -> Self {
        self.connections_max = connections_max;
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
        let seats = Arc::new(Seats::new(self.connections_max));
        let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _peer)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_REST).await;
                    continue;
                }
            };
            if let Some(seat) = seats.take() {
                let gone = gone(Arc::clone(&seat), stop.clone());
                let served = connection(stream, router.clone(), seat, self.patience, &graceful);
                connections.spawn(async move {
                    tokio::select! {
                        () = gone => {}
                        () = served => {}
                    }
                });
            } else if let Ok(permit) = Arc::clone(&turned_away).try_acquire_owned() {
                connections.spawn(async move {
                    farewell::turn_away(stream).await;
                    drop(permit);
                });
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

/// Ends when a connection is not waited for any longer: its seat is somebody else's, or the shutdown
/// has begun and nobody is being answered. The libraries would wait for an idle client's next move.
async fn gone(seat: Arc<Seat>, stop: CancellationToken) {
    tokio::select! {
        () = seat.lost() => return,
        () = stop.cancelled() => {}
    }
    loop {
        let before = seat.turn();
        tokio::time::sleep(DRAIN_IDLE).await;
        if seat.turn() == before && !before.is_busy {
            break;
        }
    }
}

fn connection(
    stream: TcpStream,
    router: Router,
    seat: Arc<Seat>,
    patience: Patience,
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
        .header_read_timeout(patience.head)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
    let (wire, returned) = Wire::new(stream, Arc::clone(&seat));
    let attended = Attended::new(router, Arc::clone(&seat), patience.body);
    let served = builder
        .serve_connection(
            TokioIo::new(Opening::new(wire, patience.head)),
            TowerToHyperService::new(attended),
        )
        .into_owned();
    let watched = graceful.watch(served);
    async move {
        let served = watched.await;
        if let Err(error) = &served {
            tracing::debug!(error, "connection ended early");
        }
        if let Ok(returned) = returned.await {
            farewell::close(returned, served.is_err()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_waits_for_answers_and_not_for_idle_clients() {
        let seats = Arc::new(Seats::new(2));
        let stop = CancellationToken::new();
        let [idle, busy] = [(); 2].map(|()| seats.take().unwrap());
        let running = busy.begin().unwrap();
        let wait = |seat| timeout(DRAIN_MAX, gone(seat, stop.clone()));
        assert!(
            wait(Arc::clone(&idle)).await.is_err(),
            "nothing has stopped"
        );
        stop.cancel();
        assert!(
            wait(Arc::clone(&busy)).await.is_err(),
            "it is being answered"
        );
        let begun = Instant::now();
        wait(idle).await.unwrap();
        assert_eq!(begun.elapsed(), DRAIN_IDLE);
        drop(running);
        wait(busy).await.unwrap();
    }
}
