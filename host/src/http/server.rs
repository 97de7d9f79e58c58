//! Listens, bounds who is connected, serves with bounded patience, and drains on shutdown.
//!
//! A connection's bytes pass, from the outside in: `wire` (gives way when a client does not read, and
//! turns the HTTP library's own refusals into problems), `opening` (the first bytes), the library,
//! `attended` (notes who is being answered, for `seats`, and what is `unread`), and the router.

mod attended;
mod descriptors;
mod farewell;
pub(super) mod framing;
mod heard;
mod opening;
mod plain;
mod seats;
mod unread;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::attended::{Attended, Farewell};
use self::opening::Opening;
use self::seats::{Seat, Seats};
use self::unread::Unread;
use self::wire::Wire;
use super::client_address::Peer;

/// A client that takes longer to send its headers holds a connection for nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Start line and headers of one request. More than the envelope lets pass, so that it is the one
/// that refuses what is a little too long; not much more, because every connection may make us hold
/// as much.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Headers of one request.
const HEADERS_MAX: usize = 100;
/// The same of HTTP/2, counted as that does: with 32 bytes more for each header. What is longer is
/// refused by the library, without a body. So this is more than the envelope refuses.
const HEAD_BYTES_MAX_2: u32 = 256 << 10;
/// Requests that one HTTP/2 connection may run at the same time.
const STREAMS_MAX: u32 = 32;
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
/// A client that takes nothing of an answer for so long does not want it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// After a failed accept (no file descriptors left, say) the loop rests instead of spinning.
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// After a shutdown has begun, those who had connected before are still received for so long.
const ACCEPT_LATE_MAX: Duration = Duration::from_secs(1);
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

    /// The same listener with room for other than `CONNECTIONS_MAX` clients.
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
        let hall = Hall {
            router,
            seats: Arc::new(Seats::new(self.connections_max)),
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
            connections: TaskTracker::new(),
            patience: self.patience,
            stop,
        };
        loop {
            let accepted = tokio::select! {
                () = hall.stop.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => hall.receive(stream, Peer(peer.ip())),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
        // Who has come until now is connected, as far as they know, and may have sent a request.
        let late = async {
            while let Ok(Ok((stream, peer))) =
                tokio::time::timeout(ACCEPT_REST, self.socket.accept()).await
            {
                hall.receive(stream, Peer(peer.ip()));
            }
        };
        // Others keep coming as long as they can: then that is that.
        let _all_or_time_is_up = tokio::time::timeout(ACCEPT_LATE_MAX, late).await;
        drop(self.socket);
        hall.connections.close();
        let drained = tokio::time::timeout(DRAIN_MAX, hall.connections.wait()).await;
        if drained.is_err() {
            tracing::warn!(
                connections = hall.connections.len(),
                "shutdown: connections are cut"
            );
        }
    }
}

/// Where the clients of one listener are.
struct Hall {
    router: Router,
    seats: Arc<Seats>,
    turned_away: Arc<Semaphore>,
    connections: TaskTracker,
    patience: Patience,
    stop: CancellationToken,
}

impl Hall {
    /// Serves a new client, if there is room.
    fn receive(&self, stream: TcpStream, peer: Peer) {
        if let Some(seat) = self.seats.take() {
            let unread = Arc::new(Unread::default());
            let stop = self.stop.clone();
            let gone = gone(Arc::clone(&seat), Arc::clone(&unread), stop.clone());
            let farewell = Farewell::new(stop);
            let attended = Attended {
                router: self.router.clone(),
                seat: Arc::clone(&seat),
                unread,
                peer,
                farewell: farewell.clone(),
                body_timeout: self.patience.body,
            };
            let served = connection(stream, attended, seat, self.patience, farewell);
            self.connections.spawn(async move {
                tokio::select! {
                    () = gone => {}
                    () = served => {}
                }
            });
        } else if let Ok(permit) = Arc::clone(&self.turned_away).try_acquire_owned() {
            self.connections.spawn(async move {
                farewell::turn_away(stream).await;
                drop(permit);
            });
        }
    }
}

/// Ends when a connection is not waited for any longer: its seat is somebody else's, its client does
/// not take an answer, or the shutdown has begun and nobody is being answered. The libraries would
/// wait for an idle client's next move.
async fn gone(seat: Arc<Seat>, unread: Arc<Unread>, stop: CancellationToken) {
    let left_alone = async {
        stop.cancelled().await;
        loop {
            let before = seat.turn();
            tokio::time::sleep(DRAIN_IDLE).await;
            if seat.turn() == before && !before.is_busy {
                break;
            }
        }
    };
    tokio::select! {
        () = seat.lost() => {}
        () = unread.stalled() => {}
        () = left_alone => {}
    }
}

fn connection(
    stream: TcpStream,
    attended: Attended,
    seat: Arc<Seat>,
    patience: Patience,
    farewell: Farewell,
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
        .max_header_list_size(HEAD_BYTES_MAX_2);
    let (wire, returned) = Wire::new(stream, seat);
    let served = builder
        .serve_connection(
            TokioIo::new(Opening::new(wire, patience.head)),
            TowerToHyperService::new(attended),
        )
        .into_owned();
    async move {
        // It gives the wire back when it is dropped.
        let served = {
            let mut served = pin!(served);
            tokio::select! {
                served = served.as_mut() => served,
                () = farewell.begun() => {
                    // Of HTTP/1 an idle connection would be closed at once, perhaps while its
                    // client writes: there, the last answer says that it is the last.
                    if farewell.is_http2() {
                        served.as_mut().graceful_shutdown();
                    }
                    served.await
                }
            }
        };
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_waits_for_answers_and_not_for_idle_clients() {
        let seats = Arc::new(Seats::new(2));
        let stop = CancellationToken::new();
        let [idle, busy] = [(); 2].map(|()| seats.take().unwrap());
        let running = busy.begin().unwrap();
        let wait = |seat| timeout(DRAIN_MAX, gone(seat, Arc::default(), stop.clone()));
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

    fn listener() -> Listener {
        Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()
    }

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up_though_it_answers_pings() {
        const ANSWER_BYTES: usize = 100_000;
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let listener = listener();
        let address = listener.address();
        let router = Router::new().fallback(|| async {
            BEGUN.fetch_add(1, Ordering::Relaxed);
            vec![b'x'; ANSWER_BYTES]
        });
        let stop = CancellationToken::new();
        let serving = TaskTracker::new().spawn(listener.serve(router, stop.clone()));
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        // The initial window has 0 bytes.
        opening.extend(frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
        for number in 0..STREAMS_MAX {
            // GET http://a/
            opening.extend(frame(1, 5, 2 * number + 1, b"\x82\x86\x84\x01\x01a"));
        }
        client.write_all(&opening).await.unwrap();
        let begun = Instant::now();
        let mut head = [0; 9];
        while client.read_exact(&mut head).await.is_ok() {
            let [0, high, low, kind, flags, ..] = head else {
                panic!("a frame is too long: {head:?}");
            };
            let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
            client.read_exact(&mut payload).await.unwrap();
            assert_ne!(kind, 0, "data without a window");
            if (kind, flags) == (6, 0) {
                client.write_all(&frame(6, 1, 0, &payload)).await.unwrap();
            }
            assert!(
                begun.elapsed() < 10 * WRITE_TIMEOUT,
                "it is waited for without end"
            );
        }
        let begun = BEGUN.load(Ordering::Relaxed);
        assert!((1..=3).contains(&begun), "{begun} answers are kept");
        stop.cancel();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_shutdown_waits_for_the_last_words() {
        let listener = listener().with_head_timeout(Duration::from_millis(100));
        let address = listener.address();
        let stop = CancellationToken::new();
        let serving = TaskTracker::new().spawn(listener.serve(Router::new(), stop.clone()));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
        tokio::task::yield_now().await;
        stop.cancel();
        serving.await.unwrap();
        let running = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        assert_eq!(running, 0, "a connection is cut off when the process ends");
        let mut words = String::new();
        client.read_to_string(&mut words).await.unwrap();
        assert!(words.starts_with("HTTP/1.1 408 "), "{words}");
    }
}
