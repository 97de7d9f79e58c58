//! `/v1/email`

use std::collections::BTreeMap;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use onerouter_domain::address::Mailbox;
use onerouter_domain::id::EmailId;
use onerouter_domain::idempotency::IdempotencyKey;
use onerouter_domain::message::EmailStatus;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::answers::{Json, json, page, raw};
use super::body::{EMAIL_BODY_BYTES_MAX, JsonBody};
use super::envelope::RequestIdentity;
use super::fields::Fields;
use super::guard::KeyHeader;
use super::messages::{self, ListParams, RefreshParam, list_query, read_refresh};
use super::openapi::ClientProblems;
use super::problem::{Problem, ProblemDocument};
use super::state::AppState;
use super::{paths, web_address::WebAddress};
use crate::service::caller::{Access, Caller, Origin, Resource};
use crate::service::email::{
    ADDRESSES_MAX, ATTACHMENTS_MAX, Email, EmailAttachment, EmailContent, EmailRequest,
};
use crate::service::messages::{Answer, BatchEntry, Intent, NewMessage};
use crate::service::refusal::{FieldMistake, Refusal};
use crate::service::view::EmailView;

const CREATE: &str = "POST /v1/email";
const BATCH: &str = "POST /v1/email/batch";
const CANCEL: &str = "POST /v1/email/{id}/cancel";

/// E-mails of one batch.
const BATCH_MAX: usize = 100;
/// Characters of a subject: one line of RFC 5322.
const SUBJECT_LENGTH_MAX: usize = 998;
/// Headers, and tags, of one e-mail.
const PAIRS_MAX: usize = 50;
/// Characters of a header's or a tag's value.
const VALUE_LENGTH_MAX: usize = 998;
/// Stands between a batch's key and a position: no caller's key can hold it.
const POSITION_MARK: char = '\u{1f}';

/// Headers that have a field of their own or that the provider writes.
const RESERVED_HEADERS: [&str; 20] = [
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
    to: OneOrMore,
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
    cc: Option<OneOrMore>,
    /// Hidden copies.
    #[schema(nullable)]
    bcc: Option<OneOrMore>,
    /// Where answers go.
    #[schema(nullable)]
    reply_to: Option<OneOrMore>,
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
#[expect(dead_code, reason = "documents the bodies that `parse` reads")]
pub(crate) enum OneOrMore {
    /// One.
    One(String),
    /// Several.
    More(Vec<String>),
}

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

/// Several e-mails.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendEmails {
    /// 1 to 100.
    #[schema(min_items = 1, max_items = 100)]
    emails: Vec<SendEmail>,
}

/// What became of each e-mail of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Batch {
    /// `batch`
    object: &'static str,
    /// An e-mail or a problem each, in the order of the request.
    #[schema(value_type = Vec<BatchItem>)]
    data: Vec<Box<RawValue>>,
}

/// An e-mail, or why there is none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "documents the entries of a batch, which are rendered one by one"
)]
pub(crate) enum BatchItem {
    /// The provider has taken it.
    Email(EmailView<'static>),
    /// It was not sent, or nobody knows.
    Problem(ProblemDocument<'static>),
}

type Parsed = (NewMessage<Email>, Option<IdempotencyKey>);

fn parse(mut fields: Fields<'_>, state: &AppState) -> Result<Parsed, Vec<FieldMistake>> {
    let to: Option<Vec<Mailbox>> = fields.one_or_more("to", ADDRESSES_MAX);
    if to.as_ref().is_none_or(Vec::is_empty) && fields.is_clean() {
        fields.mistake("to", "required", "needs at least one recipient");
    }
    let subject = fields.required_text_of("subject", 1, SUBJECT_LENGTH_MAX);
    if subject
        .as_ref()
        .is_some_and(|subject| subject.chars().any(char::is_control))
    {
        fields.mistake(
            "subject",
            "invalid",
            "must stand on one line, without control characters",
        );
    }
    let html_body = fields.text("html_body").filter(|text| !text.is_empty());
    let text_body = fields.text("text_body").filter(|text| !text.is_empty());
    if html_body.is_none() && text_body.is_none() {
        fields.mistake(
            "html_body",
            "required",
            "is required where there is no text_body",
        );
    }
    let from: Option<Mailbox> = fields.parsed("from_email");
    let mut mailboxes = |name: &str| -> Vec<String> {
        let list: Vec<Mailbox> = fields.one_or_more(name, ADDRESSES_MAX).unwrap_or_default();
        list.into_iter().map(Mailbox::into_string).collect()
    };
    let (cc, bcc, reply_to) = (mailboxes("cc"), mailboxes("bcc"), mailboxes("reply_to"));
    let (attachments, contents) = attachments(&mut fields);
    let headers = headers(&mut fields);
    let tags = tags(&mut fields);
    let send_at = messages::future_time(&mut fields, "send_at", state.clock.now());
    let provider = messages::provider(&mut fields);
    let metadata = fields.metadata();
    let key = messages::body_key(&mut fields);
    fields.finish()?;
    let request = EmailRequest {
        to: to
            .unwrap_or_default()
            .into_iter()
            .map(Mailbox::into_string)
            .collect(),
        cc,
        bcc,
        reply_to,
        subject: subject.unwrap_or_default(),
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
        NewMessage {
            request,
            content,
            metadata,
            provider,
        },
        key,
    ))
}

fn attachments(fields: &mut Fields<'_>) -> (Vec<EmailAttachment>, Vec<Option<String>>) {
    let mut attachments = Vec::new();
    let mut contents = Vec::new();
    for (pointer, value) in fields
        .list("attachments", ATTACHMENTS_MAX)
        .unwrap_or_default()
    {
        let mut inner = Fields::at(pointer, value);
        let filename = inner.required_text_of("filename", 1, 255);
        if filename.as_ref().is_some_and(|name| {
            name.contains(['/', '\\', '"']) || name.chars().any(char::is_control)
        }) {
            inner.mistake(
                "filename",
                "invalid",
                "may hold no path, quotes or control characters",
            );
        }
        let content = inner.text("content");
        let url: Option<WebAddress> = inner.parsed("url");
        let content_type = inner.text_of("content_type", 3, 127);
        if content_type
            .as_ref()
            .is_some_and(|text| !is_media_type(text))
        {
            inner.mistake(
                "content_type",
                "invalid",
                "must be a media type, such as application/pdf",
            );
        }
        let decoded = content.as_ref().map(|content| STANDARD.decode(content));
        match (&decoded, &url) {
            (Some(Err(_)), _) => {
                inner.mistake("content", "invalid", "must be standard base64 with padding");
            }
            (Some(Ok(_)), Some(_)) => {
                inner.mistake("url", "conflict", "stands beside content; give one of them");
            }
            (None, None) if inner.is_clean() => {
                inner.mistake("content", "required", "is required where there is no url");
            }
            (Some(Ok(_)), None) | (None, _) => {}
        }
        let size_bytes = decoded
            .and_then(Result::ok)
            .and_then(|bytes| bytes.len().try_into().ok());
        attachments.push(EmailAttachment {
            filename: filename.unwrap_or_default(),
            content_type,
            url: url.map(WebAddress::into_string),
            size_bytes,
        });
        contents.push(content);
        fields.adopt(inner.finish().err().unwrap_or_default());
    }
    (attachments, contents)
}

fn headers(fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for (name, value) in fields.pairs("headers", PAIRS_MAX).unwrap_or_default() {
        let place = format!("headers/{name}");
        let is_name = (1..=76).contains(&name.len())
            && name
                .bytes()
                .all(|byte| (0x21..=0x7e).contains(&byte) && byte != b':');
        if !is_name {
            fields.mistake(&place, "invalid", "is not the name of a header");
        } else if RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            fields.mistake(
                &place,
                "invalid",
                "may not be set here: it has a field of its own or is written by the provider",
            );
        } else if value.chars().any(char::is_control) || value.chars().count() > VALUE_LENGTH_MAX {
            fields.mistake(
                &place,
                "invalid",
                "must stand on one line of at most 998 characters",
            );
        }
        headers.insert(name, value);
    }
    headers
}

fn tags(fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    for (name, value) in fields.pairs("tags", PAIRS_MAX).unwrap_or_default() {
        if name.is_empty() || name.chars().count() > 256 || value.chars().count() > 256 {
            let place = format!("tags/{name}");
            fields.mistake(
                &place,
                "too_long",
                "the name needs 1 to 256 characters, the value may have 256",
            );
        }
        tags.insert(name, value);
    }
    tags
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

/// Send an e-mail
///
/// The answer comes when the provider has taken or refused it. What becomes of it then is its
/// `status`. The whole body may have 10 MiB.
#[utoipa::path(
    post, path = "/v1/email", tag = "email", operation_id = "email.create",
    params(messages::IdempotencyParam),
    request_body = SendEmail,
    responses((status = 201, description = "The provider has taken it.", body = EmailView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    KeyHeader(key): KeyHeader,
    JsonBody(body): JsonBody<EMAIL_BODY_BYTES_MAX>,
) -> Result<Answer, Problem> {
    caller.may(Resource::Email, Access::Write)?;
    let (new, body_key) = parse(Fields::of_body(&body)?, &state).map_err(Refusal::invalid)?;
    let key = messages::one_key(key, body_key)?;
    let intent = messages::intent(key, CREATE, &new);
    Ok(state.email.create(&caller, &origin, intent, new).await?)
}

/// Send several e-mails
///
/// Each has its own outcome: an e-mail or a problem stands in its position. With an
/// `Idempotency-Key`, a repetition replays what is settled and sends what was not sent.
#[utoipa::path(
    post, path = "/v1/email/batch", tag = "email", operation_id = "email.create_batch",
    params(messages::IdempotencyParam),
    request_body = SendEmails,
    responses((status = 200, description = "What became of each.", body = Batch), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create_batch(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    axum::Extension(identity): axum::Extension<RequestIdentity>,
    KeyHeader(key): KeyHeader,
    JsonBody(body): JsonBody<EMAIL_BODY_BYTES_MAX>,
) -> Result<Json, Problem> {
    caller.may(Resource::Email, Access::Write)?;
    let mut fields = Fields::of_body(&body)?;
    let emails = fields.list("emails", BATCH_MAX);
    if emails.as_ref().is_none_or(Vec::is_empty) && fields.is_clean() {
        fields.mistake("emails", "required", "needs 1 to 100 e-mails");
    }
    messages::finish(fields)?;
    let entries = emails
        .unwrap_or_default()
        .into_iter()
        .enumerate()
        .map(|(position, (pointer, value))| {
            batch_entry(&state, key.as_ref(), position, Fields::at(pointer, value))
        })
        .collect();
    let answers = state.email.create_batch(&caller, &origin, entries).await?;
    let data = answers
        .into_iter()
        .filter_map(|answer| match answer {
            Ok(answer) => raw(answer.body),
            Err(refusal) => raw(ProblemDocument::new(&refusal, &identity.shown).to_bytes()),
        })
        .collect();
    Ok(json(
        StatusCode::OK,
        &Batch {
            object: "batch",
            data,
        },
    ))
}

/// One e-mail of a batch: under its own key where it has one, else under the batch's and its
/// position.
fn batch_entry(
    state: &AppState,
    batch_key: Option<&IdempotencyKey>,
    position: usize,
    fields: Fields<'_>,
) -> Result<BatchEntry<Email>, Refusal> {
    let (new, own_key) = parse(fields, state).map_err(Refusal::invalid)?;
    let hash = messages::hash(&new);
    let intent = match (own_key, batch_key) {
        (Some(own), _) => Intent::new(Some(own), CREATE, hash),
        (None, Some(key)) => {
            let derived = format!("{}{POSITION_MARK}{position}", key.as_str());
            Intent {
                key: Some(derived),
                route: BATCH,
                hash,
            }
        }
        (None, None) => Intent {
            key: None,
            route: BATCH,
            hash,
        },
    };
    Ok((intent, new))
}

/// Read an e-mail
///
/// While the e-mail is open it is refreshed from its provider, at most once in 2 seconds.
#[utoipa::path(
    get, path = "/v1/email/{id}", tag = "email", operation_id = "email.get",
    params(("id" = String, Path, description = "`em_…`"), RefreshParam),
    responses((status = 200, description = "The e-mail.", body = EmailView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    caller.may(Resource::Email, Access::Read)?;
    let refresh = read_refresh(query.as_deref())?;
    let id: EmailId = paths::id(&id, "e-mail")?;
    Ok(Json(
        StatusCode::OK,
        state.email.get(&caller, id, refresh).await?.into(),
    ))
}

/// List e-mails
///
/// Without `html_body` and `text_body`: read one e-mail for them.
#[utoipa::path(
    get, path = "/v1/email", tag = "email", operation_id = "email.list",
    params(ListParams),
    responses((status = 200, description = "A page, newest first.", body = inline(super::answers::List<EmailView<'static>>)), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    caller.may(Resource::Email, Access::Read)?;
    let query = list_query::<Email>(query.as_deref(), EmailStatus::ALL)?;
    Ok(page(state.email.list(&caller, query).await?).into_response())
}

/// Cancel an e-mail
///
/// Possible until the provider has sent it.
#[utoipa::path(
    post, path = "/v1/email/{id}/cancel", tag = "email", operation_id = "email.cancel",
    params(("id" = String, Path, description = "`em_…`"), messages::IdempotencyParam),
    request_body(content = messages::Nothing, description = "Nothing: leave it out, or send `{}`."),
    responses((status = 200, description = "The canceled e-mail.", body = EmailView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    origin: Origin,
    Path(id): Path<String>,
    KeyHeader(key): KeyHeader,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::Email, Access::Write)?;
    messages::finish(Fields::of_body(&body)?)?;
    let id: EmailId = paths::id(&id, "e-mail")?;
    let intent = messages::cancel_intent(key, CANCEL, &id.to_string());
    Ok(state.email.cancel(&caller, &origin, intent, id).await?)
}
