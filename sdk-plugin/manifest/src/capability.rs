//! What an adapter can do: one name per interface that it exports.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a provider is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Text messages.
    Sms,
    /// E-mail.
    Email,
    /// Payments and what belongs to them: refunds, plans, subscriptions, payment links.
    Payments,
}

impl Category {
    /// Every category.
    pub const ALL: [Self; 3] = [Self::Sms, Self::Email, Self::Payments];

    /// The name in paths and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Email => "email",
            Self::Payments => "payments",
        }
    }

    /// The category of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|category| category.as_str() == name)
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One exported interface that the host knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// Checks credentials.
    AccountCheck,
    /// Sends and reads text messages.
    Sms,
    /// Cancels text messages.
    SmsCancel,
    /// Finds text messages again.
    SmsLookup,
    /// Sends and reads e-mail.
    Email,
    /// Cancels e-mail.
    EmailCancel,
    /// Sends several e-mails at once.
    EmailBatch,
    /// Creates, reads, captures and cancels payments.
    Payments,
    /// Finds payments again.
    PaymentLookup,
    /// Checks what a browser widget answered.
    Checkout,
    /// Gives money back.
    Refunds,
    /// Finds refunds again.
    RefundLookup,
    /// Creates and reads plans.
    Plans,
    /// Finds plans again.
    PlanLookup,
    /// Creates, reads and changes subscriptions.
    Subscriptions,
    /// Finds subscriptions again.
    SubscriptionLookup,
    /// Creates, reads and cancels payment links.
    PaymentLinks,
    /// Finds payment links again.
    PaymentLinkLookup,
    /// Reads what a provider tells of its own accord.
    Webhooks,
}

impl Capability {
    /// Every capability of the present WIT packages.
    pub const ALL: [Self; 19] = [
        Self::AccountCheck,
        Self::Sms,
        Self::SmsCancel,
        Self::SmsLookup,
        Self::Email,
        Self::EmailCancel,
        Self::EmailBatch,
        Self::Payments,
        Self::PaymentLookup,
        Self::Checkout,
        Self::Refunds,
        Self::RefundLookup,
        Self::Plans,
        Self::PlanLookup,
        Self::Subscriptions,
        Self::SubscriptionLookup,
        Self::PaymentLinks,
        Self::PaymentLinkLookup,
        Self::Webhooks,
    ];

    /// The interface without its version.
    #[must_use]
    pub const fn interface(self) -> &'static str {
        match self {
            Self::AccountCheck => "onerouter:account/account-check",
            Self::Sms => "onerouter:sms/sms",
            Self::SmsCancel => "onerouter:sms/sms-cancel",
            Self::SmsLookup => "onerouter:sms/sms-lookup",
            Self::Email => "onerouter:email/email",
            Self::EmailCancel => "onerouter:email/email-cancel",
            Self::EmailBatch => "onerouter:email/email-batch",
            Self::Payments => "onerouter:payments/payments",
            Self::PaymentLookup => "onerouter:payments/payment-lookup",
            Self::Checkout => "onerouter:payments/checkout",
            Self::Refunds => "onerouter:payments/refunds",
            Self::RefundLookup => "onerouter:payments/refund-lookup",
            Self::Plans => "onerouter:payments/plans",
            Self::PlanLookup => "onerouter:payments/plan-lookup",
            Self::Subscriptions => "onerouter:payments/subscriptions",
            Self::SubscriptionLookup => "onerouter:payments/subscription-lookup",
            Self::PaymentLinks => "onerouter:payments/payment-links",
            Self::PaymentLinkLookup => "onerouter:payments/payment-link-lookup",
            Self::Webhooks => "onerouter:webhooks/webhooks",
        }
    }

    /// The name for documents: the interface's own.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.interface().rsplit('/').next().unwrap_or_default()
    }

    /// The category that it belongs to.
    #[must_use]
    pub const fn category(self) -> Option<Category> {
        match self {
            Self::AccountCheck | Self::Webhooks => None,
            Self::Sms | Self::SmsCancel | Self::SmsLookup => Some(Category::Sms),
            Self::Email | Self::EmailCancel | Self::EmailBatch => Some(Category::Email),
            Self::Payments
            | Self::PaymentLookup
            | Self::Checkout
            | Self::Refunds
            | Self::RefundLookup
            | Self::Plans
            | Self::PlanLookup
            | Self::Subscriptions
            | Self::SubscriptionLookup
            | Self::PaymentLinks
            | Self::PaymentLinkLookup => Some(Category::Payments),
        }
    }

    /// The capability that this one builds on.
    #[must_use]
    pub const fn requires(self) -> Option<Self> {
        match self {
            Self::AccountCheck
            | Self::Sms
            | Self::Email
            | Self::Payments
            | Self::Plans
            | Self::PaymentLinks
            | Self::Webhooks => None,
            Self::SmsCancel | Self::SmsLookup => Some(Self::Sms),
            Self::EmailCancel | Self::EmailBatch => Some(Self::Email),
            Self::PaymentLookup | Self::Checkout | Self::Refunds => Some(Self::Payments),
            Self::RefundLookup => Some(Self::Refunds),
            Self::PlanLookup | Self::Subscriptions => Some(Self::Plans),
            Self::SubscriptionLookup => Some(Self::Subscriptions),
            Self::PaymentLinkLookup => Some(Self::PaymentLinks),
        }
    }

    /// The capability that an export names, `onerouter:sms/sms@1.2.0`; none where the interface is
    /// unknown or of another major version.
    #[must_use]
    pub fn from_export(name: &str) -> Option<Self> {
        let (interface, version) = name.split_once('@')?;
        let version = semver::Version::parse(version).ok()?;
        Self::ALL
            .into_iter()
            .find(|capability| capability.interface() == interface)
            .filter(|_| version.major == 1 && version.pre.is_empty())
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
