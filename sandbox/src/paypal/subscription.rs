//! Subscriptions (v1): a buyer pays by a plan.

pub(super) mod billing;
pub(super) mod change;
pub(super) mod collect;
pub(super) mod create;
pub(super) mod revise;
pub(super) mod transaction;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use self::{revise::Revision, transaction::Transaction};
use super::{
    authorization::insert,
    buyer, desk,
    desk::Desk,
    error::PaypalError,
    fields::Fields,
    happened::{Happened, Subject, tell_showing},
    id,
    money::Money,
    outcome::link,
    terms::Terms,
};

pub(super) const PATH: &str = "/v1/billing/subscriptions";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SubscriptionStatus {
    ApprovalPending,
    Approved,
    Active,
    Suspended,
    Cancelled,
    Expired,
}

/// What the buyer subscribes to.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) plan: String,
    pub(super) plan_name: String,
    pub(super) product: String,
    /// The plan's, with what the subscription overrides.
    pub(super) terms: Terms,
    pub(super) is_overridden: bool,
    pub(super) takes_quantity: bool,
    pub(super) quantity: u32,
    pub(super) shipping: Option<Money>,
}

/// One visit of the buyer's page.
#[derive(Debug, Clone)]
pub(super) struct Consent {
    pub(super) ba_token: String,
    pub(super) token: String,
    pub(super) return_url: Option<String>,
    pub(super) cancel_url: Option<String>,
}

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: String,
    pub(super) offer: Offer,
    pub(super) status: SubscriptionStatus,
    note: Option<String>,
    status_at: DateTime<Utc>,
    pub(super) consent: Consent,
    /// What the buyer has not agreed to yet.
    pub(super) revision: Option<Revision>,
    /// "Continue" on the page: the merchant starts it, not the buyer.
    pub(super) waits_for_merchant: bool,
    pub(super) custom_id: Option<String>,
    subscriber: Map<String, Value>,
    pub(super) starts_at: DateTime<Utc>,
    /// How often each cycle of the terms has been billed.
    billed: Vec<u32>,
    pub(super) next_at: Option<DateTime<Utc>>,
    pub(super) outstanding: Money,
    failures: u32,
    last_paid: Option<(Money, DateTime<Utc>)>,
    last_failed: Option<(Money, DateTime<Utc>)>,
    pub(super) transactions: Vec<Transaction>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl SubscriptionStatus {
    pub(super) fn name(self) -> &'static str {
        match self {
            SubscriptionStatus::ApprovalPending => "APPROVAL_PENDING",
            SubscriptionStatus::Approved => "APPROVED",
            SubscriptionStatus::Active => "ACTIVE",
            SubscriptionStatus::Suspended => "SUSPENDED",
            SubscriptionStatus::Cancelled => "CANCELLED",
            SubscriptionStatus::Expired => "EXPIRED",
        }
    }
}

impl Consent {
    pub(super) fn new(context: Option<&Fields<'_>>) -> Result<Consent, PaypalError> {
        let url = |name: &str| -> Result<Option<String>, PaypalError> {
            let Some(context) = context else {
                return Ok(None);
            };
            // Both are needed once the object is there.
            let url = context.url(name, 10..=4000)?;
            let url = url.ok_or_else(|| context.missing(name))?;
            Ok(Some(url.to_owned()))
        };
        Ok(Consent {
            ba_token: id::consent(),
            token: id::payment(),
            return_url: url("return_url")?,
            cancel_url: url("cancel_url")?,
        })
    }

    pub(super) fn approval_url(&self, base: &str) -> String {
        format!(
            "{base}/webapps/billing/subscriptions?ba_token={}",
            self.ba_token
        )
    }
}

impl Offer {
    /// The price of a cycle with everything that comes on top, before what is outstanding.
    pub(super) fn amount(&self, price: Money) -> Money {
        let price = price.times(self.quantity.into());
        let (tax, _) = self.terms.taxes_of(price);
        price.plus(tax).sum(self.shipping)
    }
}

impl Subscription {
    pub(super) fn transaction(&self, id: &str) -> Option<&Transaction> {
        self.transactions
            .iter()
            .find(|transaction| transaction.id == id)
    }

    pub(super) fn set_status(
        &mut self,
        status: SubscriptionStatus,
        note: Option<&str>,
        at: DateTime<Utc>,
    ) {
        self.status = status;
        self.note = note.map(str::to_owned);
        self.status_at = at;
        self.updated_at = at;
    }

    pub(super) fn tell(&self, desk: &Desk<'_>, happened: Happened, at: DateTime<Utc>) {
        let subject = Subject {
            id: &self.id,
            amount: None,
            at,
            object: Some(&self.offer.plan),
        };
        tell_showing(desk, happened, subject, || self.view(&desk.base(), &[]));
    }

    /// `shown` are the fields that only come when asked for: `plan`, `last_failed_payment`.
    pub(super) fn view(&self, base: &str, shown: &[&str]) -> Value {
        let mut view = json!({
            "id": self.id,
            "plan_id": self.offer.plan,
            "status": self.status.name(),
            "status_update_time": desk::time(self.status_at),
            "start_time": desk::time(self.starts_at),
            "quantity": self.offer.quantity.to_string(),
            "plan_overridden": self.offer.is_overridden,
            "subscriber": self.subscriber(),
            "create_time": desk::time(self.created_at),
            "update_time": desk::time(self.updated_at),
            "links": self.links(base),
        });
        if let Value::Object(fields) = &mut view {
            insert(fields, "status_change_note", self.note.as_deref());
            insert(fields, "custom_id", self.custom_id.as_deref());
            if let Some(shipping) = self.offer.shipping {
                fields.insert("shipping_amount".to_owned(), shipping.view());
            }
            if self.was_active() {
                let failed = shown.contains(&"last_failed_payment");
                fields.insert("billing_info".to_owned(), self.billing_info(failed));
            }
            if shown.contains(&"plan") {
                let mut plan = self.offer.terms.view();
                if let Value::Object(plan) = &mut plan {
                    insert(plan, "product_id", Some(&self.offer.product));
                    insert(plan, "name", Some(&self.offer.plan_name));
                    let takes_quantity = self.offer.takes_quantity.into();
                    plan.insert("quantity_supported".to_owned(), takes_quantity);
                }
                fields.insert("plan".to_owned(), plan);
            }
        }
        view
    }

    fn was_active(&self) -> bool {
        match self.status {
            SubscriptionStatus::ApprovalPending | SubscriptionStatus::Approved => false,
            SubscriptionStatus::Active
            | SubscriptionStatus::Suspended
            | SubscriptionStatus::Cancelled
            | SubscriptionStatus::Expired => true,
        }
    }

    /// As sent, with what PayPal knows of the buyer since he approved.
    fn subscriber(&self) -> Value {
        let mut subscriber = self.subscriber.clone();
        if self.status != SubscriptionStatus::ApprovalPending
            && let Value::Object(payer) = buyer::payer()
        {
            for (name, value) in payer {
                subscriber.entry(name).or_insert(value);
            }
        }
        Value::Object(subscriber)
    }

    fn billing_info(&self, with_failed: bool) -> Value {
        let payment = |(amount, at): (Money, DateTime<Utc>)| json!({ "amount": amount.view(), "time": desk::time(at) });
        let cycles = self.offer.terms.cycles.iter().zip(&self.billed);
        let executions = cycles.map(|(cycle, billed)| {
            json!({
                "tenure_type": cycle.tenure.name(),
                "sequence": cycle.sequence,
                "cycles_completed": billed,
                // 0 for what never ends, as documented.
                "cycles_remaining": cycle.total.saturating_sub(*billed),
                "current_pricing_scheme_version": 1,
                "total_cycles": cycle.total,
            })
        });
        let mut info = json!({
            "outstanding_balance": self.outstanding.view(),
            "cycle_executions": executions.collect::<Vec<_>>(),
            "failed_payments_count": self.failures,
        });
        if let Value::Object(info) = &mut info {
            if let Some(paid) = self.last_paid {
                info.insert("last_payment".to_owned(), payment(paid));
            }
            if let Some(next) = self
                .next_at
                .filter(|_| self.status == SubscriptionStatus::Active)
            {
                info.insert("next_billing_time".to_owned(), desk::time(next).into());
            }
            if let Some(last) = self.final_at() {
                info.insert("final_payment_time".to_owned(), desk::time(last).into());
            }
            if let Some(failed) = self.last_failed.filter(|_| with_failed) {
                let mut failed = payment(failed);
                if let Value::Object(failed) = &mut failed {
                    insert(failed, "reason_code", Some("PAYMENT_DENIED"));
                }
                info.insert("last_failed_payment".to_owned(), failed);
            }
        }
        info
    }

    fn links(&self, base: &str) -> Vec<Value> {
        let path = format!("{PATH}/{}", self.id);
        let act = |name: &str| link(&format!("{path}/{name}"), name, "POST");
        let mut links = match self.status {
            SubscriptionStatus::ApprovalPending => vec![
                json!({ "href": self.consent.approval_url(base), "rel": "approve", "method": "GET" }),
                link(&path, "edit", "PATCH"),
            ],
            SubscriptionStatus::Approved => vec![act("activate")],
            SubscriptionStatus::Active => vec![
                act("cancel"),
                link(&path, "edit", "PATCH"),
                act("suspend"),
                act("capture"),
            ],
            SubscriptionStatus::Suspended => vec![
                act("cancel"),
                link(&path, "edit", "PATCH"),
                act("activate"),
                act("capture"),
            ],
            SubscriptionStatus::Cancelled | SubscriptionStatus::Expired => Vec::new(),
        };
        links.push(link(&path, "self", "GET"));
        links
    }
}
