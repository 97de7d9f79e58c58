//! An order: something to pay, and what was paid for it.

use onerouter_plugin::payments::{Attempt, Money};
use onerouter_plugin::prelude::*;

use crate::bindings::payments::{CaptureMode, CreateRequest, Payment};
use crate::{amount, api};

/// The provider's states and the gateway's.
const STATUSES: [(&str, &str); 8] = [
    ("open", "requires_action"),
    ("pending", "processing"),
    // The money is reserved, until somebody captures it.
    ("authorized", "authorized"),
    ("paid", "succeeded"),
    ("refunded", "succeeded"),
    ("failed", "failed"),
    ("canceled", "canceled"),
    ("expired", "expired"),
];

/// `POST /v1/orders`
pub(crate) fn create(request: &CreateRequest) -> Result<Payment, CallError> {
    let body = body(request).map_err(|wrong| CallError::Invalid(vec![wrong]))?;
    let key = &request.attempt.idempotency_key;
    changed(&api::write(api::url("orders"), key, body)?)
}

/// `GET /v1/orders/{id}`
pub(crate) fn get(provider_id: &str) -> Result<Payment, CallError> {
    let answer = api::read(api::url("orders").segment(provider_id))?;
    payment(&answer).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

/// `POST /v1/orders/{id}/capture`
pub(crate) fn capture(
    provider_id: &str,
    money: &Money,
    attempt: &Attempt,
) -> Result<Payment, CallError> {
    let mut body = Writer::new();
    amount::write(&mut body, money).map_err(|wrong| CallError::Invalid(vec![wrong]))?;
    let url = api::url("orders").segment(provider_id).segment("capture");
    changed(&api::write(url, &attempt.idempotency_key, body.finish())?)
}

/// `POST /v1/orders/{id}/cancel`
pub(crate) fn cancel(provider_id: &str, attempt: &Attempt) -> Result<Payment, CallError> {
    let url = api::url("orders").segment(provider_id).segment("cancel");
    let body = Writer::new().finish();
    changed(&api::write(url, &attempt.idempotency_key, body)?)
}

fn changed(answer: &Answer) -> Result<Payment, CallError> {
    payment(answer).ok_or_else(|| failure::unreadable_after_write(answer.status))
}

/// The same request gives the same bytes, whenever it is made: no clock, no randomness.
fn body(request: &CreateRequest) -> Result<String, FieldError> {
    let mut body = Writer::new();
    amount::write(&mut body, &request.amount)?;
    // Our id, which stands in the provider's console and in webhooks.
    body.text("reference", &request.object_id)
        .text(
            "capture",
            match request.capture {
                CaptureMode::Automatic => "automatic",
                CaptureMode::Manual => "manual",
            },
        )
        .text("return_url", &request.return_url)
        .text("cancel_url", &request.cancel_url);
    if let Some(description) = &request.description {
        body.text("description", description);
    }
    if let Some(customer) = &request.customer {
        let fields = [
            ("name", &customer.name),
            ("email", &customer.email),
            ("phone", &customer.phone),
        ];
        body.object("customer", |object| {
            for (name, value) in fields {
                if let Some(value) = value {
                    object.text(name, value);
                }
            }
        });
    }
    Ok(body.finish())
}

/// The provider's view of an order; none where the answer makes no sense. Id, status and amounts must be
/// right, all else may be missing.
fn payment(answer: &Answer) -> Option<Payment> {
    let order = answer.object()?;
    let theirs = order.text("status")?;
    let (_, status) = STATUSES.iter().find(|(name, _)| *name == theirs)?;
    Some(Payment {
        provider_id: order.text("id")?,
        provider_payment_id: order.text("payment_id"),
        status: (*status).to_owned(),
        amount: Some(amount::read(&order)?),
        amount_captured: amount::part(&order, "captured")?,
        amount_refunded: amount::part(&order, "refunded"),
        // The provider does by itself what an order with automatic capture needs.
        due: None,
        checkout_url: order.text("checkout_url"),
        checkout: None,
        widget: Vec::new(),
        payment_method: order.text("method"),
        method_details: Vec::new(),
        cost: None,
        failure: failed(status, &order),
        state: Vec::new(),
        raw: answer.raw(),
        extra: Vec::new(),
    })
}

/// Why an order failed, or why the buyer's last try did.
fn failed(status: &str, order: &Object<'_>) -> Option<Failure> {
    let error = order.object("error");
    if error.is_none() && status != "failed" {
        return None;
    }
    let text = |name| error.as_ref()?.text(name);
    Some(Failure {
        provider_code: text("code"),
        provider_message: text("message"),
        ..failure("payment_declined", "The buyer's payment was declined.")
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::amount::tests::money;
    use crate::api::answer;

    pub(crate) fn attempt() -> Attempt {
        Attempt {
            attempt_id: "att_1".into(),
            idempotency_key: "key-1".into(),
        }
    }

    fn request() -> CreateRequest {
        CreateRequest {
            object_id: "pay_1".into(),
            attempt: attempt(),
            amount: money(50_000, "INR"),
            capture: CaptureMode::Automatic,
            receipt: None,
            description: Some("Tea".into()),
            method: None,
            customer: None,
            return_url: "https://gateway.example/return".into(),
            cancel_url: "https://gateway.example/cancel".into(),
            metadata: Vec::new(),
            hints: Vec::new(),
            extra: Vec::new(),
        }
    }

    #[test]
    fn an_order_carries_amount_reference_and_addresses() {
        assert_eq!(
            body(&request()).unwrap(),
            r#"{"amount":"500.00","currency":"INR","reference":"pay_1","capture":"automatic","return_url":"https://gateway.example/return","cancel_url":"https://gateway.example/cancel","description":"Tea"}"#
        );
        let manual = CreateRequest {
            capture: CaptureMode::Manual,
            ..request()
        };
        assert!(body(&manual).unwrap().contains(r#""capture":"manual""#));
        let nothing = CreateRequest {
            amount: money(0, "INR"),
            ..request()
        };
        assert_eq!(body(&nothing).unwrap_err().pointer, "/amount");
    }

    #[test]
    fn an_order_is_told_in_the_gateways_words() {
        let body = r#"{"id":"ord_1","payment_id":"pmt_1","status":"paid","amount":"500","currency":"JPY","captured":"500","refunded":"20","method":"card","new":[1]}"#;
        let payment = payment(&answer(200, body)).unwrap();
        assert_eq!(
            (payment.provider_id.as_str(), payment.status.as_str()),
            ("ord_1", "succeeded")
        );
        assert_eq!(payment.provider_payment_id.as_deref(), Some("pmt_1"));
        assert_eq!(
            (payment.amount_captured, payment.amount_refunded),
            (500, Some(20))
        );
        assert!(payment.failure.is_none());
    }

    #[test]
    fn a_try_that_was_declined_is_told_and_the_buyer_may_try_again() {
        let body = r#"{"id":"ord_1","status":"open","amount":"5.00","currency":"EUR","captured":"0.00","error":{"code":"no_funds","message":"Declined"}}"#;
        let payment = payment(&answer(200, body)).unwrap();
        assert_eq!(payment.status, "requires_action");
        let failure = payment.failure.unwrap();
        assert_eq!(failure.provider_code.as_deref(), Some("no_funds"));
    }

    #[test]
    fn an_answer_in_which_money_is_not_exact_makes_no_sense() {
        for odd in [
            "",
            "{}",
            r#"{"id":"ord_1","status":"teleported","amount":"5.00","currency":"EUR","captured":"0"}"#,
            r#"{"id":"ord_1","status":"open","amount":"5.001","currency":"EUR","captured":"0"}"#,
            r#"{"id":"ord_1","status":"open","amount":"5.00","currency":"EUR"}"#,
            r#"{"id":"ord_1","status":"open","amount":5.00,"currency":"EUR","captured":"0"}"#,
        ] {
            assert!(payment(&answer(200, odd)).is_none(), "{odd}");
        }
    }
}
