//! `/_sandbox/…`: everything that a test, a benchmark or a person steers and reads.

mod index;
mod webhooks;

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use chrono::{SecondsFormat, TimeDelta};
use http::{Method, StatusCode, header, request::Parts};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    buyer::Buyer,
    config::SettingsChange,
    core::Core,
    faults::FaultSpec,
    ledger::LedgerFilter,
    provider::{self, Provider},
    reply::Reply,
    requests::RequestFilter,
    subscription::Charge,
};

/// Entries that a listing shows unless asked otherwise.
const LIMIT_DEFAULT: usize = 1_000;

/// Why a control request was not carried out.
#[derive(Debug)]
struct Refused(StatusCode, String);

type Answer = Result<Reply, Refused>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    advance_s: Option<i64>,
    advance_ms: Option<i64>,
    frozen: Option<bool>,
}

/// A buyer's visit to a checkout. What else is in it, the provider reads and refuses.
#[derive(Debug, Deserialize)]
struct Visit {
    action: Buyer,
    #[serde(flatten)]
    details: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cycle {
    charge: Charge,
}

/// Answers a request that is for no provider.
pub(crate) fn answer(
    core: &Core,
    providers: &[Arc<dyn Provider>],
    parts: &Parts,
    body: &Bytes,
) -> Reply {
    for provider in providers {
        provider.catch_up();
    }
    let desk = Desk {
        core,
        providers,
        body,
    };
    desk.route(parts)
        .unwrap_or_else(|Refused(status, why)| Reply::json(status, &json!({ "error": why })))
}

struct Desk<'a> {
    core: &'a Core,
    providers: &'a [Arc<dyn Provider>],
    body: &'a Bytes,
}

impl Desk<'_> {
    fn route(&self, parts: &Parts) -> Answer {
        let path = parts.uri.path().trim_end_matches('/');
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let query = || Query::of(parts);
        match (&parts.method, segments.as_slice()) {
            (&Method::GET, [] | ["_sandbox"]) => Ok(self.index(parts)),
            (&Method::GET, ["_sandbox", "health"]) => Ok(ok(&json!({ "status": "ok" }))),
            (&Method::POST, ["_sandbox", "reset"]) => Ok(self.reset()),
            (&Method::GET, ["_sandbox", "clock"]) => Ok(self.clock()),
            (&Method::POST, ["_sandbox", "clock"]) => self.change_clock(),
            (&Method::GET, ["_sandbox", "config"]) => Ok(ok(&self.core.settings())),
            (&Method::PUT, ["_sandbox", "config"]) => self.change_settings(),
            (&Method::GET, ["_sandbox", "faults"]) => {
                Ok(ok(&json!({ "data": self.core.faults.list() })))
            }
            (&Method::POST, ["_sandbox", "faults"]) => self.add_fault(),
            (&Method::DELETE, ["_sandbox", "faults"]) => Ok(self.clear_faults()),
            (&Method::DELETE, ["_sandbox", "faults", id]) => self.remove_fault(id),
            (&Method::GET, ["_sandbox", "ledger"]) => self.ledger(query()),
            (&Method::GET, ["_sandbox", "requests"]) => self.requests(query()),
            (&Method::DELETE, ["_sandbox", "requests"]) => Ok(self.clear_requests()),
            (&Method::GET, ["_sandbox", "webhooks"]) => {
                Ok(ok(&json!({ "data": provider::webhooks(self.providers) })))
            }
            (&Method::POST, ["_sandbox", "webhooks"]) => self.add_webhook(),
            (&Method::PATCH, ["_sandbox", "webhooks", id]) => self.change_webhook(id),
            (&Method::DELETE, ["_sandbox", "webhooks", id]) => self.remove_webhook(id),
            (&Method::GET, ["_sandbox", "deliveries"]) => self.deliveries(query()),
            (&Method::DELETE, ["_sandbox", "deliveries"]) => Ok(self.clear_deliveries()),
            (&Method::POST, ["_sandbox", "messages", id, "status"]) => self.force_status(id),
            (&Method::POST, ["_sandbox", "checkouts", id]) => self.play_buyer(id),
            (&Method::POST, ["_sandbox", "subscriptions", id, "cycle"]) => self.bill_cycle(id),
            (&Method::POST, ["_sandbox", provider, action]) => self.steer(provider, action),
            (&Method::GET, ["_sandbox", provider, what]) => self.show(provider, what),
            (method, _) => Err(Refused(
                StatusCode::NOT_FOUND,
                format!(
                    "{method} {path} is neither a provider nor the control API; GET / lists both"
                ),
            )),
        }
    }

    fn index(&self, parts: &Parts) -> Reply {
        let accepts = parts
            .headers
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok());
        let guide = index::guide(self.providers);
        if accepts.is_some_and(|accepts| accepts.contains("text/html")) {
            return Reply::of(
                StatusCode::OK,
                "text/html; charset=utf-8",
                index::page(&guide),
            );
        }
        ok(&guide)
    }

    /// Everything as it was at the start, clock and settings included.
    fn reset(&self) -> Reply {
        // The providers first: what they had to tell goes with the outbox.
        for provider in self.providers {
            provider.clear();
        }
        self.core.reset();
        Reply::empty(StatusCode::NO_CONTENT)
    }

    fn clock(&self) -> Reply {
        let now = self
            .core
            .clock
            .now()
            .to_rfc3339_opts(SecondsFormat::Micros, true);
        ok(&json!({ "now": now, "frozen": self.core.clock.is_frozen() }))
    }

    fn change_clock(&self) -> Answer {
        let change: ClockChange = self.read()?;
        match change.frozen {
            Some(true) => self.core.clock.freeze(),
            Some(false) => self.core.clock.thaw(),
            None => {}
        }
        let seconds = change
            .advance_s
            .and_then(TimeDelta::try_seconds)
            .unwrap_or_default();
        let millis = change
            .advance_ms
            .and_then(TimeDelta::try_milliseconds)
            .unwrap_or_default();
        self.core.clock.advance(seconds);
        self.core.clock.advance(millis);
        for provider in self.providers {
            provider.catch_up();
        }
        self.core.webhooks.ring();
        Ok(self.clock())
    }

    fn change_settings(&self) -> Answer {
        let change: SettingsChange = self.read()?;
        Ok(ok(&self
            .core
            .change_settings(|settings| settings.change(change))))
    }

    fn add_fault(&self) -> Answer {
        let spec: FaultSpec = self.read()?;
        let rule = self
            .core
            .faults
            .add(spec)
            .map_err(|error| bad_request(error.to_string()))?;
        Ok(Reply::json(StatusCode::CREATED, &rule))
    }

    fn clear_faults(&self) -> Reply {
        self.core.faults.clear();
        Reply::empty(StatusCode::NO_CONTENT)
    }

    fn remove_fault(&self, id: &str) -> Answer {
        if id.parse().is_ok_and(|id| self.core.faults.remove(id)) {
            return Ok(Reply::empty(StatusCode::NO_CONTENT));
        }
        Err(Refused(
            StatusCode::NOT_FOUND,
            format!("no fault rule {id}: it may have met all its requests"),
        ))
    }

    fn ledger(&self, mut query: Query) -> Answer {
        let filter = LedgerFilter {
            kind: query.take("kind"),
            provider: query.take("provider"),
            account: query.take("account"),
            id: query.take("id"),
            object: query.take("object"),
            to: query.take("to"),
            idempotency_key: query.take("idempotency_key"),
        };
        let limit = query.finish()?;
        Ok(ok(&self.core.ledger.read(&filter, limit)))
    }

    fn requests(&self, mut query: Query) -> Answer {
        let filter = RequestFilter {
            provider: query.take("provider"),
            method: query.take("method"),
            path_contains: query.take("path_contains"),
        };
        let limit = query.finish()?;
        Ok(ok(&self.core.requests.read(&filter, limit)))
    }

    fn clear_requests(&self) -> Reply {
        self.core.requests.clear();
        Reply::empty(StatusCode::NO_CONTENT)
    }

    fn force_status(&self, id: &str) -> Answer {
        let change: Value = self.read()?;
        match self
            .providers
            .iter()
            .find_map(|provider| provider.force_status(id, &change))
        {
            Some(Ok(message)) => Ok(ok(&message)),
            Some(Err(why)) => Err(bad_request(why)),
            None => Err(Refused(
                StatusCode::NOT_FOUND,
                format!("no provider has a message {id}"),
            )),
        }
    }

    fn play_buyer(&self, id: &str) -> Answer {
        let visit: Visit = self.read()?;
        let played = self
            .providers
            .iter()
            .find_map(|provider| provider.play_buyer(id, visit.action, &visit.details));
        match played {
            Some(Ok(sent_back)) => Ok(ok(&sent_back)),
            Some(Err(why)) => Err(bad_request(why)),
            None => Err(Refused(
                StatusCode::NOT_FOUND,
                format!("no provider has a checkout {id}"),
            )),
        }
    }

    fn bill_cycle(&self, id: &str) -> Answer {
        let cycle: Cycle = self.read()?;
        let billed = self
            .providers
            .iter()
            .find_map(|provider| provider.bill_cycle(id, cycle.charge));
        match billed {
            Some(Ok(subscription)) => Ok(ok(&subscription)),
            Some(Err(why)) => Err(bad_request(why)),
            None => Err(Refused(
                StatusCode::NOT_FOUND,
                format!("no provider has a subscription {id}"),
            )),
        }
    }

    fn steer(&self, provider: &str, action: &str) -> Answer {
        let mut providers = self.providers.iter();
        let found = providers.find(|known| known.name() == provider);
        found
            .and_then(|provider| provider.control(action, self.body))
            .ok_or_else(|| {
                Refused(
                    StatusCode::NOT_FOUND,
                    format!("no provider {provider} that does {action}"),
                )
            })
    }

    fn show(&self, provider: &str, what: &str) -> Answer {
        let mut providers = self.providers.iter();
        let found = providers.find(|known| known.name() == provider);
        found
            .and_then(|provider| provider.show(what))
            .ok_or_else(|| {
                Refused(
                    StatusCode::NOT_FOUND,
                    format!("no provider {provider} that shows {what}"),
                )
            })
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        serde_json::from_slice(self.body).map_err(|error| bad_request(error.to_string()))
    }
}

/// The query's parameters; what nobody takes is a mistake of the caller.
struct Query(HashMap<String, String>);

impl Query {
    fn of(parts: &Parts) -> Query {
        let query = parts.uri.query().unwrap_or_default();
        Query(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// The limit, once everything else is taken.
    fn finish(mut self) -> Result<usize, Refused> {
        let limit = match self.take("limit") {
            None => LIMIT_DEFAULT,
            Some(limit) => limit
                .parse()
                .map_err(|error| bad_request(format!("limit: {error}")))?,
        };
        match self.0.keys().next() {
            Some(unknown) => Err(bad_request(format!("unknown parameter {unknown}"))),
            None => Ok(limit),
        }
    }
}

fn ok(value: &impl serde::Serialize) -> Reply {
    Reply::json(StatusCode::OK, value)
}

fn bad_request(why: String) -> Refused {
    Refused(StatusCode::BAD_REQUEST, why)
}
