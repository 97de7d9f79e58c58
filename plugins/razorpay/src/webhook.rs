//! What Razorpay tells of its own accord. Every event carries the objects that it is about, as they were
//! then; here they only say what to read. <https://razorpay.com/docs/webhooks/payloads/>

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::CallError;
use onerouter_plugin::json::Object;
use onerouter_plugin::webhook::{self, unreadable};

use crate::bindings::exports::onerouter::webhooks::webhooks::{
    Event, Kind, News, Reading, Request, Subject,
};
use crate::{api, notes};

/// The id that stays the same when an event is sent again. It is not signed.
const EVENT_ID: &str = "x-razorpay-event-id";
/// 9999-12-31T23:59:59.999Z.
const LAST_MS: u64 = 253_402_300_799_999;

pub(crate) fn read(request: &Request) -> Result<Reading, CallError> {
    let envelope = webhook::object(&request.body)?;
    let event_type = webhook::event_type(&envelope, "event")?;
    let payload = Payload(envelope.object("payload"));
    let subjects = match object_of(&event_type) {
        Some(object) => {
            let subjects = payload.subjects(object);
            // Of what Razorpay adds one day no more is expected than it says.
            if subjects.is_empty() && promises(&envelope, object) {
                return Err(unreadable("the event lacks the object that it is about"));
            }
            subjects
        }
        None => Vec::new(),
    };
    let event = Event {
        id: webhook::value(&request.headers, EVENT_ID)
            .filter(|id| webhook::is_id(id))
            .map(str::to_owned),
        event_type,
        occurred_at: api::time(&envelope, "created_at").filter(|ms| *ms <= LAST_MS),
        news: subjects.into_iter().map(News::Changed).collect(),
        extra: Vec::new(),
    };
    Ok(Reading {
        events: alloc::vec![event],
        answer: None,
    })
}

/// The object of the payload that an event is about. `payment.dispute.created` and `payment.downtime.started`
/// are about something else, as are invoices.
fn object_of(event_type: &str) -> Option<&'static str> {
    let (object, happened) = event_type.split_once('.')?;
    if happened.contains('.') {
        return None;
    }
    match object {
        "payment" | "order" => Some("payment"),
        "refund" => Some("refund"),
        "subscription" => Some("subscription"),
        "payment_link" => Some("payment_link"),
        _ => None,
    }
}

/// Whether an event says that it has such an object.
fn promises(envelope: &Object<'_>, object: &str) -> bool {
    let quoted = ["\"", object, "\""].concat();
    let contains = envelope.items("contains").unwrap_or_default();
    contains.contains(&quoted.as_str())
}

struct Payload<'a>(Option<Object<'a>>);

impl<'a> Payload<'a> {
    fn entity(&self, name: &str) -> Option<Object<'a>> {
        self.0.as_ref()?.object(name)?.object("entity")
    }

    fn subjects(&self, object: &str) -> Vec<Subject> {
        match object {
            "refund" => self.refund(),
            "subscription" => self.whole(object, Kind::Subscription, "", "sub_"),
            "payment_link" => self.whole(object, Kind::PaymentLink, "reference_id", "plink_"),
            _ => self.payment(),
        }
    }

    /// An object that the payload has under our own id for it.
    fn whole(&self, object: &str, kind: Kind, field: &str, prefix: &str) -> Vec<Subject> {
        let subject = self.entity(object).and_then(|entity| {
            let object_id = ours(&entity, field, prefix);
            Some(subject(kind, api::id(&entity)?, object_id))
        });
        subject.into_iter().collect()
    }

    /// The order that a payment is for, and the link that it was made by.
    ///
    /// Our id of the order is taken from the order alone: what notes a payment has may come out of the
    /// buyer's browser. Those of a link are handed on to its payments, and nothing else leads from these
    /// to it; that the link is read is all that they can bring about.
    fn payment(&self) -> Vec<Subject> {
        let (payment, order) = (self.entity("payment"), self.entity("order"));
        let payment_id = payment.as_ref().and_then(api::id);
        let order_id = payment
            .as_ref()
            .and_then(|payment| api::id_in(payment, "order_id"))
            .or_else(|| order.as_ref().and_then(api::id));
        let object_id = order
            .as_ref()
            .and_then(|order| ours(order, "receipt", "pay_"));
        let of_order = order_id
            .or_else(|| payment_id.clone())
            .map(|id| subject(Kind::Payment, id, object_id));
        let link = [&payment, &order]
            .into_iter()
            .flatten()
            .find_map(|entity| ours(entity, "", "plink_"));
        let of_link = payment_id
            .filter(|_| link.is_some())
            .map(|id| subject(Kind::PaymentLink, id, link));
        of_order.into_iter().chain(of_link).collect()
    }

    /// A refund, and the payment whose money went back.
    fn refund(&self) -> Vec<Subject> {
        let mut subjects = self.whole("refund", Kind::Refund, "receipt", "re_");
        let of_payment = self.payment();
        if of_payment.is_empty() {
            let refund = self.entity("refund");
            let payment_id = refund.and_then(|refund| api::id_in(&refund, "payment_id"));
            subjects.extend(payment_id.map(|id| subject(Kind::Payment, id, None)));
        }
        subjects.extend(of_payment);
        subjects
    }
}

fn subject(kind: Kind, provider_id: String, object_id: Option<String>) -> Subject {
    Subject {
        kind,
        provider_id,
        object_id,
        attempt_id: None,
    }
}

/// Our id in an object, where it is one of this kind: in its notes, or in the field that it was written to.
fn ours(object: &Object<'_>, field: &str, prefix: &str) -> Option<String> {
    let is_ours = |id: &String| webhook::is_id(id) && id.starts_with(prefix);
    notes::ours(object)
        .filter(is_ours)
        .or_else(|| object.text(field).filter(is_ours))
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    /// A payment of an order.
    const PAYMENT: &str = r#""payment":{"entity":{"id":"pay_IluGWxBm9U8zJ8","entity":"payment","amount":50000,"currency":"INR","status":"captured","order_id":"order_IluGWxBm9U8zJ9","invoice_id":null,"international":false,"method":"upi","amount_refunded":0,"refund_status":null,"captured":true,"description":null,"notes":[],"fee":1180,"tax":180,"error_code":null,"created_at":1700000000}}"#;
    /// The same of a link.
    const OF_LINK: &str = r#""payment":{"entity":{"id":"pay_IluGWxBm9U8zJ8","entity":"payment","order_id":"order_IluGWxBm9U8zK0","captured":"1","notes":{"onerouter_id":"plink_1"}}}"#;
    const ORDER: &str = r#""order":{"entity":{"id":"order_IluGWxBm9U8zJ9","entity":"order","amount":50000,"amount_paid":50000,"amount_due":0,"receipt":"pay_1","status":"paid","attempts":1,"notes":{"onerouter_id":"pay_1","receipt":"r-17"}}}"#;
    const REFUND: &str = r#""refund":{"entity":{"id":"rfnd_IluGWxBm9U8zJa","entity":"refund","amount":1000,"currency":"INR","payment_id":"pay_IluGWxBm9U8zJ8","notes":{"onerouter_id":"re_1","reason":"broken"},"receipt":"re_1","status":"processed","speed_processed":"normal"}}"#;
    const SUBSCRIPTION: &str = r#""subscription":{"entity":{"id":"sub_IluGWxBm9U8zJb","entity":"subscription","plan_id":"plan_1","status":"active","paid_count":1,"notes":{"onerouter_id":"sub_1"}}}"#;
    const LINK: &str = r#""payment_link":{"entity":{"id":"plink_IluGWxBm9U8zJc","amount":2500,"amount_paid":2500,"currency":"INR","status":"paid","reference_id":"plink_1","order_id":"order_IluGWxBm9U8zK0","expire_by":0,"reminders":[],"notes":null}}"#;
    /// As it stands beside a link: the id lacks its prefix.
    const ORDER_OF_LINK: &str = r#""order":{"entity":{"id":"IluGWxBm9U8zK0","receipt":"plink_1","status":"paid","notes":[]}}"#;

    fn request(body: &str) -> Request {
        Request {
            content_type: "application/json".into(),
            query: Vec::new(),
            headers: alloc::vec![("x-razorpay-event-id".into(), "Ji7Rn3hWvmQnCD".into())],
            form: Vec::new(),
            body: body.into(),
            received_at: 1_700_000_001_000,
            extra: Vec::new(),
        }
    }

    fn envelope(event: &str, contains: &str, objects: &[&str]) -> String {
        format!(
            r#"{{"entity":"event","account_id":"acc_1","event":"{event}","contains":[{contains}],"payload":{{{}}},"created_at":1700000000}}"#,
            objects.join(",")
        )
    }

    fn only(body: &str) -> Event {
        let mut reading = read(&request(body)).unwrap();
        assert_eq!(reading.events.len(), 1);
        assert!(reading.answer.is_none());
        reading.events.pop().unwrap()
    }

    /// What has changed: kind, Razorpay's id, ours.
    fn changed(body: &str) -> Vec<(Kind, String, Option<String>)> {
        let news = only(body).news.into_iter().map(|news| match news {
            News::Changed(subject) => (subject.kind, subject.provider_id, subject.object_id),
            other => panic!("{other:?}"),
        });
        news.collect()
    }

    fn subject(kind: Kind, id: &str, ours: Option<&str>) -> (Kind, String, Option<String>) {
        (kind, id.into(), ours.map(Into::into))
    }

    #[test]
    fn an_event_has_the_headers_id_and_the_time_of_the_envelope() {
        let event = only(&envelope("payment.captured", "\"payment\"", &[PAYMENT]));
        assert_eq!(event.id.as_deref(), Some("Ji7Rn3hWvmQnCD"));
        assert_eq!(event.event_type, "payment.captured");
        assert_eq!(event.occurred_at, Some(1_700_000_000_000));
        let body = envelope("payment.captured", "\"payment\"", &[PAYMENT]);
        for odd in ["", "a b", &"a".repeat(256)] {
            let request = Request {
                headers: alloc::vec![("x-razorpay-event-id".into(), odd.to_owned())],
                ..request(&body)
            };
            assert_eq!(read(&request).unwrap().events[0].id, None);
        }
        for odd in [
            "0",
            "null",
            "\"1\"",
            "-1",
            "1e3",
            "18446744073709551615",
            "253402300800",
        ] {
            let body = body.replace(
                "},\"created_at\":1700000000}",
                &format!("}},\"created_at\":{odd}}}"),
            );
            assert_eq!(only(&body).occurred_at, None, "{odd}");
        }
    }

    #[test]
    fn a_payment_leads_to_its_order() {
        for event in ["payment.authorized", "payment.captured", "payment.failed"] {
            assert_eq!(
                changed(&envelope(event, "\"payment\"", &[PAYMENT])),
                [subject(Kind::Payment, "order_IluGWxBm9U8zJ9", None)]
            );
        }
        assert_eq!(
            changed(&envelope(
                "order.paid",
                "\"payment\",\"order\"",
                &[PAYMENT, ORDER]
            )),
            [subject(
                Kind::Payment,
                "order_IluGWxBm9U8zJ9",
                Some("pay_1")
            )]
        );
        assert_eq!(
            changed(&envelope("order.paid", "\"order\"", &[ORDER])),
            [subject(
                Kind::Payment,
                "order_IluGWxBm9U8zJ9",
                Some("pay_1")
            )]
        );
        let alone = PAYMENT.replace("\"order_IluGWxBm9U8zJ9\"", "null");
        assert_eq!(
            changed(&envelope("payment.captured", "\"payment\"", &[&alone])),
            [subject(Kind::Payment, "pay_IluGWxBm9U8zJ8", None)]
        );
    }

    #[test]
    fn a_receipt_of_somebody_elses_is_not_taken_for_our_id() {
        for (receipt, notes, expected) in [
            ("r-17", "[]", None),
            ("pay_2", "[]", Some("pay_2")),
            ("re_1", "null", None),
            ("r-17", r#"{"onerouter_id":"pay_3"}"#, Some("pay_3")),
            ("pay_2", r#"{"onerouter_id":"sub_1"}"#, Some("pay_2")),
            ("pay 2", r#"{"onerouter_id":7}"#, None),
        ] {
            let order = format!(
                r#""order":{{"entity":{{"id":"order_1","receipt":"{receipt}","notes":{notes}}}}}"#
            );
            assert_eq!(
                changed(&envelope("order.paid", "\"order\"", &[&order])),
                [subject(Kind::Payment, "order_1", expected)]
            );
        }
    }

    #[test]
    fn what_a_buyer_may_have_noted_names_no_payment() {
        let noted = PAYMENT.replace("\"notes\":[]", r#""notes":{"onerouter_id":"pay_2"}"#);
        assert_eq!(
            changed(&envelope("payment.captured", "\"payment\"", &[&noted])),
            [subject(Kind::Payment, "order_IluGWxBm9U8zJ9", None)]
        );
    }

    #[test]
    fn a_payment_of_a_link_leads_to_the_link() {
        assert_eq!(
            changed(&envelope("payment.captured", "\"payment\"", &[OF_LINK])),
            [
                subject(Kind::Payment, "order_IluGWxBm9U8zK0", None),
                subject(Kind::PaymentLink, "pay_IluGWxBm9U8zJ8", Some("plink_1")),
            ]
        );
    }

    #[test]
    fn a_link_leads_to_itself() {
        let all = "\"payment_link\",\"order\",\"payment\"";
        for (event, contains, objects) in [
            (
                "payment_link.paid",
                all,
                &[LINK, ORDER_OF_LINK, OF_LINK][..],
            ),
            (
                "payment_link.partially_paid",
                all,
                &[LINK, ORDER_OF_LINK, OF_LINK],
            ),
            ("payment_link.cancelled", "\"payment_link\"", &[LINK]),
            ("payment_link.expired", "\"payment_link\"", &[LINK]),
        ] {
            assert_eq!(
                changed(&envelope(event, contains, objects)),
                [subject(
                    Kind::PaymentLink,
                    "plink_IluGWxBm9U8zJc",
                    Some("plink_1")
                )]
            );
        }
    }

    #[test]
    fn a_refund_leads_to_itself_and_to_its_payment() {
        let refund = || subject(Kind::Refund, "rfnd_IluGWxBm9U8zJa", Some("re_1"));
        for event in [
            "refund.created",
            "refund.processed",
            "refund.failed",
            "refund.speed_changed",
        ] {
            assert_eq!(
                changed(&envelope(
                    event,
                    "\"refund\",\"payment\"",
                    &[REFUND, PAYMENT]
                )),
                [
                    refund(),
                    subject(Kind::Payment, "order_IluGWxBm9U8zJ9", None)
                ]
            );
        }
        assert_eq!(
            changed(&envelope("refund.created", "\"refund\"", &[REFUND])),
            [refund(), subject(Kind::Payment, "pay_IluGWxBm9U8zJ8", None)]
        );
    }

    #[test]
    fn a_subscription_leads_to_itself() {
        for event in [
            "authenticated",
            "activated",
            "updated",
            "pending",
            "halted",
            "cancelled",
            "paused",
            "resumed",
            "charged",
            "completed",
        ] {
            let event = format!("subscription.{event}");
            assert_eq!(
                changed(&envelope(
                    &event,
                    "\"subscription\",\"payment\"",
                    &[SUBSCRIPTION, PAYMENT]
                )),
                [subject(
                    Kind::Subscription,
                    "sub_IluGWxBm9U8zJb",
                    Some("sub_1")
                )]
            );
        }
    }

    #[test]
    fn the_rest_is_no_news() {
        let dispute = r#""dispute":{"entity":{"id":"disp_1","payment_id":"pay_1"}}"#;
        for event in [
            "payment.dispute.created",
            "payment.dispute.won",
            "payment.dispute.lost",
            "payment.dispute.closed",
            "payment.dispute.under_review",
            "payment.dispute.action_required",
            "payment.downtime.started",
            "invoice.paid",
            "invoice.partially_paid",
            "invoice.expired",
            "order.notification.delivered",
            "teleport.done",
            "teleported",
            ".",
            "payment.",
        ] {
            let body = envelope(event, "\"dispute\"", &[dispute]);
            let event = only(&body);
            assert!(event.news.is_empty(), "{}", event.event_type);
        }
    }

    #[test]
    fn an_event_without_what_it_promises_is_an_error_and_an_unknown_one_is_not() {
        for (event, object) in [
            ("payment.captured", "payment"),
            ("refund.processed", "refund"),
            ("subscription.charged", "subscription"),
            ("payment_link.paid", "payment_link"),
        ] {
            let promised = envelope(event, &format!("\"{object}\""), &[]);
            assert!(read(&request(&promised)).is_err(), "{event}");
            for value in [
                "null",
                "7",
                "[]",
                r#"{"entity":[]}"#,
                r#"{"entity":{"id":7}}"#,
            ] {
                let odd = format!("\"{object}\":{value}");
                let promised = envelope(event, &format!("\"{object}\""), &[&odd]);
                assert!(read(&request(&promised)).is_err(), "{event} {value}");
            }
            assert!(only(&envelope(event, "", &[])).news.is_empty());
            assert!(
                only(&format!(
                    r#"{{"event":"{event}","payload":7,"contains":7}}"#
                ))
                .news
                .is_empty()
            );
        }
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        for body in [
            "",
            "[]",
            "{}",
            "null",
            r#"{"event":""}"#,
            r#"{"event":7}"#,
            r#"{"event":null,"payload":{}}"#,
            r#"{"event":"a b"}"#,
            &format!(r#"{{"event":"{}"}}"#, "a".repeat(101)),
            &"{\"payload\":".repeat(100_000),
        ] {
            assert!(matches!(read(&request(body)), Err(CallError::Other(_))));
        }
        let odd = Request {
            body: b"{\"event\":\"payment.captured\xff\"}".to_vec(),
            ..request("")
        };
        assert!(read(&odd).is_err());
    }

    proptest! {
        #[test]
        fn damaged_bodies_keep_the_promises(
            at in any::<prop::sample::Index>(),
            put in "[{}\\[\\]\",:\\\\0-9eE.+-ntu \u{1}\u{e9}]{0,3}",
            drop in 0_usize..12,
        ) {
            let mut body = envelope(
                "refund.processed",
                "\"refund\",\"payment\"",
                &[REFUND, OF_LINK, ORDER],
            );
            let at = at.index(body.len());
            body.replace_range(at..(at + drop).min(body.len()), &put);
            if let Ok(reading) = read(&request(&body)) {
                for event in reading.events {
                    prop_assert!(event.news.len() <= 16);
                    prop_assert!((1..=100).contains(&event.event_type.len()));
                    for news in event.news {
                        let News::Changed(subject) = news else { panic!() };
                        prop_assert!(webhook::is_id(&subject.provider_id));
                        prop_assert!(subject.object_id.is_none_or(|id| webhook::is_id(&id)));
                    }
                }
            }
        }
    }
}
