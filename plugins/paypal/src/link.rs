//! Payment links. PayPal has none; the nearest is the page on which a buyer approves an order.
//!
//! Whoever opens it can pay, once, within some hours. It cannot be cancelled, and approving moves no
//! money: the order is captured afterwards, as that of a payment.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, Failure};
use onerouter_plugin::context;
use onerouter_plugin::failure::{self, field_error};
use onerouter_plugin::json::Writer;
use onerouter_plugin::payments::{Attempt, Reference, Step};

use crate::bindings::exports::onerouter::payments::payment_links::{CreateRequest, PaymentLink};
use crate::checkout::{self, Draft};
use crate::order::Intent;
use crate::standing::Standing;
use crate::taking::{self, Seen, Taken};
use crate::{money, shown};

/// `POST /v2/checkout/orders`
pub(crate) fn create(request: &CreateRequest) -> Result<PaymentLink, CallError> {
    if request.expires_at.is_some() {
        return Err(CallError::Invalid(alloc::vec![field_error(
            "/expires_at",
            "unsupported",
            "PayPal ends its approval pages by itself, some hours after they were made.",
        )]));
    }
    let draft = Draft {
        object_id: &request.object_id,
        intent: Intent::Capture,
        amount: &request.amount,
        description: Some(&request.description),
        landing_page: None,
        return_url: &request.return_url,
        cancel_url: &request.cancel_url,
    };
    let answer = checkout::create(&draft, &request.attempt.idempotency_key)?;
    Seen::of(&answer, context::now())
        .map(view)
        .ok_or_else(|| failure::unreadable_after_write(answer.status))
}

/// `GET /v2/checkout/orders/{id}`
pub(crate) fn get(link: &Reference) -> Result<PaymentLink, CallError> {
    taking::look(&link.provider_id).map(view)
}

/// `POST /v2/checkout/orders/{id}/capture`
pub(crate) fn capture(link: &Reference, attempt: &Attempt) -> Result<PaymentLink, CallError> {
    let taken = taking::take(&link.provider_id, Step::Capture, &attempt.idempotency_key)?;
    Ok(match taken {
        Taken::Done(seen) => view(seen),
        Taken::Again { seen, url, failure } => again(link, seen, url, failure),
    })
}

pub(crate) fn cancel() -> Result<PaymentLink, CallError> {
    Err(CallError::Unsupported(
        "PayPal cannot cancel an approval page; it ends by itself within hours".to_owned(),
    ))
}

/// The buyer was declined, and may choose again on the same page.
fn again(
    link: &Reference,
    seen: Option<Seen>,
    url: Option<String>,
    failure: Failure,
) -> PaymentLink {
    let known = match seen {
        Some(seen) => view(seen),
        None => PaymentLink {
            provider_id: link.provider_id.clone(),
            provider_payment_id: None,
            status: "created".to_owned(),
            amount: None,
            amount_paid: 0,
            is_capture_due: false,
            short_url: None,
            expires_at: None,
            cost: None,
            failure: None,
            state: Vec::new(),
            raw: None,
            extra: Vec::new(),
        },
    };
    PaymentLink {
        is_capture_due: false,
        short_url: url.or(known.short_url),
        failure: Some(failure),
        ..known
    }
}

fn view(seen: Seen) -> PaymentLink {
    let Seen {
        order,
        standing,
        captured,
        raw,
    } = seen;
    let mut link = PaymentLink {
        provider_payment_id: shown::last_capture(&order),
        status: "created".to_owned(),
        amount_paid: captured,
        is_capture_due: false,
        short_url: None,
        expires_at: None,
        cost: order.fee().as_ref().and_then(money::cost),
        failure: None,
        state: Vec::new(),
        raw: raw.map(|order| wrapped(&order)),
        extra: Vec::new(),
        provider_id: order.id,
        amount: order.amount,
    };
    match standing {
        Standing::Waiting => link.short_url = order.approve_url,
        Standing::Approved(_) => {
            link.short_url = order.approve_url;
            link.is_capture_due = true;
        }
        // A link has no status for money that is on its way.
        Standing::Processing(reason) => link.extra = shown::pending(reason),
        // Only an order that was not made here can be reserved.
        Standing::Authorized(failure) => link.failure = failure,
        Standing::Paid => link.status = "paid".to_owned(),
        Standing::Failed(failure) => {
            link.status = "failed".to_owned();
            link.failure = Some(failure);
        }
        Standing::Canceled => link.status = "canceled".to_owned(),
        Standing::Expired => link.status = "expired".to_owned(),
    }
    link
}

/// Says what the link really is.
fn wrapped(order: &str) -> String {
    let mut raw = Writer::new();
    raw.text("kind", "order_approve_link").raw("order", order);
    raw.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::answer;
    use crate::known::tests::reference;
    use crate::standing::tests::{NOW, captures, order};

    fn shown_as(status: &str, payments: &str) -> PaymentLink {
        let answer = answer(200, &order(status, "CAPTURE", payments));
        view(Seen::of(&answer, NOW).unwrap())
    }

    #[test]
    fn a_link_is_open_then_due_then_paid() {
        let open = shown_as("PAYER_ACTION_REQUIRED", "{}");
        assert_eq!(
            (open.status.as_str(), open.is_capture_due),
            ("created", false)
        );
        assert!(open.short_url.unwrap().contains("checkoutnow"));
        let due = shown_as("APPROVED", "{}");
        assert_eq!((due.status.as_str(), due.is_capture_due), ("created", true));
        let paid = shown_as("COMPLETED", &captures(&[("COMPLETED", "25.00")]));
        assert_eq!((paid.status.as_str(), paid.amount_paid), ("paid", 2_500));
        assert_eq!(paid.provider_payment_id.as_deref(), Some("CAP-COMPLETED"));
        assert!(!paid.is_capture_due && paid.short_url.is_none());
    }

    #[test]
    fn pending_money_is_not_paid_and_declined_money_fails() {
        let pending = shown_as("COMPLETED", &captures(&[("PENDING", "25.00")]));
        assert_eq!(
            (pending.status.as_str(), pending.amount_paid),
            ("created", 0)
        );
        assert!(!pending.is_capture_due);
        let failed = shown_as("COMPLETED", &captures(&[("DECLINED", "25.00")]));
        assert_eq!(
            (failed.status.as_str(), failed.failure.is_some()),
            ("failed", true)
        );
        assert_eq!(shown_as("VOIDED", "{}").status, "canceled");
    }

    #[test]
    fn the_raw_answer_says_what_the_link_is() {
        let raw = shown_as("CREATED", "{}").raw.unwrap();
        assert!(raw.starts_with(r#"{"kind":"order_approve_link","order":{"id":"#));
        assert!(onerouter_plugin::json::Object::parse(&raw).is_some());
    }

    #[test]
    fn a_declined_buyer_finds_the_same_page_again() {
        let failure = || failure::failure("instrument_declined", "No.");
        let due = answer(200, &order("APPROVED", "CAPTURE", "{}"));
        let link = again(&reference(None, &[]), Seen::of(&due, NOW), None, failure());
        assert_eq!(
            (link.status.as_str(), link.is_capture_due),
            ("created", false)
        );
        assert!(link.short_url.is_some() && link.failure.is_some());
        let unread = again(&reference(None, &[]), None, None, failure());
        assert_eq!(unread.status, "created");
    }

    #[test]
    fn what_paypal_does_not_do_is_not_tried() {
        assert!(matches!(cancel(), Err(CallError::Unsupported(_))));
    }
}
