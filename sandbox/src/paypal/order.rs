//! Orders (v2): what the buyer approves and the merchant then captures or authorizes.

pub(super) mod complete;
pub(super) mod create;
pub(super) mod experience;
mod items;
pub(super) mod patch;
mod shipping;
pub(super) mod unit;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use self::{experience::Experience, unit::Unit};
use super::{
    books::Books,
    buyer,
    desk::{Desk, time},
    money::Money,
    outcome::link,
};

/// An order not approved in this time is gone, as is one approved and not paid.
const LIFE: TimeDelta = TimeDelta::hours(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    Capture,
    Authorize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OrderStatus {
    Created,
    PayerActionRequired,
    Approved,
    Completed,
    Voided,
}

/// What the buyer's means of payment will say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instrument {
    Unknown,
    Good,
    Declined,
}

#[derive(Debug)]
pub(super) struct Order {
    pub(super) id: String,
    pub(super) intent: Intent,
    pub(super) status: OrderStatus,
    pub(super) units: Vec<Unit>,
    pub(super) experience: Experience,
    pub(super) instrument: Instrument,
    /// Attempts to take the money that were declined.
    pub(super) declined: u32,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) approved_at: Option<DateTime<Utc>>,
}

impl Intent {
    pub(super) const ALL: [(&'static str, Intent); 2] = [
        ("CAPTURE", Intent::Capture),
        ("AUTHORIZE", Intent::Authorize),
    ];

    fn name(self) -> &'static str {
        match self {
            Intent::Capture => "CAPTURE",
            Intent::Authorize => "AUTHORIZE",
        }
    }
}

impl OrderStatus {
    pub(super) fn name(self) -> &'static str {
        match self {
            OrderStatus::Created => "CREATED",
            OrderStatus::PayerActionRequired => "PAYER_ACTION_REQUIRED",
            OrderStatus::Approved => "APPROVED",
            OrderStatus::Completed => "COMPLETED",
            OrderStatus::Voided => "VOIDED",
        }
    }
}

impl Order {
    /// Whether it has expired.
    pub(super) fn is_over(&self, now: DateTime<Utc>) -> bool {
        let since = match self.status {
            OrderStatus::Created | OrderStatus::PayerActionRequired => self.created_at,
            OrderStatus::Approved => self.approved_at.unwrap_or(self.created_at),
            OrderStatus::Completed | OrderStatus::Voided => return false,
        };
        now.signed_duration_since(since) >= LIFE
    }

    /// Whether the buyer may still decide.
    pub(super) fn is_open(&self) -> bool {
        match self.status {
            OrderStatus::Created | OrderStatus::PayerActionRequired | OrderStatus::Approved => true,
            OrderStatus::Completed | OrderStatus::Voided => false,
        }
    }

    /// Units share one currency.
    pub(super) fn total(&self) -> Option<Money> {
        self.units
            .iter()
            .map(|unit| unit.amount)
            .reduce(Money::plus)
    }

    pub(super) fn captures(&self) -> Vec<&str> {
        let captures = self.units.iter().flat_map(|unit| &unit.captures);
        captures.map(String::as_str).collect()
    }

    pub(super) fn approval_url(&self, base: &str) -> String {
        format!("{base}/checkoutnow?token={}", self.id)
    }

    /// The whole resource.
    pub(super) fn view(&self, books: &Books, desk: &Desk<'_>) -> Value {
        let mut view = json!({
            "id": self.id,
            "intent": self.intent.name(),
            "status": self.status.name(),
            "purchase_units": self.units.iter().map(|unit| unit.view(books)).collect::<Vec<_>>(),
            "create_time": time(self.created_at),
            "update_time": time(self.updated_at),
            "links": self.links(&desk.base()),
        });
        if let Value::Object(fields) = &mut view {
            if self.approved_at.is_some() {
                fields.insert("payer".to_owned(), buyer::payer());
                let wallet = json!({ "paypal": buyer::wallet() });
                fields.insert("payment_source".to_owned(), wallet);
            } else if self.experience.by_source {
                fields.insert("payment_source".to_owned(), json!({ "paypal": {} }));
            }
        }
        view
    }

    fn links(&self, base: &str) -> Vec<Value> {
        let path = format!("/v2/checkout/orders/{}", self.id);
        let mut links = vec![link(&path, "self", "GET")];
        let buyer =
            |rel: &str| json!({ "href": self.approval_url(base), "rel": rel, "method": "GET" });
        let act = match self.intent {
            Intent::Capture => link(&format!("{path}/capture"), "capture", "POST"),
            Intent::Authorize => link(&format!("{path}/authorize"), "authorize", "POST"),
        };
        match self.status {
            OrderStatus::PayerActionRequired => links.push(buyer("payer-action")),
            OrderStatus::Created => {
                links.extend([buyer("approve"), link(&path, "update", "PATCH"), act]);
            }
            OrderStatus::Approved => {
                if self.instrument == Instrument::Declined {
                    links.push(buyer(self.experience.approval_rel()));
                }
                links.extend([link(&path, "update", "PATCH"), act]);
            }
            OrderStatus::Completed | OrderStatus::Voided => {}
        }
        links
    }
}
