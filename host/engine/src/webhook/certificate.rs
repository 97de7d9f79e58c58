//! Webhooks that are signed with RSA, by a certificate that the request names: fetched from the provider's
//! hosts only, and held against pinned roots.
//!
//! The signature covers the body's CRC-32. Another body with the same checksum is easily made by whoever
//! holds a signed request, so what such a webhook says is never a fact.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use moka::future::Cache;
use onerouter_domain::environment::Environment;
use onerouter_egress::{Origin, OutboundRequest, Written};
use onerouter_manifest::{ConnectionEnvironment, ProviderCheck, WebhookSignature};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;
use url::Url;
use webpki::{EndEntityCert, KeyUsage};

use super::{WebhookRefusal, WebhookRequest, single};
use crate::adapter::Adapter;
use crate::bindings::onerouter::outbound::http as wit;
use crate::connection::CallContext;
use crate::engine::Inner;
use crate::record::CallRecord;
use crate::state::CallState;

/// Deliveries are repeated for days; older ones are replays.
const AGE_MAX: Duration = Duration::from_hours(7 * 24);
const AHEAD_MAX: Duration = Duration::from_mins(5);

/// The one algorithm.
const ALGORITHM: &str = "SHA256withRSA";

/// A chain is a few kilobytes.
const CHAIN_BYTES_MAX: u64 = 64 << 10;
const CHAIN_CERTIFICATES_MAX: usize = 8;

/// Chains that are kept, and for how long: a provider changes its certificate once in months.
const CHAINS_MAX: u64 = 64;
const CHAIN_KEPT_FOR: Duration = Duration::from_hours(12);

/// Requests for chains that are not known, by all who send us addresses of them.
const FETCHES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(30).unwrap();
const FETCHES_PER_MINUTE_OF_ONE: NonZeroU32 = NonZeroU32::new(4).unwrap();
/// Bytes of a certificate's name.
const NAME_BYTES_MAX: usize = 200;
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);

/// Certificates that signatures are checked with.
pub(crate) struct Certificates {
    chains: Cache<String, Arc<Vec<CertificateDer<'static>>>>,
    /// Addresses of chains by which something was signed: they are fetched anew whoever asks for others.
    proven: Cache<String, ()>,
    fetches: DefaultDirectRateLimiter,
    /// The same, by the id of the webhook.
    fetches_of: DefaultKeyedRateLimiter<String>,
    roots: Vec<TrustAnchor<'static>>,
}

impl Certificates {
    /// The public roots that come with the program, and those that the operator adds for tests.
    pub(crate) fn new(added: &[TrustAnchor<'static>]) -> Self {
        Self {
            chains: Cache::builder()
                .max_capacity(CHAINS_MAX)
                .time_to_live(CHAIN_KEPT_FOR)
                .build(),
            proven: Cache::builder().max_capacity(CHAINS_MAX).build(),
            fetches: RateLimiter::direct(Quota::per_minute(FETCHES_PER_MINUTE)),
            fetches_of: RateLimiter::keyed(Quota::per_minute(FETCHES_PER_MINUTE_OF_ONE)),
            roots: webpki_roots::TLS_SERVER_ROOTS
                .iter()
                .chain(added)
                .cloned()
                .collect(),
        }
    }

    async fn chain(
        &self,
        engine: &Inner,
        url: &Url,
        webhook_id: &str,
    ) -> Result<Arc<Vec<CertificateDer<'static>>>, WebhookRefusal> {
        let key = url.as_str().to_owned();
        let is_proven = self.proven.contains_key(&key);
        let fetched = self.chains.try_get_with(key, async {
            if !is_proven && !self.may_fetch(webhook_id) {
                let detail = "too many certificates were asked for".to_owned();
                return Err(WebhookRefusal::Unavailable(detail));
            }
            fetch(engine, url).await.map(Arc::new)
        });
        fetched.await.map_err(|error| WebhookRefusal::clone(&error))
    }

    /// Whoever knows one webhook's address uses up that webhook's share.
    fn may_fetch(&self, webhook_id: &str) -> bool {
        self.fetches_of.retain_recent();
        self.fetches_of.check_key(&webhook_id.to_owned()).is_ok() && self.fetches.check().is_ok()
    }

    async fn prove(&self, url: &Url) {
        if !self.proven.contains_key(url.as_str()) {
            self.proven.insert(url.as_str().to_owned(), ()).await;
        }
    }
}

/// A certificate that may stand at a chain's end.
pub type WebhookRoot = TrustAnchor<'static>;

/// The roots in a file.
///
/// # Errors
/// What is wrong with it.
pub fn webhook_roots(pem: &[u8]) -> Result<Vec<WebhookRoot>, String> {
    let mut roots = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        let root = webpki::anchor_from_trusted_cert(&certificate);
        roots.push(root.map_err(|error| error.to_string())?.to_owned());
    }
    if roots.is_empty() {
        return Err("there is none".to_owned());
    }
    Ok(roots)
}

/// What a signed request carries.
struct Transmission<'r> {
    id: &'r str,
    time: &'r str,
    signature: &'r str,
    certificate_url: &'r str,
    algorithm: &'r str,
    webhook_id: &'r str,
}

/// The id of the transmission.
pub(super) async fn verify(
    adapter: &Adapter,
    context: &CallContext,
    signature: &WebhookSignature,
    request: &WebhookRequest<'_>,
) -> Result<String, WebhookRefusal> {
    let WebhookSignature::CertificateCrc32 {
        prefix,
        webhook_id,
        certificate_hosts,
        certificate_path,
        certificate_names,
        check,
    } = signature
    else {
        return Err(WebhookRefusal::Unsupported);
    };
    let credentials = &context.connection.credentials;
    let header = |part: &str| single(request.headers, &format!("{prefix}-{part}"));
    let transmission = Transmission {
        id: header("transmission-id")?,
        time: header("transmission-time")?,
        signature: header("transmission-sig")?,
        certificate_url: header("cert-url")?,
        algorithm: header("auth-algo")?,
        webhook_id: credentials
            .public(webhook_id)
            .filter(|id| !id.is_empty())
            .ok_or_else(|| WebhookRefusal::NoSecret(webhook_id.clone()))?,
    };
    if transmission.algorithm != ALGORITHM {
        return Err(WebhookRefusal::Header(format!("{prefix}-auth-algo")));
    }
    is_fresh(transmission.time, request.received_at_ms)
        .ok_or_else(|| WebhookRefusal::Header(format!("{prefix}-transmission-time")))?
        .then_some(())
        .ok_or(WebhookRefusal::Stale)?;
    let url = certificate_url(
        transmission.certificate_url,
        certificate_hosts,
        certificate_path,
    )
    .ok_or_else(|| WebhookRefusal::Header(format!("{prefix}-cert-url")))?;
    let asked = check.as_ref().filter(|check| {
        let setting = context.connection.settings.get(&check.setting);
        setting.is_some_and(|setting| *setting == check.value)
    });
    let engine = &adapter.shared.engine;
    let certificates = &engine.certificates;
    let chain = certificates
        .chain(engine, &url, transmission.webhook_id)
        .await?;
    is_signed(
        &chain,
        &certificates.roots,
        certificate_names,
        &transmission,
        (request.body, request.received_at_ms),
    )?;
    certificates.prove(&url).await;
    // Only then, so that no stranger has us ask; and besides, as the signature covers a checksum.
    if let Some(check) = asked {
        ask(adapter, context, check, &transmission, request.body).await?;
    }
    Ok(transmission.id.to_owned())
}

/// Whether a time is one at which a request may have been signed; none for what is no time.
fn is_fresh(time: &str, now_ms: u64) -> Option<bool> {
    let signed = DateTime::parse_from_rfc3339(time).ok()?;
    let signed_ms = u64::try_from(signed.timestamp_millis()).ok()?;
    let age = Duration::from_millis(now_ms.saturating_sub(signed_ms));
    let ahead = Duration::from_millis(signed_ms.saturating_sub(now_ms));
    Some(age <= AGE_MAX && ahead <= AHEAD_MAX)
}

/// An address below one of the hosts, and nothing that could lead elsewhere.
fn certificate_url(text: &str, hosts: &[String], path: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str()?;
    let is_plain = url.scheme() == "https"
        && url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let rest = url.path().strip_prefix(path)?;
    let is_name = (1..=NAME_BYTES_MAX).contains(&rest.len())
        && rest
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (is_plain && is_name && hosts.iter().any(|known| known == host)).then_some(url)
}

async fn fetch(engine: &Inner, url: &Url) -> Result<Vec<CertificateDer<'static>>, WebhookRefusal> {
    let unavailable = |why: String| WebhookRefusal::Unavailable(why);
    let target = PathAndQuery::try_from(url.path())
        .map_err(|_syntax| unavailable("the certificate's address".to_owned()))?;
    let request = OutboundRequest {
        method: Method::GET,
        origin: Origin::https(url.host_str().unwrap_or_default()),
        target,
        headers: HeaderMap::new(),
        body: bytes::Bytes::new(),
        answer_bytes_max: CHAIN_BYTES_MAX,
        written: Written::default(),
    };
    let answer = engine.send(request, Instant::now() + FETCH_TIMEOUT).await;
    let answer = answer.map_err(|error| unavailable(format!("the certificate: {error}")))?;
    let status = answer.status.as_u16();
    if status != 200 {
        return Err(unavailable(format!(
            "the certificate was answered with status {status}"
        )));
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&answer.body)
        .take(CHAIN_CERTIFICATES_MAX)
        .collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) | Err(_) => Err(WebhookRefusal::Certificate(
            "what its address gives is no certificate".to_owned(),
        )),
    }
}

fn is_signed(
    chain: &[CertificateDer<'_>],
    roots: &[TrustAnchor<'_>],
    names: &str,
    transmission: &Transmission<'_>,
    (body, now_ms): (&[u8], u64),
) -> Result<(), WebhookRefusal> {
    let refused = |why: &str| WebhookRefusal::Certificate(why.to_owned());
    let (leaf, intermediates) = chain
        .split_first()
        .ok_or_else(|| refused("there is none"))?;
    let leaf = EndEntityCert::try_from(leaf).map_err(|error| refused(&error.to_string()))?;
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        roots,
        intermediates,
        UnixTime::since_unix_epoch(Duration::from_millis(now_ms)),
        KeyUsage::server_auth(),
        None,
        None,
    )
    .map_err(|error| refused(&error.to_string()))?;
    let is_the_providers = leaf.valid_dns_names().any(|name| {
        name.to_ascii_lowercase().ends_with(names)
            && ServerName::try_from(name)
                .is_ok_and(|name| leaf.verify_is_valid_for_subject_name(&name).is_ok())
    });
    if !is_the_providers {
        return Err(refused(&format!("it has no name that ends with {names}")));
    }
    let signature = STANDARD
        .decode(transmission.signature)
        .map_err(|_not_base64| WebhookRefusal::Mismatch)?;
    let Transmission {
        id,
        time,
        webhook_id,
        ..
    } = transmission;
    let message = format!("{id}|{time}|{webhook_id}|{}", crc32fast::hash(body));
    leaf.verify_signature(
        webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA256,
        message.as_bytes(),
        &signature,
    )
    .map_err(|_mismatch| WebhookRefusal::Mismatch)
}

/// What the provider is asked. The event is the text that came: written anew, its checksum would be
/// another.
#[derive(Serialize)]
struct Question<'q> {
    auth_algo: &'q str,
    cert_url: &'q str,
    transmission_id: &'q str,
    transmission_sig: &'q str,
    transmission_time: &'q str,
    webhook_id: &'q str,
    webhook_event: &'q RawValue,
}

#[derive(Deserialize)]
struct Verdict {
    verification_status: String,
}

/// Asks the provider whether it has sent this.
async fn ask(
    adapter: &Adapter,
    context: &CallContext,
    check: &ProviderCheck,
    transmission: &Transmission<'_>,
    body: &[u8],
) -> Result<(), WebhookRefusal> {
    let unavailable = |why: &str| WebhookRefusal::Unavailable(why.to_owned());
    let event: &RawValue =
        serde_json::from_slice(body).map_err(|_no_json| WebhookRefusal::Mismatch)?;
    let environment = match context.connection.environment {
        Environment::Test => ConnectionEnvironment::Test,
        Environment::Live => ConnectionEnvironment::Live,
    };
    let url = check.urls.get(&environment);
    let url = url.ok_or_else(|| unavailable("the manifest has no address for it"))?;
    let question = Question {
        auth_algo: transmission.algorithm,
        cert_url: transmission.certificate_url,
        transmission_id: transmission.id,
        transmission_sig: transmission.signature,
        transmission_time: transmission.time,
        webhook_id: transmission.webhook_id,
        webhook_event: event,
    };
    let json = serde_json::to_string(&question)
        .map_err(|_unwritable| unavailable("the question cannot be written"))?;
    let mut state = CallState::new(
        Arc::clone(&adapter.shared),
        Arc::clone(&context.connection),
        Arc::new(CallRecord::new(0)),
        context.deadline,
    );
    let request = wit::Request {
        method: wit::Method::Post,
        url: url.clone(),
        headers: Vec::new(),
        body: wit::Body::Json(json),
        auth: Some(check.auth.clone()),
        want_headers: Vec::new(),
        timeout_ms: None,
    };
    let answer = state.send_one(request).await;
    let answer = answer.map_err(|error| unavailable(&format!("{error:?}")))?;
    if answer.status != 200 {
        return Err(unavailable(&format!(
            "the provider's check answered with status {}",
            answer.status
        )));
    }
    let verdict: Verdict = serde_json::from_slice(&answer.body)
        .map_err(|_malformed| unavailable("the provider's check gave no verdict"))?;
    if verdict.verification_status == "SUCCESS" {
        Ok(())
    } else {
        Err(WebhookRefusal::Mismatch)
    }
}

#[cfg(test)]
mod tests {
    use super::{certificate_url, is_fresh};

    #[test]
    fn certificates_come_from_the_providers_hosts_only() {
        let hosts = ["api.provider.example".to_owned()];
        let path = "/v1/notifications/certs/";
        let allowed =
            "https://api.provider.example/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77";
        assert!(certificate_url(allowed, &hosts, path).is_some());
        for refused in [
            "http://api.provider.example/v1/notifications/certs/CERT-1",
            "https://api.provider.example:8443/v1/notifications/certs/CERT-1",
            "https://api.provider.example.evil.example/v1/notifications/certs/CERT-1",
            "https://evil.example/v1/notifications/certs/CERT-1",
            "https://api.provider.example@evil.example/v1/notifications/certs/CERT-1",
            "https://user@api.provider.example/v1/notifications/certs/CERT-1",
            "https://api.provider.example\\@evil.example/v1/notifications/certs/CERT-1",
            "https://api.provider.example./v1/notifications/certs/CERT-1",
            "https://xapi.provider.example/v1/notifications/certs/CERT-1",
            "https://api.provider.example/v1/notifications/certs/../../oauth2/token",
            "https://api.provider.example/v1/notifications/certs/%2e%2e/x",
            "https://api.provider.example/v1/notifications/certs/a/b",
            "https://api.provider.example/v1/notifications/certs/",
            "https://api.provider.example/v1/notifications/certs/CERT-1?x=1",
            "https://api.provider.example/v1/notifications/certs/CERT-1#x",
            "https://127.0.0.1/v1/notifications/certs/CERT-1",
            "//api.provider.example/v1/notifications/certs/CERT-1",
            "",
        ] {
            assert!(
                certificate_url(refused, &hosts, path).is_none(),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_transmission_is_a_week_old_at_most() {
        let at = |time| is_fresh(time, 1_431_704_713_000);
        assert_eq!(at("2015-05-15T15:45:13Z"), Some(true));
        assert_eq!(at("2015-05-08T15:45:13Z"), Some(true));
        assert_eq!(at("2015-05-15T17:50:13+02:00"), Some(true));
        assert_eq!(at("2015-05-08T15:45:12Z"), Some(false));
        assert_eq!(at("2015-05-15T15:50:14Z"), Some(false));
        assert_eq!(at("yesterday"), None);
        assert_eq!(at("1969-05-15T15:45:13Z"), None);
    }
}
