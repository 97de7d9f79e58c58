//! Events that have not happened: what a tenant tries its endpoints with. Each shows an object as a real
//! one of its kind is shown, of the provider `sample`.

use chrono::{DateTime, Utc};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::{ConnectionId, EventId};
use onerouter_domain::metadata::Metadata;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::ids;
use crate::service::email::Email;
use crate::service::kind::Kind;
use crate::service::object::Object;
use crate::service::payment::Payment;
use crate::service::payment_link::PaymentLink;
use crate::service::plan::Plan;
use crate::service::refund::Refund;
use crate::service::sms::Sms;
use crate::service::subscription::Subscription;
use crate::store::NewEvent;

/// Who has served what was never served.
const PROVIDER: &str = "sample";

/// A sample of an event of this type about an object; none for a type that is about none.
#[must_use]
pub fn event(event_type: &str, environment: Environment, now: DateTime<Utc>) -> Option<NewEvent> {
    let (family, verb) = event_type.split_once('.')?;
    let id = ids::next();
    let money = json!({"minor_units": 50_000, "currency": "INR"});
    let customer = json!({
        "name": "Ada Lovelace", "email": "ada@example.com", "phone": "+919876543210",
    });
    let place = Place {
        id,
        environment,
        now,
    };
    let data = match family {
        "payment" => place.shown::<Payment>(
            verb,
            json!({
                "amount": money, "capture": "automatic", "receipt": "order-17",
                "description": "A sample", "customer": customer, "hints": {},
            }),
        ),
        "refund" => place.shown::<Refund>(
            verb,
            json!({
                "payment_id": onerouter_domain::id::PaymentId::from_uuid(ids::next()),
                "connection_id": ConnectionId::from_uuid(Uuid::nil()), "payment_amount": money,
                "payment_provider_ref": "sample", "payment_state": [], "amount": money,
                "is_rest": true, "reason": "A sample", "speed": "normal",
            }),
        ),
        "plan" => place.shown::<Plan>(
            verb,
            json!({
                "name": "A sample", "amount": money, "interval": "month", "interval_count": 1,
            }),
        ),
        "subscription" => place.shown::<Subscription>(
            verb,
            json!({
                "plan": {
                    "id": onerouter_domain::id::PlanId::from_uuid(ids::next()),
                    "provider_ref": "sample",
                },
                "customer": customer, "quantity": 1,
            }),
        ),
        "payment_link" => place.shown::<PaymentLink>(
            verb,
            json!({"amount": money, "description": "A sample", "customer": customer}),
        ),
        "sms" => place.shown::<Sms>(
            verb,
            json!({"to": "+919876543210", "body": "A sample", "media_urls": []}),
        ),
        "email" => {
            // What a recipient does is no status.
            let status = match verb {
                "opened" | "clicked" => "delivered",
                status => status,
            };
            place.shown::<Email>(
                status,
                json!({
                    "to": ["ada@example.com"], "cc": [], "bcc": [], "reply_to": [],
                    "subject": "A sample", "attachments": [], "headers": {}, "tags": {},
                }),
            )
        }
        "provider_event" => Some(
            json!({
                "object": family, "provider": PROVIDER,
                "connection_id": ConnectionId::from_uuid(Uuid::nil()),
                "provider_event_id": "sample", "provider_event_type": "sample.happened",
                "about": null, "provider_id": null, "payload": {"sample": true},
            })
            .to_string(),
        ),
        _ => None,
    }?;
    Some(NewEvent {
        id: EventId::from_uuid(ids::next()),
        environment,
        event_type: event_type.to_owned(),
        object_id: id,
        object_version: 1,
        data,
        created_at: now,
    })
}

/// What a sample's object is.
struct Place {
    id: Uuid,
    environment: Environment,
    now: DateTime<Utc>,
}

impl Place {
    fn shown<K: Kind>(&self, status: &str, request: Value) -> Option<String> {
        let object = Object::<K> {
            id: K::id(self.id),
            environment: self.environment,
            provider: PROVIDER.to_owned(),
            connection_id: ConnectionId::from_uuid(Uuid::nil()),
            status: status.parse().ok()?,
            provider_ref: Some("sample".to_owned()),
            request: serde_json::from_value(request).ok()?,
            facts: K::first_facts(),
            metadata: Metadata::default(),
            version: 1,
            claimed_until: None,
            refreshed_at: None,
            created_at: self.now,
            updated_at: self.now,
        };
        String::from_utf8(K::present(&object, None)).ok()
    }
}

#[cfg(test)]
mod tests {
    use onerouter_domain::event::types;

    use super::*;

    #[test]
    fn there_is_a_sample_of_every_type_about_an_object() {
        let now = Utc::now();
        for event_type in types() {
            let sample = event(&event_type, Environment::Test, now);
            let (family, verb) = event_type.split_once('.').unwrap();
            let Some(sample) = sample else {
                assert_eq!(family, "endpoint", "{event_type}");
                continue;
            };
            let data: Value = serde_json::from_str(&sample.data).unwrap();
            assert_eq!(data["object"], family, "{event_type}");
            assert_eq!(data["provider"], PROVIDER, "{event_type}");
            // What a recipient does, or a provider tells, is no status.
            if family != "provider_event" && !["opened", "clicked"].contains(&verb) {
                assert_eq!(data["status"], verb, "{event_type}");
            }
        }
    }
}
