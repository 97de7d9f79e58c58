//! Buyers' pages: whose they are, and what a buyer's return means.

use chrono::{DateTime, TimeDelta, Utc};
use rand::RngExt as _;
use sha2::{Digest as _, Sha256};

use super::authentication::unavailable;
use super::object::Object;
use super::objects::Objects;
use super::paying::Pages;
use super::payment::{CheckoutForm, Payment};
use super::payment_link::PaymentLink;
use super::refusal::Refusal;
use crate::store::{ObjectKind, ObjectRow};

/// Bytes of a page's token: enough that nobody guesses one.
const TOKEN_BYTES: usize = 24;
/// Fields of a provider's answer to the buyer's browser.
pub const RESPONSE_FIELDS_MAX: usize = 32;

/// The first looks at what a buyer is paying now: afterwards they get rarer.
const LOOKS: [(TimeDelta, TimeDelta); 5] = [
    (TimeDelta::minutes(5), TimeDelta::seconds(10)),
    (TimeDelta::minutes(30), TimeDelta::seconds(60)),
    (TimeDelta::hours(6), TimeDelta::minutes(10)),
    (TimeDelta::days(3), TimeDelta::hours(1)),
    (TimeDelta::days(400), TimeDelta::hours(12)),
];

/// When an object of this age is looked at next; none after `watched_for`.
pub(super) fn look_again(
    created_at: DateTime<Utc>,
    now: DateTime<Utc>,
    watched_for: TimeDelta,
) -> Option<DateTime<Utc>> {
    let age = now.signed_duration_since(created_at);
    let (_, wait) = LOOKS.into_iter().find(|(until, _)| age < *until)?;
    (age < watched_for).then(|| now + wait)
}

/// A provider that does not have an unpaid order after this time has let it go: before, it may not
/// have been everywhere yet.
const OLD_AFTER: TimeDelta = TimeDelta::hours(6);
/// A page's opening is noted this often at most.
const OPENED_EVERY: TimeDelta = TimeDelta::minutes(5);

/// Whether an object of this age that its provider does not know is gone.
pub(super) fn is_old(created_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now.signed_duration_since(created_at) > OLD_AFTER
}

/// Notes that a page was opened; `false` where it was made or opened just before.
pub(super) fn note_opened(
    opened_at: &mut Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> bool {
    let last = opened_at.unwrap_or(created_at);
    if now.signed_duration_since(last) < OPENED_EVERY {
        return false;
    }
    *opened_at = Some(now);
    true
}

/// The pages of a new object.
#[must_use]
pub fn open(base: &str) -> Pages {
    let bytes: [u8; TOKEN_BYTES] = rand::rng().random();
    let token = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Pages {
        base: base.trim_end_matches('/').to_owned(),
        token,
    }
}

/// By what an object's page is found: the directory does not tell its address.
pub(super) fn hash(pages: &Pages) -> [u8; 32] {
    hash_of(&pages.token)
}

fn hash_of(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// What a buyer gets to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// A form that leads to the provider.
    Form {
        /// The form.
        form: CheckoutForm,
        /// What is paid: `500.00 INR`.
        amount: String,
        /// For what.
        description: Option<String>,
    },
    /// Another address.
    Elsewhere(String),
    /// Nothing is left to do; what became of it.
    Over(Over),
}

/// What became of what a buyer had to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Paid.
    Paid,
    /// Being worked on.
    Pending,
    /// Not paid.
    NotPaid,
}

/// Looks up buyers' pages.
#[derive(Debug, Clone)]
pub struct Checkouts {
    pub(crate) payments: Objects<Payment>,
    pub(crate) links: Objects<PaymentLink>,
}

enum Found {
    Payment(Box<Object<Payment>>),
    Link(Box<Object<PaymentLink>>),
}

impl Checkouts {
    /// The page on which a buyer begins.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn start(&self, token: &str) -> Result<Page, Refusal> {
        let (tenant, found) = self.find(token).await?;
        Ok(match found {
            Found::Payment(payment) => {
                let payment = self.payments.opened(tenant, *payment).await;
                first_page(&payment)
            }
            Found::Link(link) => {
                let link = self.links.opened(tenant, *link).await;
                match &link.facts.short_url {
                    Some(url) if !link.status.is_terminal() && !is_on_its_way(&link) => {
                        Page::Elsewhere(url.clone())
                    }
                    Some(_) | None => Page::Over(over_link(&link)),
                }
            }
        })
    }

    /// A buyer comes back: what the provider handed to the browser is checked, the provider is asked,
    /// and the buyer goes on to where the caller wants.
    ///
    /// # Errors
    /// `not_found`. Whatever is wrong with the response is the payment's matter, not the buyer's.
    pub async fn back(
        &self,
        token: &str,
        response: Vec<(String, String)>,
    ) -> Result<Page, Refusal> {
        let (tenant, found) = self.find(token).await?;
        Ok(match found {
            Found::Payment(payment) => {
                let payment = Box::pin(self.payments.returned(tenant, *payment, response)).await;
                let url = payment.request.return_url.as_deref();
                onward(url, "payment_id", payment.id, over(&payment))
            }
            Found::Link(link) => {
                let link = self.links.opened(tenant, *link).await;
                let link = self.links.refreshed(tenant, link).await;
                let url = link.request.callback_url.as_deref();
                onward(url, "payment_link_id", link.id, over_link(&link))
            }
        })
    }

    /// A buyer gives up.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn given_up(&self, token: &str) -> Result<Page, Refusal> {
        Ok(match self.find(token).await?.1 {
            Found::Payment(payment) => {
                let request = &payment.request;
                let url = request
                    .cancel_url
                    .as_deref()
                    .or(request.return_url.as_deref());
                onward(url, "payment_id", payment.id, over(&payment))
            }
            Found::Link(link) => {
                let url = link.request.callback_url.as_deref();
                onward(url, "payment_link_id", link.id, over_link(&link))
            }
        })
    }

    async fn find(&self, token: &str) -> Result<(onerouter_domain::id::TenantId, Found), Refusal> {
        let failed = |error| unavailable("cannot find a buyer's page", &error);
        let nowhere = || Refusal::not_found("page");
        let is_token =
            token.len() == TOKEN_BYTES * 2 && token.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_token {
            return Err(nowhere());
        }
        let store = self.payments.store();
        let place = store.find_checkout(&hash_of(token)).await.map_err(failed)?;
        let place = place.ok_or_else(nowhere)?;
        let mut tx = store.begin_read(place.tenant_id).await.map_err(failed)?;
        let row = tx
            .find_object_of_any_kind(place.object_id)
            .await
            .map_err(failed)?;
        drop(tx);
        let row: ObjectRow = row.ok_or_else(nowhere)?;
        let found = match row.kind {
            ObjectKind::Payment => Found::Payment(Box::new(Object::from_row(row).map_err(failed)?)),
            ObjectKind::PaymentLink => {
                Found::Link(Box::new(Object::from_row(row).map_err(failed)?))
            }
            ObjectKind::Sms
            | ObjectKind::Email
            | ObjectKind::Refund
            | ObjectKind::Plan
            | ObjectKind::Subscription => return Err(nowhere()),
        };
        Ok((place.tenant_id, found))
    }
}

fn first_page(payment: &Object<Payment>) -> Page {
    use onerouter_domain::payment::PaymentStatus;
    // A failed one stays open at some providers.
    let is_open = !payment.status.is_terminal() || payment.status == PaymentStatus::Failed;
    let facts = &payment.facts;
    match (&facts.checkout_url, &facts.checkout) {
        (Some(url), _) if is_open => Page::Elsewhere(url.clone()),
        (None, Some(form)) if is_open => Page::Form {
            form: form.clone(),
            amount: payment.request.amount.to_string(),
            description: payment.request.description.clone(),
        },
        _ => Page::Over(over(payment)),
    }
}

fn over(payment: &Object<Payment>) -> Over {
    use onerouter_domain::payment::PaymentStatus;
    match payment.status {
        PaymentStatus::Succeeded | PaymentStatus::Authorized => Over::Paid,
        PaymentStatus::Unknown | PaymentStatus::Processing => Over::Pending,
        PaymentStatus::Created
        | PaymentStatus::RequiresAction
        | PaymentStatus::Failed
        | PaymentStatus::Expired
        | PaymentStatus::Canceled => Over::NotPaid,
    }
}

/// The money was taken and has not arrived: nobody is to pay again.
fn is_on_its_way(link: &Object<PaymentLink>) -> bool {
    use onerouter_domain::payment::PaymentLinkStatus;
    link.status == PaymentLinkStatus::Created && link.facts.payment_ref.is_some()
}

fn over_link(link: &Object<PaymentLink>) -> Over {
    use onerouter_domain::payment::PaymentLinkStatus;
    match link.status {
        PaymentLinkStatus::Paid => Over::Paid,
        PaymentLinkStatus::Created if is_on_its_way(link) => Over::Pending,
        PaymentLinkStatus::Unknown | PaymentLinkStatus::PartiallyPaid => Over::Pending,
        PaymentLinkStatus::Created
        | PaymentLinkStatus::Failed
        | PaymentLinkStatus::Expired
        | PaymentLinkStatus::Canceled => Over::NotPaid,
    }
}

/// To the caller's page, with our id; without one, a word is all there is.
fn onward(url: Option<&str>, name: &str, id: impl ToString, over: Over) -> Page {
    let Some(mut url) = url.and_then(|url| url::Url::parse(url).ok()) else {
        return Page::Over(over);
    };
    url.query_pairs_mut().append_pair(name, &id.to_string());
    Page::Elsewhere(url.into())
}
