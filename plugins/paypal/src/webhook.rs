//! What PayPal tells of its own accord. An event carries the resource that it is about, as it was then;
//! here it only says what to read. <https://developer.paypal.com/api/rest/webhooks/event-names/>

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use onerouter_plugin::common::CallError;
use onerouter_plugin::json::Object;
use onerouter_plugin::time;
use onerouter_plugin::webhook::{self, unreadable};

use crate::bindings::exports::onerouter::webhooks::webhooks::{
    Event, Kind, News, Reading, Request, Subject,
};
use crate::movement;

/// Of the links of a resource no more are looked at. A refund has two, a capture three.
const LINKS_MAX: usize = 16;

/// What an event's resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource {
    Order,
    /// A capture or an authorization.
    Movement,
    Refund,
    /// A refund; a capture in some descriptions.
    Reversal,
    Subscription,
    /// A charge of a subscription, or of something older than these interfaces.
    Sale,
}

/// What the names of events begin with. The first that fits counts.
const RESOURCES: [(&str, Resource); 9] = [
    ("CHECKOUT.ORDER.", Resource::Order),
    ("CHECKOUT.PAYMENT-APPROVAL.", Resource::Order),
    ("PAYMENT.CAPTURE.REFUNDED", Resource::Refund),
    ("PAYMENT.CAPTURE.REVERSED", Resource::Reversal),
    ("PAYMENT.CAPTURE.", Resource::Movement),
    ("PAYMENT.AUTHORIZATION.", Resource::Movement),
    ("PAYMENT.REFUND.", Resource::Refund),
    ("BILLING.SUBSCRIPTION.", Resource::Subscription),
    ("PAYMENT.SALE.", Resource::Sale),
];

pub(crate) fn read(request: &Request) -> Result<Reading, CallError> {
    let envelope = webhook::object(&request.body)?;
    let event_type = webhook::event_type(&envelope, "event_type")?;
    let known = RESOURCES
        .iter()
        .find(|(name, _)| event_type.starts_with(name));
    let subjects = match known {
        Some((_, known)) => {
            let resource = envelope.object("resource");
            let subjects = resource.map(|resource| known.subjects(&resource));
            let subjects = subjects.unwrap_or_default();
            // Of what PayPal adds one day no more is expected than it says.
            let promised = envelope.text("resource_type").is_some() && *known != Resource::Sale;
            if subjects.is_empty() && promised {
                return Err(unreadable("the event lacks the resource that it is about"));
            }
            subjects
        }
        None => Vec::new(),
    };
    let event = Event {
        id: movement::id(&envelope),
        event_type,
        occurred_at: envelope
            .text("create_time")
            .and_then(|text| time::parse_rfc3339(&text)),
        news: subjects.into_iter().map(News::Changed).collect(),
        extra: Vec::new(),
    };
    Ok(Reading {
        events: alloc::vec![event],
        answer: None,
    })
}

impl Resource {
    fn subjects(self, resource: &Object<'_>) -> Vec<Subject> {
        match self {
            Self::Order => order(resource),
            Self::Movement => moved(resource),
            Self::Refund => refund(resource),
            Self::Reversal if above(resource, "captures").is_none() => moved(resource),
            Self::Reversal => refund(resource),
            Self::Subscription => {
                let id = movement::id(resource);
                let subject = id.map(|id| subject(Kind::Subscription, id, ours(resource, "sub_")));
                subject.into_iter().collect()
            }
            Self::Sale => {
                let id = id_in(resource, "billing_agreement_id");
                let subject = id.map(|id| subject(Kind::Subscription, id, None));
                subject.into_iter().collect()
            }
        }
    }
}

/// An order says our id in its units, of which this adapter makes one.
fn order(resource: &Object<'_>) -> Vec<Subject> {
    // Where an approval was taken back, the resource is no order and names one.
    let id = id_in(resource, "order_id").or_else(|| movement::id(resource));
    let units = resource.items("purchase_units").unwrap_or_default();
    let unit = units.first().and_then(|unit| Object::parse(unit));
    id.map(|id| of_order(id, unit.as_ref())).unwrap_or_default()
}

fn moved(resource: &Object<'_>) -> Vec<Subject> {
    let id = order_of(resource)
        .or_else(|| above(resource, "orders"))
        .or_else(|| movement::id(resource));
    id.map(|id| of_order(id, Some(resource)))
        .unwrap_or_default()
}

/// A refund, and the payment whose money went back.
fn refund(resource: &Object<'_>) -> Vec<Subject> {
    let of_refund =
        movement::id(resource).map(|id| subject(Kind::Refund, id, ours(resource, "re_")));
    let of_payment = order_of(resource)
        .or_else(|| above(resource, "captures"))
        .map(|id| subject(Kind::Payment, id, None));
    of_refund.into_iter().chain(of_payment).collect()
}

/// An order is a payment or a payment link. Which of them, our id tells; without it, it may be either.
fn of_order(provider_id: String, named: Option<&Object<'_>>) -> Vec<Subject> {
    let ours = |prefix| named.and_then(|named| ours(named, prefix));
    let payment = ours("pay_");
    let link = ours("plink_");
    match (payment, link) {
        (Some(payment), _) => {
            alloc::vec![subject(Kind::Payment, provider_id, Some(payment))]
        }
        (None, Some(link)) => {
            alloc::vec![subject(Kind::PaymentLink, provider_id, Some(link))]
        }
        (None, None) => alloc::vec![
            subject(Kind::Payment, provider_id.clone(), None),
            subject(Kind::PaymentLink, provider_id, None),
        ],
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

/// Our id, where one of this kind was written to the object.
fn ours(object: &Object<'_>, prefix: &str) -> Option<String> {
    let mut fields = ["custom_id", "invoice_id"].iter();
    fields.find_map(|field| id_in(object, field).filter(|id| id.starts_with(prefix)))
}

fn order_of(resource: &Object<'_>) -> Option<String> {
    let related = resource
        .object("supplementary_data")?
        .object("related_ids")?;
    id_in(&related, "order_id")
}

/// The id of what a resource belongs to, by its link, where that is in this collection.
fn above(resource: &Object<'_>, collection: &str) -> Option<String> {
    let links = resource.items("links")?;
    links.into_iter().take(LINKS_MAX).find_map(|link| {
        let link = Object::parse(link)?;
        let href = link.text("href")?;
        let (path, id) = href.rsplit_once('/')?;
        let (_, last) = path.rsplit_once('/')?;
        let fits = link.text("rel").as_deref() == Some("up") && last == collection;
        (fits && movement::is_id(id)).then(|| id.to_owned())
    })
}

fn id_in(object: &Object<'_>, field: &str) -> Option<String> {
    object.text(field).filter(|id| movement::is_id(id))
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    const ORDER: &str = r#"{"id":"5O190127TN364715T","intent":"CAPTURE","status":"APPROVED","purchase_units":[{"reference_id":"default","amount":{"currency_code":"USD","value":"25.00"},"custom_id":"pay_1","invoice_id":"pay_1"}],"links":[]}"#;
    const CAPTURE: &str = r#"{"id":"3C679366HH908993F","status":"COMPLETED","amount":{"currency_code":"USD","value":"25.00"},"custom_id":"pay_1","invoice_id":"pay_1","final_capture":true,"supplementary_data":{"related_ids":{"order_id":"5O190127TN364715T"}},"links":[{"href":"https://api.paypal.com/v2/payments/captures/3C679366HH908993F","rel":"self","method":"GET"},{"href":"https://api.paypal.com/v2/checkout/orders/5O190127TN364715T","rel":"up","method":"GET"}]}"#;
    const REFUND: &str = r#"{"id":"1JU08902781691411","status":"COMPLETED","amount":{"currency_code":"USD","value":"10.00"},"custom_id":"re_1","invoice_id":"re_1","links":[{"href":"https://api.paypal.com/v2/payments/refunds/1JU08902781691411","rel":"self","method":"GET"},{"href":"https://api.paypal.com/v2/payments/captures/3C679366HH908993F","rel":"up","method":"GET"}]}"#;
    const SUBSCRIPTION: &str = r#"{"id":"I-BW452GLLEP1G","plan_id":"P-5ML4271244454362W","status":"ACTIVE","custom_id":"sub_1","links":[]}"#;
    const SALE: &str = r#"{"id":"80021663DE681814L","state":"completed","amount":{"total":"20.00","currency":"USD"},"billing_agreement_id":"I-BW452GLLEP1G"}"#;

    fn request(body: &str) -> Request {
        Request {
            content_type: "application/json".into(),
            query: Vec::new(),
            headers: Vec::new(),
            form: Vec::new(),
            body: body.into(),
            received_at: 1_700_000_000_000,
            extra: Vec::new(),
        }
    }

    fn envelope(event: &str, resource: &str) -> String {
        format!(
            r#"{{"id":"WH-58D329510W468432D-8HN650336L201105X","event_version":"1.0","create_time":"2023-08-24T05:01:45.120Z","resource_type":"any","resource_version":"2.0","event_type":"{event}","summary":"…","resource":{resource},"links":[]}}"#
        )
    }

    fn only(body: &str) -> Event {
        let mut reading = read(&request(body)).unwrap();
        assert_eq!(reading.events.len(), 1);
        assert!(reading.answer.is_none());
        reading.events.pop().unwrap()
    }

    /// What has changed: kind, PayPal's id, ours.
    fn changed(event: &str, resource: &str) -> Vec<(Kind, String, Option<String>)> {
        let news = only(&envelope(event, resource)).news.into_iter();
        news.map(|news| match news {
            News::Changed(subject) => (subject.kind, subject.provider_id, subject.object_id),
            other => panic!("{other:?}"),
        })
        .collect()
    }

    fn subject(kind: Kind, id: &str, ours: Option<&str>) -> (Kind, String, Option<String>) {
        (kind, id.into(), ours.map(Into::into))
    }

    fn payment() -> (Kind, String, Option<String>) {
        subject(Kind::Payment, "5O190127TN364715T", Some("pay_1"))
    }

    #[test]
    fn an_event_has_the_id_and_the_time_of_its_envelope() {
        let event = only(&envelope("PAYMENT.CAPTURE.COMPLETED", CAPTURE));
        assert_eq!(
            event.id.as_deref(),
            Some("WH-58D329510W468432D-8HN650336L201105X")
        );
        assert_eq!(event.event_type, "PAYMENT.CAPTURE.COMPLETED");
        assert_eq!(event.occurred_at, Some(1_692_853_305_120));
        let bare = only(r#"{"id":7,"create_time":7,"event_type":"PAYMENT.CAPTURE.COMPLETED"}"#);
        assert!(bare.id.is_none() && bare.occurred_at.is_none() && bare.news.is_empty());
    }

    #[test]
    fn an_order_is_a_payment_or_a_link_by_our_id_and_else_may_be_either() {
        for event in [
            "CHECKOUT.ORDER.APPROVED",
            "CHECKOUT.ORDER.COMPLETED",
            "CHECKOUT.ORDER.VOIDED",
        ] {
            assert_eq!(changed(event, ORDER), [payment()]);
        }
        let link = ORDER.replace("pay_1", "plink_1");
        assert_eq!(
            changed("CHECKOUT.ORDER.APPROVED", &link),
            [subject(
                Kind::PaymentLink,
                "5O190127TN364715T",
                Some("plink_1")
            )]
        );
        for other in ["r-17", "sub_1", ""] {
            assert_eq!(
                changed("CHECKOUT.ORDER.APPROVED", &ORDER.replace("pay_1", other)),
                [
                    subject(Kind::Payment, "5O190127TN364715T", None),
                    subject(Kind::PaymentLink, "5O190127TN364715T", None),
                ]
            );
        }
        let by_invoice = ORDER.replace("\"custom_id\":\"pay_1\"", "\"custom_id\":\"r-17\"");
        assert_eq!(changed("CHECKOUT.ORDER.APPROVED", &by_invoice), [payment()]);
        for units in ["null", "7", "[]", "[7]", "{}"] {
            let bare = format!(r#"{{"id":"5O190127TN364715T","purchase_units":{units}}}"#);
            assert_eq!(
                changed("CHECKOUT.ORDER.COMPLETED", &bare).len(),
                2,
                "{units}"
            );
        }
    }

    #[test]
    fn an_approval_that_is_taken_back_names_its_order() {
        let reversed = r#"{"order_id":"5O190127TN364715T","purchase_units":[{"custom_id":"pay_1"}],"payment_source":{}}"#;
        assert_eq!(
            changed("CHECKOUT.PAYMENT-APPROVAL.REVERSED", reversed),
            [payment()]
        );
    }

    #[test]
    fn what_is_taken_or_reserved_leads_to_its_order() {
        for event in [
            "PAYMENT.CAPTURE.COMPLETED",
            "PAYMENT.CAPTURE.PENDING",
            "PAYMENT.CAPTURE.DENIED",
            "PAYMENT.CAPTURE.DECLINED",
            "PAYMENT.AUTHORIZATION.CREATED",
            "PAYMENT.AUTHORIZATION.VOIDED",
        ] {
            assert_eq!(changed(event, CAPTURE), [payment()]);
        }
        // By its link, else by its own id.
        let related = r#""supplementary_data":{"related_ids":{"order_id":"5O190127TN364715T"}}"#;
        let linked = CAPTURE.replace(related, r#""supplementary_data":null"#);
        assert_eq!(changed("PAYMENT.CAPTURE.COMPLETED", &linked), [payment()]);
        let alone = r#"{"id":"3C679366HH908993F","custom_id":"pay_1","links":[{"href":"https://api.paypal.com/v2/payments/authorizations/0AW2184448108334S","rel":"up"}]}"#;
        assert_eq!(
            changed("PAYMENT.CAPTURE.COMPLETED", alone),
            [subject(Kind::Payment, "3C679366HH908993F", Some("pay_1"))]
        );
    }

    #[test]
    fn a_refund_leads_to_itself_and_to_its_payment() {
        let refund = || subject(Kind::Refund, "1JU08902781691411", Some("re_1"));
        for event in [
            "PAYMENT.CAPTURE.REFUNDED",
            "PAYMENT.CAPTURE.REVERSED",
            "PAYMENT.REFUND.PENDING",
            "PAYMENT.REFUND.FAILED",
        ] {
            assert_eq!(
                changed(event, REFUND),
                [refund(), subject(Kind::Payment, "3C679366HH908993F", None)]
            );
        }
        let related = REFUND.replace(
            "\"links\"",
            r#""supplementary_data":{"related_ids":{"order_id":"5O190127TN364715T"}},"links""#,
        );
        assert_eq!(
            changed("PAYMENT.CAPTURE.REFUNDED", &related)[1],
            subject(Kind::Payment, "5O190127TN364715T", None)
        );
        for odd in [
            "null",
            "[7]",
            r#"[{"rel":"up"}]"#,
            r#"[{"rel":"up","href":"captures/"}]"#,
        ] {
            let bare = format!(r#"{{"id":"1JU08902781691411","custom_id":"re_1","links":{odd}}}"#);
            assert_eq!(changed("PAYMENT.CAPTURE.REFUNDED", &bare), [refund()]);
        }
        // Of a refund that was made elsewhere.
        let elsewhere = REFUND.replace("re_1", "r-17");
        assert_eq!(
            changed("PAYMENT.CAPTURE.REFUNDED", &elsewhere)[0],
            subject(Kind::Refund, "1JU08902781691411", None)
        );
    }

    #[test]
    fn a_reversed_capture_may_be_shown_as_itself() {
        assert_eq!(changed("PAYMENT.CAPTURE.REVERSED", CAPTURE), [payment()]);
    }

    #[test]
    fn a_subscription_leads_to_itself_and_so_does_its_charge() {
        for event in [
            "CREATED",
            "ACTIVATED",
            "UPDATED",
            "EXPIRED",
            "CANCELLED",
            "SUSPENDED",
            "PAYMENT.FAILED",
        ] {
            assert_eq!(
                changed(&format!("BILLING.SUBSCRIPTION.{event}"), SUBSCRIPTION),
                [subject(Kind::Subscription, "I-BW452GLLEP1G", Some("sub_1"))]
            );
        }
        for event in ["COMPLETED", "REFUNDED", "REVERSED"] {
            let event = format!("PAYMENT.SALE.{event}");
            assert_eq!(
                changed(&event, SALE),
                [subject(Kind::Subscription, "I-BW452GLLEP1G", None)]
            );
            assert!(changed(&event, r#"{"id":"80021663DE681814L"}"#).is_empty());
        }
    }

    #[test]
    fn the_rest_is_no_news() {
        for event in [
            "BILLING.PLAN.CREATED",
            "CATALOG.PRODUCT.CREATED",
            "CUSTOMER.DISPUTE.CREATED",
            "PAYMENT.ORDER.CREATED",
            "PAYMENT.PAYOUTSBATCH.SUCCESS",
            "CHECKOUT.ORDER",
            "TELEPORT.DONE",
            ".",
        ] {
            let event = only(&envelope(event, CAPTURE));
            assert!(event.news.is_empty(), "{}", event.event_type);
        }
    }

    #[test]
    fn an_event_without_its_resource_is_an_error_and_an_unknown_one_is_not() {
        for event in [
            "CHECKOUT.ORDER.APPROVED",
            "PAYMENT.CAPTURE.COMPLETED",
            "PAYMENT.CAPTURE.REFUNDED",
            "PAYMENT.CAPTURE.REVERSED",
            "PAYMENT.REFUND.FAILED",
            "BILLING.SUBSCRIPTION.ACTIVATED",
        ] {
            for resource in ["null", "7", "[]", "{}", r#"{"id":7}"#, r#"{"id":""}"#] {
                let body = envelope(event, resource);
                assert!(read(&request(&body)).is_err(), "{event} {resource}");
                let unsaid = body.replace("\"resource_type\":\"any\",", "");
                assert!(only(&unsaid).news.is_empty(), "{event} {resource}");
            }
        }
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        for body in [
            "",
            "[]",
            "{}",
            "null",
            r#"{"event_type":""}"#,
            r#"{"event_type":7}"#,
            r#"{"event_type":"a b","resource":{}}"#,
            &format!(r#"{{"event_type":"{}"}}"#, "A".repeat(101)),
            &"{\"resource\":".repeat(100_000),
        ] {
            assert!(matches!(read(&request(body)), Err(CallError::Other(_))));
        }
        let odd = Request {
            body: b"{\"event_type\":\"A\xff\"}".to_vec(),
            ..request("")
        };
        assert!(read(&odd).is_err());
    }

    proptest! {
        #[test]
        fn damaged_bodies_keep_the_promises(
            event in prop::sample::select(&RESOURCES[..]),
            resource in prop::sample::select(&[ORDER, CAPTURE, REFUND, SUBSCRIPTION, SALE][..]),
            at in any::<prop::sample::Index>(),
            put in "[{}\\[\\]\",:\\\\0-9eE.+-ntu/ \u{1}\u{e9}]{0,3}",
            drop in 0_usize..12,
        ) {
            let mut resource = resource.to_owned();
            let at = at.index(resource.len());
            resource.replace_range(at..(at + drop).min(resource.len()), &put);
            if let Ok(reading) = read(&request(&envelope(event.0, &resource))) {
                for event in reading.events {
                    prop_assert!(event.news.len() <= 16);
                    for news in event.news {
                        let News::Changed(subject) = news else { panic!() };
                        prop_assert!(movement::is_id(&subject.provider_id));
                        prop_assert!(subject.object_id.is_none_or(|id| movement::is_id(&id)));
                    }
                }
            }
        }
    }
}
