//! The client against small servers on loopback that speak raw bytes.
//!
//! `tls/` holds a certificate for `localhost` and 127.0.0.1, its key, and the authority that signed
//! it; they are good for nothing but these tests.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use onerouter_egress::{
    Addresses, Answer, Egress, EgressConfig, Interruption, Origin, OutboundRequest, Resolve,
    Resolving, SendError, Unreachable, Upstreams, Written,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

const HOST: &str = "api.example.com";

/// A server that treats each connection as the test says, counting them.
struct Server {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "the task ends with the test")]
    async fn start<F, R>(serve: F) -> Self
    where
        F: Fn(usize, TcpStream) -> R + Send + 'static,
        R: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(number, stream));
            }
        });
        Self {
            address,
            accepted,
            task,
        }
    }

    /// Answers every request of every connection with the same bytes.
    async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::start(move |_, mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                while read_request(&mut stream).await?.is_some() {
                    stream.write_all(&answer).await?;
                }
                Ok(())
            }
        })
        .await
    }

    /// Answers the first request of each connection with these bytes and closes.
    async fn closing_after(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::start(move |_, mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                read_request(&mut stream).await?;
                stream.write_all(&answer).await
            }
        })
        .await
    }

    fn egress(&self) -> Egress {
        egress(&format!("http://{}", self.address))
    }

    fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

fn egress(base: &str) -> Egress {
    let mut upstreams = Upstreams::default();
    upstreams.set(HOST, base).unwrap();
    let extra_roots = vec![CertificateDer::from_pem_slice(include_bytes!("tls/ca.pem")).unwrap()];
    Egress::new(EgressConfig {
        upstreams,
        extra_roots,
        ..EgressConfig::default()
    })
    .unwrap()
}

/// Head and body of one request; none at the end of the connection.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<String>> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(head + std::str::from_utf8(&body).unwrap()))
}

fn request(method: Method, body: &'static str) -> OutboundRequest {
    OutboundRequest {
        method,
        origin: Origin::https(HOST),
        target: "/v1/things?a=b".parse().unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(body.as_bytes()),
        answer_bytes_max: 1_000,
        written: Written::default(),
    }
}

fn post() -> OutboundRequest {
    request(Method::POST, "{}")
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

async fn send(egress: &Egress, request: OutboundRequest) -> Result<Answer, SendError> {
    egress.send(request, soon()).await
}

fn interrupted(why: Interruption) -> SendError {
    SendError::Interrupted { written: true, why }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_request_carries_the_providers_host_and_refuses_compression() {
    let (seen, mut requests) = mpsc::channel(1);
    let server = Server::start(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            let text = read_request(&mut stream).await?.unwrap();
            seen.send(text).await.unwrap();
            stream.write_all(OK.as_bytes()).await
        }
    })
    .await;
    let egress = egress(&format!("http://{}/sandbox/", server.address));
    let mut request = post();
    request
        .headers
        .insert("host", "inside.example".parse().unwrap());
    request
        .headers
        .insert("accept-encoding", "gzip".parse().unwrap());
    request.headers.insert("x-own", "yes".parse().unwrap());

    let answer = send(&egress, request).await.unwrap();

    assert_eq!(
        (answer.status.as_u16(), &answer.body[..]),
        (200, &b"ok"[..])
    );
    let text = requests.recv().await.unwrap();
    assert!(
        text.starts_with("POST /sandbox/v1/things?a=b HTTP/1.1\r\n"),
        "{text}"
    );
    assert!(text.contains("host: api.example.com\r\n"), "{text}");
    assert!(text.contains("accept-encoding: identity\r\n"), "{text}");
    assert!(text.contains("x-own: yes\r\n"), "{text}");
    assert!(text.contains("user-agent: onerouter/"), "{text}");
    assert!(
        !text.contains("inside.example") && !text.contains("gzip"),
        "{text}"
    );
    assert!(text.ends_with("\r\n\r\n{}"), "{text}");
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::answering(OK).await;
    let egress = server.egress();
    for _ in 0..5 {
        send(&egress, post()).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(egress.idle_connections(), 1);
}

#[tokio::test]
async fn each_request_is_counted_for_itself() {
    let server = Server::answering(OK).await;
    let egress = server.egress();
    let first = post();
    let first_written = first.written.clone();
    let second = post();
    let second_written = second.written.clone();
    send(&egress, first).await.unwrap();
    let bytes = first_written.bytes();
    assert!(bytes > 0 && !second_written.any());
    send(&egress, second).await.unwrap();
    assert_eq!(
        (first_written.bytes(), second_written.bytes()),
        (bytes, bytes)
    );
}

#[tokio::test]
async fn an_idle_connection_that_died_is_replaced_and_nothing_is_lost() {
    let (closed, mut closes) = mpsc::channel(8);
    let server = Server::start(move |_, mut stream| {
        let closed = closed.clone();
        async move {
            read_request(&mut stream).await?;
            stream.write_all(OK.as_bytes()).await?;
            drop(stream);
            closed.send(()).await.unwrap();
            Ok(())
        }
    })
    .await;
    let egress = server.egress();
    for _ in 0..3 {
        send(&egress, post()).await.unwrap();
        closes.recv().await.unwrap();
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_end_a_connection() {
    let poisoned = format!("{OK}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfake");
    let server = Server::answering(poisoned).await;
    let egress = server.egress();
    for _ in 0..2 {
        let answer = send(&egress, post()).await.unwrap();
        assert_eq!(&answer.body[..], b"ok");
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn idle_connections_are_bounded_and_grow_old() {
    let server = Server::answering(OK).await;
    let mut config = EgressConfig::default();
    config
        .upstreams
        .set(HOST, &format!("http://{}", server.address))
        .unwrap();
    config.idle_per_origin = 1;
    let egress = Egress::new(config.clone()).unwrap();
    let (a, b) = tokio::join!(send(&egress, post()), send(&egress, post()));
    a.and(b).unwrap();
    assert_eq!(egress.idle_connections(), 1);

    config.idle_timeout = Duration::ZERO;
    let egress = Egress::new(config).unwrap();
    send(&egress, post()).await.unwrap();
    egress.sweep();
    assert_eq!(egress.idle_connections(), 0);
}

#[tokio::test]
async fn a_refused_connection_means_that_nothing_was_written() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let request = post();
    let written = request.written.clone();
    let error = send(&egress(&format!("http://{address}")), request)
        .await
        .unwrap_err();
    assert_eq!(error, SendError::Unreachable(Unreachable::Connect));
    assert!(!error.written() && !written.any());
}

#[tokio::test]
async fn a_deadline_in_the_past_sends_nothing() {
    let server = Server::answering(OK).await;
    let request = post();
    let error = server
        .egress()
        .send(request, Instant::now())
        .await
        .unwrap_err();
    assert_eq!(error, SendError::TimedOut { written: false });
}

#[tokio::test]
async fn a_dropped_future_tells_what_had_left_and_closes_the_connection() {
    let (seen, mut events) = mpsc::channel(2);
    let server = Server::start(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            let request = read_request(&mut stream).await?;
            seen.send(request.is_some()).await.unwrap();
            let end = read_request(&mut stream).await?;
            seen.send(end.is_none()).await.unwrap();
            Ok(())
        }
    })
    .await;
    let egress = server.egress();
    let request = post();
    let written = request.written.clone();
    assert!(!written.any());
    tokio::select! {
        answer = send(&egress, request) => panic!("{answer:?}"),
        seen = events.recv() => assert_eq!(seen, Some(true)),
    }
    assert!(written.any());
    assert_eq!(events.recv().await, Some(true));
    assert_eq!(egress.idle_connections(), 0);
}

#[tokio::test]
async fn a_cut_off_answer_is_an_interruption() {
    for cut in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{\"id\":",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let server = Server::closing_after(cut).await;
        let error = send(&server.egress(), post()).await.unwrap_err();
        assert_eq!(error, interrupted(Interruption::Broken), "{cut:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_an_interruption() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(200));
    let large = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(70_000));
    for answer in [
        "hello\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
        &many,
        &large,
    ] {
        let server = Server::closing_after(answer).await;
        let error = send(&server.egress(), post()).await.unwrap_err();
        assert_eq!(
            error,
            interrupted(Interruption::Malformed),
            "{}",
            answer.get(..20).unwrap_or(answer)
        );
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_a_plain_connection_may_have_been_cut() {
    let server = Server::closing_after("HTTP/1.1 200 OK\r\n\r\n{\"id\":1}").await;
    let error = send(&server.egress(), post()).await.unwrap_err();
    assert_eq!(error, interrupted(Interruption::Unbounded));
}

#[tokio::test]
async fn a_compressed_answer_is_an_interruption() {
    let server = Server::answering(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let error = send(&server.egress(), post()).await.unwrap_err();
    assert_eq!(error, interrupted(Interruption::Encoded));
}

#[tokio::test]
async fn switching_protocols_is_an_interruption() {
    let server = Server::answering(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    )
    .await;
    let error = send(&server.egress(), post()).await.unwrap_err();
    assert!(error.written(), "{error:?}");
    assert!(matches!(error, SendError::Interrupted { .. }), "{error:?}");
}

#[tokio::test]
async fn a_large_answer_is_refused_by_its_length_and_while_it_comes() {
    let endless = async |mut stream: TcpStream| {
        read_request(&mut stream).await?;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await?;
        loop {
            stream.write_all(b"64\r\n").await?;
            stream.write_all(&[b'x'; 100]).await?;
            stream.write_all(b"\r\n").await?;
        }
    };
    let server = Server::start(move |_, stream| endless(stream)).await;
    let error = send(&server.egress(), post()).await.unwrap_err();
    assert_eq!(error, SendError::TooLarge { limit: 1_000 });

    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n").await;
    let error = send(&server.egress(), post()).await.unwrap_err();
    assert_eq!(error, SendError::TooLarge { limit: 1_000 });
    assert!(error.written());

    let body = "x".repeat(1_000);
    let server = Server::answering(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{body}"
    ))
    .await;
    let answer = send(&server.egress(), post()).await.unwrap();
    assert_eq!(answer.body.len(), 1_000);
}

#[tokio::test]
async fn where_the_start_is_enough_an_answer_is_cut_and_never_refused() {
    let long = "x".repeat(5_000);
    for (answer, body, is_kept) in [
        (OK.to_owned(), "ok".to_owned(), true),
        (
            format!("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{long}"),
            "x".repeat(1_000),
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok".to_owned(),
            "ok".to_owned(),
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\nto the end".to_owned(),
            "to the end".to_owned(),
            false,
        ),
        // Cut off.
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart".to_owned(),
            "part".to_owned(),
            false,
        ),
    ] {
        let server = if is_kept {
            Server::answering(answer.clone()).await
        } else {
            Server::closing_after(answer.clone()).await
        };
        let egress = server.egress();
        let found = egress.send_for_start(post(), soon()).await.unwrap();
        assert_eq!(
            (found.status.as_u16(), &found.body[..]),
            (200, body.as_bytes()),
            "{answer}"
        );
        assert_eq!(egress.idle_connections(), usize::from(is_kept), "{answer}");
    }
    let server = Server::closing_after("HTTP/1.1 2").await;
    let error = server
        .egress()
        .send_for_start(post(), soon())
        .await
        .unwrap_err();
    assert_eq!(error, interrupted(Interruption::Broken));
}

#[tokio::test]
async fn where_the_start_is_enough_a_body_that_does_not_end_is_not_waited_for() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await?;
        let start = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart";
        stream.write_all(start).await?;
        // Until the other side closes.
        read_request(&mut stream).await.map(drop)
    })
    .await;
    let egress = server.egress();
    let began = Instant::now();
    let found = egress.send_for_start(post(), soon()).await.unwrap();
    assert_eq!(&found.body[..], b"part");
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(egress.idle_connections(), 0);
}

#[tokio::test]
async fn where_the_operator_allows_it_any_address_is_dialled() {
    let server = Server::answering(OK).await;
    let sent = |addresses| {
        let egress = Egress::new(EgressConfig {
            addresses,
            ..EgressConfig::default()
        })
        .unwrap();
        let mut request = post();
        request.origin = Origin {
            tls: false,
            host: server.address.ip().to_string(),
            port: server.address.port(),
        };
        async move { send(&egress, request).await }
    };
    assert_eq!(sent(Addresses::Any).await.unwrap().status, 200);
    let refused = sent(Addresses::Public).await.unwrap_err();
    assert_eq!(refused, SendError::Unreachable(Unreachable::LiteralAddress));
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let server = Server::answering(
        "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let answer = send(&server.egress(), post()).await.unwrap();
    assert_eq!(answer.status.as_u16(), 302);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn answers_without_a_body_are_complete() {
    let server = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(
        send(&server.egress(), post())
            .await
            .unwrap()
            .status
            .as_u16(),
        204
    );
    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n").await;
    let head = request(Method::HEAD, "");
    assert_eq!(send(&server.egress(), head).await.unwrap().body.len(), 0);
}

#[derive(Debug)]
struct Fixed(Vec<IpAddr>);

impl Resolve for Fixed {
    fn resolve<'a>(&'a self, _host: &'a str) -> Resolving<'a> {
        let answers = self.0.clone();
        Box::pin(async move { Ok(answers) }) as Pin<Box<_>>
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_dialled() {
    // A server stands on the forbidden address and must see nobody.
    let server = Server::answering(OK).await;
    for answers in [
        vec!["127.0.0.1"],
        vec!["::1", "10.0.0.1", "::ffff:127.0.0.1"],
        vec!["169.254.169.254"],
    ] {
        let answers = answers.iter().map(|text| text.parse().unwrap()).collect();
        let egress =
            Egress::with_resolver(EgressConfig::default(), Arc::new(Fixed(answers))).unwrap();
        let mut request = post();
        request.origin.tls = false;
        request.origin.port = server.address.port();
        let error = send(&egress, request).await.unwrap_err();
        assert_eq!(error, SendError::Unreachable(Unreachable::NotPublic));
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_without_addresses_is_unreachable() {
    let egress = Egress::with_resolver(EgressConfig::default(), Arc::new(Fixed(vec![]))).unwrap();
    let error = send(&egress, post()).await.unwrap_err();
    assert_eq!(error, SendError::Unreachable(Unreachable::Name));
}

#[tokio::test]
async fn literal_addresses_are_refused_in_every_notation() {
    let public = Fixed(vec!["1.1.1.1".parse().unwrap()]);
    let egress = Egress::with_resolver(EgressConfig::default(), Arc::new(public)).unwrap();
    for host in [
        "127.0.0.1",
        "8.8.8.8",
        "[::1]",
        "::1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "1.1.1.1.",
    ] {
        let mut request = post();
        host.clone_into(&mut request.origin.host);
        let error = send(&egress, request).await.unwrap_err();
        assert_eq!(
            error,
            SendError::Unreachable(Unreachable::LiteralAddress),
            "{host}"
        );
    }
}

fn acceptor() -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn answer_over_tls(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    while read_request(stream).await?.is_some() {
        stream.write_all(OK.as_bytes()).await?;
        stream.flush().await?;
    }
    Ok(())
}

#[tokio::test]
async fn requests_go_over_tls_and_connections_are_used_again() {
    let server = Server::start(|_, stream| async move {
        answer_over_tls(&mut acceptor().accept(stream).await?).await
    })
    .await;
    let egress = egress(&format!("https://localhost:{}", server.address.port()));
    for _ in 0..3 {
        assert_eq!(&send(&egress, post()).await.unwrap().body[..], b"ok");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_failed_handshake_means_that_nothing_was_written() {
    let server = Server::start(|_, mut stream| async move {
        let mut hello = [0; 64];
        stream.read_exact(&mut hello).await?;
        Ok(())
    })
    .await;
    let request = post();
    let written = request.written.clone();
    let egress = egress(&format!("https://{}", server.address));
    let error = send(&egress, request).await.unwrap_err();
    assert_eq!(error, SendError::Unreachable(Unreachable::Tls));
    assert!(!written.any());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let server = Server::start(|_, stream| async move {
        answer_over_tls(&mut acceptor().accept(stream).await?).await
    })
    .await;
    // 127.0.0.1 stands in the certificate, 127.0.0.2 does not.
    let egress = egress(&format!("https://127.0.0.2:{}", server.address.port()));
    let error = send(&egress, post()).await.unwrap_err();
    assert!(matches!(error, SendError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn over_tls_a_body_may_end_with_the_connection_but_not_be_cut() {
    for (clean, expected) in [(true, true), (false, false)] {
        let server = Server::start(move |_, stream| async move {
            let mut tls = acceptor().accept(stream).await?;
            read_request(&mut tls).await?;
            tls.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").await?;
            tls.flush().await?;
            if clean {
                tls.shutdown().await?;
            }
            Ok(())
        })
        .await;
        let egress = egress(&format!("https://{}", server.address));
        let answer = send(&egress, post()).await;
        assert_eq!(answer.is_ok(), expected, "{answer:?}");
    }
}

#[test]
fn a_request_shows_no_secret() {
    let mut request = post();
    request.target = "/v1?key=hunter22".parse().unwrap();
    request
        .headers
        .insert("authorization", "Bearer hunter22".parse().unwrap());
    request.body = Bytes::from_static(b"password=hunter22");
    let shown = format!("{request:?}");
    assert!(!shown.contains("hunter22"), "{shown}");
}
