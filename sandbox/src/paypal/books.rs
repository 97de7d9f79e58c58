//! Everything that the merchant has at PayPal.

use chrono::{DateTime, Utc};

use super::{
    authorization::Authorization, capture::Capture, error::PaypalError, order::Order, plan::Plan,
    product::Product, refund::Refund, subscription::Subscription,
};
use crate::shelf::Shelf;

pub(super) struct Books {
    pub(super) orders: Shelf<Order>,
    pub(super) authorizations: Shelf<Authorization>,
    pub(super) captures: Shelf<Capture>,
    pub(super) refunds: Shelf<Refund>,
    pub(super) products: Shelf<Product>,
    pub(super) plans: Shelf<Plan>,
    pub(super) subscriptions: Shelf<Subscription>,
    /// Subscriptions by the token on the buyer's page.
    pub(super) consents: Shelf<String>,
    pub(super) invoices: Invoices,
    /// When the next subscription is charged; nothing is due before.
    pub(super) next_due: Option<DateTime<Utc>>,
}

/// Invoice numbers that a transaction has used up, account-wide.
#[derive(Debug)]
pub(super) struct Invoices {
    /// With the order, or the capture, that each belongs to.
    payments: Shelf<String>,
    refunds: Shelf<()>,
}

impl Books {
    pub(super) fn new(max: usize) -> Books {
        Books {
            orders: Shelf::new(max),
            authorizations: Shelf::new(max),
            captures: Shelf::new(max),
            refunds: Shelf::new(max),
            products: Shelf::new(max),
            plans: Shelf::new(max),
            subscriptions: Shelf::new(max),
            consents: Shelf::new(max),
            invoices: Invoices {
                payments: Shelf::new(max),
                refunds: Shelf::new(max),
            },
            next_due: None,
        }
    }

    pub(super) fn clear(&mut self) {
        self.orders.clear();
        self.authorizations.clear();
        self.captures.clear();
        self.refunds.clear();
        self.products.clear();
        self.plans.clear();
        self.subscriptions.clear();
        self.consents.clear();
        self.invoices.payments.clear();
        self.invoices.refunds.clear();
        self.next_due = None;
    }

    /// An order that has not expired.
    pub(super) fn order(&self, id: &str, now: DateTime<Utc>) -> Result<&Order, PaypalError> {
        let order = self.orders.find(id).filter(|order| !order.is_over(now));
        order.ok_or_else(|| no_resource("id"))
    }

    pub(super) fn order_mut(
        &mut self,
        id: &str,
        now: DateTime<Utc>,
    ) -> Result<&mut Order, PaypalError> {
        let order = self.orders.find_mut(id).filter(|order| !order.is_over(now));
        order.ok_or_else(|| no_resource("id"))
    }

    pub(super) fn authorization(&self, id: &str) -> Result<&Authorization, PaypalError> {
        let found = self.authorizations.find(id);
        found.ok_or_else(|| no_resource("authorization_id"))
    }

    pub(super) fn authorization_mut(
        &mut self,
        id: &str,
    ) -> Result<&mut Authorization, PaypalError> {
        let found = self.authorizations.find_mut(id);
        found.ok_or_else(|| no_resource("authorization_id"))
    }

    pub(super) fn capture(&self, id: &str) -> Result<&Capture, PaypalError> {
        let found = self.captures.find(id);
        found.ok_or_else(|| no_resource("capture_id"))
    }

    pub(super) fn capture_mut(&mut self, id: &str) -> Result<&mut Capture, PaypalError> {
        let found = self.captures.find_mut(id);
        found.ok_or_else(|| no_resource("capture_id"))
    }

    pub(super) fn refund(&self, id: &str) -> Result<&Refund, PaypalError> {
        let found = self.refunds.find(id);
        found.ok_or_else(|| no_resource("refund_id"))
    }

    pub(super) fn product(&self, id: &str) -> Result<&Product, PaypalError> {
        let found = self.products.find(id);
        found.ok_or_else(|| no_resource("product_id"))
    }

    pub(super) fn plan(&self, id: &str) -> Result<&Plan, PaypalError> {
        self.plans.find(id).ok_or_else(|| no_resource("id"))
    }

    pub(super) fn subscription(&self, id: &str) -> Result<&Subscription, PaypalError> {
        self.subscriptions.find(id).ok_or_else(|| no_resource("id"))
    }

    pub(super) fn subscription_mut(&mut self, id: &str) -> Result<&mut Subscription, PaypalError> {
        let found = self.subscriptions.find_mut(id);
        found.ok_or_else(|| no_resource("id"))
    }

    /// What was captured for an order, directly or through its authorizations.
    pub(super) fn captures_of(&self, order: &str) -> Vec<&Capture> {
        let ids = self.orders.find(order).map(Order::captures);
        ids.into_iter()
            .flatten()
            .filter_map(|id| self.captures.find(id))
            .collect()
    }
}

fn no_resource(parameter: &str) -> PaypalError {
    PaypalError::issue("INVALID_RESOURCE_ID").in_path(parameter)
}

impl Invoices {
    /// Whether a payment of somebody else has used it.
    pub(super) fn is_taken(&self, invoice: &str, owner: &str) -> bool {
        self.payments.find(invoice).is_some_and(|of| of != owner)
    }

    pub(super) fn take(&mut self, invoice: &str, owner: &str) {
        if self.payments.find(invoice).is_none() {
            self.payments.push(invoice.to_owned(), owner.to_owned());
        }
    }

    pub(super) fn is_refunded(&self, invoice: &str) -> bool {
        self.refunds.find(invoice).is_some()
    }

    pub(super) fn take_refund(&mut self, invoice: &str) {
        self.refunds.push(invoice.to_owned(), ());
    }
}
