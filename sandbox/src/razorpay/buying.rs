//! What a buyer's decision does, and what the browser brings back to the merchant. Pages and the
//! control API both end here.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    State,
    books::{Books, Cause},
    checkout::{Callback, object_view},
    order::{Order, OrderStatus},
    paying::{Attempt, Verdict},
    payment::{Failure, Method, ORDER_PAID},
    signature::sign,
};
use crate::buyer::{Buyer, SentBack};

/// How the buyer pays, and where a checkout that no browser has opened would have led back to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Details {
    pub(super) method: Method,
    /// A part of what is due, where that is allowed.
    pub(super) amount: Option<i64>,
    pub(super) callback_url: Option<String>,
    pub(super) cancel_url: Option<String>,
}

/// Whether a buyer can do anything with that id here.
pub(super) fn knows(state: &State, id: &str) -> bool {
    let books = state.books();
    books.orders.find(id).is_some()
        || books.links.find(id).is_some()
        || books.subscriptions.find(id).is_some()
        || books.payments.find(id).is_some()
}

/// `None`: nothing here has that id.
pub(super) fn decide(
    state: &State,
    id: &str,
    buyer: Buyer,
    details: Details,
) -> Option<Result<SentBack, String>> {
    let cause = Cause::buyer(&state.core);
    let mut books = state.books();
    let visit = Visit {
        cause: &cause,
        id,
        buyer,
        details,
    };
    if books.orders.find(id).is_some() {
        Some(visit.pay_order(&mut books))
    } else if books.links.find(id).is_some() {
        Some(visit.pay_link(&mut books))
    } else if books.subscriptions.find(id).is_some() {
        Some(visit.subscribe(&mut books))
    } else if books.payments.find(id).is_some() {
        Some(visit.authorize_late(&mut books))
    } else {
        None
    }
}

struct Visit<'a> {
    cause: &'a Cause<'a>,
    id: &'a str,
    buyer: Buyer,
    details: Details,
}

impl Visit<'_> {
    fn pay_order(self, books: &mut Books) -> Result<SentBack, String> {
        let order = books.orders.find(self.id).ok_or_else(forgotten)?;
        let callback = self.callback(order.callback.as_ref());
        let Some(verdict) = self.verdict() else {
            return Ok(self.left(books, callback));
        };
        if order.status == OrderStatus::Paid {
            return Err(ORDER_PAID.to_owned());
        }
        let amount = self.part(order.due(), order.parts, order.amount_paid == 0)?;
        let attempt = Attempt {
            amount,
            method: self.details.method,
            payer: order.payer.clone(),
            description: order.description.clone(),
            ..Attempt::default()
        };
        let payment_id = books
            .attempt(self.cause, self.id, attempt, verdict)
            .ok_or_else(forgotten)?;
        if verdict == Verdict::Failed {
            return Ok(self.failed(books, callback, &payment_id));
        }
        if books.captures_alone(self.cause, &payment_id) {
            books.capture(self.cause, &payment_id);
        }
        let fields = [
            ("razorpay_payment_id", payment_id.clone()),
            ("razorpay_order_id", self.id.to_owned()),
            ("razorpay_signature", sign(&[self.id, &payment_id])),
        ];
        Ok(self.posted(books, callback, fields_of(fields)))
    }

    /// Links capture by themselves and come back with a query; without success nobody is sent back.
    fn pay_link(self, books: &mut Books) -> Result<SentBack, String> {
        if self.details.callback_url.is_some() || self.details.cancel_url.is_some() {
            return Err("a payment link has its own callback_url, and no cancel_url".to_owned());
        }
        let link = books.links.find(self.id).ok_or_else(forgotten)?;
        let Some(verdict) = self.verdict() else {
            return Ok(self.stays(books));
        };
        if !link.is_open() {
            return Err("the payment link is not open any more".to_owned());
        }
        let due = link.amount.saturating_sub(link.amount_paid);
        let amount = self.part(due, link.parts, link.amount_paid == 0)?;
        let stripped = self.id.strip_prefix("plink_").unwrap_or(self.id);
        let attempt = Attempt {
            amount,
            method: self.details.method,
            payer: link.payer(),
            description: Some(format!("#{stripped}")),
            link_id: Some(self.id.to_owned()),
            ..Attempt::default()
        };
        let order_id = self.order_of_link(books).ok_or_else(forgotten)?;
        let payment_id = books
            .attempt(self.cause, &order_id, attempt, verdict)
            .ok_or_else(forgotten)?;
        if verdict == Verdict::Failed {
            return Ok(self.stays(books));
        }
        books.capture(self.cause, &payment_id);
        let link = books.links.find(self.id).ok_or_else(forgotten)?;
        let Some(callback) = &link.callback else {
            return Ok(self.stays(books));
        };
        let status = json!(link.status).as_str().unwrap_or_default().to_owned();
        let reference = link.reference_id.clone();
        let signature = sign(&[self.id, &reference, &status, &payment_id]);
        let fields = [
            ("razorpay_payment_id", payment_id),
            ("razorpay_payment_link_id", self.id.to_owned()),
            ("razorpay_payment_link_reference_id", reference),
            ("razorpay_payment_link_status", status),
            ("razorpay_signature", signature),
        ];
        let mut url = Url::parse(&callback.url).map_err(|error| error.to_string())?;
        url.query_pairs_mut()
            .extend_pairs(fields.iter().map(|(name, value)| (name, value)));
        Ok(SentBack {
            method: "GET",
            url: Some(url.into()),
            fields: fields_of(fields),
            object: object_view(books, self.id),
        })
    }

    /// All attempts on a link share one order, made for the first of them.
    fn order_of_link(&self, books: &mut Books) -> Option<String> {
        let link = books.links.find_mut(self.id)?;
        if let Some(order_id) = &link.order_id {
            return Some(order_id.clone());
        }
        let order = Order {
            receipt: Some(link.reference_id.clone()).filter(|text| !text.is_empty()),
            parts: link.parts,
            ..Order::new(link.amount, link.currency.clone(), self.cause.at)
        };
        let order_id = order.id.clone();
        link.order_id = Some(order_id.clone());
        books.orders.push(order_id.clone(), order);
        Some(order_id)
    }

    fn subscribe(self, books: &mut Books) -> Result<SentBack, String> {
        if self.details.amount.is_some() {
            return Err("a subscription has its own amount".to_owned());
        }
        let subscription = books.subscriptions.find(self.id).ok_or_else(forgotten)?;
        let callback = self.callback(subscription.callback.as_ref());
        let Some(verdict) = self.verdict() else {
            return Ok(self.left(books, callback));
        };
        if !subscription.takes_mandate() {
            let status = subscription.status.name();
            return Err(format!("a subscription that is {status} takes no mandate"));
        }
        let method = self.details.method;
        if verdict == Verdict::Failed {
            let payment_id = books
                .refuse_mandate(self.cause, self.id, method)
                .ok_or_else(forgotten)?;
            return Ok(self.failed(books, callback, &payment_id));
        }
        let payment_id = books
            .give_mandate(self.cause, self.id, method)
            .ok_or_else(forgotten)?;
        // The other way round than for an order.
        let signature = sign(&[&payment_id, self.id]);
        let fields = [
            ("razorpay_payment_id", payment_id),
            ("razorpay_subscription_id", self.id.to_owned()),
            ("razorpay_signature", signature),
        ];
        Ok(self.posted(books, callback, fields_of(fields)))
    }

    /// A failed payment that the bank says yes to after all. Nobody is at the browser any more.
    fn authorize_late(self, books: &mut Books) -> Result<SentBack, String> {
        let payment = books.payments.find(self.id).ok_or_else(forgotten)?;
        if payment.subscription_id.is_some() || self.buyer != Buyer::Approve {
            return Err(
                "only a failed payment of an order or a link can be approved late".to_owned(),
            );
        }
        if !books.authorize_late(self.cause, self.id) {
            return Err("the payment has not failed".to_owned());
        }
        Ok(self.stays(books))
    }

    fn verdict(&self) -> Option<Verdict> {
        match self.buyer {
            Buyer::Approve => Some(Verdict::Authorized),
            Buyer::Decline => Some(Verdict::Failed),
            Buyer::Abandon => None,
        }
    }

    /// What the visit itself says goes before what an opened page said.
    fn callback(&self, opened: Option<&Callback>) -> Back {
        let opened_url = opened.map(|callback| callback.url.clone());
        let opened_cancel = opened.and_then(|callback| callback.cancel_url.clone());
        Back {
            url: self.details.callback_url.clone().or(opened_url),
            cancel_url: self.details.cancel_url.clone().or(opened_cancel),
        }
    }

    /// How much is paid now.
    fn part(&self, due: i64, parts: Option<i64>, first: bool) -> Result<i64, String> {
        let amount = self.details.amount.unwrap_or(due);
        if amount == due {
            return Ok(amount);
        }
        let Some(least) = parts else {
            return Err(format!("{due} is due and has to be paid at once"));
        };
        let least = if first { least } else { 1 };
        if !(least..=due).contains(&amount) {
            return Err(format!("a part is at least {least} and at most {due}"));
        }
        Ok(amount)
    }

    fn left(&self, books: &Books, back: Back) -> SentBack {
        SentBack {
            method: "GET",
            url: back.cancel_url,
            fields: Map::new(),
            object: object_view(books, self.id),
        }
    }

    fn stays(&self, books: &Books) -> SentBack {
        SentBack {
            method: "GET",
            url: None,
            fields: Map::new(),
            object: object_view(books, self.id),
        }
    }

    fn posted(&self, books: &Books, back: Back, fields: Map<String, Value>) -> SentBack {
        SentBack {
            method: "POST",
            url: back.url,
            fields,
            object: object_view(books, self.id),
        }
    }

    fn failed(&self, books: &Books, back: Back, payment_id: &str) -> SentBack {
        let payment = books.payments.find(payment_id);
        let order_id = payment.map(|payment| payment.order_id.as_str());
        let metadata = json!({ "payment_id": payment_id, "order_id": order_id });
        let fields = [
            ("error[code]", Failure::CODE.to_owned()),
            ("error[description]", Failure::DESCRIPTION.to_owned()),
            ("error[source]", Failure::SOURCE.to_owned()),
            ("error[step]", Failure::STEP.to_owned()),
            ("error[reason]", Failure::REASON.to_owned()),
            ("error[metadata]", metadata.to_string()),
        ];
        self.posted(books, back, fields_of(fields))
    }
}

/// Where the merchant wants the browser, as far as that is known.
#[derive(Debug)]
struct Back {
    url: Option<String>,
    cancel_url: Option<String>,
}

fn fields_of<const N: usize>(fields: [(&str, String); N]) -> Map<String, Value> {
    let pairs = fields.into_iter();
    pairs
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}

/// Dropped for newer objects between two looks.
fn forgotten() -> String {
    "it is forgotten".to_owned()
}
