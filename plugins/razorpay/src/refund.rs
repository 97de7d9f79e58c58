//! Refunds: money of a payment that goes back.

use alloc::borrow::ToOwned as _;
use alloc::string::String;

use onerouter_plugin::common::{CallError, FieldError};
use onerouter_plugin::failure::{self, failure};
use onerouter_plugin::http::Answer;
use onerouter_plugin::json::Writer;
use onerouter_plugin::payments::Reference;

use crate::bindings::exports::onerouter::payments::refunds::{CreateRequest, Refund, Speed};
use crate::{api, money, notes, refusal};

const REASON: &str = "reason";

/// `POST /v1/payments/{id}/refund`
pub(crate) fn create(request: &CreateRequest) -> Result<Refund, CallError> {
    let Some(payment) = &request.payment.provider_payment_id else {
        return Err(CallError::InvalidState(failure(
            "invalid_state",
            "Nothing was captured that could be refunded.",
        )));
    };
    let body = body(request).map_err(|error| CallError::Invalid(alloc::vec![error]))?;
    let url = api::url("payments").segment(payment).segment("refund");
    let answer = api::write_once(url, &request.attempt.idempotency_key, body)?;
    if answer.is_success() {
        read(&answer).ok_or_else(|| failure::unreadable_after_write(answer.status))
    } else {
        Err(refusal::after_create(&answer))
    }
}

/// `GET /v1/refunds/{id}`
pub(crate) fn get(refund: &Reference) -> Result<Refund, CallError> {
    let answer = api::read(api::url("refunds").segment(&refund.provider_id))?;
    read(&answer).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

/// The amount is always named, also where it is all that is left: what is left may have changed.
///
/// How little may go back is Razorpay's to say: its page on normal refunds still has INR 1.00 for the
/// least, that on instant ones takes less. <https://razorpay.com/docs/api/refunds/create-instant/>
fn body(request: &CreateRequest) -> Result<String, FieldError> {
    let mut body = Writer::new();
    body.raw("amount", &money::units(&request.amount)?)
        .text(
            "speed",
            match request.speed {
                Speed::Normal => "normal",
                Speed::Optimum => "optimum",
            },
        )
        .text("receipt", &request.object_id);
    let reason = request.reason.as_ref().map(|reason| (REASON, reason));
    notes::write(&mut body, &request.object_id, reason, &request.metadata);
    Ok(body.finish())
}

fn read(answer: &Answer) -> Option<Refund> {
    let object = answer.object()?;
    let statuses = [
        ("pending", "pending"),
        ("processed", "succeeded"),
        ("failed", "failed"),
    ];
    let status = api::named(&object, "status", &statuses)?;
    let speed = object
        .text("speed_processed")
        .filter(|speed| !speed.is_empty());
    Some(Refund {
        provider_id: api::id(&object)?,
        status: status.to_owned(),
        amount: Some(money::read(&object)?),
        cost: None,
        failure: (status == "failed")
            .then(|| failure("refund_not_allowed", "The bank did not take the refund.")),
        raw: answer.raw(),
        extra: speed
            .map(|speed| ("speed_processed".to_owned(), speed))
            .into_iter()
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use onerouter_plugin::payments::Money;

    use super::*;
    use crate::api::tests::answer;
    use crate::money::tests::money;
    use crate::payment::tests::{attempt, reference};

    fn request(amount: Money, speed: Speed) -> CreateRequest {
        CreateRequest {
            object_id: "re_1".into(),
            attempt: attempt(),
            payment: reference(None),
            amount,
            is_rest: true,
            reason: Some("Broken".into()),
            speed,
            metadata: alloc::vec![("reason".into(), "x".into()), ("case".into(), "9".into())],
            extra: Vec::new(),
        }
    }

    #[test]
    fn the_amount_is_named_also_where_it_is_the_rest() {
        assert_eq!(
            body(&request(money(1_000, "INR"), Speed::Normal)).unwrap(),
            r#"{"amount":1000,"speed":"normal","receipt":"re_1","notes":{"onerouter_id":"re_1","reason":"Broken","case":"9"}}"#
        );
        let rest = body(&request(money(50, "INR"), Speed::Normal)).unwrap();
        assert!(rest.contains(r#""amount":50,"#), "{rest}");
        let fast = body(&request(money(1_000, "INR"), Speed::Optimum)).unwrap();
        assert!(fast.contains(r#""speed":"optimum""#));
        assert_eq!(
            body(&request(money(0, "INR"), Speed::Normal))
                .unwrap_err()
                .pointer,
            "/amount"
        );
    }

    #[test]
    fn without_a_payment_nothing_is_sent() {
        let refused = create(&request(money(1_000, "INR"), Speed::Normal));
        assert!(matches!(refused, Err(CallError::InvalidState(_))));
    }

    #[test]
    fn every_status_has_one_of_ours() {
        let with = |status: &str, speed: &str| {
            let body = format!(
                r#"{{"id":"rfnd_1","entity":"refund","amount":1000,"currency":"INR","payment_id":"pay_2","notes":[],"status":"{status}","speed_processed":{speed}}}"#
            );
            read(&answer(200, &body))
        };
        for (theirs, ours, fails) in [
            ("pending", "pending", false),
            ("processed", "succeeded", false),
            ("failed", "failed", true),
        ] {
            let refund = with(theirs, "null").unwrap();
            assert_eq!(
                (refund.status.as_str(), refund.failure.is_some()),
                (ours, fails)
            );
            assert_eq!(refund.amount.unwrap().minor_units, 1_000);
            assert!(refund.extra.is_empty());
        }
        assert_eq!(
            with("processed", "\"instant\"").unwrap().extra[0].1,
            "instant"
        );
        assert!(with("teleported", "null").is_none());
    }
}
