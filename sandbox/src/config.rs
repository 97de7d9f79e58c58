//! How a sandbox is started, and what can be changed while it runs.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    clock::{Clock, SystemClock},
    webhooks::WebhookTargets,
};

/// About nine hours, as PayPal's live.
const PAYPAL_TOKEN_TTL_S: u32 = 32_400;

/// How a sandbox is started. `Default` suits tests: a free port on loopback, the machine's clock.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Port 0 takes a free one.
    pub bind: SocketAddr,
    /// From acceptance to `delivered`; the statuses between are spread over it.
    pub delivery: Duration,
    pub clock: Arc<dyn Clock>,
    /// Requests of one Twilio account under way at once before 429. The real figure is per account
    /// and not published; the default is far above what a load test reaches.
    pub twilio_concurrency: u32,
    /// Requests per second for the whole Resend team before 429. Resend's own default is 5; ours lets
    /// a load test through.
    pub resend_rate_limit: u32,
    /// Requests per second to Razorpay before 429. Razorpay publishes no figure; ours lets a load test
    /// through.
    pub razorpay_rate_limit: u32,
    /// Requests per second to PayPal before 429. PayPal publishes no figure; ours lets a load test through.
    pub paypal_rate_limit: u32,
    /// Messages, e-mails, payments, other objects, ledger entries and idempotency keys kept, each; the
    /// oldest are dropped.
    pub messages_kept: usize,
    /// Requests kept in the request log, the oldest dropped first; 0 switches it off.
    pub requests_kept: usize,
    /// To where webhooks may be sent.
    pub webhook_targets: WebhookTargets,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        SandboxConfig {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            delivery: Duration::from_secs(5),
            clock: Arc::new(SystemClock),
            twilio_concurrency: 10_000,
            resend_rate_limit: 100_000,
            razorpay_rate_limit: 100_000,
            paypal_rate_limit: 100_000,
            messages_kept: 100_000,
            requests_kept: 1_000,
            webhook_targets: WebhookTargets::Loopback,
        }
    }
}

/// What `PUT /_sandbox/config` changes.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Settings {
    pub(crate) delivery_ms: u64,
    pub(crate) twilio_concurrency: u32,
    pub(crate) resend_rate_limit: u32,
    pub(crate) resend_quota: Quota,
    pub(crate) razorpay_rate_limit: u32,
    /// Approved payments are captured at once, as a merchant can have it.
    pub(crate) razorpay_auto_capture: bool,
    pub(crate) paypal_rate_limit: u32,
    /// How long PayPal's access tokens live.
    pub(crate) paypal_token_ttl_s: u32,
    /// How PayPal's captures, refunds and subscription payments end where nothing else decides.
    pub(crate) paypal_capture: PaypalCapture,
    pub(crate) paypal_refund: PaypalRefund,
    pub(crate) paypal_charge: PaypalCharge,
    pub(crate) requests_kept: usize,
}

/// Which of Resend's e-mail quotas is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Quota {
    Free,
    DailyExceeded,
    MonthlyExceeded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaypalCapture {
    Completed,
    Pending,
    Declined,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaypalRefund {
    Completed,
    Pending,
    Failed,
    Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaypalCharge {
    Succeed,
    Fail,
}

/// Only the settings that are to change.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsChange {
    delivery_ms: Option<u64>,
    twilio_concurrency: Option<u32>,
    resend_rate_limit: Option<u32>,
    resend_quota: Option<Quota>,
    razorpay_rate_limit: Option<u32>,
    razorpay_auto_capture: Option<bool>,
    paypal_rate_limit: Option<u32>,
    paypal_token_ttl_s: Option<u32>,
    paypal_capture: Option<PaypalCapture>,
    paypal_refund: Option<PaypalRefund>,
    paypal_charge: Option<PaypalCharge>,
    requests_kept: Option<usize>,
}

impl Settings {
    pub(crate) fn from_config(config: &SandboxConfig) -> Settings {
        Settings {
            delivery_ms: u64::try_from(config.delivery.as_millis()).unwrap_or(u64::MAX),
            twilio_concurrency: config.twilio_concurrency,
            resend_rate_limit: config.resend_rate_limit,
            resend_quota: Quota::Free,
            razorpay_rate_limit: config.razorpay_rate_limit,
            razorpay_auto_capture: false,
            paypal_rate_limit: config.paypal_rate_limit,
            paypal_token_ttl_s: PAYPAL_TOKEN_TTL_S,
            paypal_capture: PaypalCapture::Completed,
            paypal_refund: PaypalRefund::Completed,
            paypal_charge: PaypalCharge::Succeed,
            requests_kept: config.requests_kept,
        }
    }

    pub(crate) fn change(&mut self, change: SettingsChange) {
        *self = Settings {
            delivery_ms: change.delivery_ms.unwrap_or(self.delivery_ms),
            twilio_concurrency: change.twilio_concurrency.unwrap_or(self.twilio_concurrency),
            resend_rate_limit: change.resend_rate_limit.unwrap_or(self.resend_rate_limit),
            resend_quota: change.resend_quota.unwrap_or(self.resend_quota),
            razorpay_rate_limit: change
                .razorpay_rate_limit
                .unwrap_or(self.razorpay_rate_limit),
            razorpay_auto_capture: change
                .razorpay_auto_capture
                .unwrap_or(self.razorpay_auto_capture),
            paypal_rate_limit: change.paypal_rate_limit.unwrap_or(self.paypal_rate_limit),
            paypal_token_ttl_s: change.paypal_token_ttl_s.unwrap_or(self.paypal_token_ttl_s),
            paypal_capture: change.paypal_capture.unwrap_or(self.paypal_capture),
            paypal_refund: change.paypal_refund.unwrap_or(self.paypal_refund),
            paypal_charge: change.paypal_charge.unwrap_or(self.paypal_charge),
            requests_kept: change.requests_kept.unwrap_or(self.requests_kept),
        };
    }

    pub(crate) fn delivery(&self) -> Duration {
        Duration::from_millis(self.delivery_ms)
    }
}
