//! What becomes of a request whose answer is lost.

use std::collections::BTreeSet;

use onerouter_manifest::{Capability, Manifest};

use super::Findings;

/// Operations that a lost answer leaves in doubt: capability, operation, and the capability that finds the
/// object again.
const CREATES: [(Capability, &str, Option<Capability>); 8] = [
    (Capability::Sms, "sms.send", Some(Capability::SmsLookup)),
    (Capability::Email, "email.send", None),
    (Capability::EmailBatch, "email.send_batch", None),
    (
        Capability::Payments,
        "payments.create",
        Some(Capability::PaymentLookup),
    ),
    (
        Capability::Refunds,
        "refunds.create",
        Some(Capability::RefundLookup),
    ),
    (
        Capability::Plans,
        "plans.create",
        Some(Capability::PlanLookup),
    ),
    (
        Capability::Subscriptions,
        "subscriptions.create",
        Some(Capability::SubscriptionLookup),
    ),
    (
        Capability::PaymentLinks,
        "payment_links.create",
        Some(Capability::PaymentLinkLookup),
    ),
];

/// Operations besides, for which a manifest may promise a key.
const OTHER_OPERATIONS: [&str; 9] = [
    "payments.authorize",
    "payments.capture",
    "payments.cancel",
    "subscriptions.cancel",
    "subscriptions.pause",
    "subscriptions.resume",
    "subscriptions.change_plan",
    "payment_links.capture",
    "payment_links.cancel",
];

pub(super) fn on_operations(
    findings: &mut Findings,
    manifest: &Manifest,
    capabilities: &[Capability],
) {
    for (capability, operation, lookup) in CREATES {
        if !capabilities.contains(&capability) || has_key(manifest, operation) {
            continue;
        }
        let place = format!("operations.\"{operation}\".idempotency");
        match lookup {
            Some(lookup) if capabilities.contains(&lookup) => {}
            Some(lookup) => findings.warning(
                "no_idempotency",
                &place,
                format!(
                    "is missing, and {lookup} is not exported: what a lost answer leaves in doubt stays so. Declare the provider's key if it honours one, else find the object again"
                ),
            ),
            None => findings.warning(
                "no_idempotency",
                &place,
                "is missing: what a lost answer leaves in doubt stays so. Declare the provider's key if it honours one",
            ),
        }
    }
    let created = CREATES.iter().map(|(_, operation, _)| *operation);
    let known: BTreeSet<&str> = created.chain(OTHER_OPERATIONS).collect();
    for operation in manifest.operations.keys() {
        if !known.contains(operation.as_str()) {
            findings.warning(
                "unknown_operation",
                &format!("operations.\"{operation}\""),
                "is no operation of this gateway, so nothing comes of it",
            );
        }
    }
    let is_told = |status| {
        manifest
            .not_processed
            .iter()
            .any(|one| one.status == status)
    };
    if !capabilities.is_empty() && !is_told(429) {
        findings.note(
            "no_not_processed",
            "not_processed",
            "has no status 429: a request that was only too early counts as one with an unknown outcome",
        );
    }
}

fn has_key(manifest: &Manifest, operation: &str) -> bool {
    let rule = manifest.operations.get(operation);
    rule.is_some_and(|rule| rule.idempotency.is_some())
}
