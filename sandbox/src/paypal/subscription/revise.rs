//! `POST /v1/billing/subscriptions/{id}/revise`: another plan, quantity or shipping, once the buyer agrees.

use serde_json::{Value, json};

use super::{
    super::{
        books::Books,
        desk::Desk,
        error::PaypalError,
        fields::{self, Dialect, Fields},
        happened::Happened,
        outcome::Outcome,
        terms::Tenure,
    },
    Consent, Offer, Subscription, SubscriptionStatus,
    create::{check_context, offer},
};
use crate::call::Call;

#[derive(Debug, Clone)]
pub(in super::super) struct Revision {
    pub(in super::super) offer: Offer,
    pub(in super::super) consent: Consent,
}

pub(in super::super) fn revise(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    if call.body.is_empty() {
        return Err(PaypalError::issue("MISSING_REQUEST_BODY"));
    }
    let body = fields::body(call)?;
    let body = Fields::of(&body, Dialect::Billing)?;
    let subscription = books.subscription(id)?;
    match subscription.status {
        SubscriptionStatus::Active | SubscriptionStatus::Suspended => {}
        SubscriptionStatus::ApprovalPending
        | SubscriptionStatus::Approved
        | SubscriptionStatus::Cancelled
        | SubscriptionStatus::Expired => {
            return Err(PaypalError::issue("SUBSCRIPTION_STATUS_INVALID"));
        }
    }
    let before = &subscription.offer;
    let plan = body.text("plan_id", 3..=50)?.unwrap_or(&before.plan);
    let plan = books
        .plan(plan)
        .map_err(|_unknown| body.wrong("INVALID_RESOURCE_ID", "plan_id"))?;
    if plan.product != before.product {
        return Err(body.wrong("PLAN_PRODUCT_NOT_COMPATIBLE", "plan_id"));
    }
    let offer = offer(&body, plan, Some(before))?;
    if offer.terms.currency_sample().map(|price| price.currency)
        != Some(subscription.outstanding.currency)
    {
        return Err(body.wrong("CURRENCY_MISMATCH", "plan_id"));
    }
    let context = body.object("application_context")?;
    if let Some(context) = &context {
        check_context(context)?;
    }
    let mut consent = Consent::new(context.as_ref())?;
    if context.is_none() {
        consent
            .return_url
            .clone_from(&subscription.consent.return_url);
        consent
            .cancel_url
            .clone_from(&subscription.consent.cancel_url);
    }
    let revision = Revision { offer, consent };
    let shown = shown(&body, subscription, &revision, &desk.base());
    let ba_token = revision.consent.ba_token.clone();
    let subscription = books.subscription_mut(id)?;
    // An older one that the buyer has not answered is superseded.
    subscription.revision = Some(revision);
    subscription.tell(desk, Happened::SubscriptionRevised, desk.now);
    books.consents.push(ba_token, id.to_owned());
    Ok(Outcome::Shown(shown))
}

/// What was asked for, with the way to the buyer's consent.
fn shown(body: &Fields<'_>, before: &Subscription, revision: &Revision, base: &str) -> Value {
    let mut shown = json!({
        "plan_id": revision.offer.plan,
        "plan_overridden": revision.offer.is_overridden,
    });
    if let Value::Object(shown) = &mut shown {
        for name in ["quantity", "shipping_amount", "shipping_address", "plan"] {
            if let Some(value) = body.present(name) {
                shown.insert(name.to_owned(), value.clone());
            }
        }
        let approve = revision.consent.approval_url(base);
        let mut links = vec![json!({ "href": approve, "rel": "approve", "method": "GET" })];
        links.extend(before.links(base));
        shown.insert("links".to_owned(), links.into());
    }
    shown
}

impl Subscription {
    /// The buyer has agreed: from the next cycle on it is as he agreed to.
    pub(in super::super) fn take_effect(&mut self, desk: &Desk<'_>, revision: Revision) {
        let Revision { offer, consent } = revision;
        if offer.plan != self.offer.plan || offer.terms.cycles.len() != self.billed.len() {
            // Trials are for new subscribers.
            let billed = offer.terms.cycles.iter().map(|cycle| match cycle.tenure {
                Tenure::Trial => cycle.total,
                Tenure::Regular => 0,
            });
            self.billed = billed.collect();
        }
        self.offer = offer;
        self.consent = consent;
        self.updated_at = desk.now;
        self.tell(desk, Happened::SubscriptionUpdated, desk.now);
    }
}
