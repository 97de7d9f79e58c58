//! What an attachment must have.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use url::Url;

use super::error::ResendError;

/// Checks the list; gives the Base64 bytes it weighs. Nothing is fetched from a `path`.
pub(super) fn check(attachments: &Value) -> Result<usize, ResendError> {
    let Value::Array(attachments) = attachments else {
        return Err(ResendError::validation(
            "The `attachments` field must be an array.",
        ));
    };
    attachments.iter().try_fold(0_usize, |bytes, attachment| {
        Ok(bytes.saturating_add(check_one(attachment)?))
    })
}

fn check_one(attachment: &Value) -> Result<usize, ResendError> {
    let text = |name: &str| {
        attachment
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    match (text("content"), text("path")) {
        (Some(content), _) => match STANDARD.decode(content) {
            Ok(_) => Ok(content.len()),
            Err(_) => Err(ResendError::saying(
                "invalid_attachment",
                "Attachment `content` must be Base64.",
            )),
        },
        (None, Some(path)) => match Url::parse(path) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(0),
            Ok(_) | Err(_) => Err(ResendError::saying(
                "invalid_attachment",
                "Attachment `path` must be a URL.",
            )),
        },
        (None, None) => Err(ResendError::named("invalid_attachment")),
    }
}
