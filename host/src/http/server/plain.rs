//! Answers to clients whose requests never reach the router: what is not HTTP, what is too long to
//! be read, what comes too late, and what there is no room for. They look as all others do, in
//! HTTP/1: what the library refuses of HTTP/2 it refuses in its own words, which are a bare 431 for a
//! head above `HEAD_BYTES_MAX_2` and resets for the rest.

use axum::response::Response;
use chrono::{DateTime, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::id::RequestId;

use crate::clock::Clock;
use crate::http::envelope::X_REQUEST_ID;
use crate::http::problem;
use crate::ids;
use crate::service::refusal::Refusal;

/// No answer of the HTTP library's own is longer: a status line and three headers.
const BARE_BYTES_MAX: usize = 256;

/// Finds the answer that the HTTP library gave by itself, if `bytes` end with one: where it begins,
/// and its status. Every answer of ours has more headers than those three.
pub(super) fn find_bare(bytes: &[u8]) -> Option<(usize, u16)> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = bytes.len().saturating_sub(BARE_BYTES_MAX);
    let tail = bytes.get(from..)?;
    let mark = b"HTTP/1.";
    let at = tail
        .windows(mark.len())
        .rposition(|window| window == mark)?;
    let text = std::str::from_utf8(tail.get(at..)?).ok()?;
    let mut lines = text.trim_end().split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let is_bare = matches!(status, 400 | 414 | 431)
        && lines.all(|line| {
            matches!(line, "connection: close" | "content-length: 0") || line.starts_with("date: ")
        });
    is_bare.then_some((from.saturating_add(at), status))
}

/// What is said in the place of a bare answer.
pub(super) fn instead_of(status: u16) -> Vec<u8> {
    let refusal = match status {
        413 => Refusal::new(ErrorCode::BodyTooLarge, "The body is too large."),
        414 => Refusal::new(ErrorCode::UriTooLong, "The URL is too long."),
        431 => Refusal::new(
            ErrorCode::HeadersTooLarge,
            "There are too many headers, or they are too long.",
        ),
        _ => Refusal::new(
            ErrorCode::InvalidHeader,
            "The request line or a header is not valid HTTP/1.1.",
        ),
    };
    words(&refusal)
}

/// To a client whose headers did not arrive in time.
pub(super) fn too_late() -> Vec<u8> {
    words(&Refusal::new(
        ErrorCode::RequestTimeout,
        "The headers did not arrive in time.",
    ))
}

/// To a client for whom there is no room.
pub(super) fn overloaded() -> Vec<u8> {
    words(&no_room())
}

/// The same as a response.
pub(super) fn overloaded_response() -> Response {
    let id = RequestId::from_uuid(ids::next()).to_string();
    let mut response = problem::render(&no_room(), &id);
    if let Ok(value) = id.try_into() {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}

fn no_room() -> Refusal {
    Refusal::new(
        ErrorCode::Overloaded,
        "The gateway has as many clients as it can; nothing was taken. Try again.",
    )
    .retry_after(1)
}

/// A whole HTTP/1.1 answer, after which the connection closes.
fn words(refusal: &Refusal) -> Vec<u8> {
    let id = RequestId::from_uuid(ids::next()).to_string();
    let response = problem::render(refusal, &id);
    let status = response.status();
    metrics::counter!("onerouter_http_refused_early_total", "code" => refusal.code.as_str())
        .increment(1);
    let (_, body) = problem::stored(refusal, &id);
    let mut words = format!(
        "HTTP/1.1 {} {}\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or("")
    )
    .into_bytes();
    let mut header = |name: &str, value: &[u8]| {
        words.extend_from_slice(name.as_bytes());
        words.extend_from_slice(b": ");
        words.extend_from_slice(value);
        words.extend_from_slice(b"\r\n");
    };
    for (name, value) in response.headers() {
        header(name.as_str(), value.as_bytes());
    }
    header(X_REQUEST_ID.as_str(), id.as_bytes());
    header("x-content-type-options", b"nosniff");
    header("cache-control", b"no-store");
    header("content-length", body.len().to_string().as_bytes());
    header("connection", b"close");
    header("date", date(Clock::default().now()).as_bytes());
    words.extend_from_slice(b"\r\n");
    words.extend_from_slice(&body);
    words
}

/// As HTTP writes times.
fn date(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: Mon, 23 Nov 2026 17:00:00 GMT\r\n\r\n";

    #[test]
    fn a_bare_answer_is_found_alone_and_behind_another() {
        assert_eq!(find_bare(BARE), Some((0, 400)));
        let mut both =
            b"HTTP/1.1 200 OK\r\nx-request-id: a\r\ncontent-length: 2\r\n\r\n{}".to_vec();
        let at = both.len();
        both.extend_from_slice(BARE);
        assert_eq!(find_bare(&both), Some((at, 400)));
    }

    #[test]
    fn answers_of_ours_are_left_alone() {
        for own in [
            "HTTP/1.1 400 Bad Request\r\nx-request-id: a\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n{}",
            "\r\n\r\n",
            "",
        ] {
            assert_eq!(find_bare(own.as_bytes()), None, "{own}");
        }
    }

    #[test]
    fn dates_are_written_as_http_writes_them() {
        let time = DateTime::from_timestamp(784_111_777, 0).unwrap();
        assert_eq!(date(time), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
