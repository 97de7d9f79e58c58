//! Results about money.
//!
//! Amounts, ids, statuses and the addresses to which buyers are sent must be right.

use onerouter_manifest::Manifest;
use url::{Host, Url};

use super::{Checked, Checker, FOUND_MAX, Malformed, status};
use crate::wit::payment_links::PaymentLink;
use crate::wit::payments::{CheckoutForm, Money, Payment};
use crate::wit::plans::Plan;
use crate::wit::refunds::Refund;
use crate::wit::subscriptions::Subscription;

const PAYMENT_STATUSES: [&str; 8] = [
    "created",
    "requires_action",
    "processing",
    "authorized",
    "succeeded",
    "failed",
    "canceled",
    "expired",
];

const REFUND_STATUSES: [&str; 4] = ["pending", "succeeded", "failed", "canceled"];

const PLAN_STATUSES: [&str; 3] = ["pending", "active", "failed"];

const SUBSCRIPTION_STATUSES: [&str; 9] = [
    "created",
    "trialing",
    "active",
    "past_due",
    "paused",
    "canceled",
    "completed",
    "expired",
    "failed",
];

const LINK_STATUSES: [&str; 6] = [
    "created",
    "partially_paid",
    "paid",
    "canceled",
    "expired",
    "failed",
];

/// Databases keep amounts as signed numbers of 64 bits, and no currency needs more than this.
const MINOR_UNITS_MAX: u64 = 1_000_000_000_000_000;
const URL_BYTES_MAX: usize = 2_048;
const FORM_FIELDS_MAX: usize = 32;
const FORM_VALUE_BYTES_MAX: usize = 2_000;
const STATE_MAX: usize = 16;
const STATE_VALUE_BYTES_MAX: usize = 255;
const PAYMENT_METHOD_BYTES_MAX: usize = 64;

type Pairs = Vec<(String, String)>;

impl Checker<'_> {
    fn amount(&self, money: &Money) -> Result<(), Malformed> {
        minor_units(money.minor_units)?;
        if money.currency.len() == 3 && money.currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Ok(());
        }
        Err(Malformed(
            "an amount's currency is not three upper-case letters".to_owned(),
        ))
    }

    fn optional_id(&self, id: Option<&String>) -> Result<(), Malformed> {
        id.map_or(Ok(()), |id| self.provider_id(id))
    }

    /// An address to which a buyer is sent.
    fn page(&self, page: Option<&String>) -> Result<(), Malformed> {
        let Some(page) = page else {
            return Ok(());
        };
        if self.scrubber.scrub(page.as_bytes()).is_some() {
            return Err(Malformed("a buyer's page holds a secret".to_owned()));
        }
        is_page(page).then_some(()).ok_or_else(|| {
            Malformed(format!(
                "a buyer's page is no https URL of at most {URL_BYTES_MAX} characters"
            ))
        })
    }

    fn form(&self, form: Option<&CheckoutForm>) -> Result<(), Malformed> {
        let Some(form) = form else {
            return Ok(());
        };
        self.page(Some(&form.action))?;
        let fits = |(name, value): &(String, String)| {
            !name.is_empty()
                && name.len() <= 64
                && value.len() <= FORM_VALUE_BYTES_MAX
                && self.scrubber.scrub(value.as_bytes()).is_none()
        };
        if form.fields.len() <= FORM_FIELDS_MAX && form.fields.iter().all(fits) {
            return Ok(());
        }
        Err(Malformed(format!(
            "a checkout form has more than {FORM_FIELDS_MAX} fields, or one that is empty, too long, or holds a secret"
        )))
    }

    /// What the adapter wants to be told again. Cut, it would mean something else.
    fn state(&self, state: &Pairs) -> Result<(), Malformed> {
        let fits = |(name, value): &(String, String)| {
            !name.is_empty()
                && name.len() <= 64
                && value.len() <= STATE_VALUE_BYTES_MAX
                && !name.contains(char::is_control)
                && !value.contains(char::is_control)
                && self.scrubber.scrub(value.as_bytes()).is_none()
        };
        if state.len() <= STATE_MAX && state.iter().all(fits) {
            return Ok(());
        }
        Err(Malformed(format!(
            "the state has more than {STATE_MAX} pairs, or one that is empty, too long, or holds a secret or control characters"
        )))
    }
}

fn minor_units(units: u64) -> Result<(), Malformed> {
    if units <= MINOR_UNITS_MAX {
        return Ok(());
    }
    Err(Malformed(format!(
        "an amount is larger than {MINOR_UNITS_MAX}"
    )))
}

/// `http` is for emulators on this machine.
fn is_page(page: &str) -> bool {
    if page.len() > URL_BYTES_MAX || !page.bytes().all(|b| b.is_ascii_graphic()) {
        return false;
    }
    let Ok(url) = Url::parse(page) else {
        return false;
    };
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return false,
    };
    let scheme_fits = url.scheme() == "https" || (url.scheme() == "http" && is_local);
    scheme_fits && url.username().is_empty() && url.password().is_none()
}

/// The provider's own page is on a host that the manifest names: a form with a buyer's data goes
/// nowhere else.
pub(crate) fn goes_to_provider(
    form: Option<&CheckoutForm>,
    manifest: &Manifest,
) -> Result<(), Malformed> {
    let Some(form) = form else {
        return Ok(());
    };
    let url = Url::parse(&form.action).ok();
    let host = url.as_ref().and_then(Url::host_str);
    let known = |host: &str| manifest.outbound.iter().any(|rule| rule.host == host);
    if host.is_some_and(known) {
        return Ok(());
    }
    Err(Malformed(
        "a checkout form goes to a host that no outbound rule names".to_owned(),
    ))
}

/// An answer about another sum than was asked for is about something else.
pub(crate) fn is_of(asked: Option<&Money>, answered: Option<&Money>) -> Result<(), Malformed> {
    match (asked, answered) {
        (Some(asked), Some(answered)) if asked != answered => Err(Malformed(format!(
            "the answer is about {} {} instead of {} {}",
            answered.minor_units, answered.currency, asked.minor_units, asked.currency
        ))),
        _ => Ok(()),
    }
}

impl Checked for Payment {
    fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
        checker.provider_id(&self.provider_id)?;
        checker.optional_id(self.provider_payment_id.as_ref())?;
        status(&self.status, &PAYMENT_STATUSES)?;
        if let Some(amount) = &self.amount {
            checker.amount(amount)?;
        }
        minor_units(self.amount_captured)?;
        minor_units(self.amount_refunded.unwrap_or(0))?;
        checker.page(self.checkout_url.as_ref())?;
        checker.form(self.checkout.as_ref())?;
        checker.state(&self.state)?;
        if let Some(cost) = &self.cost {
            checker.cost(cost)?;
        }
        Ok(Self {
            widget: checker.extra(self.widget),
            payment_method: self
                .payment_method
                .map(|method| checker.text(method, PAYMENT_METHOD_BYTES_MAX)),
            method_details: checker.extra(self.method_details),
            failure: self.failure.map(|failure| checker.failure(failure)),
            raw: checker.raw(self.raw),
            extra: checker.extra(self.extra),
            provider_id: self.provider_id,
            provider_payment_id: self.provider_payment_id,
            status: self.status,
            amount: self.amount,
            amount_captured: self.amount_captured,
            amount_refunded: self.amount_refunded,
            due: self.due,
            checkout_url: self.checkout_url,
            checkout: self.checkout,
            cost: self.cost,
            state: self.state,
        })
    }
}

impl Checked for Refund {
    fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
        checker.provider_id(&self.provider_id)?;
        status(&self.status, &REFUND_STATUSES)?;
        if let Some(amount) = &self.amount {
            checker.amount(amount)?;
        }
        if let Some(cost) = &self.cost {
            checker.cost(cost)?;
        }
        Ok(Self {
            failure: self.failure.map(|failure| checker.failure(failure)),
            raw: checker.raw(self.raw),
            extra: checker.extra(self.extra),
            provider_id: self.provider_id,
            status: self.status,
            amount: self.amount,
            cost: self.cost,
        })
    }
}

impl Checked for Plan {
    fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
        checker.provider_id(&self.provider_id)?;
        status(&self.status, &PLAN_STATUSES)?;
        checker.state(&self.state)?;
        Ok(Self {
            failure: self.failure.map(|failure| checker.failure(failure)),
            raw: checker.raw(self.raw),
            extra: checker.extra(self.extra),
            provider_id: self.provider_id,
            status: self.status,
            state: self.state,
        })
    }
}

impl Checked for Subscription {
    fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
        checker.provider_id(&self.provider_id)?;
        checker.optional_id(self.plan_provider_id.as_ref())?;
        status(&self.status, &SUBSCRIPTION_STATUSES)?;
        checker.page(self.checkout_url.as_ref())?;
        checker.state(&self.state)?;
        Ok(Self {
            failure: self.failure.map(|failure| checker.failure(failure)),
            raw: checker.raw(self.raw),
            extra: checker.extra(self.extra),
            provider_id: self.provider_id,
            status: self.status,
            plan_provider_id: self.plan_provider_id,
            checkout_url: self.checkout_url,
            current_period_end: self.current_period_end,
            paid_count: self.paid_count,
            state: self.state,
        })
    }
}

impl Checked for PaymentLink {
    fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
        checker.provider_id(&self.provider_id)?;
        checker.optional_id(self.provider_payment_id.as_ref())?;
        status(&self.status, &LINK_STATUSES)?;
        if let Some(amount) = &self.amount {
            checker.amount(amount)?;
        }
        minor_units(self.amount_paid)?;
        checker.page(self.short_url.as_ref())?;
        checker.state(&self.state)?;
        if let Some(cost) = &self.cost {
            checker.cost(cost)?;
        }
        Ok(Self {
            failure: self.failure.map(|failure| checker.failure(failure)),
            raw: checker.raw(self.raw),
            extra: checker.extra(self.extra),
            provider_id: self.provider_id,
            provider_payment_id: self.provider_payment_id,
            status: self.status,
            amount: self.amount,
            amount_paid: self.amount_paid,
            is_capture_due: self.is_capture_due,
            short_url: self.short_url,
            expires_at: self.expires_at,
            cost: self.cost,
            state: self.state,
        })
    }
}

/// What a search found.
macro_rules! found {
    ($($found:ty),*) => {
        $(
            impl Checked for Vec<$found> {
                fn checked(self, checker: &mut Checker<'_>) -> Result<Self, Malformed> {
                    if self.len() > FOUND_MAX {
                        return Err(Malformed(format!("more than {FOUND_MAX} objects")));
                    }
                    self.into_iter().map(|found| found.checked(checker)).collect()
                }
            }
        )*
    };
}

found!(Payment, Refund, Plan, Subscription, PaymentLink);

#[cfg(test)]
mod tests {
    use super::is_page;

    #[test]
    fn buyers_are_sent_to_pages_only() {
        for page in [
            "https://pay.provider.example/checkoutnow?token=1",
            "http://127.0.0.1:4010/pay/1",
            "http://localhost/pay",
            "http://[::1]:9/pay",
        ] {
            assert!(is_page(page), "{page}");
        }
        for page in [
            "",
            "javascript:alert(1)",
            "data:text/html,a",
            "http://provider.example/pay",
            "https://user:password@provider.example/",
            "https://user@provider.example/",
            "//provider.example/",
            "/pay",
            "https://provider.example/a b",
            "ftp://provider.example/",
            &format!("https://provider.example/{}", "a".repeat(2_048)),
        ] {
            assert!(!is_page(page), "{page}");
        }
    }
}
