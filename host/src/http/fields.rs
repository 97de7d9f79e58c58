//! Reads a JSON object field by field and reports every mistake at once: a wrong type, a missing or
//! unknown field, a field that stands there twice, each with its JSON Pointer.
//!
//! Values stay text until somebody asks for them, so that a number is never read through a float.

mod lists;
mod pairs;

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use onerouter_domain::code::ErrorCode;
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::service::refusal::{FieldMistake, Refusal};

/// Fields of one object; no request has nearly as many.
const FIELDS_MAX: usize = 256;
/// Mistakes that are told: whoever makes more has other worries, and nobody can make us collect
/// millions of them.
const MISTAKES_MAX: usize = 100;

/// The fields of one object, in the order in which they came, and whether there were too many.
struct Object<'a>(Vec<(String, &'a RawValue)>, bool);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    if entries.len() == FIELDS_MAX {
                        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                        return Ok(Object(entries, true));
                    }
                    entries.push(entry);
                }
                Ok(Object(entries, false))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

/// One object that is being read.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    at: String,
    entries: BTreeMap<String, &'a RawValue>,
    mistakes: Vec<FieldMistake>,
    /// Of any other value there is only this one thing to say.
    is_object: bool,
}

impl<'a> Fields<'a> {
    /// Starts with a request's body. An empty one is `{}`.
    pub(crate) fn of_body(body: &'a [u8]) -> Result<Self, Refusal> {
        let body = if body.is_empty() { b"{}" } else { body };
        let value: &RawValue = serde_json::from_slice(body).map_err(|error| {
            Refusal::new(
                ErrorCode::InvalidJson,
                format!("The body is not valid JSON: {error}."),
            )
        })?;
        let fields = Self::at(String::new(), value);
        if fields.is_object {
            Ok(fields)
        } else if value.get().starts_with('{') {
            Err(Refusal::new(
                ErrorCode::InvalidJson,
                "The body is not valid JSON: a name in it is not valid Unicode text.",
            ))
        } else {
            Err(Refusal::invalid(fields.mistakes))
        }
    }

    /// Reads the body of a request that has no fields.
    pub(crate) fn none(body: &'a [u8]) -> Result<(), Refusal> {
        Self::of_body(body)?.finish(Some(()))
    }

    /// Starts with an object that stands at `at`. Any other value is a mistake of its own.
    pub(crate) fn at(at: String, value: &'a RawValue) -> Self {
        let mut fields = Self {
            at,
            entries: BTreeMap::new(),
            mistakes: Vec::new(),
            is_object: true,
        };
        match serde_json::from_str::<Object<'a>>(value.get()) {
            Ok(Object(entries, too_many)) => {
                if too_many {
                    let detail = format!("may have at most {FIELDS_MAX} fields");
                    let at = fields.at.clone();
                    fields.note(FieldMistake::new(at, "too_many", detail));
                }
                for (name, value) in entries {
                    if fields.entries.insert(name.clone(), value).is_some() {
                        fields.mistake(&name, "duplicate", "stands there twice");
                    }
                }
            }
            Err(_other_type) => {
                fields.is_object = false;
                let (code, detail) = if value.get().starts_with('{') {
                    ("invalid", "holds a name that is not valid Unicode text")
                } else {
                    ("invalid_type", "must be an object")
                };
                let at = fields.at.clone();
                fields.note(FieldMistake::new(at, code, detail));
            }
        }
        fields
    }

    /// Where a field stands.
    pub(crate) fn pointer(&self, name: &str) -> String {
        format!("{}/{}", self.at, escaped(name))
    }

    /// Notes a broken rule.
    pub(crate) fn mistake(&mut self, name: &str, code: &'static str, detail: impl Into<String>) {
        if self.is_object {
            self.note(FieldMistake::new(self.pointer(name), code, detail));
        }
    }

    fn note(&mut self, mistake: FieldMistake) {
        if self.mistakes.len() < MISTAKES_MAX {
            self.mistakes.push(mistake);
        }
    }

    /// Notes a broken rule of a pair in the object under `outer`.
    pub(crate) fn mistake_in(
        &mut self,
        outer: &str,
        inner: &str,
        code: &'static str,
        detail: impl Into<String>,
    ) {
        let pointer = format!("{}/{}", self.pointer(outer), escaped(inner));
        self.note(FieldMistake::new(pointer, code, detail));
    }

    /// Takes over mistakes that were found elsewhere. Of one place, the first is told.
    pub(crate) fn adopt(&mut self, mistakes: Vec<FieldMistake>) {
        for mistake in mistakes {
            if !self
                .mistakes
                .iter()
                .any(|known| known.pointer == mistake.pointer)
            {
                self.note(mistake);
            }
        }
    }

    /// Whether a field is there; `null` counts as absent.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries
            .get(name)
            .is_some_and(|value| value.get() != "null")
    }

    /// Whether a field is there and `null`, where that says more than its absence.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.entries
            .get(name)
            .is_some_and(|value| value.get() == "null")
    }

    /// As [`Fields::has`]; an absent one is a mistake.
    fn require(&mut self, name: &str) -> bool {
        let has = self.has(name);
        if !has {
            self.entries.remove(name);
            self.mistake(name, "required", "is required");
        }
        has
    }

    /// A field's value; `null` counts as absent.
    pub(crate) fn value(&mut self, name: &str) -> Option<&'a RawValue> {
        self.entries
            .remove(name)
            .filter(|value| value.get() != "null")
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let value = self.value(name)?;
        match read_text(value) {
            Ok(text) => Some(text),
            Err((code, detail)) => {
                self.mistake(name, code, detail);
                None
            }
        }
    }

    /// A text that must be there.
    pub(crate) fn required_text(&mut self, name: &str) -> Option<String> {
        if self.require(name) {
            self.text(name)
        } else {
            None
        }
    }

    /// A text of a length in characters.
    pub(crate) fn text_of(&mut self, name: &str, least: usize, most: usize) -> Option<String> {
        let text = self.text(name)?;
        self.of_length(name, text, least, most)
    }

    /// A text of a length in characters that must be there.
    pub(crate) fn required_text_of(
        &mut self,
        name: &str,
        least: usize,
        most: usize,
    ) -> Option<String> {
        let text = self.required_text(name)?;
        self.of_length(name, text, least, most)
    }

    fn of_length(&mut self, name: &str, text: String, least: usize, most: usize) -> Option<String> {
        let length = text.chars().count();
        if length < least {
            self.mistake(
                name,
                "too_short",
                format!("must have at least {least} character(s)"),
            );
            return None;
        }
        if length > most {
            self.mistake(
                name,
                "too_long",
                format!("may have at most {most} characters; it has {length}"),
            );
            return None;
        }
        Some(text)
    }

    /// A text that is parsed into something that keeps its promise.
    pub(crate) fn parsed<T>(&mut self, name: &str) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        let text = self.text(name)?;
        self.parse(name, &text)
    }

    /// As [`Fields::parsed`], and it must be there.
    pub(crate) fn required_parsed<T>(&mut self, name: &str) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        let text = self.required_text(name)?;
        self.parse(name, &text)
    }

    fn parse<T>(&mut self, name: &str, text: &str) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.mistake(name, "invalid", error.to_string());
                None
            }
        }
    }

    /// An integer between two bounds. `3600.0` is one too: JSON does not tell them apart, and some
    /// languages write every number so.
    pub(crate) fn integer(&mut self, name: &str, least: i64, most: i64) -> Option<i64> {
        let value = self.value(name)?;
        match without_zeros(value.get()).parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            Ok(_) => {
                self.mistake(name, "out_of_range", format!("must be {least} to {most}"));
                None
            }
            Err(_other_type) => {
                self.mistake(
                    name,
                    "invalid_type",
                    format!("must be a whole number, {least} to {most}"),
                );
                None
            }
        }
    }

    /// As [`Fields::integer`], and it must be there.
    pub(crate) fn required_integer(&mut self, name: &str, least: i64, most: i64) -> Option<i64> {
        if self.require(name) {
            self.integer(name, least, most)
        } else {
            None
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, name: &str) -> Option<bool> {
        let value = self.value(name)?;
        match value.get() {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.mistake(name, "invalid_type", "must be true or false");
                None
            }
        }
    }

    /// As [`Fields::boolean`], and it must be there.
    pub(crate) fn required_boolean(&mut self, name: &str) -> Option<bool> {
        if self.require(name) {
            self.boolean(name)
        } else {
            None
        }
    }

    /// An inner object; its mistakes come back by [`Fields::end`] and [`Fields::adopt`].
    pub(crate) fn inner(&mut self, name: &str) -> Option<Fields<'a>> {
        let value = self.value(name)?;
        let inner = Fields::at(self.pointer(name), value);
        if inner.is_object {
            Some(inner)
        } else {
            self.adopt(inner.mistakes);
            None
        }
    }

    /// As [`Fields::inner`], and it must be there.
    pub(crate) fn required_inner(&mut self, name: &str) -> Option<Fields<'a>> {
        if self.require(name) {
            self.inner(name)
        } else {
            None
        }
    }

    /// A time in RFC 3339 with an offset.
    pub(crate) fn time(&mut self, name: &str) -> Option<DateTime<Utc>> {
        let text = self.text(name)?;
        match parse_time(&text) {
            Some(time) => Some(time),
            None => {
                self.mistake(name, "invalid", TIME_RULE);
                None
            }
        }
    }

    /// As [`Fields::time`], and it must be there.
    pub(crate) fn required_time(&mut self, name: &str) -> Option<DateTime<Utc>> {
        if self.require(name) {
            self.time(name)
        } else {
            None
        }
    }

    /// Ends the reading. What nobody asked for is unknown; `value` is what the fields made, none
    /// only where a mistake was noted.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Refusal> {
        checked(value, self.end())
    }

    /// Ends the reading of an inner object: its mistakes.
    pub(crate) fn end(mut self) -> Vec<FieldMistake> {
        let unknown: Vec<String> = std::mem::take(&mut self.entries).into_keys().collect();
        for name in unknown {
            self.mistake(&name, "unknown_field", "is not a field of this request");
        }
        self.mistakes
    }
}

pub(crate) const TIME_RULE: &str =
    "must be a time in RFC 3339 form with an offset, such as 2027-01-31T09:30:00Z";

/// RFC 3339, between 1970 and 9999, cut to microseconds. A leap second is the first of the next
/// minute: not every store knows it.
pub(crate) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    let time = DateTime::from_timestamp_micros(time.timestamp_micros())?;
    let within = time.timestamp() >= 0 && time.timestamp() < 253_402_300_800;
    within.then_some(time)
}

/// What a request made, or its mistakes. The readers note one for every value that they do not give.
pub(crate) fn checked<T>(value: Option<T>, mistakes: Vec<FieldMistake>) -> Result<T, Refusal> {
    match value {
        Some(value) if mistakes.is_empty() => Ok(value),
        None if mistakes.is_empty() => {
            tracing::error!("a request made nothing, and no mistake says why");
            Err(Refusal::new(
                ErrorCode::InternalError,
                "Something went wrong on our side.",
            ))
        }
        Some(_) | None => Err(Refusal::invalid(mistakes)),
    }
}

/// A number without a fraction of nothing but zeros.
fn without_zeros(number: &str) -> &str {
    match number.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|digit| digit == b'0') => whole,
        Some(_) | None => number,
    }
}

/// A reference token of a JSON Pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn read_text(value: &RawValue) -> Result<String, (&'static str, &'static str)> {
    if !value.get().starts_with('"') {
        return Err(("invalid_type", "must be a text"));
    }
    // What the outer parser passed can still hold a lone surrogate.
    match serde_json::from_str::<String>(value.get()) {
        Ok(text) if text.contains('\0') => Err(("invalid", "may not contain the character U+0000")),
        Ok(text) => Ok(text),
        Err(_not_unicode) => Err(("invalid", "is not valid Unicode text")),
    }
}
