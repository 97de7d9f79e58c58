//! `/v1/email`

mod attachment;
pub(crate) mod batch;
pub(crate) mod draft;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use onerouter_domain::id::EmailId;
use onerouter_domain::message::EmailStatus;

use self::draft::SendEmail;
use super::answers::{Json, page};
use super::body::{EMAIL_BODY_BYTES_MAX, JsonBody};
use super::fields::Fields;
use super::guard::Write;
use super::objects::{self, ListParams, RefreshParam, list_query, read_refresh};
use super::openapi::ClientProblems;
use super::paths::{self, Path};
use super::problem::Problem;
use super::state::AppState;
use crate::service::caller::{Access, Caller, Resource};
use crate::service::email::Email;
use crate::service::message::Cancel;
use crate::service::objects::Answer;
use crate::service::view::EmailView;

const CREATE: &str = "POST /v1/email";
const CANCEL: &str = "POST /v1/email/{id}/cancel";

/// Send an e-mail
///
/// The answer comes when the provider has taken or refused it. What becomes of it then is its
/// `status`. The whole body may have 10 MiB.
#[utoipa::path(
    post, path = "/v1/email", tag = "email", operation_id = "email.create",
    params(objects::IdempotencyParam),
    request_body = SendEmail,
    responses((status = 201, description = "The provider has taken it.", body = EmailView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    JsonBody(body): JsonBody<EMAIL_BODY_BYTES_MAX>,
) -> Result<Answer, Problem> {
    caller.may(Resource::Email, Access::Write)?;
    let (new, body_key) = draft::parse(Fields::of_body(&body)?, &state)?;
    let key = objects::one_key(write.key, body_key)?;
    let intent = objects::intent(key, CREATE, &new);
    Ok(state
        .email
        .create(&caller, &write.origin, intent, new)
        .await?)
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
    params(("id" = String, Path, description = "`em_…`"), objects::IdempotencyParam),
    request_body(content = objects::Nothing, description = "Nothing: leave it out, or send `{}`."),
    responses((status = 200, description = "The canceled e-mail.", body = EmailView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::Email, Access::Write)?;
    Fields::none(&body)?;
    let id: EmailId = paths::id(&id, "e-mail")?;
    let intent = objects::cancel_intent(write.key, CANCEL, &id.to_string());
    Ok(state
        .email
        .act(&caller, &write.origin, intent, id, Cancel)
        .await?)
}
