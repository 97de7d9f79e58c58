//! `/v1/email/batch`

use axum::extract::State;
use http::StatusCode;
use onerouter_domain::idempotency::IdempotencyKey;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::CREATE;
use super::draft::{self, SendEmail};
use crate::http::answers::{Json, json, raw};
use crate::http::body::{EMAIL_BODY_BYTES_MAX, JsonBody};
use crate::http::fields::Fields;
use crate::http::guard::Write;
use crate::http::objects;
use crate::http::openapi::ClientProblems;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::state::AppState;
use crate::service::caller::{Access, Caller, Resource};
use crate::service::email::Email;
use crate::service::objects::{BatchEntry, Intent};
use crate::service::refusal::Refusal;
use crate::service::view::EmailView;

const BATCH: &str = "POST /v1/email/batch";
/// E-mails of one batch.
const BATCH_MAX: usize = 100;

/// Several e-mails.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"emails": [
    {"to": "ada@example.com", "subject": "Welcome", "text_body": "Good to have you here."},
    {"to": "alan@example.com", "subject": "Welcome", "html_body": "<p>Good to have you here.</p>"}
]}))]
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
    clippy::large_enum_variant,
    reason = "documents the entries of a batch, which are rendered one by one"
)]
pub(crate) enum BatchItem {
    /// The provider has taken it.
    Email(EmailView<'static>),
    /// It was not sent, or nobody knows.
    Problem(ProblemDocument<'static>),
}

/// Send several e-mails
///
/// Each has its own outcome: an e-mail or a problem stands in its position. With an
/// `Idempotency-Key`, a repetition replays what is settled and sends what was not sent.
#[utoipa::path(
    post, path = "/v1/email/batch", tag = "email", operation_id = "email.create_batch",
    params(objects::IdempotencyParam),
    request_body = SendEmails,
    responses((status = 200, description = "What became of each.", body = Batch), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create_batch(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    JsonBody(body): JsonBody<EMAIL_BODY_BYTES_MAX>,
) -> Result<Json, Problem> {
    caller.may(Resource::Email, Access::Write)?;
    let mut fields = Fields::of_body(&body)?;
    let emails = fields.required_list("emails", BATCH_MAX);
    let entries = fields
        .finish(emails)?
        .into_iter()
        .enumerate()
        .map(|(position, (pointer, value))| {
            batch_entry(
                &state,
                write.key.as_ref(),
                position,
                Fields::at(pointer, value),
            )
        })
        .collect();
    let answers = state
        .email
        .create_batch(&caller, &write.origin, entries)
        .await?;
    let data = answers
        .into_iter()
        .filter_map(|answer| match answer {
            Ok(answer) => raw(answer.body),
            Err(refusal) => raw(ProblemDocument::new(&refusal, &write.origin.shown).to_bytes()),
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
    let (new, own_key) = draft::parse(fields, state)?;
    let hash = objects::hash(&new);
    let intent = match own_key {
        Some(own) => Intent::new(Some(own), CREATE, hash),
        None => Intent::at(batch_key, position, BATCH, hash),
    };
    Ok((intent, new))
}
