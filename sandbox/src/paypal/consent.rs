//! `GET` and `POST /webapps/billing/subscriptions?ba_token=…`: where the buyer agrees to a subscription,
//! or to its revision.

use http::StatusCode;
use serde_json::{Map, Value};

use super::{
    books::Books,
    buyer::{self, WayBack},
    desk::Desk,
    happened::Happened,
    list::Query,
    subscription::{Consent, Offer, Subscription, SubscriptionStatus},
};
use crate::{
    buyer::{Buyer, SentBack},
    call::Call,
    page::{BuyerPage, Choice},
    reply::Reply,
    subscription::Charge,
};

/// How the first payment ends.
const DETAIL: &str = "charge";
const CHARGES: [(&str, Charge); 2] = [("succeed", Charge::Succeed), ("fail", Charge::Fail)];

pub(super) fn page(books: &Books, desk: &Desk<'_>, call: &Call) -> Reply {
    let query = Query::of(call);
    let token = query.get("ba_token").unwrap_or_default();
    let asked = match find(books, token) {
        Ok(asked) => asked,
        Err(why) => return buyer::gone(why),
    };
    let (offer, consent) = (asked.offer(), asked.consent());
    let price = offer
        .terms
        .currency_sample()
        .map(|price| offer.amount(price));
    let price = price
        .map(|price| format!("{} {}", price.value(), price.currency.code))
        .unwrap_or_default();
    let quantity = offer.quantity.to_string();
    let values = CHARGES.map(|(name, _)| name);
    let first_payment = [Choice {
        name: DETAIL,
        label: "The first payment will",
        values: &values,
    }];
    BuyerPage {
        title: "PayPal (sandbox)",
        facts: &[
            ("Subscription", &asked.subscription.id),
            ("Plan", &offer.plan_name),
            ("Quantity", &quantity),
            ("Regular payment", &price),
            ("Buyer", buyer::EMAIL),
        ],
        posts_to: &consent.approval_url(&desk.base()),
        choices: if asked.is_revision {
            &[]
        } else {
            &first_payment
        },
    }
    .reply()
}

/// What the page's buttons send.
pub(super) fn posted(books: &mut Books, desk: &Desk<'_>, call: &Call) -> Reply {
    let query = Query::of(call);
    let token = query.get("ba_token").unwrap_or_default();
    let (action, details) = buyer::form(&call.body);
    let action = match action.as_deref() {
        Some("approve") => Buyer::Approve,
        Some("decline") => Buyer::Decline,
        Some("abandon") => Buyer::Abandon,
        Some(_) | None => return Reply::text(StatusCode::BAD_REQUEST, "No button was pressed."),
    };
    if let Err(why) = find(books, token) {
        return buyer::gone(why);
    }
    match act(books, desk, token, (action, &details)) {
        Ok((_, consent)) => way_back(action, &consent.0, &consent.1).reply(),
        Err(why) => Reply::text(StatusCode::BAD_REQUEST, &why),
    }
}

/// The buyer without a browser. `id` is the subscription's or that of the page.
pub(super) fn play(
    books: &mut Books,
    desk: &Desk<'_>,
    id: &str,
    (action, details): (Buyer, &Map<String, Value>),
) -> Result<SentBack, String> {
    let token = match books.subscriptions.find(id) {
        Some(subscription) => match &subscription.revision {
            Some(revision) => revision.consent.ba_token.clone(),
            None => subscription.consent.ba_token.clone(),
        },
        None => id.to_owned(),
    };
    find(books, &token)?;
    let (subscription, (id, consent)) = act(books, desk, &token, (action, details))?;
    Ok(way_back(action, &id, &consent).sent_back(subscription))
}

/// What the page of this token asks the buyer.
struct Asked<'a> {
    subscription: &'a Subscription,
    is_revision: bool,
}

impl Asked<'_> {
    fn offer(&self) -> &Offer {
        match &self.subscription.revision {
            Some(revision) if self.is_revision => &revision.offer,
            Some(_) | None => &self.subscription.offer,
        }
    }

    fn consent(&self) -> &Consent {
        match &self.subscription.revision {
            Some(revision) if self.is_revision => &revision.consent,
            Some(_) | None => &self.subscription.consent,
        }
    }
}

fn find<'a>(books: &'a Books, token: &str) -> Result<Asked<'a>, &'static str> {
    let subscription = books
        .consents
        .find(token)
        .and_then(|id| books.subscriptions.find(id))
        .ok_or("There is no such subscription.")?;
    let revision = subscription.revision.as_ref();
    if revision.is_some_and(|revision| revision.consent.ba_token == token) {
        return Ok(Asked {
            subscription,
            is_revision: true,
        });
    }
    if subscription.consent.ba_token == token
        && subscription.status == SubscriptionStatus::ApprovalPending
    {
        return Ok(Asked {
            subscription,
            is_revision: false,
        });
    }
    Err("There is nothing to agree to any more.")
}

/// The subscription as it then is, and where its page sends the buyer.
fn act(
    books: &mut Books,
    desk: &Desk<'_>,
    token: &str,
    (action, details): (Buyer, &Map<String, Value>),
) -> Result<(Value, (String, Consent)), String> {
    let names = CHARGES.map(|(name, _)| name);
    let asked = find(books, token)?;
    let (id, is_revision) = (asked.subscription.id.clone(), asked.is_revision);
    let consent = asked.consent().clone();
    let charge = buyer::detail(details, DETAIL, &names)?
        .and_then(|name| CHARGES.iter().find(|(known, _)| *known == name))
        .map(|(_, charge)| *charge);
    let subscription = books
        .subscriptions
        .find_mut(&id)
        .ok_or_else(|| "no such subscription".to_owned())?;
    if action == Buyer::Approve {
        if is_revision {
            if let Some(revision) = subscription.revision.take() {
                subscription.take_effect(desk, revision);
            }
        } else if subscription.waits_for_merchant {
            subscription.set_status(SubscriptionStatus::Approved, None, desk.now);
            subscription.tell(desk, Happened::SubscriptionApproved, desk.now);
        } else {
            subscription.start(desk, Happened::SubscriptionStarted, charge);
        }
    }
    let view = subscription.view(&desk.base(), &[]);
    books.schedule(&id);
    Ok((view, (id, consent)))
}

fn way_back<'a>(action: Buyer, id: &str, consent: &'a Consent) -> WayBack<'a> {
    let parameters = vec![
        ("subscription_id", id.to_owned()),
        ("ba_token", consent.ba_token.clone()),
        ("token", consent.token.clone()),
    ];
    match action {
        Buyer::Approve => WayBack {
            url: consent.return_url.as_deref(),
            parameters,
            title: "Approved",
            text: "You have agreed. You may close this page.",
        },
        Buyer::Decline => WayBack {
            url: None,
            parameters: Vec::new(),
            title: "Declined",
            text: "Your means of payment was declined. Go back and choose another.",
        },
        Buyer::Abandon => WayBack {
            url: consent.cancel_url.as_deref(),
            parameters,
            title: "Cancelled",
            text: "You have not agreed. You may close this page.",
        },
    }
}
