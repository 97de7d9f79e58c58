//! Plans: one price, charged at an interval, without end.
//!
//! Each is of the product that the connection names, or else of one that they all share: a subscription
//! changes only between plans of one product.

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, FieldError};
use onerouter_plugin::context;
use onerouter_plugin::failure::{self, field_error};
use onerouter_plugin::http::Answer;
use onerouter_plugin::json::{Object, Writer};
use onerouter_plugin::payments::Reference;
use onerouter_plugin::url::Url;

use crate::bindings::exports::onerouter::payments::plans::{CreateRequest, Interval, Plan};
use crate::{api, money, movement, refusal, text};

/// Name in `state`.
const PRODUCT: &str = "product";

/// The product of all plans of an account whose connection names no other. PayPal's own begin with
/// `PROD-`.
const SHARED_PRODUCT: &str = "onerouter-plans";

const NAME_MAX: usize = 127;
const PLAN_DESCRIPTION_MAX: usize = 127;

/// PayPal's statuses and ours. A plan is made active; another may have switched it off since.
const STATUSES: [(&str, &str); 3] = [
    ("CREATED", "pending"),
    ("INACTIVE", "pending"),
    ("ACTIVE", "active"),
];

/// `POST /v1/catalogs/products` where the connection names no product, which fails from the second plan on,
/// then `POST /v1/billing/plans`
pub(crate) fn create(request: &CreateRequest) -> Result<Plan, CallError> {
    // Both bodies first: a plan that PayPal would refuse leaves no product behind.
    let terms = terms(request).map_err(|error| CallError::Invalid(alloc::vec![error]))?;
    let product = match context::setting("product_id") {
        Some(product) => product,
        None => {
            create_product(request)?;
            SHARED_PRODUCT.to_owned()
        }
    };
    let body = plan_body(request, &product, &terms);
    let answer = api::write(
        api::url("/v1/billing/plans"),
        Some(&key(request, "plan")),
        body,
    )?;
    if !answer.is_success() {
        return Err(refusal::after_create(&answer));
    }
    read(&answer, Some(&product)).ok_or_else(|| failure::unreadable_after_write(answer.status))
}

/// `GET /v1/billing/plans/{id}`
pub(crate) fn get(plan: &Reference) -> Result<Plan, CallError> {
    let answer = api::read(resource(&plan.provider_id))?;
    read(&answer, None).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

/// The cycle of a plan that is charged for good: the only one of a plan that was made here, the last one
/// of any other.
pub(crate) fn regular_sequence(plan: &Reference) -> Result<String, CallError> {
    if plan.state.iter().any(|(name, _)| name == PRODUCT) {
        return Ok("1".to_owned());
    }
    let answer = api::read(resource(&plan.provider_id))?;
    sequence(&answer).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

fn resource(id: &str) -> Url {
    api::url("/v1/billing/plans").segment(id)
}

fn create_product(request: &CreateRequest) -> Result<(), CallError> {
    let url = api::url("/v1/catalogs/products");
    let answer = api::write(url, Some(&key(request, "product")), product_body())?;
    let is_there = refusal::issue(&answer).as_deref() == Some("DUPLICATE_RESOURCE_IDENTIFIER");
    if answer.is_success() || (answer.status == 422 && is_there) {
        Ok(())
    } else {
        Err(refusal::after_create(&answer))
    }
}

/// Two writes, so each has a key of its own.
fn key(request: &CreateRequest, step: &str) -> String {
    [request.attempt.idempotency_key.as_str(), step].join("-")
}

fn product_body() -> String {
    let mut product = Writer::new();
    product
        .text("id", SHARED_PRODUCT)
        .text("name", "Subscriptions")
        .text("type", "SERVICE");
    product.finish()
}

/// What a cycle is written with.
struct Terms {
    price: String,
    unit: &'static str,
    count: String,
}

fn terms(request: &CreateRequest) -> Result<Terms, FieldError> {
    let (unit, count_max) = match request.interval {
        Interval::Day => ("DAY", 365),
        Interval::Week => ("WEEK", 52),
        Interval::Month => ("MONTH", 12),
        Interval::Year => ("YEAR", 1),
    };
    if !(1..=count_max).contains(&request.interval_count) {
        return Err(field_error(
            "/interval_count",
            "out_of_range",
            "PayPal takes at most 365 days, 52 weeks, 12 months or 1 year.",
        ));
    }
    Ok(Terms {
        price: money::text(&request.amount)?,
        unit,
        count: request.interval_count.to_string(),
    })
}

fn plan_body(request: &CreateRequest, product: &str, terms: &Terms) -> String {
    let mut plan = Writer::new();
    plan.text("product_id", product)
        .text("name", &text::cut(&request.name, NAME_MAX))
        .text("status", "ACTIVE");
    if let Some(description) = text::some(request.description.as_deref(), PLAN_DESCRIPTION_MAX) {
        plan.text("description", &description);
    }
    plan.objects("billing_cycles", [terms], |cycle, terms| {
        cycle
            .object("frequency", |frequency| {
                frequency
                    .text("interval_unit", terms.unit)
                    .raw("interval_count", &terms.count);
            })
            .text("tenure_type", "REGULAR")
            .raw("sequence", "1")
            // Without end.
            .raw("total_cycles", "0")
            .object("pricing_scheme", |scheme| {
                scheme.object("fixed_price", |price| {
                    price
                        .text("currency_code", &request.amount.currency)
                        .text("value", &terms.price);
                });
            });
    });
    plan.object("payment_preferences", |preferences| {
        preferences.raw("auto_bill_outstanding", "true");
    });
    plan.raw("quantity_supported", "true");
    plan.finish()
}

fn read(answer: &Answer, product: Option<&str>) -> Option<Plan> {
    let object = answer.object()?;
    let product = object
        .text("product_id")
        .or_else(|| product.map(str::to_owned))
        .filter(|id| movement::is_id(id));
    Some(Plan {
        provider_id: movement::id(&object)?,
        status: movement::named(&object, &STATUSES)?.to_owned(),
        failure: None,
        state: state(&object, product),
        raw: answer.raw(),
        extra: Vec::new(),
    })
}

/// The product is remembered of plans with one cycle only: see [`regular_sequence`].
fn state(plan: &Object<'_>, product: Option<String>) -> Vec<(String, String)> {
    let has_one_cycle = match plan.raw("billing_cycles") {
        // A minimal answer to what was asked for here.
        None => true,
        Some(_) => plan
            .items("billing_cycles")
            .is_some_and(|cycles| cycles.len() == 1),
    };
    product
        .filter(|_| has_one_cycle)
        .map(|product| (PRODUCT.to_owned(), product))
        .into_iter()
        .collect()
}

fn sequence(answer: &Answer) -> Option<String> {
    let object = answer.object()?;
    let cycles = object.objects("billing_cycles")?;
    let regular = cycles
        .iter()
        .find(|cycle| cycle.text("tenure_type").as_deref() == Some("REGULAR"))?;
    let sequence: u32 = regular.number("sequence")?.parse().ok()?;
    (1..=99).contains(&sequence).then(|| sequence.to_string())
}

#[cfg(test)]
mod tests {
    use onerouter_plugin::payments::Attempt;

    use super::*;
    use crate::api::tests::answer;
    use crate::known::tests::reference;
    use crate::money::tests::money;

    fn request(interval: Interval, interval_count: u32) -> CreateRequest {
        CreateRequest {
            object_id: "plan_1".into(),
            attempt: Attempt {
                attempt_id: "att_1".into(),
                idempotency_key: "plan_1-create".into(),
            },
            name: "Chairs".into(),
            amount: money(1_000, "USD"),
            interval,
            interval_count,
            description: None,
            metadata: Vec::new(),
            extra: Vec::new(),
        }
    }

    #[test]
    fn a_product_and_a_plan_of_it() {
        let request = request(Interval::Month, 3);
        assert_eq!(
            product_body(),
            r#"{"id":"onerouter-plans","name":"Subscriptions","type":"SERVICE"}"#
        );
        let terms = terms(&request).unwrap();
        assert_eq!(
            plan_body(&request, "PROD-1", &terms),
            r#"{"product_id":"PROD-1","name":"Chairs","status":"ACTIVE","billing_cycles":[{"frequency":{"interval_unit":"MONTH","interval_count":3},"tenure_type":"REGULAR","sequence":1,"total_cycles":0,"pricing_scheme":{"fixed_price":{"currency_code":"USD","value":"10.00"}}}],"payment_preferences":{"auto_bill_outstanding":true},"quantity_supported":true}"#
        );
        assert_eq!(key(&request, "plan"), "plan_1-create-plan");
    }

    #[test]
    fn a_description_is_cut_to_what_paypal_takes() {
        let request = CreateRequest {
            description: Some("a".repeat(1_000)),
            ..request(Interval::Day, 1)
        };
        let terms = terms(&request).unwrap();
        let of = |bytes: usize| ["\"", &"a".repeat(bytes - 3), "...\""].concat();
        assert!(plan_body(&request, "PROD-1", &terms).contains(&of(127)));
    }

    #[test]
    fn intervals_and_prices_that_paypal_does_not_know_are_refused() {
        for (interval, count, fits) in [
            (Interval::Day, 365, true),
            (Interval::Week, 52, true),
            (Interval::Week, 53, false),
            (Interval::Month, 12, true),
            (Interval::Month, 13, false),
            (Interval::Year, 1, true),
            (Interval::Year, 2, false),
            (Interval::Day, 0, false),
        ] {
            let refused = terms(&request(interval, count)).err();
            assert_eq!(refused.is_none(), fits, "{count}");
            assert!(refused.is_none_or(|error| error.pointer == "/interval_count"));
        }
        let free = CreateRequest {
            amount: money(0, "USD"),
            ..request(Interval::Day, 1)
        };
        assert_eq!(terms(&free).err().unwrap().pointer, "/amount");
    }

    #[test]
    fn every_status_has_one_of_ours() {
        for (theirs, ours) in [
            ("CREATED", "pending"),
            ("INACTIVE", "pending"),
            ("ACTIVE", "active"),
        ] {
            let body =
                alloc::format!(r#"{{"id":"P-1","status":"{theirs}","product_id":"PROD-1"}}"#);
            let plan = read(&answer(201, &body), None).unwrap();
            assert_eq!(
                (plan.provider_id.as_str(), plan.status.as_str()),
                ("P-1", ours)
            );
            assert_eq!(plan.state, [("product".to_owned(), "PROD-1".to_owned())]);
        }
        let minimal = answer(201, r#"{"id":"P-1","status":"ACTIVE"}"#);
        assert_eq!(read(&minimal, Some("PROD-2")).unwrap().state[0].1, "PROD-2");
        assert!(read(&answer(201, r#"{"id":"P-1","status":"TELEPORTED"}"#), None).is_none());
        assert!(read(&answer(201, r#"{"status":"ACTIVE"}"#), None).is_none());
    }

    #[test]
    fn the_regular_cycle_of_a_plan_with_trials_is_looked_for() {
        let body = r#"{"id":"P-1","status":"ACTIVE","product_id":"PROD-1","billing_cycles":[{"tenure_type":"REGULAR","sequence":2},{"tenure_type":"TRIAL","sequence":1}]}"#;
        assert_eq!(sequence(&answer(200, body)).unwrap(), "2");
        assert!(read(&answer(200, body), None).unwrap().state.is_empty());
        assert_eq!(sequence(&answer(200, r#"{"billing_cycles":[]}"#)), None);
        let ours = reference(None, &[("product", "PROD-1")]);
        assert_eq!(regular_sequence(&ours).unwrap(), "1");
    }
}
