//! The headers of a request.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::denial::Denial;

const COUNT_MAX: usize = 32;
const BYTES_MAX: usize = 16 << 10;
const WANT_MAX: usize = 16;

/// Set by the host, or with a meaning on the way that an adapter has no say in. Some servers read
/// an underscore as a hyphen, so names are compared with hyphens.
const RESERVED: [&str; 25] = [
    "accept-charset",
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "cookie",
    "cookie2",
    "early-data",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "if-range",
    "keep-alive",
    "max-forwards",
    "origin",
    "range",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-real-ip",
];

const RESERVED_PREFIXES: [&str; 3] = ["proxy-", "sec-", "x-forwarded-"];

/// A server that honours these does something else than the rule says that was checked.
const OVERRIDES: [&str; 10] = [
    "x-http-method",
    "x-http-method-override",
    "x-http-host-override",
    "x-host",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-url",
    "x-override-url",
    "x-rewrite-url",
];

/// Not handed to an adapter, whatever it wants.
const WITHHELD: [&str; 6] = [
    "authorization",
    "authentication-info",
    "proxy-authenticate",
    "proxy-authentication-info",
    "set-cookie",
    "set-cookie2",
];

/// Checks an adapter's headers. A content type is taken out, because the body decides about it.
pub(super) fn check(
    pairs: &[(String, String)],
) -> Result<(HeaderMap, Option<HeaderValue>), Denial> {
    if pairs.len() > COUNT_MAX {
        return Err(Denial::HeaderCount);
    }
    let bytes: usize = pairs
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > BYTES_MAX {
        return Err(Denial::HeaderSize);
    }
    // Room for what the host adds.
    let mut headers = HeaderMap::with_capacity(pairs.len() + 4);
    let mut content_type = None;
    for (name, value) in pairs {
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_no_token| Denial::HeaderName)?;
        check_name(name.as_str())?;
        let value = visible(value)?;
        if name == header::CONTENT_TYPE {
            if content_type.replace(value).is_some() {
                return Err(Denial::HeaderContentType);
            }
        } else {
            headers.append(name, value);
        }
    }
    Ok((headers, content_type))
}

fn check_name(name: &str) -> Result<(), Denial> {
    let hyphenated;
    let name = if name.contains('_') {
        hyphenated = name.replace('_', "-");
        hyphenated.as_str()
    } else {
        name
    };
    if OVERRIDES.contains(&name) {
        return Err(Denial::HeaderOverride);
    }
    let reserved = RESERVED.contains(&name)
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix));
    if reserved {
        Err(Denial::HeaderReserved)
    } else {
        Ok(())
    }
}

fn visible(value: &str) -> Result<HeaderValue, Denial> {
    let visible = value
        .bytes()
        .all(|b| b.is_ascii_graphic() || b == b' ' || b == b'\t');
    if !visible {
        return Err(Denial::HeaderValue);
    }
    HeaderValue::from_str(value).map_err(|_unfit| Denial::HeaderValue)
}

/// Which headers of the answer the adapter gets to read.
pub(super) fn wanted(names: &[String]) -> Result<Vec<HeaderName>, Denial> {
    if names.len() > WANT_MAX {
        return Err(Denial::WantCount);
    }
    let mut wanted: Vec<HeaderName> = Vec::with_capacity(names.len());
    for name in names {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_no_token| Denial::WantName)?;
        if !WITHHELD.contains(&name.as_str()) && !wanted.contains(&name) {
            wanted.push(name);
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::{check, wanted};
    use crate::outbound::Denial;

    fn refusal(name: &str, value: &str) -> Option<Denial> {
        check(&[(name.to_owned(), value.to_owned())]).err()
    }

    #[test]
    fn an_adapters_own_headers_pass() {
        for name in [
            "Accept",
            "Idempotency-Key",
            "X-Request-Id",
            "User-Agent",
            "if-match",
        ] {
            assert_eq!(refusal(name, "some value\twith a tab"), None, "{name}");
        }
    }

    #[test]
    fn reserved_headers_are_refused_in_every_spelling() {
        for name in [
            "Host",
            "host",
            "Accept-Encoding",
            "TE",
            "Range",
            "If-Range",
            "Content-Length",
            "Content-Encoding",
            "Transfer-Encoding",
            "Transfer_Encoding",
            "Connection",
            "Keep-Alive",
            "Upgrade",
            "Trailer",
            "Expect",
            "Proxy-Authorization",
            "Proxy-Connection",
            "Authorization",
            "Cookie",
            "Forwarded",
            "X-Forwarded-For",
            "x_forwarded_host",
            "Via",
            "HTTP2-Settings",
            "Sec-Fetch-Site",
        ] {
            assert_eq!(refusal(name, "a"), Some(Denial::HeaderReserved), "{name}");
        }
        for name in [
            "X-HTTP-Method-Override",
            "X_HTTP_Method_Override",
            "X-HTTP-Method",
            "X-Method-Override",
            "X-Original-URL",
            "X-Rewrite-URL",
        ] {
            assert_eq!(
                refusal(name, "DELETE"),
                Some(Denial::HeaderOverride),
                "{name}"
            );
        }
    }

    #[test]
    fn names_and_values_cannot_break_out() {
        for name in ["", "a b", "a:b", "a\r\nb", "a\u{e9}", "a\u{0}", "(a)"] {
            assert_eq!(refusal(name, "a"), Some(Denial::HeaderName), "{name:?}");
        }
        for value in [
            "a\r\nb: c",
            "a\nb",
            "a\rb",
            "a\u{0}",
            "\u{7f}",
            "\u{e9}",
            "\u{1b}[0m",
        ] {
            assert_eq!(refusal("a", value), Some(Denial::HeaderValue), "{value:?}");
        }
    }

    #[test]
    fn count_and_size_are_bounded() {
        let many: Vec<_> = (0..33).map(|n| (format!("a{n}"), String::new())).collect();
        assert_eq!(check(&many).err(), Some(Denial::HeaderCount));
        assert_eq!(
            refusal("a", &"b".repeat(16 << 10)),
            Some(Denial::HeaderSize)
        );
        let names: Vec<_> = (0..17).map(|n| format!("a{n}")).collect();
        assert_eq!(wanted(&names).err(), Some(Denial::WantCount));
        assert_eq!(wanted(&["a b".to_owned()]).err(), Some(Denial::WantName));
    }

    #[test]
    fn cookies_of_an_answer_are_withheld() {
        let names = ["Set-Cookie", "Retry-After", "retry-after"].map(str::to_owned);
        assert_eq!(wanted(&names).unwrap(), ["retry-after"]);
    }

    #[test]
    fn a_content_type_is_named_once() {
        let pair = ("content-type".to_owned(), "text/plain".to_owned());
        let (headers, content_type) = check(std::slice::from_ref(&pair)).unwrap();
        assert_eq!(
            (headers.len(), content_type.unwrap().as_bytes()),
            (0, &b"text/plain"[..])
        );
        assert_eq!(
            check(&[pair.clone(), pair]).err(),
            Some(Denial::HeaderContentType)
        );
    }
}
