//! Twilio's view of a message, in our words.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, Cost};
use onerouter_plugin::failure;
use onerouter_plugin::http::{Answer, Request};
use onerouter_plugin::json::Object;
use onerouter_plugin::log::{self, Level};
use onerouter_plugin::segments;

use crate::account::{account_url, authenticated};
use crate::bindings::exports::onerouter::sms::sms::{Message, SendRequest};
use crate::{delivery, refusal};

/// Twilio's statuses and ours.
pub(crate) const STATUSES: [(&str, &str); 13] = [
    // A service took it and has not picked a sender yet.
    ("accepted", "queued"),
    ("scheduled", "scheduled"),
    ("queued", "queued"),
    ("sending", "sending"),
    ("sent", "sent"),
    ("delivered", "delivered"),
    ("undelivered", "undelivered"),
    ("failed", "failed"),
    ("canceled", "canceled"),
    ("receiving", "received"),
    ("received", "received"),
    // WhatsApp and RCS: who read it has got it.
    ("read", "delivered"),
    // Somebody has got it, or a part of it. "Undelivered" would invite a second message to them.
    ("partially_delivered", "delivered"),
];

/// `GET …/Messages/{Sid}.json`
pub(crate) fn get(provider_id: &str) -> Result<Message, CallError> {
    let answer = authenticated(Request::get(resource(provider_id)))
        .send()
        .map_err(failure::after_read)?;
    if !answer.is_success() {
        return Err(refusal::after_read(&answer));
    }
    read(&answer).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

/// `POST …/Messages/{Sid}.json` with `Status=canceled`
pub(crate) fn cancel(provider_id: &str) -> Result<Message, CallError> {
    let answer = authenticated(Request::post(resource(provider_id)))
        .form(alloc::vec![("Status".to_owned(), "canceled".to_owned())])
        .send()
        .map_err(failure::after_write)?;
    if !answer.is_success() {
        return Err(refusal::after_change(&answer));
    }
    read(&answer).ok_or_else(|| failure::unreadable_after_write(answer.status))
}

/// The answer to a request that created a message.
///
/// With an id in it the message exists, whatever else there is or is not.
pub(crate) fn created(answer: &Answer, request: &SendRequest) -> Option<Message> {
    let object = answer.object()?;
    let status = status(&object).unwrap_or_else(|| {
        log::write(
            Level::Warn,
            "a new message has a status that this version does not know",
        );
        "queued"
    });
    let mut message = convert(&object, status, answer.raw())?;
    message.segments = message.segments.or_else(|| counted(request));
    Some(message)
}

/// One message as JSON text out of a list.
pub(crate) fn listed(object: &Object<'_>, raw: &str) -> Option<Message> {
    convert(object, status(object)?, Some(raw.to_owned()))
}

fn resource(provider_id: &str) -> String {
    let mut url: String = account_url()
        .segment("Messages")
        .segment(provider_id)
        .into();
    url.push_str(".json");
    url
}

fn read(answer: &Answer) -> Option<Message> {
    let object = answer.object()?;
    convert(&object, status(&object)?, answer.raw())
}

fn status(object: &Object<'_>) -> Option<&'static str> {
    status_of(&object.text("status")?)
}

/// Ours for one of Twilio's statuses.
pub(crate) fn status_of(theirs: &str) -> Option<&'static str> {
    STATUSES
        .iter()
        .find(|(name, _)| *name == theirs)
        .map(|(_, ours)| *ours)
}

fn convert(object: &Object<'_>, status: &str, raw: Option<String>) -> Option<Message> {
    let provider_id = object.text("sid").filter(|sid| !sid.is_empty())?;
    Some(Message {
        provider_id,
        status: status.to_owned(),
        segments: segments_of(object),
        cost: cost(object),
        sender: object
            .text("from")
            .or_else(|| object.text("messaging_service_sid")),
        failure: matches!(status, "failed" | "undelivered").then(|| {
            delivery::failure_of(
                object.text_or_number("error_code"),
                object.text("error_message"),
            )
        }),
        raw,
        extra: Vec::new(),
    })
}

/// `num_segments` is text, and "0" until a service has picked a sender: then the text is counted.
fn segments_of(object: &Object<'_>) -> Option<u32> {
    let theirs = object.text_or_number("num_segments")?.parse().ok()?;
    if theirs > 0 {
        return Some(theirs);
    }
    if has_media(object) {
        return Some(1);
    }
    let body = object.text("body").filter(|body| !body.is_empty())?;
    Some(segments::segments(&body))
}

fn counted(request: &SendRequest) -> Option<u32> {
    Some(if request.media_urls.is_empty() {
        segments::segments(&request.body)
    } else {
        1
    })
}

fn has_media(object: &Object<'_>) -> bool {
    object
        .text_or_number("num_media")
        .is_some_and(|count| count != "0")
}

/// `price` is text, negative, and null until the message is billed.
fn cost(object: &Object<'_>) -> Option<Cost> {
    Some(Cost {
        amount: amount(&object.text_or_number("price")?)?,
        currency: object.text("price_unit")?.to_ascii_uppercase(),
    })
}

/// The amount without its sign and with at most 6 decimals.
fn amount(price: &str) -> Option<String> {
    let price = price.strip_prefix('-').unwrap_or(price);
    let (whole, fraction) = price.split_once('.').unwrap_or((price, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction = if fraction.len() > 6 {
        fraction.trim_end_matches('0')
    } else {
        fraction
    };
    // Rather no cost than one that is not exact.
    if fraction.len() > 6 {
        return None;
    }
    let mut amount = whole.to_owned();
    if !fraction.is_empty() {
        amount.push('.');
        amount.push_str(fraction);
    }
    Some(amount)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use std::collections::HashSet;

    use super::*;
    use crate::send::tests::request;

    /// As Twilio's own examples, with other numbers.
    const CREATED: &str = r#"{"account_sid":"AC00000000000000000000000000000001","api_version":"2010-04-01",
        "body":"Hello","date_created":"Thu, 24 Aug 2023 05:01:45 +0000","date_sent":null,
        "direction":"outbound-api","error_code":null,"error_message":null,"from":"+15005550006",
        "messaging_service_sid":null,"num_media":"0","num_segments":"1","price":null,
        "price_unit":"USD","sid":"SM00000000000000000000000000000001","status":"queued",
        "to":"+14155550100","subresource_uris":{"media":"/2010-04-01/…"}}"#;

    fn answer(body: &str) -> Answer {
        Answer {
            status: 201,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    fn changed(from: &str, to: &str) -> Message {
        assert!(CREATED.contains(from));
        read(&answer(&CREATED.replace(from, to))).unwrap()
    }

    #[test]
    fn a_created_message() {
        let message = created(&answer(CREATED), &request()).unwrap();
        assert_eq!(message.provider_id, "SM00000000000000000000000000000001");
        assert_eq!(message.status, "queued");
        assert_eq!(message.segments, Some(1));
        assert_eq!(message.sender.as_deref(), Some("+15005550006"));
        assert!(message.cost.is_none());
        assert!(message.failure.is_none());
        assert_eq!(message.raw.as_deref(), Some(CREATED));
    }

    #[test]
    fn every_status_has_one_of_ours() {
        let ours = [
            "queued",
            "scheduled",
            "sending",
            "sent",
            "delivered",
            "undelivered",
            "failed",
            "canceled",
            "received",
        ];
        let mut seen = HashSet::new();
        for (theirs, expected) in STATUSES {
            assert!(seen.insert(theirs));
            assert!(ours.contains(&expected));
            let message = changed("\"queued\"", &format!("\"{theirs}\""));
            assert_eq!(message.status, expected);
            let failed = matches!(expected, "failed" | "undelivered");
            assert_eq!(message.failure.is_some(), failed, "{theirs}");
        }
    }

    #[test]
    fn the_code_of_a_failed_message_is_kept() {
        let body = CREATED
            .replace("\"queued\"", "\"undelivered\"")
            .replace("\"error_code\":null", "\"error_code\":30003");
        let failure = read(&answer(&body)).unwrap().failure.unwrap();
        assert_eq!(failure.code, "recipient_unreachable");
        assert_eq!(failure.provider_code.as_deref(), Some("30003"));
    }

    #[test]
    fn an_unknown_status_is_no_answer_to_a_read() {
        let body = CREATED.replace("\"queued\"", "\"teleported\"");
        assert!(read(&answer(&body)).is_none());
    }

    #[test]
    fn without_an_id_there_is_no_message() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"status":"queued"}"#,
            r#"{"sid":"","status":"queued"}"#,
        ] {
            assert!(read(&answer(body)).is_none(), "{body}");
        }
    }

    #[test]
    fn segments_of_a_service_are_counted_here() {
        let message = changed("\"num_segments\":\"1\"", "\"num_segments\":\"0\"");
        assert_eq!(message.segments, Some(1));
        let media = CREATED
            .replace("\"num_segments\":\"1\"", "\"num_segments\":\"0\"")
            .replace("\"num_media\":\"0\"", "\"num_media\":\"2\"")
            .replace("\"body\":\"Hello\"", "\"body\":\"\"");
        assert_eq!(read(&answer(&media)).unwrap().segments, Some(1));
        let redacted = CREATED
            .replace("\"num_segments\":\"1\"", "\"num_segments\":\"0\"")
            .replace("\"body\":\"Hello\"", "\"body\":\"\"");
        assert_eq!(read(&answer(&redacted)).unwrap().segments, None);
        let long = SendRequest {
            body: "a".repeat(161),
            ..request()
        };
        assert_eq!(
            created(&answer(&redacted), &long).unwrap().segments,
            Some(2)
        );
        let three = changed("\"num_segments\":\"1\"", "\"num_segments\":\"3\"");
        assert_eq!(three.segments, Some(3));
    }

    #[test]
    fn a_negative_price_becomes_a_cost() {
        let cost = changed("\"price\":null", "\"price\":\"-0.00750\"")
            .cost
            .unwrap();
        assert_eq!(
            (cost.amount.as_str(), cost.currency.as_str()),
            ("0.00750", "USD")
        );
    }

    #[test]
    fn amounts_are_exact_or_absent() {
        for (price, expected) in [
            ("-0.00750", Some("0.00750")),
            ("0.0075", Some("0.0075")),
            ("-1", Some("1")),
            ("-0.00750000", Some("0.0075")),
            ("-0.00000001", None),
            ("-1.0000000", Some("1")),
            ("-", None),
            ("", None),
            ("-.5", None),
            ("1e-3", None),
            ("--1", None),
        ] {
            assert_eq!(amount(price).as_deref(), expected, "{price}");
        }
    }
}
