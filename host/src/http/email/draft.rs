//! The fields of an e-mail.

use std::collections::{BTreeMap, BTreeSet};

use onerouter_domain::address::Mailbox;
use onerouter_domain::idempotency::IdempotencyKey;
use serde::Serialize;
use utoipa::ToSchema;

use super::attachment::{self, SendAttachment};
use crate::http::fields::Fields;
use crate::http::objects;
use crate::http::state::AppState;
use crate::service::email::{ADDRESSES_MAX, Email, EmailContent, EmailRequest};
use crate::service::objects::Draft;
use crate::service::refusal::Refusal;

/// Characters of a subject: one line of RFC 5322.
const SUBJECT_LENGTH_MAX: usize = 998;
/// Headers, and tags, of one e-mail.
pub(crate) const PAIRS_MAX: usize = 50;
/// Characters of a header's value.
pub(crate) const VALUE_LENGTH_MAX: usize = 998;
/// Characters of a header's name: it shares a line of RFC 5322 with its value.
const HEADER_LENGTH_MAX: usize = 76;
/// Characters of a tag's name, and of its value.
pub(crate) const TAG_LENGTH_MAX: usize = 256;

/// Headers that have a field of their own or that the provider writes.
pub(crate) const RESERVED_HEADERS: [&str; 20] = [
    "bcc",
    "cc",
    "content-disposition",
    "content-transfer-encoding",
    "content-type",
    "date",
    "dkim-signature",
    "from",
    "message-id",
    "mime-version",
    "received",
    "reply-to",
    "resent-bcc",
    "resent-cc",
    "resent-from",
    "resent-to",
    "return-path",
    "sender",
    "subject",
    "to",
];

/// An e-mail to be sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"to": "ada@example.com", "subject": "Welcome", "text_body": "Good to have you here."}))]
pub(crate) struct SendEmail {
    /// One recipient, or up to 50: `ada@example.com` or `Ada <ada@example.com>`.
    to: Recipients,
    /// The subject, on one line.
    #[schema(min_length = 1, max_length = 998)]
    subject: String,
    /// The text as HTML. One of the two bodies must be there.
    #[schema(nullable)]
    html_body: Option<String>,
    /// The plain text.
    #[schema(nullable)]
    text_body: Option<String>,
    /// The sender. Without it the connection's settings name one.
    #[schema(nullable)]
    from_email: Option<String>,
    /// Copies.
    #[schema(nullable)]
    cc: Option<AnyNumber>,
    /// Hidden copies.
    #[schema(nullable)]
    bcc: Option<AnyNumber>,
    /// Where answers go.
    #[schema(nullable)]
    reply_to: Option<AnyNumber>,
    /// Files.
    #[schema(nullable, max_items = 32)]
    attachments: Option<Vec<SendAttachment>>,
    /// Headers of the e-mail itself, `X-Order` for one. Those that have a field of their own are
    /// refused.
    #[schema(nullable)]
    headers: Option<BTreeMap<String, String>>,
    /// Names and values for sorting at the provider.
    #[schema(nullable)]
    tags: Option<BTreeMap<String, String>>,
    /// When to send; in the future. What a provider can do differs.
    #[schema(nullable, format = DateTime)]
    send_at: Option<String>,
    /// Only this provider.
    #[schema(nullable, pattern = "^[a-z][a-z0-9-]{0,39}$")]
    provider: Option<String>,
    /// Your own pairs: up to 50, keys of `[A-Za-z0-9_.-]{1,64}`, values to 500 characters.
    #[schema(nullable)]
    metadata: Option<BTreeMap<String, String>>,
    /// Second name of `metadata`.
    #[schema(nullable)]
    notes: Option<BTreeMap<String, String>>,
    /// As the header `Idempotency-Key`.
    #[schema(nullable, min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
}

/// One text, or a list of them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "documents bodies that `Fields::one_or_more` reads"
)]
pub(crate) enum OneOrMore {
    /// One.
    One(String),
    /// Several.
    More(Vec<String>),
}

/// One mailbox, or a list of 1 to 50.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents the bodies that `parse` reads")]
pub(crate) enum Recipients {
    /// One.
    One(String),
    /// Several.
    More(Vec<String>),
}

/// One mailbox, or a list of up to 50.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents the bodies that `parse` reads")]
pub(crate) enum AnyNumber {
    /// One.
    One(String),
    /// None or several.
    List(Vec<String>),
}

/// What is sent, and the key that stands in the body.
pub(super) type Parsed = (Draft<Email>, Option<IdempotencyKey>);

pub(super) fn parse(mut fields: Fields<'_>, state: &AppState) -> Result<Parsed, Refusal> {
    let to: Option<Vec<Mailbox>> = fields.required_one_or_more("to", ADDRESSES_MAX);
    let subject = subject(&mut fields);
    let (html_body, text_body) = bodies(&mut fields);
    let from: Option<Mailbox> = fields.parsed("from_email");
    let mut mailboxes = |name: &str| -> Vec<String> {
        let list: Vec<Mailbox> = fields.one_or_more(name, ADDRESSES_MAX).unwrap_or_default();
        list.into_iter().map(Mailbox::into_string).collect()
    };
    let (cc, bcc, reply_to) = (mailboxes("cc"), mailboxes("bcc"), mailboxes("reply_to"));
    let (attachments, contents) = attachment::parse(&mut fields);
    let headers = headers(&mut fields);
    let tags = tags(&mut fields);
    let (send_at, late) = objects::time_ahead(&mut fields, "send_at", state.clock.now());
    let provider = objects::provider(&mut fields);
    let metadata = fields.metadata();
    let key = objects::body_key(&mut fields);
    let (to, subject) = objects::finish(fields, to.zip(subject), late.as_ref())?;
    let request = EmailRequest {
        to: to.into_iter().map(Mailbox::into_string).collect(),
        cc,
        bcc,
        reply_to,
        subject,
        from_email: from.map(Mailbox::into_string),
        attachments,
        headers,
        tags,
        send_at,
    };
    let content = EmailContent {
        html_body,
        text_body,
        attachments: contents,
    };
    Ok((
        Draft {
            request,
            content,
            metadata,
            provider,
            late,
        },
        key,
    ))
}

fn subject(fields: &mut Fields<'_>) -> Option<String> {
    let subject = fields.required_text_of("subject", 1, SUBJECT_LENGTH_MAX)?;
    if subject.chars().any(char::is_control) {
        let detail = "must stand on one line, without control characters";
        fields.mistake("subject", "invalid", detail);
        return None;
    }
    Some(subject)
}

/// The two forms of the text, one of which must be there. An empty one is none.
fn bodies(fields: &mut Fields<'_>) -> (Option<String>, Option<String>) {
    let mut is_missing = true;
    let mut read = |name: &str| {
        let is_given = fields.has(name);
        let text = fields.text(name);
        // One that cannot be read has its own mistake, and is not missing too.
        let is_empty = text.as_ref().is_some_and(String::is_empty);
        is_missing &= !is_given || is_empty;
        text.filter(|_| !is_empty)
    };
    let bodies = (read("html_body"), read("text_body"));
    if is_missing {
        let detail = "is required where there is no text_body";
        fields.mistake("html_body", "required", detail);
    }
    bodies
}

fn headers(fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    const LIST: &str = "headers";
    let pairs = fields.pairs(LIST, PAIRS_MAX).unwrap_or_default();
    // Providers and mail servers do not tell names apart by case.
    let mut names = BTreeSet::new();
    for (name, value) in &pairs {
        let lower = name.to_ascii_lowercase();
        let is_name = (1..=HEADER_LENGTH_MAX).contains(&name.len())
            && name
                .bytes()
                .all(|byte| (0x21..=0x7e).contains(&byte) && byte != b':');
        if !is_name {
            fields.mistake_in(LIST, name, "invalid", "is not the name of a header");
        } else if RESERVED_HEADERS.contains(&lower.as_str()) {
            let detail =
                "may not be set here: it has a field of its own or is written by the provider";
            fields.mistake_in(LIST, name, "invalid", detail);
        } else if value.chars().any(char::is_control) || value.chars().count() > VALUE_LENGTH_MAX {
            let detail = format!("must stand on one line of at most {VALUE_LENGTH_MAX} characters");
            fields.mistake_in(LIST, name, "invalid", detail);
        } else if !names.insert(lower) {
            let detail = "stands there twice; upper and lower case are the same";
            fields.mistake_in(LIST, name, "duplicate", detail);
        }
    }
    pairs.into_iter().collect()
}

fn tags(fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    const LIST: &str = "tags";
    let pairs = fields.pairs(LIST, PAIRS_MAX).unwrap_or_default();
    for (name, value) in &pairs {
        if name.is_empty() || name.chars().any(char::is_control) {
            let detail = "the name may not be empty nor hold control characters";
            fields.mistake_in(LIST, name, "invalid", detail);
        } else if name.chars().count().max(value.chars().count()) > TAG_LENGTH_MAX {
            let detail = format!("name and value may have at most {TAG_LENGTH_MAX} characters");
            fields.mistake_in(LIST, name, "too_long", detail);
        }
    }
    pairs.into_iter().collect()
}
