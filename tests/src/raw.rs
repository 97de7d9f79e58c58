//! A client that says exactly what a test wants, and reads answers strictly.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use onerouter::config::Config;
use onerouter::gateway::{Doubles, Gateway};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::ADMIN_TOKEN;

/// Nothing here takes longer, unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(45);
/// A whole request that is served.
pub const HEALTH: &str = "GET /api/health HTTP/1.1\r\nHost: a\r\n\r\n";

/// A gateway without providers.
pub async fn gateway(doubles: Doubles) -> (Gateway, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::in_folder(folder.path());
    config.admin_token = Some(ADMIN_TOKEN.to_owned().into());
    let doubles = Doubles {
        without_background: true,
        ..doubles
    };
    (Gateway::start(&config, doubles).await.unwrap(), folder)
}

/// The head of an operator's request whose body is still to come. The gateway says
/// `100 Continue` when it begins to read that.
pub fn key_request(more: &str) -> String {
    format!(
        "POST /api/api-keys HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\nExpect: 100-continue\r\n{more}\r\n"
    )
}

/// A sum over all series of a metric; 0 where there is none yet.
pub async fn metric(address: SocketAddr, name: &str) -> f64 {
    let mut client = Raw::to(address).await;
    client
        .say("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    let answer = client.answer().await.unwrap();
    let series = answer.text().lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        (rest.starts_with(' ') || rest.starts_with('{'))
            .then(|| rest.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
    });
    series.sum()
}

/// One connection.
#[derive(Debug)]
pub struct Raw {
    pub stream: TcpStream,
    unread: Vec<u8>,
}

impl Raw {
    pub async fn to(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            unread: Vec::new(),
        }
    }

    #[track_caller]
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> impl Future<Output = ()> {
        let bytes = bytes.as_ref().to_vec();
        async move { self.stream.write_all(&bytes).await.unwrap() }
    }

    /// The next whole answer; none when the connection was closed instead.
    pub async fn answer(&mut self) -> Option<Answer> {
        loop {
            if let Some((answer, length)) = Answer::first_of(&self.unread) {
                self.unread.drain(..length);
                return Some(answer);
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.unread));
            match read.await.expect("neither an answer nor an end") {
                Ok(1..) => {}
                // A reset is an end too.
                Ok(0) | Err(_) => {
                    let text = String::from_utf8_lossy(&self.unread);
                    assert!(text.is_empty(), "half an answer: {text}");
                    return None;
                }
            }
        }
    }

    /// Every answer until the gateway closes the connection.
    pub async fn until_closed(mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(answer) = self.answer().await {
            answers.push(answer);
        }
        answers
    }

    /// Says the same few bytes again and again, until the gateway has had enough: what it answers.
    pub async fn trickle(mut self, bytes: &[u8]) -> Vec<Answer> {
        let mut begun = [0; 1];
        let until = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < until, "it listens without end");
            if self.stream.write_all(bytes).await.is_err() {
                break;
            }
            let peeked = self.stream.peek(&mut begun);
            if tokio::time::timeout(Duration::from_millis(5), peeked)
                .await
                .is_ok()
            {
                break;
            }
        }
        self.until_closed().await
    }

    /// Says something and gives every answer until the gateway closes the connection. Goes on
    /// saying while it listens; that the gateway stops listening first is no mistake.
    pub async fn exchange(self, bytes: &[u8]) -> Vec<Answer> {
        let (mut read, mut write) = self.stream.into_split();
        let mut all = self.unread;
        let listen = async {
            // A reset is an end too.
            let read = tokio::time::timeout(PATIENCE, read.read_to_end(&mut all)).await;
            let _ended = read.expect("the connection is still open");
        };
        let say = async {
            let _unheard = write.write_all(bytes).await;
            write
        };
        let (_write, ()) = tokio::join!(say, listen);
        let mut answers = Vec::new();
        let mut rest = all.as_slice();
        while let Some((answer, length)) = Answer::first_of(rest) {
            answers.push(answer);
            rest = &rest[length..];
        }
        let rest = String::from_utf8_lossy(rest);
        assert!(rest.is_empty(), "after {} answers: {rest}", answers.len());
        answers
    }
}

/// One answer of HTTP/1.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The answer that `bytes` begin with, and its length. Every answer has a length in it.
    fn first_of(bytes: &[u8]) -> Option<(Self, usize)> {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let text = std::str::from_utf8(&bytes[..head]).expect("a head is text");
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap();
        let status = line
            .strip_prefix("HTTP/1.")
            .unwrap_or_else(|| panic!("not an answer: {line:?}"));
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Self {
            status,
            headers,
            body: Vec::new(),
        };
        let length = match answer.header("content-length") {
            Some(length) => length.parse().unwrap(),
            None => {
                assert_eq!(status, 100, "an answer without a length: {text}");
                0
            }
        };
        let end = head + 4 + length;
        answer.body = bytes.get(head + 4..end)?.to_vec();
        Some((answer, end))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} twice in {self:?}");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON in {self:?}"))
    }

    /// The code of a problem document, empty for any other answer. Holds the answer against what
    /// every answer has.
    #[track_caller]
    pub fn code(&self) -> String {
        let id = self
            .header("x-request-id")
            .unwrap_or_else(|| panic!("no X-Request-Id in {self:?}"));
        if self.status < 400 {
            return String::new();
        }
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["request_id"], id, "{self:?}");
        assert_eq!(problem["status"], self.status, "{self:?}");
        for member in ["type", "title", "detail"] {
            assert!(problem[member].is_string(), "{member} in {self:?}");
        }
        problem["code"].as_str().unwrap().to_owned()
    }
}
