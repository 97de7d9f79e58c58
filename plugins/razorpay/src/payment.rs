//! Payments: orders, and what their buyers paid.
//!
//! Razorpay captures by itself what is authorized, unless the account is set otherwise; an order can ask
//! for manual capture and goes before the account. Two kinds of payments it captures in any case: all of
//! accounts with Direct Settlement, and bank transfers. Their captures are found when the order is read.
//! <https://razorpay.com/docs/payments/payments/capture-settings/>

use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, FieldError};
use onerouter_plugin::failure::{self, failure, field_error};
use onerouter_plugin::http::Answer;
use onerouter_plugin::json::Writer;
use onerouter_plugin::payments::{Money, Reference};

use crate::attempts::{self, Order, Seen};
use crate::bindings::exports::onerouter::payments::payments::{
    CaptureMode, CreateRequest, Payment,
};
use crate::refusal::{self, Meaning};
use crate::{api, money, notes, shown};

/// The caller's receipt in the notes.
const RECEIPT: &str = "receipt";

/// `POST /v1/orders`
///
/// Razorpay knows no key here. The receipt is our id, by which a lost order is found again.
pub(crate) fn create(request: &CreateRequest) -> Result<Payment, CallError> {
    let body = body(request).map_err(|error| CallError::Invalid(alloc::vec![error]))?;
    let answer = api::write(api::url("orders"), body)?;
    if !answer.is_success() {
        return Err(refusal::after_create(&answer));
    }
    created(&answer)
        .map(|payment| shown::payable(request, payment))
        .ok_or_else(|| failure::unreadable_after_write(answer.status))
}

/// `GET /v1/orders/{id}/payments`
pub(crate) fn get(payment: &Reference) -> Result<Payment, CallError> {
    let order = Order::of(payment);
    attempts::look(order).map(|seen| shown::payment(order.id, seen))
}

/// `POST /v1/payments/{id}/capture`
///
/// Razorpay knows no key here: a second capture is refused, and what was done before is read.
pub(crate) fn capture(payment: &Reference, amount: &Money) -> Result<Payment, CallError> {
    let (body, other_body) =
        capture_bodies(payment, amount).map_err(|error| CallError::Invalid(alloc::vec![error]))?;
    let Some(attempt) = &payment.provider_payment_id else {
        return Err(CallError::InvalidState(failure(
            "invalid_state",
            "The buyer has not paid yet.",
        )));
    };
    let url = api::url("payments").segment(attempt).segment("capture");
    let mut answer = api::write(url.clone(), body)?;
    if let Some(other_body) = other_body
        && refusal::wants_another_amount(&answer)
    {
        answer = api::write(url, other_body)?;
    }
    let order = Order::of(payment);
    if answer.is_success() {
        return Seen::of_one(&answer, order, attempt)
            .map(|seen| shown::payment(order.id, seen.with_card(order)))
            .ok_or_else(|| failure::unreadable_after_write(answer.status));
    }
    match refusal::meaning(&answer) {
        // The refusal is an answer in full; what it says of the money, the order tells.
        Meaning::Done => attempts::look(order)
            .map(|seen| shown::payment(order.id, seen))
            .map_err(|_unread| CallError::Unknown(refusal::failure(&answer))),
        Meaning::PerhapsDone | Meaning::Refused => Err(refusal::after_change(&answer)),
    }
}

/// `GET /v1/orders?receipt=`, and what was paid for them.
pub(crate) fn find(request: &CreateRequest) -> Result<Vec<Payment>, CallError> {
    let url = api::url("orders").query("receipt", &request.object_id);
    let answer = api::read(url)?;
    let found = ours(&answer, &request.object_id)
        .ok_or_else(|| failure::unreadable_after_read(answer.status))?;
    let payments = found.into_iter().map(|found| {
        let seen = if found.is_untried {
            Seen::untried(None)
        } else {
            attempts::look(found.order())?
        };
        Ok(shown::payable(request, found.payment(seen)))
    });
    payments.collect()
}

/// An order that was found again.
struct Found {
    id: String,
    amount: Money,
    is_untried: bool,
}

impl Found {
    fn order(&self) -> Order<'_> {
        Order {
            id: &self.id,
            amount: Some(&self.amount),
        }
    }

    /// With what is to be paid for it: only by that the host knows the order for the one that was lost.
    fn payment(self, seen: Seen) -> Payment {
        Payment {
            amount: Some(self.amount),
            ..shown::payment(&self.id, seen)
        }
    }
}

/// The orders in a list that have our id for their receipt.
fn ours(answer: &Answer, object_id: &str) -> Option<Vec<Found>> {
    let list = answer.object()?;
    let orders = list.objects("items")?;
    let ours = orders
        .iter()
        .filter(|order| order.text("receipt").as_deref() == Some(object_id));
    ours.map(|order| {
        Some(Found {
            id: api::id(order)?,
            amount: money::read(order)?,
            is_untried: order.text("status").as_deref() == Some("created"),
        })
    })
    .collect()
}

fn body(request: &CreateRequest) -> Result<String, FieldError> {
    shown::check_method(request.method.as_deref())?;
    let mut body = Writer::new();
    money::write(&mut body, &request.amount)?;
    body.text("receipt", &request.object_id);
    match request.capture {
        // As the account is set. The gateway captures what stays authorized.
        CaptureMode::Automatic => {}
        CaptureMode::Manual => reserve_only(&mut body),
    }
    // The receipt is ours, so the caller's travels beside it.
    let receipt = request.receipt.as_ref();
    let own = receipt.map(|receipt| (RECEIPT, receipt));
    notes::write(&mut body, &request.object_id, own, &request.metadata);
    Ok(body.finish())
}

/// <https://razorpay.com/docs/payments/payments/capture-settings/api/>
fn reserve_only(body: &mut Writer) {
    body.object("payment", |payment| {
        payment
            .text("capture", "manual")
            .object("capture_options", |options| {
                // Of what nobody captures; it has to be there.
                options.text("refund_speed", "normal");
            });
    });
}

/// A new order. Its payments are not read: there are none.
fn created(answer: &Answer) -> Option<Payment> {
    let order = answer.object()?;
    let id = api::id(&order)?;
    order.text("status")?;
    Some(Payment {
        amount: Some(money::read(&order)?),
        ..shown::payment(&id, Seen::untried(answer.raw()))
    })
}

/// What to ask for, and what else where that is refused for its amount.
///
/// An offer, or a fee that the buyer bears, makes a payment differ from its order. Razorpay documents that
/// the amount is the order's, and that another than was authorized is refused; what is authorized comes
/// first. <https://razorpay.com/docs/api/payments/capture/>
fn capture_bodies(
    payment: &Reference,
    amount: &Money,
) -> Result<(String, Option<String>), FieldError> {
    let is_whole = payment.amount.as_ref().is_none_or(|whole| {
        whole.minor_units == amount.minor_units && whole.currency == amount.currency
    });
    if !is_whole {
        return Err(field_error(
            "/amount",
            "unsupported",
            "Razorpay takes the whole of what was reserved, not a part; refund the rest instead.",
        ));
    }
    let whole = capture_body(amount)?;
    let authorized = shown::authorized(&payment.state).map(|minor_units| Money {
        minor_units,
        currency: amount.currency.clone(),
    });
    match authorized {
        Some(authorized) if authorized.minor_units != amount.minor_units => {
            Ok((capture_body(&authorized)?, Some(whole)))
        }
        Some(_) | None => Ok((whole, None)),
    }
}

fn capture_body(amount: &Money) -> Result<String, FieldError> {
    let mut body = Writer::new();
    body.raw("amount", &money::units(amount)?)
        .text("currency", &amount.currency);
    Ok(body.finish())
}

#[cfg(test)]
pub(crate) mod tests {
    use alloc::format;
    use alloc::string::ToString as _;

    use onerouter_plugin::payments::Attempt;

    use super::*;
    use crate::api::tests::answer;
    use crate::money::tests::money;

    pub(crate) fn reference(payment: Option<&str>) -> Reference {
        Reference {
            object_id: Some("pay_1".into()),
            provider_id: "order_1".into(),
            provider_payment_id: payment.map(Into::into),
            amount: Some(money(50_000, "INR")),
            state: Vec::new(),
        }
    }

    pub(crate) fn attempt() -> Attempt {
        Attempt {
            attempt_id: "att_1".into(),
            idempotency_key: "pay_1-create".into(),
        }
    }

    fn request(amount: Money) -> CreateRequest {
        CreateRequest {
            object_id: "pay_1".into(),
            attempt: attempt(),
            amount,
            capture: CaptureMode::Automatic,
            receipt: Some("r-17".into()),
            description: None,
            method: None,
            customer: None,
            return_url: "https://gateway.example/checkout/1/return".into(),
            cancel_url: "https://gateway.example/checkout/1/cancel".into(),
            metadata: alloc::vec![("order".into(), "17".into())],
            hints: Vec::new(),
            extra: Vec::new(),
        }
    }

    #[test]
    fn an_order_carries_our_id_as_its_receipt() {
        assert_eq!(
            body(&request(money(50_000, "INR"))).unwrap(),
            r#"{"amount":50000,"currency":"INR","receipt":"pay_1","notes":{"onerouter_id":"pay_1","receipt":"r-17","order":"17"}}"#
        );
        let wrong = CreateRequest {
            method: Some("cash".into()),
            ..request(money(50_000, "INR"))
        };
        assert_eq!(body(&wrong).unwrap_err().pointer, "/method");
        assert_eq!(
            body(&request(money(99, "INR"))).unwrap_err().pointer,
            "/amount"
        );
    }

    #[test]
    fn manual_capture_is_said_to_razorpay() {
        let manual = CreateRequest {
            capture: CaptureMode::Manual,
            ..request(money(50_000, "INR"))
        };
        let body = body(&manual).unwrap();
        let terms =
            r#""payment":{"capture":"manual","capture_options":{"refund_speed":"normal"}},"notes""#;
        assert!(body.contains(terms), "{body}");
    }

    #[test]
    fn a_new_order_waits_for_the_buyer() {
        let order = r#"{"id":"order_1","entity":"order","amount":50000,"amount_paid":0,"currency":"INR","receipt":"pay_1","status":"created","notes":[]}"#;
        let payment = created(&answer(200, order)).unwrap();
        assert_eq!(
            (payment.provider_id.as_str(), payment.status.as_str()),
            ("order_1", "requires_action")
        );
        assert_eq!(payment.amount.unwrap().minor_units, 50_000);
        for odd in [
            "",
            "{}",
            r#"{"id":"order_1","status":"created"}"#,
            r#"{"status":"created","amount":1,"currency":"INR"}"#,
        ] {
            assert!(created(&answer(200, odd)).is_none(), "{odd}");
        }
    }

    #[test]
    fn an_order_that_is_found_again_says_its_amount() {
        let list = r#"{"entity":"collection","count":3,"items":[
            {"id":"order_1","amount":50000,"currency":"INR","receipt":"pay_1","status":"created"},
            {"id":"order_2","amount":60000,"currency":"INR","receipt":"pay_1","status":"attempted"},
            {"id":"order_3","amount":70000,"currency":"INR","receipt":"pay_10","status":"created"}
        ]}"#;
        let found = ours(&answer(200, list), "pay_1").unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|found| {
                (
                    found.id.as_str(),
                    found.amount.minor_units,
                    found.is_untried,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [("order_1", 50_000, true), ("order_2", 60_000, false)]
        );
        let payments = found
            .into_iter()
            .map(|found| found.payment(Seen::untried(None)));
        let amounts: Vec<_> = payments.map(|payment| payment.amount.unwrap()).collect();
        assert_eq!(amounts[1].minor_units, 60_000);
        assert_eq!(amounts[1].currency, "INR");
        for odd in [
            "{}",
            r#"{"items":[{"id":"order_1","receipt":"pay_1","status":"created"}]}"#,
        ] {
            assert!(ours(&answer(200, odd), "pay_1").is_none(), "{odd}");
        }
    }

    #[test]
    fn the_whole_is_what_was_authorized() {
        let with = |authorized: &str| Reference {
            state: alloc::vec![("authorized".into(), authorized.into())],
            ..reference(Some("pay_2"))
        };
        let whole = money(50_000, "INR");
        for authorized in ["45000", "51180"] {
            let (body, other) = capture_bodies(&with(authorized), &whole).unwrap();
            assert_eq!(
                body,
                format!(r#"{{"amount":{authorized},"currency":"INR"}}"#)
            );
            assert_eq!(other.unwrap(), r#"{"amount":50000,"currency":"INR"}"#);
        }
        for state in ["50000", "many"] {
            let (body, other) = capture_bodies(&with(state), &whole).unwrap();
            assert_eq!(body, r#"{"amount":50000,"currency":"INR"}"#);
            assert_eq!(other, None, "{state}");
        }
        // What is asked for is measured by the order.
        let part = capture_bodies(&with("45000"), &money(45_000, "INR")).unwrap_err();
        assert_eq!(part.pointer, "/amount");
    }

    #[test]
    fn only_the_whole_is_captured() {
        let part = capture_bodies(&reference(Some("pay_2")), &money(20_000, "INR")).unwrap_err();
        assert_eq!(
            (part.pointer.to_string(), part.code.to_string()),
            ("/amount".into(), "unsupported".into())
        );
        assert!(capture_bodies(&reference(None), &money(50_000, "USD")).is_err());
        let (body, other) = capture_bodies(&reference(None), &money(50_000, "INR")).unwrap();
        assert_eq!(body, r#"{"amount":50000,"currency":"INR"}"#);
        assert_eq!(other, None);
        let early = capture(&reference(None), &money(50_000, "INR"));
        assert!(
            matches!(early, Err(CallError::InvalidState(_))),
            "{}",
            format!("{early:?}")
        );
    }
}
