//! An OpenAPI description, 3.0 or 3.1, as a judge.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::DateTime;
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use crate::exchange::{Answer, Request, pairs};
use crate::schema::{close, translate};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Objects of these descriptions do not say that they are closed; here they are, so that a field that
/// no description has is noticed.
#[derive(Debug)]
pub(crate) struct Spec {
    name: String,
    document: Value,
    requests: usize,
    answers: usize,
    failures: Vec<String>,
}

/// Where an operation stands, and what its path's variables are.
struct Operation {
    pointer: String,
    path_values: BTreeMap<String, String>,
}

impl Spec {
    /// Reads a JSON or YAML file.
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let is_yaml = path
            .extension()
            .is_some_and(|extension| extension == "yaml");
        let mut document: Value = if is_yaml {
            serde_saphyr::from_str(&text).unwrap()
        } else {
            serde_json::from_str(&text).unwrap()
        };
        if document["openapi"].as_str().unwrap().starts_with("3.0") {
            translate(&mut document);
        }
        Self {
            name: path.file_name().unwrap().display().to_string(),
            document,
            requests: 0,
            answers: 0,
            failures: Vec::new(),
        }
    }

    /// Puts right what the provider's other pages, or its own examples, say otherwise.
    pub(crate) fn amend(&mut self, pointer: &str, value: Value) {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = self.document.pointer_mut(parent);
        match parent.unwrap_or_else(|| panic!("{pointer} hangs in the air")) {
            Value::Object(members) => {
                let before = members.insert(name.replace("~1", "/"), value.clone());
                assert_ne!(before, Some(value), "{pointer} has been put right");
            }
            Value::Array(items) => items.push(value),
            other => panic!("{pointer} cannot stand in {other}"),
        }
    }

    /// Path, method, parameters and body are described, and fit their descriptions.
    pub(crate) fn check_request(&mut self, request: &Request) {
        self.requests += 1;
        let place = format!("{} {}", request.method, request.path);
        let wrong = match self.operation(&request.method, &request.path) {
            None => vec!["no such operation".to_owned()],
            Some(operation) => {
                let mut wrong = self.wrong_parameters(request, &operation);
                wrong.extend(self.wrong_body(request, &operation));
                wrong
            }
        };
        self.note(&format!("request {place}"), wrong);
    }

    /// The status is described, and the body fits its description.
    pub(crate) fn check_answer(&mut self, answer: &Answer) {
        self.answers += 1;
        let place = format!("{} {} {}", answer.method, answer.path, answer.status);
        let wrong = match self.operation(&answer.method, &answer.path) {
            None => vec!["no such operation".to_owned()],
            Some(operation) => self.wrong_answer(answer, &operation),
        };
        self.note(&format!("answer to {place}"), wrong);
    }

    /// Says how much was checked, and fails if anything was wrong or less than this was checked.
    pub(crate) fn end(self, requests: usize, answers: usize) {
        println!(
            "{}: {} requests and {} answers held against it",
            self.name, self.requests, self.answers
        );
        let failures = self.failures.join("\n");
        assert!(failures.is_empty(), "not as in {}:\n{failures}", self.name);
        assert!(self.requests >= requests, "only {} requests", self.requests);
        assert!(self.answers >= answers, "only {} answers", self.answers);
    }

    fn note(&mut self, place: &str, wrong: Vec<String>) {
        let wrong = wrong.into_iter().map(|wrong| format!("{place}: {wrong}"));
        self.failures.extend(wrong);
    }

    /// The operation of this path; one without variables comes first.
    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        let method = method.to_lowercase();
        let templates = self.document["paths"].as_object().unwrap();
        let mut matching: Vec<_> = templates
            .iter()
            .filter(|(_, item)| item.get(&method).is_some())
            .filter_map(|(template, _)| Some((template, variables(template, path)?)))
            .collect();
        matching.sort_by_key(|(_, values)| values.len());
        let (template, path_values) = matching.into_iter().next()?;
        Some(Operation {
            pointer: format!("/paths/{}/{method}", escaped(template)),
            path_values,
        })
    }

    fn wrong_parameters(&self, request: &Request, operation: &Operation) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut known = Vec::new();
        let pointer = format!("{}/parameters", operation.pointer);
        let parameters = self.document.pointer(&pointer).and_then(Value::as_array);
        for (index, _) in parameters.into_iter().flatten().enumerate() {
            let (pointer, parameter) = self.resolve(format!("{pointer}/{index}"));
            let name = parameter["name"].as_str().unwrap();
            let found = match parameter["in"].as_str().unwrap() {
                "path" => operation.path_values.get(name).map(String::as_str),
                "query" => {
                    known.push(name.to_owned());
                    let pair = request.query.iter().find(|(found, _)| found == name);
                    pair.map(|(_, value)| value.as_str())
                }
                "header" => request.header(&name.to_lowercase()),
                place => panic!("a parameter in {place}"),
            };
            match found {
                None if parameter["required"] == true => wrong.push(format!("lacks {name}")),
                None => {}
                Some(text) => {
                    let pointer = format!("{pointer}/schema");
                    let value = self.typed(&pointer, text);
                    wrong.extend(self.misfits(&pointer, &value, name));
                }
            }
        }
        for (name, _) in &request.query {
            if !known.contains(name) {
                wrong.push(format!("has a parameter {name:?} that is not described"));
            }
        }
        wrong
    }

    fn wrong_body(&self, request: &Request, operation: &Operation) -> Vec<String> {
        let pointer = format!("{}/requestBody/content", operation.pointer);
        let content = self.document.pointer(&pointer).and_then(Value::as_object);
        let media_type = request.header("content-type").map(media_type);
        match (content, media_type) {
            (None, None) if request.body.is_empty() => Vec::new(),
            (None, _) => vec!["has a body that is not described".to_owned()],
            (Some(content), Some(media_type)) if content.contains_key(media_type) => {
                let pointer = format!("{pointer}/{}/schema", escaped(media_type));
                let body = match media_type {
                    FORM => self.form(&pointer, &request.body),
                    JSON => serde_json::from_str(&request.body).unwrap_or(Value::Null),
                    other => panic!("a body of type {other}"),
                };
                self.misfits(&pointer, &body, "body")
            }
            (Some(_), found) => vec![format!("has a body of type {found:?}")],
        }
    }

    fn wrong_answer(&self, answer: &Answer, operation: &Operation) -> Vec<String> {
        let pointer = format!("{}/responses/{}", operation.pointer, answer.status);
        let Some(response) = self.document.pointer(&pointer) else {
            return vec!["this status is not described".to_owned()];
        };
        let content = response["content"].as_object();
        let found = answer.content_type.as_deref().map(media_type);
        match (content, found) {
            (None, _) if answer.body.is_empty() => Vec::new(),
            (Some(content), Some(found)) if content.contains_key(found) => {
                let pointer = format!("{pointer}/content/{}/schema", escaped(found));
                self.misfits(&pointer, &answer.json(), "body")
            }
            (_, found) => vec![format!("has a body of type {found:?}")],
        }
    }

    /// A form as JSON: lists where the schema has lists, other values by their type.
    fn form(&self, pointer: &str, body: &str) -> Value {
        let (pointer, schema) = self.resolve(pointer.to_owned());
        let mut members = Map::new();
        for (name, text) in pairs(body) {
            let place = format!("{pointer}/properties/{}", escaped(&name));
            if schema["properties"][&name]["type"] == "array" {
                let value = self.typed(&format!("{place}/items"), &text);
                let list = members.entry(name).or_insert_with(|| json!([]));
                list.as_array_mut().unwrap().push(value);
            } else {
                let value = self.typed(&place, &text);
                let before = members.insert(name.clone(), value);
                assert_eq!(before, None, "{name} stands in the form twice");
            }
        }
        Value::Object(members)
    }

    /// Text as the schema's type has it.
    fn typed(&self, pointer: &str, text: &str) -> Value {
        let is_text = || Value::from(text);
        if self.document.pointer(pointer).is_none() {
            return is_text();
        }
        let (_, schema) = self.resolve(pointer.to_owned());
        match schema["type"].as_str() {
            Some("integer" | "number" | "boolean") => {
                serde_json::from_str(text).unwrap_or_else(|_| is_text())
            }
            _ => is_text(),
        }
    }

    /// What stands at a place, and where that really is.
    fn resolve(&self, mut pointer: String) -> (String, &Value) {
        loop {
            let found = self.document.pointer(&pointer);
            let found = found.unwrap_or_else(|| panic!("nothing at {pointer}"));
            match found["$ref"].as_str() {
                Some(reference) => pointer = reference.trim_start_matches('#').to_owned(),
                None => return (pointer, found),
            }
        }
    }

    fn misfits(&self, pointer: &str, value: &Value, what: &str) -> Vec<String> {
        let validator = self.validator(pointer);
        let errors = validator.iter_errors(value);
        errors
            .map(|error| format!("{what}{}: {error}", error.instance_path()))
            .collect()
    }

    /// The whole document goes with the schema, so that its references lead somewhere.
    fn validator(&self, pointer: &str) -> Validator {
        let mut schema = self.document.clone();
        close(&mut schema);
        schema["allOf"] = json!([schema.pointer(pointer)]);
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .with_format("date-time-rfc-2822", |text: &str| {
                DateTime::parse_from_rfc2822(text).is_ok()
            })
            .build(&schema)
            .unwrap_or_else(|error| panic!("{pointer}: {error}"))
    }
}

/// The values of a template's variables in a path that fits it.
fn variables(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let (templates, parts) = (template.split('/'), path.split('/'));
    if templates.clone().count() != parts.clone().count() {
        return None;
    }
    let mut values = BTreeMap::new();
    for (template, part) in templates.zip(parts) {
        match template.split_once('{') {
            None if template == part => {}
            None => return None,
            Some((before, rest)) => {
                let (name, after) = rest.split_once('}')?;
                let value = part.strip_prefix(before)?.strip_suffix(after)?;
                let is_one = !value.is_empty() && (!after.is_empty() || !value.contains('.'));
                is_one.then(|| values.insert(name.to_owned(), value.to_owned()))?;
            }
        }
    }
    Some(values)
}

/// `application/json; charset=utf-8` without what follows.
fn media_type(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

/// A name as a part of a JSON Pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[test]
fn a_path_is_read_by_its_template() {
    let template = "/Accounts/{AccountSid}/Messages/{Sid}.json";
    let values = variables(template, "/Accounts/AC1/Messages/SM1.json").unwrap();
    assert_eq!(
        (values["AccountSid"].as_str(), values["Sid"].as_str()),
        ("AC1", "SM1")
    );
    for path in [
        "/Accounts/AC1/Messages.json",
        "/Accounts/AC1/Messages/SM1",
        "/Accounts/AC1/Messages/SM1/Media.json",
        "/Accounts//Messages/SM1.json",
    ] {
        assert_eq!(variables(template, path), None, "{path}");
    }
}

/// What these tests stand on: a judge that lets everything pass would be of no use.
#[test]
fn what_a_description_does_not_have_is_noticed() {
    let document = json!({
        "openapi": "3.1.0",
        "paths": {"/things/{id}": {"post": {
            "parameters": [
                {"name": "Key", "in": "header", "required": true, "schema": {"type": "string", "maxLength": 3}},
                {"name": "n", "in": "query", "schema": {"type": "integer"}},
            ],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
            "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}},
        }}},
        "components": {"schemas": {"Thing": {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}}},
    });
    let request = |change: fn(&mut Request)| {
        let mut request = Request {
            method: "POST".to_owned(),
            path: "/things/1".to_owned(),
            query: pairs("n=1"),
            headers: vec![
                ("key".to_owned(), "abc".to_owned()),
                ("content-type".to_owned(), "application/json".to_owned()),
            ],
            body: r#"{"a":"b"}"#.to_owned(),
        };
        change(&mut request);
        let mut spec = Spec {
            name: String::new(),
            document: document.clone(),
            requests: 0,
            answers: 0,
            failures: Vec::new(),
        };
        spec.check_request(&request);
        spec.check_answer(&Answer {
            method: request.method,
            path: request.path,
            status: 200,
            content_type: Some("application/json; charset=utf-8".to_owned()),
            body: request.body,
        });
        spec.failures.len()
    };
    assert_eq!(request(|_| {}), 0);
    assert_eq!(request(|request| request.method = "PUT".to_owned()), 2);
    assert_eq!(request(|request| request.path = "/others/1".to_owned()), 2);
    assert_eq!(request(|request| request.query = pairs("n=x")), 1);
    assert_eq!(request(|request| request.query = pairs("m=1")), 1);
    assert_eq!(
        request(|request| request.headers[0].1 = "abcd".to_owned()),
        1
    );
    assert_eq!(request(|request| drop(request.headers.remove(0))), 1);
    assert_eq!(request(|request| drop(request.headers.pop())), 1);
    // A body counts twice: as the request's and as the answer's.
    assert_eq!(request(|request| request.body = "{}".to_owned()), 2);
    assert_eq!(request(|request| request.body = r#"{"a":1}"#.to_owned()), 2);
    assert_eq!(
        request(|request| request.body = r#"{"a":"b","c":1}"#.to_owned()),
        2
    );
}
