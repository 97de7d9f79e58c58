//! `notes`: what the merchant keeps with an object.

use serde_json::{Map, Value, json};

use super::{
    error::{RazorpayError, Shape},
    fields::Fields,
};

const PAIRS_MAX: usize = 15;

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Notes(Map<String, Value>);

impl Notes {
    /// Up to 15 pairs; an empty list stands for no notes, as in the answers.
    pub(super) fn parse(fields: &Fields<'_>, value: &Value) -> Result<Notes, RazorpayError> {
        let pairs = match value {
            Value::Object(pairs) => pairs,
            Value::Array(items) if items.is_empty() => return Ok(Notes::default()),
            _ => return Err(fields.not_an_array("notes")),
        };
        if pairs.len() > PAIRS_MAX {
            let text = format!("Notes may not have more than {PAIRS_MAX} key-value pairs.");
            return Err(fields.wrong("notes", text));
        }
        for value in pairs.values() {
            check_value(fields, value)?;
        }
        Ok(Notes(pairs.clone()))
    }

    /// Empty notes are a list, filled ones an object.
    pub(super) fn view(&self) -> Value {
        if self.0.is_empty() {
            return json!([]);
        }
        Value::Object(self.0.clone())
    }

    /// As payment links show them: null instead of the empty list.
    pub(super) fn view_or_null(&self) -> Value {
        if self.0.is_empty() {
            return Value::Null;
        }
        self.view()
    }

    pub(super) fn has_value(&self, wanted: &str) -> bool {
        self.0.values().any(|value| value == wanted)
    }
}

fn check_value(fields: &Fields<'_>, value: &Value) -> Result<(), RazorpayError> {
    let characters = match value {
        Value::String(text) => text.chars().count(),
        Value::Number(_) | Value::Bool(_) => 0,
        Value::Null | Value::Array(_) | Value::Object(_) => {
            return Err(fields.wrong("notes", "The notes must have text values."));
        }
    };
    // Links have a limit and a wording of their own.
    if fields.shape() == Shape::UnsetList {
        if characters > 255 {
            return Err(fields.wrong("notes", "value: the length must not be greater than 255."));
        }
    } else if characters > 256 {
        return Err(fields.wrong(
            "notes",
            "Notes values may not be greater than 256 characters.",
        ));
    }
    Ok(())
}
