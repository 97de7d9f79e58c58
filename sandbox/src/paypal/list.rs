//! Pages of products, plans and transactions: numbered from 1, newest first.

use std::borrow::Cow;

use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use super::{error::PaypalError, outcome::link};
use crate::call::Call;

const SIZE_DEFAULT: usize = 10;
const SIZE_MAX: usize = 20;
const PAGE_MAX: usize = 100_000;

/// A query's parameters.
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

pub(super) struct Page {
    path: &'static str,
    size: usize,
    number: usize,
    total_required: bool,
    /// The filters of the list, which the links repeat.
    filters: String,
}

impl<'a> Query<'a> {
    pub(super) fn of(call: &'a Call) -> Query<'a> {
        Query(url::form_urlencoded::parse(call.query().as_bytes()).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_ref())
    }

    pub(super) fn number(&self, name: &str, max: usize) -> Result<Option<usize>, PaypalError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if (1..=max).contains(&number) => Ok(Some(number)),
            Ok(_) | Err(_) => Err(PaypalError::issue("INVALID_PARAMETER_VALUE")
                .in_query(name)
                .value(text)),
        }
    }
}

impl Page {
    pub(super) fn of(call: &Call, path: &'static str) -> Result<Page, PaypalError> {
        let query = Query::of(call);
        let total_required = match query.get("total_required") {
            None | Some("false") => false,
            Some("true") => true,
            Some(text) => {
                return Err(PaypalError::issue("INVALID_PARAMETER_VALUE")
                    .in_query("total_required")
                    .value(text));
            }
        };
        Ok(Page {
            path,
            size: query.number("page_size", SIZE_MAX)?.unwrap_or(SIZE_DEFAULT),
            number: query.number("page", PAGE_MAX)?.unwrap_or(1),
            total_required,
            filters: String::new(),
        })
    }

    pub(super) fn filtered(mut self, query: &Query<'_>, names: &[&str]) -> Page {
        for name in names {
            if let Some(value) = query.get(name) {
                let value: String = byte_serialize(value.as_bytes()).collect();
                self.filters.push_str(&format!("&{name}={value}"));
            }
        }
        self
    }

    pub(super) fn show<T>(&self, name: &str, items: Vec<&T>, view: impl Fn(&T) -> Value) -> Value {
        let total = items.len();
        let pages = total.div_ceil(self.size);
        let skipped = self.number.saturating_sub(1).saturating_mul(self.size);
        let shown: Vec<Value> = items
            .into_iter()
            .skip(skipped)
            .take(self.size)
            .map(view)
            .collect();
        let mut links = vec![self.link("self", self.number), self.link("first", 1)];
        if self.number > 1 {
            links.push(self.link("prev", self.number.saturating_sub(1)));
        }
        if self.number < pages {
            links.push(self.link("next", self.number.saturating_add(1)));
            links.push(self.link("last", pages));
        }
        let mut list = json!({ name: shown, "links": links });
        if let (Value::Object(list), true) = (&mut list, self.total_required) {
            list.insert("total_items".to_owned(), total.into());
            list.insert("total_pages".to_owned(), pages.into());
        }
        list
    }

    fn link(&self, rel: &str, number: usize) -> Value {
        let Page {
            path,
            size,
            total_required,
            filters,
            ..
        } = self;
        let query =
            format!("page_size={size}&page={number}&total_required={total_required}{filters}");
        link(&format!("{path}?{query}"), rel, "GET")
    }
}
