//! What is known about a payment without asking, and what has to be asked.

use alloc::string::String;

use onerouter_plugin::common::CallError;
use onerouter_plugin::failure::failure;
use onerouter_plugin::payments::{Money, Reference};

use crate::order::{Intent, Order};
use crate::taking::{self, Seen};

/// Names in `state`.
pub(crate) const INTENT: &str = "intent";
pub(crate) const AUTHORIZATION: &str = "authorization";
pub(crate) const METHOD: &str = "method";

#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) intent: Intent,
    /// The authorization that can be captured or voided.
    pub(crate) authorization: Option<String>,
    amount: Option<Money>,
    /// The order, where it had to be read.
    pub(crate) seen: Option<Seen>,
}

impl Known {
    /// Reads the order where the reference does not say enough.
    pub(crate) fn of(payment: &Reference) -> Result<Self, CallError> {
        if let Some(known) = Self::remembered(payment) {
            return Ok(known);
        }
        let seen = taking::look(&payment.provider_id)?;
        let Some(intent) = intent(&seen.order) else {
            return Err(CallError::InvalidState(failure(
                "invalid_state",
                "PayPal does not say what this order was made for.",
            )));
        };
        Ok(Self {
            intent,
            authorization: seen
                .order
                .authorizations
                .last()
                .map(|authorization| authorization.id.clone()),
            amount: seen.order.amount.clone(),
            seen: Some(seen),
        })
    }

    /// None where something is missing.
    fn remembered(payment: &Reference) -> Option<Self> {
        let known = Self {
            intent: Intent::from_name(state(payment, INTENT)?)?,
            authorization: state(payment, AUTHORIZATION).map(Into::into),
            amount: payment.amount.clone(),
            seen: None,
        };
        let is_enough = match known.intent {
            Intent::Capture => known.amount.is_some(),
            Intent::Authorize => known.authorization.is_some(),
        };
        is_enough.then_some(known)
    }

    /// Whether this is all of it.
    pub(crate) fn is_whole(&self, amount: &Money) -> bool {
        self.amount.as_ref().is_some_and(|whole| {
            whole.minor_units == amount.minor_units && whole.currency == amount.currency
        })
    }
}

/// A pair that this adapter gave before.
pub(crate) fn state<'a>(reference: &'a Reference, name: &str) -> Option<&'a str> {
    reference
        .state
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

/// What an order was made for; some answers show it only by what came of it.
pub(crate) fn intent(order: &Order) -> Option<Intent> {
    match (
        order.intent,
        order.authorizations.is_empty(),
        order.captures.is_empty(),
    ) {
        (Some(intent), _, _) => Some(intent),
        (None, false, _) => Some(Intent::Authorize),
        (None, true, false) => Some(Intent::Capture),
        (None, true, true) => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::money::tests::money;

    pub(crate) fn reference(amount: Option<Money>, state: &[(&str, &str)]) -> Reference {
        let pair = |(name, value): &(&str, &str)| ((*name).into(), (*value).into());
        Reference {
            object_id: Some("pay_1".into()),
            provider_id: "5O190127TN364715T".into(),
            provider_payment_id: None,
            amount,
            state: state.iter().map(pair).collect::<Vec<_>>(),
        }
    }

    #[test]
    fn what_was_remembered_is_not_asked_for_again() {
        let usd = || Some(money(2_500, "USD"));
        let capture = (INTENT, "CAPTURE");
        let authorize = (INTENT, "AUTHORIZE");
        let reserved = (AUTHORIZATION, "AUTH");
        for (amount, state, is_enough) in [
            (usd(), &[capture][..], true),
            (None, &[capture], false),
            (usd(), &[authorize], false),
            (None, &[authorize, reserved], true),
            (usd(), &[reserved], false),
            (usd(), &[(INTENT, "TELEPORT")], false),
        ] {
            let known = Known::remembered(&reference(amount, state));
            assert_eq!(known.is_some(), is_enough, "{state:?}");
        }
    }

    #[test]
    fn a_part_is_not_the_whole() {
        let known = Known::remembered(&reference(
            Some(money(2_500, "USD")),
            &[(INTENT, "CAPTURE")],
        ));
        let known = known.unwrap();
        assert!(known.is_whole(&money(2_500, "USD")));
        assert!(!known.is_whole(&money(2_499, "USD")));
        assert!(!known.is_whole(&money(2_500, "EUR")));
    }
}
