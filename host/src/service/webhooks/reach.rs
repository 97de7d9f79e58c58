//! Of which events a key may hear: of those about what it may read.

use onerouter_domain::event::{EventPattern, FAMILIES};

use crate::service::caller::{Access, Caller, Resource};
use crate::service::refusal::Refusal;

/// What a key must be able to read to hear of events of a type, or of a family of them.
fn resource(types: &str) -> Resource {
    match types.split('.').next().unwrap_or_default() {
        "payment" => Resource::Payments,
        "refund" => Resource::Refunds,
        "plan" => Resource::Plans,
        "subscription" => Resource::Subscriptions,
        "payment_link" => Resource::PaymentLinks,
        "sms" => Resource::Sms,
        "email" => Resource::Email,
        "endpoint" => Resource::Webhooks,
        // What providers tell of nothing here, in their own words.
        _ => Resource::Events,
    }
}

/// Refuses a key that may not read what events of a type, or of a family of them, are about.
///
/// # Errors
/// `insufficient_scope`.
pub(super) fn may_hear_of(caller: &Caller, types: &str) -> Result<(), Refusal> {
    caller.may(resource(types), Access::Read)
}

/// The same for all that somebody with these patterns wants to hear of; without any, that is everything.
///
/// # Errors
/// `insufficient_scope`.
pub(super) fn may_hear(caller: &Caller, wanted: Option<&[EventPattern]>) -> Result<(), Refusal> {
    match wanted {
        Some(patterns) => patterns
            .iter()
            .try_for_each(|pattern| may_hear_of(caller, pattern.as_str())),
        None => FAMILIES
            .iter()
            .try_for_each(|family| may_hear_of(caller, family)),
    }
}

/// The families of events that a key may hear of; none where it may hear of all.
pub(super) fn families(caller: &Caller) -> Option<Vec<&'static str>> {
    if may_hear(caller, None).is_ok() {
        return None;
    }
    let mut families = FAMILIES.to_vec();
    families.retain(|family| may_hear_of(caller, family).is_ok());
    Some(families)
}
