//! Handing over several e-mails in one request.
//!
//! In permissive mode the good ones go out although others are refused. The answer has the ids of
//! the good ones in order, and beside them the position and the reason of each other one.

use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::{CallError, Failure};
use onerouter_plugin::context;
use onerouter_plugin::failure::{self, failure};
use onerouter_plugin::http::{Answer, Request};
use onerouter_plugin::json::Object;
use onerouter_plugin::url::Url;

use crate::account::{EMAILS, authenticated};
use crate::bindings::exports::onerouter::email::email::{Message, SendRequest};
use crate::draft::{self, Way};
use crate::send::sender;
use crate::{message, refusal};

type Outcome = Result<Message, CallError>;

/// `POST /emails/batch`
pub(crate) fn send(
    requests: &[SendRequest],
    idempotency_key: &str,
) -> Result<Vec<Outcome>, CallError> {
    let batch = Batch::of(requests, context::now());
    if batch.sent.is_empty() {
        return Ok(batch.outcomes(Vec::new()));
    }
    let answer = authenticated(Request::post(Url::new(EMAILS).segment("batch")))
        .header("Idempotency-Key", idempotency_key)
        .header("x-batch-validation", "permissive")
        .json(batch.body.as_str())
        .send()
        .map_err(failure::after_write)?;
    if !answer.is_success() {
        return Err(refusal::after_create(&answer));
    }
    let outcomes =
        read(&answer, &batch.sent).ok_or_else(|| failure::unreadable_after_write(answer.status))?;
    Ok(batch.outcomes(outcomes))
}

/// What goes out, and what does not.
struct Batch<'a> {
    /// JSON list of the e-mails that go out.
    body: String,
    /// Those e-mails, in order.
    sent: Vec<&'a SendRequest>,
    /// Per request: the reason why it does not go out.
    refused: Vec<Option<CallError>>,
}

impl<'a> Batch<'a> {
    fn of(requests: &'a [SendRequest], now: u64) -> Self {
        let room = requests
            .iter()
            .map(draft::bytes_of)
            .fold(0, usize::saturating_add);
        let mut batch = Self {
            body: String::with_capacity(room),
            sent: Vec::with_capacity(requests.len()),
            refused: Vec::with_capacity(requests.len()),
        };
        batch.body.push('[');
        for request in requests {
            let refused = batch.add(request, now).err();
            batch.refused.push(refused);
        }
        batch.body.push(']');
        batch
    }

    fn add(&mut self, request: &'a SendRequest, now: u64) -> Result<(), CallError> {
        let sender = sender(request);
        let mistakes = draft::mistakes(request, sender.as_deref(), Way::InBatch, now);
        let Some(sender) = sender.filter(|_| mistakes.is_empty()) else {
            return Err(CallError::Invalid(mistakes));
        };
        let mut body = core::mem::take(&mut self.body);
        if !self.sent.is_empty() {
            body.push(',');
        }
        self.body = draft::write(request, &sender, body);
        self.sent.push(request);
        Ok(())
    }

    /// One outcome per request, in order, from the outcomes of those that went out.
    fn outcomes(self, sent: Vec<Outcome>) -> Vec<Outcome> {
        let mut sent = sent.into_iter();
        self.refused
            .into_iter()
            .filter_map(|refused| match refused {
                Some(error) => Some(Err(error)),
                None => sent.next(),
            })
            .collect()
    }
}

/// The outcomes of the e-mails that went out; none unless the answer accounts for each of them.
fn read(answer: &Answer, sent: &[&SendRequest]) -> Option<Vec<Outcome>> {
    let object = answer.object()?;
    let ids = object.items("data")?;
    let errors = match object.raw("errors") {
        None | Some("null") => Vec::new(),
        Some(_) => object.objects("errors")?,
    };
    // Otherwise nobody can tell which id is whose.
    if ids.len().checked_add(errors.len())? != sent.len() {
        return None;
    }
    let mut ids = ids.into_iter();
    sent.iter()
        .enumerate()
        .map(|(index, request)| match error_at(&errors, index) {
            Some(error) => Some(Err(declined(error))),
            None => {
                let raw = ids.next()?;
                message::created(&Object::parse(raw)?, Some(raw.into()), request).map(Ok)
            }
        })
        .collect()
}

fn error_at<'a, 'b>(errors: &'b [Object<'a>], index: usize) -> Option<&'b Object<'a>> {
    errors.iter().find(|error| {
        error
            .number("index")
            .and_then(|number| number.parse().ok())
            .is_some_and(|number: usize| number == index)
    })
}

fn declined(error: &Object<'_>) -> CallError {
    CallError::Declined(Failure {
        provider_message: error.text("message"),
        ..failure(
            "invalid_content",
            "Resend refused this e-mail of the batch.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::tests::{SENDER, request};

    fn requests(subjects: &[&str]) -> Vec<SendRequest> {
        subjects
            .iter()
            .map(|subject| SendRequest {
                sender: Some(SENDER.into()),
                subject: (*subject).into(),
                // A batch knows no schedule: this one is refused here.
                send_at: subject.starts_with("late").then_some(1),
                ..request()
            })
            .collect()
    }

    fn answer(body: &str) -> Answer {
        Answer {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    fn outcomes(subjects: &[&str], body: &str) -> Option<Vec<String>> {
        let requests = requests(subjects);
        let batch = Batch::of(&requests, 0);
        let outcomes = read(&answer(body), &batch.sent)?;
        let shown = batch
            .outcomes(outcomes)
            .into_iter()
            .map(|outcome| match outcome {
                Ok(message) => message.provider_id,
                Err(CallError::Declined(failure)) => failure.provider_message.unwrap_or_default(),
                Err(CallError::Invalid(errors)) => errors[0].pointer.clone(),
                Err(other) => panic!("{other:?}"),
            });
        Some(shown.collect())
    }

    #[test]
    fn the_body_is_a_list_of_what_goes_out() {
        let requests = requests(&["one", "late", "two"]);
        let batch = Batch::of(&requests, 0);
        let list = ["{\"a\":", &batch.body, "}"].concat();
        let items = Object::parse(&list).unwrap().objects("a").unwrap();
        let subjects: Vec<_> = items
            .iter()
            .map(|item| item.text("subject").unwrap())
            .collect();
        assert_eq!(subjects, ["one", "two"]);
    }

    #[test]
    fn all_good() {
        let body = r#"{"data":[{"id":"1"},{"id":"2"}]}"#;
        assert_eq!(outcomes(&["a", "b"], body).unwrap(), ["1", "2"]);
        let body = r#"{"data":[{"id":"1"},{"id":"2"}],"errors":[]}"#;
        assert_eq!(outcomes(&["a", "b"], body).unwrap(), ["1", "2"]);
    }

    #[test]
    fn refused_ones_leave_gaps_in_the_ids() {
        let body = r#"{"data":[{"id":"1"},{"id":"2"}],
            "errors":[{"index":2,"message":"no c"},{"index":0,"message":"no a"}]}"#;
        assert_eq!(
            outcomes(&["a", "b", "c", "d"], body).unwrap(),
            ["no a", "1", "no c", "2"]
        );
    }

    #[test]
    fn positions_count_only_what_went_out() {
        let body = r#"{"data":[{"id":"1"}],"errors":[{"index":1,"message":"no c"}]}"#;
        assert_eq!(
            outcomes(&["a", "late", "c", "late"], body).unwrap(),
            ["1", "/send_at", "no c", "/send_at"]
        );
    }

    #[test]
    fn an_answer_that_does_not_account_for_each_is_not_believed() {
        for body in [
            "{}",
            r#"{"data":[{"id":"1"}]}"#,
            r#"{"data":[{"id":"1"},{"id":"2"},{"id":"3"}]}"#,
            r#"{"data":[{"id":"1"},{}]}"#,
            r#"{"data":[{"id":"1"},null]}"#,
            r#"{"data":[{"id":"1"}],"errors":"odd"}"#,
            r#"{"data":[{"id":"1"}],"errors":[{"index":7,"message":"whose?"}]}"#,
            r#"{"data":[],"errors":[{"index":0,"message":"a"},{"index":0,"message":"a"}]}"#,
        ] {
            assert_eq!(outcomes(&["a", "b"], body), None, "{body}");
        }
    }
}
