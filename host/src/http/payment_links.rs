//! `/v1/payment-links`

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use http::StatusCode;
use onerouter_domain::code::ErrorCode;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::PaymentLinkId;
use onerouter_domain::money::Currency;
use onerouter_domain::payment::PaymentLinkStatus;
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
use crate::service::pages;
use crate::service::paying::Customer;
use crate::service::payment_link::{PaymentLink, PaymentLinkAction, PaymentLinkRequest};
use crate::service::refusal::Refusal;
use crate::service::view::payment::PaymentLinkView;

const CREATE: &str = "POST /v1/payment-links";
const CANCEL: &str = "POST /v1/payment-links/{id}/cancel";
const NOUN: &str = "payment link";
/// Characters of a description.
const DESCRIPTION_LENGTH_MAX: usize = 1_000;
/// The currency of a link that names none.
const DEFAULT_CURRENCY: &str = "INR";

/// A link by which a buyer pays.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": 500.00, "description": "Order 17"}))]
pub(crate) struct CreatePaymentLink {
    /// How much.
    #[schema(value_type = Amount)]
    amount: f64,
    /// In which currency; `INR` when left out.
    #[schema(nullable, value_type = Option<CurrencyCode>)]
    currency: Option<String>,
    /// For the buyer.
    #[schema(min_length = 1, max_length = 1000)]
    description: String,
    /// Who pays.
    #[schema(nullable, value_type = Option<CustomerFields>)]
    customer: Option<CustomerFields>,
    /// The buyer's e-mail address; as `customer.email`.
    #[schema(nullable)]
    customer_email: Option<String>,
    /// Where the buyer goes afterwards; `payment_link_id` is added to its query.
    #[schema(nullable, max_length = 2048)]
    callback_url: Option<String>,
    /// When it stops working; in the future. What a provider can do differs.
    #[schema(nullable, format = DateTime)]
    expires_at: Option<String>,
    /// Must be the key's: `test` or `live`
    #[schema(nullable, pattern = "^(test|live)$")]
    environment: Option<String>,
    /// Only this provider.
    #[schema(nullable, pattern = "^[a-z][a-z0-9-]{0,39}$")]
    provider: Option<String>,
    /// Your own pairs: up to 50, keys of `[A-Za-z0-9_.-]{1,64}`, values to 500 characters.
    #[schema(nullable)]
    metadata: Option<BTreeMap<String, String>>,
    /// Second name of `metadata`.
    #[schema(nullable)]
    notes: Option<BTreeMap<String, String>>,
}

fn parse(
    mut fields: Fields<'_>,
    caller: &Caller,
    now: DateTime<Utc>,
) -> Result<Draft<PaymentLink>, Refusal> {
    let currency: Option<Currency> = if fields.has("currency") {
        fields.parsed("currency")
    } else {
        // Null counts as absent.
        fields.value("currency");
        DEFAULT_CURRENCY.parse().ok()
    };
    let amount = fields.required_money("amount", currency);
    let description = fields.required_text_of("description", 1, DESCRIPTION_LENGTH_MAX);
    let customer = customer(&mut fields);
    let callback_url = objects::page(&mut fields, "callback_url");
    let (expires_at, late) = objects::time_ahead(&mut fields, "expires_at", now);
    let environment: Option<Environment> = fields.parsed("environment");
    let provider = objects::provider(&mut fields);
    let metadata = fields.metadata();
    let request = amount
        .zip(description)
        .map(|(amount, description)| PaymentLinkRequest {
            amount,
            description,
            customer,
            callback_url,
            expires_at,
            pages: None,
        });
    let request = objects::finish(fields, request, late.as_ref())?;
    if environment.is_some_and(|environment| environment != caller.environment) {
        return Err(Refusal::new(
            ErrorCode::EnvironmentMismatch,
            format!(
                "This API key belongs to the {} environment.",
                caller.environment
            ),
        ));
    }
    Ok(Draft {
        request,
        content: NoContent {},
        metadata,
        provider,
        late,
    })
}

/// `customer`, with its e-mail address also under a name of its own.
fn customer(fields: &mut Fields<'_>) -> Option<Customer> {
    let customer = objects::customer(fields);
    let email: Option<onerouter_domain::address::Mailbox> = fields.parsed("customer_email");
    let Some(email) = email.map(onerouter_domain::address::Mailbox::into_string) else {
        return customer;
    };
    let mut customer = customer.unwrap_or_default();
    if customer.email.as_ref().is_some_and(|other| *other != email) {
        let detail = "differs from customer.email; give one of them";
        fields.mistake("customer_email", "conflict", detail);
    }
    customer.email = Some(email);
    Some(customer)
}

/// Create a payment link
///
/// The answer has a `short_url` for the buyer.
#[utoipa::path(
    post, path = "/v1/payment-links", tag = "payment_links", operation_id = "payment_links.create",
    params(objects::IdempotencyParam),
    request_body = CreatePaymentLink,
    responses((status = 201, description = "The provider has taken it.", body = PaymentLinkView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::PaymentLinks, Access::Write)?;
    let mut new = parse(Fields::of_body(&body)?, &caller, state.clock.now())?;
    let intent = objects::intent(write.key, CREATE, &new);
    new.request.pages = Some(pages::open(&state.public_url));
    Ok(state
        .payment_links
        .create(&caller, &write.origin, intent, new)
        .await?)
}

/// Read a payment link
///
/// While the link is open it is refreshed from its provider, at most once in 2 seconds.
#[utoipa::path(
    get, path = "/v1/payment-links/{id}", tag = "payment_links", operation_id = "payment_links.get",
    params(("id" = String, Path, description = "`plink_…`"), RefreshParam),
    responses((status = 200, description = "The link.", body = PaymentLinkView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json, Problem> {
    caller.may(Resource::PaymentLinks, Access::Read)?;
    let refresh = read_refresh(query.as_deref())?;
    let id: PaymentLinkId = paths::id(&id, NOUN)?;
    Ok(Json(
        StatusCode::OK,
        state.payment_links.get(&caller, id, refresh).await?.into(),
    ))
}

/// List payment links
#[utoipa::path(
    get, path = "/v1/payment-links", tag = "payment_links", operation_id = "payment_links.list",
    params(ListParams),
    responses((status = 200, description = "A page, newest first.", body = inline(super::answers::List<PaymentLinkView<'static>>)), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    caller.may(Resource::PaymentLinks, Access::Read)?;
    let query = list_query::<PaymentLink>(query.as_deref(), PaymentLinkStatus::ALL)?;
    Ok(page(state.payment_links.list(&caller, query).await?).into_response())
}

/// Cancel a payment link
///
/// What a provider cannot take back is `unsupported_by_provider`.
#[utoipa::path(
    post, path = "/v1/payment-links/{id}/cancel", tag = "payment_links", operation_id = "payment_links.cancel",
    params(("id" = String, Path, description = "`plink_…`"), objects::IdempotencyParam),
    request_body(content = objects::Nothing, description = "Nothing: leave it out, or send `{}`."),
    responses((status = 200, description = "The canceled link.", body = PaymentLinkView<'static>), ClientProblems),
    security(("api_key" = []))
)]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    write: Write,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Answer, Problem> {
    caller.may(Resource::PaymentLinks, Access::Write)?;
    Fields::none(&body)?;
    let id: PaymentLinkId = paths::id(&id, NOUN)?;
    let intent = objects::cancel_intent(write.key, CANCEL, &id.to_string());
    let action = PaymentLinkAction::Cancel;
    Ok(state
        .payment_links
        .act(&caller, &write.origin, intent, id, action)
        .await?)
}
