//! Payment links. Our id is their reference, which Razorpay takes once.

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, FieldError};
use onerouter_plugin::context;
use onerouter_plugin::failure::{self, field_error};
use onerouter_plugin::http::Answer;
use onerouter_plugin::json::{Object, Writer};

use crate::bindings::exports::onerouter::payments::payment_links::{CreateRequest, PaymentLink};
use crate::refusal::{self, Meaning};
use crate::{api, money, notes};

/// Razorpay's names and ours. An old sample has `active`: whatever else may come still waits.
const STATUSES: [(&str, &str); 5] = [
    ("created", "created"),
    ("partially_paid", "partially_paid"),
    ("paid", "paid"),
    ("expired", "expired"),
    ("cancelled", "canceled"),
];

const TEXT_MAX: usize = 255;
/// A link lasts at least this long, and Razorpay's clock may be ahead.
const LEAST_MS: u64 = 16 * 60 * 1_000;
/// Six months, the shortest of them.
const MOST_MS: u64 = 181 * 24 * 60 * 60 * 1_000;

/// `POST /v1/payment_links`
pub(crate) fn create(request: &CreateRequest) -> Result<PaymentLink, CallError> {
    let body =
        body(request, context::now()).map_err(|error| CallError::Invalid(alloc::vec![error]))?;
    let answer = api::write(api::url("payment_links"), body)?;
    if answer.is_success() {
        return of_answer(&answer).ok_or_else(|| failure::unreadable_after_write(answer.status));
    }
    match refusal::meaning(&answer) {
        // Our own id: it was made before, and its answer was lost.
        Meaning::Done => match find(&request.object_id).as_deref() {
            Ok([link]) => Ok(link.clone()),
            Ok(_) | Err(_) => Err(CallError::Unknown(refusal::failure(&answer))),
        },
        Meaning::PerhapsDone | Meaning::Refused => Err(refusal::after_create(&answer)),
    }
}

/// `GET /v1/payment_links/{id}`
pub(crate) fn get(id: &str) -> Result<PaymentLink, CallError> {
    let answer = api::read(api::url("payment_links").segment(id))?;
    of_answer(&answer).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

/// `POST /v1/payment_links/{id}/cancel`
pub(crate) fn cancel(id: &str) -> Result<PaymentLink, CallError> {
    let url = api::url("payment_links").segment(id).segment("cancel");
    let answer = api::write(url, "{}".to_owned())?;
    if !answer.is_success() {
        return canceled_before(refusal::after_change(&answer), || get(id));
    }
    of_answer(&answer).ok_or_else(|| failure::unreadable_after_write(answer.status))
}

/// Razorpay has the same words for a link that has expired and for one that was canceled. The latter is
/// what was asked for.
fn canceled_before(
    refused: CallError,
    read: impl FnOnce() -> Result<PaymentLink, CallError>,
) -> Result<PaymentLink, CallError> {
    match refused {
        CallError::InvalidState(_) => {
            let link = read().ok().filter(|link| link.status == "canceled");
            link.ok_or(refused)
        }
        refused => Err(refused),
    }
}

/// `GET /v1/payment_links?reference_id=`
pub(crate) fn find(object_id: &str) -> Result<Vec<PaymentLink>, CallError> {
    let answer = api::read(api::url("payment_links").query("reference_id", object_id))?;
    let unreadable = || failure::unreadable_after_read(answer.status);
    let list = answer.object().ok_or_else(unreadable)?;
    // Not the collection that every other list is.
    let links = list.objects("payment_links").ok_or_else(unreadable)?;
    let ours = links
        .iter()
        .filter(|link| link.text("reference_id").as_deref() == Some(object_id));
    ours.map(|link| read(link, None).ok_or_else(unreadable))
        .collect()
}

fn body(request: &CreateRequest, now: u64) -> Result<String, FieldError> {
    let mut body = Writer::new();
    money::write(&mut body, &request.amount)?;
    body.text("description", &request.description)
        .text("reference_id", &request.object_id);
    if let Some(expires_at) = request.expires_at {
        body.raw("expire_by", &expiry(expires_at, now)?);
    }
    if let Some(customer) = &request.customer {
        body.object("customer", |written| {
            for (name, value) in [
                ("name", &customer.name),
                ("email", &customer.email),
                ("contact", &customer.phone),
            ] {
                if let Some(value) = value {
                    written.text(name, &api::cut(value, TEXT_MAX));
                }
            }
        });
    }
    body.text("callback_url", &request.return_url)
        .text("callback_method", "get");
    notes::write(&mut body, &request.object_id, None, &request.metadata);
    Ok(body.finish())
}

/// In seconds.
fn expiry(at: u64, now: u64) -> Result<String, FieldError> {
    let ahead = at.saturating_sub(now);
    if (LEAST_MS..=MOST_MS).contains(&ahead) {
        return Ok((at / 1_000).to_string());
    }
    Err(field_error(
        "/expires_at",
        "out_of_range",
        "Razorpay's payment links last 16 minutes to 181 days.",
    ))
}

fn of_answer(answer: &Answer) -> Option<PaymentLink> {
    read(&answer.object()?, answer.raw())
}

fn read(link: &Object<'_>, raw: Option<String>) -> Option<PaymentLink> {
    let status = link.text("status")?;
    let known = STATUSES.iter().find(|(theirs, _)| *theirs == status);
    let status = known.map_or("created", |(_, ours)| ours);
    let payments = link.objects("payments").unwrap_or_default();
    Some(PaymentLink {
        provider_id: api::id(link)?,
        provider_payment_id: payments
            .iter()
            .rev()
            .find_map(|payment| api::id_in(payment, "payment_id"))
            // Else it is one that came to nothing.
            .filter(|_| status != "created"),
        status: status.to_owned(),
        amount: Some(money::read(link)?),
        amount_paid: api::count(link, "amount_paid").unwrap_or(0),
        // Razorpay takes the money of links by itself.
        is_capture_due: false,
        short_url: api::address(link, "short_url"),
        expires_at: api::time(link, "expire_by"),
        cost: None,
        failure: None,
        state: Vec::new(),
        raw,
        extra: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use onerouter_plugin::payments::Customer;

    use super::*;
    use crate::api::tests::answer;
    use crate::money::tests::money;
    use crate::payment::tests::attempt;

    /// 2023-11-14T22:13:20Z.
    const NOW: u64 = 1_700_000_000_000;

    fn request() -> CreateRequest {
        CreateRequest {
            object_id: "plink_1".into(),
            attempt: attempt(),
            amount: money(2_500, "INR"),
            description: "Chairs".into(),
            customer: Some(Customer {
                name: None,
                email: Some("ada@example.com".into()),
                phone: None,
            }),
            return_url: "https://gateway.example/checkout/1/return".into(),
            cancel_url: "https://gateway.example/checkout/1/cancel".into(),
            expires_at: None,
            metadata: Vec::new(),
            extra: Vec::new(),
        }
    }

    fn with(status: &str, more: &str) -> Option<PaymentLink> {
        let body = format!(
            r#"{{"id":"plink_2","amount":2500,"amount_paid":1000,"currency":"INR","status":"{status}","short_url":"https://rzp.io/i/nxrHnLJ","reference_id":"plink_1","expire_by":0,"reminders":[]{more}}}"#
        );
        of_answer(&answer(200, &body))
    }

    #[test]
    fn a_link_refers_to_ours_and_leads_back() {
        assert_eq!(
            body(&request(), NOW).unwrap(),
            r#"{"amount":2500,"currency":"INR","description":"Chairs","reference_id":"plink_1","customer":{"email":"ada@example.com"},"callback_url":"https://gateway.example/checkout/1/return","callback_method":"get","notes":{"onerouter_id":"plink_1"}}"#
        );
    }

    #[test]
    fn a_link_lasts_as_long_as_razorpay_lets_it() {
        let minute = 60_000;
        assert_eq!(expiry(NOW + 16 * minute, NOW).unwrap(), "1700000960");
        assert!(expiry(NOW + MOST_MS, NOW).is_ok());
        for at in [0, NOW, NOW + 15 * minute, NOW + MOST_MS + 1, u64::MAX] {
            assert_eq!(expiry(at, NOW).unwrap_err().pointer, "/expires_at", "{at}");
        }
    }

    #[test]
    fn a_link_that_is_canceled_already_is_what_was_asked_for() {
        let ended = || CallError::InvalidState(failure::failure("invalid_state", ""));
        let canceled = canceled_before(ended(), || Ok(with("cancelled", "").unwrap())).unwrap();
        assert_eq!(canceled.status, "canceled");
        for read in [
            Ok(with("expired", "").unwrap()),
            Ok(with("paid", "").unwrap()),
            Err(failure::unreadable_after_read(200)),
        ] {
            let refused = canceled_before(ended(), || read);
            assert!(matches!(refused, Err(CallError::InvalidState(_))));
        }
        let other = CallError::NotFound(failure::failure("not_found", ""));
        let refused = canceled_before(other, || panic!("nothing is to be read"));
        assert!(matches!(refused, Err(CallError::NotFound(_))));
    }

    #[test]
    fn every_status_has_one_of_ours() {
        for (theirs, ours) in STATUSES {
            assert_eq!(with(theirs, "").unwrap().status, ours);
        }
        assert_eq!(with("active", "").unwrap().status, "created");
        let paid = with(
            "paid",
            r#","payments":[{"payment_id":"pay_1"},{"payment_id":"pay_2"}]"#,
        )
        .unwrap();
        assert_eq!(paid.provider_payment_id.as_deref(), Some("pay_2"));
        assert_eq!((paid.amount_paid, paid.expires_at), (1_000, None));
        let unpaid = with("created", r#","payments":null"#).unwrap();
        assert_eq!(unpaid.provider_payment_id, None);
        assert!(of_answer(&answer(200, r#"{"id":"plink_2","status":"created"}"#)).is_none());
    }
}
