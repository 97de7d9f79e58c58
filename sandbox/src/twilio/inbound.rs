//! Texts from somebody to a number of the account, and what the merchant's answer brings about.

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{
    MESSAGING_SERVICE_SID, State, account,
    callback::{Parameters, Post, common_parameters},
    create::{Draft, accept},
    message::{Direction, Message, Sender},
    number, twiml,
};
use crate::{
    lock,
    reply::Reply,
    webhooks::{Answer, Delivery, Outcome, WebhookError},
};

/// The event's name in the list of deliveries.
const RECEIVED: &str = "received";
/// Sent with every message, mostly empty; empty ones are signed as well.
const PLACES: [&str; 8] = [
    "FromCity",
    "FromState",
    "FromZip",
    "FromCountry",
    "ToCity",
    "ToState",
    "ToZip",
    "ToCountry",
];

/// A text that somebody sends to a number of the ordinary account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InboundSms {
    pub from: String,
    /// One of the account's numbers.
    pub to: String,
    #[serde(default)]
    pub body: String,
    #[serde(default)]
    pub media_urls: Vec<String>,
}

/// `POST /_sandbox/twilio/receive-message`
pub(super) fn control(state: &State, body: &Bytes) -> Reply {
    let refuse = |why: String| Reply::json(StatusCode::BAD_REQUEST, &json!({ "error": why }));
    let new: InboundSms = match serde_json::from_slice(body) {
        Ok(new) => new,
        Err(error) => return refuse(error.to_string()),
    };
    match receive(state, &new) {
        Ok(sid) => {
            let now = state.core.clock.now();
            let messages = lock(&state.messages);
            let view = messages.find(&sid).map(|message| json!(message.view(now)));
            Reply::json(StatusCode::CREATED, &view)
        }
        Err(error) => refuse(error.to_string()),
    }
}

/// From here on the message exists; gives its SID.
pub(super) fn receive(state: &State, new: &InboundSms) -> Result<String, WebhookError> {
    let account = account::ordinary();
    if !account.owns(&new.to) {
        let why = format!("{} is no number of the account", new.to);
        return Err(WebhookError::new(why));
    }
    if !number::is_e164(&new.from) {
        return Err(WebhookError::new(format!("{} is no number", new.from)));
    }
    let now = state.core.clock.now();
    let message = Message::inbound(new, account, now);
    let sid = message.sid.clone();
    let parameters = parameters(&message, &new.from);
    lock(&state.messages).push(sid.clone(), message);
    let mut desk = state.desk();
    desk.heed(&new.to, &new.from, &new.body);
    let url = desk.inbound_url(&new.to);
    drop(desk);
    if let Some(url) = url {
        let post = Post {
            account,
            url: &url,
            webhook: number::sid(&new.to),
            event: RECEIVED,
            object: &sid,
            parameters,
        };
        post.send(&state.core, now);
    }
    Ok(sid)
}

fn parameters(message: &Message, from: &str) -> Parameters {
    let mut parameters = common_parameters(message, from);
    let mut add = |name: &str, value: String| parameters.push((name.to_owned(), value));
    add("SmsMessageSid", message.sid.clone());
    // The numbers are in its pool.
    add("MessagingServiceSid", MESSAGING_SERVICE_SID.to_owned());
    add("SmsStatus", RECEIVED.to_owned());
    add("Body", message.body().to_owned());
    add("NumSegments", message.segments().to_string());
    add("NumMedia", message.media.len().to_string());
    for (index, media) in message.media.iter().enumerate() {
        add(&format!("MediaUrl{index}"), media.url.clone());
        add(
            &format!("MediaContentType{index}"),
            media.content_type.to_owned(),
        );
    }
    for name in PLACES {
        let value = if name.ends_with("Country") { "US" } else { "" };
        add(name, value.to_owned());
    }
    parameters
}

/// Sends what the answer to an inbound message asks for.
pub(super) fn answered(state: &State, delivery: &Delivery, outcome: &Outcome) {
    let Outcome::Answered(answer) = outcome else {
        return;
    };
    if delivery.event != RECEIVED || !outcome.is_success() {
        return;
    }
    let messages = lock(&state.messages);
    let Some((person, number)) = messages.find(&delivery.object).and_then(|inbound| {
        let (status, _) = inbound.status(delivery.posted_at);
        Some((inbound.from(status)?.to_owned(), inbound.to.clone()))
    }) else {
        return;
    };
    drop(messages);
    for text in replies(answer) {
        reply(state, (&number, &person), text);
    }
}

fn replies(answer: &Answer) -> Vec<String> {
    let essence = answer.content_type.split(';').next().unwrap_or_default();
    match essence.trim().to_ascii_lowercase().as_str() {
        "text/xml" | "application/xml" | "text/html" => twiml::messages(&answer.body),
        // Plain text is the reply itself.
        "text/plain" if !answer.body.trim().is_empty() => vec![answer.body.clone()],
        _ => Vec::new(),
    }
}

fn reply(state: &State, (number, person): (&str, &str), text: String) {
    let sender = Sender::Number(number.to_owned());
    if state.desk().check_opt_out(&sender, person).is_err() {
        return;
    }
    let Ok(course) = number::course(person) else {
        return;
    };
    let now = state.core.clock.now();
    let draft = Draft {
        to: person.to_owned(),
        sender,
        body: text.clone(),
        media_urls: Vec::new(),
        send_at: None,
        course,
        direction: Direction::OutboundReply,
        status_callback: None,
    };
    let delivery = state.core.settings().delivery();
    let message = Message::new(draft, account::ordinary(), now, delivery);
    accept(state, message, now, Bytes::from(text));
}
