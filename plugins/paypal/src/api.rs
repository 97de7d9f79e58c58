//! How requests are made.

use alloc::borrow::ToOwned as _;
use alloc::string::String;

use onerouter_plugin::common::CallError;
use onerouter_plugin::context::{self, Environment};
use onerouter_plugin::failure;
use onerouter_plugin::http::{Answer, Request};
use onerouter_plugin::json::Object;
use onerouter_plugin::outbound::SendError;
use onerouter_plugin::url::Url;

use crate::refusal;

/// The host tells test from live; the credentials do not show it.
fn base() -> &'static str {
    match context::get_environment() {
        Environment::Test => "https://api-m.sandbox.paypal.com",
        Environment::Live => "https://api-m.paypal.com",
    }
}

/// `…/{path}`, where `path` is fixed text.
pub(crate) fn url(path: &str) -> Url {
    let mut url = base().to_owned();
    url.push_str(path);
    Url::new(&url)
}

/// An order.
pub(crate) fn order(id: &str) -> Url {
    url("/v2/checkout/orders").segment(id)
}

/// Reads one object.
pub(crate) fn read(url: Url) -> Result<Answer, CallError> {
    let answer = send(Request::get(url)).map_err(failure::after_read)?;
    if answer.is_success() {
        Ok(answer)
    } else {
        Err(refusal::after_read(&answer))
    }
}

/// Changes something, under a key where PayPal honours one. Asks for the whole object: a minimal answer
/// lacks amounts. The answer may be a refusal.
///
/// The body is JSON even where there is nothing to say: without the content type PayPal answers 415.
pub(crate) fn write(url: Url, key: Option<&str>, body: String) -> Result<Answer, CallError> {
    let mut request = Request::post(url)
        .header("Prefer", "return=representation")
        .json(body);
    if let Some(key) = key {
        request = request.header("PayPal-Request-Id", key);
    }
    send(request).map_err(failure::after_write)
}

fn send(request: Request) -> Result<Answer, SendError> {
    request
        .auth("oauth")
        .want("retry-after")
        .want("paypal-debug-id")
        .send()
}

const ADDRESS_BYTES_MAX: usize = 2_048;

/// The address of the first of `links[]` that has one of these relations, the earlier ones first.
pub(crate) fn link(object: &Object<'_>, relations: &[&str]) -> Option<String> {
    let links = object.items("links")?;
    relations.iter().find_map(|relation| {
        links.iter().find_map(|link| {
            let link = Object::parse(link)?;
            let fits = link.text("rel").as_deref() == Some(relation);
            let address = link.text("href").filter(|_| fits)?;
            // It is shown to a buyer.
            let is_page = address.starts_with("https://") || address.starts_with("http://");
            let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic());
            (is_page && is_plain && address.len() <= ADDRESS_BYTES_MAX).then_some(address)
        })
    })
}

/// Where a buyer agrees to an order. Which of the relations comes depends on how the order was made.
pub(crate) const BUYER: [&str; 2] = ["payer-action", "approve"];

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
    fn the_buyers_link_is_found_by_either_relation() {
        let found = |links: &str| {
            let body = ["{\"links\":", links, "}"].concat();
            link(&Object::parse(&body).unwrap(), &BUYER)
        };
        let approve = r#"{"href":"https://www.paypal.com/checkoutnow?token=1","rel":"approve"}"#;
        let action =
            r#"{"href":"https://www.paypal.com/checkoutnow?token=2","rel":"payer-action"}"#;
        let own = r#"{"href":"https://api-m.paypal.com/v2/checkout/orders/1","rel":"self"}"#;
        let list = |items: &[&str]| ["[", &items.join(","), "]"].concat();
        assert!(found(&list(&[own, approve])).unwrap().ends_with('1'));
        assert!(found(&list(&[approve, action])).unwrap().ends_with('2'));
        assert_eq!(found(&list(&[own])), None);
        assert_eq!(found("null"), None);
        assert_eq!(
            found(r#"[7,{"href":"javascript:alert(1)","rel":"approve"}]"#),
            None
        );
    }
}
