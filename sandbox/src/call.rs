//! One request to a provider, fully read.

use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, Method, StatusCode, Uri};

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    /// Bytes of `uri`'s path that only chose the provider (`/twilio`).
    pub(crate) prefix: usize,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// 0 until answered: the log shows requests that never were.
    answered: AtomicU16,
}

impl Call {
    pub(crate) fn new(
        parts: http::request::Parts,
        body: Bytes,
        prefix: usize,
        received_at: DateTime<Utc>,
    ) -> Call {
        Call {
            received_at,
            method: parts.method,
            uri: parts.uri,
            prefix,
            headers: parts.headers,
            body,
            answered: AtomicU16::new(0),
        }
    }

    /// The path as the provider knows it.
    pub(crate) fn path(&self) -> &str {
        self.uri.path().get(self.prefix..).unwrap_or_default()
    }

    pub(crate) fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }

    /// A header as text; one that is not text counts as absent.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn set_answered(&self, status: StatusCode) {
        self.answered.store(status.as_u16(), Ordering::Relaxed);
    }

    pub(crate) fn answered(&self) -> Option<u16> {
        Some(self.answered.load(Ordering::Relaxed)).filter(|status| *status != 0)
    }
}
