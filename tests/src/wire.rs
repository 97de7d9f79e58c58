//! A wire to PostgreSQL that a test can cut or hold at a certain point of a certain transaction.
//!
//! It reads the frontend's half of the protocol, so it knows which statement is about to run and
//! when a transaction is to be committed. A [`Snare`] catches the next one of its kind, once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use url::Url;

use crate::write_path::eventually;

/// Between everybody who was given [`Wire::url`] and one database.
#[derive(Debug)]
pub struct Wire {
    url: String,
    inner: Arc<Inner>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    server: String,
    open: AtomicUsize,
    round_trips: AtomicUsize,
    snares: Mutex<Vec<Arc<Snare>>>,
    cut: broadcast::Sender<()>,
}

/// Where a transaction is caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    /// When the statement is about to run.
    Statement,
    /// When a transaction in which the statement ran is about to be committed.
    Commit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Hold,
    Cut,
    LoseAnswer,
}

/// What waits for a statement.
#[derive(Debug)]
pub struct Snare {
    statement: String,
    point: Point,
    deed: Deed,
    passing: AtomicUsize,
    caught: watch::Sender<bool>,
    released: watch::Sender<bool>,
}

impl Snare {
    /// Waits until something is caught.
    pub async fn caught(&self) {
        let mut caught = self.caught.subscribe();
        caught.wait_for(|caught| *caught).await.unwrap();
    }

    /// Whether something was caught.
    pub fn has_caught(&self) -> bool {
        *self.caught.borrow()
    }

    /// Lets go of what is held.
    pub fn release(&self) {
        self.released.send_replace(true);
    }
}

impl Wire {
    /// A wire to the database at this URL.
    pub async fn to(database: &str) -> Self {
        let mut url: Url = database.parse().unwrap();
        let host = url.host_str().unwrap().to_owned();
        let server = format!("{host}:{}", url.port().unwrap_or(5432));
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port()))
            .unwrap();
        // What is encrypted cannot be read here.
        url.query_pairs_mut().append_pair("sslmode", "disable");
        let inner = Arc::new(Inner {
            server,
            open: AtomicUsize::new(0),
            round_trips: AtomicUsize::new(0),
            snares: Mutex::default(),
            cut: broadcast::Sender::new(1),
        });
        let accepting = Arc::clone(&inner);
        let serving = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                accepting.open.fetch_add(1, Ordering::SeqCst);
                let (inner, cut) = (Arc::clone(&accepting), accepting.cut.subscribe());
                tokio::spawn(async move {
                    inner.serve(client, cut).await;
                    inner.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            url: url.into(),
            inner,
            serving,
        }
    }

    /// The database by way of this wire.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.inner.open.load(Ordering::SeqCst)
    }

    /// How often a client has asked for an answer and waited, on whatever connection.
    pub fn round_trips(&self) -> usize {
        self.inner.round_trips.load(Ordering::SeqCst)
    }

    /// Cuts every connection, and waits until all are cut.
    pub async fn cut_all(&self) {
        // None may listen.
        let _ = self.inner.cut.send(());
        eventually("all connections are cut", || async { self.open() == 0 }).await;
    }

    /// Cuts the connection on which a statement with this text is about to run.
    pub fn cut_at(&self, statement: &str) -> Arc<Snare> {
        self.cut_later_at(statement, 0)
    }

    /// As [`Wire::cut_at`]; lets some pass first.
    pub fn cut_later_at(&self, statement: &str, passing: usize) -> Arc<Snare> {
        self.snare(statement, Point::Statement, Deed::Cut, passing)
    }

    /// Cuts the connection before the commit of a transaction in which such a statement ran.
    pub fn cut_before_commit_of(&self, statement: &str) -> Arc<Snare> {
        self.snare(statement, Point::Commit, Deed::Cut, 0)
    }

    /// Has the transaction committed in which such a statement ran, and loses the answer.
    pub fn lose_commit_of(&self, statement: &str) -> Arc<Snare> {
        self.snare(statement, Point::Commit, Deed::LoseAnswer, 0)
    }

    /// Holds such a statement until it is released; lets some pass first.
    pub fn hold_at(&self, statement: &str, passing: usize) -> Arc<Snare> {
        self.snare(statement, Point::Statement, Deed::Hold, passing)
    }

    /// Holds the commit of a transaction in which such a statement ran.
    pub fn hold_before_commit_of(&self, statement: &str) -> Arc<Snare> {
        self.snare(statement, Point::Commit, Deed::Hold, 0)
    }

    fn snare(&self, statement: &str, point: Point, deed: Deed, passing: usize) -> Arc<Snare> {
        let snare = Arc::new(Snare {
            statement: statement.to_owned(),
            point,
            deed,
            passing: AtomicUsize::new(passing),
            caught: watch::Sender::new(false),
            released: watch::Sender::new(false),
        });
        let mut snares = self.inner.snares.lock().unwrap();
        snares.push(Arc::clone(&snare));
        snare
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.serving.abort();
        let _ = self.inner.cut.send(());
    }
}

impl Inner {
    async fn serve(&self, client: TcpStream, mut cut: broadcast::Receiver<()>) {
        let server = TcpStream::connect(&self.server).await.unwrap();
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let losing = AtomicBool::new(false);
        // Whichever ends first: then both sides are closed.
        tokio::select! {
            _ = self.pass_requests(from_client, to_server, &losing) => {}
            _ = pass_answers(from_server, to_client, &losing) => {}
            _ = cut.recv() => {}
        }
    }

    async fn pass_requests(
        &self,
        mut client: OwnedReadHalf,
        mut server: OwnedWriteHalf,
        losing: &AtomicBool,
    ) -> std::io::Result<()> {
        // The first message has no type.
        let greeting = read_rest(&mut client, Vec::new()).await?;
        server.write_all(&greeting).await?;
        let mut conversation = Conversation::default();
        loop {
            let kind = client.read_u8().await?;
            let message = read_rest(&mut client, vec![kind]).await?;
            // The server answers a simple query, and everything up to a Sync.
            if matches!(kind, b'Q' | b'S') {
                self.round_trips.fetch_add(1, Ordering::SeqCst);
            }
            if let Some((point, statements)) = conversation.hear(kind, &message[5..])
                && let Some(snare) = self.take(point, &statements)
            {
                snare.caught.send_replace(true);
                match snare.deed {
                    Deed::Cut => return Ok(()),
                    Deed::LoseAnswer => losing.store(true, Ordering::SeqCst),
                    Deed::Hold => {
                        let mut released = snare.released.subscribe();
                        let _ = released.wait_for(|released| *released).await;
                    }
                }
            }
            server.write_all(&message).await?;
        }
    }

    fn take(&self, point: Point, statements: &[String]) -> Option<Arc<Snare>> {
        let mut snares = self.snares.lock().unwrap();
        let place = snares.iter().position(|snare| {
            let is_meant = snare.point == point
                && statements
                    .iter()
                    .any(|statement| statement.contains(&snare.statement));
            let pass = |count: usize| count.checked_sub(1);
            let (order, passing) = (Ordering::SeqCst, &snare.passing);
            is_meant && passing.fetch_update(order, order, pass).is_err()
        })?;
        Some(snares.remove(place))
    }
}

/// A message's length, which counts itself, and what comes after it.
async fn read_rest(from: &mut OwnedReadHalf, mut message: Vec<u8>) -> std::io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    message.extend_from_slice(&length.to_be_bytes());
    let start = message.len();
    message.resize(start + usize::try_from(length).unwrap() - 4, 0);
    from.read_exact(&mut message[start..]).await?;
    Ok(message)
}

async fn pass_answers(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    losing: &AtomicBool,
) -> std::io::Result<()> {
    const COMMITTED: &[u8] = b"COMMIT\0";
    let mut chunk = vec![0; 16 * 1024];
    let mut lost = Vec::new();
    loop {
        let length = server.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        if losing.load(Ordering::SeqCst) {
            lost.extend_from_slice(&chunk[..length]);
            if lost
                .windows(COMMITTED.len())
                .any(|window| window == COMMITTED)
            {
                return Ok(());
            }
        } else {
            client.write_all(&chunk[..length]).await?;
        }
    }
}

/// What a client has prepared, and what it ran since it began its transaction.
#[derive(Debug, Default)]
struct Conversation {
    prepared: HashMap<Vec<u8>, String>,
    ran: Vec<String>,
}

impl Conversation {
    /// Takes a message in; tells at which point it is, and the statements that matter there.
    fn hear(&mut self, kind: u8, body: &[u8]) -> Option<(Point, Vec<String>)> {
        let mut texts = body.split(|byte| *byte == 0);
        match kind {
            // Parse: name, text.
            b'P' => {
                let name = texts.next()?.to_vec();
                let text = String::from_utf8_lossy(texts.next()?).into_owned();
                self.prepared.insert(name, text);
                None
            }
            // Bind: portal, name.
            b'B' => {
                let text = self.prepared.get(texts.nth(1)?)?.clone();
                self.ran.push(text.clone());
                Some((Point::Statement, vec![text]))
            }
            // A simple query: text.
            b'Q' => match texts.next()?.to_ascii_lowercase().as_slice() {
                b"commit" => Some((Point::Commit, std::mem::take(&mut self.ran))),
                _ => {
                    self.ran.clear();
                    None
                }
            },
            _ => None,
        }
    }
}
