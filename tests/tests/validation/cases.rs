//! Tables of wrong values, as text: a field, a value as JSON, and the mistakes that are named.
//!
//! `"<65 k>"` within a value stands for 65 times `k`; a value `51 * X` is a list of 51 `X`; `pairs 51`
//! is an object of 51 texts.

use onerouter_tests::harness::{Client, Reply};
use onerouter_tests::table::Table;
use serde_json::{Map, Value, json};

/// The mistakes of a reply: `pointer code`, in their order.
pub fn mistakes(reply: &Reply) -> Vec<String> {
    let errors = reply.json["errors"].as_array();
    let mistakes = errors.into_iter().flatten().map(|error| {
        let text = |name: &str| error[name].as_str().unwrap();
        assert!(text("detail").len() > 5, "{error}");
        format!("{} {}", text("pointer"), text("code"))
    });
    mistakes.collect()
}

/// `body` with one field more, or another.
pub fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

/// Sends every case of a table (`field | value | mistake; mistake`) and compares.
pub async fn refuses(client: &Client, path: &str, base: fn() -> Value, cases: &str) {
    let mut table = Table::default();
    let cases: Vec<&str> = cases.lines().filter(|line| !line.is_empty()).collect();
    for case in &cases {
        let [field, value, expected] = *case.split(" | ").map(str::trim).collect::<Vec<_>>() else {
            panic!("not a case: {case}");
        };
        let expected: Vec<String> = expected.split("; ").map(expand).collect();
        let reply = client.post(path, with(base(), field, read(value))).await;
        let mut row = table.row(case);
        row.equal("status", &reply.status, &422);
        row.equal("code", &reply.json["code"], &json!("validation_failed"));
        row.equal("mistakes", &mistakes(&reply), &expected);
    }
    table.end(cases.len());
}

fn read(value: &str) -> Value {
    if let Some(count) = value.strip_prefix("pairs ") {
        let count: usize = count.parse().unwrap();
        let pairs: Map<String, Value> = (0..count).map(|n| (format!("k{n}"), json!("v"))).collect();
        return Value::Object(pairs);
    }
    if let Some((count, entry)) = value.split_once(" * ") {
        return Value::Array(vec![read(entry); count.parse().unwrap()]);
    }
    serde_json::from_str(&expand(value)).unwrap_or_else(|error| panic!("{value}: {error}"))
}

/// Writes out every `<65 k>`.
fn expand(text: &str) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('<') {
        expanded.push_str(before);
        let repeated = tail.split_once('>').and_then(|(inner, tail)| {
            let (count, unit) = inner.split_once(' ')?;
            Some((unit.repeat(count.parse().ok()?), tail))
        });
        match repeated {
            Some((repeated, tail)) => {
                expanded.push_str(&repeated);
                rest = tail;
            }
            None => {
                expanded.push('<');
                rest = tail;
            }
        }
    }
    expanded + rest
}
