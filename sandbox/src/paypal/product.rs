//! Catalog products (v1).

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{
    books::Books,
    desk::{Desk, time},
    error::PaypalError,
    fields::{self, Dialect, Fields},
    happened::{Entry, Happened, Subject, tell},
    id,
    list::Page,
    outcome::{Made, Outcome, link},
};
use crate::call::Call;

const PATH: &str = "/v1/catalogs/products";
/// Identifiers that begin so are PayPal's own.
const SYSTEM_PREFIX: &str = "PROD-";

#[derive(Debug)]
pub(super) struct Product {
    id: String,
    /// As it was sent.
    details: Map<String, Value>,
    created_at: DateTime<Utc>,
}

pub(super) fn create(
    books: &mut Books,
    desk: &Desk<'_>,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    let body = fields::body(call)?;
    let body = Fields::of(&body, Dialect::Billing)?;
    body.required_text("name", 1..=127)?;
    body.required_text("type", 1..=24)?;
    body.check_choice("type", &["PHYSICAL", "DIGITAL", "SERVICE"])?;
    body.text("description", 1..=256)?;
    let category = body.text("category", 4..=256)?;
    // The list of categories is long and grows; only their form is checked.
    let is_category = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    if !category.is_none_or(is_category) {
        return Err(body.wrong("INVALID_PARAMETER_VALUE", "category"));
    }
    body.url("image_url", 1..=2000)?;
    body.url("home_url", 1..=2000)?;
    let id = match body.text("id", 6..=50)? {
        None => id::product(),
        Some(own) if own.starts_with(SYSTEM_PREFIX) => {
            return Err(body.wrong("INVALID_PARAMETER_SYNTAX", "id"));
        }
        Some(own) if books.products.find(own).is_some() => {
            return Err(body.wrong("DUPLICATE_RESOURCE_IDENTIFIER", "id"));
        }
        Some(own) => own.to_owned(),
    };
    let known = [
        "name",
        "type",
        "description",
        "category",
        "image_url",
        "home_url",
    ];
    let details = known
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), body.present(name)?.clone())))
        .collect();
    let product = Product {
        id: id.clone(),
        details,
        created_at: desk.now,
    };
    let subject = Subject {
        id: &id,
        amount: None,
        at: desk.now,
        object: None,
    };
    tell(desk, Happened::ProductCreated, Entry::New, subject);
    books.products.push(id.clone(), product);
    Ok(Outcome::created(Made::Product(id)))
}

pub(super) fn list(books: &Books, call: &Call) -> Result<Outcome, PaypalError> {
    let page = Page::of(call, PATH)?;
    let products = books.products.iter().rev().map(|(_, product)| product);
    let shown = |product: &Product| {
        let mut view = product.details.clone();
        for name in ["type", "category", "image_url", "home_url"] {
            view.remove(name);
        }
        product.complete(view)
    };
    Ok(Outcome::Shown(page.show(
        "products",
        products.collect(),
        shown,
    )))
}

impl Product {
    pub(super) fn view(&self) -> Value {
        self.complete(self.details.clone())
    }

    fn complete(&self, mut view: Map<String, Value>) -> Value {
        view.insert("id".to_owned(), self.id.clone().into());
        view.insert("create_time".to_owned(), time(self.created_at).into());
        let path = format!("{PATH}/{}", self.id);
        let links = vec![link(&path, "self", "GET"), link(&path, "edit", "PATCH")];
        view.insert("links".to_owned(), links.into());
        Value::Object(view)
    }
}
