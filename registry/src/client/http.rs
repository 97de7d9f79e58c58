//! Requests whose answers are bounded in size, time, and where they lead.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};
use reqwest::redirect::Policy;
use reqwest::{Request, Response};
use secrecy::ExposeSecret as _;
use url::Url;

use super::challenge::Challenge;
use super::{ClientConfig, ClientLimits, Credentials, FetchError, Progress};

/// Redirects of one answer. Registries send from a blob to where it is kept: that is one.
const REDIRECTS_MAX: usize = 3;
/// Of a refusal's words.
const MESSAGE_CHARACTERS_MAX: usize = 300;
const REFUSAL_BYTES_MAX: usize = 16 << 10;

/// A client for HTTP, with what it may do.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    config: Arc<ClientConfig>,
}

/// How a request proves who sends it.
#[derive(Debug, Clone)]
pub(super) enum Login {
    Nobody,
    Basic(Credentials),
    Bearer(secrecy::SecretString),
}

/// A request that may be sent again.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// When an answer must be there as a whole.
#[derive(Debug, Clone, Copy)]
struct Deadline(Instant);

impl Deadline {
    /// What it means that a request failed.
    fn judge(self, host: String, source: reqwest::Error) -> FetchError {
        if source.is_timeout() && Instant::now() >= self.0 {
            return FetchError::TooSlow;
        }
        FetchError::Unreachable { host, source }
    }
}

impl Call {
    pub(super) fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    pub(super) fn send(method: Method, url: Url, media_type: &'static str, body: Bytes) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            http::HeaderValue::from_static(media_type),
        );
        Self {
            method,
            url,
            headers,
            body,
        }
    }
}

impl Http {
    pub(super) fn new(config: ClientConfig) -> Result<Self, FetchError> {
        let limits = &config.limits;
        let client = reqwest::Client::builder()
            .connect_timeout(limits.connect_timeout)
            .read_timeout(limits.idle_timeout)
            // Followed here, where it is looked at where they lead.
            .redirect(Policy::none())
            .referer(false)
            // A proxy that stands in the environment is no host that the operator has named here.
            .no_proxy()
            .user_agent(concat!("onerouter/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(FetchError::Setup)?;
        Ok(Self {
            client,
            config: Arc::new(config),
        })
    }

    pub(super) fn limits(&self) -> &ClientLimits {
        &self.config.limits
    }

    pub(super) fn credentials(&self, host: &str) -> Option<&Credentials> {
        self.config.credentials.get(host)
    }

    /// The address of a registry, over TLS unless it is on this machine or was excepted.
    pub(super) fn base(&self, host: &str) -> Result<Url, FetchError> {
        let scheme = if self.allows_plain(host) {
            "http"
        } else {
            "https"
        };
        Url::parse(&format!("{scheme}://{host}/")).map_err(|error| FetchError::Nonsense {
            host: host.to_owned(),
            reason: error.to_string(),
        })
    }

    fn allows_plain(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => name,
            _ => host,
        };
        matches!(name, "localhost" | "127.0.0.1" | "[::1]") || self.config.plain_http.contains(host)
    }

    /// Whether an address that was given may be used as it is.
    pub(super) fn admit(&self, url: &Url) -> Result<(), FetchError> {
        let host = host_of(url);
        match url.scheme() {
            "https" => Ok(()),
            "http" if self.allows_plain(&host) => Ok(()),
            _ => Err(FetchError::PlainHttp(host)),
        }
    }

    /// Whether an answer of a registry may lead to `to`: on the same origin, or over TLS to a host
    /// that was named for that registry.
    pub(super) fn may_lead(&self, registry: &Url, to: &Url) -> Result<(), FetchError> {
        let others = self.config.other_hosts.get(&host_of(registry));
        let named = to.scheme() == "https"
            && others.is_some_and(|others| to.host_str().is_some_and(|host| others.contains(host)));
        if to.origin() == registry.origin() || named {
            return Ok(());
        }
        Err(FetchError::OtherHost {
            from: host_of(registry),
            to: format!("{}://{}", to.scheme(), host_of(to)),
        })
    }

    /// Sends a request once. Redirects of reads are followed, without credentials once they leave
    /// the origin.
    pub(super) async fn send(&self, call: &Call, login: &Login) -> Result<Response, FetchError> {
        self.admit(&call.url)?;
        let mut url = call.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let at_home = url.origin() == call.url.origin();
            let login = if at_home { login } else { &Login::Nobody };
            let response = self.send_once(call, &url, login).await?;
            let next = response
                .headers()
                .get(header::LOCATION)
                .filter(|_| response.status().is_redirection())
                .and_then(|location| url.join(location.to_str().ok()?).ok());
            match next {
                Some(next) if call.method == Method::GET => {
                    self.may_lead(&call.url, &next)?;
                    url = next;
                }
                _ => return Ok(response),
            }
        }
        Err(FetchError::Nonsense {
            host: host_of(&call.url),
            reason: format!("it redirects more than {REDIRECTS_MAX} times"),
        })
    }

    async fn send_once(
        &self,
        call: &Call,
        url: &Url,
        login: &Login,
    ) -> Result<Response, FetchError> {
        let mut request = self
            .client
            .request(call.method.clone(), url.clone())
            // Until the last byte of the answer: one that drips is never idle.
            .timeout(self.config.limits.total_timeout)
            .headers(call.headers.clone());
        if !call.body.is_empty() || call.method != Method::GET {
            request = request.body(call.body.clone());
        }
        request = match login {
            Login::Nobody => request,
            Login::Basic(credentials) => request.basic_auth(
                &credentials.username,
                Some(credentials.password.expose_secret()),
            ),
            Login::Bearer(token) => request.bearer_auth(token.expose_secret()),
        };
        let deadline = Deadline(Instant::now() + self.config.limits.total_timeout);
        let failed = |source| deadline.judge(host_of(url), source);
        let request: Request = request.build().map_err(failed)?;
        let mut response = self.client.execute(request).await.map_err(failed)?;
        response.extensions_mut().insert(deadline);
        Ok(response)
    }

    /// A token from who gives them out for a registry.
    pub(super) async fn token(
        &self,
        registry: &Url,
        challenge: &Challenge,
        credentials: Option<&Credentials>,
    ) -> Result<Login, FetchError> {
        #[derive(serde::Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let url = challenge.token_url(registry)?;
        self.may_lead(registry, &url)?;
        let login = credentials.map_or(Login::Nobody, |credentials| {
            Login::Basic(credentials.clone())
        });
        let response = self.send(&Call::get(url.clone()), &login).await?;
        let bytes = read(
            accepted(response, "token").await?,
            "token",
            REFUSAL_BYTES_MAX,
        )
        .await?;
        let token: Token = serde_json::from_slice(&bytes).map_err(|error| nonsense(&url, error))?;
        token
            .token
            .or(token.access_token)
            .map(|token| Login::Bearer(token.into()))
            .ok_or_else(|| nonsense(&url, "there is no token in it"))
    }
}

/// The answer, if it is a good one.
pub(super) async fn accepted(response: Response, what: &str) -> Result<Response, FetchError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let host = host_of(response.url());
    if status == StatusCode::NOT_FOUND {
        return Err(FetchError::Absent {
            host,
            what: what.to_owned(),
        });
    }
    // Best effort: the status says the most.
    let words = read(response, "refusal", REFUSAL_BYTES_MAX)
        .await
        .unwrap_or_default();
    Err(FetchError::Refused {
        host,
        status: status.as_u16(),
        message: message(&words),
    })
}

/// The words of a refusal: OCI's, a problem document's, or the text itself. Without characters that
/// would do something to a terminal.
fn message(body: &[u8]) -> String {
    let parsed: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let words = parsed
        .pointer("/errors/0/message")
        .or_else(|| parsed.get("detail"))
        .and_then(serde_json::Value::as_str)
        .map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    words
        .chars()
        .filter(|c| !c.is_control())
        .take(MESSAGE_CHARACTERS_MAX)
        .collect()
}

/// Reads an answer of at most `most` bytes.
pub(super) async fn read(
    response: Response,
    what: &'static str,
    most: usize,
) -> Result<Bytes, FetchError> {
    read_with(response, what, most, &|_received| {}).await
}

pub(super) async fn read_with(
    mut response: Response,
    what: &'static str,
    most: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Bytes, FetchError> {
    let too_large = FetchError::TooLarge { what, most };
    let announced = response.content_length();
    if announced.is_some_and(|bytes| usize::try_from(bytes).map_or(true, |bytes| bytes > most)) {
        return Err(too_large);
    }
    let host = host_of(response.url());
    let deadline = response.extensions().get::<Deadline>().copied();
    let mut bytes = BytesMut::new();
    loop {
        let piece = response.chunk().await.map_err(|source| {
            let host = host.clone();
            match deadline {
                Some(deadline) => deadline.judge(host, source),
                None => FetchError::Unreachable { host, source },
            }
        })?;
        let Some(piece) = piece else {
            return Ok(bytes.freeze());
        };
        if bytes.len().saturating_add(piece.len()) > most {
            return Err(too_large);
        }
        bytes.extend_from_slice(&piece);
        progress(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }
}

/// `host` or `host:port`.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

pub(super) fn nonsense(url: &Url, reason: impl ToString) -> FetchError {
    FetchError::Nonsense {
        host: host_of(url),
        reason: reason.to_string(),
    }
}

/// Progress of one blob.
pub(super) fn of_total(
    progress: &(dyn Fn(Progress) + Sync),
    total: u64,
) -> impl Fn(u64) + Sync + '_ {
    move |received| progress(Progress { received, total })
}
