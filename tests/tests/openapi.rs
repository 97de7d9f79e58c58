//! The OpenAPI document: valid, whole, and what the gateway does.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use onerouter_tests::harness::{Harness, Setup};
use serde_json::{Map, Value, json};

/// The document as the library makes it.
fn document() -> Value {
    serde_json::from_str(&onerouter::http::document().to_json().unwrap()).unwrap()
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations.push((format!("{} {path}", method.to_uppercase()), operation));
        }
    }
    operations
}

/// Whether an operation's body and query are a provider's own.
fn is_a_providers(name: &str) -> bool {
    name.contains(" /webhooks/")
}

/// What a `$ref` leads to; any other value is itself.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(path) => document.pointer(path.strip_prefix('#').unwrap()).unwrap(),
        None => value,
    }
}

fn each(value: &Value, see: &mut impl FnMut(&Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            see(fields);
            fields.values().for_each(|value| each(value, see));
        }
        Value::Array(values) => values.iter().for_each(|value| each(value, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

async fn start() -> Harness {
    let setup = Setup {
        unconnected: true,
        ..Setup::default()
    };
    Harness::with(setup).await
}

#[test]
fn the_document_is_openapi_3_1_with_all_that_a_reader_needs() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(document["info"]["title"], "OneRouter");
    assert!(document["info"]["version"].is_string());
    let tags = document["tags"].as_array().unwrap();
    let tags: Vec<_> = tags.iter().map(|tag| &tag["name"]).collect();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} stands there twice");
        assert!(
            operation["summary"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{name}"
        );
        let own = operation["tags"].as_array().unwrap();
        assert!(own.len() == 1 && tags.contains(&&own[0]), "{name}: {own:?}");
        let schemes = operation["security"].as_array().unwrap();
        for scheme in schemes
            .iter()
            .flat_map(|scheme| scheme.as_object().unwrap().keys())
        {
            assert!(
                document["components"]["securitySchemes"][scheme].is_object(),
                "{name}"
            );
        }
        let named = name.matches('{').count();
        let parameters = operation["parameters"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let path = |parameter: &&Value| parameter["in"] == "path" && parameter["required"] == true;
        assert_eq!(parameters.iter().filter(path).count(), named, "{name}");
        for parameter in parameters {
            assert!(
                parameter["description"].is_string(),
                "{name} {}",
                parameter["name"]
            );
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut count = 0;
    each(&document, &mut |fields| {
        if let Some(path) = fields.get("$ref").and_then(Value::as_str) {
            assert!(
                document.pointer(path.strip_prefix('#').unwrap()).is_some(),
                "{path}"
            );
            count += 1;
        }
    });
    assert!(count > 20);
}

#[test]
fn every_schema_is_one_and_its_example_fits() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut examples = 0;
    for (name, schema) in schemas {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{name}");
        let Some(example) = schema.get("example") else {
            continue;
        };
        // References are looked up in the whole document.
        let mut whole = document.clone();
        whole["$ref"] = json!(format!("#/components/schemas/{name}"));
        let validator = jsonschema::draft202012::new(&whole).unwrap();
        let mistakes: Vec<_> = validator
            .iter_errors(example)
            .map(|error| error.to_string())
            .collect();
        assert!(mistakes.is_empty(), "{name}: {mistakes:?}");
        examples += 1;
    }
    assert!(examples >= 9, "{examples}");
}

#[test]
fn every_body_has_an_example_and_every_refusal_is_a_problem() {
    let document = document();
    for (name, operation) in operations(&document) {
        if is_a_providers(&name) {
            continue;
        }
        if let Some(body) = operation.get("requestBody") {
            let content = &body["content"]["application/json"];
            let schema = resolve(&document, &content["schema"]);
            let has_example = content.get("example").or(schema.get("example")).is_some();
            assert!(has_example, "{name} has no example");
        }
        if name.contains("/api/health") {
            continue;
        }
        let responses = operation["responses"].as_object().unwrap();
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{name}"
        );
        for status in ["401", "404", "422", "500"] {
            assert!(responses.contains_key(status), "{name} {status}");
        }
        for (status, response) in responses {
            let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
            let is_problem = problem == "#/components/schemas/Problem";
            assert_eq!(is_problem, status.as_str() >= "400", "{name} {status}");
            assert!(
                response["description"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
            );
        }
    }
}

/// Rules that are added by the names of schemas and fields, so that a renamed one would lose them.
#[test]
fn what_attributes_cannot_say_is_in_the_document_too() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    for (schema, rule) in [
        ("SendSms", "/anyOf/0/properties/metadata"),
        ("SendSms", "/properties/metadata/propertyNames/pattern"),
        ("SendSms", "/properties/notes/maxProperties"),
        ("SendSms", "/properties/from_number/anyOf/2/maxLength"),
        ("SendSms", "/properties/media_urls/items/pattern"),
        ("SendSms", "/properties/idempotency_key/anyOf/0/maxLength"),
        ("SendEmail", "/allOf/1/anyOf/0/required"),
        ("SendEmail", "/properties/subject/pattern"),
        ("SendEmail", "/properties/from_email/format"),
        ("SendEmail", "/properties/headers/propertyNames/not"),
        (
            "SendEmail",
            "/properties/tags/additionalProperties/maxLength",
        ),
        ("Recipients", "/oneOf/1/minItems"),
        ("AnyNumber", "/oneOf/1/items/format"),
        ("SendAttachment", "/oneOf/0/required"),
        ("SendAttachment", "/properties/content/pattern"),
        ("SendAttachment", "/properties/url/maxLength"),
        ("SendAttachment", "/properties/filename/pattern"),
        ("SendAttachment", "/properties/content_type/maxLength"),
        ("ConnectProvider", "/properties/credentials/maxProperties"),
        ("CreateApiKey", "/properties/scopes/items/enum"),
        ("CreateApiKey", "/properties/scopes/maxItems"),
        ("CreateWebhookEndpoint", "/properties/url/maxLength"),
        ("UpdateWebhookEndpoint", "/properties/url/pattern"),
        (
            "CreateWebhookEndpoint",
            "/properties/event_types/items/enum",
        ),
        (
            "CreateWebhookEndpoint",
            "/properties/headers/propertyNames/not",
        ),
        ("TestWebhookEndpoint", "/properties/type/enum"),
        ("CreateSampleEvent", "/properties/type/enum"),
    ] {
        assert!(schemas[schema].pointer(rule).is_some(), "{schema} {rule}");
    }
    let mut ruled = BTreeSet::new();
    for (name, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let schema = &parameter["schema"];
            assert!(schema["type"].is_string(), "{name}: {parameter}");
            let rules = ["pattern", "enum", "anyOf", "propertyNames"];
            if rules.iter().any(|rule| schema.get(rule).is_some()) {
                ruled.insert(parameter["name"].as_str().unwrap());
            }
        }
    }
    let expected = [
        "Idempotency-Key",
        "OneRouter-Tenant",
        "category",
        "cursor",
        "environment",
        "label",
        "metadata",
        "object_id",
        "order",
        "provider",
        "status",
        "type",
    ];
    assert_eq!(ruled, BTreeSet::from(expected));
}

#[test]
fn every_response_names_its_headers() {
    let document = document();
    for (name, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let headers = response["headers"].as_object().unwrap();
            let mut expected = BTreeSet::from(["X-Request-Id"]);
            if name.contains("/v1/") {
                expected.extend(["RateLimit", "RateLimit-Policy"]);
            }
            match status.as_str() {
                "401" => drop(expected.insert("WWW-Authenticate")),
                "405" => drop(expected.insert("Allow")),
                "409" | "429" | "503" => drop(expected.insert("Retry-After")),
                _ => {}
            }
            let is_write = name.starts_with("POST /v1/");
            if is_write && ["200", "201", "422", "504"].contains(&status.as_str()) {
                expected.insert("Idempotent-Replayed");
            }
            let named: BTreeSet<&str> = headers.keys().map(String::as_str).collect();
            assert_eq!(named, expected, "{name} {status}");
            for (header, value) in headers {
                let value = resolve(&document, value);
                assert!(value["description"].is_string(), "{header}");
                assert!(value["schema"]["pattern"].is_string(), "{header}");
            }
        }
    }
}

#[test]
fn every_link_leads_to_an_operation_and_fills_its_parameters() {
    let document = document();
    let operations = operations(&document);
    let mut count = 0;
    for (name, operation) in &operations {
        for response in operation["responses"].as_object().unwrap().values() {
            for link in response["links"]
                .as_object()
                .into_iter()
                .flat_map(Map::values)
            {
                count += 1;
                let id = &link["operationId"];
                let mut of_id = operations.iter().filter(|(_, to)| to["operationId"] == *id);
                let (_, to) = of_id.next().unwrap_or_else(|| panic!("{name}: {id}"));
                let known = to["parameters"].as_array().unwrap();
                let filled = link["parameters"].as_object().unwrap();
                for parameter in filled.keys() {
                    let is_known = known.iter().any(|known| known["name"] == **parameter);
                    assert!(is_known, "{name}: {id} has no {parameter}");
                }
                for known in known.iter().filter(|known| known["required"] == true) {
                    let name = known["name"].as_str().unwrap();
                    assert!(filled.contains_key(name), "{id} needs {name}");
                }
            }
        }
    }
    assert!(count >= 16, "{count}");
}

/// Sends every documented field of every body as `null`, and one that nobody documented.
#[tokio::test]
async fn the_document_and_the_parser_know_the_same_fields() {
    let host = start().await;
    let document = host.client("").get("/openapi.json").await.json;
    let (acme, operator) = (host.key("test").await, host.operator());
    let mut bodies = 0;
    for (name, operation) in operations(&document) {
        if is_a_providers(&name) {
            continue;
        }
        let Some(body) = operation.get("requestBody") else {
            continue;
        };
        bodies += 1;
        let schema = resolve(&document, &body["content"]["application/json"]["schema"]);
        assert_eq!(schema["additionalProperties"], json!(false), "{name}");
        let empty = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&empty);
        let mut fields: Map<String, Value> = properties
            .keys()
            .map(|name| (name.clone(), Value::Null))
            .collect();
        fields.insert("undocumented".to_owned(), Value::Null);
        let (method, path) = name.split_once(' ').unwrap();
        let path = path
            .replace("{service}", "sms")
            .replace("{provider}", "twilio");
        let mut path = path.replace("{id}", "x");
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let mut required = parameters.filter(|one| one["in"] == "query" && one["required"] == true);
        if let Some(parameter) = required.next() {
            assert_eq!(parameter["name"], "environment", "{name}");
            path.push_str("?environment=test");
        }
        let client = if path.starts_with("/v1") {
            &acme
        } else {
            &operator
        };
        let body = Value::Object(fields).to_string().into_bytes();
        let reply = client
            .send(method.parse().unwrap(), &path, Some(body))
            .await;
        assert_eq!(reply.status, 422, "{name}: {reply:?}");
        let of_code = |code: &str| -> BTreeSet<String> {
            let errors = reply.json["errors"].as_array().unwrap();
            let errors = errors.iter().filter(|error| error["code"] == code);
            errors
                .map(|error| error["pointer"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(
            of_code("unknown_field"),
            BTreeSet::from(["/undocumented".to_owned()]),
            "{name}"
        );
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let required: BTreeSet<String> = required
            .iter()
            .map(|field| format!("/{}", field.as_str().unwrap()))
            .collect();
        let told = of_code("required");
        assert!(
            required.is_subset(&told),
            "{name}: {required:?} and {told:?}"
        );
    }
    assert!(bodies >= 9, "{bodies}");
}

/// Sends every documented query parameter, and one that nobody documented.
#[tokio::test]
async fn the_document_and_the_parser_know_the_same_parameters() {
    let host = start().await;
    let document = document();
    let (acme, operator) = (host.key("test").await, host.operator());
    for (name, operation) in operations(&document) {
        if is_a_providers(&name) {
            continue;
        }
        if name.contains("/api/health") {
            continue;
        }
        let (method, path) = name.split_once(' ').unwrap();
        let path = path
            .replace("{service}", "sms")
            .replace("{provider}", "twilio");
        let path = path.replace("{id}", "x");
        let parameters = operation["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let mut query = vec!["undocumented=x".to_owned()];
        for parameter in parameters
            .iter()
            .filter(|parameter| parameter["in"] == "query")
        {
            let name = parameter["name"].as_str().unwrap();
            query.push(if name == "metadata" {
                "metadata[a]=x".to_owned()
            } else {
                format!("{name}=%00")
            });
        }
        let client = if path.starts_with("/v1") {
            &acme
        } else {
            &operator
        };
        let asked = format!("{path}?{}", query.join("&"));
        let reply = client.send(method.parse().unwrap(), &asked, None).await;
        let errors = reply.json["errors"].as_array().unwrap();
        let unknown: Vec<_> = errors
            .iter()
            .filter(|error| error["code"] == "unknown_parameter")
            .collect();
        assert_eq!(unknown.len(), 1, "{name}: {reply:?}");
        assert_eq!(unknown[0]["pointer"], "?undocumented");
        let headers = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "header");
        let headers: Vec<_> = headers.map(|parameter| parameter["name"].clone()).collect();
        let expected = if path.starts_with("/api") {
            vec![json!("OneRouter-Tenant")]
        } else if method == "POST" {
            vec![json!("Idempotency-Key")]
        } else {
            Vec::new()
        };
        assert_eq!(headers, expected, "{name}");
    }
}

#[tokio::test]
async fn what_is_served_printed_and_kept_is_one_document() {
    let host = start().await;
    let served = host.client("").get("/openapi.json").await;
    assert_eq!(served.header("content-type"), Some("application/json"));
    assert_eq!(served.json, document());

    let pretty = onerouter::http::document().to_pretty_json().unwrap() + "\n";
    if let Some(program) = std::env::var_os("ONEROUTER_TEST_BIN") {
        let printed = Command::new(program).arg("openapi").output().unwrap();
        assert!(printed.status.success());
        assert_eq!(String::from_utf8(printed.stdout).unwrap(), pretty);
    }
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&kept, &pretty).unwrap();
    }
    assert!(
        std::fs::read_to_string(&kept).is_ok_and(|text| text == pretty),
        "docs/openapi.json is out of date; run this test with UPDATE_OPENAPI=1"
    );
}

#[tokio::test]
async fn the_documentation_is_served_from_the_program_alone() {
    let host = start().await;
    let nobody = host.client("");
    let page = nobody.get("/docs").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html"));
    let policy = page.header("content-security-policy").unwrap();
    for directive in policy.split(';') {
        let mut words = directive.split_whitespace().skip(1);
        let own = ["'none'", "'self'", "'unsafe-inline'", "data:"];
        assert!(words.all(|word| own.contains(&word)), "{directive}");
    }
    assert!(!policy.contains("script-src 'self' 'unsafe-inline'"));
    let html = String::from_utf8_lossy(&page.bytes).into_owned();
    assert!(!html.contains("://"), "{html}");
    let mut loaded = 0;
    for part in html
        .split(['"', '\''])
        .filter(|part| part.starts_with("./"))
    {
        let file = nobody.get(&format!("/docs/{}", &part[2..])).await;
        assert_eq!(file.status, 200, "{part}");
        assert!(!file.bytes.is_empty());
        loaded += 1;
    }
    assert!(loaded >= 4, "{html}");
    let start = nobody.get("/docs/swagger-initializer.js").await;
    let start = String::from_utf8_lossy(&start.bytes).into_owned();
    assert!(
        start.contains("/openapi.json") && !start.contains("://"),
        "{start}"
    );
    assert!(start.contains("\"validatorUrl\": \"none\""), "{start}");
    assert_eq!(nobody.get("/docs/nothing.js").await.code(), "not_found");
}
