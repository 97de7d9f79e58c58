//! Orders as payments, in our words.

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use onerouter_plugin::common::FieldError;
use onerouter_plugin::context;
use onerouter_plugin::failure::field_error;
use onerouter_plugin::payments::{CheckoutForm, Step};

use crate::attempts::{Attempt, Seen, Standing};
use crate::bindings::exports::onerouter::payments::payments::{CreateRequest, Payment};
use crate::{api, money};

/// The buyer's browser posts a form here: <https://razorpay.com/docs/payments/payment-gateway/web-integration/hosted/>
const HOSTED_CHECKOUT: &str = "https://api.razorpay.com/v1/checkout/embedded";
/// What the checkout may begin with.
const METHODS: [&str; 5] = ["card", "netbanking", "wallet", "upi", "emi"];
const TEXT_MAX: usize = 255;
/// What waits for the capture, in `state`.
const AUTHORIZED: &str = "authorized";

/// An order as a payment.
pub(crate) fn payment(order_id: &str, seen: Seen) -> Payment {
    let Seen {
        standing,
        captured,
        refunded,
        raw,
    } = seen;
    let bare = |status: &str| Payment {
        provider_id: order_id.to_owned(),
        provider_payment_id: None,
        status: status.to_owned(),
        // A payment's amount may differ from its order's: offers.
        amount: None,
        amount_captured: captured,
        amount_refunded: Some(refunded),
        due: None,
        checkout_url: None,
        checkout: None,
        widget: Vec::new(),
        payment_method: None,
        method_details: Vec::new(),
        cost: None,
        failure: None,
        state: Vec::new(),
        raw,
        extra: Vec::new(),
    };
    match standing {
        Standing::Waiting(failure) => Payment {
            failure,
            ..bare("requires_action")
        },
        Standing::Authorized(attempt) => Payment {
            due: Some(Step::Capture),
            state: alloc::vec![(AUTHORIZED.to_owned(), attempt.amount.to_string())],
            ..with(attempt, bare("authorized"))
        },
        Standing::Paid(attempt) => with(attempt, bare("succeeded")),
        Standing::Returned(failure) => Payment {
            failure,
            ..bare("expired")
        },
    }
}

/// How much waits for the capture, as far as `state` says it.
pub(crate) fn authorized(state: &[(String, String)]) -> Option<u64> {
    let mut pairs = state.iter();
    let (_, units) = pairs.find(|(name, _)| name == AUTHORIZED)?;
    units.parse().ok()
}

fn with(attempt: Attempt, payment: Payment) -> Payment {
    Payment {
        provider_payment_id: Some(attempt.id),
        payment_method: attempt.method,
        method_details: attempt.details,
        cost: attempt.fee,
        ..payment
    }
}

/// The same with what a buyer needs to pay it.
pub(crate) fn payable(request: &CreateRequest, payment: Payment) -> Payment {
    if payment.status != "requires_action" {
        return payment;
    }
    let fields = fields(request, &payment.provider_id);
    let of_widget = |name: &str| !matches!(name, "callback_url" | "cancel_url");
    let widget = fields.iter().filter(|(name, _)| of_widget(name));
    Payment {
        // The widget calls the key `key`, the form `key_id`.
        widget: widget
            .map(|(name, value)| match name.as_str() {
                "key_id" => ("key".to_owned(), value.clone()),
                _ => (name.clone(), value.clone()),
            })
            .collect(),
        checkout: Some(CheckoutForm {
            action: HOSTED_CHECKOUT.to_owned(),
            fields,
        }),
        ..payment
    }
}

fn fields(request: &CreateRequest, order_id: &str) -> Vec<(String, String)> {
    let customer = request.customer.as_ref();
    let of_customer = |part: Option<&String>| part.map(|text| api::cut(text, TEXT_MAX));
    let brand = context::setting("brand_name").unwrap_or_else(|| "Checkout".to_owned());
    let units = money::units(&request.amount).unwrap_or_default();
    [
        ("key_id", context::credential("key_id")),
        ("order_id", Some(order_id.to_owned())),
        ("amount", Some(units)),
        ("currency", Some(request.amount.currency.clone())),
        ("name", Some(brand)),
        (
            "description",
            request
                .description
                .as_deref()
                .map(|text| api::cut(text, TEXT_MAX)),
        ),
        (
            "prefill[name]",
            of_customer(customer.and_then(|customer| customer.name.as_ref())),
        ),
        (
            "prefill[email]",
            of_customer(customer.and_then(|customer| customer.email.as_ref())),
        ),
        (
            "prefill[contact]",
            of_customer(customer.and_then(|customer| customer.phone.as_ref())),
        ),
        ("prefill[method]", request.method.clone()),
        ("callback_url", Some(request.return_url.clone())),
        ("cancel_url", Some(request.cancel_url.clone())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value.filter(|text| !text.is_empty())?)))
    .collect()
}

/// How the checkout may begin; the buyer can still choose otherwise.
pub(crate) fn check_method(method: Option<&str>) -> Result<(), FieldError> {
    match method {
        Some(method) if !METHODS.contains(&method) => Err(field_error(
            "/method",
            "unsupported",
            "Razorpay knows the methods card, netbanking, wallet, upi and emi.",
        )),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempts::tests;

    fn shown(payments: &[String]) -> Payment {
        payment("order_1", tests::seen(payments).unwrap())
    }

    #[test]
    fn every_status_has_one_of_ours() {
        let returned =
            tests::payment("p", "refunded", "").replace("\"captured\":true", "\"captured\":false");
        for (theirs, ours, due, has_id, fails) in [
            ("created", "requires_action", None, false, false),
            ("failed", "requires_action", None, false, true),
            ("authorized", "authorized", Some(Step::Capture), true, false),
            ("captured", "succeeded", None, true, false),
            ("refunded", "succeeded", None, true, false),
        ] {
            let payment = shown(&[tests::payment("pay_1", theirs, "")]);
            assert_eq!(
                (payment.status.as_str(), payment.due),
                (ours, due),
                "{theirs}"
            );
            assert_eq!(payment.provider_payment_id.is_some(), has_id, "{theirs}");
            assert_eq!(payment.failure.is_some(), fails, "{theirs}");
        }
        let expired = shown(&[returned]);
        assert_eq!(
            (expired.status.as_str(), expired.amount_captured),
            ("expired", 0)
        );
        assert_eq!(expired.failure.unwrap().code, "expired");
        assert_eq!(shown(&[]).status, "requires_action");
    }

    #[test]
    fn what_is_authorized_is_remembered_for_the_capture() {
        let discounted = tests::payment("pay_1", "authorized", "").replace("50000", "45000");
        let state = shown(&[discounted]).state;
        assert_eq!(authorized(&state), Some(45_000));
        assert_eq!(authorized(&[]), None);
        assert_eq!(authorized(&[("authorized".into(), "-1".into())]), None);
        assert!(
            shown(&[tests::payment("pay_1", "captured", "")])
                .state
                .is_empty()
        );
    }

    #[test]
    fn the_fee_comes_with_the_capture() {
        let paid = tests::payment("pay_1", "captured", "").replace("\"fee\":null", "\"fee\":1180");
        assert_eq!(shown(&[paid]).cost.unwrap().amount, "11.80");
        assert!(
            shown(&[tests::payment("pay_1", "authorized", "")])
                .cost
                .is_none()
        );
    }

    #[test]
    fn only_methods_of_the_checkout_can_be_asked_for() {
        for method in METHODS {
            assert!(check_method(Some(method)).is_ok());
        }
        assert!(check_method(None).is_ok());
        assert_eq!(
            check_method(Some("paypal"))
                .unwrap_err()
                .pointer
                .to_string(),
            "/method"
        );
    }
}
