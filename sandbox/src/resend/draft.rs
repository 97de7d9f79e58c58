//! One send body, checked field by field.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{address, attachment, email::Event, error::ResendError, schedule};

const RECIPIENTS_MAX: usize = 50;
const TAG_CHARACTERS_MAX: usize = 256;
/// The whole message after Base64.
const MESSAGE_BYTES_MAX: usize = 40 << 20;

/// An e-mail that passed every check.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) cc: Vec<String>,
    pub(super) bcc: Vec<String>,
    pub(super) reply_to: Vec<String>,
    pub(super) subject: String,
    pub(super) html: Option<String>,
    pub(super) text: Option<String>,
    pub(super) scheduled_at: Option<DateTime<Utc>>,
    pub(super) tags: Map<String, Value>,
    pub(super) headers: Map<String, Value>,
    pub(super) course: Event,
}

/// Where the body came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Single,
    /// "The `attachments` and `scheduled_at` fields are not supported yet" in batches; both are
    /// dropped without a word, as was reported of attachments.
    Batch,
}

impl Draft {
    pub(super) fn parse(
        body: &Value,
        origin: Origin,
        now: DateTime<Utc>,
    ) -> Result<Draft, ResendError> {
        let Value::Object(body) = body else {
            return Err(ResendError::validation(
                "The request body must be a JSON object.",
            ));
        };
        let from = required_text(body, "from")?;
        let to = addresses(body, "to")?;
        if to.is_empty() {
            return Err(ResendError::missing("to"));
        }
        if to.len() > RECIPIENTS_MAX {
            return Err(ResendError::validation(
                "The `to` field must have at most 50 recipients.",
            ));
        }
        let subject = required_text(body, "subject")?;
        let (cc, bcc) = (addresses(body, "cc")?, addresses(body, "bcc")?);
        let reply_to = addresses(body, "reply_to")?;
        let (html, text) = content(body)?;
        check_extras(body)?;
        let mut bytes = [&html, &text]
            .into_iter()
            .flatten()
            .map(String::len)
            .sum::<usize>();
        let mut scheduled_at = None;
        if origin == Origin::Single {
            if let Some(attachments) = present(body, "attachments") {
                bytes = bytes.saturating_add(attachment::check(attachments)?);
            }
            if let Some(at) = optional_text(body, "scheduled_at")? {
                scheduled_at = Some(schedule::parse(&at, now)?);
            }
        }
        if bytes > MESSAGE_BYTES_MAX {
            return Err(ResendError::validation(
                "The email exceeds the maximum size of 40MB.",
            ));
        }
        let recipients: Vec<&str> = [&to, &cc, &bcc]
            .into_iter()
            .flatten()
            .filter_map(|address| address::bare(address))
            .collect();
        address::check_sender(&from, &recipients)?;
        let course = address::course(&recipients)?;
        Ok(Draft {
            from,
            to,
            cc,
            bcc,
            reply_to,
            subject,
            html,
            text,
            scheduled_at,
            tags: tags(body),
            headers: headers(body),
            course,
        })
    }
}

/// By name. They were checked before.
fn tags(body: &Map<String, Value>) -> Map<String, Value> {
    let tags = present(body, "tags").and_then(Value::as_array);
    let tags = tags.into_iter().flatten();
    let named = tags.filter_map(|tag| {
        let name = tag.get("name")?.as_str()?.to_owned();
        Some((name, tag.get("value")?.clone()))
    });
    named.collect()
}

fn headers(body: &Map<String, Value>) -> Map<String, Value> {
    let headers = present(body, "headers").and_then(Value::as_object);
    headers.cloned().unwrap_or_default()
}

/// HTML, text, or a template that brings both.
fn content(body: &Map<String, Value>) -> Result<(Option<String>, Option<String>), ResendError> {
    let (html, text) = (optional_text(body, "html")?, optional_text(body, "text")?);
    let filled = [&html, &text]
        .into_iter()
        .flatten()
        .any(|content| !content.is_empty());
    match (present(body, "template"), filled) {
        (Some(_), true) => Err(ResendError::validation(
            "`template` cannot be used with `html` or `text`.",
        )),
        // A departure: there are no templates here.
        (Some(_), false) => Err(ResendError::saying("not_found", "Template not found")),
        (None, true) => Ok((html, text)),
        (None, false) => Err(ResendError::validation("Missing `html` or `text` field.")),
    }
}

fn check_extras(body: &Map<String, Value>) -> Result<(), ResendError> {
    if let Some(headers) = present(body, "headers") {
        let are_texts = headers
            .as_object()
            .is_some_and(|headers| headers.values().all(Value::is_string));
        if !are_texts {
            return Err(ResendError::validation(
                "The `headers` field must be an object of strings.",
            ));
        }
    }
    if let Some(tags) = present(body, "tags") {
        let Value::Array(tags) = tags else {
            return Err(ResendError::validation(
                "The `tags` field must be an array.",
            ));
        };
        if !tags
            .iter()
            .all(|tag| is_tag_part(tag.get("name")) && is_tag_part(tag.get("value")))
        {
            return Err(ResendError::validation(
                "Tags should only contain ASCII letters, numbers, underscores, or dashes.",
            ));
        }
    }
    Ok(())
}

fn is_tag_part(part: Option<&Value>) -> bool {
    part.and_then(Value::as_str).is_some_and(|part| {
        (1..=TAG_CHARACTERS_MAX).contains(&part.len())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    })
}

/// `null` counts as absent.
fn present<'a>(body: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    body.get(field).filter(|value| !value.is_null())
}

fn optional_text(body: &Map<String, Value>, field: &str) -> Result<Option<String>, ResendError> {
    match present(body, field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(ResendError::validation(format!(
            "The `{field}` field must be a `string`."
        ))),
    }
}

fn required_text(body: &Map<String, Value>, field: &str) -> Result<String, ResendError> {
    optional_text(body, field)?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| ResendError::missing(field))
}

/// One address or a list of them.
fn addresses(body: &Map<String, Value>, field: &str) -> Result<Vec<String>, ResendError> {
    let texts = match present(body, field) {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        Some(_) => Vec::new(),
    };
    let count = match body.get(field) {
        Some(Value::Array(items)) => items.len(),
        _ => 1,
    };
    if texts.len() != count {
        return Err(ResendError::validation(format!(
            "The `{field}` field must be a `string`."
        )));
    }
    match texts.iter().any(|text| address::bare(text).is_none()) {
        true => Err(ResendError::validation(format!(
            "Invalid `{field}` field. The email address needs to follow the `email@example.com` or `Name <email@example.com>` format."
        ))),
        false => Ok(texts),
    }
}
