//! Reads a JSON object field by field and reports every mistake at once: a wrong type, a missing or
//! unknown field, a field that stands there twice, each with its JSON Pointer.
//!
//! Values stay text until somebody asks for them, so that a number is never read through a float.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use onerouter_domain::code::ErrorCode;
use onerouter_domain::metadata::{self, Metadata};
use onerouter_domain::time;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::service::refusal::{FieldMistake, Refusal};

/// The fields of one object, in the order in which they came.
struct Object<'a>(Vec<(String, &'a RawValue)>);

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
                    entries.push(entry);
                }
                Ok(Object(entries))
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
        let mut fields = Self::at(String::new(), value);
        if let [only] = fields.mistakes.as_slice()
            && only.pointer.is_empty()
        {
            return Err(Refusal::invalid(std::mem::take(&mut fields.mistakes)));
        }
        Ok(fields)
    }

    /// Starts with an object that stands at `at`. Any other value is a mistake of its own.
    pub(crate) fn at(at: String, value: &'a RawValue) -> Self {
        let mut fields = Self {
            at,
            entries: BTreeMap::new(),
            mistakes: Vec::new(),
        };
        match serde_json::from_str::<Object<'a>>(value.get()) {
            Ok(Object(entries)) => {
                for (name, value) in entries {
                    if fields.entries.insert(name.clone(), value).is_some() {
                        fields.mistake(&name, "duplicate", "stands there twice");
                    }
                }
            }
            Err(_other_type) => {
                let at = fields.at.clone();
                fields
                    .mistakes
                    .push(FieldMistake::new(at, "invalid_type", "must be an object"));
            }
        }
        fields
    }

    /// Where a field stands.
    pub(crate) fn pointer(&self, name: &str) -> String {
        format!("{}/{}", self.at, name.replace('~', "~0").replace('/', "~1"))
    }

    /// Notes a broken rule.
    pub(crate) fn mistake(&mut self, name: &str, code: &'static str, detail: impl Into<String>) {
        self.mistakes
            .push(FieldMistake::new(self.pointer(name), code, detail));
    }

    /// Takes over the mistakes of an inner object.
    pub(crate) fn adopt(&mut self, mistakes: Vec<FieldMistake>) {
        self.mistakes.extend(mistakes);
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
        if self
            .entries
            .get(name)
            .is_none_or(|value| value.get() == "null")
        {
            self.entries.remove(name);
            self.mistake(name, "required", "is required");
            return None;
        }
        self.text(name)
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

    /// An integer between two bounds.
    pub(crate) fn integer(&mut self, name: &str, least: i64, most: i64) -> Option<i64> {
        let value = self.value(name)?;
        match value.get().parse::<i64>() {
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

    /// The values of a list, each with its place.
    pub(crate) fn list(&mut self, name: &str, most: usize) -> Option<Vec<(String, &'a RawValue)>> {
        let value = self.value(name)?;
        let Ok(values) = serde_json::from_str::<Vec<&'a RawValue>>(value.get()) else {
            self.mistake(name, "invalid_type", "must be a list");
            return None;
        };
        if values.len() > most {
            self.mistake(
                name,
                "too_many",
                format!("may have at most {most} entries; it has {}", values.len()),
            );
            return None;
        }
        let at = self.pointer(name);
        Some(
            values
                .into_iter()
                .enumerate()
                .map(|(index, value)| (format!("{at}/{index}"), value))
                .collect(),
        )
    }

    /// A list of texts, each parsed.
    pub(crate) fn parsed_list<T>(&mut self, name: &str, most: usize) -> Option<Vec<T>>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        let values = self.list(name, most)?;
        let mut parsed = Vec::with_capacity(values.len());
        for (pointer, value) in values {
            match read_text(value) {
                Ok(text) => match text.parse::<T>() {
                    Ok(value) => parsed.push(value),
                    Err(error) => {
                        self.mistakes.push(FieldMistake::new(
                            pointer,
                            "invalid",
                            error.to_string(),
                        ));
                    }
                },
                Err((code, detail)) => self.mistakes.push(FieldMistake::new(pointer, code, detail)),
            }
        }
        Some(parsed)
    }

    /// One text or a list of them.
    pub(crate) fn one_or_more<T>(&mut self, name: &str, most: usize) -> Option<Vec<T>>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        match self.entries.get(name) {
            Some(value) if value.get().starts_with('[') => self.parsed_list(name, most),
            Some(value) if value.get().starts_with('"') => {
                Some(self.parsed(name).into_iter().collect())
            }
            Some(value) if value.get() != "null" => {
                self.entries.remove(name);
                self.mistake(name, "invalid_type", "must be a text or a list of texts");
                None
            }
            Some(_) | None => {
                self.entries.remove(name);
                None
            }
        }
    }

    /// Text pairs, in the order of their names.
    pub(crate) fn pairs(&mut self, name: &str, most: usize) -> Option<Vec<(String, String)>> {
        let value = self.value(name)?;
        let mut inner = Self::at(self.pointer(name), value);
        let names: Vec<String> = inner.entries.keys().cloned().collect();
        if names.len() > most {
            self.mistake(
                name,
                "too_many",
                format!("may have at most {most} entries; it has {}", names.len()),
            );
            return None;
        }
        let mut pairs = Vec::with_capacity(names.len());
        for key in names {
            if let Some(text) = inner.required_text(&key) {
                pairs.push((key, text));
            }
        }
        self.adopt(inner.mistakes);
        Some(pairs)
    }

    /// `metadata`, also under its second name `notes`.
    pub(crate) fn metadata(&mut self) -> Metadata {
        let name = match (
            self.entries.contains_key("metadata"),
            self.entries.contains_key("notes"),
        ) {
            (true, true) => {
                self.mistake(
                    "notes",
                    "conflict",
                    "is another name of metadata; give one of them",
                );
                self.entries.remove("notes");
                "metadata"
            }
            (false, true) => "notes",
            (true | false, false) => "metadata",
        };
        let pairs = self.pairs(name, metadata::PAIRS_MAX).unwrap_or_default();
        let at = self.pointer(name);
        for (key, value) in &pairs {
            if !metadata::key_fits(key) {
                self.mistakes.push(FieldMistake::new(
                    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")),
                    "invalid",
                    "the key must be 1 to 64 characters of A-Z, a-z, 0-9, _, . and -",
                ));
            } else if !metadata::value_fits(value) {
                self.mistakes.push(FieldMistake::new(
                    format!("{at}/{key}"),
                    "too_long",
                    "the value may have at most 500 characters",
                ));
            }
        }
        Metadata::new(pairs.into_iter().collect()).unwrap_or_default()
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

    /// Ends the reading: what nobody asked for is unknown.
    pub(crate) fn finish(mut self) -> Result<(), Vec<FieldMistake>> {
        let unknown: Vec<String> = std::mem::take(&mut self.entries).into_keys().collect();
        for name in unknown {
            self.mistake(&name, "unknown_field", "is not a field of this request");
        }
        if self.mistakes.is_empty() {
            Ok(())
        } else {
            Err(self.mistakes)
        }
    }

    /// Whether a mistake was found so far.
    pub(crate) fn is_clean(&self) -> bool {
        self.mistakes.is_empty()
    }
}

pub(crate) const TIME_RULE: &str =
    "must be a time in RFC 3339 form with an offset, such as 2027-01-31T09:30:00Z";

/// RFC 3339, between 1970 and 9999, cut to microseconds.
pub(crate) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
    let within = time.timestamp() >= 0 && time.timestamp() < 253_402_300_800;
    within.then(|| time::cut(time))
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
