//! Lists, and texts that may stand alone or in a list.

use std::fmt;

use serde_json::value::RawValue;

use super::{Fields, read_text};
use crate::service::refusal::FieldMistake;

impl<'a> Fields<'a> {
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

    /// As [`Fields::list`], with at least one entry.
    pub(crate) fn required_list(
        &mut self,
        name: &str,
        most: usize,
    ) -> Option<Vec<(String, &'a RawValue)>> {
        if !self.require(name) {
            return None;
        }
        let values = self.list(name, most)?;
        self.filled(name, values)
    }

    fn filled<T>(&mut self, name: &str, values: Vec<T>) -> Option<Vec<T>> {
        if values.is_empty() {
            self.mistake(name, "required", "needs at least one entry");
            return None;
        }
        Some(values)
    }

    /// A list of texts, each parsed; none where one of them cannot be.
    pub(crate) fn parsed_list<T>(&mut self, name: &str, most: usize) -> Option<Vec<T>>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        let values = self.list(name, most)?;
        let count = values.len();
        let mut parsed = Vec::with_capacity(count);
        for (pointer, value) in values {
            let read = read_text(value).map_err(|(code, detail)| (code, detail.to_owned()));
            let value = read.and_then(|text| {
                text.parse::<T>()
                    .map_err(|error| ("invalid", error.to_string()))
            });
            match value {
                Ok(value) => parsed.push(value),
                Err((code, detail)) => self.note(FieldMistake::new(pointer, code, detail)),
            }
        }
        (parsed.len() == count).then_some(parsed)
    }

    /// One text or a list of them.
    pub(crate) fn one_or_more<T>(&mut self, name: &str, most: usize) -> Option<Vec<T>>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        let first = self.entries.get(name)?.get().bytes().next();
        match first {
            Some(b'[') => self.parsed_list(name, most),
            Some(b'"') => self.parsed(name).map(|only| vec![only]),
            Some(_) | None => {
                if self.value(name).is_some() {
                    self.mistake(name, "invalid_type", "must be a text or a list of texts");
                }
                None
            }
        }
    }

    /// As [`Fields::one_or_more`], with at least one.
    pub(crate) fn required_one_or_more<T>(&mut self, name: &str, most: usize) -> Option<Vec<T>>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        if !self.require(name) {
            return None;
        }
        let values = self.one_or_more(name, most)?;
        self.filled(name, values)
    }
}
