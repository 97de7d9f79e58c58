//! An e-mail as Resend wants it.

use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::FieldError;
use onerouter_plugin::failure::{field_error, pointer};
use onerouter_plugin::json::Writer;
use onerouter_plugin::time;

use crate::bindings::exports::onerouter::email::email::{AttachmentContent, SendRequest};

const RECIPIENTS_MAX: usize = 50;
const TAG_BYTES_MAX: usize = 256;
const SCHEDULE_MS_MAX: u64 = 30 * 86_400_000;

/// How an e-mail travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Alone,
    /// Resend drops attachments from batches without a word, and knows no schedule there.
    InBatch,
}

/// Everything about `request` that Resend would refuse or lose.
///
/// A time that has passed is left to Resend: a repeat of an e-mail that was accepted long ago must
/// reach it, and get the answer of the first.
pub(crate) fn mistakes(
    request: &SendRequest,
    sender: Option<&str>,
    way: Way,
    now: u64,
) -> Vec<FieldError> {
    let mut mistakes = Vec::new();
    let mut add = |pointer: &str, code: &str, detail: &str| {
        mistakes.push(field_error(pointer, code, detail));
    };
    if sender.is_none() {
        let detail = "Name a sender, or set from_email on the connection.";
        add("/from_email", "required", detail);
    }
    if request.to.is_empty() {
        add("/to", "required", "An e-mail needs a recipient.");
    }
    if request.to.len() > RECIPIENTS_MAX {
        add("/to", "too_long", "Resend takes at most 50 recipients.");
    }
    if request.html.is_none() && request.text.is_none() {
        add("/text_body", "required", "An e-mail needs a text or HTML.");
    }
    for (name, value) in &request.tags {
        if !is_tag(name) || !is_tag(value) {
            let detail = "Resend takes 1 to 256 ASCII letters, digits, underscores and hyphens, in name and value.";
            add(&pointer("/tags", name), "invalid", detail);
        }
    }
    match (way, request.send_at) {
        (Way::Alone, Some(send_at)) if send_at > now.saturating_add(SCHEDULE_MS_MAX) => {
            add(
                "/send_at",
                "out_of_range",
                "Resend schedules at most 30 days ahead.",
            );
        }
        (Way::InBatch, Some(_)) => {
            add(
                "/send_at",
                "unsupported",
                "Resend does not schedule e-mails in a batch.",
            );
        }
        (Way::Alone | Way::InBatch, _) => {}
    }
    if way == Way::InBatch && !request.attachments.is_empty() {
        add(
            "/attachments",
            "unsupported",
            "Resend drops attachments in a batch.",
        );
    }
    mistakes
}

/// Appends the e-mail to `body` as JSON.
pub(crate) fn write(request: &SendRequest, sender: &str, body: String) -> String {
    let mut draft = Writer::onto(body);
    draft.text("from", sender);
    for (name, addresses) in [
        ("to", &request.to),
        ("cc", &request.cc),
        ("bcc", &request.bcc),
        ("reply_to", &request.reply_to),
    ] {
        if !addresses.is_empty() {
            draft.texts(name, addresses.iter().map(String::as_str));
        }
    }
    draft.text("subject", &request.subject);
    if let Some(html) = &request.html {
        draft.text("html", html);
    }
    if let Some(text) = &request.text {
        draft.text("text", text);
    }
    if !request.attachments.is_empty() {
        draft.objects("attachments", &request.attachments, |part, attachment| {
            part.text("filename", &attachment.filename);
            match &attachment.content {
                AttachmentContent::Base64(content) => part.text("content", content),
                AttachmentContent::Url(url) => part.text("path", url),
            };
            if let Some(content_type) = &attachment.content_type {
                part.text("content_type", content_type);
            }
        });
    }
    if !request.headers.is_empty() {
        draft.object("headers", |headers| {
            for (name, value) in &request.headers {
                headers.text(name, value);
            }
        });
    }
    if !request.tags.is_empty() {
        draft.objects("tags", &request.tags, |tag, (name, value)| {
            tag.text("name", name).text("value", value);
        });
    }
    if let Some(send_at) = request.send_at {
        draft.text("scheduled_at", &time::format_rfc3339(send_at));
    }
    draft.finish()
}

/// Room for the e-mail as JSON, so that a large one is written in place.
pub(crate) fn bytes_of(request: &SendRequest) -> usize {
    let texts = [&request.html, &request.text];
    let texts = texts.into_iter().flatten().map(String::len);
    let attachments = request.attachments.iter().map(|attachment| {
        let (AttachmentContent::Base64(content) | AttachmentContent::Url(content)) =
            &attachment.content;
        content
            .len()
            .saturating_add(attachment.filename.len())
            .saturating_add(100)
    });
    texts
        // Quotation marks and line breaks grow by one.
        .map(|bytes| bytes.saturating_add(bytes / 8))
        .chain(attachments)
        .fold(2_048, usize::saturating_add)
}

fn is_tag(text: &str) -> bool {
    (1..=TAG_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

#[cfg(test)]
pub(crate) mod tests {
    use alloc::borrow::ToOwned as _;
    use alloc::vec;

    use super::*;
    use crate::bindings::exports::onerouter::email::email::Attachment;

    pub(crate) const SENDER: &str = "Acme <hello@example.com>";

    pub(crate) fn request() -> SendRequest {
        SendRequest {
            object_id: "em_1".into(),
            attempt_id: "att_1".into(),
            idempotency_key: "em_1:send".into(),
            sender: None,
            to: vec!["delivered@resend.dev".into()],
            cc: Vec::new(),
            bcc: Vec::new(),
            reply_to: Vec::new(),
            subject: "Hello".into(),
            html: None,
            text: Some("Hi".into()),
            attachments: Vec::new(),
            headers: Vec::new(),
            tags: Vec::new(),
            send_at: None,
            extra: Vec::new(),
        }
    }

    fn refused(request: &SendRequest, way: Way, now: u64) -> Vec<(String, String)> {
        mistakes(request, Some(SENDER), way, now)
            .into_iter()
            .map(|error| (error.pointer, error.code))
            .collect()
    }

    fn error(pointer: &str, code: &str) -> Vec<(String, String)> {
        vec![(pointer.to_owned(), code.to_owned())]
    }

    #[test]
    fn the_shortest_e_mail() {
        assert_eq!(
            write(&request(), SENDER, String::new()),
            r#"{"from":"Acme <hello@example.com>","to":["delivered@resend.dev"],"subject":"Hello","text":"Hi"}"#
        );
        assert!(mistakes(&request(), Some(SENDER), Way::Alone, 0).is_empty());
    }

    #[test]
    fn every_field_has_its_place() {
        let request = SendRequest {
            cc: vec!["a@example.com".into(), "b@example.com".into()],
            bcc: vec!["c@example.com".into()],
            reply_to: vec!["d@example.com".into()],
            html: Some("<b>\"Hi\"</b>".into()),
            attachments: vec![
                Attachment {
                    filename: "a.txt".into(),
                    content: AttachmentContent::Base64("aGk=".into()),
                    content_type: Some("text/plain".into()),
                },
                Attachment {
                    filename: "b.pdf".into(),
                    content: AttachmentContent::Url("https://example.com/b.pdf".into()),
                    content_type: None,
                },
            ],
            headers: vec![("X-Ref".into(), "7".into())],
            tags: vec![("kind".into(), "welcome".into())],
            send_at: Some(1_692_853_305_000),
            ..request()
        };
        assert_eq!(
            write(&request, SENDER, String::new()),
            concat!(
                r#"{"from":"Acme <hello@example.com>","to":["delivered@resend.dev"],"#,
                r#""cc":["a@example.com","b@example.com"],"bcc":["c@example.com"],"reply_to":["d@example.com"],"#,
                r#""subject":"Hello","html":"<b>\"Hi\"</b>","text":"Hi","#,
                r#""attachments":[{"filename":"a.txt","content":"aGk=","content_type":"text/plain"},"#,
                r#"{"filename":"b.pdf","path":"https://example.com/b.pdf"}],"#,
                r#""headers":{"X-Ref":"7"},"tags":[{"name":"kind","value":"welcome"}],"#,
                r#""scheduled_at":"2023-08-24T05:01:45Z"}"#
            )
        );
    }

    #[test]
    fn a_large_e_mail_is_written_in_place() {
        let request = SendRequest {
            html: Some("<p class=\"a\">Hello</p>\n".repeat(10_000)),
            attachments: vec![Attachment {
                filename: "a.bin".into(),
                content: AttachmentContent::Base64("AAAA".repeat(100_000)),
                content_type: None,
            }],
            ..request()
        };
        let room = bytes_of(&request);
        let body = write(&request, SENDER, String::with_capacity(room));
        assert!(body.len() <= room, "{} > {room}", body.len());
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let request = SendRequest {
            to: vec!["a@example.com".into(); 51],
            text: None,
            tags: vec![
                ("fine-1_A".into(), "v".into()),
                ("a/b".into(), "v".into()),
                ("empty".into(), String::new()),
                ("long".into(), "v".repeat(257)),
            ],
            send_at: Some(SCHEDULE_MS_MAX + 2),
            ..request()
        };
        let pointers: Vec<String> = mistakes(&request, None, Way::Alone, 1)
            .into_iter()
            .map(|error| error.pointer)
            .collect();
        assert_eq!(
            pointers,
            [
                "/from_email",
                "/to",
                "/text_body",
                "/tags/a~1b",
                "/tags/empty",
                "/tags/long",
                "/send_at"
            ]
        );
    }

    #[test]
    fn a_schedule_lies_at_most_30_days_ahead_and_may_have_passed() {
        let now = 1_700_000_000_000;
        for (send_at, fits) in [
            (now - 1, true),
            (now, true),
            (now + SCHEDULE_MS_MAX, true),
            (now + SCHEDULE_MS_MAX + 1, false),
        ] {
            let request = SendRequest {
                send_at: Some(send_at),
                ..request()
            };
            assert_eq!(
                refused(&request, Way::Alone, now).is_empty(),
                fits,
                "{send_at}"
            );
        }
    }

    #[test]
    fn a_batch_takes_neither_attachments_nor_a_schedule() {
        let scheduled = SendRequest {
            send_at: Some(1),
            ..request()
        };
        assert_eq!(
            refused(&scheduled, Way::InBatch, 0),
            error("/send_at", "unsupported")
        );
        let attached = SendRequest {
            attachments: vec![Attachment {
                filename: "a.txt".into(),
                content: AttachmentContent::Base64(String::new()),
                content_type: None,
            }],
            ..request()
        };
        assert_eq!(
            refused(&attached, Way::InBatch, 0),
            error("/attachments", "unsupported")
        );
        assert!(refused(&attached, Way::Alone, 0).is_empty());
    }

    #[test]
    fn fifty_recipients_are_taken() {
        let request = SendRequest {
            to: vec!["a@example.com".into(); 50],
            ..request()
        };
        assert!(refused(&request, Way::Alone, 0).is_empty());
        let none = SendRequest {
            to: Vec::new(),
            ..tests::request()
        };
        assert_eq!(refused(&none, Way::Alone, 0), error("/to", "required"));
    }
}
