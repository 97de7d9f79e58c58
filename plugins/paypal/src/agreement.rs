//! What a buyer agrees to: a new subscription, or another plan for one.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, FieldError};
use onerouter_plugin::context;
use onerouter_plugin::failure::{self, failure, field_error};
use onerouter_plugin::http::Answer;
use onerouter_plugin::json::Writer;
use onerouter_plugin::payments::{Customer, Reference};
use onerouter_plugin::time;

use crate::bindings::exports::onerouter::payments::subscriptions::{CreateRequest, Subscription};
use crate::checkout::BRAND_MAX;
use crate::subscription::{self, Seen, SubscriptionStatus};
use crate::{api, movement, plan, refusal, text};

/// `POST /v1/billing/subscriptions`
pub(crate) fn create(request: &CreateRequest) -> Result<Subscription, CallError> {
    let mistakes = mistakes(request);
    if !mistakes.is_empty() {
        return Err(CallError::Invalid(mistakes));
    }
    let sequence = match request.total_count {
        Some(_) => Some(plan::regular_sequence(&request.plan)?),
        None => None,
    };
    let brand = context::setting("brand_name");
    let body = body(request, sequence.as_deref(), brand.as_deref());
    let url = api::url("/v1/billing/subscriptions");
    let answer = api::write(url, Some(&request.attempt.idempotency_key), body)?;
    if !answer.is_success() {
        return Err(refusal::after_create(&answer));
    }
    Seen::of(&answer)
        .map(|seen| seen.subscription)
        .ok_or_else(|| failure::unreadable_after_write(answer.status))
}

/// `POST /v1/billing/subscriptions/{id}/revise`
///
/// The buyer has to agree, and PayPal then charges by the new plan from the next cycle on, whenever the
/// change was asked for: it settles no differences. Looks first: the answer says nothing about the
/// subscription itself, and an end that was agreed on does not outlive the change unless it is named again.
pub(crate) fn change_plan(id: &str, plan: &Reference) -> Result<Subscription, CallError> {
    let seen = subscription::look(id)?;
    match seen.status {
        SubscriptionStatus::Active | SubscriptionStatus::Suspended => {}
        SubscriptionStatus::ApprovalPending
        | SubscriptionStatus::Approved
        | SubscriptionStatus::Cancelled
        | SubscriptionStatus::Expired => {
            return Err(CallError::InvalidState(failure(
                "invalid_state",
                "Only a subscription that runs or is paused changes its plan.",
            )));
        }
    }
    let end = match seen.remaining {
        // At PayPal this would be no end at all.
        Some(0) => {
            return Err(CallError::InvalidState(failure(
                "invalid_state",
                "No charge is left to come.",
            )));
        }
        Some(remaining) => Some((plan::regular_sequence(plan)?, remaining)),
        None => None,
    };
    let body = change(&plan.provider_id, seen.quantity.as_deref(), end.as_ref());
    let answer = api::write(subscription::resource(id).segment("revise"), None, body)?;
    if !answer.is_success() {
        return Err(refusal::after_change(&answer));
    }
    revised(seen.subscription, &answer)
        .ok_or_else(|| failure::unreadable_after_write(answer.status))
}

fn change(plan: &str, quantity: Option<&str>, end: Option<&(String, u32)>) -> String {
    let mut body = Writer::new();
    body.text("plan_id", plan);
    if let Some(quantity) = quantity.filter(|quantity| *quantity != "1") {
        body.text("quantity", quantity);
    }
    if let Some((sequence, count)) = end {
        ends_after(&mut body, sequence, *count);
    }
    body.finish()
}

/// The cycle of this number is charged so often.
fn ends_after(body: &mut Writer, sequence: &str, count: u32) {
    body.object("plan", |plan| {
        plan.objects("billing_cycles", [count], |cycle, count| {
            cycle
                .raw("sequence", sequence)
                .raw("total_cycles", &count.to_string());
        });
    });
}

/// The subscription as it was, and where the buyer agrees to its change. Where nobody has to agree, the
/// change is made.
fn revised(before: Subscription, answer: &Answer) -> Option<Subscription> {
    let object = answer.object()?;
    let checkout_url = api::link(&object, &["approve"]);
    let plan_provider_id = match &checkout_url {
        Some(_) => before.plan_provider_id,
        None => Some(object.text("plan_id").filter(|id| movement::is_id(id))?),
    };
    Some(Subscription {
        plan_provider_id,
        checkout_url,
        raw: answer.raw(),
        ..before
    })
}

/// What PayPal would refuse. A start that has passed is left to PayPal: a repeat of a request that was
/// accepted long ago must reach it, and get the answer of the first.
fn mistakes(request: &CreateRequest) -> Vec<FieldError> {
    let mut mistakes = Vec::new();
    if request
        .total_count
        .is_some_and(|count| !(1..=999).contains(&count))
    {
        mistakes.push(field_error(
            "/total_count",
            "out_of_range",
            "PayPal takes 1 to 999 charges; leave it out for a subscription without end.",
        ));
    }
    if request.quantity == 0 {
        mistakes.push(field_error(
            "/quantity",
            "out_of_range",
            "PayPal takes a quantity of at least 1.",
        ));
    }
    mistakes
}

/// `sequence` is the cycle whose end is set.
fn body(request: &CreateRequest, sequence: Option<&str>, brand: Option<&str>) -> String {
    let mut body = Writer::new();
    body.text("plan_id", &request.plan.provider_id);
    if let Some(start_at) = request.start_at {
        body.text("start_time", &time::format_rfc3339(start_at));
    }
    // A plan that was made elsewhere may know no quantities.
    if request.quantity > 1 {
        body.text("quantity", &request.quantity.to_string());
    }
    body.text("custom_id", &request.object_id);
    if let Some(customer) = &request.customer {
        subscriber(&mut body, customer);
    }
    if let (Some(count), Some(sequence)) = (request.total_count, sequence) {
        ends_after(&mut body, sequence, count);
    }
    // PayPal wants both addresses, or no context at all.
    if let (Some(return_url), Some(cancel_url)) = (&request.return_url, &request.cancel_url) {
        body.object("application_context", |context| {
            context
                .text("return_url", return_url)
                .text("cancel_url", cancel_url)
                .text("user_action", "SUBSCRIBE_NOW")
                .text("shipping_preference", "NO_SHIPPING");
            if let Some(brand) = text::some(brand, BRAND_MAX) {
                context.text("brand_name", &brand);
            }
        });
    }
    body.finish()
}

fn subscriber(body: &mut Writer, customer: &Customer) {
    let name = customer.name.as_deref().and_then(Name::of);
    let email = customer.email.as_deref().filter(|email| !email.is_empty());
    if name.is_none() && email.is_none() {
        return;
    }
    body.object("subscriber", |subscriber| {
        if let Some(name) = &name {
            subscriber.object("name", |written| {
                if let Some(given) = text::some(name.given, NAME_MAX) {
                    written.text("given_name", &given);
                }
                written.text("surname", &text::cut(name.sur, NAME_MAX));
            });
        }
        if let Some(email) = email {
            subscriber.text("email_address", email);
        }
    });
}

const NAME_MAX: usize = 140;

/// PayPal wants names in two parts, and the surname for certain.
struct Name<'a> {
    given: Option<&'a str>,
    sur: &'a str,
}

impl<'a> Name<'a> {
    fn of(name: &'a str) -> Option<Self> {
        let name = name.trim();
        let (given, sur) = match name.rsplit_once(char::is_whitespace) {
            Some((given, sur)) => (Some(given), sur),
            None => (None, name),
        };
        (!sur.is_empty()).then_some(Self { given, sur })
    }
}

#[cfg(test)]
mod tests {
    use onerouter_plugin::payments::Attempt;

    use super::*;
    use crate::api::tests::answer;
    use crate::known::tests::reference;

    fn request() -> CreateRequest {
        CreateRequest {
            object_id: "sub_1".into(),
            attempt: Attempt {
                attempt_id: "att_1".into(),
                idempotency_key: "sub_1-create".into(),
            },
            plan: reference(None, &[("product", "PROD-1")]),
            customer: None,
            total_count: None,
            quantity: 1,
            start_at: None,
            customer_notify: None,
            return_url: None,
            cancel_url: None,
            metadata: Vec::new(),
            extra: Vec::new(),
        }
    }

    #[test]
    fn a_change_keeps_the_end_that_was_agreed_on() {
        assert_eq!(change("P-2", Some("1"), None), r#"{"plan_id":"P-2"}"#);
        assert_eq!(
            change("P-2", Some("3"), Some(&("1".into(), 9))),
            r#"{"plan_id":"P-2","quantity":"3","plan":{"billing_cycles":[{"sequence":1,"total_cycles":9}]}}"#
        );
    }

    #[test]
    fn the_smallest_subscription() {
        let expected = r#"{"plan_id":"5O190127TN364715T","custom_id":"sub_1"}"#;
        assert_eq!(body(&request(), None, Some("Chairs")), expected);
        let one_url = CreateRequest {
            return_url: Some("https://or.example/r".into()),
            ..request()
        };
        assert_eq!(body(&one_url, None, None), expected);
    }

    #[test]
    fn the_largest_subscription() {
        let request = CreateRequest {
            customer: Some(Customer {
                name: Some("Ada King Lovelace".into()),
                email: Some("ada@example.com".into()),
                phone: Some("+14155550100".into()),
            }),
            total_count: Some(12),
            quantity: 3,
            start_at: Some(1_692_853_305_000),
            return_url: Some("https://or.example/r".into()),
            cancel_url: Some("https://or.example/c".into()),
            ..request()
        };
        assert_eq!(
            body(&request, Some("1"), Some("Chairs")),
            r#"{"plan_id":"5O190127TN364715T","start_time":"2023-08-24T05:01:45Z","quantity":"3","custom_id":"sub_1","subscriber":{"name":{"given_name":"Ada King","surname":"Lovelace"},"email_address":"ada@example.com"},"plan":{"billing_cycles":[{"sequence":1,"total_cycles":12}]},"application_context":{"return_url":"https://or.example/r","cancel_url":"https://or.example/c","user_action":"SUBSCRIBE_NOW","shipping_preference":"NO_SHIPPING","brand_name":"Chairs"}}"#
        );
    }

    #[test]
    fn a_name_of_one_word_is_a_surname() {
        let parts = |name| Name::of(name).map(|name| (name.given, name.sur));
        assert_eq!(parts("Ada"), Some((None, "Ada")));
        assert_eq!(parts(" Ada Lovelace "), Some((Some("Ada"), "Lovelace")));
        assert_eq!(parts("  "), None);
    }

    #[test]
    fn counts_that_paypal_does_not_take_are_refused() {
        for (total_count, quantity, pointers) in [
            (None, 1, &[][..]),
            (Some(1), 1, &[]),
            (Some(999), 2, &[]),
            (Some(1_000), 1, &["/total_count"]),
            (Some(0), 0, &["/total_count", "/quantity"]),
        ] {
            let request = CreateRequest {
                total_count,
                quantity,
                ..request()
            };
            let found = mistakes(&request);
            let found: Vec<_> = found.iter().map(|error| error.pointer.as_str()).collect();
            assert_eq!(found, pointers);
        }
    }

    #[test]
    fn a_change_waits_for_the_buyer_where_there_is_a_link() {
        let before = || {
            let body = subscription::tests::body("ACTIVE", "null");
            Seen::of(&answer(200, &body)).unwrap().subscription
        };
        let asked = r#"{"plan_id":"P-2","links":[{"href":"https://www.paypal.com/agree","rel":"approve"}]}"#;
        let revised_to = |body: &str| revised(before(), &answer(200, body));
        let waiting = revised_to(asked).unwrap();
        assert_eq!(
            waiting.checkout_url.as_deref(),
            Some("https://www.paypal.com/agree")
        );
        assert_eq!(waiting.plan_provider_id.as_deref(), Some("P-1"));
        assert_eq!(waiting.status, "active");
        let done = revised_to(r#"{"plan_id":"P-2","links":[]}"#).unwrap();
        assert_eq!(
            (done.checkout_url, done.plan_provider_id.as_deref()),
            (None, Some("P-2"))
        );
        assert!(revised_to("{}").is_none());
        assert!(revised_to("<html>").is_none());
    }
}
