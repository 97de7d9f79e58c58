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
use crate::connection::ConnectionContext;
use crate::oauth::Grant;

pub(crate) use body::BODY_BYTES_MAX;
pub use denial::Denial;
pub(crate) use rules::Rules;

/// Name of a step that makes a key of its own for each of several requests.
const STEP_BYTES_MAX: usize = 32;

/// A request that may go out.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) request: OutboundRequest,
    pub(crate) method: &'static str,
    pub(crate) state_changing: bool,
    pub(crate) wanted: Vec<HeaderName>,
    /// Its token is still to be attached.
    pub(crate) grant: Option<Box<Grant>>,
}

/// The key toward the provider of one operation.
#[derive(Debug)]
pub(crate) struct Key<'k> {
    /// By which the manifest knows it.
    pub(crate) operation: &'static str,
    pub(crate) text: &'k str,
    /// What the manifest promises of it.
    pub(crate) promised: Option<PromisedKey>,
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

    /// The key itself, or behind it a hyphen and the name of one of several steps.
    fn is_held_by(&self, value: &HeaderValue) -> bool {
        match value.as_bytes().strip_prefix(self.value.as_bytes()) {
            Some([]) => true,
            Some([b'-', step @ ..]) => {
                (1..=STEP_BYTES_MAX).contains(&step.len())
                    && step.iter().all(|b| {
                        b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_' || *b == b'-'
                    })
            }
            Some(_) | None => false,
        }
    }
}

impl Prepared {
    /// Whether a repetition of this request would be known by its key, as far as it must be.
    pub(crate) fn keeps_promise(&self, key: Option<&PromisedKey>) -> bool {
        let carries = |key: &PromisedKey| {
            let mut values = self.request.headers.get_all(&key.name).iter();
            // Of two values a provider may take the other one.
            values.next().is_some_and(|value| key.is_held_by(value)) && values.next().is_none()
        };
        !self.state_changing || key.is_none_or(carries)
    }
}

/// Checks a request against the rules and attaches what it may carry.
pub(crate) fn prepare(
    rules: &Rules,
    connection: &ConnectionContext,
    request: wit::Request,
    answer_bytes_max: u64,
) -> Result<Prepared, Denial> {
    let target = target::Target::parse(&request.url)?;
    let (method, method_name) = method(request.method);
    let (rule, attachment) = rules.find(
        connection.environment,
        &target,
        method_name,
        request.auth.as_deref(),
    )?;
    if target.query_names().any(|name| is_override(&name)) {
        return Err(Denial::QueryOverride);
    }
    let (mut headers, content_type) = headers::check(&request.headers)?;
    let wanted = headers::wanted(&request.want_headers)?;
    let mut draft = attach::Draft {
        query: target.query().unwrap_or_default().to_owned(),
        body: body::Draft::new(request.body, content_type, &method)?,
        grant: None,
    };
    if let Some(attachment) = attachment {
        let credentials = &connection.credentials;
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
        grant: draft.grant,
        request: OutboundRequest {
            method,
            origin: origin(&target),
            target: path_and_query(target.path(), &draft.query)?,
            headers,
            body,
            answer_bytes_max,
            written: Written::default(),
        },
    })
}

fn origin(target: &target::Target) -> Origin {
    Origin {
        tls: true,
        host: target.host().to_owned(),
        port: target.port(),
    }
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
