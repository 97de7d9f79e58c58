//! What an adapter may send: from its request to what goes on the wire, or a reason why not.
//!
//! - [`denial`]: every reason
//! - [`target`]: the URL
//! - [`rules`]: the manifest's rules
//! - [`headers`], [`body`]: the rest of the request
//! - [`attach`]: credentials, last of all

mod attach;
mod body;
mod denial;
mod headers;
mod rules;
mod target;

use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method};
use onerouter_egress::{Origin, OutboundRequest, Written};

use crate::bindings::onerouter::outbound::http as wit;
use crate::connection::Credentials;

pub(crate) use body::BODY_BYTES_MAX;
pub use denial::Denial;
pub(crate) use rules::Rules;

/// A request that may go out.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) request: OutboundRequest,
    pub(crate) method: &'static str,
    pub(crate) state_changing: bool,
    pub(crate) wanted: Vec<HeaderName>,
}

/// The key toward the provider, in the header that the manifest names for the operation.
#[derive(Debug)]
pub(crate) struct PromisedKey {
    name: HeaderName,
    value: HeaderValue,
}

impl PromisedKey {
    pub(crate) fn new(name: &str, value: &str) -> Option<Self> {
        Some(Self {
            name: HeaderName::try_from(name).ok()?,
            value: HeaderValue::try_from(value).ok()?,
        })
    }
}

impl Prepared {
    /// Whether a repetition of this request would be known by its key, as far as it must be.
    pub(crate) fn keeps_promise(&self, key: Option<&PromisedKey>) -> bool {
        let carries = |key: &PromisedKey| self.request.headers.get(&key.name) == Some(&key.value);
        !self.state_changing || key.is_none_or(carries)
    }
}

/// Checks a request against the rules and attaches what it may carry.
pub(crate) fn prepare(
    rules: &Rules,
    credentials: &Credentials,
    request: wit::Request,
    answer_bytes_max: u64,
) -> Result<Prepared, Denial> {
    let target = target::Target::parse(&request.url)?;
    let (method, method_name) = method(request.method);
    let (rule, attachment) = rules.find(&target, method_name, request.auth.as_deref())?;
    if target.query_names().any(|name| is_override(&name)) {
        return Err(Denial::QueryOverride);
    }
    let (mut headers, content_type) = headers::check(&request.headers)?;
    let wanted = headers::wanted(&request.want_headers)?;
    let mut draft = attach::Draft {
        query: target.query().unwrap_or_default().to_owned(),
        body: body::Draft::new(request.body, content_type, &method)?,
    };
    if let Some(attachment) = attachment {
        attach::attach(attachment, credentials, &target, &mut headers, &mut draft)?;
    }
    let (content_type, body) = draft.body.encode();
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, content_type);
    }
    let is_read = method == Method::GET || method == Method::HEAD || rule.reads;
    Ok(Prepared {
        method: method_name,
        state_changing: !is_read,
        wanted,
        request: OutboundRequest {
            method,
            origin: Origin {
                tls: true,
                host: target.host().to_owned(),
                port: target.port(),
            },
            target: path_and_query(target.path(), &draft.query)?,
            headers,
            body,
            answer_bytes_max,
            written: Written::default(),
        },
    })
}

fn path_and_query(path: &str, query: &str) -> Result<PathAndQuery, Denial> {
    let joined = if query.is_empty() {
        path.parse()
    } else {
        PathAndQuery::try_from(format!("{path}?{query}"))
    };
    joined.map_err(|_syntax| Denial::UrlSyntax)
}

fn method(method: wit::Method) -> (Method, &'static str) {
    match method {
        wit::Method::Get => (Method::GET, "GET"),
        wit::Method::Head => (Method::HEAD, "HEAD"),
        wit::Method::Post => (Method::POST, "POST"),
        wit::Method::Put => (Method::PUT, "PUT"),
        wit::Method::Patch => (Method::PATCH, "PATCH"),
        wit::Method::Delete => (Method::DELETE, "DELETE"),
    }
}

/// Parameters by which some web frameworks take another method than the request's.
fn is_override(name: &str) -> bool {
    [
        "_method",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ]
    .iter()
    .any(|known| name.eq_ignore_ascii_case(known))
}
