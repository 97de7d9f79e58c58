//! What an adapter wants to send: a URL in the first line, a header in each further one.

use url::Url;

#[path = "../../../host/engine/src/outbound/denial.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "not every reason can be met here"
)]
mod denial;
#[path = "../../../host/engine/src/outbound/headers.rs"]
#[expect(dead_code, reason = "answers are not looked at")]
mod headers;
#[path = "../../../host/engine/src/outbound/target.rs"]
mod target;

pub(crate) fn outbound(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let mut lines = text.split('\n');
    url(lines.next().unwrap_or_default());
    let pairs: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let Ok((headers, _content_type)) = headers::check(&pairs) else {
        return;
    };
    for name in ["host", "authorization", "transfer-encoding", "range", "te"] {
        assert!(!headers.contains_key(name), "{name} passed");
    }
    for value in headers.values() {
        assert!(!value.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte)));
    }
}

/// What passes is read alike by another parser, and leads to a name.
fn url(text: &str) {
    let Ok(target) = target::Target::parse(text) else {
        return;
    };
    let Ok(url) = Url::parse(text) else {
        panic!("passed, but is no URL: {text}");
    };
    assert_eq!(url.as_str(), text);
    assert_eq!(url.scheme(), "https");
    assert_eq!(url.host_str(), Some(target.host()));
    assert_eq!(url.port_or_known_default(), Some(target.port()));
    assert_eq!((url.path(), url.query()), (target.path(), target.query()));
    assert!(url.username().is_empty() && url.password().is_none());
    assert!(url.fragment().is_none());
    assert!(!target.path().split('/').any(|segment| segment == ".."));
    assert!(target.query_names().count() <= text.len());
    let uri: Result<http::Uri, _> = text.parse();
    if let Ok(uri) = uri {
        assert_eq!(uri.host(), Some(target.host()), "two parsers, two hosts");
        assert_eq!(uri.path(), target.path(), "two parsers, two paths");
    }
}
