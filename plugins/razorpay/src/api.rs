//! How requests are made, and what all answers share.

use alloc::borrow::ToOwned as _;
use alloc::string::String;

use onerouter_plugin::common::CallError;
use onerouter_plugin::context::{self, Environment};
use onerouter_plugin::failure::{self, failure};
use onerouter_plugin::http::{Answer, Request};
use onerouter_plugin::json::Object;
use onerouter_plugin::outbound::{Method, SendError};
use onerouter_plugin::url::Url;

use crate::refusal;

const BASE: &str = "https://api.razorpay.com/v1";
/// Of the 30 s that a call may take.
const GLANCE_MS: u32 = 3_000;
const ID_BYTES_MAX: usize = 255;
const ADDRESS_BYTES_MAX: usize = 2_048;

/// `…/{collection}`, which is fixed text.
pub(crate) fn url(collection: &str) -> Url {
    Url::new(BASE).segment(collection)
}

/// Reads something.
pub(crate) fn read(url: Url) -> Result<Answer, CallError> {
    check_key()?;
    let answer = send(Request::get(url)).map_err(failure::after_read)?;
    if answer.is_success() {
        Ok(answer)
    } else {
        Err(refusal::after_read(&answer))
    }
}

/// Reads what is not worth waiting for, nor failing for.
pub(crate) fn glance(url: Url) -> Option<Answer> {
    let answer = send(Request::get(url).timeout_ms(GLANCE_MS)).ok()?;
    answer.is_success().then_some(answer)
}

/// Changes something. The answer may be a refusal.
pub(crate) fn write(url: Url, body: String) -> Result<Answer, CallError> {
    request(Request::post(url).json(body))
}

/// As [`write`], under a key.
pub(crate) fn write_once(url: Url, key: &str, body: String) -> Result<Answer, CallError> {
    request(
        Request::post(url)
            .header("X-Refund-Idempotency", key)
            .json(body),
    )
}

/// As [`write`], of a part.
pub(crate) fn update(url: Url, body: String) -> Result<Answer, CallError> {
    request(Request::new(Method::Patch, url).json(body))
}

fn request(request: Request) -> Result<Answer, CallError> {
    check_key()?;
    send(request).map_err(failure::after_write)
}

fn send(request: Request) -> Result<Answer, SendError> {
    request.auth("key").want("retry-after").send()
}

/// Test and live share one host, so the key has to be of the connection's world.
fn check_key() -> Result<(), CallError> {
    let key = context::credential("key_id").unwrap_or_default();
    if is_of_world(&key, context::get_environment()) {
        return Ok(());
    }
    Err(CallError::Unauthorized(failure(
        "credentials_refused",
        "Connections for test need a key that begins with rzp_test_, those for live one with rzp_live_.",
    )))
}

fn is_of_world(key: &str, environment: Environment) -> bool {
    key.starts_with(match environment {
        Environment::Test => "rzp_test_",
        Environment::Live => "rzp_live_",
    })
}

/// The id of the object in an answer.
pub(crate) fn id(object: &Object<'_>) -> Option<String> {
    id_in(object, "id")
}

/// The id in a field; none where there is none, or something that is none.
pub(crate) fn id_in(object: &Object<'_>, field: &str) -> Option<String> {
    object.text(field).filter(|id| {
        (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

/// A time in milliseconds. Razorpay writes seconds, and 0 or null for "not yet".
pub(crate) fn time(object: &Object<'_>, field: &str) -> Option<u64> {
    let seconds: u64 = object.number(field)?.parse().ok()?;
    if seconds == 0 {
        return None;
    }
    seconds.checked_mul(1_000)
}

/// A number that is not negative.
pub(crate) fn count(object: &Object<'_>, field: &str) -> Option<u64> {
    object.number(field)?.parse().ok()
}

/// The address in a field, which is shown to a buyer.
pub(crate) fn address(object: &Object<'_>, field: &str) -> Option<String> {
    object.text(field).filter(|address| {
        let is_page = address.starts_with("https://") || address.starts_with("http://");
        let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic());
        is_page && is_plain && address.len() <= ADDRESS_BYTES_MAX
    })
}

/// The name of ours for the one in a field; none for one that is not in the list.
pub(crate) fn named<T: Copy>(object: &Object<'_>, field: &str, names: &[(&str, T)]) -> Option<T> {
    let name = object.text(field)?;
    let mut known = names.iter();
    known
        .find(|(theirs, _)| *theirs == name)
        .map(|(_, ours)| *ours)
}

/// The text, or its beginning with three dots, in at most so many characters.
pub(crate) fn cut(text: &str, characters_max: usize) -> String {
    if text.chars().count() <= characters_max {
        return text.to_owned();
    }
    let kept = characters_max.saturating_sub(3);
    let mut cut: String = text.chars().take(kept).collect();
    cut.push_str("...");
    cut
}

#[cfg(test)]
pub(crate) mod tests {
    use alloc::vec::Vec;

    use super::*;

    pub(crate) fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    #[test]
    fn a_key_belongs_to_one_world() {
        assert!(is_of_world("rzp_test_1DP5mmOlF5G5ag", Environment::Test));
        assert!(is_of_world("rzp_live_1DP5mmOlF5G5ag", Environment::Live));
        assert!(!is_of_world("rzp_live_1DP5mmOlF5G5ag", Environment::Test));
        assert!(!is_of_world("rzp_test_1DP5mmOlF5G5ag", Environment::Live));
        assert!(!is_of_world("", Environment::Test));
    }

    #[test]
    fn times_and_ids_are_read_or_not_there() {
        let object = Object::parse(
            r#"{"a":1700000000,"b":0,"c":null,"d":"1","e":-1,"f":18446744073709551615,"id":"order_1","x":"a b","y":""}"#,
        )
        .unwrap();
        assert_eq!(time(&object, "a"), Some(1_700_000_000_000));
        for field in ["b", "c", "d", "e", "f", "g"] {
            assert_eq!(time(&object, field), None, "{field}");
        }
        assert_eq!(id(&object).as_deref(), Some("order_1"));
        assert_eq!((id_in(&object, "x"), id_in(&object, "y")), (None, None));
    }

    #[test]
    fn an_address_is_a_web_page() {
        let read = |text: &str| {
            let body = alloc::format!(r#"{{"u":"{text}"}}"#);
            address(&Object::parse(&body).unwrap(), "u")
        };
        assert!(read("https://rzp.io/i/nxrHnLJ").is_some());
        for bad in ["", "javascript:alert(1)", "rzp.io/i/x", "https://a b"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_long_text_ends_in_dots() {
        assert_eq!(cut("жжжжж", 5), "жжжжж");
        assert_eq!(cut("жжжжжж", 5), "жж...");
    }
}
