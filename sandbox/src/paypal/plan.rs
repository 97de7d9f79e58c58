//! Billing plans (v1).

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    authorization::insert,
    books::Books,
    desk::{Desk, time},
    error::PaypalError,
    fields::{self, Dialect, Fields},
    happened::{Entry, Happened, Subject, tell},
    id,
    list::{Page, Query},
    outcome::{Made, Outcome, link},
    terms::Terms,
};
use crate::call::Call;

const PATH: &str = "/v1/billing/plans";
const IDS_MAX: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlanStatus {
    Created,
    Inactive,
    Active,
}

const STATUSES: [(&str, PlanStatus); 3] = [
    ("CREATED", PlanStatus::Created),
    ("INACTIVE", PlanStatus::Inactive),
    ("ACTIVE", PlanStatus::Active),
];

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) id: String,
    pub(super) product: String,
    pub(super) name: String,
    description: Option<String>,
    pub(super) status: PlanStatus,
    pub(super) terms: Terms,
    pub(super) takes_quantity: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

pub(super) fn create(
    books: &mut Books,
    desk: &Desk<'_>,
    call: &Call,
) -> Result<Outcome, PaypalError> {
    let body = fields::body(call)?;
    let body = Fields::of(&body, Dialect::Billing)?;
    let product = body.required_text("product_id", 6..=50)?;
    let name = body.required_text("name", 1..=127)?;
    let description = body.text("description", 1..=127)?;
    let status = body.choice("status", &STATUSES)?;
    let plan = Plan {
        id: id::plan(),
        product: product.to_owned(),
        name: name.to_owned(),
        description: description.map(str::to_owned),
        status: status.unwrap_or(PlanStatus::Active),
        terms: Terms::parse(&body)?,
        takes_quantity: body.flag("quantity_supported")?.unwrap_or(false),
        created_at: desk.now,
        updated_at: desk.now,
    };
    if books.products.find(product).is_none() {
        return Err(body.wrong("INVALID_RESOURCE_ID", "product_id"));
    }
    plan.tell(desk, Happened::PlanCreated);
    let id = plan.id.clone();
    books.plans.push(id.clone(), plan);
    Ok(Outcome::created(Made::Plan(id)))
}

pub(super) fn activate(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
) -> Result<Outcome, PaypalError> {
    change(books, desk, id, PlanStatus::Active)
}

pub(super) fn deactivate(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
) -> Result<Outcome, PaypalError> {
    change(books, desk, id, PlanStatus::Inactive)
}

fn change(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
    to: PlanStatus,
) -> Result<Outcome, PaypalError> {
    books.plan(id)?;
    let Some(plan) = books.plans.find_mut(id) else {
        return Ok(Outcome::Done);
    };
    let (is_allowed, happened) = match to {
        PlanStatus::Active => (plan.status != PlanStatus::Active, Happened::PlanActivated),
        PlanStatus::Inactive | PlanStatus::Created => {
            (plan.status == PlanStatus::Active, Happened::PlanDeactivated)
        }
    };
    if !is_allowed {
        return Err(PaypalError::issue("PLAN_STATUS_INVALID"));
    }
    plan.status = to;
    plan.updated_at = desk.now;
    plan.tell(desk, happened);
    Ok(Outcome::Done)
}

pub(super) fn list(books: &Books, desk: &Desk<'_>, call: &Call) -> Result<Outcome, PaypalError> {
    let query = Query::of(call);
    let page = Page::of(call, PATH)?.filtered(&query, &["product_id", "plan_ids"]);
    let product = query.get("product_id");
    let ids: Option<Vec<&str>> = query.get("plan_ids").map(|ids| ids.split(',').collect());
    if ids.as_ref().is_some_and(|ids| ids.len() > IDS_MAX) {
        return Err(PaypalError::issue("INVALID_PARAMETER_VALUE").in_query("plan_ids"));
    }
    let plans = books
        .plans
        .iter()
        .rev()
        .map(|(_, plan)| plan)
        .filter(|plan| product.is_none_or(|product| product == plan.product))
        .filter(|plan| {
            ids.as_ref()
                .is_none_or(|ids| ids.contains(&plan.id.as_str()))
        });
    let shown = |plan: &Plan| {
        let mut view = plan.view();
        if let (Value::Object(fields), false) = (&mut view, desk.representation) {
            for name in [
                "billing_cycles",
                "payment_preferences",
                "taxes",
                "update_time",
            ] {
                fields.remove(name);
            }
        }
        view
    };
    Ok(Outcome::Shown(page.show("plans", plans.collect(), shown)))
}

impl PlanStatus {
    fn name(self) -> &'static str {
        match self {
            PlanStatus::Created => "CREATED",
            PlanStatus::Inactive => "INACTIVE",
            PlanStatus::Active => "ACTIVE",
        }
    }
}

impl Plan {
    fn tell(&self, desk: &Desk<'_>, happened: Happened) {
        let subject = Subject {
            id: &self.id,
            amount: None,
            at: desk.now,
            object: Some(&self.product),
        };
        tell(desk, happened, Entry::New, subject);
    }

    pub(super) fn view(&self) -> Value {
        let path = format!("{PATH}/{}", self.id);
        let change = match self.status {
            PlanStatus::Active => "deactivate",
            PlanStatus::Created | PlanStatus::Inactive => "activate",
        };
        let mut view = json!({
            "id": self.id,
            "product_id": self.product,
            "name": self.name,
            "status": self.status.name(),
            "quantity_supported": self.takes_quantity,
            "create_time": time(self.created_at),
            "update_time": time(self.updated_at),
            "links": [
                link(&path, "self", "GET"),
                link(&path, "edit", "PATCH"),
                link(&format!("{path}/{change}"), change, "POST"),
            ],
        });
        if let (Value::Object(fields), Value::Object(terms)) = (&mut view, self.terms.view()) {
            fields.extend(terms);
            insert(fields, "description", self.description.as_deref());
        }
        view
    }
}
