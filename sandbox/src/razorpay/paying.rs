//! What happens to a payment and, with it, to its order: attempts, captures, late authorizations,
//! and money that nobody wanted.

use super::{
    agenda::Due,
    books::{Books, Cause},
    id,
    news::News,
    notes::Notes,
    order::{Order, OrderStatus},
    payment::{CAPTURE_WINDOW, Method, Payer, Payment, PaymentStatus},
    refund::NewRefund,
};

/// What a buyer tries to pay.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    pub(super) amount: i64,
    pub(super) method: Method,
    pub(super) payer: Payer,
    pub(super) description: Option<String>,
    pub(super) link_id: Option<String>,
    pub(super) subscription_id: Option<String>,
    pub(super) invoice_id: Option<String>,
    pub(super) customer_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Authorized,
    Failed,
}

impl Books {
    /// The bank's answer to an attempt on that order; gives the payment's id. `None` when the order is
    /// forgotten.
    pub(super) fn attempt(
        &mut self,
        cause: &Cause<'_>,
        order_id: &str,
        attempt: Attempt,
        verdict: Verdict,
    ) -> Option<String> {
        let order = self.orders.find_mut(order_id)?;
        let payment = payment(order, attempt, verdict, cause);
        let id = payment.id.clone();
        order.attempts = order.attempts.saturating_add(1);
        order.payments.push(id.clone());
        if order.status == OrderStatus::Created {
            order.status = OrderStatus::Attempted;
        }
        let capture_until = payment.capture_until();
        self.payments.push(id.clone(), payment);
        if let Some(until) = capture_until {
            self.schedule(until, Due::CaptureWindow(id.clone()));
        }
        let news = match verdict {
            Verdict::Authorized => News::PaymentAuthorized,
            Verdict::Failed => News::PaymentFailed,
        };
        self.announce(cause, news, &id);
        Some(id)
    }

    /// An attempt on an order of our own making, as subscriptions need one.
    pub(super) fn attempt_without_order(
        &mut self,
        cause: &Cause<'_>,
        currency: &str,
        attempt: Attempt,
        verdict: Verdict,
    ) -> Option<String> {
        let order = Order::new(attempt.amount, currency.to_owned(), cause.at);
        let order_id = order.id.clone();
        self.orders.push(order_id.clone(), order);
        self.attempt(cause, &order_id, attempt, verdict)
    }

    /// Whether the payment's order can still take all of it.
    pub(super) fn has_room_for(&self, payment_id: &str) -> bool {
        let Some(payment) = self.payments.find(payment_id) else {
            return false;
        };
        let order = self.orders.find(&payment.order_id);
        order.is_none_or(|order| order.status != OrderStatus::Paid && order.due() >= payment.amount)
    }

    /// Whether an authorized payment is captured without being asked for: as its order says, else as the
    /// account is set.
    pub(super) fn captures_alone(&self, cause: &Cause<'_>, payment_id: &str) -> bool {
        let Some(payment) = self.payments.find(payment_id) else {
            return false;
        };
        let order = self.orders.find(&payment.order_id);
        match order.and_then(|order| order.terms) {
            Some(terms) => terms.captures_at(cause.at.signed_duration_since(payment.created_at)),
            None => cause.core.settings().razorpay_auto_capture,
        }
    }

    /// Takes the money of an authorized payment.
    pub(super) fn capture(&mut self, cause: &Cause<'_>, payment_id: &str) {
        let Some(payment) = self.payments.find_mut(payment_id) else {
            return;
        };
        payment.status = PaymentStatus::Captured;
        payment.captured = true;
        let (amount, order_id) = (payment.amount, payment.order_id.clone());
        let link_id = payment.link_id.clone();
        self.announce(cause, News::PaymentCaptured, payment_id);
        if let Some(order) = self.orders.find_mut(&order_id) {
            order.amount_paid = order.amount_paid.saturating_add(amount);
            if order.due() <= 0 {
                order.status = OrderStatus::Paid;
                self.announce(cause, News::OrderPaid, &order_id);
            }
        }
        if let Some(link_id) = link_id {
            self.credit_link(cause, &link_id, payment_id);
        }
    }

    /// The bank says yes to a payment that counted as failed. Whether it did.
    pub(super) fn authorize_late(&mut self, cause: &Cause<'_>, payment_id: &str) -> bool {
        let Some(payment) = self.payments.find_mut(payment_id) else {
            return false;
        };
        if payment.status != PaymentStatus::Failed {
            return false;
        }
        payment.status = PaymentStatus::Authorized;
        let is_of_link = payment.link_id.is_some();
        let capture_until = payment.capture_until();
        self.announce(cause, News::PaymentAuthorized, payment_id);
        let captures = is_of_link || self.captures_alone(cause, payment_id);
        if captures && self.has_room_for(payment_id) {
            self.capture(cause, payment_id);
        } else if let Some(until) = capture_until {
            if until <= cause.at {
                self.return_uncaptured(cause, payment_id);
            } else {
                self.schedule(until, Due::CaptureWindow(payment_id.to_owned()));
            }
        }
        true
    }

    /// Gives back what was authorized and not captured in time.
    pub(super) fn return_uncaptured(&mut self, cause: &Cause<'_>, payment_id: &str) {
        let Some(payment) = self.payments.find(payment_id) else {
            return;
        };
        let refund = NewRefund::of_all(payment);
        self.refund(cause, refund);
    }
}

fn payment(order: &Order, attempt: Attempt, verdict: Verdict, cause: &Cause<'_>) -> Payment {
    Payment {
        id: id::random("pay"),
        amount: attempt.amount,
        currency: order.currency.clone(),
        status: match verdict {
            Verdict::Authorized => PaymentStatus::Authorized,
            Verdict::Failed => PaymentStatus::Failed,
        },
        order_id: order.id.clone(),
        link_id: attempt.link_id,
        subscription_id: attempt.subscription_id,
        invoice_id: attempt.invoice_id,
        customer_id: attempt.customer_id,
        method: attempt.method,
        amount_refunded: 0,
        captured: false,
        window: order.terms.map_or(CAPTURE_WINDOW, |terms| terms.window),
        description: attempt.description,
        payer: attempt.payer,
        notes: Notes::default(),
        created_at: cause.at,
        reference: id::digits(12),
        card_id: id::random("card"),
        refund_receipts: Vec::new(),
    }
}
