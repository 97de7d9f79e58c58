//! The files that go with an e-mail.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::fields::Fields;
use crate::http::web_address::WebAddress;
use crate::service::email::{ATTACHMENTS_MAX, EmailAttachment};

/// Characters of a file's name.
const FILENAME_LENGTH_MAX: usize = 255;

/// A file that goes with an e-mail.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendAttachment {
    /// File name without a path.
    #[schema(min_length = 1, max_length = 255)]
    filename: String,
    /// The content in standard base64; either this or `url`.
    #[schema(nullable)]
    content: Option<String>,
    /// Where the provider fetches it, `https`.
    #[schema(nullable)]
    url: Option<String>,
    /// Media type.
    #[schema(nullable)]
    content_type: Option<String>,
}

/// The attachments, and beside each its content in base64; none for a URL.
pub(super) fn parse(fields: &mut Fields<'_>) -> (Vec<EmailAttachment>, Vec<Option<String>>) {
    let values = fields
        .list("attachments", ATTACHMENTS_MAX)
        .unwrap_or_default();
    let mut attachments = Vec::with_capacity(values.len());
    let mut contents = Vec::with_capacity(values.len());
    for (pointer, value) in values {
        let mut inner = Fields::at(pointer, value);
        let (attachment, content) = parse_one(&mut inner);
        fields.adopt(inner.end());
        attachments.push(attachment);
        contents.push(content);
    }
    (attachments, contents)
}

fn parse_one(fields: &mut Fields<'_>) -> (EmailAttachment, Option<String>) {
    match (fields.has("content"), fields.has("url")) {
        (true, true) => {
            let detail = "stands beside content; give one of them";
            fields.mistake("url", "conflict", detail);
        }
        (false, false) => {
            let detail = "is required where there is no url";
            fields.mistake("content", "required", detail);
        }
        (true, false) | (false, true) => {}
    }
    let filename = fields.required_text_of("filename", 1, FILENAME_LENGTH_MAX);
    let is_plain =
        |name: &String| !name.contains(['/', '\\', '"']) && !name.chars().any(char::is_control);
    if !filename.as_ref().is_none_or(is_plain) {
        let detail = "may hold no path, quotes or control characters";
        fields.mistake("filename", "invalid", detail);
    }
    let content = fields.text("content");
    let size = content.as_ref().map(|content| STANDARD.decode(content));
    if matches!(size, Some(Err(_))) {
        let detail = "must be standard base64 with padding";
        fields.mistake("content", "invalid", detail);
    }
    let url: Option<WebAddress> = fields.parsed("url");
    let content_type = fields.text_of("content_type", 3, 127);
    if !content_type.as_deref().is_none_or(is_media_type) {
        let detail = "must be a media type, such as application/pdf";
        fields.mistake("content_type", "invalid", detail);
    }
    let attachment = EmailAttachment {
        filename: filename.unwrap_or_default(),
        content_type,
        url: url.map(WebAddress::into_string),
        size_bytes: size
            .and_then(Result::ok)
            .and_then(|bytes| bytes.len().try_into().ok()),
    };
    (attachment, content)
}

fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let on_one_line = text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    on_one_line
        && essence
            .split_once('/')
            .is_some_and(|(kind, sub)| is_token(kind) && is_token(sub))
}
