//! Faults on demand: by a header of the request itself, or by rules that the control API sets.

mod spec;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use serde::Serialize;

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
    fault: Fault,
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
            return FaultSpec::from_header(header)?.parse().map(Some);
        }
        if self.armed.load(Ordering::Acquire) == 0 {
            return Ok(None);
        }
        let mut rules = lock(&self.rules);
        let Some(index) = rules
            .list
            .iter()
            .position(|rule| rule.spec.matches(provider, call))
        else {
            return Ok(None);
        };
        let Some(rule) = rules.list.get_mut(index) else {
            return Ok(None);
        };
        rule.met = rule.met.saturating_add(1);
        let fault = rule.fault.clone();
        if rule.spec.times != 0 && rule.met >= rule.spec.times {
            rules.list.remove(index);
            self.armed.store(rules.list.len(), Ordering::Release);
        }
        Ok(Some(fault))
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
