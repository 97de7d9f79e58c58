//! `POST /v1/billing/subscriptions`

use serde_json::{Map, Value};

use super::{
    super::{
        books::Books,
        desk::Desk,
        error::PaypalError,
        fields::{self, Dialect, Fields},
        happened::Happened,
        id,
        money::Money,
        outcome::{Made, Outcome},
        plan::{Plan, PlanStatus},
    },
    Consent, Offer, Subscription, SubscriptionStatus,
};
use crate::call::Call;

pub(in super::super) fn create(
    books: &mut Books,
    desk: &Desk<'_>,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    if call.body.is_empty() {
        return Err(PaypalError::issue("MISSING_REQUEST_BODY"));
    }
    let body = fields::body(call)?;
    let body = Fields::of(&body, Dialect::Billing)?;
    let plan = body.required_text("plan_id", 3..=50)?;
    let starts_at = body.time("start_time")?;
    if starts_at.is_some_and(|start| start <= desk.now) {
        return Err(body.wrong("INVALID_PARAMETER_VALUE", "start_time"));
    }
    let custom_id = body.text("custom_id", 1..=127)?;
    let is_printable = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if !custom_id.is_none_or(is_printable) {
        return Err(body.wrong("INVALID_PARAMETER_SYNTAX", "custom_id"));
    }
    let subscriber = subscriber(&body)?;
    let context = body.object("application_context")?;
    let consent = Consent::new(context.as_ref())?;
    let waits_for_merchant = match &context {
        None => false,
        Some(context) => check_context(context)?,
    };
    let plan = books
        .plan(plan)
        .map_err(|_unknown| body.wrong("INVALID_RESOURCE_ID", "plan_id"))?;
    let offer = offer(&body, plan, None)?;
    let outstanding = nothing_due(&offer, &body)?;
    let subscription = Subscription {
        id: id::subscription(),
        billed: vec![0; offer.terms.cycles.len()],
        offer,
        status: SubscriptionStatus::ApprovalPending,
        note: None,
        status_at: desk.now,
        consent,
        revision: None,
        waits_for_merchant,
        custom_id: custom_id.map(str::to_owned),
        subscriber,
        starts_at: starts_at.unwrap_or(desk.now),
        next_at: None,
        outstanding,
        failures: 0,
        last_paid: None,
        last_failed: None,
        transactions: Vec::new(),
        created_at: desk.now,
        updated_at: desk.now,
    };
    subscription.tell(desk, Happened::SubscriptionCreated, desk.now);
    let id = subscription.id.clone();
    let ba_token = subscription.consent.ba_token.clone();
    books.consents.push(ba_token, id.clone());
    books.subscriptions.push(id.clone(), subscription);
    Ok(Outcome::created(Made::Subscription(id)))
}

/// What the body asks for. `before` is what a revision starts from.
pub(super) fn offer(
    body: &Fields<'_>,
    plan: &Plan,
    before: Option<&Offer>,
) -> Result<Offer, PaypalError> {
    if plan.status != PlanStatus::Active {
        return Err(body.wrong("PLAN_STATUS_INVALID", "plan_id"));
    }
    let quantity = quantity(body)?;
    if quantity.is_some() && !plan.takes_quantity {
        return Err(body.wrong("SUBSCRIPTION_CANNOT_HAVE_QUANTITY", "quantity"));
    }
    let quantity = quantity.or_else(|| {
        before
            .map(|before| before.quantity)
            .filter(|_| plan.takes_quantity)
    });
    let shipping = body
        .money_from_zero("shipping_amount")?
        .or_else(|| before?.shipping);
    let overridden = plan.terms.overridden(body)?;
    let offer = Offer {
        plan: plan.id.clone(),
        plan_name: plan.name.clone(),
        product: plan.product.clone(),
        is_overridden: overridden.is_some(),
        terms: overridden.unwrap_or_else(|| plan.terms.clone()),
        takes_quantity: plan.takes_quantity,
        quantity: quantity.unwrap_or(1),
        shipping,
    };
    let own = plan.terms.currency_sample().map(|price| price.currency);
    let amounts = [offer.terms.currency_sample(), shipping];
    let differs = |amount: Money| Some(amount.currency) != own;
    if own.is_some() && amounts.into_iter().flatten().any(differs) {
        return Err(body.wrong("CURRENCY_MISMATCH", "shipping_amount"));
    }
    Ok(offer)
}

/// A departure: PayPal takes fractions, here it is a whole number from 1.
fn quantity(body: &Fields<'_>) -> Result<Option<u32>, PaypalError> {
    let Some(text) = body.text("quantity", 1..=32)? else {
        return Ok(None);
    };
    let is_number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    match text.parse() {
        Ok(number) if number > 0 => Ok(Some(number)),
        Ok(_) => Err(body.wrong("INVALID_PARAMETER_VALUE", "quantity")),
        Err(_) if is_number => Err(body.wrong("INVALID_PARAMETER_VALUE", "quantity")),
        Err(_) => Err(body.wrong("INVALID_PARAMETER_SYNTAX", "quantity")),
    }
}

fn subscriber(body: &Fields<'_>) -> Result<Map<String, Value>, PaypalError> {
    let Some(subscriber) = body.object("subscriber")? else {
        return Ok(Map::new());
    };
    subscriber.text("email_address", 3..=254)?;
    if let Some(name) = subscriber.object("name")? {
        name.text("given_name", 0..=140)?;
        name.text("surname", 0..=140)?;
    }
    if subscriber.present("payment_source").is_some() {
        return Err(subscriber.wrong("CARD_SUBSCRIPTIONS_NOT_ENABLED", "payment_source"));
    }
    Ok(subscriber.map().clone())
}

/// Whether the merchant wants to start the subscription himself.
pub(super) fn check_context(context: &Fields<'_>) -> Result<bool, PaypalError> {
    context.text("brand_name", 1..=127)?;
    context.text("locale", 2..=10)?;
    context.check_choice(
        "shipping_preference",
        &["GET_FROM_FILE", "NO_SHIPPING", "SET_PROVIDED_ADDRESS"],
    )?;
    if let Some(method) = context.object("payment_method")? {
        method.check_choice(
            "payee_preferred",
            &["UNRESTRICTED", "IMMEDIATE_PAYMENT_REQUIRED"],
        )?;
    }
    let waits = context.choice(
        "user_action",
        &[("CONTINUE", true), ("SUBSCRIBE_NOW", false)],
    )?;
    Ok(waits.unwrap_or(false))
}

fn nothing_due(offer: &Offer, body: &Fields<'_>) -> Result<Money, PaypalError> {
    let price = offer.terms.currency_sample();
    // A regular cycle without a price is not possible: the plan would have been refused.
    price
        .map(Money::zero)
        .ok_or_else(|| body.wrong("PLAN_STATUS_INVALID", "plan_id"))
}
