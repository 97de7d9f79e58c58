//! What an order and the money moved for it come to.
//!
//! A completed order is not a paid one: PayPal completes it when it has tried to take or reserve the
//! money, and each capture says how that went.

use alloc::string::String;

use onerouter_plugin::common::Failure;
use onerouter_plugin::failure::failure;
use onerouter_plugin::payments::Step;

use crate::movement::{Authorization, AuthorizationStatus, Capture, CaptureStatus};
use crate::order::{Intent, Order, OrderStatus};

#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// The buyer has not agreed.
    Waiting,
    /// The buyer has agreed, and PayPal waits for this.
    Approved(Step),
    /// On its way, for this reason.
    Processing(Option<String>),
    /// Reserved. A capture may have failed before.
    Authorized(Option<Failure>),
    Paid,
    Failed(Failure),
    Canceled,
    Expired,
}

impl Standing {
    /// None where the order does not tell: a minimal answer, or one that contradicts itself.
    pub(crate) fn of(order: &Order, now: u64) -> Option<Self> {
        if order.captures.iter().any(Capture::is_paid) {
            return Some(Self::Paid);
        }
        let pending = order
            .captures
            .iter()
            .find(|capture| capture.status == CaptureStatus::Pending);
        if let Some(pending) = pending {
            return Some(Self::Processing(pending.reason.clone()));
        }
        let failure = order.captures.iter().rev().find_map(Capture::failure);
        if let Some(authorization) = order.authorizations.last() {
            return Some(Self::of_authorization(authorization, failure, now));
        }
        if let Some(failure) = failure {
            return Some(Self::Failed(failure));
        }
        match order.status {
            OrderStatus::Created | OrderStatus::Saved | OrderStatus::PayerActionRequired => {
                Some(Self::Waiting)
            }
            OrderStatus::Approved => Some(Self::Approved(match order.intent? {
                Intent::Capture => Step::Capture,
                Intent::Authorize => Step::Authorize,
            })),
            OrderStatus::Voided => Some(Self::Canceled),
            OrderStatus::Completed => None,
        }
    }

    fn of_authorization(
        authorization: &Authorization,
        failure_of_capture: Option<Failure>,
        now: u64,
    ) -> Self {
        let is_over = authorization
            .expires_at
            .is_some_and(|expires_at| expires_at <= now);
        match authorization.status {
            AuthorizationStatus::Created
            | AuthorizationStatus::PartiallyCaptured
            | AuthorizationStatus::Pending
                if is_over =>
            {
                Self::Expired
            }
            AuthorizationStatus::Created | AuthorizationStatus::PartiallyCaptured => {
                Self::Authorized(failure_of_capture)
            }
            AuthorizationStatus::Pending => Self::Processing(authorization.reason.clone()),
            // The capture itself is not in the list yet.
            AuthorizationStatus::Captured => match failure_of_capture {
                Some(failure) => Self::Failed(failure),
                None => Self::Processing(None),
            },
            AuthorizationStatus::Denied => Self::Failed(Failure {
                provider_code: Some("DENIED".into()),
                ..failure("instrument_declined", "PayPal did not reserve the money.")
            }),
            AuthorizationStatus::Voided => Self::Canceled,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use onerouter_plugin::json::Object;

    use super::*;

    /// 2026-01-15T12:00:00Z.
    pub(crate) const NOW: u64 = 1_768_478_400_000;

    /// An order of 25.00 USD with these payments.
    pub(crate) fn order(status: &str, intent: &str, payments: &str) -> String {
        format!(
            r#"{{"id":"5O190127TN364715T","intent":"{intent}","status":"{status}","payment_source":{{"paypal":{{"account_id":"QYR5Z8XDVJNXQ","account_status":"VERIFIED","email_address":"b@example.com"}}}},"purchase_units":[{{"reference_id":"default","amount":{{"currency_code":"USD","value":"25.00"}},"payments":{payments}}}],"links":[{{"href":"https://www.paypal.com/checkoutnow?token=5O190127TN364715T","rel":"payer-action","method":"GET"}}]}}"#
        )
    }

    pub(crate) fn captures(list: &[(&str, &str)]) -> String {
        let captures = list.iter().map(|(status, value)| {
            format!(r#"{{"id":"CAP-{status}","status":"{status}","amount":{{"currency_code":"USD","value":"{value}"}},"status_details":{{"reason":"ECHECK"}}}}"#)
        });
        let captures: Vec<_> = captures.collect();
        format!(r#"{{"captures":[{}]}}"#, captures.join(","))
    }

    pub(crate) fn authorization(status: &str, captures: &str) -> String {
        format!(
            r#"{{"authorizations":[{{"id":"AUTH","status":"{status}","amount":{{"currency_code":"USD","value":"25.00"}},"expiration_time":"2026-02-13T12:00:00Z"}}],"captures":{captures}}}"#
        )
    }

    fn standing(json: &str, now: u64) -> Option<Standing> {
        Standing::of(&Order::read(&Object::parse(json)?)?, now)
    }

    fn name(standing: Option<&Standing>) -> &'static str {
        match standing {
            None => "none",
            Some(Standing::Waiting) => "waiting",
            Some(Standing::Approved(Step::Capture)) => "capture due",
            Some(Standing::Approved(Step::Authorize)) => "authorize due",
            Some(Standing::Processing(_)) => "processing",
            Some(Standing::Authorized(None)) => "authorized",
            Some(Standing::Authorized(Some(_))) => "authorized after a failure",
            Some(Standing::Paid) => "paid",
            Some(Standing::Failed(_)) => "failed",
            Some(Standing::Canceled) => "canceled",
            Some(Standing::Expired) => "expired",
        }
    }

    #[test]
    fn an_order_without_payments_stands_as_its_status_says() {
        for (status, intent, expected) in [
            ("CREATED", "CAPTURE", "waiting"),
            ("SAVED", "AUTHORIZE", "waiting"),
            ("PAYER_ACTION_REQUIRED", "CAPTURE", "waiting"),
            ("APPROVED", "CAPTURE", "capture due"),
            ("APPROVED", "AUTHORIZE", "authorize due"),
            ("APPROVED", "TELEPORT", "none"),
            ("VOIDED", "AUTHORIZE", "canceled"),
            // Nobody can tell whether it was paid.
            ("COMPLETED", "CAPTURE", "none"),
            ("TELEPORTED", "CAPTURE", "none"),
        ] {
            let standing = standing(&order(status, intent, "{}"), NOW);
            assert_eq!(name(standing.as_ref()), expected, "{status} {intent}");
        }
    }

    #[test]
    fn a_completed_order_is_paid_only_when_a_capture_is() {
        for (list, expected) in [
            (&[("COMPLETED", "25.00")][..], "paid"),
            (&[("PARTIALLY_REFUNDED", "25.00")], "paid"),
            (&[("REFUNDED", "25.00")], "paid"),
            (&[("PENDING", "25.00")], "processing"),
            (&[("DECLINED", "25.00")], "failed"),
            (&[("FAILED", "25.00")], "failed"),
            (&[("FAILED", "25.00"), ("COMPLETED", "25.00")], "paid"),
            (&[("TELEPORTED", "25.00")], "none"),
        ] {
            let standing = standing(&order("COMPLETED", "CAPTURE", &captures(list)), NOW);
            assert_eq!(name(standing.as_ref()), expected, "{list:?}");
        }
    }

    #[test]
    fn an_authorization_says_what_can_still_be_taken() {
        let failed = r#"[{"id":"CAP","status":"DECLINED"}]"#;
        let paid = r#"[{"id":"CAP","status":"COMPLETED","amount":{"currency_code":"USD","value":"20.00"}}]"#;
        for (status, list, expected) in [
            ("CREATED", "[]", "authorized"),
            ("CREATED", failed, "authorized after a failure"),
            ("PENDING", "[]", "processing"),
            ("DENIED", "[]", "failed"),
            ("VOIDED", "[]", "canceled"),
            ("CAPTURED", "[]", "processing"),
            ("CAPTURED", failed, "failed"),
            ("CAPTURED", paid, "paid"),
            ("PARTIALLY_CAPTURED", paid, "paid"),
            ("TELEPORTED", "[]", "none"),
        ] {
            let json = order("COMPLETED", "AUTHORIZE", &authorization(status, list));
            assert_eq!(
                name(standing(&json, NOW).as_ref()),
                expected,
                "{status} {list}"
            );
        }
    }

    #[test]
    fn an_authorization_expires() {
        let late = NOW + 30 * 86_400_000;
        for (status, expected) in [
            ("CREATED", "expired"),
            ("PENDING", "expired"),
            ("VOIDED", "canceled"),
            ("CAPTURED", "processing"),
        ] {
            let json = order("COMPLETED", "AUTHORIZE", &authorization(status, "[]"));
            assert_eq!(name(standing(&json, late).as_ref()), expected, "{status}");
        }
    }
}
