//! Payments and what belongs to them, as users see them.

use std::collections::BTreeMap;

use onerouter_domain::money::Money;
use onerouter_domain::time;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{ExactNumber, FailureView, raw, source};
use crate::service::object::Object;
use crate::service::paying::{self, Customer};
use crate::service::payment::{CaptureMode, Payment};
use crate::service::payment_link::PaymentLink;
use crate::service::plan::Plan;
use crate::service::refund::{Refund, Speed};
use crate::service::subscription::Subscription;

/// Who pays.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Customer)]
pub struct CustomerView<'a> {
    /// Full name.
    name: Option<&'a str>,
    /// E-mail address.
    email: Option<&'a str>,
    /// Phone number.
    phone: Option<&'a str>,
}

impl<'a> From<&'a Customer> for CustomerView<'a> {
    fn from(customer: &'a Customer) -> Self {
        Self {
            name: customer.name.as_deref(),
            email: customer.email.as_deref(),
            phone: customer.phone.as_deref(),
        }
    }
}

/// What a browser needs to lead the buyer to the provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Checkout)]
pub struct CheckoutView<'a> {
    /// What the provider's own widget takes: names and values of its documentation.
    widget: &'a BTreeMap<String, String>,
    /// Where the form below is sent; `null` where `checkout_url` is the provider's page.
    action: Option<&'a str>,
    /// `POST`, with an `action`.
    method: Option<&'static str>,
    /// The form's fields.
    fields: BTreeMap<&'a str, &'a str>,
}

fn checkout(payment: &Object<Payment>) -> Option<CheckoutView<'_>> {
    let facts = &payment.facts;
    if facts.widget.is_empty() && facts.checkout.is_none() {
        return None;
    }
    let form = facts.checkout.as_ref();
    let fields = form.into_iter().flat_map(|form| &form.fields);
    Some(CheckoutView {
        widget: &facts.widget,
        action: form.map(|form| form.action.as_str()),
        method: form.map(|_| "POST"),
        fields: fields
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect(),
    })
}

/// The provider's page, or ours where it has none.
fn checkout_url(payment: &Object<Payment>) -> Option<String> {
    let facts = &payment.facts;
    let own = || {
        let pages = payment.request.pages.as_ref()?;
        facts.checkout.is_some().then(|| pages.start())
    };
    facts.checkout_url.clone().or_else(own)
}

/// A payment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Payment, example = json!({
    "id": "pay_01h455vb4pex5vsknk084sn02q", "transaction_id": "pay_01h455vb4pex5vsknk084sn02q",
    "object": "payment", "environment": "test", "livemode": false, "provider": "acme",
    "service": "acme", "status": "requires_action", "amount": 500.00, "amount_minor": 50000,
    "currency": "INR", "capture": "automatic", "amount_captured": 0.00, "amount_refunded": 0.00,
    "checkout_url": "https://pay.example.com/checkout/5f0c…", "provider_order_id": "order-17",
    "method_details": {}, "receipt": "r-17", "metadata": {"order": "17"}, "version": 2,
    "created_at": "2026-11-23T09:30:00.000000Z", "updated_at": "2026-11-23T09:30:00.120000Z"
}))]
pub struct PaymentView<'a> {
    /// `pay_…`
    id: String,
    /// Second name of `id`.
    transaction_id: String,
    /// `payment`
    object: &'static str,
    /// `test` or `live`
    environment: &'static str,
    /// Whether the environment is `live`.
    livemode: bool,
    /// Who serves it.
    provider: &'a str,
    /// Second name of `provider`.
    service: &'a str,
    /// An open list: `created`, `requires_action`, `processing`, `authorized`, `succeeded`, `failed`,
    /// `canceled`, `expired`, `unknown`.
    status: &'static str,
    /// In major units, with exactly the currency's decimals.
    #[schema(value_type = f64)]
    amount: ExactNumber,
    /// The same in the currency's smallest unit.
    amount_minor: i64,
    /// ISO 4217.
    currency: &'static str,
    /// `automatic` or `manual`
    capture: &'static str,
    /// Captured so far.
    #[schema(value_type = f64)]
    amount_captured: ExactNumber,
    /// Refunded so far.
    #[schema(value_type = f64)]
    amount_refunded: ExactNumber,
    /// The page that the buyer is sent to.
    checkout_url: Option<String>,
    /// What a page of your own needs to lead the buyer to the provider.
    checkout: Option<CheckoutView<'a>>,
    /// The provider's id of what is paid.
    provider_order_id: Option<&'a str>,
    /// The provider's id of the money's movement, once there is one.
    provider_payment_id: Option<&'a str>,
    /// Your own reference.
    receipt: Option<&'a str>,
    /// For the buyer.
    description: Option<&'a str>,
    /// How it was paid; until then, how it should be.
    payment_method: Option<&'a str>,
    /// More about that.
    method_details: &'a BTreeMap<String, String>,
    /// Who pays.
    customer: Option<CustomerView<'a>>,
    /// Where the buyer goes afterwards.
    return_url: Option<&'a str>,
    /// Where a buyer who gives up goes.
    cancel_url: Option<&'a str>,
    /// The provider's fee; `null` until known.
    #[schema(value_type = Option<f64>)]
    cost: Option<ExactNumber>,
    /// ISO 4217.
    cost_currency: Option<&'a str>,
    /// `provider`
    cost_source: Option<&'static str>,
    /// Why it failed, or why the buyer's last try did.
    failure: Option<FailureView>,
    /// The provider's last raw answer.
    #[schema(value_type = Option<Object>)]
    provider_data: Option<&'a RawValue>,
    /// The caller's pairs.
    metadata: &'a BTreeMap<String, String>,
    /// Grows with every change.
    version: u64,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl<'a> From<&'a Object<Payment>> for PaymentView<'a> {
    fn from(payment: &'a Object<Payment>) -> Self {
        let (request, facts) = (&payment.request, &payment.facts);
        let amount = request.amount;
        let units = |units| ExactNumber::of(paying::money(units, amount.currency()));
        let cost = facts.cost.as_ref();
        let failure = facts.refusal.as_ref().or(facts.failure.as_ref());
        Self {
            id: payment.id.to_string(),
            transaction_id: payment.id.to_string(),
            object: "payment",
            environment: payment.environment.as_str(),
            livemode: payment.environment.is_live(),
            provider: &payment.provider,
            service: &payment.provider,
            status: payment.status.as_str(),
            amount: ExactNumber::of(amount),
            amount_minor: amount.minor_units(),
            currency: amount.currency().code(),
            capture: match request.capture {
                CaptureMode::Automatic => "automatic",
                CaptureMode::Manual => "manual",
            },
            amount_captured: units(facts.amount_captured),
            amount_refunded: units(facts.refunded()),
            checkout_url: checkout_url(payment),
            checkout: checkout(payment),
            provider_order_id: payment.provider_ref.as_deref(),
            provider_payment_id: facts.payment_ref.as_deref(),
            receipt: request.receipt.as_deref(),
            description: request.description.as_deref(),
            payment_method: facts
                .payment_method
                .as_deref()
                .or(request.method.as_deref()),
            method_details: &facts.method_details,
            customer: request.customer.as_ref().map(Into::into),
            return_url: request.return_url.as_deref(),
            cancel_url: request.cancel_url.as_deref(),
            cost: cost.map(|cost| ExactNumber(cost.amount())),
            cost_currency: cost.map(onerouter_domain::cost::Cost::currency),
            cost_source: cost.map(|cost| source(cost.source())),
            failure: failure.map(Into::into),
            provider_data: raw(facts.provider_data.as_deref()),
            metadata: payment.metadata.pairs(),
            version: payment.version,
            created_at: time::to_text(payment.created_at),
            updated_at: time::to_text(payment.updated_at),
        }
    }
}

/// A refund.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Refund)]
pub struct RefundView<'a> {
    /// `re_…`
    id: String,
    /// Second name of `id`.
    refund_id: String,
    /// `refund`
    object: &'static str,
    /// `test` or `live`
    environment: &'static str,
    /// Whether the environment is `live`.
    livemode: bool,
    /// Who serves it.
    provider: &'a str,
    /// Second name of `provider`.
    service: &'a str,
    /// An open list: `pending`, `succeeded`, `failed`, `canceled`, `unknown`.
    status: &'static str,
    /// The payment, `pay_…`.
    payment_id: String,
    /// In major units, with exactly the currency's decimals.
    #[schema(value_type = f64)]
    amount: ExactNumber,
    /// The same in the currency's smallest unit.
    amount_minor: i64,
    /// ISO 4217.
    currency: &'static str,
    /// Why.
    reason: Option<&'a str>,
    /// `normal` or `optimum`
    speed: &'static str,
    /// The provider's id.
    provider_refund_id: Option<&'a str>,
    /// What the provider charged for it; `null` until known.
    #[schema(value_type = Option<f64>)]
    cost: Option<ExactNumber>,
    /// ISO 4217.
    cost_currency: Option<&'a str>,
    /// `provider`
    cost_source: Option<&'static str>,
    /// Why it failed.
    failure: Option<FailureView>,
    /// The provider's last raw answer.
    #[schema(value_type = Option<Object>)]
    provider_data: Option<&'a RawValue>,
    /// The caller's pairs.
    metadata: &'a BTreeMap<String, String>,
    /// Grows with every change.
    version: u64,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl<'a> From<&'a Object<Refund>> for RefundView<'a> {
    fn from(refund: &'a Object<Refund>) -> Self {
        let (request, facts) = (&refund.request, &refund.facts);
        let amount = request.amount();
        let cost = facts.cost.as_ref();
        Self {
            id: refund.id.to_string(),
            refund_id: refund.id.to_string(),
            object: "refund",
            environment: refund.environment.as_str(),
            livemode: refund.environment.is_live(),
            provider: &refund.provider,
            service: &refund.provider,
            status: refund.status.as_str(),
            payment_id: request.payment_id.to_string(),
            amount: ExactNumber::of(amount),
            amount_minor: amount.minor_units(),
            currency: amount.currency().code(),
            reason: request.reason.as_deref(),
            speed: match request.speed {
                Speed::Normal => "normal",
                Speed::Optimum => "optimum",
            },
            provider_refund_id: refund.provider_ref.as_deref(),
            cost: cost.map(|cost| ExactNumber(cost.amount())),
            cost_currency: cost.map(onerouter_domain::cost::Cost::currency),
            cost_source: cost.map(|cost| source(cost.source())),
            failure: facts.failure.as_ref().map(Into::into),
            provider_data: raw(facts.provider_data.as_deref()),
            metadata: refund.metadata.pairs(),
            version: refund.version,
            created_at: time::to_text(refund.created_at),
            updated_at: time::to_text(refund.updated_at),
        }
    }
}

/// A plan: what a subscription charges, and how often.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plan)]
pub struct PlanView<'a> {
    /// `plan_…`
    id: String,
    /// `plan`
    object: &'static str,
    /// `test` or `live`
    environment: &'static str,
    /// Whether the environment is `live`.
    livemode: bool,
    /// Who serves it.
    provider: &'a str,
    /// Second name of `provider`.
    service: &'a str,
    /// An open list: `pending`, `active`, `failed`, `unknown`.
    status: &'static str,
    /// For people.
    name: &'a str,
    /// Charged each time, in major units, with exactly the currency's decimals.
    #[schema(value_type = f64)]
    amount: ExactNumber,
    /// The same in the currency's smallest unit.
    amount_minor: i64,
    /// ISO 4217.
    currency: &'static str,
    /// `day`, `week`, `month` or `year`
    interval: &'static str,
    /// Every so many intervals.
    interval_count: u32,
    /// For people.
    description: Option<&'a str>,
    /// The provider's id.
    provider_plan_id: Option<&'a str>,
    /// Why it failed.
    failure: Option<FailureView>,
    /// The provider's last raw answer.
    #[schema(value_type = Option<Object>)]
    provider_data: Option<&'a RawValue>,
    /// The caller's pairs.
    metadata: &'a BTreeMap<String, String>,
    /// Grows with every change.
    version: u64,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl<'a> From<&'a Object<Plan>> for PlanView<'a> {
    fn from(plan: &'a Object<Plan>) -> Self {
        let (request, facts) = (&plan.request, &plan.facts);
        let amount = request.amount;
        Self {
            id: plan.id.to_string(),
            object: "plan",
            environment: plan.environment.as_str(),
            livemode: plan.environment.is_live(),
            provider: &plan.provider,
            service: &plan.provider,
            status: plan.status.as_str(),
            name: &request.name,
            amount: ExactNumber::of(amount),
            amount_minor: amount.minor_units(),
            currency: amount.currency().code(),
            interval: request.interval.as_str(),
            interval_count: request.interval_count,
            description: request.description.as_deref(),
            provider_plan_id: plan.provider_ref.as_deref(),
            failure: facts.failure.as_ref().map(Into::into),
            provider_data: raw(facts.provider_data.as_deref()),
            metadata: plan.metadata.pairs(),
            version: plan.version,
            created_at: time::to_text(plan.created_at),
            updated_at: time::to_text(plan.updated_at),
        }
    }
}

/// A change of a subscription that is to come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduledChange)]
pub struct ScheduledChangeView {
    /// `cancel` or `pause`
    action: &'static str,
    /// When: RFC 3339, UTC.
    #[schema(format = DateTime)]
    at: String,
}

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Subscription)]
pub struct SubscriptionView<'a> {
    /// `sub_…`
    id: String,
    /// `subscription`
    object: &'static str,
    /// `test` or `live`
    environment: &'static str,
    /// Whether the environment is `live`.
    livemode: bool,
    /// Who serves it.
    provider: &'a str,
    /// Second name of `provider`.
    service: &'a str,
    /// An open list: `created`, `trialing`, `active`, `past_due`, `paused`, `canceled`, `completed`,
    /// `expired`, `failed`, `unknown`.
    status: &'static str,
    /// The plan that it follows: ours, or the provider's id of one that was made elsewhere.
    plan_id: &'a str,
    /// How many of the plan.
    quantity: u32,
    /// Charges until it ends.
    total_count: Option<u32>,
    /// Charges so far, where the provider tells.
    paid_count: Option<u32>,
    /// Who pays.
    customer: Option<CustomerView<'a>>,
    /// Days until the first charge.
    trial_days: Option<u32>,
    /// When it begins.
    #[schema(format = DateTime)]
    start_date: Option<String>,
    /// The page on which the buyer agrees, or agrees to a change.
    checkout_url: Option<&'a str>,
    /// End of what is paid for.
    #[schema(format = DateTime)]
    current_period_end: Option<String>,
    /// What the gateway does at the end of the cycle, where the provider cannot.
    scheduled_change: Option<ScheduledChangeView>,
    /// The provider's id.
    provider_subscription_id: Option<&'a str>,
    /// Where the buyer goes afterwards.
    return_url: Option<&'a str>,
    /// Where a buyer who gives up goes.
    cancel_url: Option<&'a str>,
    /// Why it failed, or why the last charge did.
    failure: Option<FailureView>,
    /// The provider's last raw answer.
    #[schema(value_type = Option<Object>)]
    provider_data: Option<&'a RawValue>,
    /// The caller's pairs.
    metadata: &'a BTreeMap<String, String>,
    /// Grows with every change.
    version: u64,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl<'a> From<&'a Object<Subscription>> for SubscriptionView<'a> {
    fn from(subscription: &'a Object<Subscription>) -> Self {
        let (request, facts) = (&subscription.request, &subscription.facts);
        let is_over = subscription.status.is_terminal();
        let postponed = facts.postponed.filter(|_| !is_over);
        Self {
            id: subscription.id.to_string(),
            object: "subscription",
            environment: subscription.environment.as_str(),
            livemode: subscription.environment.is_live(),
            provider: &subscription.provider,
            service: &subscription.provider,
            status: subscription.status.as_str(),
            plan_id: subscription.plan_shown(),
            quantity: request.quantity,
            total_count: request.total_count,
            paid_count: facts.paid_count,
            customer: request.customer.as_ref().map(Into::into),
            trial_days: request.trial_days,
            start_date: request.start_date.map(time::to_text),
            checkout_url: facts
                .checkout_url
                .as_deref()
                .filter(|_| subscription.waits_for_buyer()),
            current_period_end: facts.current_period_end.map(time::to_text),
            scheduled_change: postponed.map(|postponed| ScheduledChangeView {
                action: postponed.action.as_str(),
                at: time::to_text(postponed.at),
            }),
            provider_subscription_id: subscription.provider_ref.as_deref(),
            return_url: request.return_url.as_deref(),
            cancel_url: request.cancel_url.as_deref(),
            failure: facts.failure.as_ref().map(Into::into),
            provider_data: raw(facts.provider_data.as_deref()),
            metadata: subscription.metadata.pairs(),
            version: subscription.version,
            created_at: time::to_text(subscription.created_at),
            updated_at: time::to_text(subscription.updated_at),
        }
    }
}

/// A payment link.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PaymentLink)]
pub struct PaymentLinkView<'a> {
    /// `plink_…`
    id: String,
    /// `payment_link`
    object: &'static str,
    /// `test` or `live`
    environment: &'static str,
    /// Whether the environment is `live`.
    livemode: bool,
    /// Who serves it.
    provider: &'a str,
    /// Second name of `provider`.
    service: &'a str,
    /// An open list: `created`, `partially_paid`, `paid`, `canceled`, `expired`, `failed`,
    /// `unknown`.
    status: &'static str,
    /// In major units, with exactly the currency's decimals.
    #[schema(value_type = f64)]
    amount: ExactNumber,
    /// The same in the currency's smallest unit.
    amount_minor: i64,
    /// ISO 4217.
    currency: &'static str,
    /// Paid so far.
    #[schema(value_type = f64)]
    amount_paid: ExactNumber,
    /// The link itself.
    short_url: Option<&'a str>,
    /// For the buyer.
    description: &'a str,
    /// Who pays.
    customer: Option<CustomerView<'a>>,
    /// Where the buyer goes afterwards.
    callback_url: Option<&'a str>,
    /// When it stops working.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// The provider's id.
    provider_link_id: Option<&'a str>,
    /// The provider's id of the money's movement, once there is one.
    provider_payment_id: Option<&'a str>,
    /// The provider's fee; `null` until known.
    #[schema(value_type = Option<f64>)]
    cost: Option<ExactNumber>,
    /// ISO 4217.
    cost_currency: Option<&'a str>,
    /// `provider`
    cost_source: Option<&'static str>,
    /// Why it failed, or why the buyer's last try did.
    failure: Option<FailureView>,
    /// The provider's last raw answer.
    #[schema(value_type = Option<Object>)]
    provider_data: Option<&'a RawValue>,
    /// The caller's pairs.
    metadata: &'a BTreeMap<String, String>,
    /// Grows with every change.
    version: u64,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl<'a> From<&'a Object<PaymentLink>> for PaymentLinkView<'a> {
    fn from(link: &'a Object<PaymentLink>) -> Self {
        let (request, facts) = (&link.request, &link.facts);
        let amount = request.amount;
        let cost = facts.cost.as_ref();
        let paid: Money = paying::money(facts.amount_paid, amount.currency());
        let failure = facts.refusal.as_ref().or(facts.failure.as_ref());
        Self {
            id: link.id.to_string(),
            object: "payment_link",
            environment: link.environment.as_str(),
            livemode: link.environment.is_live(),
            provider: &link.provider,
            service: &link.provider,
            status: link.status.as_str(),
            amount: ExactNumber::of(amount),
            amount_minor: amount.minor_units(),
            currency: amount.currency().code(),
            amount_paid: ExactNumber::of(paid),
            short_url: facts.short_url.as_deref(),
            description: &request.description,
            customer: request.customer.as_ref().map(Into::into),
            callback_url: request.callback_url.as_deref(),
            expires_at: facts.expires_at.or(request.expires_at).map(time::to_text),
            provider_link_id: link.provider_ref.as_deref(),
            provider_payment_id: facts.payment_ref.as_deref(),
            cost: cost.map(|cost| ExactNumber(cost.amount())),
            cost_currency: cost.map(onerouter_domain::cost::Cost::currency),
            cost_source: cost.map(|cost| source(cost.source())),
            failure: failure.map(Into::into),
            provider_data: raw(facts.provider_data.as_deref()),
            metadata: link.metadata.pairs(),
            version: link.version,
            created_at: time::to_text(link.created_at),
            updated_at: time::to_text(link.updated_at),
        }
    }
}
