//! A gateway, a tenant, and somebody who hears of its events.

use onerouter::store::{DEFAULT_TENANT, NewEvent};
use onerouter_domain::environment::Environment;
use onerouter_domain::id::EventId;
use onerouter_tests::harness::{Client, Harness, Setup};
use onerouter_tests::receiver::Receiver;
use onerouter_tests::write_path::Ground;
use serde_json::{Value, json};
use uuid::Uuid;

pub struct Rig {
    pub host: Harness,
    pub acme: Client,
    pub receiver: Receiver,
}

/// An endpoint, and what its deliveries are verified with.
pub struct Endpoint {
    pub id: String,
    pub secret: String,
    client: Client,
}

impl Rig {
    pub async fn new(ground: &Ground) -> Self {
        Self::with(ground, Setup::default()).await
    }

    pub async fn with(ground: &Ground, setup: Setup) -> Self {
        let host = ground
            .host_with(Setup {
                unconnected: true,
                ..setup
            })
            .await;
        let acme = host.key("test").await;
        Self {
            host,
            acme,
            receiver: Receiver::start().await,
        }
    }

    /// An endpoint at a path of the receiver's.
    pub async fn endpoint(&self, path: &str, more: Value) -> Endpoint {
        endpoint(&self.acme, &self.receiver.url(path), more).await
    }

    /// Something happens to an object.
    pub async fn happens(&self, object: u128, version: u64) -> EventId {
        self.happens_of("sms.sent", object, version).await
    }

    pub async fn happens_of(&self, event_type: &str, object: u128, version: u64) -> EventId {
        self.happens_in(Environment::Test, event_type, object, version)
            .await
    }

    pub async fn happens_in(
        &self,
        environment: Environment,
        event_type: &str,
        object: u128,
        version: u64,
    ) -> EventId {
        let id = EventId::from_uuid(Uuid::now_v7());
        let store = &self.host.gateway.parts().store;
        let mut tx = store.begin(DEFAULT_TENANT).await.unwrap();
        tx.insert_event(&NewEvent {
            id,
            environment,
            event_type: event_type.to_owned(),
            object_id: Uuid::from_u128(object),
            object_version: version,
            data: json!({"object": object.to_string(), "version": version}).to_string(),
            created_at: self.host.clock.now(),
        })
        .await
        .unwrap();
        tx.commit().await.unwrap();
        id
    }
}

/// An endpoint of whoever calls.
pub async fn endpoint(client: &Client, url: &str, more: Value) -> Endpoint {
    let mut body = json!({ "url": url });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let made = client.post("/v1/webhook-endpoints", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let verifier = if made.json["secret"].is_string() {
        "secret"
    } else {
        "public_key"
    };
    Endpoint {
        id: made.text("id").to_owned(),
        secret: made.text(verifier).to_owned(),
        client: client.clone(),
    }
}

impl Endpoint {
    /// As its tenant sees it.
    pub async fn shown(&self) -> Value {
        let path = format!("/v1/webhook-endpoints/{}", self.id);
        self.client.get(&path).await.json
    }

    /// Its deliveries, oldest first.
    pub async fn deliveries(&self) -> Vec<Value> {
        let path = format!("/v1/webhook-endpoints/{}/deliveries?limit=100", self.id);
        let list = self.client.get(&path).await;
        assert_eq!(list.status, 200, "{list:?}");
        let mut deliveries = list.json["data"].as_array().unwrap().clone();
        deliveries.reverse();
        deliveries
    }

    /// States of its deliveries, oldest first.
    pub async fn states(&self) -> Vec<String> {
        let deliveries = self.deliveries().await;
        let states = deliveries.iter().map(|one| one["status"].as_str().unwrap());
        states.map(str::to_owned).collect()
    }

    /// The only delivery with its attempts.
    pub async fn only(&self) -> Value {
        let deliveries = self.deliveries().await;
        let [one] = deliveries.as_slice() else {
            panic!("not one: {deliveries:?}");
        };
        let id = one["id"].as_str().unwrap();
        let path = format!("/v1/webhook-endpoints/{}/deliveries/{id}", self.id);
        self.client.get(&path).await.json
    }
}
