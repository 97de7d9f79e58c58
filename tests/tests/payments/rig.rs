//! What the tests of payments begin with.

use chrono::TimeDelta;
use onerouter_tests::harness::{Client, Harness, Reply};
use onerouter_tests::write_path::{Ground, advance};
use reqwest::Method;
use serde_json::{Value, json};

/// Makes a test on each database with each provider of functions that take a `Shop`.
macro_rules! with_each_provider {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use onerouter_tests::write_path::Ground;
            use crate::rig::{PAYPAL, RAZORPAY, Shop};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn paypal_on_sqlite() {
                super::$name(Shop::on(Ground::sqlite().await, PAYPAL).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn paypal_on_postgres() {
                let Some(ground) = Ground::postgres().await else { return };
                super::$name(Shop::on(ground, PAYPAL).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn razorpay_on_sqlite() {
                super::$name(Shop::on(Ground::sqlite().await, RAZORPAY).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn razorpay_on_postgres() {
                let Some(ground) = Ground::postgres().await else { return };
                super::$name(Shop::on(ground, RAZORPAY).await).await;
            }
        }
    )+};
}
pub(crate) use with_each_provider;

/// What differs between the providers, for a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provider {
    pub name: &'static str,
    pub currency: &'static str,
    /// The ledger's kind of a payment's beginning.
    pub order: &'static str,
    /// The ledger's kind of money that was taken.
    pub capture: &'static str,
    /// The ledger's kind of a payment link's beginning.
    pub link: &'static str,
}

pub const PAYPAL: Provider = Provider {
    name: "paypal",
    currency: "USD",
    order: "order",
    capture: "capture",
    link: "order",
};

pub const RAZORPAY: Provider = Provider {
    name: "razorpay",
    currency: "INR",
    order: "order",
    capture: "capture",
    link: "payment_link",
};

/// A gateway with the providers of payments, and a caller.
#[derive(Debug)]
pub struct Shop {
    pub host: Harness,
    pub caller: Client,
    pub provider: Provider,
    pub ground: Ground,
}

impl Shop {
    pub async fn on(ground: Ground, provider: Provider) -> Self {
        let host = ground.host().await;
        let caller = host.key("test").await;
        Self {
            host,
            caller,
            provider,
            ground,
        }
    }

    /// The body of a payment over 50.00.
    pub fn payment(&self) -> Value {
        json!({"amount": 50.00, "currency": self.provider.currency, "provider": self.provider.name})
    }

    /// Creates, which must succeed.
    pub async fn create(&self, path: &str, body: Value) -> Reply {
        let created = self.caller.post(path, body).await;
        assert_eq!(created.status, 201, "{created:?}");
        created
    }

    /// Does something with an object, which must succeed.
    pub async fn act(&self, path: &str, body: Value) -> Reply {
        let done = self.caller.post(path, body).await;
        assert_eq!(done.status, 200, "{done:?}");
        done
    }

    /// The stored object.
    pub async fn stored(&self, path: &str) -> Reply {
        let stored = self.caller.get(&format!("{path}?refresh=false")).await;
        assert_eq!(stored.status, 200, "{stored:?}");
        stored
    }

    /// Reads from the provider: after the time in which it is not asked again.
    pub async fn read(&self, path: &str) -> Reply {
        advance(&self.host, TimeDelta::seconds(3));
        let read = self.caller.get(path).await;
        assert_eq!(read.status, 200, "{read:?}");
        read
    }

    /// What the buyer does on the provider's page.
    pub async fn buyer(&self, provider_id: &str, visit: Value) -> Value {
        let path = format!("/_sandbox/checkouts/{provider_id}");
        self.host.control(Method::POST, &path, Some(visit)).await
    }

    /// Has the provider charge a subscription's next cycle.
    pub async fn bill(&self, subscription: &Reply, charge: &str) {
        let path = format!(
            "/_sandbox/subscriptions/{}/cycle",
            provider_id(subscription)
        );
        self.host
            .control(Method::POST, &path, Some(json!({"charge": charge})))
            .await;
    }

    pub async fn approve(&self, provider_id: &str) -> Value {
        self.buyer(provider_id, json!({"action": "approve"})).await
    }

    /// A payment that the buyer has agreed to, of which the gateway does not know yet.
    pub async fn approved(&self, body: Value) -> Reply {
        let created = self.create("/v1/payments", body).await;
        self.approve(created.text("provider_order_id")).await;
        created
    }

    /// A payment of 50.00 that the buyer has paid.
    pub async fn paid(&self) -> Reply {
        let created = self.approved(self.payment()).await;
        let paid = self.read(&path_of(&created)).await;
        assert_eq!(paid.text("status"), "succeeded", "{paid:?}");
        paid
    }

    /// What the provider has done, of one kind.
    pub async fn effects(&self, kind: &str) -> Vec<Value> {
        let provider = self.provider.name;
        let path = format!("/_sandbox/ledger?provider={provider}&kind={kind}&limit=1000");
        let ledger = self.host.control(Method::GET, &path, None).await;
        ledger["data"].as_array().unwrap().clone()
    }

    /// Arms a fault for the next request of a method to a path of the provider's.
    pub async fn fault(&self, mut fault: Value, method: &str, path: &str) {
        fault["provider"] = json!(self.provider.name);
        fault["method"] = json!(method);
        fault["path_contains"] = json!(path);
        self.host.fault(fault).await;
    }

    /// Requests that the provider received.
    pub async fn requests(&self, method: &str, path: &str) -> Vec<Value> {
        let provider = self.provider.name;
        let filter = format!("provider={provider}&method={method}&path_contains={path}&limit=1000");
        self.host.provider_requests(&filter).await
    }

    /// Moves time on, and has the background work.
    pub async fn background(&self, by: TimeDelta) {
        advance(&self.host, by);
        self.host.sweep().await;
    }
}

/// The provider's id of something other than a payment: an order's, where a link is one.
pub fn provider_id(object: &Reply) -> String {
    let data = &object.json["provider_data"];
    let id = data["id"].as_str().or(data["order"]["id"].as_str());
    id.unwrap_or_else(|| panic!("{object:?}")).to_owned()
}

/// Where an object is read.
pub fn path_of(object: &Reply) -> String {
    let collection = match object.text("object") {
        "payment_link" => "payment-links".to_owned(),
        object => format!("{object}s"),
    };
    format!("/v1/{collection}/{}", object.text("id"))
}

#[track_caller]
pub fn assert_unknown(reply: &Reply) {
    let end = (reply.status, reply.code());
    assert_eq!(end, (504, "outcome_unknown"), "{reply:?}");
}

/// An amount as it is written in the answer.
pub fn digits(reply: &Reply, field: &str) -> String {
    let text = String::from_utf8(reply.bytes.clone()).unwrap();
    let (_, rest) = text.split_once(&format!("\"{field}\":")).unwrap();
    let end = rest.find([',', '}']).unwrap();
    rest[..end].to_owned()
}
