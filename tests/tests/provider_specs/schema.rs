//! Schemas of OpenAPI 3.0 as JSON Schema, and stricter than they are.

use serde_json::{Value, json};

/// `nullable` of 3.0 as the type that 3.1 has.
pub(crate) fn translate(value: &mut Value) {
    if let Value::Object(members) = value
        && members.get("nullable") == Some(&json!(true))
        && (members.contains_key("type") || members.contains_key("enum"))
    {
        members.remove("nullable");
        if let Some(kind) = members.get_mut("type") {
            *kind = json!([kind, "null"]);
        }
        if let Some(Value::Array(values)) = members.get_mut("enum") {
            values.push(Value::Null);
        }
    }
    children(value).for_each(translate);
}

/// Closes objects that do not say whether they are: a field that no description has is noticed.
pub(crate) fn close(value: &mut Value) {
    if let Value::Object(members) = value
        && members.get("type") == Some(&json!("object"))
        && members.get("properties").is_some_and(Value::is_object)
        && !members.contains_key("additionalProperties")
    {
        members.insert("additionalProperties".to_owned(), json!(false));
    }
    children(value).for_each(close);
}

fn children(value: &mut Value) -> Box<dyn Iterator<Item = &mut Value> + '_> {
    match value {
        Value::Object(members) => Box::new(members.values_mut()),
        Value::Array(items) => Box::new(items.iter_mut()),
        _ => Box::new(std::iter::empty()),
    }
}

#[test]
fn nullable_becomes_a_type() {
    let mut schema = json!({"properties": {
        "a": {"type": "string", "nullable": true},
        "b": {"type": "string", "enum": ["x"], "nullable": true},
        "c": {"type": "string", "nullable": false},
        "nullable": {"type": "string"},
    }});
    translate(&mut schema);
    let expected = json!({"properties": {
        "a": {"type": ["string", "null"]},
        "b": {"type": ["string", "null"], "enum": ["x", null]},
        "c": {"type": "string", "nullable": false},
        "nullable": {"type": "string"},
    }});
    assert_eq!(schema, expected);
}
