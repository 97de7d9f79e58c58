//! A provider that answers as a test says, and remembers what it was sent.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} stands there twice");
        value
    }
}

/// What a provider does with a request.
pub(crate) enum Reply {
    /// A complete answer.
    Answer(u16, String),
    /// A complete answer with one header more.
    AnswerWith(u16, (&'static str, String), String),
    /// A complete answer, as soon as the test says so.
    Later(watch::Receiver<bool>, u16, String),
    /// These bytes, and then the end of the connection.
    Cut(&'static str),
    /// The first text, then the second one again and again.
    Endless(&'static str, &'static str),
    /// This text, then a space each second.
    Trickle(&'static str),
    /// Nothing, for ever.
    Hang,
}

impl Reply {
    pub(crate) fn created() -> Self {
        Self::Answer(201, r#"{"id":"m1","state":"queued"}"#.to_owned())
    }
}

type Script = dyn Fn(&Received) -> Reply + Send + Sync;

pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    /// The same provider at another port: no connection to one serves the other.
    pub(crate) apart: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    count: watch::Receiver<usize>,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Provider {
    #[expect(clippy::disallowed_methods, reason = "the task ends with the test")]
    pub(crate) async fn start(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener_apart = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let apart = listener_apart.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (counter, count) = watch::channel(0);
        let script: Arc<Script> = Arc::new(script);
        let log = Arc::clone(&received);
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            loop {
                let accepted_one = tokio::select! {
                    one = listener.accept() => one,
                    one = listener_apart.accept() => one,
                };
                let (stream, _) = accepted_one.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                let connection = Connection {
                    stream,
                    log: Arc::clone(&log),
                    counter: counter.clone(),
                    script: Arc::clone(&script),
                };
                tokio::spawn(connection.serve());
            }
        });
        Self {
            address,
            apart,
            received,
            count,
            connections,
            task,
        }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// How many connections were made, with a request or without.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The only request that came.
    #[track_caller]
    pub(crate) fn only(&self) -> Received {
        let received = self.received();
        assert_eq!(received.len(), 1, "{received:#?}");
        received.into_iter().next().unwrap()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn wait_for(&self, count: usize) {
        let mut seen = self.count.clone();
        seen.wait_for(|seen| *seen >= count).await.unwrap();
    }
}

struct Connection {
    stream: TcpStream,
    log: Arc<Mutex<Vec<Received>>>,
    counter: watch::Sender<usize>,
    script: Arc<Script>,
}

impl Connection {
    async fn serve(mut self) -> io::Result<()> {
        while let Some(request) = self.read().await? {
            let reply = (self.script)(&request);
            self.log.lock().unwrap().push(request);
            self.counter.send_modify(|count| *count += 1);
            match reply {
                Reply::Answer(status, body) => self.answer(status, "", &body).await?,
                Reply::AnswerWith(status, (name, value), body) => {
                    self.answer(status, &format!("{name}: {value}\r\n"), &body)
                        .await?;
                }
                Reply::Later(mut may, status, body) => {
                    // A test that has ended says nothing any more.
                    let _ = may.wait_for(|may| *may).await;
                    self.answer(status, "", &body).await?;
                }
                Reply::Cut(bytes) => return self.stream.write_all(bytes.as_bytes()).await,
                Reply::Endless(start, again) => {
                    self.stream.write_all(start.as_bytes()).await?;
                    loop {
                        self.stream.write_all(again.as_bytes()).await?;
                    }
                }
                Reply::Trickle(start) => {
                    self.stream.write_all(start.as_bytes()).await?;
                    loop {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        self.stream.write_all(b" ").await?;
                    }
                }
                Reply::Hang => {
                    // Until the other side gives up.
                    self.stream.read_u8().await?;
                }
            }
        }
        Ok(())
    }

    async fn answer(&mut self, status: u16, headers: &str, body: &str) -> io::Result<()> {
        let head = format!(
            "HTTP/1.1 {status} Status\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all((head + body).as_bytes()).await
    }

    async fn read(&mut self) -> io::Result<Option<Received>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let mut first = lines.next().unwrap().split(' ');
        let method = first.next().unwrap().to_owned();
        let target = first.next().unwrap().to_owned();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .map_or(0, |(_, length)| length.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok(Some(Received {
            method,
            target,
            headers,
            body: String::from_utf8(body).unwrap(),
        }))
    }
}
