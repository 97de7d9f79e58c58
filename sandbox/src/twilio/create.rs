//! `POST …/Messages.json`

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use url::Url;

use super::{
    MESSAGING_SERVICE_SID, NAME, State,
    account::{Account, Kind},
    error::TwilioError,
    form::Form,
    message::{Direction, Message, Sender},
    number::{self, Course},
};
use crate::{call::Call, ledger::Effect, lock, reply::Reply};

const BODY_CHARACTERS_MAX: usize = 1600;
const MEDIA_MAX: usize = 10;
const VALIDITY_SECONDS: std::ops::RangeInclusive<u32> = 1..=36_000;
const SEND_AT_MIN: TimeDelta = TimeDelta::seconds(300);
const SEND_AT_MAX: TimeDelta = TimeDelta::days(35);

/// A request that passed every check.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) to: String,
    pub(super) sender: Sender,
    pub(super) body: String,
    pub(super) media_urls: Vec<String>,
    pub(super) send_at: Option<DateTime<Utc>>,
    pub(super) course: Course,
    pub(super) direction: Direction,
    pub(super) status_callback: Option<String>,
}

pub(super) fn create(
    state: &State,
    account: &'static Account,
    call: &Call,
) -> Result<Reply, TwilioError> {
    let now = state.core.clock.now();
    let mut draft = parse(&Form::of(call), account, now)?;
    state.desk().check_opt_out(&draft.sender, &draft.to)?;
    if draft.status_callback.is_none() && matches!(draft.sender, Sender::Service { .. }) {
        draft.status_callback = state.desk().service_callback();
    }
    let message = Message::new(draft, account, now, state.core.settings().delivery());
    let reply = Reply::json(StatusCode::CREATED, &message.first_view());
    accept(state, message, now, call.body.clone());
    Ok(reply)
}

/// From here on the message exists.
pub(super) fn accept(state: &State, message: Message, now: DateTime<Utc>, body: Bytes) {
    let account = message.account;
    state.core.ledger.record(Effect {
        kind: "sms",
        provider: NAME,
        account: account.sid.to_owned(),
        id: message.sid.clone(),
        object: None,
        amount: None,
        currency: None,
        to: vec![message.to.clone()],
        idempotency_key: None,
        at: now,
        body,
    });
    // Test credentials leave nothing that could be read later, and nothing is told of it.
    if account.kind == Kind::Ordinary {
        let (sid, next) = (message.sid.clone(), message.next_step());
        lock(&state.messages).push(sid.clone(), message);
        if let Some((_, at)) = next {
            state.schedule(at, sid);
        }
    }
}

fn parse(form: &Form<'_>, account: &Account, now: DateTime<Utc>) -> Result<Draft, TwilioError> {
    let to = form.filled("To").ok_or(TwilioError::of(21604))?;
    if to.contains(':') {
        // `whatsapp:+…` and other channels are documented; no account here has such a sender.
        return Err(TwilioError::of(63007));
    }
    if !number::is_e164(to) {
        return Err(TwilioError::about(21211, to));
    }
    let sender = parse_sender(form, account)?;
    let (body, media_urls) = parse_content(form)?;
    check_delivery_options(form)?;
    let send_at = parse_schedule(form, &sender, now)?;
    let course = number::course(to).map_err(|code| TwilioError::about(code, to))?;
    Ok(Draft {
        to: to.to_owned(),
        sender,
        body,
        media_urls,
        send_at,
        course,
        direction: Direction::OutboundApi,
        status_callback: form.filled("StatusCallback").map(str::to_owned),
    })
}

fn parse_sender(form: &Form<'_>, account: &Account) -> Result<Sender, TwilioError> {
    let from = match form.filled("From") {
        Some(from) => Some(check_from(from, account)?),
        None => None,
    };
    // "All the existing outbound SMS parameters will work, except for MessagingServiceSid" (test credentials).
    let service = form
        .filled("MessagingServiceSid")
        .filter(|_| account.kind == Kind::Ordinary);
    match (service, from) {
        (Some(MESSAGING_SERVICE_SID), from) => Ok(Sender::Service { from }),
        (Some(_), _) => Err(TwilioError::of(21701)),
        (None, Some(from)) => Ok(Sender::Number(from)),
        (None, None) => Err(TwilioError::of(21603)),
    }
}

fn check_from(from: &str, account: &Account) -> Result<String, TwilioError> {
    if let Some(code) = number::magic_from(from) {
        return Err(TwilioError::about(code, from));
    }
    let is_short_code =
        (5..=6).contains(&from.len()) && from.bytes().all(|byte| byte.is_ascii_digit());
    if account.owns(from) {
        Ok(from.to_owned())
    } else if number::is_e164(from) || is_short_code {
        Err(TwilioError::about(21606, from))
    } else {
        Err(TwilioError::about(21212, from))
    }
}

fn parse_content(form: &Form<'_>) -> Result<(String, Vec<String>), TwilioError> {
    let body = form.get("Body").unwrap_or_default();
    let media_urls: Vec<String> = form.all("MediaUrl").map(str::to_owned).collect();
    if body.is_empty() && media_urls.is_empty() && form.filled("ContentSid").is_none() {
        return Err(TwilioError::of(21602));
    }
    if body.chars().count() > BODY_CHARACTERS_MAX {
        return Err(TwilioError::of(21617));
    }
    if media_urls.len() > MEDIA_MAX {
        return Err(TwilioError::of(21623));
    }
    if let Some(bad) = media_urls.iter().find(|url| parse_web_url(url).is_none()) {
        return Err(TwilioError::about(21620, bad));
    }
    Ok((body.to_owned(), media_urls))
}

fn check_delivery_options(form: &Form<'_>) -> Result<(), TwilioError> {
    if let Some(callback) = form.filled("StatusCallback") {
        let host = parse_web_url(callback).and_then(|url| url.host_str().map(str::to_owned));
        if host.is_none_or(|host| host.contains('_')) {
            return Err(TwilioError::about(21609, callback));
        }
    }
    if let Some(seconds) = form.filled("ValidityPeriod")
        && !seconds
            .parse()
            .is_ok_and(|seconds| VALIDITY_SECONDS.contains(&seconds))
    {
        return Err(TwilioError::about(20422, "ValidityPeriod"));
    }
    for (name, values) in [
        ("ContentRetention", ["retain", "discard"]),
        ("AddressRetention", ["retain", "obfuscate"]),
        ("RiskCheck", ["enable", "disable"]),
    ] {
        if form
            .filled(name)
            .is_some_and(|value| !values.contains(&value))
        {
            return Err(TwilioError::about(20422, name));
        }
    }
    Ok(())
}

fn parse_schedule(
    form: &Form<'_>,
    sender: &Sender,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, TwilioError> {
    let (kind, at) = (form.filled("ScheduleType"), form.filled("SendAt"));
    if kind.is_none() && at.is_none() {
        return Ok(None);
    }
    if kind != Some("fixed") {
        return Err(TwilioError::about(20422, "ScheduleType"));
    }
    let at = at.ok_or(TwilioError::of(35111))?;
    if matches!(sender, Sender::Number(_)) {
        return Err(TwilioError::of(35118));
    }
    let at = DateTime::parse_from_rfc3339(at)
        .map_err(|_unreadable| TwilioError::of(35114))?
        .to_utc();
    let ahead = at.signed_duration_since(now);
    if !(SEND_AT_MIN..=SEND_AT_MAX).contains(&ahead) {
        return Err(TwilioError::of(35114));
    }
    Ok(Some(at))
}

fn parse_web_url(text: &str) -> Option<Url> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}
