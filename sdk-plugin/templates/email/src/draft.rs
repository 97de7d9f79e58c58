//! An e-mail as the provider wants it.

use onerouter_plugin::prelude::*;

use crate::bindings::email::{AttachmentContent, SendRequest};

/// Room for names and punctuation, beside the texts.
const FRAME_BYTES: usize = 4_096;

/// Everything about `request` that the provider would refuse or lose.
pub(crate) fn mistakes(request: &SendRequest, sender: Option<&str>) -> Vec<FieldError> {
    let mut mistakes = Vec::new();
    if sender.is_none() {
        let detail = "Name a sender, or set from_email on the connection.";
        mistakes.push(field_error("/from_email", "required", detail));
    }
    if request.send_at.is_some() {
        let detail = "This provider sends at once only.";
        mistakes.push(field_error("/send_at", "unsupported", detail));
    }
    let are_urls = |attachment: &_| matches!(attachment, AttachmentContent::Url(_));
    if request.attachments.iter().any(|one| are_urls(&one.content)) {
        let detail = "This provider fetches no attachments; send their content.";
        mistakes.push(field_error("/attachments", "unsupported", detail));
    }
    mistakes
}

/// The e-mail as JSON. The same e-mail gives the same bytes, whenever it is sent: no clock, no
/// randomness.
pub(crate) fn write(request: &SendRequest, sender: &str) -> String {
    // One buffer with room for all of it: what a growing one leaves behind is not given back.
    let room = String::with_capacity(bytes_of(request));
    let mut draft = Writer::onto(room);
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
            if let AttachmentContent::Base64(content) = &attachment.content {
                part.text("content", content);
            }
            if let Some(content_type) = &attachment.content_type {
                part.text("content_type", content_type);
            }
        });
    }
    for (name, pairs) in [("headers", &request.headers), ("tags", &request.tags)] {
        if !pairs.is_empty() {
            draft.object(name, |object| {
                for (name, value) in pairs {
                    object.text(name, value);
                }
            });
        }
    }
    draft.finish()
}

/// About what the JSON takes, a little more rather than less.
fn bytes_of(request: &SendRequest) -> usize {
    let texts = [&request.html, &request.text].into_iter().flatten();
    // Quotation marks and line breaks take two bytes.
    let texts = texts.map(|text| text.len().saturating_add(text.len() / 8));
    let files = request.attachments.iter().map(|one| match &one.content {
        AttachmentContent::Base64(content) | AttachmentContent::Url(content) => content.len(),
    });
    texts.chain(files).fold(FRAME_BYTES, usize::saturating_add)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::bindings::email::Attachment;

    pub(crate) fn request() -> SendRequest {
        SendRequest {
            object_id: "em_1".into(),
            attempt_id: "att_1".into(),
            idempotency_key: "key-1".into(),
            sender: None,
            to: vec!["Ada <ada@example.com>".into()],
            cc: Vec::new(),
            bcc: Vec::new(),
            reply_to: Vec::new(),
            subject: "Grüße".into(),
            html: None,
            text: Some("Line one\nline \"two\"".into()),
            attachments: Vec::new(),
            headers: Vec::new(),
            tags: Vec::new(),
            send_at: None,
            extra: Vec::new(),
        }
    }

    fn attachment(content: AttachmentContent) -> Attachment {
        Attachment {
            filename: "a.txt".into(),
            content,
            content_type: Some("text/plain".into()),
        }
    }

    #[test]
    fn an_e_mail_carries_what_was_asked_for_and_nothing_else() {
        assert_eq!(
            write(&request(), "shop@example.com"),
            r#"{"from":"shop@example.com","to":["Ada <ada@example.com>"],"subject":"Grüße","text":"Line one\nline \"two\""}"#
        );
        let full = SendRequest {
            cc: vec!["b@example.com".into()],
            html: Some("<p>Hi</p>".into()),
            text: None,
            attachments: vec![attachment(AttachmentContent::Base64("aGk=".into()))],
            headers: vec![("X-Ref".into(), "7".into())],
            tags: vec![("kind".into(), "welcome".into())],
            ..request()
        };
        assert_eq!(
            write(&full, "shop@example.com"),
            r#"{"from":"shop@example.com","to":["Ada <ada@example.com>"],"cc":["b@example.com"],"subject":"Grüße","html":"<p>Hi</p>","attachments":[{"filename":"a.txt","content":"aGk=","content_type":"text/plain"}],"headers":{"X-Ref":"7"},"tags":{"kind":"welcome"}}"#
        );
    }

    #[test]
    fn everything_that_the_provider_cannot_do_is_named_before_anything_is_sent() {
        assert!(mistakes(&request(), Some("shop@example.com")).is_empty());
        let odd = SendRequest {
            attachments: vec![attachment(AttachmentContent::Url(
                "https://example.com/a".into(),
            ))],
            send_at: Some(1_700_000_000_000),
            ..request()
        };
        let mistakes = mistakes(&odd, None);
        let pointers: Vec<_> = mistakes.iter().map(|one| one.pointer.as_str()).collect();
        assert_eq!(pointers, ["/from_email", "/send_at", "/attachments"]);
    }
}
