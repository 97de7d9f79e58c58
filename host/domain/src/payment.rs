//! Statuses of payments and what belongs to them, and how what a provider reports changes them.
//!
//! Money never goes backwards: see [`crate::status`] for how statuses merge. A subscription is the
//! exception, because it moves in circles: there the newest report counts, until the end.

use crate::money::Money;
use crate::status::statuses;

statuses! {
    /// What became of a payment. What was captured and refunded are counters beside it. Reports are
    /// merged as [`PaymentProgress`].
    PaymentStatus {
        /// The provider may have it; nobody knows yet.
        Unknown = "unknown",
        /// Made, and not yet to be paid.
        Created = "created",
        /// The buyer has to act.
        RequiresAction = "requires_action",
        /// The provider is at work.
        Processing = "processing",
        /// Nobody paid. A late authorization may still reopen it, so what moves money wins over it.
        Failed = "failed",
        /// The money is reserved.
        Authorized = "authorized",
        /// The reservation or the offer has run out.
        Expired = "expired",
        /// Given up before any money was taken.
        Canceled = "canceled",
        /// The money is taken.
        Succeeded = "succeeded",
    }
}

impl PaymentStatus {
    /// Whether the gateway stops asking. Events may still arrive.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Unknown
            | Self::Created
            | Self::RequiresAction
            | Self::Processing
            | Self::Authorized => false,
            Self::Failed | Self::Expired | Self::Canceled | Self::Succeeded => true,
        }
    }
}

statuses! {
    /// How far a payment has come, whatever the order in which that was reported. Two statuses stand
    /// for two things each: until the money moves they are about the buyer's agreement, which a later
    /// authorization overtakes; afterwards they are about the money.
    PaymentProgress {
        /// Nothing was heard.
        Unknown = "unknown",
        /// Made, and not yet to be paid.
        Created = "created",
        /// The buyer has to act.
        RequiresAction = "requires_action",
        /// The provider is about to reserve the money: `processing`.
        Reserving = "reserving",
        /// The provider did not reserve it, and may yet: `failed`.
        NotReserved = "not_reserved",
        /// The money is reserved.
        Authorized = "authorized",
        /// The money is on its way.
        Processing = "processing",
        /// The money did not come.
        Failed = "failed",
        /// The reservation or the offer has run out.
        Expired = "expired",
        /// Given up before any money was taken.
        Canceled = "canceled",
        /// The money is taken.
        Succeeded = "succeeded",
    }
}

impl PaymentProgress {
    /// What a report means. `moves`: it names the movement of the money.
    #[must_use]
    pub const fn of(status: PaymentStatus, moves: bool) -> Self {
        match (status, moves) {
            (PaymentStatus::Unknown, _) => Self::Unknown,
            (PaymentStatus::Created, _) => Self::Created,
            (PaymentStatus::RequiresAction, _) => Self::RequiresAction,
            (PaymentStatus::Processing, false) => Self::Reserving,
            (PaymentStatus::Processing, true) => Self::Processing,
            (PaymentStatus::Failed, false) => Self::NotReserved,
            (PaymentStatus::Failed, true) => Self::Failed,
            (PaymentStatus::Authorized, _) => Self::Authorized,
            (PaymentStatus::Expired, _) => Self::Expired,
            (PaymentStatus::Canceled, _) => Self::Canceled,
            (PaymentStatus::Succeeded, _) => Self::Succeeded,
        }
    }

    /// The status that users see.
    #[must_use]
    pub const fn status(self) -> PaymentStatus {
        match self {
            Self::Unknown => PaymentStatus::Unknown,
            Self::Created => PaymentStatus::Created,
            Self::RequiresAction => PaymentStatus::RequiresAction,
            Self::Reserving | Self::Processing => PaymentStatus::Processing,
            Self::NotReserved | Self::Failed => PaymentStatus::Failed,
            Self::Authorized => PaymentStatus::Authorized,
            Self::Expired => PaymentStatus::Expired,
            Self::Canceled => PaymentStatus::Canceled,
            Self::Succeeded => PaymentStatus::Succeeded,
        }
    }
}

statuses! {
    /// What became of a refund.
    RefundStatus {
        /// The provider may have it; nobody knows yet.
        Unknown = "unknown",
        /// On its way.
        Pending = "pending",
        /// The money stays where it was.
        Failed = "failed",
        /// Taken back.
        Canceled = "canceled",
        /// The buyer has the money.
        Succeeded = "succeeded",
    }
}

impl RefundStatus {
    /// Whether the gateway stops asking. Events may still arrive.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Unknown | Self::Pending => false,
            Self::Failed | Self::Canceled | Self::Succeeded => true,
        }
    }

    /// Whether its amount counts as given back, or may yet.
    #[must_use]
    pub const fn holds_money(self) -> bool {
        match self {
            Self::Unknown | Self::Pending | Self::Succeeded => true,
            Self::Failed | Self::Canceled => false,
        }
    }
}

statuses! {
    /// What became of a plan.
    PlanStatus {
        /// The provider may have it; nobody knows yet.
        Unknown = "unknown",
        /// Being made.
        Pending = "pending",
        /// Refused.
        Failed = "failed",
        /// Ready for subscriptions.
        Active = "active",
    }
}

impl PlanStatus {
    /// Whether the gateway stops asking.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Unknown | Self::Pending => false,
            Self::Failed | Self::Active => true,
        }
    }
}

statuses! {
    /// What became of a payment link.
    PaymentLinkStatus {
        /// The provider may have it; nobody knows yet.
        Unknown = "unknown",
        /// Waits for a buyer.
        Created = "created",
        /// Refused.
        Failed = "failed",
        /// A part is paid.
        PartiallyPaid = "partially_paid",
        /// Its time is over.
        Expired = "expired",
        /// Taken back.
        Canceled = "canceled",
        /// Paid.
        Paid = "paid",
    }
}

impl PaymentLinkStatus {
    /// Whether the gateway stops asking. Events may still arrive.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Unknown | Self::Created | Self::PartiallyPaid => false,
            Self::Failed | Self::Expired | Self::Canceled | Self::Paid => true,
        }
    }
}

statuses! {
    /// What became of a subscription.
    SubscriptionStatus {
        /// The provider may have it; nobody knows yet.
        Unknown = "unknown",
        /// Waits for the buyer's agreement.
        Created = "created",
        /// Agreed to; the first charge is still to come.
        Trialing = "trialing",
        /// Charging.
        Active = "active",
        /// A charge failed.
        PastDue = "past_due",
        /// Stopped for a while.
        Paused = "paused",
        /// Refused.
        Failed = "failed",
        /// Nobody agreed in time.
        Expired = "expired",
        /// Charged as often as it was to be.
        Completed = "completed",
        /// Ended early.
        Canceled = "canceled",
    }
}

impl SubscriptionStatus {
    /// Whether the gateway stops asking. Events may still arrive.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Unknown
            | Self::Created
            | Self::Trialing
            | Self::Active
            | Self::PastDue
            | Self::Paused => false,
            Self::Failed | Self::Expired | Self::Completed | Self::Canceled => true,
        }
    }

    /// The status after a provider has reported `reported`, where reports come in their order: an end
    /// stays, and so does what a buyer has agreed to.
    #[must_use]
    pub fn follow(self, reported: Self) -> Self {
        match reported {
            Self::Unknown => self,
            // An end wins over all that is open, and of two ends the greater.
            _ if self.is_terminal() || reported.is_terminal() => self.merge(reported),
            Self::Created if self != Self::Unknown => self,
            Self::Created | Self::Trialing | Self::Active | Self::PastDue | Self::Paused => {
                reported
            }
            Self::Failed | Self::Expired | Self::Completed | Self::Canceled => self.merge(reported),
        }
    }
}

/// Why a refund is not possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefundError {
    /// Nothing was captured yet.
    #[error("nothing was captured that could be refunded")]
    NothingCaptured,
    /// Everything was given back, or is on its way back.
    #[error("everything that was captured is refunded already, or being refunded")]
    NothingLeft,
    /// More than is left.
    #[error("only {left} of what was captured is left to refund")]
    TooMuch {
        /// What is left.
        left: Money,
    },
    /// Another currency than was captured.
    #[error("the payment is in another currency")]
    OtherCurrency,
}

/// How much of a payment can be refunded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refundable {
    /// Captured so far.
    pub captured: Money,
    /// Given back or on its way, in the same currency's minor units.
    pub reserved: i64,
}

impl Refundable {
    /// What is left.
    #[must_use]
    pub fn left(self) -> Money {
        let left = self.captured.minor_units().saturating_sub(self.reserved);
        Money::from_minor_units(left.max(0), self.captured.currency())
    }

    /// The amount of a refund of `asked`, or of all that is left.
    ///
    /// # Errors
    /// There is less than that.
    pub fn take(self, asked: Option<Money>) -> Result<Money, RefundError> {
        if self.captured.minor_units() <= 0 {
            return Err(RefundError::NothingCaptured);
        }
        let left = self.left();
        if left.minor_units() <= 0 {
            return Err(RefundError::NothingLeft);
        }
        match asked {
            None => Ok(left),
            Some(asked) if asked.currency() != left.currency() => Err(RefundError::OtherCurrency),
            Some(asked) if asked.minor_units() > left.minor_units() => {
                Err(RefundError::TooMuch { left })
            }
            Some(asked) => Ok(asked),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shuffled<T: Copy + std::fmt::Debug + 'static>(
        all: &'static [T],
    ) -> impl Strategy<Value = (Vec<T>, Vec<T>)> {
        prop::collection::vec(prop::sample::select(all), 0..12)
            .prop_flat_map(|reports| (Just(reports.clone()), Just(reports).prop_shuffle()))
    }

    macro_rules! any_order_ends_alike {
        ($($test:ident: $status:ident from $start:ident;)+) => {
            proptest! {
                $(
                    #[test]
                    fn $test((one, other) in shuffled($status::ALL)) {
                        let end = |reports: &[$status]| {
                            reports.iter().fold($status::$start, |status, report| status.merge(*report))
                        };
                        prop_assert_eq!(end(&one), end(&other));
                        // Once more of each changes nothing.
                        let twice: Vec<_> = one.iter().chain(&other).copied().collect();
                        prop_assert_eq!(end(&twice), end(&one));
                    }
                )+
            }
        };
    }

    any_order_ends_alike! {
        any_order_of_payment_reports_ends_alike: PaymentProgress from Created;
        any_order_of_refund_reports_ends_alike: RefundStatus from Pending;
        any_order_of_plan_reports_ends_alike: PlanStatus from Pending;
        any_order_of_link_reports_ends_alike: PaymentLinkStatus from Created;
    }

    proptest! {
        #[test]
        fn money_that_was_taken_stays_taken(reports in prop::collection::vec(prop::sample::select(PaymentProgress::ALL), 0..12)) {
            let end = reports.iter().fold(PaymentProgress::Succeeded, |progress, report| progress.merge(*report));
            prop_assert_eq!(end.status(), PaymentStatus::Succeeded);
        }

        #[test]
        fn a_report_is_shown_as_what_it_says(status in prop::sample::select(PaymentStatus::ALL), moves in any::<bool>()) {
            prop_assert_eq!(PaymentProgress::of(status, moves).status(), status);
        }

        #[test]
        fn an_ended_subscription_stays_ended(
            end in prop::sample::select(SubscriptionStatus::ALL),
            reports in prop::collection::vec(prop::sample::select(SubscriptionStatus::ALL), 0..12),
        ) {
            prop_assume!(end.is_terminal());
            let after = reports.iter().fold(end, |status, report| status.follow(*report));
            prop_assert!(after.is_terminal());
        }

        #[test]
        fn an_agreement_is_not_forgotten(
            reports in prop::collection::vec(prop::sample::select(SubscriptionStatus::ALL), 0..12),
        ) {
            let after = reports.iter().fold(SubscriptionStatus::Active, |status, report| status.follow(*report));
            prop_assert!(after != SubscriptionStatus::Created && after != SubscriptionStatus::Unknown);
        }

        #[test]
        fn refunds_never_exceed_what_was_captured(captured in 0_i64..10_000, asked in prop::collection::vec(prop::option::of(1_i64..5_000), 0..20)) {
            let usd = "USD".parse().unwrap();
            let mut refundable = Refundable { captured: Money::from_minor_units(captured, usd), reserved: 0 };
            for asked in asked {
                let asked = asked.map(|units| Money::from_minor_units(units, usd));
                if let Ok(taken) = refundable.take(asked) {
                    prop_assert!(taken.minor_units() > 0);
                    refundable.reserved = refundable.reserved.checked_add(taken.minor_units()).unwrap();
                }
                prop_assert!(refundable.reserved <= captured);
            }
        }
    }

    #[test]
    fn a_failed_payment_may_be_authorized_late() {
        let failed = PaymentProgress::of(PaymentStatus::Failed, false);
        let late = failed.merge(PaymentProgress::Authorized);
        assert_eq!(late, PaymentProgress::Authorized);
        assert_eq!(late.merge(failed), PaymentProgress::Authorized);
    }

    #[test]
    fn what_happens_to_reserved_money_is_told() {
        let moving = |status| PaymentProgress::of(status, true);
        let pending = PaymentProgress::Authorized.merge(moving(PaymentStatus::Processing));
        assert_eq!(pending.status(), PaymentStatus::Processing);
        let declined = pending.merge(moving(PaymentStatus::Failed));
        assert_eq!(declined.status(), PaymentStatus::Failed);
        // A late word about the beginning changes nothing.
        let late = declined.merge(PaymentProgress::of(PaymentStatus::Failed, false));
        assert_eq!(late, declined);
        let paid = declined.merge(PaymentProgress::Succeeded);
        assert_eq!(paid.status(), PaymentStatus::Succeeded);
    }

    #[test]
    fn a_subscription_moves_in_circles_until_it_ends() {
        use SubscriptionStatus::{Active, Canceled, Created, PastDue, Paused, Trialing, Unknown};
        let mut status = Created;
        for (reported, after) in [
            (Trialing, Trialing),
            (Active, Active),
            (Created, Active),
            (PastDue, PastDue),
            (Active, Active),
            (Paused, Paused),
            (Unknown, Paused),
            (Active, Active),
            (Canceled, Canceled),
            (Active, Canceled),
        ] {
            status = status.follow(reported);
            assert_eq!(status, after);
        }
        assert_eq!(Unknown.follow(Created), Created);
    }

    #[test]
    fn a_refund_takes_what_is_there() {
        let usd: crate::money::Currency = "USD".parse().unwrap();
        let eur: crate::money::Currency = "EUR".parse().unwrap();
        let of = |captured, reserved| Refundable {
            captured: Money::from_minor_units(captured, usd),
            reserved,
        };
        let money = |units| Money::from_minor_units(units, usd);
        assert_eq!(of(500, 0).take(None), Ok(money(500)));
        assert_eq!(of(500, 200).take(None), Ok(money(300)));
        assert_eq!(of(500, 200).take(Some(money(300))), Ok(money(300)));
        let too_much = RefundError::TooMuch { left: money(300) };
        assert_eq!(of(500, 200).take(Some(money(301))), Err(too_much));
        assert_eq!(of(500, 500).take(None), Err(RefundError::NothingLeft));
        assert_eq!(of(0, 0).take(None), Err(RefundError::NothingCaptured));
        let other = Money::from_minor_units(1, eur);
        assert_eq!(
            of(500, 0).take(Some(other)),
            Err(RefundError::OtherCurrency)
        );
        let left = of(500, 200).take(Some(money(301))).unwrap_err();
        assert_eq!(
            left.to_string(),
            "only 3.00 USD of what was captured is left to refund"
        );
    }
}
