//! A load generator that costs little itself: prepared bytes out, the head of the answer read, its
//! body skipped.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::numbers::{Samples, percentile};

/// What is sent, and where to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) request: Vec<u8>,
}

impl Target {
    pub(crate) fn get(address: SocketAddr, path: &str, key: &str) -> Self {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\r\n"
        );
        Self {
            address,
            request: request.into_bytes(),
        }
    }

    pub(crate) fn post(address: SocketAddr, path: &str, key: &str, body: &str) -> Self {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Self {
            address,
            request: request.into_bytes(),
        }
    }
}

/// What one run gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) requests: usize,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// So many connections, each with one request at a time, for so long. Every answer must be a 2xx.
pub(crate) async fn run(target: &Target, connections: usize, time: Duration) -> Run {
    let started = Instant::now();
    let until = started + time;
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move {
                let mut client = Client::connect(target.address).await;
                let mut times = Vec::new();
                while Instant::now() < until {
                    let began = Instant::now();
                    client.exchange(&target.request).await;
                    times.push(began.elapsed().as_secs_f64() * 1e3);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await.unwrap());
    }
    let elapsed = started.elapsed().as_secs_f64();
    Run::of(times, elapsed)
}

impl Run {
    /// Of how long each request took, in ms, and all of them together, in s.
    pub(crate) fn of(mut times_ms: Vec<f64>, elapsed_s: f64) -> Self {
        times_ms.sort_by(f64::total_cmp);
        Self {
            requests: times_ms.len(),
            per_second: times_ms.len() as f64 / elapsed_s,
            p50_ms: percentile(&times_ms, 0.5),
            p99_ms: percentile(&times_ms, 0.99),
        }
    }
}

/// What the rounds of one kind of request gave.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) cpu_us: Samples,
    per_second: Samples,
    p50_ms: Samples,
    p99_ms: Samples,
}

impl Figures {
    /// What stands above them in a table.
    pub(crate) const COLUMNS: [&str; 4] = [
        "CPU per request, µs (range)",
        "requests per second",
        "p50, ms",
        "p99, ms",
    ];

    pub(crate) fn add(&mut self, cpu_us: f64, run: &Run) {
        self.cpu_us.add(cpu_us);
        self.per_second.add(run.per_second);
        self.p50_ms.add(run.p50_ms);
        self.p99_ms.add(run.p99_ms);
    }

    /// Medians and ranges, below [`Self::COLUMNS`].
    pub(crate) fn cells(&self) -> [String; 4] {
        [
            self.cpu_us.show(0),
            self.per_second.show(0),
            self.p50_ms.show(2),
            self.p99_ms.show(2),
        ]
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where the last answer's body begins.
    body_at: usize,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::with_capacity(16 << 10),
            body_at: 0,
        }
    }

    /// Sends a request and reads its answer. Panics unless it is a 2xx.
    pub(crate) async fn exchange(&mut self, request: &[u8]) {
        let status = self.ask(request).await;
        assert!((200..300).contains(&status), "{status}: {}", self.body());
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &str {
        std::str::from_utf8(&self.buffer[self.body_at..]).unwrap()
    }

    /// Sends a request and reads its answer, which must have a length. Gives its status.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).await.unwrap();
        self.buffer.clear();
        let end = loop {
            if let Some(end) = end_of_head(&self.buffer) {
                break end;
            }
            let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&self.buffer));
        };
        let head = std::str::from_utf8(&self.buffer[..end]).unwrap();
        let length = content_length(head).unwrap_or_else(|| panic!("no length in {head}"));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status in {head}"));
        let total = end + length;
        while self.buffer.len() < total {
            let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
            assert!(read > 0, "the answer was cut");
        }
        self.body_at = end;
        status
    }
}

/// Where the body begins.
pub(crate) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(at + 4)
}

/// What `Content-Length` says.
pub(crate) fn content_length(head: &str) -> Option<usize> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
}
