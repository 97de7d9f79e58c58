//! A live sandbox in the place of cassettes, and recording from it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::DateTime;
use onerouter_egress::Upstreams;
use sha2::{Digest as _, Sha256};

use crate::buyer::Buyer;
use crate::cassette::{Cassette, CassetteError, Exchange};
use crate::connection::{Connection, GivenConnection};
use crate::input::Input;
use crate::operation::{Nature, Operation};
use crate::run::Facts;

/// A sandbox of the provider.
#[derive(Debug, Clone)]
pub struct Live {
    /// Where requests for the provider's hosts go.
    pub upstreams: Upstreams,
    /// What works there.
    pub connection: GivenConnection,
    /// Who agrees to pay there, where that takes a person elsewhere.
    pub buyer: Option<Buyer>,
    /// Writes what was answered into this folder of cassettes.
    pub record_to: Option<PathBuf>,
}

/// Digits of ids: no letters that are taken for digits.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What was made in this run, by the prefix of its kind.
#[derive(Debug, Default)]
pub(crate) struct Made {
    by_prefix: BTreeMap<&'static str, Facts>,
    /// What they were asked for with.
    asked: BTreeMap<&'static str, Input>,
    ids: u32,
}

impl Made {
    pub(crate) fn remember(&mut self, operation: Operation, asked: &Input, facts: &Facts) {
        if operation.nature() == Nature::Creates && facts.provider_id.is_some() {
            self.by_prefix.insert(operation.prefix(), facts.clone());
            self.asked.insert(operation.prefix(), asked.clone());
        }
    }

    /// A request about what was made before, with an id that the provider has not seen.
    pub(crate) fn input(&mut self, operation: Operation, given: &Input, now_ms: u64) -> Input {
        if operation.finds() {
            // What is looked for was asked for with this.
            let asked = self.asked.get(operation.prefix());
            return given.clone().or(asked.unwrap_or(&Input::default()));
        }
        let made = match operation {
            Operation::RefundsCreate => Some("pay"),
            Operation::SubscriptionsCreate => Some("plan"),
            _ if operation.nature() == Nature::Creates => None,
            _ => Some(operation.prefix()),
        };
        let made = made.and_then(|prefix| self.by_prefix.get(prefix));
        let mut input = made.map(about).unwrap_or_default();
        if operation.nature() == Nature::Creates {
            input.object_id = Some(self.id(operation, now_ms));
        }
        given.clone().or(&input)
    }

    /// An id of ours that no provider has seen.
    pub(crate) fn id(&mut self, operation: Operation, now_ms: u64) -> String {
        self.ids = self.ids.wrapping_add(1);
        id(operation.prefix(), now_ms, self.ids)
    }
}

/// A request about something, as the adapter has told of it.
pub(crate) fn about(facts: &Facts) -> Input {
    let state: BTreeMap<_, _> = facts.state.iter().cloned().collect();
    let (amount_minor, currency) = facts.amount.clone().unzip();
    Input {
        provider_id: facts.provider_id.clone(),
        provider_payment_id: facts.provider_payment_id.clone(),
        state: Some(state).filter(|state| !state.is_empty()),
        amount_minor,
        currency,
        ..Input::default()
    }
}

impl Made {
    /// An id of the provider's own shape that it has never given.
    pub(crate) fn absent(&self, operation: Operation) -> Option<String> {
        let made = self.by_prefix.get(operation.prefix())?;
        Some(blurred(made.provider_id.as_ref()?))
    }
}

/// The same kinds of characters at the end: also where they are hexadecimal digits.
fn blurred(id: &str) -> String {
    const CHANGED: usize = 8;
    let keep = id.chars().count().saturating_sub(CHANGED);
    let characters = id
        .chars()
        .enumerate()
        .map(|(index, character)| match character {
            _ if index < keep => character,
            '0'..='9' => '0',
            'a'..='z' => 'a',
            'A'..='Z' => 'A',
            other => other,
        });
    characters.collect()
}

fn id(prefix: &str, now_ms: u64, count: u32) -> String {
    let digest = Sha256::new()
        .chain_update(prefix)
        .chain_update(now_ms.to_be_bytes())
        .chain_update(count.to_be_bytes())
        .finalize();
    let digits = digest.iter().take(25).map(|byte| {
        let digit = DIGITS.get(usize::from(byte & 31)).copied();
        char::from(digit.unwrap_or(b'0'))
    });
    format!("{prefix}_0{}", digits.collect::<String>())
}

/// What was recorded of one scenario.
pub(crate) struct Recording<'r> {
    /// The cassette that said what to ask for.
    pub(crate) given: &'r Cassette,
    pub(crate) input: Input,
    pub(crate) now_ms: u64,
    pub(crate) exchanges: Vec<Exchange>,
}

impl Recording<'_> {
    /// As a cassette: with the connection's settings, without its secrets, and without the address of the
    /// sandbox, which is another one tomorrow.
    pub(crate) fn cassette(
        self,
        connection: &Connection,
        upstreams: &Upstreams,
    ) -> Result<Cassette, CassetteError> {
        let cassette = Cassette {
            recorded_at: i64::try_from(self.now_ms)
                .ok()
                .and_then(DateTime::from_timestamp_millis),
            settings: connection.settings.clone(),
            input: self.input,
            exchanges: self.exchanges,
            ..self.given.clone()
        };
        rewrite(&cassette, |text| {
            let mut hidden = connection.hide(text);
            for (host, base) in upstreams.iter() {
                hidden = hidden.replace(&base, &format!("https://{host}"));
            }
            hidden
        })
    }
}

/// The same cassette with its text changed.
pub(crate) fn rewrite(
    cassette: &Cassette,
    change: impl Fn(&str) -> String,
) -> Result<Cassette, CassetteError> {
    let failed = |error: serde_json::Error| CassetteError::Format {
        path: PathBuf::new(),
        reason: error.to_string(),
    };
    let text = serde_json::to_string(cassette).map_err(failed)?;
    serde_json::from_str(&change(&text)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::{blurred, id};

    #[test]
    fn an_absent_id_looks_like_one_that_is_there() {
        assert_eq!(blurred("plink_IluGWxBm9U8zJc"), "plink_IluGWxAa0A0aAa");
        assert_eq!(blurred("4ef9a417-0611e0fcc33c"), "4ef9a417-0611a0aaa00a");
        assert_eq!(blurred("m-1"), "a-0");
    }

    #[test]
    fn every_object_has_an_id_of_its_own() {
        let first = id("pay", 1, 1);
        assert_eq!(first.len(), 30);
        assert_ne!(first, id("pay", 1, 2));
        assert_ne!(first, id("pay", 2, 1));
    }
}
