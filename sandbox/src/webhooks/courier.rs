//! Sends what is due.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use http::header;
use reqwest::{Client, redirect::Policy};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Delivery, Outcome,
    attempts::Record,
    delivery::Answer,
    outbox::Ticket,
    target::{check_target, is_loopback},
};
use crate::{core::Core, lock, provider::Provider};

/// An injected clock can be moved without a word to us, and not everything that lies ahead is announced:
/// while anybody listens, it is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Of an answer; TwiML is the longest that anybody reads.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Clients by their timeouts. Only Twilio's can be chosen; more than this are made for one use.
const CLIENTS_MAX: usize = 16;
/// What is under way at a shutdown may end.
const GRACE: Duration = Duration::from_secs(1);

pub(crate) struct Courier {
    pub(crate) core: Arc<Core>,
    pub(crate) providers: Vec<Arc<dyn Provider>>,
    clients: Mutex<HashMap<ClientKind, Client>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct ClientKind {
    connect: Duration,
    read: Duration,
    /// Nobody has a certificate that others trust for a gateway on his own machine.
    trusts_anyone: bool,
}

/// Until `stop`.
pub(crate) async fn run(courier: Arc<Courier>, tasks: TaskTracker, stop: CancellationToken) {
    let webhooks = &courier.core.webhooks;
    loop {
        for provider in &courier.providers {
            provider.catch_up();
        }
        let now = courier.core.clock.now();
        while let Some((ticket, delivery)) = webhooks.take_due(now) {
            let courier = Arc::clone(&courier);
            let stop = stop.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = courier.attempt(ticket, delivery) => {}
                    () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => {}
                }
            });
        }
        let pause = async {
            match courier.pause(now) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = webhooks.bell.notified() => {}
            () = pause => {}
        }
    }
}

impl Courier {
    pub(crate) fn new(core: Arc<Core>, providers: Vec<Arc<dyn Provider>>) -> Courier {
        Courier {
            core,
            providers,
            clients: Mutex::default(),
        }
    }

    /// How long nothing can be due. `None`: until the bell rings.
    fn pause(&self, now: DateTime<Utc>) -> Option<Duration> {
        let providers = self.providers.iter();
        let ahead = providers.filter_map(|provider| provider.next_event_at());
        let next = ahead.chain(self.core.webhooks.next_due()).min();
        let Some(next) = next else {
            let mut providers = self.providers.iter();
            let is_any = providers.any(|provider| provider.is_listened_to());
            return is_any.then_some(LOOK_EVERY);
        };
        let until = next.signed_duration_since(now).to_std();
        // What is due and not sent waits for another to end, which rings.
        Some(until.map_or(LOOK_EVERY, |until| until.min(LOOK_EVERY)))
    }

    async fn attempt(&self, ticket: Ticket, mut delivery: Delivery) {
        let at = self.core.clock.now();
        let rules = Arc::clone(&delivery.rules);
        let mut headers = rules.headers(&delivery, at);
        if let Some(content_type) = delivery.content_type {
            headers.insert(
                header::CONTENT_TYPE,
                http::HeaderValue::from_static(content_type),
            );
        }
        delivery.tried_at.get_or_insert(at);
        let began = Instant::now();
        let outcome = self.send(&delivery, &headers).await;
        delivery.spent = delivery.spent.saturating_add(began.elapsed());
        delivery.attempts = delivery.attempts.saturating_add(1);
        let next_attempt_at = rules.again(&delivery, &outcome, self.core.clock.now());
        tracing::debug!(
            provider = delivery.provider,
            event = delivery.event,
            attempt = delivery.attempts,
            accepted = outcome.is_success(),
            "a webhook was sent"
        );
        if next_attempt_at.is_none() {
            // Before it counts as ended: whoever waits for that sees what came of it.
            let mut providers = self.providers.iter();
            if let Some(provider) = providers.find(|known| known.name() == delivery.provider) {
                provider.delivery_ended(&delivery, &outcome);
            }
        }
        let again = next_attempt_at.map(|at| (at, delivery.clone()));
        let record = Record {
            delivery,
            at,
            headers,
            outcome,
            next_attempt_at,
        };
        self.core.webhooks.finish(ticket, record, again);
    }

    async fn send(&self, delivery: &Delivery, headers: &http::HeaderMap) -> Outcome {
        if let Err(error) = check_target(&delivery.url, self.core.webhooks.targets) {
            return Outcome::NotAllowed(error.to_string());
        }
        let path = delivery.url.path();
        let fault =
            self.core
                .faults
                .take_for_event(delivery.provider, &delivery.event, path, |fault| {
                    !fault.is_of_delivery()
                });
        if fault.is_some() {
            return Outcome::NotConnected("a fault: no connection".to_owned());
        }
        let request = match self.client(delivery) {
            Ok(client) => client
                .request(delivery.method.clone(), delivery.url.clone())
                .headers(headers.clone())
                .timeout(delivery.time_left())
                .body(delivery.body.clone()),
            Err(error) => return Outcome::NotConnected(told(&error)),
        };
        match request.send().await {
            Ok(response) => read(response).await,
            Err(error) if error.is_connect() => Outcome::NotConnected(told(&error)),
            Err(error) => Outcome::NotAnswered(told(&error)),
        }
    }

    fn client(&self, delivery: &Delivery) -> reqwest::Result<Client> {
        let kind = ClientKind {
            connect: delivery.times.connect,
            read: delivery.times.read,
            trusts_anyone: is_loopback(&delivery.url),
        };
        if let Some(client) = lock(&self.clients).get(&kind) {
            return Ok(client.clone());
        }
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            // A gateway that is restarted must not meet a connection of before.
            .pool_idle_timeout(Duration::from_secs(1))
            .connect_timeout(kind.connect)
            .read_timeout(kind.read)
            .tls_danger_accept_invalid_certs(kind.trusts_anyone)
            .build()?;
        let mut clients = lock(&self.clients);
        if clients.len() < CLIENTS_MAX {
            clients.insert(kind, client.clone());
        }
        Ok(client)
    }
}

/// The start of the answer; the rest is not waited for.
async fn read(mut response: reqwest::Response) -> Outcome {
    let status = response.status().as_u16();
    let content_type = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let mut body = Vec::new();
    while body.len() < ANSWER_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => return Outcome::NotAnswered(told(&error)),
        }
    }
    body.truncate(ANSWER_BYTES_MAX);
    Outcome::Answered(Answer {
        status,
        content_type,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// With its causes: the outer error only says that something failed.
fn told(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
