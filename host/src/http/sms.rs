//! `/v1/sms`

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use onerouter_domain::address::{PhoneNumber, SenderId};
use onerouter_domain::id::SmsId;
use onerouter_domain::idempotency::IdempotencyKey;
use onerouter_domain::message::SmsStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Json, page};
use super::body::JsonBody;
use super::fields::Fields;
use super::guard::Write;
use super::objects::{self, ListParams, RefreshParam, list_query, read_refresh};
use super::openapi::ClientProblems;
use super::paths::{self, Path};
use super::problem::Problem;
use super::state::AppState;
use super::web_address::WebAddress;
use crate::service::caller::{Access, Caller, Resource};
use crate::service::kind::NoContent;
use crate::service::message::Cancel;
use crate::service::objects::{Answer, Draft};
use crate::service::refusal::Refusal;
use crate::service::sms::{BODY_LENGTH_MAX, MEDIA_MAX, Sms, SmsRequest};
use crate::service::view::SmsView;

const CREATE: &str = "POST /v1/sms";
const CANCEL: &str = "POST /v1/sms/{id}/cancel";

/// A text message to be sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"to": "+14155550123", "body": "Your code is 123456."}))]
pub(crate) struct SendSms {
    /// The recipient, E.164.
    #[schema(pattern = r"^\+[1-9][0-9]{6,14}$")]
    to: String,
    /// The text. A longer one costs several segments.
    #[schema(min_length = 1, max_length = 1600)]
    body: String,
    /// Sender: a phone number in E.164 form, a short code or an alphanumeric sender id. Without it
    /// the connection's settings name one.
    #[schema(
        nullable,
        pattern = r"^(\+[1-9][0-9]{6,14}|[0-9]{3,8}|[A-Za-z0-9 ]{1,11})$"
    )]
    from_number: Option<String>,
    /// `https` URLs of pictures and other media.
    #[schema(nullable, max_items = 10)]
    media_urls: Option<Vec<String>>,
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

type Parsed = (Draft<Sms>, Option<IdempotencyKey>);

fn parse(mut fields: Fields<'_>, state: &AppState) -> Result<Parsed, Refusal> {
    let to: Option<PhoneNumber> = fields.required_parsed("to");
    let body = fields.required_text_of("body", 1, BODY_LENGTH_MAX);
    let from: Option<SenderId> = fields.parsed("from_number");
    let media: Vec<WebAddress> = fields
        .parsed_list("media_urls", MEDIA_MAX)
        .unwrap_or_default();
    let (send_at, late) = objects::time_ahead(&mut fields, "send_at", state.clock.now());
    let provider = objects::provider(&mut fields);
    let metadata = fields.metadata();
    let key = objects::body_key(&mut fields);
    let (to, body) = objects::finish(fields, to.zip(body), late.as_ref())?;
    let request = SmsRequest {
        to: to.into_string(),
        body,
        from_number: from.map(SenderId::into_string),
        media_urls: media.into_iter().map(WebAddress::into_string).collect(),
        send_at,
    };
    Ok((
        Draft {
            request,
            content: NoContent {},
            metadata,
            provider,
            late,
        },
        key,
    ))
}

/// Send a text message
///
/// The answer comes when the provider has taken or refused the message. What becomes of it then is
/// its `status`.
#[utoipa::path(
    post, path = "/v1/sms", tag = "sms", operation_id = "sms.create",
    params(objects::IdempotencyParam),
    request_body = SendSms,
    responses((status = 201, description = "The provider has taken it.", body = SmsView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::Sms, Access::Write)?;
    let (new, body_key) = parse(Fields::of_body(&body)?, &state)?;
    let key = objects::one_key(write.key, body_key)?;
    let intent = objects::intent(key, CREATE, &new);
    Ok(state
        .sms
        .create(&caller, &write.origin, intent, new)
        .await?)
}

/// Read a text message
///
/// While the message is open it is refreshed from its provider, at most once in 2 seconds.
#[utoipa::path(
    get, path = "/v1/sms/{id}", tag = "sms", operation_id = "sms.get",
    params(("id" = String, Path, description = "`sms_…`"), RefreshParam),
    responses((status = 200, description = "The message.", body = SmsView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    caller.may(Resource::Sms, Access::Read)?;
    let refresh = read_refresh(query.as_deref())?;
    let id: SmsId = paths::id(&id, "text message")?;
    Ok(Json(
        StatusCode::OK,
        state.sms.get(&caller, id, refresh).await?.into(),
    ))
}

/// List text messages
#[utoipa::path(
    get, path = "/v1/sms", tag = "sms", operation_id = "sms.list",
    params(ListParams),
    responses((status = 200, description = "A page, newest first.", body = inline(super::answers::List<SmsView<'static>>)), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    caller.may(Resource::Sms, Access::Read)?;
    let query = list_query::<Sms>(query.as_deref(), SmsStatus::ALL)?;
    Ok(page(state.sms.list(&caller, query).await?).into_response())
}

/// Cancel a text message
///
/// Possible until the provider has sent it.
#[utoipa::path(
    post, path = "/v1/sms/{id}/cancel", tag = "sms", operation_id = "sms.cancel",
    params(("id" = String, Path, description = "`sms_…`"), objects::IdempotencyParam),
    request_body(content = objects::Nothing, description = "Nothing: leave it out, or send `{}`."),
    responses((status = 200, description = "The canceled message.", body = SmsView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::Sms, Access::Write)?;
    Fields::none(&body)?;
    let id: SmsId = paths::id(&id, "text message")?;
    let intent = objects::cancel_intent(write.key, CANCEL, &id.to_string());
    Ok(state
        .sms
        .act(&caller, &write.origin, intent, id, Cancel)
        .await?)
}
