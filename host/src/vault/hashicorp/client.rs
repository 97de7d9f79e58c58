//! Calls of HashiCorp Vault's HTTP API, with bounds on time, size and number.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use onerouter_domain::environment::Environment;
use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::{Settings, Token};

/// How long connecting may take: it is a machine of the house.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a call may take with everything, waiting for its turn included. A request waits for it
/// and has to do something afterwards.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);
/// Calls at once. It is asked once per data key in five minutes; after a start for many at a time.
const CALLS_MAX: usize = 32;
/// A wrapped data key has 100 bytes, a key's description 50 and 25 more for each of its versions.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Of a token. HashiCorp's own have about 100, those with everything in them some 1,000.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE_HEADER: HeaderName = HeaderName::from_static("x-vault-namespace");
/// The server refuses requests without it where an agent or proxy demands it.
const REQUEST_HEADER: HeaderName = HeaderName::from_static("x-vault-request");

/// Why a call gave nothing. Never holds a key, a token, or what the server wrote.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A certificate of `VAULT_CACERT`.
    #[error("cannot read the certificates in {} (VAULT_CACERT)", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
    },
    /// The client.
    #[error("cannot set up TLS for HashiCorp Vault")]
    Tls(#[source] rustls::Error),
    /// The client.
    #[error("cannot set up the client of HashiCorp Vault")]
    Setup(#[source] reqwest::Error),
    /// The file with the token.
    #[error("cannot read the token in {} (ONEROUTER_VAULT_TOKEN_FILE)", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The token cannot be sent.
    #[error("the token is no token (VAULT_TOKEN, ONEROUTER_VAULT_TOKEN_FILE)")]
    Token,
    /// Nobody answered.
    #[error("HashiCorp Vault cannot be reached at {address} (VAULT_ADDR)")]
    Unreachable {
        /// Where it was sought.
        address: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It took too long, or too many calls were waiting.
    #[error("HashiCorp Vault did not answer within {} s", CALL_TIME_MAX.as_secs())]
    TimedOut,
    /// 403.
    #[error(
        "HashiCorp Vault refuses the token (403): it has ended, or its policy lacks update on \
         {mount}/encrypt/{key} and {mount}/decrypt/{key} or read on {mount}/keys/{key}"
    )]
    Denied {
        /// Of the engine.
        mount: String,
        /// Of the transit engine.
        key: String,
    },
    /// 429, 5xx and the like.
    #[error("HashiCorp Vault answered {status}: it is sealed, on standby or overloaded")]
    NotReady {
        /// What it answered.
        status: StatusCode,
    },
    /// 404.
    #[error("HashiCorp Vault has no transit key {key} at {mount} (404)")]
    Absent {
        /// Of the engine.
        mount: String,
        /// Of the transit engine.
        key: String,
    },
    /// 400.
    #[error(
        "HashiCorp Vault refuses what it was asked with the transit key {key} (400): the data key \
         was changed or belongs to another place, there is no such key, its type takes no \
         associated data, or its min_decryption_version is above"
    )]
    Refused {
        /// Of the transit engine.
        key: String,
    },
    /// Any other status, redirects among them: the token goes nowhere else.
    #[error("HashiCorp Vault answered {status}, which is not expected of it")]
    Unexpected {
        /// What it answered.
        status: StatusCode,
    },
    /// The answer does not end.
    #[error("the answer of HashiCorp Vault is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    /// The answer cannot be used.
    #[error("HashiCorp Vault gave {what}")]
    Malformed {
        /// What instead.
        what: &'static str,
    },
    /// What is stored is none of its texts.
    #[error("the stored data key is no ciphertext of HashiCorp Vault's, or of another version")]
    Row,
    /// Nothing was chosen that wraps there.
    #[error("no transit key is configured for the {environment} environment")]
    NoKey {
        /// Which.
        environment: Environment,
    },
    /// It takes no notice of where a data key belongs.
    #[error("HashiCorp Vault does not heed associated_data: version 1.13 or later is needed")]
    Unbound,
}

impl ClientError {
    /// Whether the same call may succeed later, without anybody changing a setting here.
    pub(super) const fn is_temporary(&self) -> bool {
        match self {
            Self::TokenFile { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut
            | Self::Denied { .. }
            | Self::NotReady { .. } => true,
            Self::Certificates { .. }
            | Self::Tls(_)
            | Self::Setup(_)
            | Self::Token
            | Self::Absent { .. }
            | Self::Refused { .. }
            | Self::Unexpected { .. }
            | Self::TooLong
            | Self::Malformed { .. }
            | Self::Row
            | Self::NoKey { .. }
            | Self::Unbound => false,
        }
    }
}

/// What the transit engine is asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation {
    Encrypt,
    Decrypt,
    /// What it knows of the key.
    Describe,
}

impl Operation {
    const fn path(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Describe => "keys",
        }
    }

    const fn method(self) -> Method {
        match self {
            Self::Encrypt | Self::Decrypt => Method::POST,
            Self::Describe => Method::GET,
        }
    }
}

/// Asks one transit engine.
pub(super) struct Client {
    http: reqwest::Client,
    settings: Settings,
    calls: Semaphore,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.settings.address)
            .field("mount", &self.settings.mount)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(settings: Settings) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(settings.ca_file.as_deref())?)
            .redirect(Policy::none())
            // The environment is read in one place, and knows no proxy.
            .no_proxy()
            .connect_timeout(CONNECT_TIME_MAX)
            .timeout(CALL_TIME_MAX)
            .build()
            .map_err(ClientError::Setup)?;
        Ok(Self {
            http,
            settings,
            calls: Semaphore::new(CALLS_MAX),
        })
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Asks with a body, and reads what is in the answer's `data`.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        operation: Operation,
        key: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, ClientError> {
        let asked = async {
            let _turn = self.calls.acquire().await;
            self.ask_at_once(operation, key, body).await
        };
        let answered = tokio::time::timeout(CALL_TIME_MAX, asked)
            .await
            .unwrap_or(Err(ClientError::TimedOut));
        let outcome = match &answered {
            Ok(_) => "ok",
            Err(error) if error.is_temporary() => "unavailable",
            Err(_) => "failed",
        };
        metrics::counter!(
            "onerouter_hashicorp_vault_calls_total",
            "operation" => operation.path(), "outcome" => outcome
        )
        .increment(1);
        answered
    }

    async fn ask_at_once<T: DeserializeOwned>(
        &self,
        operation: Operation,
        key: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, ClientError> {
        let Settings { address, mount, .. } = &self.settings;
        let url = format!("{address}/v1/{mount}/{}/{key}", operation.path());
        let mut request = self
            .http
            .request(operation.method(), url)
            .header(TOKEN_HEADER, self.token().await?)
            .header(REQUEST_HEADER, HeaderValue::from_static("true"));
        if let Some(namespace) = &self.settings.namespace {
            request = request.header(NAMESPACE_HEADER, namespace.as_str());
        }
        if let Some(body) = body {
            let json = Zeroizing::new(serde_json::to_vec(body).unwrap_or_default());
            request = request
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(Bytes::from_owner(json));
        }
        let response = request.send().await.map_err(|error| self.failed(error))?;
        self.check(response.status(), key)?;
        let bytes = self.read(response).await?;
        let answer: Enveloped<T> =
            serde_json::from_slice(&bytes).or(Err(ClientError::Malformed {
                what: "an answer of another form",
            }))?;
        Ok(answer.data)
    }

    async fn token(&self) -> Result<HeaderValue, ClientError> {
        let token = match &self.settings.token {
            Token::Text(token) => token.clone(),
            Token::File(path) => {
                let failed = |source| ClientError::TokenFile {
                    path: path.clone(),
                    source,
                };
                read_token(path).await.map_err(failed)?
            }
        };
        let token = token.expose_secret().trim();
        let mut header = HeaderValue::from_str(token).or(Err(ClientError::Token))?;
        if header.is_empty() {
            return Err(ClientError::Token);
        }
        header.set_sensitive(true);
        Ok(header)
    }

    fn check(&self, status: StatusCode, key: &str) -> Result<(), ClientError> {
        let key = || key.to_owned();
        let mount = || self.settings.mount.clone();
        match status.as_u16() {
            200 => Ok(()),
            400 => Err(ClientError::Refused { key: key() }),
            403 => Err(ClientError::Denied {
                mount: mount(),
                key: key(),
            }),
            404 => Err(ClientError::Absent {
                mount: mount(),
                key: key(),
            }),
            // 412: a standby that has not heard of something yet; 472, 473: a standby.
            412 | 429 | 472 | 473 | 500..600 => Err(ClientError::NotReady { status }),
            _ => Err(ClientError::Unexpected { status }),
        }
    }

    /// Up to a limit, whatever length it claims to have.
    async fn read(
        &self,
        mut response: reqwest::Response,
    ) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        // Not grown, which would leave copies of a key behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX));
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(error))? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(ClientError::TooLong);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn failed(&self, error: reqwest::Error) -> ClientError {
        if error.is_timeout() {
            return ClientError::TimedOut;
        }
        ClientError::Unreachable {
            address: self.settings.address.clone(),
            source: error.without_url(),
        }
    }
}

/// Every answer has its content here.
#[derive(serde::Deserialize)]
struct Enveloped<T> {
    data: T,
}

async fn read_token(path: &Path) -> io::Result<SecretString> {
    let file = tokio::fs::File::open(path).await?;
    let mut text = Zeroizing::new(String::with_capacity(TOKEN_BYTES_MAX));
    let limit = u64::try_from(TOKEN_BYTES_MAX).unwrap_or(u64::MAX);
    file.take(limit).read_to_string(&mut text).await?;
    Ok(text.as_str().into())
}

fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, ClientError> {
    let roots = match ca_file {
        Some(path) => read_roots(path).ok_or_else(|| ClientError::Certificates {
            path: path.to_owned(),
        })?,
        None => RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        },
    };
    // Named here, so that no process-wide default has to be installed first.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ClientError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// At least one certificate, and nothing that is none.
fn read_roots(path: &Path) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).ok()? {
        roots.add(certificate.ok()?).ok()?;
    }
    (!roots.is_empty()).then_some(roots)
}
