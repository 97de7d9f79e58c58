//! `/v1/refunds`

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use onerouter_domain::id::RefundId;
use onerouter_domain::payment::RefundStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Json, page};
use super::body::JsonBody;
use super::fields::Fields;
use super::guard::Write;
use super::money::Amount;
use super::objects::{self, ListParams, RefreshParam, list_query, read_refresh};
use super::openapi::ClientProblems;
use super::paths::{self, Path};
use super::problem::Problem;
use super::state::AppState;
use crate::service::caller::{Access, Caller, Resource};
use crate::service::objects::Answer;
use crate::service::refund::{Refund, RefundAsked, Speed};
use crate::service::view::payment::RefundView;

const CREATE: &str = "POST /v1/refunds";
/// Characters of an id of a provider's.
const NAME_LENGTH_MAX: usize = 255;
/// Characters of a reason.
const REASON_LENGTH_MAX: usize = 255;

/// Money to be given back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"payment_id": "pay_01h455vb4pex5vsknk084sn02q", "amount": 100.00}))]
pub(crate) struct CreateRefund {
    /// The payment: `pay_…`, or the provider's id of the order or of the payment.
    #[schema(min_length = 1, max_length = 255)]
    payment_id: String,
    /// How much; all that is left when left out.
    #[schema(nullable, value_type = Option<Amount>)]
    amount: Option<f64>,
    /// Why; the buyer may see it.
    #[schema(nullable, min_length = 1, max_length = 255)]
    reason: Option<String>,
    /// `optimum` gives the money back at once where the provider can; `normal` is the default.
    #[schema(nullable, pattern = "^(normal|optimum)$")]
    speed: Option<String>,
    /// Your own pairs: up to 50, keys of `[A-Za-z0-9_.-]{1,64}`, values to 500 characters.
    #[schema(nullable)]
    metadata: Option<BTreeMap<String, String>>,
    /// Second name of `metadata`.
    #[schema(nullable)]
    notes: Option<BTreeMap<String, String>>,
}

/// Refund a payment
///
/// All refunds of a payment together never exceed what was captured.
#[utoipa::path(
    post, path = "/v1/refunds", tag = "refunds", operation_id = "refunds.create",
    params(objects::IdempotencyParam),
    request_body = CreateRefund,
    responses((status = 201, description = "The provider has taken it.", body = RefundView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::Refunds, Access::Write)?;
    let mut fields = Fields::of_body(&body)?;
    let payment = fields.required_text_of("payment_id", 1, NAME_LENGTH_MAX);
    let amount = fields.amount_text("amount");
    let reason = fields.text_of("reason", 1, REASON_LENGTH_MAX);
    let speed = match fields.text("speed").as_deref() {
        None | Some("normal") => Speed::Normal,
        Some("optimum") => Speed::Optimum,
        Some(_) => {
            fields.mistake("speed", "invalid", "must be normal or optimum");
            Speed::Normal
        }
    };
    let metadata = fields.metadata();
    let asked = payment.map(|payment| RefundAsked {
        payment,
        amount,
        reason,
        speed,
    });
    let asked = fields.finish(asked)?;
    let intent = objects::act_intent(write.key, CREATE, &(&asked, metadata.pairs()));
    Ok(state
        .refunds
        .refund(
            &state.payments,
            &caller,
            &write.origin,
            intent,
            asked,
            metadata,
        )
        .await?)
}

/// Refund a payment (second path)
///
/// The same as `POST /v1/refunds`.
#[utoipa::path(
    post, path = "/v1/payments/refund", tag = "refunds", operation_id = "refunds.create_of_payment",
    params(objects::IdempotencyParam),
    request_body = CreateRefund,
    responses((status = 201, description = "The provider has taken it.", body = RefundView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create_of_payment(
    state: State<AppState>,
    caller: Caller,
    write: Write,
    body: JsonBody,
) -> Result<Answer, Problem> {
    create(state, caller, write, body).await
}

/// Read a refund
///
/// While the refund is open it is refreshed from its provider, at most once in 2 seconds.
#[utoipa::path(
    get, path = "/v1/refunds/{id}", tag = "refunds", operation_id = "refunds.get",
    params(("id" = String, Path, description = "`re_…`"), RefreshParam),
    responses((status = 200, description = "The refund.", body = RefundView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    caller.may(Resource::Refunds, Access::Read)?;
    let refresh = read_refresh(query.as_deref())?;
    let id: RefundId = paths::id(&id, "refund")?;
    Ok(Json(
        StatusCode::OK,
        state.refunds.get(&caller, id, refresh).await?.into(),
    ))
}

/// List refunds
#[utoipa::path(
    get, path = "/v1/refunds", tag = "refunds", operation_id = "refunds.list",
    params(ListParams),
    responses((status = 200, description = "A page, newest first.", body = inline(super::answers::List<RefundView<'static>>)), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    caller.may(Resource::Refunds, Access::Read)?;
    let query = list_query::<Refund>(query.as_deref(), RefundStatus::ALL)?;
    Ok(page(state.refunds.list(&caller, query).await?).into_response())
}
