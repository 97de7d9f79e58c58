//! One call of an adapter, whatever it was that was called.

use std::fmt::Debug;
use std::time::Duration;

use onerouter_engine::wit::{
    account, email, payment_links, payments, plans, refunds, sms, subscriptions, webhooks,
};
use onerouter_engine::{
    CallReport, ItemRefusal, LedgerEntry, LogLine, LogSource, NotSent, Outcome, Refusal, Unknown,
};

use crate::operation::Operation;

/// How a call ended, and what is known of it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) ending: Ending,
    /// Of what was accepted.
    pub(crate) facts: Facts,
    pub(crate) ledger: Vec<LedgerEntry>,
    pub(crate) duration: Duration,
    pub(crate) ticks: u32,
    pub(crate) memory_peak: u64,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) logs_dropped: u32,
    pub(crate) vouched: bool,
    /// Everything that the adapter said, as text: for the search for secrets.
    pub(crate) said: String,
}

/// An outcome without its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    Accepted,
    Declined(Refusal),
    NotSent(NotSent),
    Unknown(Unknown),
}

/// What scenarios look at.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) provider_id: Option<String>,
    pub(crate) provider_payment_id: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) amount: Option<(u64, String)>,
    pub(crate) state: Vec<(String, String)>,
    /// Where the buyer pays.
    pub(crate) checkout_url: Option<String>,
    /// What the provider waits for, once the buyer has agreed.
    pub(crate) due: Option<Operation>,
    /// Objects found, e-mails of a batch that were taken, events read.
    pub(crate) count: usize,
}

impl Run {
    pub(crate) fn of<T: Shown + Debug>(report: CallReport<T>) -> Self {
        let said = format!("{:?} {:?}", report.outcome, report.logs);
        let mut facts = Facts::default();
        let ending = match report.outcome {
            Outcome::Accepted(value) => {
                facts = value.facts();
                Ending::Accepted
            }
            Outcome::Declined(refusal) => Ending::Declined(refusal),
            Outcome::NotSent(reason) => Ending::NotSent(reason),
            Outcome::Unknown(unknown) => Ending::Unknown(unknown),
        };
        Self {
            ending,
            facts,
            ledger: report.ledger,
            duration: report.duration,
            ticks: report.guest_cpu_ticks,
            memory_peak: report.memory_peak,
            logs: report.logs,
            logs_dropped: report.logs_dropped,
            vouched: report.vouched,
            said,
        }
    }

    /// Lines of the host's about what the adapter did wrong.
    pub(crate) fn remarks(&self) -> impl Iterator<Item = &str> {
        self.logs
            .iter()
            .filter(|line| line.source == LogSource::Host)
            .map(|line| line.message.as_str())
    }
}

impl Ending {
    /// For a finding.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Accepted => "accepted".to_owned(),
            Self::Declined(refusal) => {
                format!("declined ({:?}, {})", refusal.kind, refusal.failure.code)
            }
            Self::NotSent(NotSent::Adapter(failure)) => format!("not sent ({})", failure.code),
            Self::NotSent(reason) => format!("not sent ({})", brief(reason)),
            Self::Unknown(unknown) => format!("unknown ({})", brief(&unknown.reason)),
        }
    }
}

/// Debug texts of faults hold backtraces.
fn brief(value: &impl Debug) -> String {
    const CHARACTERS_MAX: usize = 240;
    let text = format!("{value:?}");
    match text.char_indices().nth(CHARACTERS_MAX) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

/// What a result shows of itself.
pub(crate) trait Shown {
    fn facts(&self) -> Facts;
}

fn named(provider_id: &str, status: &str) -> Facts {
    Facts {
        provider_id: Some(provider_id.to_owned()),
        status: Some(status.to_owned()),
        count: 1,
        ..Facts::default()
    }
}

fn amount(money: Option<&payments::Money>) -> Option<(u64, String)> {
    money.map(|money| (money.minor_units, money.currency.clone()))
}

impl Shown for account::Account {
    fn facts(&self) -> Facts {
        Facts {
            provider_id: self.provider_id.clone(),
            count: 1,
            ..Facts::default()
        }
    }
}

impl Shown for sms::Message {
    fn facts(&self) -> Facts {
        named(&self.provider_id, &self.status)
    }
}

impl Shown for email::Message {
    fn facts(&self) -> Facts {
        named(&self.provider_id, &self.status)
    }
}

impl Shown for payments::Payment {
    fn facts(&self) -> Facts {
        Facts {
            provider_payment_id: self.provider_payment_id.clone(),
            amount: amount(self.amount.as_ref()),
            state: self.state.clone(),
            checkout_url: self.checkout_url.clone(),
            due: self.due.map(|step| match step {
                payments::Step::Authorize => Operation::PaymentsAuthorize,
                payments::Step::Capture => Operation::PaymentsCapture,
            }),
            ..named(&self.provider_id, &self.status)
        }
    }
}

impl Shown for refunds::Refund {
    fn facts(&self) -> Facts {
        Facts {
            amount: amount(self.amount.as_ref()),
            ..named(&self.provider_id, &self.status)
        }
    }
}

impl Shown for plans::Plan {
    fn facts(&self) -> Facts {
        Facts {
            state: self.state.clone(),
            ..named(&self.provider_id, &self.status)
        }
    }
}

impl Shown for subscriptions::Subscription {
    fn facts(&self) -> Facts {
        Facts {
            state: self.state.clone(),
            ..named(&self.provider_id, &self.status)
        }
    }
}

impl Shown for payment_links::PaymentLink {
    fn facts(&self) -> Facts {
        Facts {
            provider_payment_id: self.provider_payment_id.clone(),
            amount: amount(self.amount.as_ref()),
            state: self.state.clone(),
            checkout_url: self.short_url.clone(),
            due: self
                .is_capture_due
                .then_some(Operation::PaymentLinksCapture),
            ..named(&self.provider_id, &self.status)
        }
    }
}

impl Shown for webhooks::Reading {
    fn facts(&self) -> Facts {
        Facts {
            count: self.events.len(),
            ..Facts::default()
        }
    }
}

impl<T: Shown> Shown for Vec<T> {
    fn facts(&self) -> Facts {
        let first = self.first().map(Shown::facts).unwrap_or_default();
        Facts {
            count: self.len(),
            ..first
        }
    }
}

impl Shown for Vec<Result<email::Message, ItemRefusal>> {
    fn facts(&self) -> Facts {
        let taken: Vec<_> = self.iter().filter_map(|item| item.as_ref().ok()).collect();
        let first = taken.first().map(|message| message.facts());
        Facts {
            count: taken.len(),
            ..first.unwrap_or_default()
        }
    }
}
