//! Faults on demand: by a header of the request itself, or by rules that the control API sets. What goes
//! wrong with webhooks is a matter of rules alone.

mod spec;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use http::StatusCode;
use serde::Serialize;

use self::spec::Planned;
pub(crate) use self::spec::{FaultError, FaultSpec};
use crate::{call::Call, lock, provider::Provider};

const FAULT_HEADER: &str = "x-sandbox-fault";
/// Rules are made by hand or by a test; more than this is a loop gone wrong.
const RULES_MAX: usize = 1_000;

/// What goes wrong. `Before` means before the effect: nothing happened at the provider.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    Before(BeforeFault),
    After(AfterFault),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum BeforeFault {
    Latency(Duration),
    Reset,
    Error(Refusal),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AfterFault {
    Latency(Duration),
    Reset,
    Error(Refusal),
    /// Half of the body, then the connection is closed.
    TruncatedBody,
    /// The right status and type, but half of a JSON document.
    MalformedJson,
    /// A web page where JSON should be.
    WrongContentType,
    /// The answer followed by this many bytes of white space, which is still the same JSON.
    HugeBody(u64),
    /// One byte each time.
    TrickleBody(Duration),
}

/// What goes wrong with a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WebhookFault {
    /// Posted late, by the sandbox's clock.
    Delay(TimeDelta),
    /// Delivered twice.
    Duplicate,
    /// Overtaken by the provider's next event.
    Reorder,
    /// Never sent, nor tried again.
    Drop,
    WrongSignature,
    /// One attempt finds nobody.
    Fail,
}

impl WebhookFault {
    /// Whether it concerns a delivery as a whole, not one attempt.
    pub(crate) fn is_of_delivery(self) -> bool {
        match self {
            WebhookFault::Delay(_)
            | WebhookFault::Duplicate
            | WebhookFault::Reorder
            | WebhookFault::Drop
            | WebhookFault::WrongSignature => true,
            WebhookFault::Fail => false,
        }
    }
}

/// A documented error answer, by status, by the provider's code, or both.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: Option<StatusCode>,
    pub(crate) code: Option<String>,
}

/// The rules in force, in the order in which they were made; the first that matches is taken.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Mutex<Rules>,
    /// Number of rules, so that a request without faults takes no lock.
    armed: AtomicUsize,
}

#[derive(Debug, Default)]
struct Rules {
    next_id: u64,
    list: Vec<Rule>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Rule {
    id: u64,
    /// How many requests it has met.
    met: u32,
    #[serde(flatten)]
    spec: FaultSpec,
    #[serde(skip)]
    fault: Planned,
}

impl Faults {
    pub(crate) fn add(&self, spec: FaultSpec) -> Result<Rule, FaultError> {
        let fault = spec.parse()?;
        let mut rules = lock(&self.rules);
        if rules.list.len() >= RULES_MAX {
            return Err(FaultError::TooMany);
        }
        rules.next_id = rules.next_id.saturating_add(1);
        let rule = Rule {
            id: rules.next_id,
            met: 0,
            spec,
            fault,
        };
        rules.list.push(rule.clone());
        self.armed.store(rules.list.len(), Ordering::Release);
        Ok(rule)
    }

    /// The fault for this request, counted as used.
    pub(crate) fn take(
        &self,
        provider: &dyn Provider,
        call: &Call,
    ) -> Result<Option<Fault>, FaultError> {
        if let Some(header) = call.header(FAULT_HEADER) {
            return match FaultSpec::from_header(header)?.parse()? {
                Planned::Request(fault) => Ok(Some(fault)),
                Planned::Webhook(_) => Err(FaultError::OnlyByRule),
            };
        }
        Ok(self.take_first(|rule| match &rule.fault {
            Planned::Request(fault) if rule.spec.matches(provider, call) => Some(fault.clone()),
            Planned::Request(_) | Planned::Webhook(_) => None,
        }))
    }

    /// The fault for this event, counted as used, if it is one of those wanted.
    pub(crate) fn take_for_event(
        &self,
        provider: &str,
        event: &str,
        path: &str,
        wanted: impl Fn(WebhookFault) -> bool,
    ) -> Option<WebhookFault> {
        self.take_first(|rule| match rule.fault {
            Planned::Webhook(fault)
                if wanted(fault) && rule.spec.matches_event(provider, event, path) =>
            {
                Some(fault)
            }
            Planned::Request(_) | Planned::Webhook(_) => None,
        })
    }

    fn take_first<T>(&self, fits: impl Fn(&Rule) -> Option<T>) -> Option<T> {
        if self.armed.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut rules = lock(&self.rules);
        let (index, fault) = rules
            .list
            .iter()
            .enumerate()
            .find_map(|(index, rule)| Some((index, fits(rule)?)))?;
        let rule = rules.list.get_mut(index)?;
        rule.met = rule.met.saturating_add(1);
        if rule.spec.times != 0 && rule.met >= rule.spec.times {
            rules.list.remove(index);
            self.armed.store(rules.list.len(), Ordering::Release);
        }
        Some(fault)
    }

    pub(crate) fn list(&self) -> Vec<Rule> {
        lock(&self.rules).list.clone()
    }

    /// Whether there was such a rule.
    pub(crate) fn remove(&self, id: u64) -> bool {
        let mut rules = lock(&self.rules);
        let before = rules.list.len();
        rules.list.retain(|rule| rule.id != id);
        self.armed.store(rules.list.len(), Ordering::Release);
        rules.list.len() < before
    }

    pub(crate) fn clear(&self) {
        let mut rules = lock(&self.rules);
        rules.list.clear();
        self.armed.store(0, Ordering::Release);
    }
}
