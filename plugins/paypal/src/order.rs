//! PayPal's view of an order.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::json::Object;
use onerouter_plugin::payments::Money;

use crate::api::{self, BUYER};
use crate::money;
use crate::movement::{self, Authorization, Capture, CaptureStatus, RefundStatus};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderStatus {
    Created,
    Saved,
    PayerActionRequired,
    Approved,
    Voided,
    /// Captured or authorized; what became of the money stands in each capture.
    Completed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    Capture,
    Authorize,
}

/// How the buyer pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) method: String,
    pub(crate) details: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) status: OrderStatus,
    pub(crate) intent: Option<Intent>,
    /// What is to be paid.
    pub(crate) amount: Option<Money>,
    /// Where the buyer agrees.
    pub(crate) approve_url: Option<String>,
    pub(crate) source: Option<Source>,
    /// Oldest first; a renewal comes behind what it renews.
    pub(crate) authorizations: Vec<Authorization>,
    pub(crate) captures: Vec<Capture>,
    /// What has gone back, by the refunds that are listed; none where the list does not tell.
    pub(crate) refunded: Option<u64>,
}

/// PayPal's names, as [Orders v2](https://developer.paypal.com/docs/api/orders/v2/) lists them.
const STATUSES: [(&str, OrderStatus); 6] = [
    ("CREATED", OrderStatus::Created),
    ("SAVED", OrderStatus::Saved),
    ("PAYER_ACTION_REQUIRED", OrderStatus::PayerActionRequired),
    ("APPROVED", OrderStatus::Approved),
    ("VOIDED", OrderStatus::Voided),
    ("COMPLETED", OrderStatus::Completed),
];

/// What may be shown of a source, and under which name. No number, no address, nobody's name.
const DETAILS: [(&str, &str); 5] = [
    ("account_id", "payer_id"),
    ("account_status", "payer_status"),
    ("brand", "brand"),
    ("last_digits", "last4"),
    ("type", "funding"),
];

impl Intent {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Capture => "CAPTURE",
            Self::Authorize => "AUTHORIZE",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Capture, Self::Authorize]
            .into_iter()
            .find(|intent| intent.name() == name)
    }
}

impl Order {
    /// None where the answer is no order, or has a status or an amount that makes no sense.
    pub(crate) fn read(object: &Object<'_>) -> Option<Self> {
        let mut order = Self {
            id: movement::id(object)?,
            status: movement::named(object, &STATUSES)?,
            intent: object
                .text("intent")
                .and_then(|name| Intent::from_name(&name)),
            amount: None,
            approve_url: api::link(object, &BUYER),
            source: source(object),
            authorizations: Vec::new(),
            captures: Vec::new(),
            refunded: None,
        };
        match object.raw("purchase_units") {
            // A minimal answer.
            None | Some("null") => {}
            Some(_) => order.read_units(&object.objects("purchase_units")?)?,
        }
        Some(order)
    }

    /// One unit is what this adapter asks for; in another's order there may be more.
    fn read_units(&mut self, units: &[Object<'_>]) -> Option<()> {
        let mut refunds = Vec::new();
        for unit in units {
            if let Some(amount) = money::read_if_there(unit, "amount")? {
                self.amount = Some(sum(self.amount.take(), amount)?);
            }
            let Some(payments) = unit.object("payments") else {
                continue;
            };
            for authorization in list(&payments, "authorizations")? {
                self.authorizations
                    .push(Authorization::read(&authorization)?);
            }
            for capture in list(&payments, "captures")? {
                self.captures.push(Capture::read(&capture)?);
            }
            for refund in list(&payments, "refunds")? {
                refunds.push(completed(&refund)?);
            }
        }
        self.refunded = self.refunded_of(refunds.into_iter().flatten())?;
        Some(())
    }

    /// A capture says that it was refunded, the list says by how much.
    fn refunded_of(&self, refunds: impl Iterator<Item = Money>) -> Option<Option<u64>> {
        let mut listed = 0_u64;
        for refund in refunds {
            listed = listed.checked_add(refund.minor_units)?;
        }
        let mut whole = 0_u64;
        let mut is_partly = false;
        for capture in &self.captures {
            match (&capture.status, &capture.amount) {
                (CaptureStatus::Refunded, Some(amount)) => {
                    whole = whole.checked_add(amount.minor_units)?;
                }
                (CaptureStatus::PartiallyRefunded, _) | (CaptureStatus::Refunded, None) => {
                    is_partly = true;
                }
                (
                    CaptureStatus::Completed
                    | CaptureStatus::Pending
                    | CaptureStatus::Declined
                    | CaptureStatus::Failed,
                    _,
                ) => {}
            }
        }
        // What is missing from the list cannot be told.
        let is_told = !(is_partly && listed <= whole);
        Some(is_told.then_some(listed.max(whole)))
    }

    /// Paid so far.
    pub(crate) fn captured(&self) -> Option<u64> {
        let mut captured = 0_u64;
        for capture in self.captures.iter().filter(|capture| capture.is_paid()) {
            captured = captured.checked_add(capture.amount.as_ref()?.minor_units)?;
        }
        Some(captured)
    }

    /// PayPal's fee for all of it.
    pub(crate) fn fee(&self) -> Option<Money> {
        let mut total = None;
        for capture in self.captures.iter().filter(|capture| capture.is_paid()) {
            total = Some(sum(total, capture.fee.clone()?)?);
        }
        total
    }
}

/// The amount of a refund that has gone through; none in the inner option for any other.
fn completed(refund: &Object<'_>) -> Option<Option<Money>> {
    match RefundStatus::read(refund)? {
        RefundStatus::Completed => money::read(refund, "amount").map(Some),
        RefundStatus::Pending | RefundStatus::Failed | RefundStatus::Cancelled => Some(None),
    }
}

/// The objects in a list that may be absent.
fn list<'a>(object: &Object<'a>, name: &str) -> Option<Vec<Object<'a>>> {
    match object.raw(name) {
        None | Some("null") => Some(Vec::new()),
        Some(_) => object.objects(name),
    }
}

/// None where the currencies differ.
fn sum(total: Option<Money>, amount: Money) -> Option<Money> {
    let Some(total) = total else {
        return Some(amount);
    };
    let minor_units = total.minor_units.checked_add(amount.minor_units)?;
    (total.currency == amount.currency).then_some(Money {
        minor_units,
        ..total
    })
}

/// `payment_source` has one field, named for the way to pay.
fn source(object: &Object<'_>) -> Option<Source> {
    let sources = object.object("payment_source")?;
    let methods = [
        "paypal",
        "card",
        "venmo",
        "apple_pay",
        "google_pay",
        "bancontact",
        "blik",
        "eps",
        "giropay",
        "ideal",
        "mybank",
        "p24",
        "sofort",
        "trustly",
    ];
    methods.into_iter().find_map(|method| {
        let source = sources.object(method)?;
        let details = DETAILS.iter().filter_map(|(theirs, ours)| {
            let value = source.text(theirs)?;
            (1..=64)
                .contains(&value.len())
                .then(|| ((*ours).to_owned(), value))
        });
        Some(Source {
            method: method.to_owned(),
            details: details.collect(),
        })
    })
}
