//! Payments: orders of one unit.

use alloc::borrow::ToOwned as _;
use alloc::string::String;

use onerouter_plugin::common::{CallError, FieldError};
use onerouter_plugin::context;
use onerouter_plugin::failure::{self, failure, field_error};
use onerouter_plugin::http::Answer;
use onerouter_plugin::json::Writer;
use onerouter_plugin::payments::{Attempt, Money, Reference, Step};

use crate::bindings::exports::onerouter::payments::payments::{
    CaptureMode, CreateRequest, Payment,
};
use crate::checkout::{self, Draft};
use crate::known::Known;
use crate::movement::Capture;
use crate::order::Intent;
use crate::refusal::{self, Meaning};
use crate::standing::Standing;
use crate::taking::{self, Seen, Taken};
use crate::{api, money, shown};

/// `POST /v2/checkout/orders`
pub(crate) fn create(request: &CreateRequest) -> Result<Payment, CallError> {
    let landing_page = landing_page(request.method.as_deref())
        .map_err(|error| CallError::Invalid(alloc::vec![error]))?;
    let draft = Draft {
        object_id: &request.object_id,
        intent: match request.capture {
            CaptureMode::Automatic => Intent::Capture,
            CaptureMode::Manual => Intent::Authorize,
        },
        amount: &request.amount,
        description: request.description.as_deref(),
        landing_page,
        return_url: &request.return_url,
        cancel_url: &request.cancel_url,
    };
    let answer = checkout::create(&draft, &request.attempt.idempotency_key)?;
    Seen::of(&answer, context::now())
        .map(|seen| shown::payment(seen, client_id()))
        .ok_or_else(|| failure::unreadable_after_write(answer.status))
}

/// `GET /v2/checkout/orders/{id}`
pub(crate) fn get(payment: &Reference) -> Result<Payment, CallError> {
    taking::look(&payment.provider_id).map(|seen| shown::payment(seen, client_id()))
}

/// `POST /v2/checkout/orders/{id}/authorize`
pub(crate) fn authorize(payment: &Reference, attempt: &Attempt) -> Result<Payment, CallError> {
    let taken = taking::take(
        &payment.provider_id,
        Step::Authorize,
        &attempt.idempotency_key,
    )?;
    Ok(after_taking(payment, taken))
}

/// `POST /v2/checkout/orders/{id}/capture`, or `POST /v2/payments/authorizations/{id}/capture` for what
/// was reserved before.
pub(crate) fn capture(
    payment: &Reference,
    amount: &Money,
    attempt: &Attempt,
) -> Result<Payment, CallError> {
    money::text(amount).map_err(|error| CallError::Invalid(alloc::vec![error]))?;
    let known = Known::of(payment)?;
    match (known.intent, &known.authorization) {
        (Intent::Capture, _) => {
            if !known.is_whole(amount) {
                return Err(CallError::Invalid(alloc::vec![field_error(
                    "/amount",
                    "unsupported",
                    "PayPal takes the whole amount of a payment that was not reserved first.",
                )]));
            }
            let key = &attempt.idempotency_key;
            let taken = taking::take(&payment.provider_id, Step::Capture, key)?;
            Ok(after_taking(payment, taken))
        }
        (Intent::Authorize, Some(authorization)) => {
            capture_authorization(payment, authorization, amount, attempt)
        }
        (Intent::Authorize, None) => Err(CallError::InvalidState(failure(
            "invalid_state",
            "Nothing is reserved for this payment.",
        ))),
    }
}

/// `POST /v2/payments/authorizations/{id}/void`
pub(crate) fn cancel(payment: &Reference, attempt: &Attempt) -> Result<Payment, CallError> {
    let known = Known::of(payment)?;
    let Some(authorization) = &known.authorization else {
        return without_authorization(match known.seen {
            Some(seen) => seen,
            None => taking::look(&payment.provider_id)?,
        });
    };
    let url = api::url("/v2/payments/authorizations")
        .segment(authorization)
        .segment("void");
    // 204, or 200 with the authorization; in either case the order tells the rest.
    let answer = api::write(url, Some(&attempt.idempotency_key), "{}".to_owned())?;
    if answer.is_success() {
        return Ok(given_up(payment, taking::look(&payment.provider_id).ok()));
    }
    match refusal::meaning(&answer) {
        Meaning::Done => without_authorization(taking::done_before(&payment.provider_id, &answer)?),
        Meaning::Again | Meaning::Refused => Err(refusal::after_change(&answer)),
    }
}

/// After what was reserved was given up. A part of it may have been taken before, elsewhere.
fn given_up(payment: &Reference, seen: Option<Seen>) -> Payment {
    match seen {
        // A part that was taken elsewhere may have come, or be on its way.
        Some(seen)
            if matches!(
                seen.standing,
                Standing::Canceled | Standing::Paid | Standing::Processing(_)
            ) =>
        {
            shown::payment(seen, None)
        }
        // Not read, or not up to date: it has happened all the same.
        Some(_) | None => shown::unread(payment, "canceled"),
    }
}

/// Where there is nothing to void.
fn without_authorization(seen: Seen) -> Result<Payment, CallError> {
    match seen.standing {
        Standing::Canceled => Ok(shown::payment(seen, None)),
        Standing::Waiting | Standing::Approved(_) => Err(CallError::Unsupported(
            "PayPal cannot cancel an order that the buyer has not paid; it expires by itself within hours"
                .to_owned(),
        )),
        Standing::Paid | Standing::Processing(_) => Err(CallError::InvalidState(failure(
            "invalid_state",
            "The money has been taken; refund it instead.",
        ))),
        Standing::Authorized(_) | Standing::Failed(_) | Standing::Expired => {
            Err(CallError::InvalidState(failure(
                "invalid_state",
                "There is nothing left to cancel.",
            )))
        }
    }
}

/// Takes all or a part of what was reserved, and gives up the rest.
///
/// Without an invoice number of its own: the order's is kept, and naming it twice would be refused.
fn capture_authorization(
    payment: &Reference,
    authorization: &str,
    amount: &Money,
    attempt: &Attempt,
) -> Result<Payment, CallError> {
    let url = api::url("/v2/payments/authorizations")
        .segment(authorization)
        .segment("capture");
    let body = final_capture(amount).map_err(|error| CallError::Invalid(alloc::vec![error]))?;
    let answer = api::write(url, Some(&attempt.idempotency_key), body)?;
    if answer.is_success() {
        return captured(payment, &answer);
    }
    match refusal::meaning(&answer) {
        Meaning::Done => taking::done_before(&payment.provider_id, &answer)
            .map(|seen| shown::payment(seen, None)),
        // The buyer cannot choose again what is reserved already.
        Meaning::Again | Meaning::Refused => Err(refusal::after_change(&answer)),
    }
}

fn final_capture(amount: &Money) -> Result<String, FieldError> {
    let mut body = Writer::new();
    money::write(&mut body, "amount", amount)?;
    body.raw("final_capture", "true");
    Ok(body.finish())
}

/// The answer to a capture of what was reserved: a capture, not an order.
fn captured(payment: &Reference, answer: &Answer) -> Result<Payment, CallError> {
    let capture = answer.object().and_then(|object| Capture::read(&object));
    let Some(capture) = capture else {
        return taking::look(&payment.provider_id)
            .map(|seen| shown::payment(seen, None))
            .map_err(|_unread| failure::unreadable_after_write(answer.status));
    };
    match capture.failure() {
        // Whether it is still reserved, the order tells.
        Some(failure) => taking::look(&payment.provider_id)
            .map(|seen| shown::payment(seen, None))
            .map_err(|_unread| CallError::Declined(failure)),
        None => shown::captured(payment, &capture, answer.raw())
            .ok_or_else(|| failure::unreadable_after_write(answer.status)),
    }
}

fn after_taking(payment: &Reference, taken: Taken) -> Payment {
    match taken {
        Taken::Done(seen) => shown::payment(seen, client_id()),
        Taken::Again { seen, url, failure } => {
            let known = match seen {
                Some(seen) => shown::payment(seen, client_id()),
                None => shown::unread(payment, "requires_action"),
            };
            Payment {
                status: "requires_action".to_owned(),
                // Not before the buyer has chosen.
                due: None,
                checkout_url: url.or(known.checkout_url),
                failure: Some(failure),
                ..known
            }
        }
    }
}

/// PayPal's page has two beginnings. Other ways to pay are chosen by the buyer, if at all.
fn landing_page(method: Option<&str>) -> Result<Option<&'static str>, FieldError> {
    match method {
        None | Some("paypal") => Ok(None),
        Some("card") => Ok(Some("GUEST_CHECKOUT")),
        Some(_) => Err(field_error(
            "/method",
            "unsupported",
            "PayPal knows the methods paypal and card; the buyer chooses among the rest.",
        )),
    }
}

/// What PayPal's browser widget is loaded with.
fn client_id() -> Option<String> {
    context::credential("client_id")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::answer;
    use crate::known::tests::reference;
    use crate::money::tests::money;
    use crate::standing::tests::{NOW, authorization, captures, order};

    fn seen(body: &str) -> Seen {
        Seen::of(&answer(200, body), NOW).unwrap()
    }

    #[test]
    fn a_capture_is_final_and_has_no_invoice() {
        assert_eq!(
            final_capture(&money(2_000, "USD")).unwrap(),
            r#"{"amount":{"currency_code":"USD","value":"20.00"},"final_capture":true}"#
        );
    }

    #[test]
    fn only_what_paypal_knows_can_be_asked_for() {
        assert_eq!(landing_page(None).unwrap(), None);
        assert_eq!(landing_page(Some("paypal")).unwrap(), None);
        assert_eq!(landing_page(Some("card")).unwrap(), Some("GUEST_CHECKOUT"));
        assert_eq!(landing_page(Some("upi")).unwrap_err().pointer, "/method");
    }

    #[test]
    fn a_declined_instrument_sends_the_buyer_back_and_fails_nothing() {
        let refused = || failure("instrument_declined", "No.");
        let approved = order("APPROVED", "CAPTURE", "{}");
        let again = shown::payment(seen(&approved), None);
        assert_eq!(again.due, Some(Step::Capture));
        let reference = reference(None, &[("intent", "CAPTURE")]);
        let payment = after_taking(
            &reference,
            Taken::Again {
                seen: None,
                url: Some("https://www.paypal.com/again".into()),
                failure: refused(),
            },
        );
        assert_eq!(payment.status, "requires_action");
        assert_eq!((payment.due, payment.amount_captured), (None, 0));
        assert_eq!(
            payment.checkout_url.as_deref(),
            Some("https://www.paypal.com/again")
        );
        assert_eq!(payment.failure.unwrap().code, "instrument_declined");
        assert_eq!(payment.state, reference.state);
    }

    #[test]
    fn what_was_given_up_is_canceled_unless_a_part_was_taken() {
        let reference = reference(None, &[("authorization", "AUTH")]);
        let after = |payments: Option<&str>| {
            let order = payments.map(|payments| order("COMPLETED", "AUTHORIZE", payments));
            let payment = given_up(&reference, order.as_deref().map(seen));
            (payment.status, payment.amount_captured)
        };
        let part = r#"[{"id":"CAP","status":"COMPLETED","amount":{"currency_code":"USD","value":"20.00"}}]"#;
        assert_eq!(after(None), ("canceled".into(), 0));
        assert_eq!(
            after(Some(&authorization("VOIDED", "[]"))),
            ("canceled".into(), 0)
        );
        assert_eq!(
            after(Some(&authorization("CREATED", "[]"))),
            ("canceled".into(), 0)
        );
        assert_eq!(
            after(Some(&authorization("VOIDED", part))),
            ("succeeded".into(), 2_000)
        );
    }

    #[test]
    fn what_is_not_reserved_cannot_be_given_up() {
        let ended = |status: &str, intent: &str, payments: &str| match without_authorization(seen(
            &order(status, intent, payments),
        )) {
            Ok(payment) => payment.status,
            Err(CallError::Unsupported(_)) => "unsupported".into(),
            Err(CallError::InvalidState(_)) => "invalid-state".into(),
            Err(other) => panic!("{other:?}"),
        };
        let paid = captures(&[("COMPLETED", "25.00")]);
        let voided = authorization("VOIDED", "[]");
        assert_eq!(ended("CREATED", "CAPTURE", "{}"), "unsupported");
        assert_eq!(ended("APPROVED", "AUTHORIZE", "{}"), "unsupported");
        assert_eq!(ended("COMPLETED", "CAPTURE", &paid), "invalid-state");
        assert_eq!(ended("VOIDED", "AUTHORIZE", &voided), "canceled");
    }
}
