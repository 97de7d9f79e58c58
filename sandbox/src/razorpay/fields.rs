//! The members of a request's body, read one by one; each reader refuses what is documented as wrong.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use http::header;
use serde_json::{Map, Value};

use super::{
    error::{RazorpayError, Shape},
    notes::Notes,
};
use crate::call::Call;

#[derive(Debug)]
pub(super) struct Fields<'a> {
    members: Cow<'a, Map<String, Value>>,
    shape: Shape,
}

impl<'a> Fields<'a> {
    /// A body that is not announced as JSON has no members, so that the first required one is missing.
    pub(super) fn of(call: &Call, shape: Shape) -> Result<Fields<'static>, RazorpayError> {
        let content_type = call
            .header(header::CONTENT_TYPE.as_str())
            .unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if call.body.is_empty() || !essence.eq_ignore_ascii_case("application/json") {
            return Ok(Fields {
                members: Cow::Owned(Map::new()),
                shape,
            });
        }
        match serde_json::from_slice(&call.body) {
            Ok(Value::Object(members)) => Ok(Fields {
                members: Cow::Owned(members),
                shape,
            }),
            Ok(_) | Err(_) => Err(RazorpayError::bad(
                shape,
                "The request body must be a JSON object",
            )),
        }
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Refuses every member that is not in `known`.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), RazorpayError> {
        let unknown: Vec<&str> = self
            .members
            .keys()
            .map(String::as_str)
            .filter(|name| !known.contains(name))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        if self.shape == Shape::UnsetList {
            return Err(RazorpayError::bad(self.shape, "wrong input fields sent."));
        }
        let names = unknown.join(", ");
        Err(RazorpayError::bad(
            self.shape,
            format!("{names} is/are not required and should not be sent"),
        ))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A member that is there and not null.
    fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn missing(&self, name: &str) -> RazorpayError {
        let label = name.replace('_', " ");
        let text = if self.shape == Shape::UnsetList {
            format!("The {label} is required")
        } else {
            format!("The {label} field is required.")
        };
        self.wrong(name, text)
    }

    pub(super) fn wrong(
        &self,
        name: &str,
        description: impl Into<Cow<'static, str>>,
    ) -> RazorpayError {
        RazorpayError::bad(self.shape, description).about(name)
    }

    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, RazorpayError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match value.as_i64() {
            Some(number) => Ok(Some(number)),
            None => {
                let label = name.replace('_', " ");
                Err(self.wrong(name, format!("The {label} must be an integer.")))
            }
        }
    }

    /// An integer that must be there and not below `least`.
    pub(super) fn count(&self, name: &str, least: i64) -> Result<i64, RazorpayError> {
        let count = self.integer(name)?.ok_or_else(|| self.missing(name))?;
        self.at_least(name, count, least)
    }

    pub(super) fn optional_count(
        &self,
        name: &str,
        least: i64,
    ) -> Result<Option<i64>, RazorpayError> {
        let count = self.integer(name)?;
        count
            .map(|count| self.at_least(name, count, least))
            .transpose()
    }

    fn at_least(&self, name: &str, count: i64, least: i64) -> Result<i64, RazorpayError> {
        if count < least {
            let label = name.replace('_', " ");
            return Err(self.wrong(name, format!("The {label} must be at least {least}.")));
        }
        Ok(count)
    }

    /// Unix seconds.
    pub(super) fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, RazorpayError> {
        let Some(seconds) = self.integer(name)? else {
            return Ok(None);
        };
        match DateTime::from_timestamp(seconds, 0) {
            Some(time) => Ok(Some(time)),
            None => Err(self.wrong(name, format!("{name} must be a valid timestamp"))),
        }
    }

    pub(super) fn text(
        &self,
        name: &str,
        characters_max: usize,
    ) -> Result<Option<String>, RazorpayError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let label = name.replace('_', " ");
        let Value::String(text) = value else {
            return Err(self.wrong(name, format!("The {label} must be a string.")));
        };
        if text.chars().count() > characters_max {
            let text = format!("The {label} may not be greater than {characters_max} characters.");
            return Err(self.wrong(name, text));
        }
        Ok(Some(text.clone()))
    }

    pub(super) fn required_text(
        &self,
        name: &str,
        characters_max: usize,
    ) -> Result<String, RazorpayError> {
        self.text(name, characters_max)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.missing(name))
    }

    /// The documentation's samples write booleans as `true`, `false`, `1` and `0`.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, RazorpayError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match (value.as_bool(), value.as_i64()) {
            (Some(flag), _) => Ok(Some(flag)),
            (_, Some(0)) => Ok(Some(false)),
            (_, Some(1)) => Ok(Some(true)),
            (None, _) => {
                let label = name.replace('_', " ");
                Err(self.wrong(name, format!("The {label} field must be true or false.")))
            }
        }
    }

    /// `name` when it has one of these values.
    pub(super) fn one_of(
        &self,
        name: &str,
        values: &[&'static str],
    ) -> Result<Option<&'static str>, RazorpayError> {
        let Some(text) = self.text(name, usize::MAX)? else {
            return Ok(None);
        };
        match values.iter().find(|value| **value == text) {
            Some(value) => Ok(Some(value)),
            None => {
                let label = name.replace('_', " ");
                Err(self.wrong(name, format!("The selected {label} is invalid.")))
            }
        }
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Fields<'_>>, RazorpayError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(Fields {
                members: Cow::Borrowed(members),
                shape: self.shape,
            })),
            Some(_) => Err(self.not_an_array(name)),
        }
    }

    pub(super) fn objects(&self, name: &str) -> Result<Vec<Fields<'_>>, RazorpayError> {
        let Some(value) = self.get(name) else {
            return Ok(Vec::new());
        };
        let items = value.as_array().ok_or_else(|| self.not_an_array(name))?;
        let mut objects = Vec::new();
        for item in items {
            let members = item.as_object().ok_or_else(|| self.not_an_array(name))?;
            objects.push(Fields {
                members: Cow::Borrowed(members),
                shape: self.shape,
            });
        }
        Ok(objects)
    }

    pub(super) fn notes(&self) -> Result<Option<Notes>, RazorpayError> {
        self.get("notes")
            .map(|value| Notes::parse(self, value))
            .transpose()
    }

    /// Both kinds of container are arrays where these texts come from.
    pub(super) fn not_an_array(&self, name: &str) -> RazorpayError {
        let label = name.replace('_', " ");
        self.wrong(name, format!("The {label} must be an array."))
    }
}
