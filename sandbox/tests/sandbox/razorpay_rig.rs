//! Razorpay's client, and the buyer of its checkouts.

use hmac::{Hmac, KeyInit as _, Mac as _};
use onerouter_sandbox::razorpay::{KEY_ID, KEY_SECRET};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::rig::{Answer, Rig};

impl Rig {
    pub(crate) fn razorpay(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, self.url(&format!("/razorpay/v1{path}")))
            .basic_auth(KEY_ID, Some(KEY_SECRET))
    }

    /// With a JSON body, unless it is null.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.razorpay(method, path);
        self.send(if body.is_null() {
            request
        } else {
            request.json(&body)
        })
        .await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.ask(Method::POST, path, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.body
    }

    pub(crate) async fn read(&self, path: &str) -> Value {
        let answer = self.ask(Method::GET, path, Value::Null).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.body
    }

    pub(crate) async fn refused(&self, method: Method, path: &str, body: Value, why: &str) {
        let answer = self.ask(method, path, body.clone()).await;
        assert_eq!(
            (answer.status, answer.description()),
            (400, why),
            "{path} {body}: {}",
            answer.text
        );
        assert_eq!(answer.body["error"]["code"], "BAD_REQUEST_ERROR");
    }

    /// An order over so many paise; gives its id.
    pub(crate) async fn order(&self, amount: i64) -> String {
        let order = json!({ "amount": amount, "currency": "INR" });
        id_of(&self.post("/orders", order).await)
    }

    pub(crate) async fn link(&self, body: Value) -> String {
        id_of(&self.post("/payment_links", body).await)
    }

    /// 500 rupees a month; gives the plan's id.
    pub(crate) async fn plan(&self, amount: i64) -> String {
        id_of(&self.post("/plans", plan(amount)).await)
    }

    pub(crate) async fn subscription(&self, body: Value) -> String {
        id_of(&self.post("/subscriptions", body).await)
    }

    /// The buyer's decision by the control API.
    pub(crate) async fn play(&self, id: &str, visit: Value) -> Answer {
        self.control(Method::POST, &format!("checkouts/{id}"), visit)
            .await
    }

    pub(crate) async fn approve(&self, id: &str) -> Value {
        let answer = self.play(id, json!({ "action": "approve" })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body
    }

    /// An order that was approved; gives the authorized payment's id.
    pub(crate) async fn authorized(&self, amount: i64) -> String {
        let order = self.order(amount).await;
        let back = self.approve(&order).await;
        back["fields"]["razorpay_payment_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) async fn captured(&self, amount: i64) -> String {
        let id = self.authorized(amount).await;
        let body = json!({ "amount": amount, "currency": "INR" });
        self.post(&format!("/payments/{id}/capture"), body).await;
        id
    }

    pub(crate) async fn cycle(&self, id: &str, charge: &str) -> Answer {
        let path = format!("subscriptions/{id}/cycle");
        self.control(Method::POST, &path, json!({ "charge": charge }))
            .await
    }

    /// How many effects the ledger has for this query.
    pub(crate) async fn count(&self, query: &str) -> u64 {
        let ledger = self.get(&format!("ledger?provider=razorpay&{query}")).await;
        ledger["count"].as_u64().unwrap()
    }

    /// The kinds of all effects, oldest first.
    pub(crate) async fn kinds(&self) -> Vec<String> {
        let ledger = self.get("ledger").await;
        let data = ledger["data"].as_array().unwrap();
        data.iter()
            .map(|entry| entry["kind"].as_str().unwrap().to_owned())
            .collect()
    }

    /// What a browser with this page posts when the button is pressed.
    pub(crate) async fn press(&self, page: &str, button: &str, choices: &[(&str, &str)]) -> Answer {
        let posts_to = between(page, "<form method=\"post\" action=\"", "\"");
        assert!(
            page.contains(&format!("name=\"action\" value=\"{button}\"")),
            "{page}"
        );
        let mut form = vec![("action", button)];
        form.extend_from_slice(choices);
        let browser = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        self.send(browser.post(posts_to).form(&form)).await
    }
}

impl Answer {
    pub(crate) fn description(&self) -> &str {
        self.body["error"]["description"]
            .as_str()
            .unwrap_or_default()
    }
}

pub(crate) fn id_of(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

pub(crate) fn plan(amount: i64) -> Value {
    json!({
        "period": "monthly",
        "interval": 1,
        "item": { "name": "Pro", "amount": amount, "currency": "INR" },
    })
}

/// The ids of a collection's items.
pub(crate) fn ids(collection: &Value) -> Vec<String> {
    assert_eq!(collection["entity"], "collection");
    let items = collection["items"].as_array().unwrap();
    assert_eq!(collection["count"], items.len());
    items.iter().map(id_of).collect()
}

pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).unwrap().1;
    rest.split_once(after).unwrap().0
}

/// The hidden fields of the form that takes a browser back.
pub(crate) fn hidden(page: &str, name: &str) -> String {
    let start = format!("<input type=\"hidden\" name=\"{name}\" value=\"");
    between(page, &start, "\"").replace("&quot;", "\"")
}

/// What the merchant computes to check a browser's return.
pub(crate) fn signature(message: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY_SECRET.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
