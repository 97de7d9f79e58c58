//! Orders and captures as payments, in our words.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::{Extra, Failure};
use onerouter_plugin::payments::{Reference, Step};

use crate::bindings::exports::onerouter::payments::payments::Payment;
use crate::known::{self, AUTHORIZATION, INTENT, METHOD};
use crate::money;
use crate::movement::{Capture, CaptureStatus};
use crate::order::{Intent, Order};
use crate::standing::Standing;
use crate::taking::Seen;

/// An order as a payment. `client_id` is for the widget, while there is something to agree to.
pub(crate) fn payment(seen: Seen, client_id: Option<String>) -> Payment {
    let Seen {
        order,
        standing,
        captured,
        raw,
    } = seen;
    let Status {
        status,
        due,
        failure,
        extra,
    } = Status::of(standing);
    let is_open = status == "requires_action";
    let state = state(&order);
    Payment {
        provider_payment_id: last_capture(&order),
        status: status.to_owned(),
        amount_captured: captured,
        amount_refunded: order.refunded,
        due,
        widget: match client_id.filter(|_| is_open) {
            Some(client_id) => alloc::vec![
                ("order_id".to_owned(), order.id.clone()),
                ("client_id".to_owned(), client_id),
            ],
            None => Vec::new(),
        },
        cost: order.fee().as_ref().and_then(money::cost),
        provider_id: order.id,
        amount: order.amount,
        checkout_url: order.approve_url.filter(|_| is_open),
        checkout: None,
        payment_method: order.source.as_ref().map(|source| source.method.clone()),
        method_details: order.source.map_or_else(Vec::new, |source| source.details),
        failure,
        state,
        raw,
        extra,
    }
}

/// A capture of what was reserved, of which the order was not read again; none where it does not say how
/// much was taken.
pub(crate) fn captured(
    payment: &Reference,
    capture: &Capture,
    raw: Option<String>,
) -> Option<Payment> {
    let (standing, amount_captured) = if capture.is_paid() {
        (Standing::Paid, capture.amount.as_ref()?.minor_units)
    } else {
        (Standing::Processing(capture.reason.clone()), 0)
    };
    let Status { status, extra, .. } = Status::of(standing);
    Some(Payment {
        provider_payment_id: Some(capture.id.clone()),
        amount_captured,
        cost: capture.fee.as_ref().and_then(money::cost),
        raw,
        extra,
        ..unread(payment, status)
    })
}

/// A payment of which only the status is known. What the adapter remembers of it stays.
pub(crate) fn unread(payment: &Reference, status: &str) -> Payment {
    Payment {
        provider_id: payment.provider_id.clone(),
        provider_payment_id: payment.provider_payment_id.clone(),
        status: status.to_owned(),
        amount: None,
        amount_captured: 0,
        amount_refunded: None,
        due: None,
        checkout_url: None,
        checkout: None,
        widget: Vec::new(),
        payment_method: known::state(payment, METHOD).map(str::to_owned),
        method_details: Vec::new(),
        cost: None,
        failure: None,
        state: payment.state.clone(),
        raw: None,
        extra: Vec::new(),
    }
}

struct Status {
    status: &'static str,
    due: Option<Step>,
    failure: Option<Failure>,
    extra: Extra,
}

impl Status {
    fn of(standing: Standing) -> Self {
        let plain = |status| Self {
            status,
            due: None,
            failure: None,
            extra: Vec::new(),
        };
        match standing {
            Standing::Waiting => plain("requires_action"),
            Standing::Approved(step) => Self {
                due: Some(step),
                ..plain("requires_action")
            },
            Standing::Processing(reason) => Self {
                extra: pending(reason),
                ..plain("processing")
            },
            Standing::Authorized(failure) => Self {
                due: Some(Step::Capture),
                failure,
                ..plain("authorized")
            },
            Standing::Paid => plain("succeeded"),
            Standing::Failed(failure) => Self {
                failure: Some(failure),
                ..plain("failed")
            },
            Standing::Canceled => plain("canceled"),
            Standing::Expired => plain("expired"),
        }
    }
}

/// Why money is not there yet: `ECHECK`, `PENDING_REVIEW`, …
pub(crate) fn pending(reason: Option<String>) -> Extra {
    let pair = |reason| ("pending_reason".to_owned(), reason);
    reason.map(pair).into_iter().collect()
}

/// The one that counts: refunds are made of it.
pub(crate) fn last_capture(order: &Order) -> Option<String> {
    let captures = || order.captures.iter().rev();
    let counting = captures()
        .find(|capture| capture.is_paid())
        .or_else(|| captures().find(|capture| capture.status == CaptureStatus::Pending));
    counting
        .or_else(|| captures().next())
        .map(|capture| capture.id.clone())
}

fn state(order: &Order) -> Vec<(String, String)> {
    let authorization = order.authorizations.last();
    [
        known::intent(order).map(|intent| (INTENT, Intent::name(intent).to_owned())),
        authorization.map(|authorization| (AUTHORIZATION, authorization.id.clone())),
        order
            .source
            .as_ref()
            .map(|source| (METHOD, source.method.clone())),
    ]
    .into_iter()
    .flatten()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::answer;
    use crate::known::tests::reference;
    use crate::standing::tests::{NOW, authorization, captures, order};

    fn shown(body: &str) -> Option<Payment> {
        Seen::of(&answer(200, body), NOW).map(|seen| payment(seen, Some("CLIENT".into())))
    }

    fn pairs(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
        pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    #[test]
    fn a_new_order_waits_for_the_buyer() {
        let payment = shown(&order("PAYER_ACTION_REQUIRED", "CAPTURE", "null")).unwrap();
        assert_eq!(payment.provider_id, "5O190127TN364715T");
        assert_eq!(payment.status, "requires_action");
        assert_eq!(payment.due, None);
        assert!(payment.checkout_url.unwrap().contains("checkoutnow"));
        assert_eq!(
            pairs(&payment.widget),
            [("order_id", "5O190127TN364715T"), ("client_id", "CLIENT")]
        );
        let amount = payment.amount.unwrap();
        assert_eq!(
            (amount.minor_units, amount.currency.as_str()),
            (2_500, "USD")
        );
        assert_eq!(
            pairs(&payment.state),
            [("intent", "CAPTURE"), ("method", "paypal")]
        );
        assert_eq!(
            (payment.amount_captured, payment.amount_refunded),
            (0, Some(0))
        );
    }

    #[test]
    fn a_minimal_answer_of_a_new_order_is_enough() {
        let payment = shown(r#"{"id":"1","status":"PAYER_ACTION_REQUIRED","links":[]}"#).unwrap();
        assert_eq!(payment.status, "requires_action");
        assert!(payment.amount.is_none() && payment.checkout_url.is_none());
        assert!(shown(r#"{"id":"1","status":"COMPLETED","links":[]}"#).is_none());
    }

    #[test]
    fn a_paid_order_has_a_capture_and_a_fee() {
        let paid = r#"{"captures":[{"id":"CAP","status":"COMPLETED","amount":{"currency_code":"USD","value":"25.0"},"seller_receivable_breakdown":{"gross_amount":{"currency_code":"USD","value":"25.00"},"paypal_fee":{"currency_code":"USD","value":"1.36"}}}]}"#;
        let payment = shown(&order("COMPLETED", "CAPTURE", paid)).unwrap();
        assert_eq!(payment.status, "succeeded");
        assert_eq!(payment.amount_captured, 2_500);
        assert_eq!(payment.provider_payment_id.as_deref(), Some("CAP"));
        let cost = payment.cost.unwrap();
        assert_eq!(
            (cost.amount.as_str(), cost.currency.as_str()),
            ("1.36", "USD")
        );
        assert_eq!(payment.payment_method.as_deref(), Some("paypal"));
        assert_eq!(
            pairs(&payment.method_details),
            [("payer_id", "QYR5Z8XDVJNXQ"), ("payer_status", "VERIFIED")]
        );
        assert!(payment.checkout_url.is_none() && payment.widget.is_empty());
    }

    #[test]
    fn a_pending_capture_says_why() {
        let pending = captures(&[("PENDING", "25.00")]);
        let payment = shown(&order("COMPLETED", "CAPTURE", &pending)).unwrap();
        assert_eq!(payment.status, "processing");
        assert_eq!(payment.amount_captured, 0);
        assert_eq!(pairs(&payment.extra), [("pending_reason", "ECHECK")]);
    }

    #[test]
    fn a_declined_capture_fails_and_is_not_money() {
        let declined = captures(&[("DECLINED", "25.00")]);
        let payment = shown(&order("COMPLETED", "CAPTURE", &declined)).unwrap();
        assert_eq!(payment.status, "failed");
        assert_eq!(payment.amount_captured, 0);
        assert_eq!(payment.failure.unwrap().code, "instrument_declined");
    }

    #[test]
    fn refunds_are_summed_up() {
        let with = |capture: &str, refunds: &str| {
            let payments = alloc::format!(
                r#"{{"captures":[{{"id":"CAP","status":"{capture}","amount":{{"currency_code":"USD","value":"25.00"}}}}],"refunds":{refunds}}}"#
            );
            let payment = shown(&order("COMPLETED", "CAPTURE", &payments)).unwrap();
            assert_eq!(
                (payment.status.as_str(), payment.amount_captured),
                ("succeeded", 2_500)
            );
            payment.amount_refunded
        };
        let five = r#"[{"id":"R1","status":"COMPLETED","amount":{"currency_code":"USD","value":"5.00"}},{"id":"R2","status":"PENDING","amount":{"currency_code":"USD","value":"5.00"}},{"id":"R3","status":"FAILED"}]"#;
        assert_eq!(with("COMPLETED", "[]"), Some(0));
        assert_eq!(with("PARTIALLY_REFUNDED", five), Some(500));
        assert_eq!(with("PARTIALLY_REFUNDED", "null"), None);
        assert_eq!(with("REFUNDED", "null"), Some(2_500));
    }

    #[test]
    fn what_is_reserved_can_be_captured_later() {
        let reserved = authorization("CREATED", "[]");
        let payment = shown(&order("COMPLETED", "AUTHORIZE", &reserved)).unwrap();
        assert_eq!(payment.status, "authorized");
        assert_eq!(payment.due, Some(Step::Capture));
        let state = [
            ("intent", "AUTHORIZE"),
            ("authorization", "AUTH"),
            ("method", "paypal"),
        ];
        assert_eq!(pairs(&payment.state), state);
    }

    #[test]
    fn a_capture_of_a_part_stands_for_the_payment() {
        let reference = reference(None, &[("intent", "AUTHORIZE"), ("method", "paypal")]);
        let read = |status: &str, amount: &str| {
            let body = alloc::format!(r#"{{"id":"CAP","status":"{status}","amount":{amount}}}"#);
            let answer = answer(201, &body);
            let capture = Capture::read(&answer.object().unwrap())?;
            captured(&reference, &capture, answer.raw())
        };
        let twenty = r#"{"currency_code":"USD","value":"20.00"}"#;
        let payment = read("COMPLETED", twenty).unwrap();
        assert_eq!(
            (payment.status.as_str(), payment.amount_captured),
            ("succeeded", 2_000)
        );
        assert_eq!(payment.provider_payment_id.as_deref(), Some("CAP"));
        assert_eq!(payment.payment_method.as_deref(), Some("paypal"));
        assert_eq!(read("PENDING", twenty).unwrap().status, "processing");
        assert!(read("COMPLETED", "null").is_none());
        assert!(read("COMPLETED", "{}").is_none());
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_no_payment() {
        for body in [
            "",
            "[]",
            "<html>",
            r#"{"id":"1"}"#,
            r#"{"id":"","status":"CREATED"}"#,
            r#"{"id":7,"status":"CREATED"}"#,
            r#"{"id":"1\n","status":"CREATED"}"#,
            r#"{"id":"1","status":"CREATED","purchase_units":7}"#,
            r#"{"id":"1","status":"CREATED","purchase_units":[{"amount":{"currency_code":"USD","value":"-1.00"}}]}"#,
            r#"{"id":"1","status":"COMPLETED","purchase_units":[{"payments":{"captures":[{"id":"C","status":"COMPLETED","amount":{"currency_code":"USD","value":"1e9"}}]}}]}"#,
            r#"{"id":"1","status":"COMPLETED","purchase_units":[{"payments":{"captures":[{"id":"C","status":"COMPLETED"}]}}]}"#,
        ] {
            assert!(shown(body).is_none(), "{body}");
        }
        let long = alloc::format!(r#"{{"id":"{}","status":"CREATED"}}"#, "1".repeat(256));
        assert!(shown(&long).is_none());
    }
}
