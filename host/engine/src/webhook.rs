//! Whether a webhook is its provider's: the host looks at the bytes as they came, before the adapter sees
//! anything of them.
//!
//! - [`hmac`]: MACs of the body, of URL and form, and Standard Webhooks
//! - [`certificate`]: RSA by a certificate that the request names, or the provider's own check

mod certificate;
mod hmac;

use bytes::Bytes;
use http::HeaderMap;
use onerouter_manifest::WebhookSignature;

pub(crate) use certificate::Certificates;
pub use certificate::{WebhookRoot, webhook_roots};

use crate::adapter::Adapter;
use crate::connection::CallContext;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct WebhookRequest<'r> {
    /// The URLs under which the provider may know this endpoint, each with the query as it was sent.
    pub urls: &'r [String],
    /// Headers.
    pub headers: &'r HeaderMap,
    /// Body.
    pub body: &'r Bytes,
    /// When it came: milliseconds since 1970.
    pub received_at_ms: u64,
}

/// A request that its provider has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSigned {
    /// The id of this event that the signature covers; none where it covers none.
    pub id: Option<String>,
    /// SHA-256 of what else it covers; none where that is the body, or not all of it.
    pub covered: Option<[u8; 32]>,
    /// Whether it covers the whole body: where it does not, another body may come under the same signature.
    pub covers_body: bool,
    /// Whether only the adapter can tell: its events count if [`crate::CallReport::vouched`].
    pub left_to_adapter: bool,
}

/// Why a request is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefusal {
    /// The adapter reads no webhooks.
    #[error("this provider's adapter reads no webhooks")]
    Unsupported,
    /// The connection lacks what they are checked with.
    #[error("the connection has no {0}, without which no webhook can be checked")]
    NoSecret(String),
    /// A header is missing, is there twice, or is not what it should be.
    #[error("the header {0} is missing or malformed")]
    Header(String),
    /// It was signed too long ago, or not yet.
    #[error("the webhook was not signed within the time allowed")]
    Stale,
    /// It is not signed by whoever has the secret.
    #[error("the signature does not fit")]
    Mismatch,
    /// The certificate is not the provider's.
    #[error("the certificate is not acceptable: {0}")]
    Certificate(String),
    /// Nobody can tell at the moment: the provider may send it again.
    #[error("the signature cannot be checked at the moment: {0}")]
    Unavailable(String),
}

impl WebhookRefusal {
    /// Snake case, for metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::NoSecret(_) => "no_secret",
            Self::Header(_) => "header",
            Self::Stale => "stale",
            Self::Mismatch => "mismatch",
            Self::Certificate(_) => "certificate",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl Adapter {
    /// Checks that a request is the provider's, by the scheme that the manifest names.
    ///
    /// # Errors
    /// Why it is not believed.
    pub async fn verify_webhook(
        &self,
        context: &CallContext,
        request: &WebhookRequest<'_>,
    ) -> Result<WebhookSigned, WebhookRefusal> {
        let Some(webhook) = &self.manifest().webhook else {
            return Err(WebhookRefusal::Unsupported);
        };
        let credentials = &context.connection.credentials;
        let mut covered = None;
        let id = match &webhook.signature {
            WebhookSignature::HmacBody {
                header,
                algorithm,
                encoding,
                credentials: names,
            } => {
                let keys = hmac::keys(credentials, names)?;
                let tag = single(request.headers, header)?;
                hmac::body(&keys, (*algorithm, *encoding), tag, request.body)?;
                None
            }
            WebhookSignature::HmacUrlForm {
                header,
                credentials: names,
            } => {
                let keys = hmac::keys(credentials, names)?;
                let tag = single(request.headers, header)?;
                covered = Some(hmac::url_form(&keys, tag, request)?);
                None
            }
            WebhookSignature::StandardWebhooks {
                prefix,
                credentials: names,
            } => {
                let keys = hmac::keys(credentials, names)?;
                Some(hmac::standard(&keys, prefix, request)?)
            }
            WebhookSignature::CertificateCrc32 { .. } => {
                let signed = certificate::verify(self, context, &webhook.signature, request);
                Some(signed.await?)
            }
            WebhookSignature::Adapter {} => None,
        };
        Ok(WebhookSigned {
            id,
            covered,
            covers_body: webhook.signature.covers_body(),
            left_to_adapter: matches!(webhook.signature, WebhookSignature::Adapter {}),
        })
    }
}

/// The value of a header that is there once.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, WebhookRefusal> {
    let refused = || WebhookRefusal::Header(name.to_owned());
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(refused)?;
    if values.next().is_some() {
        return Err(refused());
    }
    let text = value.to_str().map_err(|_not_ascii| refused())?;
    if text.is_empty() {
        return Err(refused());
    }
    Ok(text)
}
