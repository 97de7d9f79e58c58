//! Refunds: money of a payment that goes back.

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, Failure, FieldError};
use onerouter_plugin::failure::{self, failure};
use onerouter_plugin::http::Answer;
use onerouter_plugin::json::{Object, Writer};
use onerouter_plugin::payments::Reference;

use crate::bindings::exports::onerouter::payments::refunds::{CreateRequest, Refund, Speed};
use crate::refusal::{self, Meaning};
use crate::{api, money, notes};

const REASON: &str = "reason";
/// The most that a list gives at once.
const PAGE: usize = 100;

/// `POST /v1/payments/{id}/refund`
pub(crate) fn create(request: &CreateRequest) -> Result<Refund, CallError> {
    let Some(payment) = &request.payment.provider_payment_id else {
        return Err(CallError::InvalidState(failure(
            "invalid_state",
            "Nothing was captured that could be refunded.",
        )));
    };
    let answer = ask(request, |key, body| {
        let url = api::url("payments").segment(payment).segment("refund");
        api::write_once(url, key, body)
    })?;
    if answer.is_success() {
        return of_answer(&answer).ok_or_else(|| failure::unreadable_after_write(answer.status));
    }
    refused(&answer, || find_of(payment, &request.object_id).ok()?)
}

/// `GET /v1/payments/{id}/refunds`
pub(crate) fn find(request: &CreateRequest) -> Result<Vec<Refund>, CallError> {
    match &request.payment.provider_payment_id {
        Some(payment) => {
            find_of(payment, &request.object_id).map(|found| found.into_iter().collect())
        }
        None => Ok(Vec::new()),
    }
}

/// Our refund among a payment's.
fn find_of(payment: &str, object_id: &str) -> Result<Option<Refund>, CallError> {
    let url = api::url("payments").segment(payment).segment("refunds");
    let list = api::read(url.query("count", &PAGE.to_string()))?;
    ours(&list, object_id).ok_or_else(|| failure::unreadable_after_read(list.status))
}

/// What a refusal comes to. A refund whose answer was lost longer ago than Razorpay remembers keys is
/// among the payment's.
fn refused(answer: &Answer, find: impl FnOnce() -> Option<Refund>) -> Result<Refund, CallError> {
    let refusal = match refusal::meaning(answer) {
        Meaning::Refused => return Err(refusal::after_create(answer)),
        Meaning::PerhapsDone => refusal::after_create(answer),
        Meaning::Done => CallError::Unknown(refusal::failure(answer)),
    };
    find().ok_or(refusal)
}

/// Sends the refund; at normal speed where it cannot be instant. Razorpay documents that it does so by
/// itself, and an error for payments with which it does not.
fn ask(
    request: &CreateRequest,
    send: impl Fn(&str, String) -> Result<Answer, CallError>,
) -> Result<Answer, CallError> {
    let body = |speed| body(request, speed).map_err(|error| CallError::Invalid(alloc::vec![error]));
    let key = &request.attempt.idempotency_key;
    let answer = send(key, body(request.speed)?)?;
    if request.speed == Speed::Optimum && refusal::wants_normal_speed(&answer) {
        return send(&[key, "-normal"].concat(), body(Speed::Normal)?);
    }
    Ok(answer)
}

/// Our refund in the list of a payment's; none where the list does not tell: it may go on.
fn ours(list: &Answer, object_id: &str) -> Option<Option<Refund>> {
    let list = list.object()?;
    let refunds = list.objects("items")?;
    let has_receipt = |refund: &&Object<'_>| refund.text("receipt").as_deref() == Some(object_id);
    let has_notes = |refund: &&Object<'_>| notes::are_of(refund, object_id);
    let ours = refunds.iter().find(has_receipt);
    match ours.or_else(|| refunds.iter().find(has_notes)) {
        Some(ours) => read(ours, None).map(Some),
        None => (refunds.len() < PAGE).then_some(None),
    }
}

/// `GET /v1/refunds/{id}`
pub(crate) fn get(refund: &Reference) -> Result<Refund, CallError> {
    let answer = api::read(api::url("refunds").segment(&refund.provider_id))?;
    of_answer(&answer).ok_or_else(|| failure::unreadable_after_read(answer.status))
}

/// The amount is always named, also where it is all that is left: what is left may have changed.
///
/// How little may go back is Razorpay's to say: its page on normal refunds still has INR 1.00 for the
/// least, that on instant ones takes less. <https://razorpay.com/docs/api/refunds/create-instant/>
fn body(request: &CreateRequest, speed: Speed) -> Result<String, FieldError> {
    let mut body = Writer::new();
    body.raw("amount", &money::units(&request.amount)?)
        .text(
            "speed",
            match speed {
                Speed::Normal => "normal",
                Speed::Optimum => "optimum",
            },
        )
        .text("receipt", &request.object_id);
    let reason = request.reason.as_ref().map(|reason| (REASON, reason));
    notes::write(&mut body, &request.object_id, reason, &request.metadata);
    Ok(body.finish())
}

fn of_answer(answer: &Answer) -> Option<Refund> {
    read(&answer.object()?, answer.raw())
}

fn read(refund: &Object<'_>, raw: Option<String>) -> Option<Refund> {
    let status = match refund.text("status")?.as_str() {
        "processed" => "succeeded",
        "failed" => "failed",
        // `pending`, and whatever comes next: it is made, and its id must not be lost.
        _ => "pending",
    };
    let speed = refund
        .text("speed_processed")
        .filter(|speed| !speed.is_empty());
    Some(Refund {
        provider_id: api::id(refund)?,
        status: status.to_owned(),
        amount: Some(money::read(refund)?),
        cost: None,
        failure: (status == "failed").then(|| Failure {
            // At normal speed it may still go.
            retryable: refund.text("speed_requested").as_deref() == Some("optimum"),
            ..failure("refund_not_allowed", "The bank did not take the refund.")
        }),
        raw,
        extra: speed
            .map(|speed| ("speed_processed".to_owned(), speed))
            .into_iter()
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use core::cell::RefCell;
    use core::slice;

    use onerouter_plugin::payments::Money;

    use super::*;
    use crate::api::tests::answer;
    use crate::money::tests::money;
    use crate::payment::tests::{attempt, reference};

    fn request(amount: Money, speed: Speed) -> CreateRequest {
        CreateRequest {
            object_id: "re_1".into(),
            attempt: attempt(),
            payment: reference(None),
            amount,
            is_rest: true,
            reason: Some("Broken".into()),
            speed,
            metadata: alloc::vec![("reason".into(), "x".into()), ("case".into(), "9".into())],
            extra: Vec::new(),
        }
    }

    #[test]
    fn the_amount_is_named_also_where_it_is_the_rest() {
        assert_eq!(
            body(&request(money(1_000, "INR"), Speed::Normal), Speed::Normal).unwrap(),
            r#"{"amount":1000,"speed":"normal","receipt":"re_1","notes":{"onerouter_id":"re_1","reason":"Broken","case":"9"}}"#
        );
        let rest = body(&request(money(50, "INR"), Speed::Normal), Speed::Normal).unwrap();
        assert!(rest.contains(r#""amount":50,"#), "{rest}");
        let nothing = body(&request(money(0, "INR"), Speed::Normal), Speed::Normal);
        assert_eq!(nothing.unwrap_err().pointer, "/amount");
    }

    /// What is sent under which key, where each answer in turn is this one.
    fn asked(speed: Speed, answers: &[Answer]) -> (Vec<(String, String)>, Answer) {
        let sent = RefCell::new(Vec::new());
        let last = ask(&request(money(1_000, "INR"), speed), |key, body| {
            let at = sent.borrow().len();
            let speed = Object::parse(&body).unwrap().text("speed").unwrap();
            sent.borrow_mut().push((key.to_owned(), speed));
            Ok(answers[at].clone())
        });
        (sent.into_inner(), last.unwrap())
    }

    fn refusal(description: &str) -> Answer {
        let body =
            format!(r#"{{"error":{{"code":"BAD_REQUEST_ERROR","description":"{description}"}}}}"#);
        answer(400, &body)
    }

    #[test]
    fn a_refund_that_was_made_before_is_looked_for() {
        let body = r#"{"id":"rfnd_1","amount":1000,"currency":"INR","status":"processed"}"#;
        let made = || of_answer(&answer(200, body));
        let repeated = refusal("Duplicate receipt found for this refund request.");
        let no_room = refusal("The payment has been fully refunded already");
        for answer in [&repeated, &no_room] {
            assert_eq!(refused(answer, made).unwrap().provider_id, "rfnd_1");
        }
        let lost = refused(&repeated, || None);
        assert!(matches!(lost, Err(CallError::Unknown(_))), "{lost:?}");
        let declined = refused(&no_room, || None);
        assert!(matches!(declined, Err(CallError::Declined(_))));
        let other = refusal("Refunds cannot be created on your account.");
        let declined = refused(&other, || panic!("nothing is to be read"));
        assert!(matches!(declined, Err(CallError::Declined(_))));
    }

    #[test]
    fn what_cannot_be_instant_is_asked_for_at_normal_speed() {
        let pair = |key: &str, speed: &str| (key.to_owned(), speed.to_owned());
        let first = pair("pay_1-create", "optimum");
        let (slow, made) = (
            refusal("Instant refund not supported for the payment."),
            answer(200, "{}"),
        );
        let (sent, last) = asked(Speed::Optimum, &[slow.clone(), made.clone()]);
        let second = pair("pay_1-create-normal", "normal");
        assert_eq!(
            (sent, last),
            (alloc::vec![first.clone(), second], made.clone())
        );
        for once in [made, refusal("The payment has been fully refunded already")] {
            let (sent, last) = asked(Speed::Optimum, slice::from_ref(&once));
            assert_eq!((sent, last), (alloc::vec![first.clone()], once));
        }
        let (sent, last) = asked(Speed::Normal, slice::from_ref(&slow));
        assert_eq!((sent.len(), last), (1, slow));
    }

    #[test]
    fn a_lost_refund_is_found_by_its_receipt_or_its_notes() {
        let list = |refunds: &[(&str, &str, &str)]| {
            let items: Vec<_> = refunds
                .iter()
                .map(|(id, receipt, ours)| {
                    format!(
                        r#"{{"id":"{id}","amount":1000,"currency":"INR","receipt":{receipt},"notes":{{"onerouter_id":"{ours}"}},"status":"processed"}}"#
                    )
                })
                .collect();
            let body = format!(r#"{{"entity":"collection","items":[{}]}}"#, items.join(","));
            ours(&answer(200, &body), "re_1").map(|found| found.map(|refund| refund.provider_id))
        };
        let other = ("rfnd_1", "\"re_2\"", "re_2");
        let noted = ("rfnd_2", "null", "re_1");
        let ours = ("rfnd_3", "\"re_1\"", "re_1");
        let found = |id: &str| Some(Some(id.to_owned()));
        assert_eq!(list(&[other, noted, ours]), found("rfnd_3"));
        assert_eq!(list(&[other, noted]), found("rfnd_2"));
        assert_eq!(list(&[other]), Some(None));
        assert_eq!(list(&[]), Some(None));
        // A full page says nothing about those behind it.
        assert_eq!(list(&[other; PAGE]), None);
    }

    #[test]
    fn without_a_payment_nothing_is_sent() {
        let refused = create(&request(money(1_000, "INR"), Speed::Normal));
        assert!(matches!(refused, Err(CallError::InvalidState(_))));
    }

    #[test]
    fn every_status_has_one_of_ours() {
        let with = |status: &str, speed: &str| {
            let body = format!(
                r#"{{"id":"rfnd_1","entity":"refund","amount":1000,"currency":"INR","payment_id":"pay_2","notes":[],"status":"{status}","speed_processed":{speed}}}"#
            );
            read(&Object::parse(&body).unwrap(), None)
        };
        for (theirs, ours, fails) in [
            ("pending", "pending", false),
            ("processed", "succeeded", false),
            ("failed", "failed", true),
            ("teleported", "pending", false),
        ] {
            let refund = with(theirs, "null").unwrap();
            assert_eq!(
                (refund.status.as_str(), refund.failure.is_some()),
                (ours, fails)
            );
            assert_eq!(refund.amount.unwrap().minor_units, 1_000);
            assert!(refund.extra.is_empty());
        }
        assert_eq!(
            with("processed", "\"instant\"").unwrap().extra[0].1,
            "instant"
        );
        assert!(read(&Object::parse(r#"{"id":"rfnd_1"}"#).unwrap(), None).is_none());
    }
}
