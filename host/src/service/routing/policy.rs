//! What a tenant wants of routing: order, weights, rules.

use std::collections::BTreeMap;

use onerouter_domain::id::ConnectionId;
use onerouter_domain::money::Currency;
use serde::{Deserialize, Serialize};

/// Rules of one policy.
pub const RULES_MAX: usize = 50;
/// Connections in one order.
pub const TARGETS_MAX: usize = 50;
/// Values in one condition.
pub const CONDITION_VALUES_MAX: usize = 100;
/// Characters of a rule's name.
pub const RULE_NAME_LENGTH_MAX: usize = 64;
/// The highest priority number.
pub const PRIORITY_MAX: u32 = 1_000;
/// The highest weight.
pub const WEIGHT_MAX: u32 = 10_000;
/// Weight of a connection that was given none.
pub const DEFAULT_WEIGHT: u32 = 100;

/// Which connections serve a category, and in what order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Used where no rule fits. Empty: every connection, the oldest first.
    pub order: Vec<Target>,
    /// The first one that fits replaces the order.
    pub rules: Vec<Rule>,
    /// Whether the next connection is tried when one has not sent.
    pub failover: bool,
}

/// A connection in an order, as in DNS SRV records: the lowest priority is tried first, and within
/// one priority the weights share the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Which connection.
    pub connection_id: ConnectionId,
    /// Lower is earlier.
    pub priority: u32,
    /// Its share within the priority; 0 only after all others of it.
    pub weight: u32,
}

/// An order for some of the traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// For people.
    pub name: String,
    /// For which messages.
    pub when: Condition,
    /// Which connections; no others serve these messages.
    pub order: Vec<Target>,
}

/// All that is given must fit. A message to several recipients fits when every one of them does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The number starts with one of these: `+44`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to_prefixes: Vec<String>,
    /// The address is in one of these domains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to_domains: Vec<String>,
    /// Somebody pays in one of these: `INR`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub currencies: Vec<String>,
    /// The message has all of these pairs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// What rules look at.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// Phone numbers or e-mail addresses.
    pub recipients: Vec<&'a str>,
    /// In which currency somebody pays.
    pub currency: Option<Currency>,
    /// The caller's pairs.
    pub metadata: &'a BTreeMap<String, String>,
}

impl Condition {
    /// Whether it asks for nothing, and so would fit everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.to_prefixes.is_empty()
            && self.to_domains.is_empty()
            && self.currencies.is_empty()
            && self.metadata.is_empty()
    }

    fn fits(&self, facts: &Facts<'_>) -> bool {
        let every = |fits: &dyn Fn(&str) -> bool| {
            !facts.recipients.is_empty() && facts.recipients.iter().all(|to| fits(to))
        };
        let prefix = |to: &str| self.to_prefixes.iter().any(|prefix| to.starts_with(prefix));
        let domain = |to: &str| {
            domain_of(to).is_some_and(|domain| {
                self.to_domains
                    .iter()
                    .any(|wanted| wanted.eq_ignore_ascii_case(domain))
            })
        };
        let currency = |paid: Currency| self.currencies.iter().any(|wanted| wanted == paid.code());
        (self.to_prefixes.is_empty() || every(&prefix))
            && (self.to_domains.is_empty() || every(&domain))
            && (self.currencies.is_empty() || facts.currency.is_some_and(currency))
            && self
                .metadata
                .iter()
                .all(|(key, value)| facts.metadata.get(key) == Some(value))
    }
}

/// `Shop <a@b.example>` and `a@b.example` are both in `b.example`.
fn domain_of(address: &str) -> Option<&str> {
    let (_, domain) = address.rsplit_once('@')?;
    Some(domain.trim_end().trim_end_matches('>').trim_end())
}

impl Policy {
    /// The order for a message, with the rule that gave it.
    #[must_use]
    pub fn order_for(&self, facts: &Facts<'_>) -> (&[Target], Option<&str>) {
        self.rules
            .iter()
            .find(|rule| rule.when.fits(facts))
            .map_or((&self.order, None), |rule| {
                (&rule.order, Some(rule.name.as_str()))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>(to: &[&'a str], metadata: &'a BTreeMap<String, String>) -> Facts<'a> {
        Facts {
            recipients: to.to_vec(),
            currency: None,
            metadata,
        }
    }

    #[test]
    fn a_condition_fits_only_when_everything_in_it_does() {
        let none = BTreeMap::new();
        let pairs = BTreeMap::from([("team".to_owned(), "billing".to_owned())]);
        let condition = Condition {
            to_prefixes: vec!["+44".to_owned(), "+353".to_owned()],
            metadata: pairs.clone(),
            ..Condition::default()
        };
        assert!(condition.fits(&facts(&["+447700900123"], &pairs)));
        assert!(condition.fits(&facts(&["+35312345678"], &pairs)));
        assert!(!condition.fits(&facts(&["+14155550123"], &pairs)));
        assert!(!condition.fits(&facts(&["+447700900123"], &none)));
        assert!(!condition.fits(&facts(&[], &pairs)));
    }

    #[test]
    fn a_domain_fits_whole_and_for_every_recipient() {
        let none = BTreeMap::new();
        let condition = Condition {
            to_domains: vec!["Example.com".to_owned()],
            ..Condition::default()
        };
        assert!(condition.fits(&facts(&["a@example.com", "B <b@EXAMPLE.COM>"], &none)));
        assert!(!condition.fits(&facts(&["a@example.com", "b@other.example"], &none)));
        assert!(!condition.fits(&facts(&["a@badexample.com"], &none)));
        assert!(!condition.fits(&facts(&["a@example.com.evil.example"], &none)));
    }
}
