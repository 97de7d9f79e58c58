//! What RFC 9112 asks of a request's head, and the HTTP library does not. A proxy in front of us may
//! read such a request in another way than we do; so nobody is to act on it.

use axum::extract::Request;
use http::{HeaderValue, Version, header};
use onerouter_domain::code::ErrorCode;

use crate::service::refusal::{FieldMistake, Refusal};

/// Refuses a request without exactly one host (section 3.2), or with a coding of its transfer other
/// than `chunked` (section 6.1).
///
/// A `Content-Length` beside a coding is taken away by the library, which closes the connection
/// after the answer: what a proxy might take for another request is never read.
pub(in crate::http) fn check(request: &Request) -> Result<(), Refusal> {
    if request.version() > Version::HTTP_11 {
        return Ok(());
    }
    let headers = request.headers();
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), None) => {}
        (Some(_), Some(_)) => return Err(invalid("Host", "stands there more than once")),
        (None, _) if request.version() == Version::HTTP_11 => {
            return Err(invalid("Host", "is missing"));
        }
        (None, _) => {}
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if is_chunked(only) => Ok(()),
        (Some(_), _) => Err(invalid(
            "Transfer-Encoding",
            "may be chunked and nothing else",
        )),
    }
}

fn is_chunked(coding: &HeaderValue) -> bool {
    coding
        .as_bytes()
        .trim_ascii()
        .eq_ignore_ascii_case(b"chunked")
}

fn invalid(name: &str, detail: &str) -> Refusal {
    Refusal {
        errors: vec![FieldMistake::new(name, "invalid", detail)],
        ..Refusal::new(
            ErrorCode::InvalidHeader,
            format!("The header {name} {detail}."),
        )
    }
}
