//! Reading blobs.

use std::ops::Range;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::super::Registry;
use super::super::caller::Address;
use super::super::owned::parse_name;
use super::super::refusal::{Kind, Refusal};
use super::{DIGEST_HEADER, header_value, parse_digest};

/// `GET` and `HEAD /v2/{name}/blobs/{digest}`
pub(super) async fn read(
    State(registry): State<Registry>,
    Path((name, digest)): Path<(String, String)>,
    Address(address): Address,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let name = parse_name(&name)?;
    let digest = parse_digest(&digest)?;
    let row = registry.get_blob(name.as_str(), digest).await?;
    let range = wanted(&headers, row.bytes)?;
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        if range.is_none() {
            let by = (address, registry.now().date_naive());
            registry.0.downloads.count(by, name.as_str(), digest);
        }
        registry.0.blobs.stream(row.object, range.clone()).await?
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(DIGEST_HEADER, header_value(&digest.to_string())?);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // What a digest names never changes.
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    let length = match &range {
        None => row.bytes,
        Some(range) => {
            let last = range.end.saturating_sub(1);
            let text = format!("bytes {}-{last}/{}", range.start, row.bytes);
            headers.insert(header::CONTENT_RANGE, header_value(&text)?);
            range.end.saturating_sub(range.start)
        }
    };
    headers.insert(header::CONTENT_LENGTH, length.into());
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// The one range that is asked for. Several, or other units, are answered with the whole, as RFC 9110
/// allows.
fn wanted(headers: &HeaderMap, bytes: u64) -> Result<Option<Range<u64>>, Refusal> {
    let asked = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok()?.strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'));
    let Some((first, last)) = asked else {
        return Ok(None);
    };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(bytes),
        (Ok(first), Err(_)) if last.is_empty() => first..bytes,
        (Err(_), Ok(suffix)) if first.is_empty() => bytes.saturating_sub(suffix)..bytes,
        _ => return Ok(None),
    };
    if range.start < range.end {
        return Ok(Some(range));
    }
    Err(Refusal::new(
        Kind::RangeInvalid,
        format!("the blob has {bytes} bytes"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_has_them() {
        let wanted = |range: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, range.parse().unwrap());
            wanted(&headers, 10).map_err(|_refused| ())
        };
        assert_eq!(wanted("bytes=0-3"), Ok(Some(0..4)));
        assert_eq!(wanted("bytes=4-"), Ok(Some(4..10)));
        assert_eq!(wanted("bytes=4-99"), Ok(Some(4..10)));
        assert_eq!(wanted("bytes=-3"), Ok(Some(7..10)));
        assert_eq!(wanted("bytes=-99"), Ok(Some(0..10)));
        assert_eq!(wanted("bytes=10-"), Err(()));
        assert_eq!(wanted("bytes=-0"), Err(()));
        for whole in [
            "bytes=0-1,4-5",
            "items=0-1",
            "bytes=3-1",
            "bytes=a-b",
            "bytes=-",
        ] {
            assert_eq!(wanted(whole), Ok(None), "{whole}");
        }
    }
}
