//! What payments, refunds, plans, subscriptions and payment links have in common.

use std::collections::BTreeMap;

use onerouter_domain::failure::Failure;
use onerouter_domain::money::{Currency, Money};
use onerouter_engine::wit::payments as wit;
use serde::{Deserialize, Serialize};

use super::kind::{Action, CallIds};

/// Who pays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Phone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

impl Customer {
    pub(crate) fn to_wit(&self) -> wit::Customer {
        wit::Customer {
            name: self.name.clone(),
            email: self.email.clone(),
            phone: self.phone.clone(),
        }
    }
}

/// The buyer's pages of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pages {
    /// Where the gateway is reached: `https://pay.example.com`.
    pub base: String,
    /// What nobody can guess.
    pub token: String,
}

impl Pages {
    /// The page on which the buyer begins.
    #[must_use]
    pub fn start(&self) -> String {
        format!("{}/checkout/{}", self.base, self.token)
    }

    /// Where the buyer comes back.
    #[must_use]
    pub fn back(&self) -> String {
        format!("{}/return", self.start())
    }

    /// Where a buyer who gives up comes back.
    #[must_use]
    pub fn given_up(&self) -> String {
        format!("{}/cancel", self.start())
    }
}

/// Pairs that an adapter gets back.
pub type State = Vec<(String, String)>;

/// A plan as a subscription refers to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRef {
    /// Ours, `plan_…`; none for one that was made elsewhere.
    pub id: Option<String>,
    /// The provider's.
    pub provider_ref: String,
    /// What the adapter wants to be told again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: State,
}

impl PlanRef {
    pub(crate) fn to_wit(&self) -> wit::Reference {
        wit::Reference {
            object_id: self.id.clone(),
            provider_id: self.provider_ref.clone(),
            provider_payment_id: None,
            amount: None,
            state: self.state.clone(),
        }
    }

    /// As users see it.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.provider_ref)
    }
}

/// When a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// At once.
    Now,
    /// When what is paid for is over.
    CycleEnd,
}

impl Moment {
    pub(crate) const fn to_wit(self) -> wit::Moment {
        match self {
            Self::Now => wit::Moment::Now,
            Self::CycleEnd => wit::Moment::CycleEnd,
        }
    }
}

/// Nothing can be done with these later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAction {}

impl Action for NoAction {
    fn name(&self) -> &'static str {
        match *self {}
    }
}

/// Refusals of a repeated request that the first one must have met too.
pub(crate) fn is_word_on_the_first(code: &str) -> bool {
    matches!(
        code,
        "invalid_content" | "invalid_amount" | "currency_not_supported"
    )
}

/// Whether a refusal is about the buyer's means of payment: who asks again before the buyer has chosen
/// others takes the money a second time from somebody who has paid elsewhere meanwhile.
pub(crate) fn is_for_the_buyer(refusal: &Failure) -> bool {
    matches!(
        refusal.code.as_str(),
        "instrument_declined" | "action_required"
    )
}

pub(crate) fn to_money(money: Money) -> wit::Money {
    wit::Money {
        minor_units: money.minor_units().unsigned_abs(),
        currency: money.currency().code().to_owned(),
    }
}

pub(crate) fn attempt(ids: &CallIds) -> wit::Attempt {
    wit::Attempt {
        attempt_id: ids.attempt_id.clone(),
        idempotency_key: ids.provider_key.clone(),
    }
}

pub(crate) fn pairs(map: &BTreeMap<String, String>) -> Vec<(String, String)> {
    map.iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A counter of minor units. The engine has checked that it fits.
pub(crate) fn units(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// A failure and a raw answer belong to the status that won.
pub(crate) fn keep_story(
    (failure, raw): (&mut Option<Failure>, &mut Option<String>),
    (new_failure, new_raw): (Option<Failure>, Option<String>),
    moved: bool,
) {
    if moved {
        *failure = new_failure;
        *raw = new_raw.or(raw.take());
    }
}

/// The amount of counted minor units.
pub(crate) fn money(units: i64, currency: Currency) -> Money {
    Money::from_minor_units(units, currency)
}
