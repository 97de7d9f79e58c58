//! `/v1/payments`

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use onerouter_domain::id::PaymentId;
use onerouter_domain::money::Currency;
use onerouter_domain::payment::PaymentStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{Json, page};
use super::body::JsonBody;
use super::fields::Fields;
use super::guard::Write;
use super::money::{Amount, CurrencyCode};
use super::objects::{self, CustomerFields, ListParams, RefreshParam, list_query, read_refresh};
use super::openapi::ClientProblems;
use super::paths::{self, Path};
use super::problem::Problem;
use super::state::AppState;
use crate::service::caller::{Access, Caller, Resource};
use crate::service::kind::NoContent;
use crate::service::objects::{Answer, Draft};
use crate::service::pages::{self, RESPONSE_FIELDS_MAX};
use crate::service::payment::{CaptureMode, Payment, PaymentAction, PaymentRequest};
use crate::service::refusal::Refusal;
use crate::service::view::payment::PaymentView;

const CREATE: &str = "POST /v1/payments";
const CAPTURE: &str = "POST /v1/payments/{id}/capture";
const CANCEL: &str = "POST /v1/payments/{id}/cancel";
const CONFIRM: &str = "POST /v1/payments/{id}/confirm";
const NOUN: &str = "payment";

/// Characters of a receipt.
const RECEIPT_LENGTH_MAX: usize = 255;
/// Characters of a description.
const DESCRIPTION_LENGTH_MAX: usize = 1_000;
/// Characters of a wish.
const HINT_LENGTH_MAX: usize = 64;
/// Wishes that not every provider knows.
const HINTS: [&str; 5] = [
    "upi_app",
    "emi_plan",
    "card_network",
    "wallet_provider",
    "bank_code",
];

/// Something that a buyer is to pay.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": 500.00, "currency": "INR", "receipt": "r-17"}))]
pub(crate) struct CreatePayment {
    /// How much.
    #[schema(value_type = Amount)]
    amount: f64,
    /// In which currency.
    #[schema(value_type = CurrencyCode)]
    currency: String,
    /// Only this provider.
    #[schema(nullable, pattern = "^[a-z][a-z0-9-]{0,39}$")]
    provider: Option<String>,
    /// Your own reference.
    #[schema(nullable, min_length = 1, max_length = 255)]
    receipt: Option<String>,
    /// For the buyer.
    #[schema(nullable, min_length = 1, max_length = 1000)]
    description: Option<String>,
    /// How the buyer should pay, in the provider's words: `card`, `upi`.
    #[schema(nullable, min_length = 1, max_length = 64)]
    method: Option<String>,
    /// Who pays.
    #[schema(nullable, value_type = Option<CustomerFields>)]
    customer: Option<CustomerFields>,
    /// Where the buyer goes afterwards; `payment_id` is added to its query.
    #[schema(nullable, max_length = 2048)]
    return_url: Option<String>,
    /// Where a buyer who gives up goes; `return_url` when left out.
    #[schema(nullable, max_length = 2048)]
    cancel_url: Option<String>,
    /// `automatic` (the default) takes the money as soon as the buyer has agreed; `manual` waits for
    /// the call of `capture`.
    #[schema(nullable, pattern = "^(automatic|manual)$")]
    capture: Option<String>,
    /// A wish: which UPI app.
    #[schema(nullable, min_length = 1, max_length = 64)]
    upi_app: Option<String>,
    /// A wish: which instalments.
    #[schema(nullable, min_length = 1, max_length = 64)]
    emi_plan: Option<String>,
    /// A wish: which card network.
    #[schema(nullable, min_length = 1, max_length = 64)]
    card_network: Option<String>,
    /// A wish: which wallet.
    #[schema(nullable, min_length = 1, max_length = 64)]
    wallet_provider: Option<String>,
    /// A wish: which bank.
    #[schema(nullable, min_length = 1, max_length = 64)]
    bank_code: Option<String>,
    /// A wish: to keep the card at the provider.
    #[schema(nullable)]
    save_card: Option<bool>,
    /// Your own pairs: up to 50, keys of `[A-Za-z0-9_.-]{1,64}`, values to 500 characters.
    #[schema(nullable)]
    metadata: Option<BTreeMap<String, String>>,
    /// Second name of `metadata`.
    #[schema(nullable)]
    notes: Option<BTreeMap<String, String>>,
}

/// What is captured.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": 500.00}))]
pub(crate) struct CapturePayment {
    /// How much; all of it when left out. The rest is given up.
    #[schema(nullable, value_type = Option<Amount>)]
    amount: Option<f64>,
}

/// What the provider's widget handed to the browser.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"provider_response": {"payment_id": "p-1", "signature": "5f0c"}}))]
pub(crate) struct ConfirmPayment {
    /// Names and values, unchanged.
    provider_response: BTreeMap<String, String>,
}

fn parse(mut fields: Fields<'_>) -> Result<Draft<Payment>, Refusal> {
    let currency: Option<Currency> = fields.required_parsed("currency");
    let amount = fields.required_money("amount", currency);
    let provider = objects::provider(&mut fields);
    let receipt = fields.text_of("receipt", 1, RECEIPT_LENGTH_MAX);
    let description = fields.text_of("description", 1, DESCRIPTION_LENGTH_MAX);
    let method = fields.text_of("method", 1, HINT_LENGTH_MAX);
    let customer = objects::customer(&mut fields);
    let return_url = objects::page(&mut fields, "return_url");
    let cancel_url = objects::page(&mut fields, "cancel_url");
    let capture = capture_mode(&mut fields);
    let mut hints = BTreeMap::new();
    for name in HINTS {
        if let Some(hint) = fields.text_of(name, 1, HINT_LENGTH_MAX) {
            hints.insert(name.to_owned(), hint);
        }
    }
    if fields.boolean("save_card") == Some(true) {
        hints.insert("save_card".to_owned(), "true".to_owned());
    }
    let metadata = fields.metadata();
    let request = amount.map(|amount| PaymentRequest {
        amount,
        capture,
        receipt,
        description,
        method,
        customer,
        return_url,
        cancel_url,
        hints,
        pages: None,
    });
    Ok(Draft {
        request: fields.finish(request)?,
        content: NoContent {},
        metadata,
        provider,
        late: None,
    })
}

fn capture_mode(fields: &mut Fields<'_>) -> CaptureMode {
    match fields.text("capture").as_deref() {
        None | Some("automatic") => CaptureMode::Automatic,
        Some("manual") => CaptureMode::Manual,
        Some(_) => {
            fields.mistake("capture", "invalid", "must be automatic or manual");
            CaptureMode::Automatic
        }
    }
}

/// Create a payment
///
/// The answer has a `checkout_url` to which the buyer is sent. What becomes of it then is its
/// `status`.
#[utoipa::path(
    post, path = "/v1/payments", tag = "payments", operation_id = "payments.create",
    params(objects::IdempotencyParam),
    request_body = CreatePayment,
    responses((status = 201, description = "The provider has taken it.", body = PaymentView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::Payments, Access::Write)?;
    let mut new = parse(Fields::of_body(&body)?)?;
    let intent = objects::intent(write.key, CREATE, &new);
    new.request.pages = Some(pages::open(&state.public_url));
    let created = state.payments.create(&caller, &write.origin, intent, new);
    // A large one: what the second path puts around it stays small.
    Ok(Box::pin(created).await?)
}

/// Create a payment (second path)
///
/// The same as `POST /v1/payments`.
#[utoipa::path(
    post, path = "/v1/payments/orders", tag = "payments", operation_id = "payments.create_order",
    params(objects::IdempotencyParam),
    request_body = CreatePayment,
    responses((status = 201, description = "The provider has taken it.", body = PaymentView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create_order(
    state: State<AppState>,
    caller: Caller,
    write: Write,
    body: JsonBody,
) -> Result<Answer, Problem> {
    create(state, caller, write, body).await
}

/// Read a payment
///
/// While the payment is open it is refreshed from its provider, at most once in 2 seconds. One that
/// the buyer has agreed to is captured then, unless its `capture` is `manual`.
#[utoipa::path(
    get, path = "/v1/payments/{id}", tag = "payments", operation_id = "payments.get",
    params(("id" = String, Path, description = "`pay_…`"), RefreshParam),
    responses((status = 200, description = "The payment.", body = PaymentView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    caller.may(Resource::Payments, Access::Read)?;
    let refresh = read_refresh(query.as_deref())?;
    let id: PaymentId = paths::id(&id, NOUN)?;
    Ok(Json(
        StatusCode::OK,
        state.payments.get(&caller, id, refresh).await?.into(),
    ))
}

/// Read a payment (second path)
///
/// The same as `GET /v1/payments/{id}`.
#[utoipa::path(
    get, path = "/v1/payments/orders/{id}", tag = "payments", operation_id = "payments.get_order",
    params(("id" = String, Path, description = "`pay_…`"), RefreshParam),
    responses((status = 200, description = "The payment.", body = PaymentView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_order(
    state: State<AppState>,
    caller: Caller,
    id: Path<String>,
    query: RawQuery,
) -> Result<Json, Problem> {
    get(state, caller, id, query).await
}

/// List payments
#[utoipa::path(
    get, path = "/v1/payments", tag = "payments", operation_id = "payments.list",
    params(ListParams),
    responses((status = 200, description = "A page, newest first.", body = inline(super::answers::List<PaymentView<'static>>)), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    caller.may(Resource::Payments, Access::Read)?;
    let query = list_query::<Payment>(query.as_deref(), PaymentStatus::ALL)?;
    Ok(page(state.payments.list(&caller, query).await?).into_response())
}

/// Capture a payment
///
/// Takes the money that was reserved, once: less than all of it gives up the rest. Where the provider
/// refuses, that is the payment's `failure`.
#[utoipa::path(
    post, path = "/v1/payments/{id}/capture", tag = "payments", operation_id = "payments.capture",
    params(("id" = String, Path, description = "`pay_…`"), objects::IdempotencyParam),
    request_body(content = CapturePayment, description = "May be left out."),
    responses((status = 200, description = "The payment.", body = PaymentView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn capture(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::Payments, Access::Write)?;
    // What is wrong with the body alone is said first: the amount's currency is the payment's.
    let mut fields = Fields::of_body(&body)?;
    let is_part = fields.amount_text("amount").is_some();
    fields.finish(Some(()))?;
    let id: PaymentId = paths::id(&id, NOUN)?;
    let amount = if is_part {
        let currency = state.payments.currency_of(&caller, id).await?;
        let mut fields = Fields::of_body(&body)?;
        let amount = fields.money("amount", Some(currency));
        fields.finish(Some(amount))?
    } else {
        None
    };
    let units = amount.map(onerouter_domain::money::Money::minor_units);
    let intent = objects::act_intent(write.key, CAPTURE, &(id.to_string(), units));
    let action = PaymentAction::Capture(amount);
    Ok(state
        .payments
        .act(&caller, &write.origin, intent, id, action)
        .await?)
}

/// Cancel a payment
///
/// Gives up what was not captured. What a provider cannot take back is `unsupported_by_provider`.
#[utoipa::path(
    post, path = "/v1/payments/{id}/cancel", tag = "payments", operation_id = "payments.cancel",
    params(("id" = String, Path, description = "`pay_…`"), objects::IdempotencyParam),
    request_body(content = objects::Nothing, description = "Nothing: leave it out, or send `{}`."),
    responses((status = 200, description = "The canceled payment.", body = PaymentView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::Payments, Access::Write)?;
    Fields::none(&body)?;
    let id: PaymentId = paths::id(&id, NOUN)?;
    let intent = objects::cancel_intent(write.key, CANCEL, &id.to_string());
    Ok(state
        .payments
        .act(&caller, &write.origin, intent, id, PaymentAction::Cancel)
        .await?)
}

/// Confirm a payment
///
/// For pages of your own with the provider's widget: what it handed to the browser is checked, and the
/// payment is read from the provider.
#[utoipa::path(
    post, path = "/v1/payments/{id}/confirm", tag = "payments", operation_id = "payments.confirm",
    params(("id" = String, Path, description = "`pay_…`"), objects::IdempotencyParam),
    request_body = ConfirmPayment,
    responses((status = 200, description = "The payment.", body = PaymentView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn confirm(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::Payments, Access::Write)?;
    let mut fields = Fields::of_body(&body)?;
    let response = fields.required_pairs("provider_response", RESPONSE_FIELDS_MAX);
    let response = fields.finish(response)?;
    let id: PaymentId = paths::id(&id, NOUN)?;
    let intent = objects::act_intent(write.key, CONFIRM, &(id.to_string(), &response));
    Ok(state
        .payments
        .confirm(&caller, intent, id, response)
        .await?)
}
