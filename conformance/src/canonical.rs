//! The kit's own requests: the same ones for every adapter, with what is easily lost on the way.

use onerouter_engine::wit::{email, payment_links, payments, plans, refunds, sms, subscriptions};
use payments::{Attempt, CaptureMode, Customer, Moment, Money, Reference, Window};

use crate::input::Input;

/// What the adapter is told about the time where no cassette says another: 1 June 2026, noon.
pub(crate) const NOW_MS: u64 = 1_780_315_200_000;

/// What every text of the kit's begins with, so that a damaged one is recognised.
pub(crate) const ANCHOR: &str = "Kit:";

/// Letters with marks, another script, a character beyond 16 bits, and what encodings use for themselves.
pub(crate) const TEXT: &str = "Kit: Grüße, 世界 🚀 “so” \"so\" \\ &=+%25 <b>";

/// A name of a person.
pub(crate) const NAME: &str = "Kit: Zoë Müller 世界";

pub(crate) const ATTEMPT_ID: &str = "att_01kt0h7r00e00c0nf0rm000002";

/// Behind a kind's prefix. 26 characters, as every id has.
pub(crate) const ID: &str = "01kt0h7r00e00c0nf0rm000001";

/// In keys of what is made.
pub(crate) const CREATE: &str = "create";

const WINDOW_MS: u64 = 10 * 60 * 1_000;

/// One request: what differs, and when it is made.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) input: Input,
    pub(crate) now_ms: u64,
    /// A setting of the connection names the sender.
    pub(crate) sender: Sender,
    /// One that the plugin's manifest takes.
    pub(crate) currency: String,
}

/// Who names the sender of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Request,
    Setting,
}

impl Request {
    /// Key toward the provider for an object with this prefix, derived as the gateway does.
    pub(crate) fn key(&self, prefix: &str, step: &str) -> String {
        format!("{}-{step}-1", self.id(prefix))
    }

    fn id(&self, prefix: &str) -> String {
        let own = || format!("{prefix}_{ID}");
        self.input.object_id.clone().unwrap_or_else(own)
    }

    fn sender(&self, default: &str) -> Option<String> {
        let default = match self.sender {
            Sender::Request => Some(default.to_owned()),
            Sender::Setting => None,
        };
        self.input.sender.clone().or(default)
    }

    fn send_at(&self) -> Option<u64> {
        self.input
            .send_in_ms
            .map(|later| self.now_ms.saturating_add(later))
    }

    pub(crate) fn text(given: Option<&String>) -> String {
        given.cloned().unwrap_or_else(|| TEXT.to_owned())
    }

    pub(crate) fn attempt(&self, prefix: &str, step: &str) -> Attempt {
        Attempt {
            attempt_id: ATTEMPT_ID.to_owned(),
            idempotency_key: self.key(prefix, step),
        }
    }

    pub(crate) fn money(&self) -> Money {
        Money {
            minor_units: self.input.amount_minor.unwrap_or(123_456),
            currency: self
                .input
                .currency
                .clone()
                .unwrap_or_else(|| self.currency.clone()),
        }
    }

    fn customer(&self) -> Customer {
        let input = &self.input;
        let or = |given: &Option<String>, own: &str| {
            Some(given.clone().unwrap_or_else(|| own.to_owned()))
        };
        Customer {
            name: or(&input.customer_name, NAME),
            email: or(&input.customer_email, "zoe@example.com"),
            phone: or(&input.customer_phone, "+919900000001"),
        }
    }

    pub(crate) fn window(&self) -> (u64, u64) {
        (
            self.now_ms.saturating_sub(WINDOW_MS),
            self.now_ms.saturating_add(WINDOW_MS),
        )
    }

    pub(crate) fn payments_window(&self) -> Window {
        let (after, before) = self.window();
        Window { after, before }
    }

    pub(crate) fn moment(&self) -> Moment {
        match self.input.moment.as_deref() {
            Some("cycle-end") => Moment::CycleEnd,
            Some(_) | None => Moment::Now,
        }
    }

    pub(crate) fn provider_id(&self) -> String {
        let unknown = || "kit000000000000001".to_owned();
        self.input.provider_id.clone().unwrap_or_else(unknown)
    }

    /// What is read or changed.
    pub(crate) fn reference(&self, prefix: &str) -> Reference {
        let state = self.input.state.clone().unwrap_or_default();
        Reference {
            object_id: Some(self.id(prefix)),
            provider_id: self.provider_id(),
            provider_payment_id: self.input.provider_payment_id.clone(),
            amount: has_amount(prefix).then(|| self.money()),
            state: state.into_iter().collect(),
        }
    }

    pub(crate) fn sms(&self) -> sms::SendRequest {
        sms::SendRequest {
            object_id: self.id("sms"),
            attempt_id: ATTEMPT_ID.to_owned(),
            idempotency_key: self.key("sms", CREATE),
            to: self
                .input
                .to
                .clone()
                .unwrap_or_else(|| "+14155550123".to_owned()),
            sender: self.sender("+15005550006"),
            body: Self::text(self.input.body.as_ref()),
            media_urls: Vec::new(),
            send_at: self.send_at(),
            extra: Vec::new(),
        }
    }

    pub(crate) fn email(&self) -> email::SendRequest {
        let to = self.input.to.clone();
        email::SendRequest {
            object_id: self.id("em"),
            attempt_id: ATTEMPT_ID.to_owned(),
            idempotency_key: self.key("em", CREATE),
            sender: self.sender("Kit <kit@example.com>"),
            to: vec![to.unwrap_or_else(|| "zoe@example.com".to_owned())],
            cc: Vec::new(),
            bcc: Vec::new(),
            reply_to: Vec::new(),
            subject: Self::text(self.input.subject.as_ref()),
            html: Some(Self::text(self.input.html.as_ref())),
            text: Some(Self::text(self.input.text.as_ref())),
            attachments: Vec::new(),
            headers: Vec::new(),
            tags: Vec::new(),
            send_at: self.send_at(),
            extra: Vec::new(),
        }
    }

    pub(crate) fn payment(&self) -> payments::CreateRequest {
        payments::CreateRequest {
            object_id: self.id("pay"),
            attempt: self.attempt("pay", CREATE),
            amount: self.money(),
            capture: match self.input.capture.as_deref() {
                Some("manual") => CaptureMode::Manual,
                Some(_) | None => CaptureMode::Automatic,
            },
            receipt: None,
            description: Some(Self::text(self.input.description.as_ref())),
            method: self.input.method.clone(),
            customer: Some(self.customer()),
            return_url: "https://gateway.example.com/return".to_owned(),
            cancel_url: "https://gateway.example.com/cancel".to_owned(),
            metadata: Vec::new(),
            hints: Vec::new(),
            extra: Vec::new(),
        }
    }

    pub(crate) fn refund(&self) -> refunds::CreateRequest {
        refunds::CreateRequest {
            object_id: self.id("re"),
            attempt: self.attempt("re", CREATE),
            payment: Reference {
                provider_payment_id: Some(
                    self.input
                        .provider_payment_id
                        .clone()
                        .unwrap_or_else(|| "kit000000000000002".to_owned()),
                ),
                object_id: Some(format!("pay_{ID}")),
                ..self.reference("pay")
            },
            amount: self.money(),
            is_rest: false,
            reason: Some(Self::text(self.input.reason.as_ref())),
            speed: refunds::Speed::Normal,
            metadata: Vec::new(),
            extra: Vec::new(),
        }
    }

    pub(crate) fn plan(&self) -> plans::CreateRequest {
        plans::CreateRequest {
            object_id: self.id("plan"),
            attempt: self.attempt("plan", CREATE),
            name: Self::text(self.input.name.as_ref()),
            amount: self.money(),
            interval: plans::Interval::Month,
            interval_count: 1,
            description: Some(Self::text(self.input.description.as_ref())),
            metadata: Vec::new(),
            extra: Vec::new(),
        }
    }

    pub(crate) fn subscription(&self) -> subscriptions::CreateRequest {
        subscriptions::CreateRequest {
            object_id: self.id("sub"),
            attempt: self.attempt("sub", CREATE),
            plan: Reference {
                object_id: None,
                ..self.reference("plan")
            },
            customer: Some(self.customer()),
            total_count: Some(12),
            quantity: 1,
            start_at: None,
            customer_notify: None,
            return_url: Some("https://gateway.example.com/return".to_owned()),
            cancel_url: Some("https://gateway.example.com/cancel".to_owned()),
            metadata: Vec::new(),
            extra: Vec::new(),
        }
    }

    pub(crate) fn payment_link(&self) -> payment_links::CreateRequest {
        payment_links::CreateRequest {
            object_id: self.id("plink"),
            attempt: self.attempt("plink", CREATE),
            amount: self.money(),
            description: Self::text(self.input.description.as_ref()),
            customer: Some(self.customer()),
            return_url: "https://gateway.example.com/return".to_owned(),
            cancel_url: "https://gateway.example.com/cancel".to_owned(),
            expires_at: None,
            metadata: Vec::new(),
            extra: Vec::new(),
        }
    }

    /// The plan that a subscription changes to.
    pub(crate) fn new_plan(&self) -> Reference {
        let unknown = || "kit000000000000003".to_owned();
        Reference {
            object_id: None,
            provider_id: self.input.new_plan_id.clone().unwrap_or_else(unknown),
            provider_payment_id: None,
            amount: None,
            state: Vec::new(),
        }
    }

    /// What a checkout's widget handed to the browser.
    pub(crate) fn response(&self) -> Vec<(String, String)> {
        self.input
            .response
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect()
    }
}

fn has_amount(prefix: &str) -> bool {
    matches!(prefix, "pay" | "re" | "plan" | "plink")
}
