//! A provider that repeats the credential it was sent.
//!
//! `/v1/echo/PLACE/N` repeats it at that place in its N-th form; `/v1/loot/…` takes what the spy
//! brings; `/v1/token` gives a token, and `/v1/no-token` refuses a client and repeats its secret, each time
//! in its next form. Written by hand: no HTTP library sends all of this.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use url::form_urlencoded;

use crate::canaries::{CANARIES, CLIENT, Canary, USER};
use crate::encodings::{disguised, recognised};

/// What the host in the spy's manifest is called.
pub const HOST: &str = "api.spy.example";

/// No secret: stands in front of each echo.
pub const WORDS: &str = "words-before-the-echo";

/// What the spy hides its memory behind.
const DISGUISE: u8 = 0xa5;

/// A memory that the spy brought.
#[derive(Debug, Clone)]
pub struct Loot {
    /// Scheme and place.
    pub from: String,
    pub memory: Vec<u8>,
}

#[derive(Debug, Default)]
struct Seen {
    echoes: BTreeMap<&'static str, usize>,
    /// How many clients were given a token.
    tokens: usize,
    loot: Vec<Loot>,
}

#[derive(Debug)]
pub struct Echo {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    serving: JoinHandle<()>,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Echo {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let connection = Connection {
                    stream: BufReader::new(stream),
                    seen: Arc::clone(&shared),
                };
                tokio::spawn(connection.serve());
            }
        });
        Self {
            address,
            seen,
            serving,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often each canary came, by its scheme.
    pub fn echoes(&self) -> BTreeMap<&'static str, usize> {
        self.seen.lock().unwrap().echoes.clone()
    }

    /// How many tokens were asked for and given.
    pub fn tokens(&self) -> usize {
        self.seen.lock().unwrap().tokens
    }

    /// What the spy has brought.
    pub fn loot(&self) -> Vec<Loot> {
        self.seen.lock().unwrap().loot.clone()
    }
}

/// The canary that is a token.
fn token() -> Canary {
    let mut canaries = CANARIES.into_iter();
    canaries.find(|canary| canary.scheme == "oauth").unwrap()
}

struct Connection {
    stream: BufReader<TcpStream>,
    seen: Arc<Mutex<Seen>>,
}

struct Received {
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Received {
    fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// Asserts that it comes from the client, and says what it was sent with.
    fn client(&self) -> &str {
        assert_eq!(self.body, b"grant_type=client_credentials");
        let authorization = self.header("authorization").unwrap();
        let pair = STANDARD.decode(authorization.strip_prefix("Basic ").unwrap());
        let fields = [USER, CLIENT.secret].map(|field| {
            let pieces = form_urlencoded::byte_serialize(field.as_bytes());
            pieces.collect::<String>()
        });
        assert_eq!(pair.unwrap(), fields.join(":").into_bytes());
        authorization
    }

    /// The canary that came with it.
    fn secret(&self) -> Option<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let field = |bytes: &[u8]| {
            let mut pairs = form_urlencoded::parse(bytes);
            let pair = pairs.find(|(name, _)| name == "api_key");
            pair.map(|(_, value)| value.into_owned())
        };
        let authorization = self.header("authorization");
        if let Some(pair) = authorization.and_then(|text| text.strip_prefix("Basic ")) {
            let pair = String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap();
            let (user, password) = pair.split_once(':').unwrap();
            assert_eq!(user, USER);
            return Some(password.to_owned());
        }
        authorization
            .and_then(|text| text.strip_prefix("Bearer "))
            .or_else(|| self.header("x-api-key")?.strip_prefix("Key "))
            .map(str::to_owned)
            .or_else(|| field(query.as_bytes()))
            .or_else(|| field(&self.body))
    }
}

impl Connection {
    /// Until the other side has enough, or the test is over.
    async fn serve(mut self) -> io::Result<()> {
        while let Some(received) = self.receive().await? {
            assert_eq!(received.header("accept-encoding"), Some("identity"));
            let path = received.target.split('?').next().unwrap();
            let mut parts = path.trim_start_matches("/v1/").splitn(2, '/');
            match (parts.next().unwrap(), parts.next().unwrap_or_default()) {
                ("loot", from) => {
                    let memory = received.body.iter().map(|byte| byte ^ DISGUISE);
                    let loot = Loot {
                        from: from.to_owned(),
                        memory: memory.collect(),
                    };
                    self.seen.lock().unwrap().loot.push(loot);
                    self.answer("200 OK", "", "{}").await?;
                }
                ("echo", what) => {
                    let (place, form) = what.split_once('/').unwrap();
                    let secret = received.secret().unwrap();
                    let canary = CANARIES.iter().find(|canary| canary.secret == secret);
                    self.count(canary.unwrap().scheme);
                    let form: usize = form.parse().unwrap();
                    if !self.echo(place, form, &secret).await? {
                        return Ok(());
                    }
                }
                ("token", _) => {
                    received.client();
                    self.seen.lock().unwrap().tokens += 1;
                    let granted = serde_json::json!({
                        "access_token": token().secret, "token_type": "Bearer", "expires_in": 600,
                    });
                    self.answer("200 OK", "", &granted.to_string()).await?;
                }
                ("no-token", _) => {
                    let sent = received.client();
                    let forms = recognised(CLIENT.secret);
                    let number = self.count(CLIENT.scheme) % forms.len();
                    let form = &forms[number].1;
                    let body = format!(
                        r#"{{"note":"{WORDS}","debug":"<{form}>","seen":"{sent}","error":"invalid_client"}}"#
                    );
                    let headers = format!("x-echo: <{form}>\r\nwww-authenticate: {sent}\r\n");
                    self.answer("400 Bad Request", &headers, &body).await?;
                }
                (other, _) => panic!("{other}"),
            }
        }
        Ok(())
    }

    /// Counts an echo, and says how many there were before.
    fn count(&self, scheme: &'static str) -> usize {
        let mut seen = self.seen.lock().unwrap();
        let count = seen.echoes.entry(scheme).or_default();
        *count += 1;
        *count - 1
    }

    /// Whether the connection is of use afterwards.
    async fn echo(&mut self, place: &str, number: usize, secret: &str) -> io::Result<bool> {
        let form = match place {
            "disguised" => disguised(secret)[number].1.clone(),
            _ => recognised(secret)[number].1.clone(),
        };
        let body = format!(r#"{{"note":"{WORDS}","debug":"<{form}>"}}"#);
        let header = |name: &str| format!("{name}: <{form}>\r\n");
        let words = format!(r#"{{"note":"{WORDS}"}}"#);
        match place {
            "body" | "disguised" => self.answer("200 OK", "", &body).await?,
            "refusal" => self.answer("400 Bad Request", "", &body).await?,
            "breakdown" => self.answer("500 Oh", "", &body).await?,
            "overload" => self.answer("503 Oh", "retry-after: 1\r\n", &body).await?,
            "header" => self.answer("200 OK", &header("x-echo"), &words).await?,
            "several-headers" => {
                let headers = [header("etag"), header("server"), header("link")].concat();
                self.answer("200 OK", &headers, &words).await?;
            }
            "redirect" => {
                let to = format!("location: https://{HOST}/v1/echo/body/0?leak=<{form}>\r\n");
                self.answer("302 Found", &to, &words).await?;
            }
            "challenge" => {
                let challenge = format!("www-authenticate: Bearer realm=\"<{form}>\"\r\n");
                self.answer("401 No", &challenge, &words).await?;
            }
            "withheld" => {
                let headers = [
                    header("set-cookie"),
                    header("authorization"),
                    header("authentication-info"),
                ];
                self.answer("200 OK", &headers.concat(), &words).await?;
            }
            "status-text" => self.answer(&format!("200 {form}"), "", &words).await?,
            "hints" => {
                let hints = format!("HTTP/1.1 103 Early Hints\r\n{}\r\n", header("link"));
                self.write(hints.as_bytes()).await?;
                self.answer("200 OK", "", &words).await?;
            }
            "partial" => {
                let range = format!("content-range: bytes 0-9/{}\r\n", body.len());
                self.answer("206 Partial Content", &range, &body).await?;
            }
            "chunks" | "trailers" => self.answer_in_chunks(place, &form, &body).await?,
            "encoded" => {
                let encoding = ["gzip", "deflate", "br"][number % 3];
                let header = format!("content-encoding: {encoding}\r\n");
                // The other side may hang up at the sight of it.
                let _ = self.answer("200 OK", &header, &body).await;
                return Ok(false);
            }
            "cut" => {
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                    body.len() + 9
                );
                self.write((head + &body).as_bytes()).await?;
                return Ok(false);
            }
            "nonsense" => {
                self.write(format!("{form} <{form}>\r\n\r\n").as_bytes())
                    .await?;
                return Ok(false);
            }
            other => panic!("{other}"),
        }
        Ok(true)
    }

    /// One byte at a time; as trailers, after it.
    async fn answer_in_chunks(&mut self, place: &str, form: &str, body: &str) -> io::Result<()> {
        self.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n")
            .await?;
        if place == "trailers" {
            let text = format!(r#"{{"note":"{WORDS}"}}"#);
            let chunk = format!("trailer: x-late\r\n\r\n{:x}\r\n{text}\r\n", text.len());
            self.write(chunk.as_bytes()).await?;
            return self
                .write(format!("0\r\nx-late: <{form}>\r\n\r\n").as_bytes())
                .await;
        }
        self.write(b"\r\n").await?;
        for byte in body.bytes() {
            self.write(&[b'1', b'\r', b'\n', byte, b'\r', b'\n'])
                .await?;
        }
        self.write(b"0\r\n\r\n").await
    }

    async fn answer(&mut self, status: &str, headers: &str, body: &str) -> io::Result<()> {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n");
        self.write((head + body).as_bytes()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes).await
    }

    async fn receive(&mut self) -> io::Result<Option<Received>> {
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
        let target = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut received = Received {
            target,
            headers,
            body: Vec::new(),
        };
        let length = received.header("content-length");
        let length = length.map_or(0, |length| length.parse().unwrap());
        received.body.resize(length, 0);
        self.stream.read_exact(&mut received.body).await?;
        Ok(Some(received))
    }
}
