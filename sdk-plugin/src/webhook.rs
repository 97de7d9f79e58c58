//! What reading a provider's webhooks takes, whoever the provider is.
//!
//! The types are those of a plugin's own world; here is what they are made from.

use alloc::borrow::ToOwned as _;
use alloc::string::String;

use crate::common::CallError;
use crate::json::Object;

const ID_BYTES_MAX: usize = 255;
const EVENT_TYPE_BYTES_MAX: usize = 100;

/// What of a request could not be understood: for the operator's log, so without anything out of it.
///
/// ```
/// use onerouter_plugin::common::CallError;
///
/// let error = onerouter_plugin::webhook::unreadable("the event has no type");
/// assert!(matches!(error, CallError::Other(text) if text == "the event has no type"));
/// ```
#[must_use]
pub fn unreadable(why: &str) -> CallError {
    CallError::Other(why.to_owned())
}

/// A body that must be one JSON object.
///
/// # Errors
/// It is something else.
pub fn object(body: &[u8]) -> Result<Object<'_>, CallError> {
    Object::read(body).ok_or_else(|| unreadable("the body is no JSON object"))
}

/// The provider's name for an event, in a field of it.
///
/// # Errors
/// There is none, or what stands there is no name.
pub fn event_type(event: &Object<'_>, field: &str) -> Result<String, CallError> {
    event
        .text(field)
        .filter(|name| is_plain(name, EVENT_TYPE_BYTES_MAX))
        .ok_or_else(|| unreadable("the event has no type"))
}

/// Whether a text can be an id: 1 to 255 printable characters of ASCII, without spaces.
#[must_use]
pub fn is_id(text: &str) -> bool {
    is_plain(text, ID_BYTES_MAX)
}

/// The first value under a name, in the pairs of a query or a form, or among headers.
///
/// ```
/// let query = [("attempt".to_owned(), "att_1".to_owned())];
/// assert_eq!(onerouter_plugin::webhook::value(&query, "attempt"), Some("att_1"));
/// assert_eq!(onerouter_plugin::webhook::value(&query, "Attempt"), None);
/// ```
#[must_use]
pub fn value<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    pairs
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

fn is_plain(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn an_id_is_short_and_plain() {
        assert!(is_id("SM1") && is_id(&"a".repeat(255)));
        for odd in ["", "a b", "a\n", "\u{e9}", &"a".repeat(256)] {
            assert!(!is_id(odd), "{odd}");
        }
    }

    #[test]
    fn an_event_says_what_it_is() {
        let of = |value: &str| {
            let body = format!(r#"{{"type":{value}}}"#);
            event_type(&object(body.as_bytes()).unwrap(), "type").ok()
        };
        assert_eq!(
            of("\"payment.captured\"").as_deref(),
            Some("payment.captured")
        );
        let long = format!("\"{}\"", "a".repeat(101));
        for odd in ["\"\"", "null", "7", "[\"a\"]", "\"a b\"", &long] {
            assert_eq!(of(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_body_is_one_object() {
        assert!(object(b" {} ").is_ok());
        for odd in [&b""[..], b"[]", b"null", b"{\"a\":\"\xff\"}", b"{}{}"] {
            assert!(matches!(object(odd), Err(CallError::Other(_))));
        }
    }
}
