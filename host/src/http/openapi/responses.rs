//! The headers of every response, and what may be asked next.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ObjectBuilder, Ref, RefOr, Response, Type};

const REQUEST_ID: &str = "X-Request-Id";
const RATE_LIMIT_POLICY: &str = "RateLimit-Policy";
const RATE_LIMIT: &str = "RateLimit";
const RETRY_AFTER: &str = "Retry-After";
const REPLAYED: &str = "Idempotent-Replayed";
const ALLOW: &str = "Allow";
const WWW_AUTHENTICATE: &str = "WWW-Authenticate";

/// Name, whether it is always there where a response declares it, pattern, description.
const HEADERS: [(&str, bool, &str, &str); 7] = [
    (
        REQUEST_ID,
        true,
        "^[A-Za-z0-9_-]{1,64}$",
        "Quote it when you ask for help: your own, where you sent one of 1 to 64 characters of `[A-Za-z0-9_-]`, else ours.",
    ),
    (
        RATE_LIMIT_POLICY,
        false,
        "^\"default\";q=[0-9]+;w=[0-9]+$",
        "The key's limit: `q` requests in `w` seconds. On every response to a valid key.",
    ),
    (
        RATE_LIMIT,
        false,
        "^\"default\";r=[0-9]+;t=[0-9]+$",
        "What is left of it: `r` requests now, all of them again in `t` seconds.",
    ),
    (
        RETRY_AFTER,
        false,
        "^[0-9]+$",
        "Whole seconds after which the same request may succeed.",
    ),
    (
        REPLAYED,
        false,
        "^true$",
        "The response is the stored one of an earlier request with the same key.",
    ),
    (
        ALLOW,
        true,
        "^[A-Z]+(, ?[A-Z]+)*$",
        "The methods that the path knows.",
    ),
    (WWW_AUTHENTICATE, true, "^Bearer$", "How to authenticate."),
];

/// Operation, status, and the operations that its answer leads to.
type Links = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static [(&'static str, &'static str)])],
);

const ID: &[(&str, &str)] = &[("id", "$response.body#/id")];
const FIRST: &[(&str, &str)] = &[("id", "$response.body#/data/0/id")];
const DELIVERY: &[(&str, &str)] = &[
    ("id", "$response.body#/endpoint_id"),
    ("delivery_id", "$response.body#/id"),
];
const TENANT: &[(&str, &str)] = &[("OneRouter-Tenant", "$response.body#/id")];
const CONNECTION: &[(&str, &str)] = &[
    ("service", "$response.body#/service"),
    ("provider", "$response.body#/provider"),
    ("environment", "$response.body#/environment"),
    ("label", "$response.body#/label"),
];

const LINKS: [Links; 21] = [
    ("sms.create", "201", &[("sms.get", ID), ("sms.cancel", ID)]),
    ("sms.list", "200", &[("sms.get", FIRST)]),
    ("sms.get", "200", &[("sms.cancel", ID)]),
    (
        "email.create",
        "201",
        &[("email.get", ID), ("email.cancel", ID)],
    ),
    ("email.list", "200", &[("email.get", FIRST)]),
    ("email.get", "200", &[("email.cancel", ID)]),
    ("email.create_batch", "200", &[("email.get", FIRST)]),
    (
        "payments.create",
        "201",
        &[
            ("payments.get", ID),
            ("payments.capture", ID),
            ("payments.cancel", ID),
            ("payments.confirm", ID),
        ],
    ),
    ("payments.list", "200", &[("payments.get", FIRST)]),
    ("refunds.create", "201", &[("refunds.get", ID)]),
    ("plans.create", "201", &[("plans.get", ID)]),
    (
        "subscriptions.create",
        "201",
        &[
            ("subscriptions.get", ID),
            ("subscriptions.cancel", ID),
            ("subscriptions.pause", ID),
            ("subscriptions.resume", ID),
        ],
    ),
    (
        "payment_links.create",
        "201",
        &[("payment_links.get", ID), ("payment_links.cancel", ID)],
    ),
    ("events.list", "200", &[("events.get", FIRST)]),
    ("events.create_sample", "200", &[("events.get", ID)]),
    (
        "webhook_endpoints.create",
        "201",
        &[
            ("webhook_endpoints.get", ID),
            ("webhook_endpoints.update", ID),
            ("webhook_endpoints.rotate_secret", ID),
            ("webhook_endpoints.test", ID),
            ("webhook_endpoints.resend", ID),
            ("webhook_endpoints.list_deliveries", ID),
            ("webhook_endpoints.delete", ID),
        ],
    ),
    (
        "webhook_endpoints.test",
        "200",
        &[("webhook_endpoints.get_delivery", DELIVERY)],
    ),
    (
        "api_keys.create",
        "201",
        &[("api_keys.roll", ID), ("api_keys.revoke", ID)],
    ),
    (
        "api_keys.roll",
        "201",
        &[("api_keys.roll", ID), ("api_keys.revoke", ID)],
    ),
    (
        "services.connect",
        "201",
        &[("services.disconnect", CONNECTION)],
    ),
    (
        "tenants.create",
        "201",
        &[("api_keys.create", TENANT), ("services.list", TENANT)],
    ),
];

/// Every header, once, for responses to refer to.
pub(super) fn declare_headers(headers: &mut BTreeMap<String, RefOr<Header>>) {
    for (name, is_certain, pattern, description) in HEADERS {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(pattern));
        let mut header = HeaderBuilder::new()
            .schema(Some(text.build()))
            .description(Some(description))
            .build();
        if is_certain {
            header.extensions = Some(Extensions::from_iter([("required", Value::Bool(true))]));
        }
        headers.insert(name.to_owned(), RefOr::T(header));
    }
}

/// Whose calls an operation takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calls {
    /// An operator's, or anybody's.
    Unlimited,
    /// A client's, counted against its key's limit.
    Limited,
    /// A client's that may be repeated under a key.
    Repeatable,
}

/// Names the headers of each response of an operation, and its links.
pub(super) fn complete(operation: &mut Operation, calls: Calls) {
    let id = operation.operation_id.clone().unwrap_or_default();
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        let mut names = vec![REQUEST_ID];
        if calls != Calls::Unlimited {
            names.extend([RATE_LIMIT_POLICY, RATE_LIMIT]);
        }
        match status.as_str() {
            "401" => names.push(WWW_AUTHENTICATE),
            "405" => names.push(ALLOW),
            "409" | "429" | "503" => names.push(RETRY_AFTER),
            _ => {}
        }
        if calls == Calls::Repeatable && matches!(status.as_str(), "200" | "201" | "422" | "504") {
            names.push(REPLAYED);
        }
        for name in names {
            let header = Ref::new(format!("#/components/headers/{name}"));
            response.headers.insert(name.to_owned(), RefOr::Ref(header));
        }
        link(response, &id, status);
    }
}

fn link(response: &mut Response, id: &str, status: &str) {
    let links = LINKS
        .iter()
        .filter(|(from, at, _)| *from == id && *at == status)
        .flat_map(|(_, _, links)| links.iter());
    for (to, parameters) in links {
        let mut link = LinkBuilder::new().operation_id(*to);
        for (name, expression) in *parameters {
            link = link.parameter(*name, json!(expression));
        }
        response
            .links
            .insert((*to).to_owned(), RefOr::T(link.build()));
    }
}
