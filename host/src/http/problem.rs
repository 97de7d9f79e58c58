//! Every refusal as an RFC 9457 problem document.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::service::refusal::Refusal;

/// Media type of a problem document.
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Where the codes are described; each has an anchor.
const DOCS: &str = "https://onerouter.dev/docs/errors";

/// `application/problem+json`
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "https://onerouter.dev/docs/errors#validation_failed",
    "title": "The request is not valid",
    "status": 422,
    "detail": "/to: must be a phone number in E.164 form: + and 7 to 15 digits, such as +14155550123",
    "code": "validation_failed",
    "request_id": "req_01h455vb4pex5vsknk084sn02q",
    "retryable": false,
    "errors": [{"pointer": "/to", "code": "invalid", "detail": "must be a phone number in E.164 form: + and 7 to 15 digits, such as +14155550123"}]
}))]
pub(crate) struct ProblemDocument<'a> {
    /// Names the kind of problem and leads to its description.
    #[serde(rename = "type")]
    kind: String,
    /// The same for every problem with this code.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// A sentence about this very problem.
    detail: &'a str,
    /// Stable; switch on this.
    code: &'static str,
    /// Quote it when you ask for help.
    request_id: &'a str,
    /// Whether the same request, unchanged and with the same idempotency key, may succeed later.
    retryable: bool,
    /// Every broken rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ProblemField<'a>>,
    /// The object that the request made or was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    /// What the provider said, where one refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<ProblemProvider<'a>>,
}

/// One broken rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemField<'a> {
    /// JSON Pointer into the body, `?name` for a query parameter, or a header's name.
    pointer: &'a str,
    /// Snake case.
    code: &'a str,
    /// What would be accepted.
    detail: &'a str,
}

/// A provider's refusal in its own words.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemProvider<'a> {
    /// Which provider.
    name: &'a str,
    /// Its code.
    code: Option<&'a str>,
    /// Its words.
    message: Option<&'a str>,
    /// Its HTTP status.
    http_status: Option<u16>,
}

impl<'a> ProblemDocument<'a> {
    pub(crate) fn new(refusal: &'a Refusal, request_id: &'a str) -> Self {
        Self {
            kind: format!("{DOCS}#{}", refusal.code),
            title: refusal.code.title(),
            status: refusal.code.status(),
            detail: &refusal.detail,
            code: refusal.code.as_str(),
            request_id,
            retryable: refusal.is_retryable(),
            errors: refusal
                .errors
                .iter()
                .map(|mistake| ProblemField {
                    pointer: &mistake.pointer,
                    code: mistake.code,
                    detail: &mistake.detail,
                })
                .collect(),
            id: refusal.object_id.as_deref(),
            provider: refusal.provider.as_ref().map(|answer| ProblemProvider {
                name: &answer.name,
                code: answer.code.as_deref(),
                message: answer.message.as_deref(),
                http_status: answer.http_status,
            }),
        }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        // Plain strings and numbers: there is nothing that JSON could not hold.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// A refusal on its way out.
///
/// The request's id is put into the body by the outermost layer, which alone knows it in every case
/// (a panic, a timeout); handlers leave the refusal in the response's extensions.
#[derive(Debug, Clone)]
pub struct Problem(pub(crate) Refusal);

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = status(&self.0).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The finished answer to a refused request.
pub(crate) fn render(refusal: &Refusal, request_id: &str) -> Response {
    let body = ProblemDocument::new(refusal, request_id).to_bytes();
    let mut response = (status(refusal), body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
    let mut insert = |name: HeaderName, value: Option<String>| {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    };
    insert(
        header::RETRY_AFTER,
        refusal.retry_after_s.map(|seconds| seconds.to_string()),
    );
    if refusal.code.status() == 401 {
        insert(header::WWW_AUTHENTICATE, Some("Bearer".to_owned()));
    }
    response
}

/// The bytes of a refusal as they are kept for a repeated request.
pub(crate) fn stored(refusal: &Refusal, request_id: &str) -> (u16, Bytes) {
    (
        refusal.code.status(),
        ProblemDocument::new(refusal, request_id).to_bytes(),
    )
}
