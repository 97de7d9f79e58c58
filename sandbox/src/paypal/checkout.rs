//! `GET` and `POST /checkoutnow?token=…`: where the buyer approves an order.

use http::StatusCode;
use serde_json::{Map, Value};

use super::{
    books::Books,
    buyer::{self, PAYER_ID, WayBack},
    desk::Desk,
    happened::{Entry, Happened, Subject, tell},
    list::Query,
    order::{Instrument, Intent, Order, OrderStatus},
};
use crate::{
    buyer::{Buyer, SentBack},
    call::Call,
    page::{BuyerPage, Choice},
    reply::Reply,
};

/// What the buyer's means of payment says when the merchant comes for the money.
const DETAIL: &str = "capture";
const ACCEPTED: &str = "accepted";
const DECLINED: &str = "declined";

pub(super) fn page(books: &Books, desk: &Desk<'_>, call: &Call) -> Reply {
    let query = Query::of(call);
    let order = find(books, desk, query.get("token").unwrap_or_default());
    let order = match order {
        Ok(order) => order,
        Err(why) => return buyer::gone(why),
    };
    let amount = order
        .total()
        .map(|total| format!("{} {}", total.value(), total.currency.code))
        .unwrap_or_default();
    let descriptions: Vec<&str> = order
        .units
        .iter()
        .filter_map(|unit| unit.description.as_deref())
        .collect();
    let description = descriptions.join("; ");
    let intent = match order.intent {
        Intent::Capture => "pay",
        Intent::Authorize => "hold the money",
    };
    let button = if order.experience.pays_now {
        "Pay Now"
    } else {
        "Continue"
    };
    BuyerPage {
        title: "PayPal (sandbox)",
        facts: &[
            (
                "Merchant",
                order
                    .experience
                    .brand
                    .as_deref()
                    .unwrap_or("Sandbox merchant"),
            ),
            ("Order", &order.id),
            ("Amount", &amount),
            ("For", &description),
            ("Intent", intent),
            ("Button", button),
            ("Buyer", buyer::EMAIL),
        ],
        posts_to: &order.approval_url(&desk.base()),
        choices: &[Choice {
            name: DETAIL,
            label: "When the merchant takes the money, it will be",
            values: &[ACCEPTED, DECLINED],
        }],
    }
    .reply()
}

/// What the page's buttons send.
pub(super) fn posted(books: &mut Books, desk: &Desk<'_>, call: &Call) -> Reply {
    let query = Query::of(call);
    let token = query.get("token").unwrap_or_default();
    let (action, details) = buyer::form(&call.body);
    let action = match action.as_deref() {
        Some("approve") => Buyer::Approve,
        Some("decline") => Buyer::Decline,
        Some("abandon") => Buyer::Abandon,
        Some(_) | None => return bad("No button was pressed."),
    };
    if let Err(why) = find(books, desk, token) {
        return buyer::gone(why);
    }
    match act(books, desk, token, action, &details) {
        Ok(way_back) => way_back.reply(),
        Err(why) => bad(&why),
    }
}

fn bad(why: &str) -> Reply {
    Reply::text(StatusCode::BAD_REQUEST, why)
}

/// The buyer without a browser.
pub(super) fn play(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
    (action, details): (Buyer, &Map<String, Value>),
) -> Result<SentBack, String> {
    find(books, desk, id)?;
    // Shown as it then is, so the way back is made of what it needs only.
    let way_back = act(books, desk, id, action, details)?;
    let (url, rest) = (way_back.url.map(str::to_owned), way_back.parameters);
    let (title, text) = (way_back.title, way_back.text);
    let order = books.orders.find(id).map(|order| order.view(books, desk));
    let way_back = WayBack {
        url: url.as_deref(),
        parameters: rest,
        title,
        text,
    };
    Ok(way_back.sent_back(order.unwrap_or_default()))
}

fn find<'a>(books: &'a Books, desk: &Desk<'_>, id: &str) -> Result<&'a Order, &'static str> {
    let Ok(order) = books.order(id, desk.now) else {
        return Err("There is no such order, or it has expired.");
    };
    if order.is_open() {
        Ok(order)
    } else {
        Err("This order is complete.")
    }
}

fn act<'a>(
    books: &'a mut Books,
    desk: &Desk<'_>,
    id: &str,
    action: Buyer,
    details: &Map<String, Value>,
) -> Result<WayBack<'a>, String> {
    let detail = buyer::detail(details, DETAIL, &[ACCEPTED, DECLINED])?;
    let order = books
        .orders
        .find_mut(id)
        .ok_or_else(|| "no such order".to_owned())?;
    let token = ("token", order.id.clone());
    Ok(match action {
        Buyer::Approve => {
            order.status = OrderStatus::Approved;
            order.instrument = match detail {
                Some(DECLINED) => Instrument::Declined,
                Some(_) | None => Instrument::Good,
            };
            order.approved_at = Some(desk.now);
            order.updated_at = desk.now;
            let subject = Subject {
                id,
                amount: order.total(),
                at: desk.now,
                object: None,
            };
            tell(desk, Happened::OrderApproved, Entry::New, subject);
            WayBack {
                url: order.experience.return_url.as_deref(),
                parameters: vec![token, ("PayerID", PAYER_ID.to_owned())],
                title: "Approved",
                text: "You have approved the order. You may close this page.",
            }
        }
        Buyer::Decline => {
            order.instrument = Instrument::Declined;
            order.updated_at = desk.now;
            WayBack {
                url: None,
                parameters: Vec::new(),
                title: "Declined",
                text: "Your means of payment was declined. Go back and choose another.",
            }
        }
        Buyer::Abandon => WayBack {
            url: order.experience.cancel_url.as_deref(),
            parameters: vec![token],
            title: "Cancelled",
            text: "You have not approved the order. You may close this page.",
        },
    })
}
