//! One server that a command talks to: the gateway, or a program on this machine.
//!
//! The gateway's own outbound client does it. It dials public addresses only, but for hosts that an
//! operator has sent elsewhere, and so is the one that this command was told.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use onerouter_egress::{
    Answer, Egress, EgressConfig, Origin, OutboundRequest, SendError, Upstreams, Written,
};
use tokio::time::Instant;
use url::{Host, Url};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// A hundred events with all that they carry.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A server.
#[derive(Debug)]
pub(super) struct Peer {
    egress: Egress,
    origin: Origin,
    /// What stands before every path; nothing, or `/prefix`.
    base: String,
}

impl Peer {
    /// The server at a URL.
    pub(super) fn at(text: &str) -> anyhow::Result<Self> {
        let url = Url::parse(text).context("it is not a URL")?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        let tls = url.scheme() == "https";
        anyhow::ensure!(
            is_plain && (tls || url.scheme() == "http"),
            "it must be an http or https URL without user and password"
        );
        // What has no name is called as if it had one.
        let name = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => "localhost".to_owned(),
            None => anyhow::bail!("it names no host"),
        };
        let base = &url[..url::Position::BeforePath];
        let mut upstreams = Upstreams::default();
        upstreams.set(&name, base)?;
        let egress = Egress::new(EgressConfig {
            upstreams,
            ..EgressConfig::default()
        })?;
        Ok(Self {
            egress,
            origin: Origin {
                tls,
                host: name,
                port: url.port_or_known_default().unwrap_or(80),
            },
            base: url[url::Position::BeforePath..url::Position::AfterQuery]
                .trim_end_matches('/')
                .to_owned(),
        })
    }

    /// Sends a request to a path below the URL.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let target = format!("{}{path}", self.base);
        let target = if target.is_empty() {
            "/".to_owned()
        } else {
            target
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let mut value =
                HeaderValue::from_str(value).context("a header holds odd characters")?;
            value.set_sensitive(true);
            map.insert(HeaderName::from_static(name), value);
        }
        let request = OutboundRequest {
            method,
            origin: self.origin.clone(),
            target: PathAndQuery::try_from(target).context("the path is not one")?,
            headers: map,
            body,
            answer_bytes_max: ANSWER_BYTES_MAX,
            written: Written::default(),
        };
        let now = Instant::now();
        let deadline = now.checked_add(ANSWER_MAX).unwrap_or(now);
        self.egress
            .send(request, deadline)
            .await
            .map_err(|error: SendError| error.into())
    }
}
