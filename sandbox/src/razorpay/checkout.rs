//! The pages on which a buyer decides: the hosted checkout, a payment link's and a subscription's.
//! <https://razorpay.com/docs/payments/payment-gateway/web-integration/hosted/>

use std::collections::HashMap;

use http::{HeaderValue, StatusCode};
use serde_json::Value;
use url::Url;

use super::{
    KEY_ID, State,
    books::Books,
    buying::{self, Details},
    error::{RazorpayError, Shape},
    id,
    link::{LinkStatus, PaymentLink},
    money,
    order::{Order, OrderStatus},
    payment::{Method, ORDER_PAID, Payer},
    subscription::Subscription,
};
use crate::{
    buyer::{Buyer, SentBack},
    call::Call,
    page::{self, BuyerPage, Choice},
    reply::Reply,
};

const SHAPE: Shape = Shape::Input;

/// Where a browser goes when the buyer is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Callback {
    pub(super) url: String,
    pub(super) cancel_url: Option<String>,
}

/// `POST /v1/checkout/embedded`, from a browser, without the key's secret.
pub(super) fn open(state: &State, call: &Call) -> Result<Reply, RazorpayError> {
    let form = Form::of(call);
    if form.get("key_id") != Some(KEY_ID) {
        return Err(RazorpayError::unauthorized(
            Shape::NotApplicable,
            "The api key provided is invalid",
        ));
    }
    let name = form.required("name")?;
    let callback = Callback {
        url: form
            .web_address("callback_url")?
            .ok_or_else(|| missing("callback_url"))?,
        cancel_url: form.web_address("cancel_url")?,
    };
    let payer = Payer {
        email: form.get("prefill[email]").map(str::to_owned),
        contact: form.get("prefill[contact]").map(str::to_owned),
    };
    let mut books = state.books();
    let offered = form.get("description").unwrap_or_default();
    if let Some(id) = form.get("subscription_id") {
        books.subscription(id)?;
        let subscription = books
            .subscriptions
            .find_mut(id)
            .ok_or_else(|| RazorpayError::not_found(SHAPE))?;
        subscription.callback = Some(callback);
        // What the merchant told when creating it stays.
        let known = std::mem::take(&mut subscription.payer);
        subscription.payer = Payer {
            email: known.email.or(payer.email),
            contact: known.contact.or(payer.contact),
        };
        return Ok(subscription.page(state, name));
    }
    let id = form.required("order_id")?;
    id::check(SHAPE, "order", id)?;
    let order = books
        .orders
        .find_mut(id)
        .ok_or_else(|| RazorpayError::not_found(SHAPE))?;
    if order.status == OrderStatus::Paid {
        return Err(RazorpayError::bad(SHAPE, ORDER_PAID));
    }
    check_money(&form, order)?;
    order.callback = Some(callback);
    order.payer = payer;
    order.description = Some(offered.to_owned()).filter(|text| !text.is_empty());
    Ok(order.page(state, name))
}

/// Both are documented as mandatory beside the order that has them.
fn check_money(form: &Form, order: &Order) -> Result<(), RazorpayError> {
    let amount = form.required("amount")?;
    let amount: i64 = amount.parse().map_err(|_unreadable| {
        RazorpayError::bad(SHAPE, "The amount must be an integer.").about("amount")
    })?;
    if amount != order.amount && amount != order.due() {
        return Err(RazorpayError::bad(
            SHAPE,
            "Your payment amount is different from your order amount. To pay successfully, please try using right amount.",
        )
        .about("amount"));
    }
    if form.required("currency")? != order.currency {
        return Err(
            RazorpayError::bad(SHAPE, "The currency must be the currency of the order")
                .about("currency"),
        );
    }
    Ok(())
}

/// `GET /i/{id}`: what a short URL shows.
pub(super) fn short(state: &State, id: &str) -> Reply {
    let books = state.books();
    if let Some(link) = books.links.find(id) {
        return link.page(state);
    }
    if let Some(subscription) = books.subscriptions.find(id) {
        return subscription.page(state, "a merchant");
    }
    no_page()
}

/// The buyer's decision, from the form of one of the pages.
pub(super) fn decide(state: &State, id: &str, call: &Call) -> Reply {
    let form = Form::of(call);
    let buyer = match form.get("action") {
        Some("approve") => Buyer::Approve,
        Some("decline") => Buyer::Decline,
        Some("abandon") => Buyer::Abandon,
        _ => return no_page(),
    };
    let method = form
        .get("method")
        .and_then(|name| serde_json::from_value(name.into()).ok());
    let details = Details {
        method: method.unwrap_or_default(),
        amount: form.get("amount").and_then(|amount| amount.parse().ok()),
        ..Details::default()
    };
    match buying::decide(state, id, buyer, details) {
        None => no_page(),
        Some(Err(why)) => page::notice("This cannot be paid", &why),
        Some(Ok(sent_back)) => send_back(&sent_back, buyer),
    }
}

fn send_back(sent_back: &SentBack, buyer: Buyer) -> Reply {
    let Some(url) = &sent_back.url else {
        let text = match buyer {
            Buyer::Approve => "Thank you. You may close this page.",
            Buyer::Decline => "The payment failed. You may go back and try again.",
            Buyer::Abandon => "Nothing was paid. You may close this page.",
        };
        return page::notice("Razorpay sandbox", text);
    };
    if sent_back.method == "GET" {
        let reply = Reply::empty(StatusCode::SEE_OTHER);
        return match HeaderValue::from_str(url) {
            Ok(location) => reply.with("location", location),
            Err(_) => page::notice(
                "Razorpay sandbox",
                "The merchant's address cannot be followed.",
            ),
        };
    }
    let fields = sent_back.fields.iter();
    let fields = fields.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
    page::form_back("Back to the merchant", url, fields)
}

fn no_page() -> Reply {
    let mut reply = page::notice("Razorpay sandbox", "There is no such page.");
    reply.status = StatusCode::NOT_FOUND;
    reply
}

impl Order {
    fn page(&self, state: &State, merchant: &str) -> Reply {
        let amount = facing(self.due(), &self.currency);
        let facts = [
            ("Merchant", merchant),
            ("For", self.description.as_deref().unwrap_or("an order")),
            ("Amount", &amount),
            ("Order", &self.id),
        ];
        pay_page(state, &self.id, &facts, &amounts(self.due(), self.parts))
    }
}

impl PaymentLink {
    fn page(&self, state: &State) -> Reply {
        let text = match self.status {
            LinkStatus::Created | LinkStatus::PartiallyPaid => {
                let due = self.amount.saturating_sub(self.amount_paid);
                let amount = facing(due, &self.currency);
                let facts = [
                    ("For", self.description.as_str()),
                    ("Amount", &amount),
                    ("Reference", &self.reference_id),
                ];
                return pay_page(state, &self.id, &facts, &amounts(due, self.parts));
            }
            LinkStatus::Paid => "This payment link has been paid.",
            LinkStatus::Expired => "This payment link has expired.",
            LinkStatus::Cancelled => "This payment link has been cancelled.",
        };
        page::notice("Razorpay sandbox", text)
    }
}

impl Subscription {
    fn page(&self, state: &State, merchant: &str) -> Reply {
        let amount = facing(self.charge_amount(), &self.plan.currency);
        let cycles = self.total_count.to_string();
        let facts = [
            ("Merchant", merchant),
            ("Plan", self.plan.name.as_str()),
            ("Amount of each cycle", &amount),
            ("Cycles", &cycles),
            ("Status", self.status.name()),
        ];
        pay_page(state, &self.id, &facts, &[])
    }
}

/// Posts to the page of the object's id. The address is whole: the browser may have come by host name.
fn pay_page(state: &State, id: &str, facts: &[(&str, &str)], amounts: &[String]) -> Reply {
    let posts_to = format!("{}/razorpay/i/{id}", state.core.base_url);
    let amounts: Vec<&str> = amounts.iter().map(String::as_str).collect();
    let mut choices = vec![Choice {
        name: "method",
        label: "Pay by",
        values: &Method::NAMES,
    }];
    if !amounts.is_empty() {
        choices.push(Choice {
            name: "amount",
            label: "Pay now (in the smallest unit)",
            values: &amounts,
        });
    }
    let page = BuyerPage {
        title: "Razorpay sandbox",
        facts,
        posts_to: &posts_to,
        choices: &choices,
    };
    page.reply()
}

/// Where parts are allowed: everything that is due, or the least part.
fn amounts(due: i64, parts: Option<i64>) -> Vec<String> {
    match parts {
        Some(least) if least < due => vec![due.to_string(), least.to_string()],
        Some(_) | None => Vec::new(),
    }
}

fn facing(amount: i64, currency: &str) -> String {
    format!("{} {currency}", money::written(amount, currency))
}

/// A browser's form.
#[derive(Debug)]
struct Form(HashMap<String, String>);

impl Form {
    fn of(call: &Call) -> Form {
        Form(
            url::form_urlencoded::parse(&call.body)
                .into_owned()
                .collect(),
        )
    }

    /// A field that is there and not empty.
    fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    fn required(&self, name: &'static str) -> Result<&str, RazorpayError> {
        self.get(name).ok_or_else(|| missing(name))
    }

    fn web_address(&self, name: &'static str) -> Result<Option<String>, RazorpayError> {
        let Some(address) = self.get(name) else {
            return Ok(None);
        };
        let is_web = Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if is_web {
            return Ok(Some(address.to_owned()));
        }
        let label = name.replace('_', " ");
        Err(RazorpayError::bad(SHAPE, format!("The {label} format is invalid.")).about(name))
    }
}

fn missing(name: &'static str) -> RazorpayError {
    let label = name.replace('_', " ");
    RazorpayError::bad(SHAPE, format!("The {label} field is required.")).about(name)
}

/// What the merchant gets to see of an object after the buyer's decision.
pub(super) fn object_view(books: &Books, id: &str) -> Value {
    if let Some(order) = books.orders.find(id) {
        return order.view();
    }
    if let Some(link) = books.links.find(id) {
        return link.view(books);
    }
    if let Some(payment) = books.payments.find(id) {
        return payment.view(false);
    }
    let subscription = books.subscriptions.find(id);
    subscription.map_or(Value::Null, Subscription::view)
}
