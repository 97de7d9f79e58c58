//! `PATCH /v2/checkout/orders/{id}`: JSON patch, on the intent and on purchase units.

use serde_json::{Map, Value};

use super::{
    super::{
        books::Books,
        desk::Desk,
        error::PaypalError,
        fields::{self, Dialect, Fields},
        happened::{Entry, Happened, Subject, tell},
        outcome::Outcome,
    },
    Intent, Order, OrderStatus,
    create::check_invoices,
    unit::{Unit, check_together},
};
use crate::call::Call;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Add,
    Replace,
    Remove,
}

const OPERATIONS: [(&str, Operation); 3] = [
    ("add", Operation::Add),
    ("replace", Operation::Replace),
    ("remove", Operation::Remove),
];
const ALL: &[Operation] = &[Operation::Add, Operation::Replace, Operation::Remove];
const SET: &[Operation] = &[Operation::Add, Operation::Replace];
/// What can be changed in a unit, and how.
const PATCHABLE: [(&str, &[Operation]); 9] = [
    ("amount", &[Operation::Replace]),
    ("custom_id", ALL),
    ("description", ALL),
    ("invoice_id", ALL),
    ("items", ALL),
    ("soft_descriptor", &[Operation::Replace, Operation::Remove]),
    ("shipping/name", SET),
    ("shipping/address", SET),
    ("shipping/type", SET),
];

/// One operation of the list.
struct Change<'a> {
    operation: Operation,
    path: &'a str,
    value: Option<&'a Value>,
    /// Where in the request it stands.
    at: String,
}

pub(in super::super) fn patch(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    let body = fields::body(call)?;
    let changes = parse(&body)?;
    let order = books.order(id, desk.now)?;
    if !order.is_open() {
        return Err(PaypalError::issue("ORDER_ALREADY_COMPLETED"));
    }
    let mut intent = order.intent;
    let mut units = order.units.clone();
    for change in &changes {
        change.apply(order, &mut intent, &mut units)?;
    }
    check_together(&units, intent)?;
    check_invoices(books, &units, id)?;
    if order.status == OrderStatus::Approved && total(&units) != total(&order.units) {
        return Err(PaypalError::issue("AMOUNT_CHANGE_NOT_ALLOWED").at("/purchase_units"));
    }
    let order = books.order_mut(id, desk.now)?;
    order.intent = intent;
    order.units = units;
    order.updated_at = desk.now;
    let subject = Subject {
        id,
        amount: order.total(),
        at: desk.now,
        object: None,
    };
    tell(desk, Happened::OrderChanged, Entry::New, subject);
    Ok(Outcome::Done)
}

fn total(units: &[Unit]) -> Vec<String> {
    units.iter().map(|unit| unit.amount.value()).collect()
}

fn parse(body: &Value) -> Result<Vec<Change<'_>>, PaypalError> {
    let Value::Array(operations) = body else {
        return Err(PaypalError::issue("INVALID_PARAMETER_SYNTAX").at("/"));
    };
    let changes = operations.iter().enumerate().map(|(index, operation)| {
        let at = format!("/{index}");
        let fields = Fields::below(operation, at.clone(), Dialect::Orders)?;
        let operation = fields
            .choice("op", &OPERATIONS)?
            .ok_or_else(|| fields.missing("op"))?;
        let path = fields
            .text("path", 0..=usize::MAX)?
            .ok_or_else(|| fields.wrong("PATCH_PATH_REQUIRED", "path"))?;
        let value = fields.present("value");
        if operation != Operation::Remove && value.is_none() {
            return Err(fields.wrong("PATCH_VALUE_REQUIRED", "value"));
        }
        Ok(Change {
            operation,
            path,
            value,
            at,
        })
    });
    changes.collect()
}

impl Change<'_> {
    fn wrong(&self, issue: &'static str) -> PaypalError {
        PaypalError::issue(issue)
            .at(format!("{}/path", self.at))
            .value(self.path)
    }

    fn apply(
        &self,
        order: &Order,
        intent: &mut Intent,
        units: &mut [Unit],
    ) -> Result<(), PaypalError> {
        let Some(path) = self.path.strip_prefix('/') else {
            return Err(self.wrong("INVALID_JSON_POINTER_FORMAT"));
        };
        if path == "intent" {
            return self.set_intent(intent);
        }
        let Some(rest) = path.strip_prefix("purchase_units/") else {
            return Err(self.wrong("NOT_PATCHABLE"));
        };
        let (reference, field) = self.split(rest)?;
        let unit = units.iter_mut().find(|unit| unit.reference_id == reference);
        let unit = unit.ok_or_else(|| self.wrong("REFERENCE_ID_NOT_FOUND"))?;
        let allowed = PATCHABLE.iter().find(|(name, _)| *name == field);
        let (_, operations) = allowed.ok_or_else(|| self.wrong("NOT_PATCHABLE"))?;
        if !operations.contains(&self.operation) {
            return Err(self.wrong("INVALID_PATCH_OPERATION"));
        }
        let mut details = unit.details.clone();
        self.change_field(&mut details, field)?;
        let details = Value::Object(details);
        let fields = Fields::below(&details, "/purchase_units".to_owned(), Dialect::Orders)?;
        let changed = Unit::parse(&fields, order.experience.shipping)?;
        *unit = Unit {
            authorizations: unit.authorizations.clone(),
            captures: unit.captures.clone(),
            reference_id: unit.reference_id.clone(),
            ..changed
        };
        Ok(())
    }

    fn set_intent(&self, intent: &mut Intent) -> Result<(), PaypalError> {
        if self.operation != Operation::Replace {
            return Err(self.wrong("INVALID_PATCH_OPERATION"));
        }
        let wanted = self.value.and_then(Value::as_str).unwrap_or_default();
        let found = Intent::ALL.iter().find(|(name, _)| *name == wanted);
        let (_, found) = found.ok_or_else(|| self.wrong("INVALID_PARAMETER_VALUE"))?;
        *intent = *found;
        Ok(())
    }

    /// `@reference_id=='default'/amount` names a unit and a field of it.
    fn split<'b>(&self, rest: &'b str) -> Result<(&'b str, &'b str), PaypalError> {
        let named = rest
            .strip_prefix("@reference_id=='")
            .and_then(|rest| rest.split_once('\''))
            .and_then(|(reference, rest)| Some((reference, rest.strip_prefix('/')?)));
        named.ok_or_else(|| self.wrong("INVALID_JSON_POINTER_FORMAT"))
    }

    fn change_field(
        &self,
        details: &mut Map<String, Value>,
        field: &str,
    ) -> Result<(), PaypalError> {
        let (parent, name) = match field.split_once('/') {
            None => (details, field),
            Some((parent, name)) => {
                let parent = details
                    .entry(parent)
                    .or_insert_with(|| Value::Object(Map::new()));
                match parent {
                    Value::Object(parent) => (parent, name),
                    _ => return Err(self.wrong("INVALID_PATCH_OPERATION")),
                }
            }
        };
        // Only what is there can be replaced or removed, only what is not can be added.
        if (self.operation == Operation::Add) == parent.contains_key(name) {
            return Err(self.wrong("INVALID_PATCH_OPERATION"));
        }
        match (self.operation, self.value) {
            (Operation::Add | Operation::Replace, Some(value)) => {
                parent.insert(name.to_owned(), value.clone());
            }
            (Operation::Remove, _) | (_, None) => {
                parent.remove(name);
            }
        }
        Ok(())
    }
}
