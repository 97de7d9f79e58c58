//! `POST /v2/payments/authorizations/{id}/void`

use http::StatusCode;

use super::super::{
    books::Books,
    course::AuthorizationStatus,
    desk::Desk,
    error::PaypalError,
    happened::{Entry, Happened, Subject, tell},
    order::OrderStatus,
    outcome::{Made, Outcome},
};

pub(in super::super) fn void(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
) -> Result<Outcome, PaypalError> {
    let authorization = books.authorization(id)?;
    if authorization.parent.is_some() {
        return Err(PaypalError::issue("CANNOT_BE_VOIDED"));
    }
    match authorization.status {
        AuthorizationStatus::Captured => return Err(PaypalError::issue("PREVIOUSLY_CAPTURED")),
        AuthorizationStatus::Voided => return Err(PaypalError::issue("PREVIOUSLY_VOIDED")),
        AuthorizationStatus::Created
        | AuthorizationStatus::Pending
        | AuthorizationStatus::Denied
        | AuthorizationStatus::PartiallyCaptured => {}
    }
    let order = authorization.order.clone();
    // A renewal goes with what it renews.
    let mut family = Vec::new();
    if let Some(order) = books.orders.find_mut(&order) {
        family = order
            .units
            .iter()
            .flat_map(|unit| unit.authorizations.clone())
            .collect();
        let captured = order.units.iter().any(|unit| !unit.captures.is_empty());
        if !captured {
            order.status = OrderStatus::Voided;
        }
        order.updated_at = desk.now;
    }
    for member in &family {
        let authorization = books.authorization_mut(member)?;
        if authorization.status != AuthorizationStatus::Captured {
            authorization.status = AuthorizationStatus::Voided;
            authorization.updated_at = desk.now;
        }
    }
    let authorization = books.authorization_mut(id)?;
    authorization.status = AuthorizationStatus::Voided;
    let subject = Subject {
        id,
        amount: Some(authorization.amount),
        at: desk.now,
        object: Some(&order),
    };
    tell(desk, Happened::AuthorizationVoided, Entry::New, subject);
    if books
        .orders
        .find(&order)
        .is_some_and(|order| order.status == OrderStatus::Voided)
    {
        let subject = Subject {
            id: &order,
            amount: None,
            at: desk.now,
            object: None,
        };
        tell(desk, Happened::OrderVoided, Entry::New, subject);
    }
    Ok(Outcome::Made(StatusCode::OK, Made::Voided(id.to_owned())))
}
