//! The URL of a request: read once, by strict rules, so that what was checked is what is sent.
//!
//! URLs are refused rather than repaired. Whatever a parser would change, drop or decode is a
//! place where two programs may disagree on where a request goes.

use url::{Host, Url};

use super::denial::Denial;

/// Longer URLs are refused.
const URL_BYTES_MAX: usize = 8 << 10;

const SCHEME: &str = "https://";

/// A URL that passed. Its parts are as they stood in the text.
#[derive(Debug)]
pub(crate) struct Target {
    url: Url,
    port: u16,
}

impl Target {
    pub(crate) fn parse(text: &str) -> Result<Self, Denial> {
        if text.len() > URL_BYTES_MAX {
            return Err(Denial::UrlLength);
        }
        if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return Err(Denial::UrlCharacters);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(Denial::UrlScheme)?;
        if rest.contains('#') {
            return Err(Denial::UrlFragment);
        }
        check_authority(rest)?;
        let url = Url::parse(text).map_err(|_syntax| Denial::UrlSyntax)?;
        match url.host() {
            Some(Host::Domain(_)) => {}
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => return Err(Denial::HostAddress),
            None => return Err(Denial::UrlSyntax),
        }
        check_path(raw_path(rest))?;
        if url.as_str() != text {
            return Err(Denial::UrlNotNormal);
        }
        let port = url.port_or_known_default().ok_or(Denial::UrlSyntax)?;
        Ok(Self { url, port })
    }

    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn path(&self) -> &str {
        self.url.path()
    }

    pub(crate) fn query(&self) -> Option<&str> {
        self.url.query()
    }

    /// Names in the query, decoded.
    pub(crate) fn query_names(&self) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
        self.url.query_pairs().map(|(name, _)| name)
    }
}

/// Host and port, before any parser touches them.
fn check_authority(rest: &str) -> Result<(), Denial> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = rest.get(..end).unwrap_or_default();
    if authority.contains('@') {
        return Err(Denial::UrlUserInfo);
    }
    if authority.starts_with('[') {
        return Err(Denial::HostAddress);
    }
    let host = authority.split(':').next().unwrap_or_default();
    if host.is_empty() || host.contains("..") {
        return Err(Denial::UrlSyntax);
    }
    if host.ends_with('.') {
        return Err(Denial::HostTrailingDot);
    }
    let plain = host
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
    if plain {
        Ok(())
    } else {
        Err(Denial::HostCharacters)
    }
}

fn raw_path(rest: &str) -> &str {
    let path = rest.find('/').and_then(|start| rest.get(start..));
    let path = path.unwrap_or_default();
    path.split('?').next().unwrap_or_default()
}

fn check_path(path: &str) -> Result<(), Denial> {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return Err(Denial::PathEmptySegment);
        }
        // Some servers cut `;parameters` off before they look for dots.
        let name = segment.split(';').next().unwrap_or_default();
        if name == "." || name == ".." {
            return Err(Denial::PathDotSegment);
        }
        check_encoding(segment)?;
    }
    Ok(())
}

/// Only what needs encoding may be encoded: else one path would have several spellings, and a rule
/// could be passed by one that it does not know.
fn check_encoding(segment: &str) -> Result<(), Denial> {
    let mut pieces = segment.split('%');
    pieces.next();
    for piece in pieces {
        let byte = piece
            .get(..2)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .ok_or(Denial::PathEncoding)?;
        let hides = !byte.is_ascii()
            || byte.is_ascii_control()
            || byte.is_ascii_alphanumeric()
            || b"/\\%.-_~".contains(&byte);
        if hides {
            return Err(Denial::PathEncoding);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Target;
    use crate::outbound::Denial;

    #[test]
    fn a_normal_url_passes_unchanged() {
        for text in [
            "https://api.example.com/",
            "https://api.example.com/v1/things",
            "https://api.example.com/v1/things/",
            "https://api.example.com/v1/things.json?a=b&c=%20d&e=a%2Fb..%2F",
            "https://api.example.com/v1/a%40example.com",
            "https://api.example.com/v1/a%20b",
            "https://api.example.com/v1/things:batch/~me/...",
            "https://api.example.com:8443/v1",
        ] {
            let target = Target::parse(text).unwrap();
            let port = if target.port() == 443 {
                String::new()
            } else {
                format!(":{}", target.port())
            };
            let query = target.query().map(|query| format!("?{query}"));
            let again = format!(
                "https://{}{port}{}{}",
                target.host(),
                target.path(),
                query.unwrap_or_default()
            );
            assert_eq!(again, text);
        }
    }

    #[test]
    fn every_odd_url_is_refused_with_its_reason() {
        let long = format!("https://api.example.com/{}", "a".repeat(8192));
        let table = [
            (long.as_str(), Denial::UrlLength),
            ("https://api.example.com/a b", Denial::UrlCharacters),
            ("https://api.example.com/\u{e9}", Denial::UrlCharacters),
            ("https://api.ex\u{e4}mple.com/", Denial::UrlCharacters),
            ("https://api\u{3002}example.com/", Denial::UrlCharacters),
            (
                "https://api.example.com\\@evil.example/",
                Denial::UrlCharacters,
            ),
            ("https:\\\\api.example.com/", Denial::UrlCharacters),
            ("https://api.example.com/v1\\..\\", Denial::UrlCharacters),
            ("https://api.example.com/\r\nHost: a", Denial::UrlCharacters),
            ("https://api.example.com/\u{0}", Denial::UrlCharacters),
            ("https://api.example.com/a\tb", Denial::UrlCharacters),
            (" https://api.example.com/", Denial::UrlCharacters),
            ("https://api.example.com/ ", Denial::UrlCharacters),
            ("", Denial::UrlScheme),
            ("/v1/things", Denial::UrlScheme),
            ("//api.example.com/", Denial::UrlScheme),
            ("http://api.example.com/", Denial::UrlScheme),
            ("HTTPS://api.example.com/", Denial::UrlScheme),
            ("https:/api.example.com/", Denial::UrlScheme),
            ("https:api.example.com/", Denial::UrlScheme),
            ("ftp://api.example.com/", Denial::UrlScheme),
            ("file:///etc/passwd", Denial::UrlScheme),
            ("data:text/plain,a", Denial::UrlScheme),
            ("gopher://api.example.com/", Denial::UrlScheme),
            ("https://api.example.com/#a", Denial::UrlFragment),
            (
                "https://api.example.com#@evil.example/",
                Denial::UrlFragment,
            ),
            ("https://user@api.example.com/", Denial::UrlUserInfo),
            (
                "https://user:password@api.example.com/",
                Denial::UrlUserInfo,
            ),
            ("https://@api.example.com/", Denial::UrlUserInfo),
            ("https://:@api.example.com/", Denial::UrlUserInfo),
            ("https://api.example.com@evil.example/", Denial::UrlUserInfo),
            (
                "https://api.example.com%40evil.example/",
                Denial::HostCharacters,
            ),
            (
                "https://api.example.com:443@evil.example/",
                Denial::UrlUserInfo,
            ),
            ("https://127.0.0.1/", Denial::HostAddress),
            ("https://127.1/", Denial::HostAddress),
            ("https://2130706433/", Denial::HostAddress),
            ("https://0x7f000001/", Denial::HostAddress),
            ("https://0x7f.0.0.1/", Denial::HostAddress),
            ("https://0177.0.0.1/", Denial::HostAddress),
            ("https://[::1]/", Denial::HostAddress),
            ("https://[::ffff:127.0.0.1]/", Denial::HostAddress),
            ("https://[fe80::1%25eth0]/", Denial::HostAddress),
            ("https://api.example.com./", Denial::HostTrailingDot),
            ("https://api.example.com.:443/", Denial::HostTrailingDot),
            ("https://API.example.com/", Denial::HostCharacters),
            ("https://%61pi.example.com/", Denial::HostCharacters),
            ("https://api_.example.com/", Denial::HostCharacters),
            (
                "https://api.example.com,evil.example/",
                Denial::HostCharacters,
            ),
            ("https://api.example.com;a/", Denial::HostCharacters),
            ("https://api.example.com&a/", Denial::HostCharacters),
            ("https:///v1", Denial::UrlSyntax),
            ("https:////api.example.com/", Denial::UrlSyntax),
            ("https://api..example.com/", Denial::UrlSyntax),
            ("https://:443/", Denial::UrlSyntax),
            ("https://api.example.com:99999/", Denial::UrlSyntax),
            ("https://api.example.com:-1/", Denial::UrlSyntax),
            ("https://api.example.com:80:443/", Denial::UrlSyntax),
            ("https://api.example.com:evil.example/", Denial::UrlSyntax),
            ("https://api.example.com", Denial::UrlNotNormal),
            ("https://api.example.com?a=b", Denial::UrlNotNormal),
            ("https://api.example.com:443/", Denial::UrlNotNormal),
            ("https://api.example.com:/", Denial::UrlNotNormal),
            ("https://api.example.com:0443/", Denial::UrlNotNormal),
            ("https://api.example.com:08443/", Denial::UrlNotNormal),
            ("https://api.example.com/a?b='c'", Denial::UrlNotNormal),
            ("https://api.example.com/<script>", Denial::UrlNotNormal),
            ("https://api.example.com/a\"b", Denial::UrlNotNormal),
            ("https://api.example.com/a{b}", Denial::UrlNotNormal),
            ("https://api.example.com//", Denial::PathEmptySegment),
            (
                "https://api.example.com//evil.example/",
                Denial::PathEmptySegment,
            ),
            (
                "https://api.example.com/v1//things",
                Denial::PathEmptySegment,
            ),
            ("https://api.example.com/v1/..", Denial::PathDotSegment),
            (
                "https://api.example.com/v1/../admin",
                Denial::PathDotSegment,
            ),
            (
                "https://api.example.com/v1/./things",
                Denial::PathDotSegment,
            ),
            (
                "https://api.example.com/v1/..;/admin",
                Denial::PathDotSegment,
            ),
            (
                "https://api.example.com/v1/..;a=b/admin",
                Denial::PathDotSegment,
            ),
            (
                "https://api.example.com/v1/%2e%2e/admin",
                Denial::PathEncoding,
            ),
            (
                "https://api.example.com/v1/.%2e/admin",
                Denial::PathEncoding,
            ),
            (
                "https://api.example.com/v1/%2E%2E/admin",
                Denial::PathEncoding,
            ),
            (
                "https://api.example.com/v1/%252e%252e/admin",
                Denial::PathEncoding,
            ),
            (
                "https://api.example.com/v1/..%2fadmin",
                Denial::PathEncoding,
            ),
            (
                "https://api.example.com/v1/..%5cadmin",
                Denial::PathEncoding,
            ),
            (
                "https://api.example.com/v1/%c0%ae%c0%ae/",
                Denial::PathEncoding,
            ),
            (
                "https://api.example.com/v1/%ef%bc%8e/",
                Denial::PathEncoding,
            ),
            (
                "https://api.example.com/v1/%0d%0aHost:a",
                Denial::PathEncoding,
            ),
            ("https://api.example.com/v1/%00", Denial::PathEncoding),
            ("https://api.example.com/v1/%7f", Denial::PathEncoding),
            (
                "https://api.example.com/%76%31/things",
                Denial::PathEncoding,
            ),
            ("https://api.example.com/v1/%", Denial::PathEncoding),
            ("https://api.example.com/v1/%2", Denial::PathEncoding),
            ("https://api.example.com/v1/%zz", Denial::PathEncoding),
            ("https://api.example.com/v1/%u002e", Denial::PathEncoding),
        ];
        let mut wrong = Vec::new();
        for (text, reason) in table {
            let refused = Target::parse(text).err();
            if refused != Some(reason) {
                wrong.push((text, reason, refused));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    proptest::proptest! {
        #[test]
        fn what_passes_cannot_be_read_in_another_way(
            host in "[a-z0-9.%@:\\[\\]-]{1,20}",
            path in "[a-zA-Z0-9./%;:@_~?&=-]{0,30}",
        ) {
            let text = format!("https://{host}/{path}");
            if let Ok(target) = Target::parse(&text) {
                let (authority, rest) = text.split_at(8).1.split_once('/').unwrap();
                let name = authority.split(':').next().unwrap();
                let raw = format!("/{}", rest.split('?').next().unwrap());
                proptest::prop_assert_eq!(target.host(), name);
                proptest::prop_assert_eq!(target.path(), &raw);
                let once = decoded(&raw);
                for decoded in [&raw, &once, &decoded(&once)] {
                    proptest::prop_assert!(!decoded.contains("//"));
                    let mut segments = decoded.split(['/', ';']);
                    proptest::prop_assert!(segments.all(|part| part != "." && part != ".."));
                }
            }
        }
    }

    fn decoded(text: &str) -> String {
        let pair = format!("a={}", text.replace('+', "%2B").replace('&', "%26"));
        let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
        pairs.next().unwrap().1.into_owned()
    }
}
