//! What arrives at an endpoint: one entry for each family of events.

use onerouter_domain::event;
use serde_json::Value;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{
    ContentBuilder, KnownFormat, ObjectBuilder, Paths, Ref, RefOr, Required, ResponseBuilder,
    Schema, SchemaFormat, Type,
};

/// The headers of every delivery, and what they are.
const HEADERS: [(&str, &str); 3] = [
    (
        "webhook-id",
        "The event's id: the same in every attempt. Whoever remembers it acts once.",
    ),
    (
        "webhook-timestamp",
        "When this attempt was made, in seconds since 1970.",
    ),
    (
        "webhook-signature",
        "One signature or several, with spaces between: `v1,` with a shared secret, `v1a,` with ed25519.",
    ),
];

/// A family, and the schema of what its events are about.
const FAMILIES: [(&str, &str); 9] = [
    ("payment", "Payment"),
    ("refund", "Refund"),
    ("plan", "Plan"),
    ("subscription", "Subscription"),
    ("payment_link", "PaymentLink"),
    ("sms", "Sms"),
    ("email", "Email"),
    ("endpoint", "WebhookEndpoint"),
    ("provider_event", "ProviderEvent"),
];

/// The entries.
pub(super) fn all() -> Paths {
    let entries = FAMILIES
        .into_iter()
        .fold(PathsBuilder::new(), |entries, (family, schema)| {
            entries.path(family, entry(family, schema))
        });
    entries.build()
}

fn entry(family: &str, schema: &str) -> PathItem {
    let content = ContentBuilder::new()
        .schema(Some(body(family, schema)))
        .build();
    let body = RequestBodyBuilder::new()
        .content("application/json", content)
        .required(Some(Required::True));
    let taken =
        ResponseBuilder::new().description("Any 2xx: taken. Everything else is tried again.");
    let operation = OperationBuilder::new()
        .operation_id(Some(format!("on_{family}")))
        .summary(Some(format!("An event `{family}.*`")))
        .request_body(Some(body.build()))
        .response("2XX", taken.build());
    let operation = HEADERS
        .into_iter()
        .fold(operation, |operation, (name, what)| {
            let header = ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Header)
                .required(Required::True)
                .description(Some(what))
                .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
            operation.parameter(header.build())
        });
    PathItem::new(HttpMethod::Post, operation.build())
}

fn body(family: &str, schema: &str) -> RefOr<Schema> {
    let types = event::types().into_iter();
    let prefix = format!("{family}.");
    let own: Vec<Value> = types
        .filter(|event_type| event_type.starts_with(&prefix))
        .map(Value::from)
        .collect();
    let event_type = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("An open list."))
        .examples(own);
    let timestamp = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some("When it happened."));
    let body = ObjectBuilder::new()
        .property("type", event_type)
        .property("timestamp", timestamp)
        .property("data", Ref::from_schema_name(schema))
        .required("type")
        .required("timestamp")
        .required("data");
    RefOr::T(Schema::Object(body.build()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_an_entry() {
        assert_eq!(FAMILIES.map(|(family, _)| family), event::FAMILIES);
    }
}
