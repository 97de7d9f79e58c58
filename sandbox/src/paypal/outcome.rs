//! What an operation came to, and how it is answered.

use http::StatusCode;
use serde_json::{Value, json};

use super::{books::Books, desk::Desk, error::PaypalError};
use crate::reply::Reply;

/// Something that a call made or changed, by its id: shown in its latest state, now and on repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Made {
    Order(String),
    Authorization(String),
    /// An authorization that was voided: no body unless a representation is preferred.
    Voided(String),
    Capture(String),
    Refund(String),
    Product(String),
    Plan(String),
    Subscription(String),
    /// A subscription's transaction: subscription, transaction.
    Transaction(String, String),
}

#[derive(Debug)]
pub(super) enum Outcome {
    /// Answered with this status the first time, with 200 on repeats.
    Made(StatusCode, Made),
    Shown(Value),
    /// Of what has no shorter form.
    Answered(StatusCode, Value),
    /// 204
    Done,
}

impl Outcome {
    pub(super) fn created(made: Made) -> Outcome {
        Outcome::Made(StatusCode::CREATED, made)
    }

    pub(super) fn reply(&self, books: &Books, desk: &Desk<'_>) -> Result<Reply, PaypalError> {
        match self {
            Outcome::Made(status, made) => made.reply(*status, books, desk),
            Outcome::Shown(value) => Ok(Reply::json(StatusCode::OK, value)),
            Outcome::Answered(status, value) => Ok(Reply::json(*status, value)),
            Outcome::Done => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        }
    }
}

impl Made {
    pub(super) fn reply(
        &self,
        status: StatusCode,
        books: &Books,
        desk: &Desk<'_>,
    ) -> Result<Reply, PaypalError> {
        if let Made::Voided(_) = self
            && !desk.representation
        {
            return Ok(Reply::empty(StatusCode::NO_CONTENT));
        }
        let whole = self.view(books, desk)?;
        let shown = match self {
            // The Transaction resource has no minimal form.
            Made::Transaction(..) => whole,
            _ if desk.representation => whole,
            _ => minimal(&whole),
        };
        Ok(Reply::json(status, &shown))
    }

    fn view(&self, books: &Books, desk: &Desk<'_>) -> Result<Value, PaypalError> {
        Ok(match self {
            Made::Order(id) => books.order(id, desk.now)?.view(books, desk),
            Made::Authorization(id) | Made::Voided(id) => books.authorization(id)?.view(),
            Made::Capture(id) => books.capture(id)?.view(books),
            Made::Refund(id) => books.refund(id)?.view(books),
            Made::Product(id) => books.product(id)?.view(),
            Made::Plan(id) => books.plan(id)?.view(),
            Made::Subscription(id) => books.subscription(id)?.view(&desk.base(), &[]),
            Made::Transaction(subscription, id) => books
                .subscription(subscription)?
                .transaction(id)
                .ok_or_else(|| PaypalError::issue("INVALID_RESOURCE_ID"))?
                .view(),
        })
    }
}

/// `id`, `status` and `links`, whichever there are.
fn minimal(whole: &Value) -> Value {
    let mut kept = json!({});
    if let (Value::Object(kept), Value::Object(whole)) = (&mut kept, whole) {
        for name in ["id", "status", "links"] {
            if let Some(value) = whole.get(name) {
                kept.insert(name.to_owned(), value.clone());
            }
        }
    }
    kept
}

/// One entry of `links[]` below the real API's host: a client that goes through an upstream map follows it
/// there again.
pub(super) fn link(path: &str, rel: &str, method: &str) -> Value {
    json!({
        "href": format!("https://{}{path}", super::HOST),
        "rel": rel,
        "method": method,
    })
}
