//! `onerouter webhooks listen`: events as they come, posted to a program on this machine.
//!
//! The list of the newest events is read again and again, with an overlap: an event whose transaction ends
//! late appears behind younger ones. What was seen is remembered by its id.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use http::Method;
use onerouter_domain::event::EventPattern;
use onerouter_domain::id::EventId;
use onerouter_domain::time;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::peer::Peer;
use super::{Api, Gateway};
use crate::cli::serve::StopSignal;
use crate::cli::terminal;
use crate::clock::Clock;
use crate::service::webhooks::secrets::{SigningKind, SigningSecret};

/// How often the newest events are read.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Events appear up to so much later than younger ones.
const OVERLAP: TimeDelta = TimeDelta::seconds(60);
/// Ids that are remembered: what a busy tenant has in the overlap.
const SEEN_MAX: usize = 50_000;
/// Pages of one look. More than that in a second is not followed live.
const PAGES_MAX: usize = 20;

#[derive(Debug, Args)]
pub(in crate::cli) struct ListenArgs {
    /// Where each event is posted to; only printed when left out
    #[arg(long, value_name = "URL")]
    forward_to: Option<String>,
    /// Only events of this type (payment.succeeded) or family (payment.*)
    #[arg(long = "type", value_name = "TYPE")]
    types: Option<EventPattern>,
    #[command(flatten)]
    gateway: Gateway,
}

/// An event, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Event {
    id: EventId,
    #[serde(rename = "type")]
    event_type: String,
    created_at: DateTime<Utc>,
    timestamp: Box<RawValue>,
    data: Box<RawValue>,
}

#[derive(Debug, Deserialize)]
struct Page {
    data: Vec<Event>,
    next_cursor: Option<EventId>,
}

pub(super) async fn run(args: ListenArgs) -> anyhow::Result<()> {
    let mut stop = StopSignal::listen()?;
    let forward = args.forward_to.as_deref().map(Peer::at).transpose();
    let listener = Listener {
        api: args.gateway.open()?,
        forward: forward.context("--forward-to cannot be used")?,
        secret: SigningSecret::generate(SigningKind::Hmac)?,
        types: args.types,
        clock: Clock::default(),
        as_json: args.gateway.json,
    };
    let mut seen = Seen::default();
    listener.look(&mut seen).await?;
    listener.say_ready()?;
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = stop.wait() => return Ok(()),
            _ = ticks.tick() => {}
        }
        tokio::select! {
            () = stop.wait() => return Ok(()),
            () = listener.tell_new(&mut seen) => {}
        }
    }
}

struct Listener {
    api: Api,
    forward: Option<Peer>,
    secret: SigningSecret,
    types: Option<EventPattern>,
    clock: Clock,
    as_json: bool,
}

impl Listener {
    fn say_ready(&self) -> anyhow::Result<()> {
        let secret = self.secret.verifier();
        if self.as_json {
            return terminal::json(&json!({"object": "listening", "secret": secret.as_str()}));
        }
        terminal::data(&format!("Listening. Signed with {}", secret.as_str()));
        Ok(())
    }

    async fn tell_new(&self, seen: &mut Seen) {
        match self.look(seen).await {
            Ok(events) => {
                for event in events {
                    self.tell(&event).await;
                }
            }
            Err(error) => terminal::say(&format!("cannot read events: {error:#}")),
        }
    }

    /// What has come since the last look, oldest first.
    async fn look(&self, seen: &mut Seen) -> anyhow::Result<Vec<Event>> {
        let mut new = Vec::new();
        let mut cursor = None;
        for _ in 0..PAGES_MAX {
            let page = self.page(seen.from, cursor).await?;
            let data = page.data.into_iter();
            new.extend(data.filter(|event| !seen.ids.contains(&event.id)));
            // The first look only finds out what there is already.
            cursor = page.next_cursor.filter(|_| seen.from.is_some());
            if cursor.is_none() {
                break;
            }
        }
        new.reverse();
        // Only now: what a look that failed has read is read again.
        for event in &new {
            seen.note(event.id, event.created_at);
        }
        seen.move_on(self.clock.now());
        Ok(new)
    }

    async fn page(
        &self,
        from: Option<DateTime<Utc>>,
        cursor: Option<EventId>,
    ) -> anyhow::Result<Page> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", "100");
        if let Some(from) = from {
            query.append_pair("created_after", &time::to_text(from));
        }
        if let Some(cursor) = cursor {
            query.append_pair("cursor", &cursor.to_string());
        }
        if let Some(types) = &self.types {
            query.append_pair("type", types.as_str());
        }
        let path = format!("/v1/events?{}", query.finish());
        let answer = self.api.ask(Method::GET, &path, None).await?;
        serde_json::from_slice(&answer).context("the gateway's list of events is odd")
    }

    async fn tell(&self, event: &Event) {
        let begun = self.clock.now();
        let answer = match &self.forward {
            Some(forward) => Some(self.post(forward, event).await),
            None => None,
        };
        let took = self.clock.now().signed_duration_since(begun);
        let millis = took.num_milliseconds();
        let (id, event_type) = (event.id, &event.event_type);
        if self.as_json {
            let (status, error) = match &answer {
                Some(Ok(status)) => (Some(*status), None),
                Some(Err(error)) => (None, Some(format!("{error:#}"))),
                None => (None, None),
            };
            let line = json!({
                "object": "forwarded", "event_id": id, "type": event_type, "status": status,
                "error": error, "duration_ms": answer.is_some().then_some(millis),
            });
            terminal::data(&line.to_string());
            return;
        }
        let told = match answer {
            Some(Ok(status)) => format!(" -> {status} ({millis} ms)"),
            Some(Err(error)) => format!(" -> {error:#}"),
            None => String::new(),
        };
        let at = time::to_text(event.created_at);
        terminal::data(&format!("{at} {event_type} {id}{told}"));
    }

    /// Posts an event as a webhook: the status of the answer.
    async fn post(&self, forward: &Peer, event: &Event) -> anyhow::Result<u16> {
        let body = serde_json::to_string(&json!({"type": event.event_type}))?;
        let body = format!(
            "{},\"timestamp\":{},\"data\":{}}}",
            body.trim_end_matches('}'),
            event.timestamp.get(),
            event.data.get()
        );
        let (id, at) = (
            event.id.to_string(),
            self.clock.now().timestamp().to_string(),
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.key.expose_secret());
        let tag = hmac::sign(&key, format!("{id}.{at}.{body}").as_bytes());
        let signature = format!("v1,{}", STANDARD.encode(tag.as_ref()));
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", id.as_str()),
            ("webhook-timestamp", at.as_str()),
            ("webhook-signature", signature.as_str()),
        ];
        let answer = forward
            .send(Method::POST, "", &headers, body.into())
            .await?;
        Ok(answer.status.as_u16())
    }
}

/// What was seen, and from when on it is looked for more.
#[derive(Debug, Default)]
struct Seen {
    ids: HashSet<EventId>,
    order: VecDeque<EventId>,
    youngest: Option<DateTime<Utc>>,
    from: Option<DateTime<Utc>>,
    first: Option<DateTime<Utc>>,
}

impl Seen {
    fn note(&mut self, id: EventId, at: DateTime<Utc>) {
        self.youngest = self.youngest.max(Some(at));
        self.ids.insert(id);
        self.order.push_back(id);
        if self.order.len() > SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    /// The next look begins a while before the youngest, and never before the first one.
    fn move_on(&mut self, now: DateTime<Utc>) {
        let first = *self
            .first
            .get_or_insert_with(|| self.youngest.unwrap_or(now - OVERLAP));
        let from = self.youngest.map_or(first, |youngest| youngest - OVERLAP);
        self.from = Some(from.max(first));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_look_begins_a_while_before_what_was_seen_last() {
        let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
        let id = |number| EventId::from_uuid(Uuid::from_u128(number));
        let mut seen = Seen::default();
        seen.note(id(1), at(0));
        seen.move_on(at(5));
        // Not before the first look.
        assert_eq!(seen.from, Some(at(0)));
        seen.note(id(2), at(100));
        seen.move_on(at(105));
        assert_eq!(seen.from, Some(at(40)));
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mut seen = Seen::default();
        for number in 0..=SEEN_MAX {
            let number = u128::try_from(number).unwrap();
            seen.note(EventId::from_uuid(Uuid::from_u128(number)), at);
        }
        assert_eq!((seen.ids.len(), seen.order.len()), (SEEN_MAX, SEEN_MAX));
    }
}
