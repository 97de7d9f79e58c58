//! How a provider's webhooks are known to be the provider's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::format::{ConnectionEnvironment, SignatureAlgorithm, SignatureEncoding};

/// What the host has to know of a provider's webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// How they are signed.
    pub signature: WebhookSignature,
    /// Request headers that the adapter reads, in lower case. It sees no others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
}

/// How a request is signed. Secrets are named by their credential fields; where there are several, one
/// that fits is enough, so that a secret can be changed without losing what is still under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scheme", rename_all = "snake_case", deny_unknown_fields)]
pub enum WebhookSignature {
    /// A MAC of the body.
    HmacBody {
        /// Header with the signature.
        header: String,
        /// How it is made.
        algorithm: SignatureAlgorithm,
        /// How it is written.
        encoding: SignatureEncoding,
        /// Fields with the secrets.
        credentials: Vec<String>,
    },
    /// HMAC with SHA-1, in base64, of the URL and the form's sorted pairs; of the URL alone for other
    /// bodies, whose SHA-256 then stands in the query's `bodySHA256`.
    HmacUrlForm {
        /// Header with the signature.
        header: String,
        /// Fields with the secrets.
        credentials: Vec<String>,
    },
    /// [Standard Webhooks](https://www.standardwebhooks.com), symmetric: id, time and body. Not older and
    /// not newer than five minutes.
    StandardWebhooks {
        /// What the three headers begin with: `webhook`, `svix`.
        prefix: String,
        /// Fields with the secrets, `whsec_…`.
        credentials: Vec<String>,
    },
    /// RSA with SHA-256 over `id|time|webhook id|CRC-32 of the body`, by a certificate that the request
    /// names. It does not cover the body: two bodies may have one checksum.
    CertificateCrc32 {
        /// What the headers begin with: `{prefix}-transmission-id`, `-transmission-time`,
        /// `-transmission-sig`, `-cert-url`, `-auth-algo`.
        prefix: String,
        /// Public field with the webhook's id at the provider.
        webhook_id: String,
        /// Hosts that certificates may be fetched from.
        certificate_hosts: Vec<String>,
        /// What their path begins with: `/certificates/`. A name follows and nothing else.
        certificate_path: String,
        /// What the certificate's name must end with, from a dot on: `.example.com`.
        certificate_names: String,
        /// The provider's own check, in place of the host's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check: Option<ProviderCheck>,
    },
    /// By the adapter, with a yes of `onerouter:host/signature.verify` in the same call.
    Adapter {},
}

/// An address at which the provider says whether a request was its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderCheck {
    /// The setting by which a tenant asks for it.
    pub setting: String,
    /// The setting's value.
    pub value: String,
    /// Where, by environment. An outbound rule must allow it.
    pub urls: BTreeMap<ConnectionEnvironment, String>,
    /// Name under `auth`.
    pub auth: String,
}

impl WebhookSignature {
    /// The secrets that it is checked with.
    #[must_use]
    pub fn credentials(&self) -> &[String] {
        match self {
            Self::HmacBody { credentials, .. }
            | Self::HmacUrlForm { credentials, .. }
            | Self::StandardWebhooks { credentials, .. } => credentials,
            Self::CertificateCrc32 { .. } | Self::Adapter {} => &[],
        }
    }

    /// Whether it covers the whole body.
    #[must_use]
    pub const fn covers_body(&self) -> bool {
        !matches!(self, Self::CertificateCrc32 { .. })
    }
}
