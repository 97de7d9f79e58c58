//! A refund: money of an order that goes back.

use onerouter_plugin::prelude::*;

use crate::bindings::refunds::{CreateRequest, Refund};
use crate::{amount, api};

/// The provider's states and the gateway's.
const STATUSES: [(&str, &str); 3] = [
    ("pending", "pending"),
    ("done", "succeeded"),
    ("failed", "failed"),
];

/// `POST /v1/orders/{id}/refunds`
pub(crate) fn create(request: &CreateRequest) -> Result<Refund, CallError> {
    let body = body(request).map_err(|wrong| CallError::Invalid(vec![wrong]))?;
    let url = api::url("orders")
        .segment(&request.payment.provider_id)
        .segment("refunds");
    let answer = api::write(url, &request.attempt.idempotency_key, body)?;
    refund(&answer).ok_or_else(|| failure::unreadable_after_write(answer.status))
}

/// `GET /v1/refunds/{id}`
pub(crate) fn get(provider_id: &str) -> Result<Refund, CallError> {
    let answer = api::read(api::url("refunds").segment(provider_id))?;
    refund(&answer).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

fn body(request: &CreateRequest) -> Result<String, FieldError> {
    let mut body = Writer::new();
    amount::write(&mut body, &request.amount)?;
    body.text("reference", &request.object_id);
    if let Some(reason) = &request.reason {
        body.text("reason", reason);
    }
    Ok(body.finish())
}

fn refund(answer: &Answer) -> Option<Refund> {
    let refund = answer.object()?;
    let theirs = refund.text("status")?;
    let (_, status) = STATUSES.iter().find(|(name, _)| *name == theirs)?;
    Some(Refund {
        provider_id: refund.text("id")?,
        status: (*status).to_owned(),
        amount: Some(amount::read(&refund)?),
        cost: None,
        failure: (*status == "failed")
            .then(|| failure("refund_failed", "The buyer's bank did not take the refund.")),
        raw: answer.raw(),
        extra: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use onerouter_plugin::payments::Reference;

    use super::*;
    use crate::amount::tests::money;
    use crate::api::answer;
    use crate::bindings::refunds::Speed;
    use crate::order::tests::attempt;

    #[test]
    fn a_refund_names_its_amount_and_our_id() {
        let request = CreateRequest {
            object_id: "re_1".into(),
            attempt: attempt(),
            payment: Reference {
                object_id: Some("pay_1".into()),
                provider_id: "ord_1".into(),
                provider_payment_id: Some("pmt_1".into()),
                amount: Some(money(50_000, "INR")),
                state: Vec::new(),
            },
            amount: money(1_000, "INR"),
            is_rest: false,
            reason: Some("Broken cup".into()),
            speed: Speed::Normal,
            metadata: Vec::new(),
            extra: Vec::new(),
        };
        assert_eq!(
            body(&request).unwrap(),
            r#"{"amount":"10.00","currency":"INR","reference":"re_1","reason":"Broken cup"}"#
        );
    }

    #[test]
    fn every_status_has_one_of_the_gateways() {
        let with = |status: &str| {
            let body = [
                r#"{"id":"ref_1","amount":"10.00","currency":"INR","status":""#,
                status,
                r#""}"#,
            ];
            refund(&answer(200, &body.concat()))
        };
        for (theirs, ours) in STATUSES {
            let refund = with(theirs).unwrap();
            assert_eq!(refund.status, ours);
            assert_eq!(refund.failure.is_some(), ours == "failed");
        }
        assert!(with("teleported").is_none());
    }
}
