//! Ways around the outbound rules, tried by a real guest: each is refused with its own reason, and
//! nobody hears of it.

use std::sync::{Arc, Mutex};

use onerouter_egress::{Egress, EgressConfig, Resolve, Resolving, Upstreams};
use onerouter_engine::{Adapter, CallContext, Denial, Engine, LogSource, NotSent, Outcome};
use onerouter_manifest::OutboundRule;
use tokio::time::Instant;

use crate::host::{config, connection, fixture, request};
use crate::packing::repacked;
use crate::provider::{Provider, Reply};

/// Where a good request goes.
const GOOD: &str = "https://api.saboteur.example/v1/messages";

/// One attempt, and the reason for which it is refused.
struct Attempt {
    method: &'static str,
    auth: &'static str,
    url: String,
    body: (&'static str, String),
    headers: Vec<(String, String)>,
    reason: Denial,
}

impl Attempt {
    fn to(url: impl Into<String>, reason: Denial) -> Self {
        Self {
            method: "POST",
            auth: "token",
            url: url.into(),
            body: ("json", "{}".to_owned()),
            headers: Vec::new(),
            reason,
        }
    }

    fn header(name: &str, value: &str, reason: Denial) -> Self {
        Self {
            headers: vec![(name.to_owned(), value.to_owned())],
            ..Self::to(GOOD, reason)
        }
    }

    fn text(&self) -> String {
        let mut fields = vec![
            "request ",
            self.method,
            self.auth,
            &self.url,
            self.body.0,
            &self.body.1,
        ];
        for (name, value) in &self.headers {
            fields.extend([name.as_str(), value.as_str()]);
        }
        fields.join("\u{1f}")
    }
}

/// URLs, by what they try. The manifest allows `/v1/messages`, `/v1/ping` and `/v1/search` of
/// `api.saboteur.example`, and `/` of one label before `.files.saboteur.example` on port 8443.
fn urls() -> Vec<Attempt> {
    let api = |rest: &str| format!("https://api.saboteur.example{rest}");
    let table = [
        // A user name, or what looks like one.
        (
            "https://user@api.saboteur.example/v1/messages",
            Denial::UrlUserInfo,
        ),
        (
            "https://user:password@api.saboteur.example/v1/messages",
            Denial::UrlUserInfo,
        ),
        (
            "https://@api.saboteur.example/v1/messages",
            Denial::UrlUserInfo,
        ),
        (
            "https://api.saboteur.example@evil.example/v1/messages",
            Denial::UrlUserInfo,
        ),
        (
            "https://api.saboteur.example:443@evil.example/v1/messages",
            Denial::UrlUserInfo,
        ),
        (
            "https://api.saboteur.example%40evil.example/v1/messages",
            Denial::HostCharacters,
        ),
        (
            "https://evil.example\\@api.saboteur.example/v1/messages",
            Denial::UrlCharacters,
        ),
        // Another spelling of the host.
        (
            "https://API.saboteur.example/v1/messages",
            Denial::HostCharacters,
        ),
        (
            "https://api.Saboteur.example/v1/messages",
            Denial::HostCharacters,
        ),
        (
            "https://api.saboteur.example./v1/messages",
            Denial::HostTrailingDot,
        ),
        (
            "https://api.saboteur.example.:443/v1/messages",
            Denial::HostTrailingDot,
        ),
        (
            "https://api..saboteur.example/v1/messages",
            Denial::UrlSyntax,
        ),
        (
            "https://%61pi.saboteur.example/v1/messages",
            Denial::HostCharacters,
        ),
        (
            "https://api%2esaboteur.example/v1/messages",
            Denial::HostCharacters,
        ),
        (
            "https://api.saboteur.example%00.evil.example/v1/messages",
            Denial::HostCharacters,
        ),
        (
            "https://api.saboteur.example,evil.example/v1/messages",
            Denial::HostCharacters,
        ),
        (
            "https://api.saboteur.example;evil.example/v1/messages",
            Denial::HostCharacters,
        ),
        (
            "https://api_saboteur.example/v1/messages",
            Denial::HostCharacters,
        ),
        ("https:///v1/messages", Denial::UrlSyntax),
        // International names.
        (
            "https://\u{430}pi.saboteur.example/v1/messages",
            Denial::UrlCharacters,
        ),
        (
            "https://api\u{3002}saboteur.example/v1/messages",
            Denial::UrlCharacters,
        ),
        (
            "https://\u{ff41}pi.saboteur.example/v1/messages",
            Denial::UrlCharacters,
        ),
        (
            "https://api.sabote\u{ad}ur.example/v1/messages",
            Denial::UrlCharacters,
        ),
        (
            "https://xn--pi-6kc.saboteur.example/v1/messages",
            Denial::RuleHost,
        ),
        (
            "https://xn--pi-6kc.files.saboteur.example:8443/a",
            Denial::RuleHost,
        ),
        (
            "https://xn--a.saboteur.example/v1/messages",
            Denial::UrlSyntax,
        ),
        // Another scheme, or none.
        ("http://api.saboteur.example/v1/messages", Denial::UrlScheme),
        (
            "HTTPS://api.saboteur.example/v1/messages",
            Denial::UrlScheme,
        ),
        ("https:/api.saboteur.example/v1/messages", Denial::UrlScheme),
        ("https:api.saboteur.example/v1/messages", Denial::UrlScheme),
        ("//api.saboteur.example/v1/messages", Denial::UrlScheme),
        ("/v1/messages", Denial::UrlScheme),
        ("file:///etc/passwd", Denial::UrlScheme),
        ("ftp://api.saboteur.example/v1/messages", Denial::UrlScheme),
        ("data:text/plain,a", Denial::UrlScheme),
        (
            "https:\\\\api.saboteur.example/v1/messages",
            Denial::UrlCharacters,
        ),
        // Ports.
        (
            "https://api.saboteur.example:80/v1/messages",
            Denial::RulePort,
        ),
        (
            "https://api.saboteur.example:8443/v1/messages",
            Denial::RulePort,
        ),
        (
            "https://api.saboteur.example:443/v1/messages",
            Denial::UrlNotNormal,
        ),
        (
            "https://api.saboteur.example:0443/v1/messages",
            Denial::UrlNotNormal,
        ),
        (
            "https://api.saboteur.example:/v1/messages",
            Denial::UrlNotNormal,
        ),
        (
            "https://api.saboteur.example:65979/v1/messages",
            Denial::UrlSyntax,
        ),
        (
            "https://api.saboteur.example:-1/v1/messages",
            Denial::UrlSyntax,
        ),
        (
            "https://api.saboteur.example:80:443/v1/messages",
            Denial::UrlSyntax,
        ),
        (
            "https://api.saboteur.example:evil.example/v1/messages",
            Denial::UrlSyntax,
        ),
        // Addresses in every notation.
        ("https://127.0.0.1/v1/messages", Denial::HostAddress),
        ("https://127.1/v1/messages", Denial::HostAddress),
        ("https://127.0.1/v1/messages", Denial::HostAddress),
        ("https://2130706433/v1/messages", Denial::HostAddress),
        ("https://0x7f000001/v1/messages", Denial::HostAddress),
        ("https://0x7f.0.0.1/v1/messages", Denial::HostAddress),
        ("https://0177.0.0.1/v1/messages", Denial::HostAddress),
        ("https://017700000001/v1/messages", Denial::HostAddress),
        ("https://0/v1/messages", Denial::HostAddress),
        ("https://127.0.0.1./v1/messages", Denial::HostTrailingDot),
        ("https://127.0.0.256/v1/messages", Denial::UrlSyntax),
        ("https://[::1]/v1/messages", Denial::HostAddress),
        ("https://[::]/v1/messages", Denial::HostAddress),
        (
            "https://[::ffff:127.0.0.1]/v1/messages",
            Denial::HostAddress,
        ),
        ("https://[::ffff:7f00:1]/v1/messages", Denial::HostAddress),
        ("https://[::127.0.0.1]/v1/messages", Denial::HostAddress),
        (
            "https://[64:ff9b::127.0.0.1]/v1/messages",
            Denial::HostAddress,
        ),
        ("https://[fe80::1%25eth0]/v1/messages", Denial::HostAddress),
        (
            "https://[fd00:ec2::254]/latest/meta-data/",
            Denial::HostAddress,
        ),
        (
            "https://169.254.169.254/latest/meta-data/",
            Denial::HostAddress,
        ),
        ("https://10.0.0.1/v1/messages", Denial::HostAddress),
        ("https://192.168.0.1/v1/messages", Denial::HostAddress),
        (
            "https://100.100.100.200/latest/meta-data/",
            Denial::HostAddress,
        ),
        ("https://8.8.8.8/v1/messages", Denial::HostAddress),
        (
            "https://\u{2460}27.0.0.1/v1/messages",
            Denial::UrlCharacters,
        ),
        // Other names of this machine, and of its neighbours.
        ("https://localhost/v1/messages", Denial::RuleHost),
        (
            "https://localhost.localdomain/v1/messages",
            Denial::RuleHost,
        ),
        ("https://ip6-localhost/v1/messages", Denial::RuleHost),
        ("https://api.localhost/v1/messages", Denial::RuleHost),
        (
            "https://127-0-0-1.rebind.example/v1/messages",
            Denial::RuleHost,
        ),
        (
            "https://metadata.internal/computeMetadata/v1/",
            Denial::RuleHost,
        ),
        // Neighbours of the names that are allowed.
        ("https://saboteur.example/v1/messages", Denial::RuleHost),
        (
            "https://evil-api.saboteur.example/v1/messages",
            Denial::RuleHost,
        ),
        (
            "https://eu.api.saboteur.example/v1/messages",
            Denial::RuleHost,
        ),
        (
            "https://api.saboteur.example.evil.example/v1/messages",
            Denial::RuleHost,
        ),
        ("https://files.saboteur.example:8443/a", Denial::RuleHost),
        (
            "https://a.b.files.saboteur.example:8443/a",
            Denial::RuleHost,
        ),
        (
            "https://evil-files.saboteur.example:8443/a",
            Denial::RuleHost,
        ),
        (
            "https://eu.files.saboteur.example.evil.example:8443/a",
            Denial::RuleHost,
        ),
        (
            "https://*.files.saboteur.example:8443/a",
            Denial::HostCharacters,
        ),
        ("https://eu.files.saboteur.example/a", Denial::RulePort),
    ];
    let paths = [
        // Paths that mean another one.
        ("/v1/messages/../admin", Denial::PathDotSegment),
        ("/v1/messages/./admin", Denial::PathDotSegment),
        ("/v1/messages/..", Denial::PathDotSegment),
        ("/v1/messages/..;/admin", Denial::PathDotSegment),
        ("/v1/messages/..;a=b/admin", Denial::PathDotSegment),
        ("/v1/messages/%2e%2e/admin", Denial::PathEncoding),
        ("/v1/messages/.%2E/admin", Denial::PathEncoding),
        ("/v1/messages/%252e%252e/admin", Denial::PathEncoding),
        ("/v1/messages/..%2fadmin", Denial::PathEncoding),
        ("/v1/messages/..%5cadmin", Denial::PathEncoding),
        ("/v1/messages/%c0%ae%c0%ae/admin", Denial::PathEncoding),
        ("/v1/messages/%u002e%u002e/admin", Denial::PathEncoding),
        ("/v1/messages/%00", Denial::PathEncoding),
        ("/v1/messages/%", Denial::PathEncoding),
        ("/%76%31/messages", Denial::PathEncoding),
        ("/v1/messages\\..\\admin", Denial::UrlCharacters),
        ("/v1//messages", Denial::PathEmptySegment),
        ("//v1/messages", Denial::PathEmptySegment),
        ("/V1/messages", Denial::RulePath),
        ("/v1/messages-all", Denial::RulePath),
        ("/v1/messages;a/b", Denial::RulePath),
        ("/v1/admin", Denial::RulePath),
        ("/", Denial::RulePath),
        ("/v1/messages#@evil.example/", Denial::UrlFragment),
        ("#@evil.example/v1/messages", Denial::UrlFragment),
        // A request inside the request, and targets that only a proxy understands.
        (
            "/v1/messages HTTP/1.1\r\nHost: evil.example\r\n\r\nGET /",
            Denial::UrlCharacters,
        ),
        ("/v1/messages\r\nX-Admin: yes", Denial::UrlCharacters),
        ("/v1/messages\tHTTP/1.0", Denial::UrlCharacters),
        ("/v1/messages/%0d%0aHost:evil.example", Denial::PathEncoding),
        (
            "/https://evil.example/v1/messages",
            Denial::PathEmptySegment,
        ),
        ("/v1/messages/http:%2f%2fevil.example", Denial::PathEncoding),
        ("", Denial::UrlNotNormal),
        (":443", Denial::UrlNotNormal),
        ("*", Denial::HostCharacters),
        ("?to=evil.example", Denial::UrlNotNormal),
        // Parameters that change the method.
        ("/v1/messages?_method=DELETE", Denial::QueryOverride),
        ("/v1/messages?a=b&_METHOD=DELETE", Denial::QueryOverride),
        ("/v1/messages?%5fmethod=DELETE", Denial::QueryOverride),
        (
            "/v1/messages?x-http-method-override=DELETE",
            Denial::QueryOverride,
        ),
    ];
    let urls = table.map(|(url, reason)| Attempt::to(url, reason));
    let paths = paths.map(|(path, reason)| Attempt::to(api(path), reason));
    let odd = [
        Attempt::to("api.saboteur.example:443", Denial::UrlScheme),
        Attempt::to("*", Denial::UrlScheme),
        Attempt::to("", Denial::UrlScheme),
        Attempt::to(format!("{GOOD}/{}", "a".repeat(8_192)), Denial::UrlLength),
    ];
    urls.into_iter().chain(paths).chain(odd).collect()
}

/// Headers, by what they try.
fn headers() -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for name in [
        "Accept-Charset",
        "accept-charset",
        "Accept_Charset",
        "Accept-Encoding",
        "Authorization",
        "Connection",
        "Content-Encoding",
        "Content-Length",
        "Content_Length",
        "Cookie",
        "Early-Data",
        "Expect",
        "Forwarded",
        "Host",
        "HOST",
        "HTTP2-Settings",
        "If-Range",
        "Keep-Alive",
        "Max-Forwards",
        "Origin",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Range",
        "Sec-Fetch-Site",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Transfer_Encoding",
        "Upgrade",
        "Via",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Real-IP",
    ] {
        attempts.push(Attempt::header(name, "a", Denial::HeaderReserved));
    }
    for name in [
        "X-HTTP-Method-Override",
        "x_http_method_override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Original-Host",
        "X-Host",
    ] {
        attempts.push(Attempt::header(name, "DELETE", Denial::HeaderOverride));
    }
    for value in [
        "1\r\nX-Admin: yes",
        "1\nX-Admin: yes",
        "1\rX-Admin: yes",
        "1\r\n\r\nGET /v1/admin HTTP/1.1\r\nHost: api.saboteur.example\r\n\r\n",
        "1\u{0}",
        "1\u{e9}",
        "1\u{10d}\u{10a}X-Admin: yes",
        "\u{7f}",
    ] {
        attempts.push(Attempt::header("X-Trace", value, Denial::HeaderValue));
    }
    for name in [
        "X-Trace\r\nX-Admin",
        "X-Trace: 1\r\nX-Admin",
        "X Trace",
        "X-Trace:",
        "",
        "X-Tr\u{e4}ce",
    ] {
        attempts.push(Attempt::header(name, "1", Denial::HeaderName));
    }
    attempts.push(Attempt::header(
        "Content-Type",
        "application/x-www-form-urlencoded",
        Denial::HeaderContentType,
    ));
    attempts.push(Attempt::header(
        "X-Long",
        &"a".repeat(16 << 10),
        Denial::HeaderSize,
    ));
    let many = (0..33).map(|number| (format!("x-{number}"), "1".to_owned()));
    attempts.push(Attempt {
        headers: many.collect(),
        ..Attempt::to(GOOD, Denial::HeaderCount)
    });
    for name in ["X-Api-Key", "x_api_key"] {
        attempts.push(Attempt {
            auth: "header",
            ..Attempt::header(name, "of-its-own", Denial::HeaderSetByAuth)
        });
    }
    attempts
}

/// Methods, credentials and bodies.
fn others() -> Vec<Attempt> {
    let to = |reason| Attempt::to(GOOD, reason);
    let form = |name: &str| ("form", name.to_owned());
    let content_type = |value: &str| vec![("Content-Type".to_owned(), value.to_owned())];
    let ping = GOOD.replace("messages", "ping");
    let part = "--b\r\ncontent-disposition: form-data; name=\"_method\"\r\n\r\nDELETE\r\n--b--";
    let mut attempts = vec![
        Attempt {
            auth: "nobody",
            ..to(Denial::AuthUnknown)
        },
        Attempt {
            auth: "TOKEN",
            ..to(Denial::AuthUnknown)
        },
        Attempt {
            auth: "query",
            method: "GET",
            ..Attempt::to(&ping, Denial::AuthNotHere)
        },
        Attempt {
            auth: "query",
            ..Attempt::to(format!("{GOOD}?api_key=1"), Denial::QueryReserved)
        },
        Attempt {
            auth: "query",
            ..Attempt::to(format!("{GOOD}?API%5FKEY=1"), Denial::QueryReserved)
        },
        Attempt {
            auth: "form",
            body: form("api_key"),
            ..to(Denial::BodyReserved)
        },
        Attempt {
            auth: "form",
            body: form("Api_Key"),
            ..to(Denial::BodyReserved)
        },
        Attempt {
            auth: "form",
            ..to(Denial::BodyNoForm)
        },
        Attempt {
            body: form("_method"),
            ..to(Denial::BodyOverride)
        },
        Attempt {
            body: form("X-HTTP-Method-Override"),
            ..to(Denial::BodyOverride)
        },
        Attempt {
            body: ("bytes", part.to_owned()),
            headers: content_type("multipart/form-data; boundary=b"),
            ..to(Denial::BodyOverride)
        },
        Attempt {
            body: ("bytes", "_method=DELETE".to_owned()),
            headers: content_type("application/x-www-form-urlencoded"),
            ..to(Denial::BodyForm)
        },
        Attempt {
            body: ("bytes", "{}".to_owned()),
            headers: [content_type("text/plain"), content_type("text/html")].concat(),
            ..to(Denial::HeaderContentType)
        },
        Attempt {
            method: "GET",
            ..to(Denial::BodyNotAllowed)
        },
    ];
    for method in ["PUT", "PATCH", "DELETE", "HEAD"] {
        attempts.push(Attempt {
            method,
            ..to(Denial::RuleMethod)
        });
    }
    attempts.push(Attempt::to(ping, Denial::RuleMethod));
    attempts
}

/// Every name leads to this machine, and whoever asks is remembered.
#[derive(Debug, Default)]
struct Loopback {
    asked: Mutex<Vec<String>>,
}

impl Resolve for Loopback {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        self.asked.lock().unwrap().push(host.to_owned());
        Box::pin(async { Ok(vec!["127.0.0.1".parse().unwrap()]) })
    }
}

struct Range {
    provider: Provider,
    resolver: Arc<Loopback>,
    adapter: Arc<Adapter>,
}

impl Range {
    async fn new() -> Self {
        let provider = Provider::start(|_| Reply::created()).await;
        let mut upstreams = Upstreams::default();
        let base = format!("http://{}", provider.address);
        for host in [
            "api.saboteur.example",
            "eu.files.saboteur.example",
            "evil.example",
            "localhost",
        ] {
            upstreams.set(host, &base).unwrap();
        }
        let resolver = Arc::new(Loopback::default());
        let egress = EgressConfig {
            upstreams,
            ..EgressConfig::default()
        };
        let egress = Egress::with_resolver(egress, resolver.clone()).unwrap();
        let engine = Engine::new(config(), Arc::new(egress)).unwrap();
        let component = repacked(&fixture("saboteur"), |manifest| {
            manifest.outbound.push(OutboundRule {
                scheme: "https".to_owned(),
                host: "*.files.saboteur.example".to_owned(),
                port: 8_443,
                path_prefix: "/".to_owned(),
                methods: vec!["POST".to_owned()],
                auth: vec!["token".to_owned()],
                environments: Vec::new(),
                reads: false,
            });
        });
        Self {
            provider,
            resolver,
            adapter: engine.load(component).await.unwrap(),
        }
    }

    /// The code that the guest was told, after a check that the operator was told the same.
    async fn refusal(&self, attempt: &Attempt) -> String {
        let context = CallContext {
            connection: connection(),
            deadline: Instant::now() + std::time::Duration::from_secs(20),
        };
        let report = self
            .adapter
            .sms_send(&context, &request(&attempt.text()))
            .await;
        assert!(
            report.ledger.is_empty(),
            "{}: {:?}",
            attempt.url,
            report.ledger
        );
        let Outcome::NotSent(NotSent::Fault(fault)) = report.outcome else {
            return format!("{:?}", report.outcome);
        };
        let code = fault.detail.split(':').next().unwrap().to_owned();
        let remark = format!("a request was refused: {}", attempt.reason);
        let told = report
            .logs
            .iter()
            .any(|line| line.source == LogSource::Host && line.message == remark);
        if told {
            code
        } else {
            format!("{code}, and the operator was told {:?}", report.logs)
        }
    }
}

#[tokio::test]
async fn every_way_around_the_rules_is_refused_with_its_reason() {
    let range = Range::new().await;
    let mut wrong = Vec::new();
    let mut count = 0;
    for attempt in urls().into_iter().chain(headers()).chain(others()) {
        count += 1;
        let told = range.refusal(&attempt).await;
        if told != attempt.reason.code() {
            wrong.push((attempt.text(), attempt.reason.code(), told));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(count, urls().len() + headers().len() + others().len());
    assert!(count >= 200, "{count}");
    // Nobody was asked for a name, and nobody was spoken to.
    assert!(range.resolver.asked.lock().unwrap().is_empty());
    assert!(range.provider.received().is_empty());
    assert_eq!(range.provider.connections(), 0);
}

/// Else the table above would prove nothing.
#[tokio::test]
async fn a_good_request_is_sent_in_the_same_way() {
    let range = Range::new().await;
    for url in [GOOD, "https://eu.files.saboteur.example:8443/a"] {
        let context = CallContext {
            connection: connection(),
            deadline: Instant::now() + std::time::Duration::from_secs(20),
        };
        let text = Attempt::to(url, Denial::RuleHost).text();
        let report = range.adapter.sms_send(&context, &request(&text)).await;
        assert!(
            report.ledger[0].answer.is_some(),
            "{url}: {:?}",
            report.outcome
        );
    }
    assert_eq!(range.provider.received().len(), 2);
}

/// A reason that no attempt ends in is one that nobody has tried to break.
#[test]
fn every_reason_is_tried() {
    let tried: Vec<_> = urls()
        .into_iter()
        .chain(headers())
        .chain(others())
        .map(|attempt| attempt.reason)
        .collect();
    let untried: Vec<_> = Denial::ALL
        .iter()
        .filter(|reason| !tried.contains(reason))
        .collect();
    // Of the connection's environment, of its tokens and credentials, of a body of 32 MiB, of the answer's
    // headers, and of the key that an operation promises: each has its own test.
    assert_eq!(
        untried,
        [
            &Denial::RuleEnvironment,
            &Denial::TokenEndpoint,
            &Denial::CredentialMissing,
            &Denial::CredentialUnfit,
            &Denial::HeaderKey,
            &Denial::BodySize,
            &Denial::WantCount,
            &Denial::WantName,
        ]
    );
}
