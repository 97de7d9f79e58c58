//! The body of a request.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use bytes::Bytes;
use http::{HeaderValue, Method};
use url::form_urlencoded;

use super::{is_override, wit};
use crate::outbound::denial::Denial;

/// Larger bodies are refused.
pub(crate) const BODY_BYTES_MAX: usize = 32 << 20;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// A checked body that credentials may still be added to.
#[derive(Debug)]
pub(super) enum Draft {
    Empty,
    Json(Bytes),
    Form(Vec<(String, String)>),
    Bytes(HeaderValue, Bytes),
}

impl Draft {
    pub(super) fn new(
        body: wit::Body,
        content_type: Option<HeaderValue>,
        method: &Method,
    ) -> Result<Self, Denial> {
        let draft = match body {
            wit::Body::Empty => Self::Empty,
            wit::Body::Json(text) => Self::Json(text.into()),
            wit::Body::Form(pairs) => Self::Form(pairs),
            wit::Body::Bytes(bytes) => {
                let content_type = content_type.unwrap_or(OCTETS);
                check_bytes(&content_type, &bytes)?;
                return Self::Bytes(content_type, bytes.into()).bounded(method);
            }
        };
        if content_type.is_some() {
            return Err(Denial::HeaderContentType);
        }
        if let Self::Form(pairs) = &draft
            && pairs.iter().any(|(name, _)| is_override(name))
        {
            return Err(Denial::BodyOverride);
        }
        draft.bounded(method)
    }

    fn bounded(self, method: &Method) -> Result<Self, Denial> {
        let bytes = match &self {
            Self::Empty => return Ok(self),
            Self::Json(bytes) | Self::Bytes(_, bytes) => bytes.len(),
            Self::Form(pairs) => pairs
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum(),
        };
        if method == Method::GET || method == Method::HEAD {
            return Err(Denial::BodyNotAllowed);
        }
        if bytes > BODY_BYTES_MAX {
            return Err(Denial::BodySize);
        }
        Ok(self)
    }

    /// Content type and bytes.
    pub(super) fn encode(self) -> (Option<HeaderValue>, Bytes) {
        match self {
            Self::Empty => (None, Bytes::new()),
            Self::Json(bytes) => (Some(JSON), bytes),
            Self::Bytes(content_type, bytes) => (Some(content_type), bytes),
            Self::Form(pairs) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(pairs);
                (Some(FORM), form.finish().into())
            }
        }
    }
}

/// How a form of several parts names the field that overrides the method.
static MULTIPART_OVERRIDE: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(["name=\"_method\"", "name=_method", "name='_method'"])
        .ok()
});

/// Bytes are free, but not as a way around the checks of forms.
fn check_bytes(content_type: &HeaderValue, bytes: &[u8]) -> Result<(), Denial> {
    let content_type = content_type
        .to_str()
        .unwrap_or_default()
        .to_ascii_lowercase();
    if content_type.contains("urlencoded") {
        return Err(Denial::BodyForm);
    }
    let overrides = content_type.contains("multipart")
        && MULTIPART_OVERRIDE
            .as_ref()
            .is_none_or(|overrides| overrides.is_match(bytes));
    if overrides {
        Err(Denial::BodyOverride)
    } else {
        Ok(())
    }
}
