//! Who calls, and what the caller may do.

use onerouter_domain::code::ErrorCode;
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ApiKeyId, RequestId, TenantId};
use tokio::time::Instant;

use super::audit::{Actor, Proof};
use super::refusal::Refusal;

/// What a key may be limited to: one pair of scopes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Text messages.
    Sms,
    /// E-mail.
    Email,
    /// Payments.
    Payments,
    /// Refunds.
    Refunds,
    /// Plans.
    Plans,
    /// Subscriptions.
    Subscriptions,
    /// Payment links.
    PaymentLinks,
    /// Events.
    Events,
    /// Webhook endpoints.
    Webhooks,
}

/// What is done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Look.
    Read,
    /// Change.
    Write,
}

/// Every scope that a key can have.
pub const SCOPES: [&str; 18] = [
    "sms:read",
    "sms:write",
    "email:read",
    "email:write",
    "payments:read",
    "payments:write",
    "refunds:read",
    "refunds:write",
    "plans:read",
    "plans:write",
    "subscriptions:read",
    "subscriptions:write",
    "payment_links:read",
    "payment_links:write",
    "events:read",
    "events:write",
    "webhooks:read",
    "webhooks:write",
];

/// In place of a list of scopes: all, those of later versions too.
pub const ALL_SCOPES: &str = "*";

const fn scope(resource: Resource, access: Access) -> &'static str {
    match (resource, access) {
        (Resource::Sms, Access::Read) => "sms:read",
        (Resource::Sms, Access::Write) => "sms:write",
        (Resource::Email, Access::Read) => "email:read",
        (Resource::Email, Access::Write) => "email:write",
        (Resource::Payments, Access::Read) => "payments:read",
        (Resource::Payments, Access::Write) => "payments:write",
        (Resource::Refunds, Access::Read) => "refunds:read",
        (Resource::Refunds, Access::Write) => "refunds:write",
        (Resource::Plans, Access::Read) => "plans:read",
        (Resource::Plans, Access::Write) => "plans:write",
        (Resource::Subscriptions, Access::Read) => "subscriptions:read",
        (Resource::Subscriptions, Access::Write) => "subscriptions:write",
        (Resource::PaymentLinks, Access::Read) => "payment_links:read",
        (Resource::PaymentLinks, Access::Write) => "payment_links:write",
        (Resource::Events, Access::Read) => "events:read",
        (Resource::Events, Access::Write) => "events:write",
        (Resource::Webhooks, Access::Read) => "webhooks:read",
        (Resource::Webhooks, Access::Write) => "webhooks:write",
    }
}

/// How often a key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Sustained.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

impl Rate {
    /// The window of the policy in whole seconds: how long an empty allowance takes to fill.
    #[must_use]
    pub fn window_s(self) -> u64 {
        u64::from(self.burst.div_ceil(self.per_second.max(1))).max(1)
    }
}

/// Proof that a request carried a valid API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose data.
    pub tenant: TenantId,
    /// Which world.
    pub environment: Environment,
    /// By which key.
    pub key: ApiKeyId,
    /// What the key may do.
    pub scopes: std::sync::Arc<[String]>,
    /// How often the key may be used.
    pub rate: Rate,
}

impl Caller {
    /// Refuses what the key does not cover.
    ///
    /// # Errors
    /// `insufficient_scope`.
    pub fn may(&self, resource: Resource, access: Access) -> Result<(), Refusal> {
        let needed = scope(resource, access);
        if self
            .scopes
            .iter()
            .any(|scope| scope == needed || scope == ALL_SCOPES)
        {
            return Ok(());
        }
        Err(Refusal::new(
            ErrorCode::InsufficientScope,
            format!("This API key does not have the scope {needed}."),
        ))
    }
}

/// Proof that somebody is an operator, and for which tenant they act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Whose data.
    pub tenant: TenantId,
    /// Who it is, for the audit log.
    pub actor: Actor,
}

impl Operator {
    /// Whoever can reach the database, on the command line.
    #[must_use]
    pub const fn on_command_line(tenant: TenantId) -> Self {
        Self {
            tenant,
            actor: Actor {
                proof: Proof::CommandLine,
                address: None,
                request: None,
            },
        }
    }
}

/// The request behind a call.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Its id.
    pub request: RequestId,
    /// What the caller sees as its id.
    pub shown: std::sync::Arc<str>,
    /// When an answer must be ready.
    pub deadline: Instant,
}
