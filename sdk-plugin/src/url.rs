//! URLs put together from parts, with what comes from outside percent-encoded.

use alloc::borrow::ToOwned as _;
use alloc::string::String;

/// A URL that grows to the right.
///
/// ```
/// use onerouter_plugin::url::Url;
///
/// let url = Url::new("https://api.acme.example/v1")
///     .segment("messages")
///     .segment("a/b")
///     .query("to", "+1 415");
/// assert_eq!(url.as_str(), "https://api.acme.example/v1/messages/a%2Fb?to=%2B1%20415");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    text: String,
    has_query: bool,
}

impl Url {
    /// Starts with scheme, host and the fixed part of the path, without a slash at its end.
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self {
            text: base.to_owned(),
            has_query: base.contains('?'),
        }
    }

    /// Adds one segment to the path. All segments stand before the first [`query`](Self::query).
    #[must_use]
    pub fn segment(mut self, segment: &str) -> Self {
        self.text.push('/');
        if matches!(segment, "." | "..") {
            // Readers of URLs climb over these, encoded or not. Encoded twice they name nothing.
            for _ in segment.chars() {
                self.text.push_str("%252E");
            }
        } else {
            encode(segment, &mut self.text);
        }
        self
    }

    /// Adds one parameter to the query.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        encode(name, &mut self.text);
        self.text.push('=');
        encode(value, &mut self.text);
        self
    }

    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<Url> for String {
    fn from(url: Url) -> Self {
        url.text
    }
}

/// Appends `part`, with everything but letters, digits and `-._~` percent-encoded.
pub fn encode(part: &str, out: &mut String) {
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(hex_digit(byte >> 4));
            out.push(hex_digit(byte & 15));
        }
    }
}

fn hex_digit(value: u8) -> char {
    char::from(match value {
        0..=9 => b'0'.saturating_add(value),
        _ => b'A'.saturating_add(value.saturating_sub(10)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_segment_cannot_leave_its_place() {
        let url = Url::new("https://api.example.com/v1")
            .segment("..")
            .segment("a?b#c/../d");
        assert_eq!(
            url.as_str(),
            "https://api.example.com/v1/%252E%252E/a%3Fb%23c%2F..%2Fd"
        );
    }

    #[test]
    fn parameters_follow_the_ones_of_the_base() {
        let url = Url::new("https://api.example.com/v1?a=1").query("b c", "2&3");
        assert_eq!(url.as_str(), "https://api.example.com/v1?a=1&b%20c=2%263");
    }

    proptest! {
        #[test]
        fn decoding_gives_the_text_back(text in ".*") {
            let mut encoded = String::new();
            encode(&text, &mut encoded);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            let mut bytes = alloc::vec::Vec::new();
            let mut rest = encoded.bytes();
            while let Some(first) = rest.next() {
                if first == b'%' {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    let digits = core::str::from_utf8(&digits).unwrap();
                    bytes.push(u8::from_str_radix(digits, 16).unwrap());
                } else {
                    bytes.push(first);
                }
            }
            prop_assert_eq!(String::from_utf8(bytes).unwrap(), text);
        }
    }
}
