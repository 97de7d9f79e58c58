//! PayPal's clients: the merchant's server with an access token, and a buyer's browser.

use onerouter_sandbox::paypal::{CLIENT_ID, CLIENT_SECRET};
use reqwest::{Method, RequestBuilder, redirect::Policy};
use serde_json::{Value, json};

use crate::rig::{Answer, Rig, with};

pub(crate) const ORDERS: &str = "/v2/checkout/orders";
pub(crate) const AUTHORIZATIONS: &str = "/v2/payments/authorizations";
pub(crate) const CAPTURES: &str = "/v2/payments/captures";
pub(crate) const REFUNDS: &str = "/v2/payments/refunds";
pub(crate) const PRODUCTS: &str = "/v1/catalogs/products";
pub(crate) const PLANS: &str = "/v1/billing/plans";
pub(crate) const SUBSCRIPTIONS: &str = "/v1/billing/subscriptions";

pub(crate) const RETURN_URL: &str = "https://shop.example/return?cart=1";
pub(crate) const CANCEL_URL: &str = "https://shop.example/cancel";

pub(crate) struct Merchant {
    pub(crate) rig: Rig,
    pub(crate) token: String,
    browser: reqwest::Client,
}

impl Merchant {
    pub(crate) async fn start() -> Merchant {
        let rig = Rig::start().await;
        let token = token(&rig).await;
        let browser = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .build()
            .unwrap();
        Merchant {
            rig,
            token,
            browser,
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.rig
            .http
            .request(method, self.rig.url(&format!("/paypal{path}")))
            .bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.rig.send(self.request(Method::GET, path)).await
    }

    /// A resource that must be there.
    pub(crate) async fn read(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    pub(crate) fn posting(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path).json(body)
    }

    /// With whole resources in the answer.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self
            .posting(path, body)
            .header("Prefer", "return=representation");
        self.rig.send(request).await
    }

    pub(crate) async fn post_as(&self, id: &str, path: &str, body: &Value) -> Answer {
        let request = self
            .posting(path, body)
            .header("Prefer", "return=representation")
            .header("PayPal-Request-Id", id);
        self.rig.send(request).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.rig
            .send(self.request(Method::PATCH, path).json(body))
            .await
    }

    /// Made, or the test is over.
    pub(crate) async fn make(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, 201, "{path}: {answer:?}");
        answer.body
    }

    /// What happens without a body in either direction.
    pub(crate) async fn act(&self, path: &str, body: &Value) {
        let answer = self.post(path, body).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (204, ""),
            "{path}: {answer:?}"
        );
    }

    pub(crate) async fn entries(&self, kind: &str) -> Vec<Value> {
        let ledger = self.rig.get(&format!("ledger?kind={kind}")).await;
        ledger["data"].as_array().unwrap().clone()
    }
}

/// Orders and their payments.
impl Merchant {
    pub(crate) async fn order(&self, body: &Value) -> String {
        text(&self.make(ORDERS, body).await["id"])
    }

    /// By the control API; gives the buyer's way back.
    pub(crate) async fn play(&self, id: &str, action: Value) -> Value {
        let answer = self
            .rig
            .control(Method::POST, &format!("checkouts/{id}"), action)
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    pub(crate) async fn approve(&self, id: &str) -> Value {
        self.play(id, json!({ "action": "approve" })).await
    }

    pub(crate) async fn approved(&self, body: &Value) -> String {
        let id = self.order(body).await;
        self.approve(&id).await;
        id
    }

    pub(crate) async fn capture_order(&self, id: &str) -> Answer {
        self.post(&format!("{ORDERS}/{id}/capture"), &json!({}))
            .await
    }

    /// An order of this amount paid; gives the capture.
    pub(crate) async fn paid(&self, body: &Value) -> Value {
        let id = self.approved(body).await;
        let answer = self.capture_order(&id).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["purchase_units"][0]["payments"]["captures"][0].clone()
    }

    /// An order of this amount authorized; gives the authorization.
    pub(crate) async fn held(&self, body: &Value) -> Value {
        let body = with(body.clone(), json!({ "intent": "AUTHORIZE" }));
        let id = self.approved(&body).await;
        let order = self
            .make(&format!("{ORDERS}/{id}/authorize"), &json!({}))
            .await;
        order["purchase_units"][0]["payments"]["authorizations"][0].clone()
    }

    pub(crate) async fn refund(&self, capture: &Value, body: Value) -> Answer {
        let id = text(&capture["id"]);
        self.post(&format!("{CAPTURES}/{id}/refund"), &body).await
    }

    pub(crate) async fn status(&self, path: &str) -> String {
        text(&self.read(path).await["status"])
    }

    pub(crate) async fn force(&self, id: &str, change: Value) -> Answer {
        self.rig
            .control(Method::POST, &format!("messages/{id}/status"), change)
            .await
    }
}

/// Authorizations.
impl Merchant {
    pub(crate) async fn act_on(&self, authorization: &Value, act: &str, body: Value) -> Answer {
        let id = text(&authorization["id"]);
        self.post(&format!("{AUTHORIZATIONS}/{id}/{act}"), &body)
            .await
    }

    pub(crate) async fn status_of(&self, authorization: &Value) -> String {
        let id = text(&authorization["id"]);
        self.status(&format!("{AUTHORIZATIONS}/{id}")).await
    }

    /// So much later, with a token of that time.
    pub(crate) async fn later(mut self, seconds: i64) -> Merchant {
        self.rig.advance(seconds).await;
        self.token = token(&self.rig).await;
        self
    }
}

/// Subscriptions.
impl Merchant {
    pub(crate) async fn product(&self) -> String {
        let product = json!({ "name": "Chairs", "type": "SERVICE" });
        text(&self.make(PRODUCTS, &product).await["id"])
    }

    /// A plan at 10.00 USD a month without end, changed by `changes`.
    pub(crate) async fn plan(&self, changes: Value) -> String {
        let plan = with(plan(&self.product().await), changes);
        text(&self.make(PLANS, &plan).await["id"])
    }

    pub(crate) async fn subscription(&self, plan: &str, changes: Value) -> String {
        let body = with(subscription(plan), changes);
        text(&self.make(SUBSCRIPTIONS, &body).await["id"])
    }

    /// Agreed to and running, on a plan with these changes.
    pub(crate) async fn running(&self, changes: Value) -> String {
        let plan = self.plan(changes).await;
        let id = self.subscription(&plan, json!({})).await;
        self.approve(&id).await;
        id
    }

    pub(crate) async fn subscribed(&self, id: &str) -> Value {
        self.read(&format!(
            "{SUBSCRIPTIONS}/{id}?fields=plan,last_failed_payment"
        ))
        .await
    }

    pub(crate) async fn cycle(&self, id: &str, charge: &str) -> Value {
        let answer = self
            .rig
            .control(
                Method::POST,
                &format!("subscriptions/{id}/cycle"),
                json!({ "charge": charge }),
            )
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    pub(crate) async fn change(&self, id: &str, act: &str, reason: &str) -> Answer {
        let body = json!({ "reason": reason });
        self.post(&format!("{SUBSCRIPTIONS}/{id}/{act}"), &body)
            .await
    }
}

/// The buyer's browser: no token, and redirects are looked at, not followed.
impl Merchant {
    pub(crate) async fn open(&self, url: &str) -> Answer {
        Answer::of(self.browser.get(url).send().await.unwrap()).await
    }

    /// Presses one of the page's buttons.
    pub(crate) async fn press(&self, url: &str, form: &[(&str, &str)]) -> Answer {
        Answer::of(self.browser.post(url).form(form).send().await.unwrap()).await
    }
}

/// A fresh access token.
pub(crate) async fn token(rig: &Rig) -> String {
    text(&fetch_token(rig).await.body["access_token"])
}

pub(crate) async fn fetch_token(rig: &Rig) -> Answer {
    let request = rig
        .http
        .post(rig.url("/paypal/v1/oauth2/token"))
        .basic_auth(CLIENT_ID, Some(CLIENT_SECRET))
        .form(&[("grant_type", "client_credentials")]);
    rig.send(request).await
}

/// The smallest order.
pub(crate) fn order(value: &str, currency: &str) -> Value {
    json!({
        "intent": "CAPTURE",
        "purchase_units": [{ "amount": money(value, currency) }],
    })
}

/// With the places where the buyer comes back to, in the older way.
pub(crate) fn order_with_returns(value: &str) -> Value {
    with(
        order(value, "USD"),
        json!({ "application_context": { "return_url": RETURN_URL, "cancel_url": CANCEL_URL } }),
    )
}

/// The same in the newer way.
pub(crate) fn order_by_source(value: &str) -> Value {
    let context = json!({ "return_url": RETURN_URL, "cancel_url": CANCEL_URL });
    with(
        order(value, "USD"),
        json!({ "payment_source": { "paypal": { "experience_context": context } } }),
    )
}

/// `order` with these fields set in its only unit.
pub(crate) fn order_with(value: &str, changes: Value) -> Value {
    let mut body = order(value, "USD");
    body["purchase_units"][0] = with(body["purchase_units"][0].clone(), changes);
    body
}

pub(crate) fn money(value: &str, currency: &str) -> Value {
    json!({ "currency_code": currency, "value": value })
}

pub(crate) fn cycle(sequence: u32, tenure: &str, price: &str, total: u32) -> Value {
    json!({
        "frequency": { "interval_unit": "MONTH" },
        "tenure_type": tenure,
        "sequence": sequence,
        "total_cycles": total,
        "pricing_scheme": { "fixed_price": money(price, "USD") },
    })
}

pub(crate) fn plan(product: &str) -> Value {
    json!({
        "product_id": product,
        "name": "Monthly",
        "billing_cycles": [cycle(1, "REGULAR", "10.00", 0)],
        "payment_preferences": {},
    })
}

pub(crate) fn subscription(plan: &str) -> Value {
    json!({
        "plan_id": plan,
        "application_context": { "return_url": RETURN_URL, "cancel_url": CANCEL_URL },
    })
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The link of this relation.
pub(crate) fn link<'a>(resource: &'a Value, rel: &str) -> Option<&'a str> {
    let links = resource["links"].as_array().unwrap();
    let found = links.iter().find(|link| link["rel"] == rel)?;
    found["href"].as_str()
}

impl Answer {
    /// Status and issue, and that the rest of the body is as documented.
    pub(crate) fn assert_paypal_issue(&self, status: u16, issue: &str) {
        assert_eq!(
            (self.status, self.body["details"][0]["issue"].as_str()),
            (status, Some(issue)),
            "{}",
            self.text
        );
        let description = self.body["details"][0]["description"].as_str();
        assert!(description.is_some_and(|text| !text.is_empty()));
        self.assert_paypal_name(status, paypal_name(status));
    }

    /// Status and name of an error body, with or without details.
    pub(crate) fn assert_paypal_name(&self, status: u16, name: &str) {
        assert_eq!(
            (self.status, self.body["name"].as_str()),
            (status, Some(name)),
            "{}",
            self.text
        );
        assert!(!self.body["message"].as_str().unwrap().is_empty());
        assert_eq!(self.body["debug_id"], self.header("paypal-debug-id"));
        assert!(!self.header("paypal-debug-id").is_empty());
        let link = &self.body["links"][0];
        assert_eq!(link["rel"], "information_link");
    }
}

pub(crate) fn paypal_name(status: u16) -> &'static str {
    match status {
        400 => "INVALID_REQUEST",
        401 => "AUTHENTICATION_FAILURE",
        403 => "NOT_AUTHORIZED",
        404 => "RESOURCE_NOT_FOUND",
        409 => "RESOURCE_CONFLICT",
        422 => "UNPROCESSABLE_ENTITY",
        _ => "a status without issues",
    }
}
