//! The rules of fields and parameters that attributes cannot express: names in maps, items of
//! lists, one field or another.
//!
//! A request that keeps them all is refused for a reason outside of itself only: a time that is
//! over, a provider that is not connected.

use std::collections::{BTreeMap, BTreeSet};

use onerouter_domain::event;
use onerouter_domain::id::{
    ApiKeyId, AuditId, ConnectionId, EmailId, EventId, PaymentId, PaymentLinkId, PlanId, RefundId,
    SmsId, SubscriptionId, TenantId, WebhookEndpointId,
};
use onerouter_domain::message::{EmailStatus, SmsStatus};
use onerouter_domain::metadata;
use onerouter_domain::payment::{
    PaymentLinkStatus, PaymentStatus, PlanStatus, RefundStatus, SubscriptionStatus,
};
use serde_json::{Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, SchemaType};
use utoipa::openapi::{Object, ObjectBuilder, RefOr, Required, Schema, SchemaFormat, Type};

use crate::http::email::draft::{PAIRS_MAX, RESERVED_HEADERS, TAG_LENGTH_MAX, VALUE_LENGTH_MAX};
use crate::http::services::FIELDS_MAX;
use crate::http::webhook_endpoints::DELIVERY_STATES;
use crate::http::webhook_endpoints::body::{
    HEADER_VALUE_LENGTH_MAX, HEADERS_MAX, RESERVED_HEADERS as RESERVED_OF_WEBHOOKS,
    RESERVED_PREFIXES,
};
use crate::service::caller::SCOPES;
use crate::service::email::ADDRESSES_MAX;
use crate::service::pages::RESPONSE_FIELDS_MAX;

type Schemas = BTreeMap<String, RefOr<Schema>>;

/// One line: no control characters, C1 among them.
const LINE: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
const LABEL: &str = "^[A-Za-z0-9_.-]{1,64}$";
const ENVIRONMENT: &str = "^(test|live)$";
/// Standard base64 with padding and without stray bits.
const BASE64: &str =
    "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";
const MEDIA_TYPE: &str = "^ *[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+ *(;[ -~]*)?$";
/// Host, port, path and query; more is accepted, if the whole is a URL.
const WEB_ADDRESS: &str = r"^https://[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,4})?(/([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?(\?([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?$";
/// As above, with a name that is no address.
const WEBHOOK_TARGET: &str = r"^https://([a-z0-9]+\.)+[a-z]{3,20}(:[0-9]{1,4})?(/([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?(\?([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?$";
/// A sender's name has a letter, and no space at its ends.
const SENDER_NAME: &str = "^([A-Za-z0-9][A-Za-z0-9 ]*)?[A-Za-z]([A-Za-z0-9 ]*[A-Za-z0-9])?$";

/// Bodies of payments and what belongs to them.
const PAYING: [&str; 5] = [
    "CreatePayment",
    "CreateRefund",
    "CreatePlan",
    "CreateSubscription",
    "CreatePaymentLink",
];

/// Names of schemas of which no field is required.
pub(super) fn without_required_fields(schemas: &Schemas) -> BTreeSet<String> {
    let is_without = |schema: &RefOr<Schema>| match schema {
        RefOr::T(Schema::Object(object)) => object.required.is_empty(),
        _ => false,
    };
    let without = schemas.iter().filter(|(_, schema)| is_without(schema));
    without.map(|(name, _)| name.clone()).collect()
}

/// Where no field is required, an empty body will do.
pub(super) fn loosen_body(operation: &mut Operation, without_required: &BTreeSet<String>) {
    let Some(RefOr::T(body)) = &mut operation.request_body else {
        return;
    };
    let is_loose = body.content.values().all(|content| {
        let RefOr::T(content) = content else {
            return false;
        };
        let Some(RefOr::Ref(reference)) = &content.schema else {
            return false;
        };
        let name = reference.ref_location.rsplit('/').next();
        name.is_some_and(|name| without_required.contains(name))
    });
    if is_loose {
        body.required = Some(Required::False);
    }
}

/// Puts the rules of bodies into their schemas.
pub(super) fn tighten(schemas: &mut Schemas) {
    for pairs in ["metadata", "notes"] {
        let messages = ["SendSms", "SendEmail", "SimulateRouting"];
        for message in messages.into_iter().chain(PAYING) {
            property(schemas, message, pairs, own_pairs);
        }
    }
    for message in ["SendSms", "SendEmail"] {
        property(schemas, message, "idempotency_key", idempotency_key);
    }
    one_name_of_metadata_and_a_body(schemas);
    paying(schemas);
    property(schemas, "SendSms", "from_number", sender);
    items(schemas, "SendSms", "media_urls", web_address);
    property(schemas, "SendEmail", "subject", |text| matching(text, LINE));
    property(schemas, "SendEmail", "from_email", mailbox);
    property(schemas, "SendEmail", "headers", mail_headers);
    property(schemas, "SendEmail", "tags", tags);
    mailboxes(schemas, "Recipients", 1);
    mailboxes(schemas, "AnyNumber", 0);
    attachment(schemas);
    for field in ["credentials", "settings"] {
        property(schemas, "ConnectProvider", field, |pairs| {
            pairs.max_properties = Some(FIELDS_MAX);
        });
    }
    property(schemas, "RoutingTarget", "connection_id", |text| {
        id(text, ConnectionId::PREFIX);
    });
    items(schemas, "CreateApiKey", "scopes", |scope| {
        scope.enum_values = Some(SCOPES.map(Value::from).to_vec());
    });
    items(schemas, "CreateApiKey", "allowed_ips", network);
    if let Some(Schema::Array(scopes)) = field(schemas, "CreateApiKey", "scopes") {
        scopes.max_items = Some(SCOPES.len());
    }
    webhooks(schemas);
}

/// Endpoints and events.
fn webhooks(schemas: &mut Schemas) {
    for endpoint in ["CreateWebhookEndpoint", "UpdateWebhookEndpoint"] {
        property(schemas, endpoint, "url", |url| {
            url.format = Some(SchemaFormat::Custom("uri".to_owned()));
            url.max_length = Some(2_048);
            matching(url, WEBHOOK_TARGET);
        });
        items(schemas, endpoint, "event_types", |pattern| {
            pattern.enum_values = Some(event_patterns());
        });
        property(schemas, endpoint, "headers", webhook_headers);
    }
    let types = || event::types().into_iter().map(Value::from);
    property(schemas, "TestWebhookEndpoint", "type", |event_type| {
        // With a live key only the first.
        let of_objects = types().filter(|one| one != event::ENDPOINT_DISABLED);
        event_type.enum_values = Some(of_objects.chain([Value::Null]).collect());
    });
    property(schemas, "CreateSampleEvent", "type", |event_type| {
        let is_of_object =
            |one: &Value| !one.as_str().is_some_and(|one| one.starts_with("endpoint."));
        event_type.enum_values = Some(types().filter(is_of_object).collect());
    });
}

/// Every type, and every family.
fn event_patterns() -> Vec<Value> {
    let families = event::FAMILIES.map(|family| format!("{family}.*"));
    let patterns = event::types().into_iter().chain(families);
    patterns.map(Value::from).collect()
}

fn webhook_headers(pairs: &mut Object) {
    pairs.max_properties = Some(HEADERS_MAX);
    let mut name = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^[A-Za-z0-9_-]{1,64}$"))
        .build();
    let names = RESERVED_OF_WEBHOOKS.map(|name| format!("{}$", any_case(name)));
    let prefixes = RESERVED_PREFIXES.map(any_case);
    let reserved: Vec<_> = names.into_iter().chain(prefixes).collect();
    let reserved = format!("^({})", reserved.join("|"));
    also(&mut name, "not", json!({"pattern": reserved}));
    pairs.property_names = Some(Box::new(Schema::Object(name)));
    let value = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^[!-~]([ -~]*[!-~])?$"))
        .max_length(Some(HEADER_VALUE_LENGTH_MAX));
    pairs.additional_properties = pairs_of(value.build());
}

/// Buyers: their addresses, and where they go.
fn paying(schemas: &mut Schemas) {
    property(schemas, "PayingCustomer", "email", mailbox);
    for (message, page) in [
        ("CreatePayment", "return_url"),
        ("CreatePayment", "cancel_url"),
        ("CreateSubscription", "return_url"),
        ("CreateSubscription", "cancel_url"),
        ("CreatePaymentLink", "callback_url"),
    ] {
        property(schemas, message, page, web_address);
    }
    property(schemas, "CreatePaymentLink", "customer_email", mailbox);
    property(schemas, "ConfirmPayment", "provider_response", |pairs| {
        pairs.max_properties = Some(RESPONSE_FIELDS_MAX);
    });
}

/// The two ways to say something, of which one may be used; and one body at least.
fn one_name_of_metadata_and_a_body(schemas: &mut Schemas) {
    let absent = |name: &str| json!({"properties": {name: {"type": "null"}}});
    let one_name = json!([absent("metadata"), absent("notes")]);
    let body = |name: &str| json!({"required": [name], "properties": {name: {"type": "string", "minLength": 1}}});
    for message in ["SendSms", "SimulateRouting"].into_iter().chain(PAYING) {
        whole(schemas, message, |message| {
            also(message, "anyOf", one_name.clone());
        });
    }
    whole(schemas, "SendEmail", |email| {
        let a_body = json!([body("html_body"), body("text_body")]);
        also(
            email,
            "allOf",
            json!([{"anyOf": one_name}, {"anyOf": a_body}]),
        );
    });
}

fn attachment(schemas: &mut Schemas) {
    const FILE: &str = "SendAttachment";
    property(schemas, FILE, "filename", |name| {
        matching(name, r#"^[^/\\"\u0000-\u001f\u007f-\u009f]*$"#);
    });
    property(schemas, FILE, "content", |content| {
        matching(content, BASE64);
        content.content_encoding = "base64".to_owned();
    });
    property(schemas, FILE, "url", web_address);
    property(schemas, FILE, "content_type", |media_type| {
        matching(media_type, MEDIA_TYPE);
        (media_type.min_length, media_type.max_length) = (Some(3), Some(127));
    });
    let only = |name: &str, other: &str| {
        json!({
            "required": [name],
            "properties": {name: {"type": "string"}, other: {"type": "null"}},
        })
    };
    whole(schemas, FILE, |file| {
        also(
            file,
            "oneOf",
            json!([only("content", "url"), only("url", "content")]),
        );
    });
}

fn mailboxes(schemas: &mut Schemas, name: &str, least: usize) {
    let Some(RefOr::T(Schema::OneOf(either))) = schemas.get_mut(name) else {
        return;
    };
    for form in &mut either.items {
        match form {
            RefOr::T(Schema::Object(one)) => mailbox(one),
            RefOr::T(Schema::Array(list)) => {
                (list.min_items, list.max_items) = (Some(least), Some(ADDRESSES_MAX));
                if let Some(item) = item_of(&mut list.items) {
                    mailbox(item);
                }
            }
            RefOr::T(_) | RefOr::Ref(_) => {}
        }
    }
}

/// Puts the rules of an operation's parameters into their schemas.
pub(super) fn tighten_parameters(operation: &mut Operation) {
    let tag = operation
        .tags
        .as_ref()
        .and_then(|tags| tags.first())
        .cloned()
        .unwrap_or_default();
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            tighten_parameter(parameter, &tag);
        }
    }
}

fn tighten_parameter(parameter: &mut Parameter, tag: &str) {
    let name = parameter.name.clone();
    let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema else {
        return;
    };
    // A parameter is there or not: nothing in a URL or a header is null.
    if let SchemaType::Array(types) = &schema.schema_type
        && let Some(kind) = types.iter().find(|kind| **kind != Type::Null)
    {
        schema.schema_type = SchemaType::Type(kind.clone());
    }
    match (name.as_str(), tag) {
        ("Idempotency-Key", _) => idempotency_key(schema),
        ("environment", _) => matching(schema, ENVIRONMENT),
        ("label", _) => matching(schema, LABEL),
        ("cursor", "sms") => id(schema, SmsId::PREFIX),
        ("cursor", "email") => id(schema, EmailId::PREFIX),
        ("cursor", "payments") => id(schema, PaymentId::PREFIX),
        ("cursor", "refunds") => id(schema, RefundId::PREFIX),
        ("cursor", "plans") => id(schema, PlanId::PREFIX),
        ("cursor", "subscriptions") => id(schema, SubscriptionId::PREFIX),
        ("cursor", "payment_links") => id(schema, PaymentLinkId::PREFIX),
        ("cursor", "api-keys") => id(schema, ApiKeyId::PREFIX),
        ("cursor", "tenants") => id(schema, TenantId::PREFIX),
        ("cursor", "audit") => id(schema, AuditId::PREFIX),
        ("cursor", "events") => id(schema, EventId::PREFIX),
        // Those of deliveries have their own.
        ("cursor", "webhooks") if schema.pattern.is_none() => {
            id(schema, WebhookEndpointId::PREFIX);
        }
        ("type", "events") => schema.enum_values = Some(event_patterns()),
        ("object_id", "events") => any_object_id(schema),
        ("status", "webhooks") => one_of(schema, &DELIVERY_STATES),
        ("status", "sms") => one_of(schema, SmsStatus::ALL),
        ("status", "email") => one_of(schema, EmailStatus::ALL),
        ("status", "payments") => one_of(schema, PaymentStatus::ALL),
        ("status", "refunds") => one_of(schema, RefundStatus::ALL),
        ("status", "plans") => one_of(schema, PlanStatus::ALL),
        ("status", "subscriptions") => one_of(schema, SubscriptionStatus::ALL),
        ("status", "payment_links") => one_of(schema, PaymentLinkStatus::ALL),
        ("metadata", _) => {
            own_pairs(schema);
            // A filter may name as many as a URL can hold, and ask for what no value can be.
            schema.max_properties = None;
            schema.additional_properties = pairs_of(Object::with_type(Type::String));
        }
        _ => {}
    }
}

/// The id of anything that events are about.
fn any_object_id(text: &mut Object) {
    let prefixes = [
        PaymentId::PREFIX,
        RefundId::PREFIX,
        PlanId::PREFIX,
        SubscriptionId::PREFIX,
        PaymentLinkId::PREFIX,
        SmsId::PREFIX,
        EmailId::PREFIX,
        WebhookEndpointId::PREFIX,
    ];
    id(text, &format!("({})", prefixes.join("|")));
}

fn one_of<T: ToString>(schema: &mut Object, all: &[T]) {
    schema.enum_values = Some(all.iter().map(|one| one.to_string().into()).collect());
}

fn id(text: &mut Object, prefix: &str) {
    matching(text, &format!("^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"));
}

fn matching(text: &mut Object, pattern: &str) {
    text.pattern = Some(pattern.to_owned());
}

fn mailbox(text: &mut Object) {
    text.format = Some(SchemaFormat::Custom("mailbox".to_owned()));
    text.example = Some("Ada <ada@example.com>".into());
}

fn web_address(text: &mut Object) {
    text.format = Some(SchemaFormat::Custom("uri".to_owned()));
    text.max_length = Some(2_048);
    matching(text, WEB_ADDRESS);
}

fn sender(text: &mut Object) {
    text.pattern = None;
    let forms = json!([
        {"pattern": r"^\+[1-9][0-9]{6,14}$"},
        {"pattern": "^[0-9]{3,8}$"},
        {"pattern": SENDER_NAME, "maxLength": 11},
    ]);
    also(text, "anyOf", forms);
}

/// An address, or a network: of version 4, of version 6 in full, cut short at its end or at its start.
fn network(text: &mut Object) {
    let byte = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    let group = "[0-9A-Fa-f]{1,4}";
    let prefix = "(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?";
    let forms = json!([
        {"pattern": format!(r"^({byte}\.){{3}}{byte}(/(3[0-2]|[12]?[0-9]))?$")},
        {"pattern": format!("^({group}:){{7}}{group}{prefix}$")},
        {"pattern": format!("^({group}:){{1,6}}:{prefix}$")},
        {"pattern": format!("^::({group}(:{group}){{0,6}})?{prefix}$")},
    ]);
    also(text, "anyOf", forms);
}

/// Bare, or quoted as in structured fields; then the limit counts what stands between the quotes.
fn idempotency_key(text: &mut Object) {
    (text.pattern, text.min_length, text.max_length) = (None, None, None);
    let quoted = r#"^"([!#-\[\]-~]|\\["\\])([ !#-\[\]-~]|\\["\\]){0,254}"$"#;
    let forms = json!([
        {"pattern": "^[!#-~][ -~]*$", "maxLength": 255},
        {"pattern": quoted},
    ]);
    also(text, "anyOf", forms);
}

/// `metadata` and its second name.
fn own_pairs(pairs: &mut Object) {
    pairs.max_properties = Some(metadata::PAIRS_MAX);
    pairs.property_names = names(LABEL);
    let value = ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(metadata::VALUE_LENGTH_MAX));
    pairs.additional_properties = pairs_of(value.build());
}

fn mail_headers(pairs: &mut Object) {
    pairs.max_properties = Some(PAIRS_MAX);
    let mut name = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^[!-9;-~]{1,76}$"))
        .build();
    let reserved: Vec<_> = RESERVED_HEADERS.into_iter().map(any_case).collect();
    let reserved = format!("^({})$", reserved.join("|"));
    also(&mut name, "not", json!({"pattern": reserved}));
    pairs.property_names = Some(Box::new(Schema::Object(name)));
    let value = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(LINE))
        .max_length(Some(VALUE_LENGTH_MAX));
    pairs.additional_properties = pairs_of(value.build());
}

/// Patterns of JSON Schema have no flag that ignores case.
fn any_case(name: &str) -> String {
    name.chars()
        .map(|letter| match letter {
            '-' => "-".to_owned(),
            letter => format!("[{}{letter}]", letter.to_ascii_uppercase()),
        })
        .collect()
}

fn tags(pairs: &mut Object) {
    pairs.max_properties = Some(PAIRS_MAX);
    let line = LINE.replace('*', &format!("{{1,{TAG_LENGTH_MAX}}}"));
    pairs.property_names = names(&line);
    let value = ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(TAG_LENGTH_MAX));
    pairs.additional_properties = pairs_of(value.build());
}

fn names(pattern: &str) -> Option<Box<Schema>> {
    let name = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern));
    Some(Box::new(Schema::Object(name.build())))
}

fn pairs_of(value: Object) -> Option<Box<AdditionalProperties<Schema>>> {
    Some(Box::new(AdditionalProperties::RefOr(RefOr::T(
        Schema::Object(value),
    ))))
}

/// A keyword that the builder does not know. One per schema: their order is not kept.
fn also(schema: &mut Object, keyword: &str, value: Value) {
    schema.extensions = Some(Extensions::from_iter([(keyword, value)]));
}

fn whole(schemas: &mut Schemas, name: &str, change: impl FnOnce(&mut Object)) {
    if let Some(RefOr::T(Schema::Object(object))) = schemas.get_mut(name) {
        change(object);
    }
}

fn field<'s>(schemas: &'s mut Schemas, name: &str, field: &str) -> Option<&'s mut Schema> {
    let Some(RefOr::T(Schema::Object(object))) = schemas.get_mut(name) else {
        return None;
    };
    match object.properties.get_mut(field) {
        Some(RefOr::T(schema)) => Some(schema),
        Some(RefOr::Ref(_)) | None => None,
    }
}

fn property(schemas: &mut Schemas, name: &str, of: &str, change: impl FnOnce(&mut Object)) {
    if let Some(Schema::Object(object)) = field(schemas, name, of) {
        change(object);
    }
}

fn items(schemas: &mut Schemas, name: &str, of: &str, change: impl FnOnce(&mut Object)) {
    if let Some(Schema::Array(list)) = field(schemas, name, of)
        && let Some(item) = item_of(&mut list.items)
    {
        change(item);
    }
}

fn item_of(items: &mut ArrayItems) -> Option<&mut Object> {
    match items {
        ArrayItems::RefOrSchema(item) => match item.as_mut() {
            RefOr::T(Schema::Object(item)) => Some(item),
            RefOr::T(_) | RefOr::Ref(_) => None,
        },
        ArrayItems::False => None,
    }
}
