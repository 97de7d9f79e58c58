//! The wire form of a policy.

use std::collections::{BTreeMap, BTreeSet};

use onerouter_domain::id::ConnectionId;
use onerouter_domain::metadata;
use onerouter_domain::money::Currency;
use onerouter_manifest::Category;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::fields::Fields;
use crate::http::money::CurrencyCode;
use crate::service::routing::policy::{
    CONDITION_VALUES_MAX, Condition, DEFAULT_WEIGHT, PRIORITY_MAX, Policy, RULE_NAME_LENGTH_MAX,
    RULES_MAX, Rule, TARGETS_MAX, Target, WEIGHT_MAX,
};

/// Characters of a domain name.
const DOMAIN_LENGTH_MAX: usize = 253;

/// Which connections serve a category, and in what order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "order": [
        {"connection_id": "con_01h455vb4pex5vsknk084sn02q", "priority": 1, "weight": 70},
        {"connection_id": "con_01h455vb4pex5vsknk084sn02r", "priority": 1, "weight": 30},
        {"connection_id": "con_01h455vb4pex5vsknk084sn02s", "priority": 2}
    ],
    "failover": true
}))]
pub(crate) struct RoutingPolicy {
    /// Used where no rule fits. Left out or empty: every connection, the oldest first.
    #[schema(nullable, max_items = 50)]
    order: Option<Vec<RoutingTarget>>,
    /// The first one that fits replaces the order; no other connection serves what it fits.
    #[schema(nullable, max_items = 50)]
    rules: Option<Vec<RoutingRule>>,
    /// Whether the next connection is tried when one has not sent; true when left out. Only what
    /// provably has not been sent is tried again.
    #[schema(nullable)]
    failover: Option<bool>,
    /// Writes only over this version, as read before; 0 only where there is none yet.
    #[schema(nullable, minimum = 0)]
    version: Option<u64>,
}

/// A connection in an order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoutingTarget {
    /// `con_…`, of this category and environment.
    connection_id: String,
    /// Lower is earlier; within one priority the weights share the traffic. Give all of an order
    /// one, or none: then they stand in their order.
    #[schema(nullable, minimum = 1, maximum = 1000)]
    priority: Option<u32>,
    /// Its share within the priority, 100 when left out; 0 only after all others of it.
    #[schema(nullable, minimum = 0, maximum = 10000)]
    weight: Option<u32>,
}

/// An order for some of the messages.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoutingRule {
    /// For people; each has its own.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// For which messages: all that is given must fit, for every recipient.
    when: RoutingCondition,
    /// Over which connections.
    #[schema(min_items = 1, max_items = 50)]
    order: Vec<RoutingTarget>,
}

/// For which messages a rule is; at least one of these.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoutingCondition {
    /// `sms`: the number starts with one of these, such as `+44`.
    #[schema(nullable, min_items = 1, max_items = 100)]
    to_prefixes: Option<Vec<String>>,
    /// `email`: the address is in one of these domains.
    #[schema(nullable, min_items = 1, max_items = 100)]
    to_domains: Option<Vec<String>>,
    /// `payments`: somebody pays in one of these, such as `INR`.
    #[schema(nullable, min_items = 1, max_items = 100, value_type = Option<Vec<CurrencyCode>>)]
    currencies: Option<Vec<String>>,
    /// The message has all of these pairs.
    #[schema(nullable)]
    metadata: Option<BTreeMap<String, String>>,
}

/// A connection in an order, as it is stored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StoredRoutingTarget)]
pub(crate) struct TargetView {
    /// `con_…`
    connection_id: String,
    /// Lower is earlier.
    priority: u32,
    /// Its share within the priority.
    weight: u32,
}

impl TargetView {
    pub(crate) fn new(target: &Target) -> Self {
        Self {
            connection_id: target.connection_id.to_string(),
            priority: target.priority,
            weight: target.weight,
        }
    }
}

/// An order for some of the messages, as it is stored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StoredRoutingRule)]
pub(crate) struct RuleView {
    /// For people.
    name: String,
    /// For which messages.
    #[schema(value_type = RoutingCondition)]
    when: Condition,
    /// Over which connections.
    order: Vec<TargetView>,
}

impl RuleView {
    pub(crate) fn new(rule: Rule) -> Self {
        Self {
            name: rule.name,
            when: rule.when,
            order: rule.order.iter().map(TargetView::new).collect(),
        }
    }
}

/// Reads a policy. Mistakes are noted in `fields`.
pub(crate) fn parse(fields: &mut Fields<'_>, category: Category) -> Policy {
    let order = order(fields, false);
    let mut rules = Vec::new();
    let mut names = BTreeSet::new();
    for (at, value) in fields.list("rules", RULES_MAX).unwrap_or_default() {
        let mut inner = Fields::at(at, value);
        let rule = rule(&mut inner, category);
        if !names.insert(rule.name.clone()) && !rule.name.is_empty() {
            inner.mistake("name", "duplicate", "is the name of an earlier rule");
        }
        rules.push(rule);
        fields.adopt(inner.end());
    }
    Policy {
        order,
        rules,
        failover: fields.boolean("failover").unwrap_or(true),
    }
}

fn rule(fields: &mut Fields<'_>, category: Category) -> Rule {
    let name = fields
        .required_text_of("name", 1, RULE_NAME_LENGTH_MAX)
        .unwrap_or_default();
    let when = match fields.required_inner("when") {
        Some(mut inner) => {
            let when = condition(&mut inner, category);
            let mistakes = inner.end();
            if when.is_empty() && mistakes.is_empty() {
                let detail = "needs at least one condition; what fits everything belongs in the policy's own order";
                fields.mistake("when", "required", detail);
            }
            fields.adopt(mistakes);
            when
        }
        None => Condition::default(),
    };
    Rule {
        name,
        when,
        order: order(fields, true),
    }
}

fn condition(fields: &mut Fields<'_>, category: Category) -> Condition {
    let mut condition = Condition::default();
    let (own, detail): (_, &str) = match category {
        Category::Sms => ("to_prefixes", "must be + and 1 to 15 digits, such as +44"),
        Category::Email => ("to_domains", "must be a domain name, such as example.com"),
        Category::Payments => (
            "currencies",
            "must be an ISO 4217 currency code, such as USD",
        ),
    };
    for other in ["to_prefixes", "to_domains", "currencies"] {
        if other != own && fields.value(other).is_some() {
            let detail = format!("has no meaning for {category}; use {own}");
            fields.mistake(other, "unsupported", detail);
        }
    }
    if fields.has(own) {
        let values: Vec<String> = fields
            .required_one_or_more(own, CONDITION_VALUES_MAX)
            .unwrap_or_default();
        let fits = |value: &String| match category {
            Category::Sms => is_prefix(value),
            Category::Email => is_domain(value),
            Category::Payments => value.parse::<Currency>().is_ok(),
        };
        if let Some(index) = values.iter().position(|value| !fits(value)) {
            fields.mistake_in(own, &index.to_string(), "invalid", detail);
        }
        match category {
            Category::Sms => condition.to_prefixes = values,
            Category::Email => condition.to_domains = values,
            Category::Payments => condition.currencies = values,
        }
    }
    let pairs = fields
        .pairs("metadata", metadata::PAIRS_MAX)
        .unwrap_or_default();
    for (key, _) in &pairs {
        if !metadata::key_fits(key) {
            let detail = "the key must be 1 to 64 characters of A-Z, a-z, 0-9, _, . and -";
            fields.mistake_in("metadata", key, "invalid", detail);
        }
    }
    condition.metadata = pairs.into_iter().collect();
    condition
}

fn order(fields: &mut Fields<'_>, is_required: bool) -> Vec<Target> {
    let values = if is_required {
        fields.required_list("order", TARGETS_MAX)
    } else {
        fields.list("order", TARGETS_MAX)
    };
    let mut targets = Vec::new();
    let mut with_priority = 0_usize;
    let mut known = BTreeSet::new();
    for (index, (at, value)) in values.unwrap_or_default().into_iter().enumerate() {
        let mut inner = Fields::at(at, value);
        let id: Option<ConnectionId> = inner.required_parsed("connection_id");
        let place = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        let priority = number(&mut inner, "priority", 1, PRIORITY_MAX);
        with_priority = with_priority.saturating_add(usize::from(priority.is_some()));
        let weight = number(&mut inner, "weight", 0, WEIGHT_MAX);
        if id.is_some_and(|id| !known.insert(id)) {
            inner.mistake("connection_id", "duplicate", "stands there twice");
        }
        targets.extend(id.map(|connection_id| Target {
            connection_id,
            priority: priority.unwrap_or(place),
            weight: weight.unwrap_or(DEFAULT_WEIGHT),
        }));
        fields.adopt(inner.end());
    }
    if with_priority != 0 && with_priority != targets.len() {
        let detail = "give all of them a priority, or none";
        fields.mistake("order", "invalid", detail);
    }
    targets
}

fn number(fields: &mut Fields<'_>, name: &str, least: u32, most: u32) -> Option<u32> {
    let number = fields.integer(name, i64::from(least), i64::from(most))?;
    u32::try_from(number).ok()
}

fn is_prefix(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() <= DOMAIN_LENGTH_MAX && text.contains('.') && text.split('.').all(is_label)
}
