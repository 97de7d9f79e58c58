//! One answer, before faults and framing.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn empty(status: StatusCode) -> Reply {
        Reply {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
        match serde_json::to_vec(value) {
            Ok(body) => Reply::of(status, "application/json", body),
            // Only a map with keys that are not text gets here; none of ours is such a map.
            Err(error) => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }

    pub(crate) fn text(status: StatusCode, body: &str) -> Reply {
        Reply::of(status, "text/plain; charset=utf-8", body.to_owned())
    }

    pub(crate) fn of(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Reply {
        let mut reply = Reply::empty(status);
        reply
            .headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        reply.body = body.into();
        reply
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<HeaderValue>) -> Reply {
        self.headers
            .insert(HeaderName::from_static(name), value.into());
        self
    }
}
