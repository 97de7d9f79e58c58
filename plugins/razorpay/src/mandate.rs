//! New subscriptions: what a buyer is asked to agree to.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, FieldError};
use onerouter_plugin::failure::{self, field_error};
use onerouter_plugin::json::Writer;
use onerouter_plugin::payments::Window;

use crate::bindings::exports::onerouter::payments::subscriptions::{CreateRequest, Subscription};
use crate::{api, notes, plan, refusal, search, subscription};

/// `POST /v1/subscriptions`
///
/// Razorpay knows no key here; a lost subscription is found again by its notes.
pub(crate) fn create(request: &CreateRequest) -> Result<Subscription, CallError> {
    let most = plan::charges_max(&request.plan)?;
    let count = charges(request, most).map_err(|error| CallError::Invalid(alloc::vec![error]))?;
    let answer = api::write(api::url("subscriptions"), body(request, count))?;
    if !answer.is_success() {
        return Err(refusal::after_create(&answer));
    }
    let made = answer.object();
    made.and_then(|made| subscription::made(&made, answer.raw()))
        .ok_or_else(|| failure::unreadable_after_write(answer.status))
}

/// `GET /v1/subscriptions?plan_id=`
pub(crate) fn find(
    request: &CreateRequest,
    window: &Window,
) -> Result<Vec<Subscription>, CallError> {
    let url = api::url("subscriptions").query("plan_id", &request.plan.provider_id);
    search::by_notes(&url, window, &request.object_id, |found| {
        subscription::made(found, None)
    })
}

/// Razorpay wants a number: without one, as many as it allows.
fn charges(request: &CreateRequest, most: u32) -> Result<u32, FieldError> {
    let count = request.total_count.unwrap_or(most);
    if (1..=most).contains(&count) {
        return Ok(count);
    }
    let detail = [
        "Razorpay takes 1 to ",
        &most.to_string(),
        " charges of this plan.",
    ]
    .concat();
    Err(field_error("/total_count", "out_of_range", &detail))
}

fn body(request: &CreateRequest, count: u32) -> String {
    let mut body = Writer::new();
    body.text("plan_id", &request.plan.provider_id)
        .raw("total_count", &count.to_string())
        .raw("quantity", &request.quantity.to_string());
    if let Some(start_at) = request.start_at {
        body.raw("start_at", &start_at.div_ceil(1_000).to_string());
    }
    if let Some(notify) = request.customer_notify {
        body.raw("customer_notify", if notify { "true" } else { "false" });
    }
    let customer = request.customer.as_ref();
    let email = customer.and_then(|customer| customer.email.as_deref());
    let phone = customer.and_then(|customer| customer.phone.as_deref());
    if email.is_some() || phone.is_some() {
        body.object("notify_info", |info| {
            if let Some(phone) = phone {
                info.text("notify_phone", phone);
            }
            if let Some(email) = email {
                info.text("notify_email", email);
            }
        });
    }
    notes::write(&mut body, &request.object_id, None, &request.metadata);
    body.finish()
}

#[cfg(test)]
mod tests {
    use onerouter_plugin::payments::Customer;

    use super::*;
    use crate::payment::tests::{attempt, reference};

    fn request() -> CreateRequest {
        CreateRequest {
            object_id: "sub_1".into(),
            attempt: attempt(),
            plan: reference(None),
            customer: None,
            total_count: None,
            quantity: 2,
            start_at: None,
            customer_notify: None,
            return_url: None,
            cancel_url: None,
            metadata: Vec::new(),
            extra: Vec::new(),
        }
    }

    #[test]
    fn a_subscription_names_its_charges() {
        assert_eq!(
            body(&request(), 12),
            r#"{"plan_id":"order_1","total_count":12,"quantity":2,"notes":{"onerouter_id":"sub_1"}}"#
        );
        let full = CreateRequest {
            start_at: Some(1_700_000_000_500),
            customer_notify: Some(false),
            customer: Some(Customer {
                name: None,
                email: Some("ada@example.com".into()),
                phone: Some("+919876543210".into()),
            }),
            ..request()
        };
        let full = body(&full, 12);
        for part in [
            r#""start_at":1700000001"#,
            r#""customer_notify":false"#,
            r#""notify_info":{"notify_phone":"+919876543210","notify_email":"ada@example.com"}"#,
        ] {
            assert!(full.contains(part), "{full}");
        }
    }

    #[test]
    fn charges_are_what_was_asked_for_or_as_many_as_there_can_be() {
        let of = |total_count, most| {
            let request = CreateRequest {
                total_count,
                ..request()
            };
            charges(&request, most).map_err(|error| error.pointer)
        };
        assert_eq!(of(Some(12), 1_200), Ok(12));
        assert_eq!(of(None, 1_200), Ok(1_200));
        for count in [0, 1_201] {
            assert_eq!(of(Some(count), 1_200), Err("/total_count".into()));
        }
    }
}
