//! Reads query parameters, with the same care as a body: unknown and repeated ones are mistakes.

use std::collections::BTreeMap;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use onerouter_domain::metadata;

use super::fields::{TIME_RULE, checked, parse_time};
use crate::service::refusal::{FieldMistake, Refusal};

/// The parameters of one request.
#[derive(Debug)]
pub(crate) struct Query {
    pairs: BTreeMap<String, String>,
    mistakes: Vec<FieldMistake>,
}

impl Query {
    pub(crate) fn of(query: Option<&str>) -> Self {
        let mut this = Self {
            pairs: BTreeMap::new(),
            mistakes: Vec::new(),
        };
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if value.contains('\0') || value.contains('\u{fffd}') {
                this.mistake(&name, "invalid", "is not valid text");
            } else if this
                .pairs
                .insert(name.to_string(), value.into_owned())
                .is_some()
            {
                this.mistake(&name, "duplicate", "stands there twice");
            }
        }
        this
    }

    fn mistake(&mut self, name: &str, code: &'static str, detail: impl Into<String>) {
        self.mistakes
            .push(FieldMistake::new(format!("?{name}"), code, detail));
    }

    /// A parameter that is parsed; `rule` says what would be accepted.
    pub(crate) fn parsed<T>(
        &mut self,
        name: &str,
        rule: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.pairs.remove(name)?;
        let value = parse(&text);
        if value.is_none() {
            self.mistake(name, "invalid", rule);
        }
        value
    }

    /// A parameter that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &str,
        rule: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if !self.pairs.contains_key(name) {
            self.mistake(name, "required", format!("is required: {rule}"));
            return None;
        }
        self.parsed(name, rule, parse)
    }

    /// A time.
    pub(crate) fn time(&mut self, name: &str) -> Option<DateTime<Utc>> {
        self.parsed(name, TIME_RULE, parse_time)
    }

    /// `limit`: 1–100, 20 when absent.
    fn limit(&mut self) -> u16 {
        self.parsed("limit", "must be a whole number, 1 to 100", |text| {
            text.parse().ok().filter(|limit| (1..=100).contains(limit))
        })
        .unwrap_or(20)
    }

    /// Every `metadata[key]`.
    pub(crate) fn metadata(&mut self) -> Vec<(String, String)> {
        let names: Vec<String> = self
            .pairs
            .keys()
            .filter(|name| name.starts_with("metadata[") && name.ends_with(']'))
            .cloned()
            .collect();
        let mut pairs = Vec::with_capacity(names.len());
        for name in names {
            let value = self.pairs.remove(&name).unwrap_or_default();
            let key = name
                .strip_prefix("metadata[")
                .and_then(|rest| rest.strip_suffix(']'))
                .unwrap_or_default();
            if metadata::key_fits(key) {
                pairs.push((key.to_owned(), value));
            } else {
                self.mistake(&name, "invalid", "is not a metadata key");
            }
        }
        pairs
    }

    /// Ends the reading. What nobody asked for is unknown; `value` is what the parameters made,
    /// none only where a mistake was noted.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<T, Refusal> {
        let unknown: Vec<String> = std::mem::take(&mut self.pairs).into_keys().collect();
        for name in unknown {
            self.mistake(
                &name,
                "unknown_parameter",
                "is not a parameter of this request",
            );
        }
        checked(value, self.mistakes)
    }

    /// Reads the query of a request that has no parameters.
    pub(crate) fn none(query: Option<&str>) -> Result<(), Refusal> {
        Self::of(query).finish(Some(()))
    }

    /// `limit`, and `cursor` as the id of a page's last object.
    pub(crate) fn page<T: FromStr>(&mut self) -> (u16, Option<T>) {
        let limit = self.limit();
        let rule = "must be the next_cursor of a page";
        (limit, self.parsed("cursor", rule, |text| text.parse().ok()))
    }
}
