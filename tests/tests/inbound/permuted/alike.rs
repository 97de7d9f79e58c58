//! When two objects that were made apart are the same.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Counts the changes on the way, of which there may be fewer, and says when the last one was; and what PayPal says in
/// each refund of its capture's other ones, as of when it was read.
const OF_THE_WAY: [&str; 3] = ["version", "updated_at", "total_refunded_amount"];
/// 2001-09-09, in seconds since 1970; no amount here is as large.
const MOMENT: i64 = 1_000_000_000;
/// Ids of providers are no shorter.
const ID_MIN: usize = 10;

/// The objects are the same but for their ids, of which each stands for one of the other's, and for the moments
/// at which something happened.
#[track_caller]
pub(super) fn assert_alike(ones: &[Value], others: &[Value]) {
    let mut ids = Ids::default();
    let mut differences = Vec::new();
    assert_eq!(ones.len(), others.len());
    for (one, other) in ones.iter().zip(others) {
        let kind = one["object"].as_str().unwrap_or_default();
        ids.compare(kind, one, other, &mut differences);
    }
    assert!(
        differences.is_empty(),
        "in order, and by this schedule:\n{}",
        differences.join("\n")
    );
}

/// Which ids of the one stand for which of the other.
#[derive(Default)]
struct Ids {
    there: HashMap<String, String>,
    back: HashMap<String, String>,
}

impl Ids {
    fn compare(&mut self, path: &str, one: &Value, other: &Value, differences: &mut Vec<String>) {
        match (one, other) {
            (Value::Object(one), Value::Object(other)) => {
                let others = other.keys().filter(|name| !one.contains_key(*name));
                for name in one.keys().chain(others) {
                    let field =
                        |object: &Map<String, Value>| object.get(name).cloned().unwrap_or_default();
                    if !OF_THE_WAY.contains(&name.as_str()) {
                        let path = format!("{path}.{name}");
                        self.compare(&path, &field(one), &field(other), differences);
                    }
                }
            }
            (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
                for (place, (one, other)) in one.iter().zip(other).enumerate() {
                    self.compare(&format!("{path}.{place}"), one, other, differences);
                }
            }
            (Value::String(one), Value::String(other)) if self.are_one(one, other) => {}
            (Value::Number(_), Value::Number(_)) if is_moment(one) && is_moment(other) => {}
            _ if one == other => {}
            _ => differences.push(format!("{path}: {one}, and {other}")),
        }
    }

    fn are_one(&mut self, one: &str, other: &str) -> bool {
        if is_time(one) && is_time(other) {
            return true;
        }
        let (ones, others) = (words(one), words(other));
        ones.len() == others.len()
            && ones.into_iter().zip(others).all(|(one, other)| {
                let may_differ = is_id(one) && is_id(other) && one.len() == other.len();
                one == other || may_differ && self.pair(one, other)
            })
    }

    /// Whether the one stands for the other, from now on if for nothing yet.
    fn pair(&mut self, one: &str, other: &str) -> bool {
        let there = self.there.entry(one.to_owned());
        let back = self.back.entry(other.to_owned());
        there.or_insert_with(|| other.to_owned()) == other
            && back.or_insert_with(|| one.to_owned()) == one
    }
}

fn is_moment(number: &Value) -> bool {
    number.as_i64().is_some_and(|number| number > MOMENT)
}

fn is_time(text: &str) -> bool {
    chrono::DateTime::parse_from_rfc3339(text).is_ok()
}

/// A URL or a sentence in its words.
fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
        .collect()
}

/// No word of a language: those have no digits, and capital letters only in front or throughout.
fn is_id(word: &str) -> bool {
    let letters = word.chars().skip(1);
    let is_mixed =
        letters.clone().any(char::is_uppercase) && letters.clone().any(char::is_lowercase);
    let is_one_of_capitals =
        word.chars().all(|c| c.is_ascii_uppercase() || c == '-') && !word.contains('_');
    word.len() >= ID_MIN
        && (word.contains(|c: char| c.is_ascii_digit()) || is_mixed || is_one_of_capitals)
}
