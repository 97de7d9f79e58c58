//! Creating a message.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, FieldError};
use onerouter_plugin::failure::{self, field_error};
use onerouter_plugin::http::Request;
use onerouter_plugin::url::Url;
use onerouter_plugin::webhook::value;
use onerouter_plugin::{context, time};

use crate::account::{account_url, authenticated};
use crate::bindings::exports::onerouter::sms::sms::{Message, SendRequest};
use crate::sender::Sender;
use crate::{message, refusal, webhook};

const BODY_CHARACTERS_MAX: usize = 1_600;
const MEDIA_MAX: usize = 10;
/// Twilio takes 5 minutes to 35 days from now for `SendAt`.
const SCHEDULE_MS_MIN: u64 = 300_000;
const SCHEDULE_MS_MAX: u64 = 35 * 86_400_000;
/// In `extra`: where this connection's webhooks go.
const WEBHOOK_URL: &str = "webhook_url";

pub(crate) fn send(request: &SendRequest) -> Result<Message, CallError> {
    let sender = Sender::of(request);
    let form = form(request, sender.as_ref(), context::now()).map_err(CallError::Invalid)?;
    let answer = authenticated(Request::post(account_url().segment("Messages.json")))
        .form(form)
        .send()
        .map_err(failure::after_write)?;
    if answer.is_success() {
        message::created(&answer, request)
            .ok_or_else(|| failure::unreadable_after_write(answer.status))
    } else {
        Err(refusal::after_create(&answer))
    }
}

/// The form, or every reason why Twilio would not take it.
fn form(
    request: &SendRequest,
    sender: Option<&Sender>,
    now: u64,
) -> Result<Vec<(String, String)>, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut form = Vec::with_capacity(8);
    let mut push = |name: &str, value: &str| form.push((name.to_owned(), value.to_owned()));

    push("To", &request.to);
    match sender {
        Some(sender) => {
            if let Some(service) = &sender.service {
                push("MessagingServiceSid", service);
            }
            if let Some(from) = &sender.from {
                push("From", from);
            }
        }
        None => errors.push(field_error(
            "/from_number",
            "required",
            "Name a sender, or set from_number or messaging_service_sid on the connection.",
        )),
    }

    if request.body.chars().count() > BODY_CHARACTERS_MAX {
        errors.push(field_error(
            "/body",
            "too_long",
            "Twilio takes at most 1,600 characters.",
        ));
    }
    if !request.body.is_empty() {
        push("Body", &request.body);
    } else if request.media_urls.is_empty() {
        errors.push(field_error(
            "/body",
            "required",
            "A message needs a text or media.",
        ));
    }
    if request.media_urls.len() > MEDIA_MAX {
        errors.push(field_error(
            "/media_urls",
            "too_long",
            "Twilio takes at most 10 media.",
        ));
    }
    for url in &request.media_urls {
        push("MediaUrl", url);
    }

    if let Some(send_at) = request.send_at {
        errors.extend(schedule_error(send_at, sender, now));
        push("ScheduleType", "fixed");
        push("SendAt", &time::format_rfc3339(send_at));
    }
    if let Some(url) = value(&request.extra, WEBHOOK_URL) {
        let url = Url::new(url).query(webhook::ATTEMPT, &request.attempt_id);
        push("StatusCallback", url.as_str());
    }
    if errors.is_empty() {
        Ok(form)
    } else {
        Err(errors)
    }
}

fn schedule_error(send_at: u64, sender: Option<&Sender>, now: u64) -> Option<FieldError> {
    // Without a service Twilio drops the schedule and sends at once.
    if sender.is_some_and(|sender| sender.service.is_none()) {
        return Some(field_error(
            "/send_at",
            "unsupported",
            "Twilio schedules only through a messaging service: set messaging_service_sid on the connection.",
        ));
    }
    let earliest = now.saturating_add(SCHEDULE_MS_MIN);
    let latest = now.saturating_add(SCHEDULE_MS_MAX);
    (!(earliest..=latest).contains(&send_at)).then(|| {
        field_error(
            "/send_at",
            "out_of_range",
            "Twilio takes 5 minutes to 35 days from now.",
        )
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn request() -> SendRequest {
        SendRequest {
            object_id: "sms_1".into(),
            attempt_id: "att_1".into(),
            idempotency_key: "sms_1:send".into(),
            to: "+14155550100".into(),
            sender: None,
            body: "Hello".into(),
            media_urls: Vec::new(),
            send_at: None,
            extra: Vec::new(),
        }
    }

    fn number() -> Sender {
        Sender {
            from: Some("+15005550006".into()),
            service: None,
        }
    }

    fn service() -> Sender {
        Sender {
            from: None,
            service: Some("MG1".into()),
        }
    }

    fn pairs(form: &[(String, String)]) -> Vec<(&str, &str)> {
        form.iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    fn refused(request: &SendRequest, sender: Option<&Sender>, now: u64) -> Vec<(String, String)> {
        form(request, sender, now)
            .unwrap_err()
            .into_iter()
            .map(|error| (error.pointer, error.code))
            .collect()
    }

    fn error(pointer: &str, code: &str) -> Vec<(String, String)> {
        alloc::vec![(pointer.to_owned(), code.to_owned())]
    }

    #[test]
    fn a_text_from_a_number() {
        let form = form(&request(), Some(&number()), 0).unwrap();
        assert_eq!(
            pairs(&form),
            [
                ("To", "+14155550100"),
                ("From", "+15005550006"),
                ("Body", "Hello")
            ]
        );
    }

    #[test]
    fn media_repeat_and_need_no_text() {
        let request = SendRequest {
            body: String::new(),
            media_urls: alloc::vec!["https://a.example/1".into(), "https://a.example/2".into()],
            ..request()
        };
        let form = form(&request, Some(&number()), 0).unwrap();
        assert_eq!(
            pairs(&form)[2..],
            [
                ("MediaUrl", "https://a.example/1"),
                ("MediaUrl", "https://a.example/2")
            ]
        );
    }

    #[test]
    fn what_becomes_of_a_message_is_told_to_the_webhook_with_the_attempt() {
        for (url, expected) in [
            (
                "https://or.example/webhooks/twilio/con_1",
                "https://or.example/webhooks/twilio/con_1?attempt=att_1",
            ),
            (
                "https://or.example/webhooks?to=a%20b",
                "https://or.example/webhooks?to=a%20b&attempt=att_1",
            ),
        ] {
            let request = SendRequest {
                extra: alloc::vec![
                    ("other".into(), "x".into()),
                    ("webhook_url".into(), url.into()),
                ],
                ..request()
            };
            let form = form(&request, Some(&number()), 0).unwrap();
            assert_eq!(pairs(&form)[3..], [("StatusCallback", expected)]);
        }
    }

    #[test]
    fn a_schedule_goes_through_a_service_and_nothing_else() {
        let request = SendRequest {
            send_at: Some(1_692_853_305_000),
            ..request()
        };
        let now = 1_692_853_305_000 - SCHEDULE_MS_MIN;
        let form = form(&request, Some(&service()), now).unwrap();
        assert_eq!(
            pairs(&form),
            [
                ("To", "+14155550100"),
                ("MessagingServiceSid", "MG1"),
                ("Body", "Hello"),
                ("ScheduleType", "fixed"),
                ("SendAt", "2023-08-24T05:01:45Z")
            ]
        );
        assert_eq!(
            refused(&request, Some(&number()), now),
            error("/send_at", "unsupported")
        );
    }

    #[test]
    fn a_schedule_lies_5_minutes_to_35_days_ahead() {
        for (ahead, fits) in [
            (0, false),
            (SCHEDULE_MS_MIN - 1, false),
            (SCHEDULE_MS_MIN, true),
            (SCHEDULE_MS_MAX, true),
            (SCHEDULE_MS_MAX + 1, false),
        ] {
            let now = 1_700_000_000_000;
            let request = SendRequest {
                send_at: Some(now + ahead),
                ..request()
            };
            let result = form(&request, Some(&service()), now);
            assert_eq!(result.is_ok(), fits, "{ahead}");
        }
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let request = SendRequest {
            body: "a".repeat(1_601),
            media_urls: alloc::vec!["https://a.example/".into(); 11],
            send_at: Some(0),
            ..request()
        };
        let refused: Vec<String> = refused(&request, None, 1)
            .into_iter()
            .map(|(pointer, _)| pointer)
            .collect();
        assert_eq!(
            refused,
            ["/from_number", "/body", "/media_urls", "/send_at"]
        );
        let empty = SendRequest {
            body: String::new(),
            ..tests::request()
        };
        assert_eq!(
            self::refused(&empty, Some(&number()), 0),
            error("/body", "required")
        );
        let long = SendRequest {
            body: "ж".repeat(1_600),
            ..tests::request()
        };
        assert!(form(&long, Some(&number()), 0).is_ok());
    }
}
