//! Bodies and queries of requests, read in every way in which a route reads its own.

use std::collections::BTreeMap;

use onerouter_domain::address::{Mailbox, PhoneNumber};
use serde_json::Value;

use crate::http_body::fields::Fields;
use crate::http_body::query::Query;
use crate::service::refusal::Refusal;

/// Mistakes that are told at most, and those that a reader may add when it ends.
const MISTAKES_MAX: usize = 100;

pub(crate) fn body(input: &[u8]) {
    json(input);
    if let Ok(text) = std::str::from_utf8(input) {
        query(text);
    }
}

fn json(input: &[u8]) {
    let read = read(input);
    let known: Option<BTreeMap<String, Value>> = serde_json::from_slice(input).ok();
    match read {
        Ok(()) => assert!(
            input.is_empty() || known.is_some(),
            "accepted, but no object"
        ),
        Err(refusal) => is_told(&refusal, |pointer| {
            pointer.is_empty() || pointer.starts_with('/')
        }),
    }
}

fn read(input: &[u8]) -> Result<(), Refusal> {
    let mut fields = Fields::of_body(input)?;
    let _: Option<PhoneNumber> = fields.parsed("phone");
    let _ = fields.text_of("body", 1, 1_600);
    let _ = fields.integer("count", 0, 100);
    let _ = fields.time("at");
    let _: Option<Vec<Mailbox>> = fields.one_or_more("to", 50);
    let _: Option<Vec<Mailbox>> = fields.parsed_list("cc", 50);
    let _ = fields.pairs("headers", 50);
    let metadata = fields.metadata();
    assert!(metadata.pairs().len() <= 50);
    for (pointer, value) in fields.list("items", 10).unwrap_or_default() {
        let mut inner = Fields::at(pointer, value);
        let _ = inner.required_text("name");
        fields.adopt(inner.end());
    }
    fields.finish(Some(()))
}

fn query(text: &str) {
    let mut query = Query::of(Some(text));
    let _ = query.page::<onerouter_domain::id::SmsId>();
    let _ = query.time("created_after");
    let _ = query.metadata();
    let _ = query.parsed("refresh", "must be true or false", |text| {
        text.parse::<bool>().ok()
    });
    if let Err(refusal) = query.finish(Some(())) {
        is_told(&refusal, |pointer| pointer.starts_with('?'));
    }
}

/// A refusal says something about every mistake, and not about millions.
fn is_told(refusal: &Refusal, is_place: impl Fn(&str) -> bool) {
    assert!(!refusal.detail.is_empty());
    assert!(refusal.errors.len() <= MISTAKES_MAX);
    for mistake in &refusal.errors {
        assert!(is_place(&mistake.pointer), "{}", mistake.pointer);
        assert!(!mistake.detail.is_empty());
    }
}
