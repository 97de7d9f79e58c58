//! Refunds: money of a capture that goes back.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, Failure, FieldError};
use onerouter_plugin::failure::{self, failure};
use onerouter_plugin::http::Answer;
use onerouter_plugin::json::Writer;
use onerouter_plugin::payments::Reference;

use crate::bindings::exports::onerouter::payments::refunds::{CreateRequest, Refund};
use crate::movement::{self, RefundStatus};
use crate::{api, money, refusal, shown, text};

const NOTE_MAX: usize = 255;

/// `POST /v2/payments/captures/{id}/refund`
pub(crate) fn create(request: &CreateRequest) -> Result<Refund, CallError> {
    let Some(capture) = &request.payment.provider_payment_id else {
        return Err(CallError::InvalidState(failure(
            "invalid_state",
            "Nothing was captured that could be refunded.",
        )));
    };
    let body = body(request).map_err(|error| CallError::Invalid(alloc::vec![error]))?;
    let url = api::url("/v2/payments/captures")
        .segment(capture)
        .segment("refund");
    let answer = api::write(url, Some(&request.attempt.idempotency_key), body)?;
    if answer.is_success() {
        read(&answer).ok_or_else(|| failure::unreadable_after_write(answer.status))
    } else {
        Err(refused(&answer))
    }
}

/// `GET /v2/payments/refunds/{id}`
pub(crate) fn get(refund: &Reference) -> Result<Refund, CallError> {
    let answer = api::read(api::url("/v2/payments/refunds").segment(&refund.provider_id))?;
    read(&answer).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

/// The amount is always named, also where it is all that is left: what is left may have changed.
fn body(request: &CreateRequest) -> Result<String, FieldError> {
    let mut body = Writer::new();
    money::write(&mut body, "amount", &request.amount)?;
    // Each invoice number is refunded once in an account.
    body.text("custom_id", &request.object_id)
        .text("invoice_id", &request.object_id);
    if let Some(note) = text::some(request.reason.as_deref(), NOTE_MAX) {
        body.text("note_to_payer", &note);
    }
    Ok(body.finish())
}

fn refused(answer: &Answer) -> CallError {
    if refusal::issue(answer).as_deref() == Some("DUPLICATE_INVOICE_ID") {
        // Our own id of this very refund, so there is one; its answer was lost long ago.
        return CallError::Unknown(Failure {
            message: "This refund was made before; PayPal does not say what became of it."
                .to_owned(),
            ..refusal::failure(answer)
        });
    }
    refusal::after_create(answer)
}

fn read(answer: &Answer) -> Option<Refund> {
    let object = answer.object()?;
    let status = RefundStatus::read(&object)?;
    let reason = movement::reason(&object);
    Some(Refund {
        provider_id: movement::id(&object)?,
        status: match status {
            RefundStatus::Completed => "succeeded",
            RefundStatus::Pending => "pending",
            RefundStatus::Failed => "failed",
            RefundStatus::Cancelled => "canceled",
        }
        .to_owned(),
        amount: money::read_if_there(&object, "amount")?,
        // `paypal_fee` is what PayPal gives back of its own fee.
        cost: None,
        failure: (status == RefundStatus::Failed).then(|| Failure {
            provider_code: Some(reason.clone().unwrap_or_else(|| "FAILED".to_owned())),
            ..failure("unknown_failure", "PayPal could not refund the payment.")
        }),
        raw: answer.raw(),
        extra: match status {
            RefundStatus::Pending => shown::pending(reason),
            RefundStatus::Completed | RefundStatus::Failed | RefundStatus::Cancelled => Vec::new(),
        },
    })
}

#[cfg(test)]
mod tests {
    use onerouter_plugin::payments::{Attempt, Money};

    use super::*;
    use crate::api::tests::answer;
    use crate::bindings::exports::onerouter::payments::refunds::Speed;
    use crate::known::tests::reference;
    use crate::money::tests::money;

    fn request(amount: Money, reason: Option<&str>) -> CreateRequest {
        CreateRequest {
            object_id: "re_1".into(),
            attempt: Attempt {
                attempt_id: "att_1".into(),
                idempotency_key: "re_1-create".into(),
            },
            payment: reference(None, &[]),
            amount,
            is_rest: true,
            reason: reason.map(Into::into),
            speed: Speed::Normal,
            metadata: Vec::new(),
            extra: Vec::new(),
        }
    }

    fn with_status(status: &str) -> Option<Refund> {
        let body = alloc::format!(
            r#"{{"id":"1JU08902781691411","status":"{status}","status_details":{{"reason":"ECHECK"}},"amount":{{"currency_code":"USD","value":"10.0"}},"create_time":"2026-01-15T04:00:00-08:00"}}"#
        );
        read(&answer(201, &body))
    }

    #[test]
    fn the_amount_is_named_also_where_it_is_the_rest() {
        assert_eq!(
            body(&request(money(1_000, "USD"), Some("Broken"))).unwrap(),
            r#"{"amount":{"currency_code":"USD","value":"10.00"},"custom_id":"re_1","invoice_id":"re_1","note_to_payer":"Broken"}"#
        );
        assert!(
            !body(&request(money(1_000, "USD"), Some("")))
                .unwrap()
                .contains("note")
        );
        assert_eq!(
            body(&request(money(1, "HUF"), None)).unwrap_err().pointer,
            "/amount"
        );
    }

    #[test]
    fn without_a_capture_nothing_is_sent() {
        let refused = create(&request(money(1_000, "USD"), None));
        assert!(matches!(refused, Err(CallError::InvalidState(_))));
    }

    #[test]
    fn every_status_has_one_of_ours() {
        for (theirs, ours, fails) in [
            ("COMPLETED", "succeeded", false),
            ("PENDING", "pending", false),
            ("FAILED", "failed", true),
            ("CANCELLED", "canceled", false),
        ] {
            let refund = with_status(theirs).unwrap();
            assert_eq!(refund.status, ours);
            assert_eq!(refund.failure.is_some(), fails);
            assert_eq!(refund.amount.unwrap().minor_units, 1_000);
            assert_eq!(refund.extra.len(), usize::from(theirs == "PENDING"));
        }
        assert!(with_status("TELEPORTED").is_none());
    }

    #[test]
    fn an_invoice_number_of_ours_that_is_taken_means_that_the_refund_may_be_there() {
        let issue = |issue: &str| {
            let body = alloc::format!(
                r#"{{"name":"UNPROCESSABLE_ENTITY","details":[{{"issue":"{issue}"}}]}}"#
            );
            refused(&answer(422, &body))
        };
        assert!(matches!(
            issue("DUPLICATE_INVOICE_ID"),
            CallError::Unknown(_)
        ));
        assert!(matches!(
            issue("CAPTURE_FULLY_REFUNDED"),
            CallError::Declined(_)
        ));
        assert!(matches!(
            issue("INVALID_RESOURCE_ID"),
            CallError::Declined(_)
        ));
    }
}
