//! Requests to the provider and its answers.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use crate::json::Object;
use crate::outbound::{self, Body, Method, SendError};
use crate::time;

/// Waiting times that a provider asks for are cut to a day: beyond that it is a fault of theirs.
const RETRY_AFTER_MS_MAX: u64 = 86_400_000;

/// One request, put together in steps.
///
/// ```no_run
/// use onerouter_plugin::failure;
/// use onerouter_plugin::http::Request;
/// # fn send() -> Result<(), onerouter_plugin::common::CallError> {
/// let answer = Request::post("https://api.acme.example/v1/messages")
///     .auth("token")
///     .json(r#"{"to":"+14155550100"}"#)
///     .want("retry-after")
///     .send()
///     .map_err(failure::after_write)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Request(outbound::Request);

impl Request {
    /// A request of any method.
    #[must_use]
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self(outbound::Request {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: Body::Empty,
            auth: None,
            want_headers: Vec::new(),
            timeout_ms: None,
        })
    }

    /// `GET`.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::Get, url)
    }

    /// `POST`, without a body so far.
    #[must_use]
    pub fn post(url: impl Into<String>) -> Self {
        Self::new(Method::Post, url)
    }

    /// Authenticates by the entry of this name under `auth` in the manifest.
    #[must_use]
    pub fn auth(mut self, name: &str) -> Self {
        self.0.auth = Some(name.to_owned());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.0.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends this JSON text.
    #[must_use]
    pub fn json(mut self, text: impl Into<String>) -> Self {
        self.0.body = Body::Json(text.into());
        self
    }

    /// Sends a form with these fields, in this order.
    #[must_use]
    pub fn form(mut self, fields: Vec<(String, String)>) -> Self {
        self.0.body = Body::Form(fields);
        self
    }

    /// Asks for a header of the answer; the name in lower case.
    #[must_use]
    pub fn want(mut self, header: &str) -> Self {
        self.0.want_headers.push(header.to_owned());
        self
    }

    /// Gives the provider less time than what is left of the call.
    #[must_use]
    pub fn timeout_ms(mut self, timeout_ms: u32) -> Self {
        self.0.timeout_ms = Some(timeout_ms);
        self
    }

    /// Sends the request and waits for the whole answer.
    ///
    /// # Errors
    /// Where there is no complete answer. [`failure::after_write`](crate::failure::after_write) and
    /// [`failure::after_read`](crate::failure::after_read) tell what that means for the call.
    pub fn send(&self) -> Result<Answer, SendError> {
        let response = outbound::send(&self.0)?;
        Ok(Answer {
            status: response.status,
            headers: response.headers,
            body: response.body,
        })
    }
}

/// A complete answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The headers that were asked for, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether the status is 200 to 299.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// The first header of this name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(present, _)| present == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body, where it is a JSON object.
    #[must_use]
    pub fn object(&self) -> Option<Object<'_>> {
        Object::read(&self.body)
    }

    /// The body as text for `raw`, where it is UTF-8.
    #[must_use]
    pub fn raw(&self) -> Option<String> {
        core::str::from_utf8(&self.body).ok().map(str::to_owned)
    }

    /// What `Retry-After` says, seconds or a date, in milliseconds from `now`.
    ///
    /// The header must have been asked for.
    #[must_use]
    pub fn retry_after_ms(&self, now: u64) -> Option<u64> {
        let value = self.header("retry-after")?.trim();
        let wait = match value.parse::<u64>() {
            Ok(seconds) => seconds.saturating_mul(1_000),
            Err(_) => time::parse_rfc2822(value)?.saturating_sub(now),
        };
        Some(wait.min(RETRY_AFTER_MS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn waiting(value: &str) -> Answer {
        Answer {
            status: 429,
            headers: vec![("retry-after".into(), value.into())],
            body: Vec::new(),
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        assert_eq!(waiting("3").retry_after_ms(0), Some(3_000));
        let now = time::parse_rfc2822("Sun, 06 Nov 1994 08:49:30 GMT").unwrap();
        let date = waiting("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date.retry_after_ms(now), Some(7_000));
        assert_eq!(date.retry_after_ms(now + 60_000), Some(0));
    }

    #[test]
    fn a_useless_retry_after_is_left_out_and_an_endless_one_is_cut() {
        assert_eq!(waiting("soon").retry_after_ms(0), None);
        assert_eq!(waiting("-1").retry_after_ms(0), None);
        assert_eq!(
            waiting("18446744073709551615").retry_after_ms(0),
            Some(RETRY_AFTER_MS_MAX)
        );
    }
}
