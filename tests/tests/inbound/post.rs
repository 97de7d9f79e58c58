//! Requests as providers make them, signed by their documents.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use onerouter_sandbox::{WebhookAttempt, razorpay, resend, twilio};
use onerouter_tests::harness::{Client, Harness, Reply, reply};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::{PUBLIC_URL, connection};

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const JSON: &str = "application/json";
pub(crate) const RAZORPAY_SECRET: &str = "razorpay-webhook-secret-1";
pub(crate) const RESEND_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A request that is not sent yet.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Post {
    /// As the sandbox has sent it to somebody else.
    pub(crate) fn of(attempt: &WebhookAttempt) -> Self {
        let url = url::Url::parse(&attempt.url).unwrap();
        let headers = attempt.headers.iter();
        Self {
            path: url[url::Position::BeforePath..].to_owned(),
            headers: headers
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            body: attempt.body.clone().into_bytes(),
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// Signs what has a `svix-id`: each time that it is sent, with the time of then.
    pub(crate) fn sign_at(&mut self, seconds: i64, secret: &str) {
        let key = secret.strip_prefix("whsec_").unwrap();
        let key = STANDARD.decode(key).unwrap();
        let id = self.headers.iter().find(|(name, _)| name == "svix-id");
        let (id, time) = (id.unwrap().1.clone(), seconds.to_string());
        let parts = [id.as_bytes(), b".", time.as_bytes(), b".", &self.body];
        let tag = STANDARD.encode(mac_sha256(&key, &parts));
        self.set("svix-timestamp", &time);
        self.set("svix-signature", &format!("v1,{tag}"));
    }

    /// The same, ready to be sent.
    pub(crate) fn request(&self, host: &Harness) -> reqwest::RequestBuilder {
        let url = format!("{}{}", host.gateway.url(), self.path);
        let mut request = host.http.post(url).body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
    }

    pub(crate) async fn send(&self, host: &Harness) -> Reply {
        reply(self.request(host).send().await.unwrap()).await
    }

    /// Sends it, and sees it taken.
    #[track_caller]
    pub(crate) fn taken(&self, host: &Harness) -> impl Future<Output = Reply> {
        let sent = self.send(host);
        async move {
            let reply = sent.await;
            assert_eq!(reply.status, 200, "{reply:?}");
            reply
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn mac_sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// What Twilio calls for a message, or for one that has come in.
pub(crate) async fn twilio(host: &Harness, query: &str, pairs: &[(&str, &str)]) -> Post {
    let connection = connection(host, "twilio").await;
    let path = format!("/webhooks/twilio/{connection}{query}");
    let mut sorted = pairs.to_vec();
    sorted.sort_unstable();
    let mut mac = Hmac::<Sha1>::new_from_slice(twilio::AUTH_TOKEN.as_bytes()).unwrap();
    mac.update(format!("{PUBLIC_URL}{path}").as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    let tag = STANDARD.encode(mac.finalize().into_bytes());
    let body: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    Post {
        path,
        headers: vec![
            ("content-type".to_owned(), FORM.to_owned()),
            ("x-twilio-signature".to_owned(), tag),
        ],
        body: body.into_bytes(),
    }
}

/// What Twilio calls where it sends JSON: the body's hash stands in the address.
pub(crate) async fn twilio_json(host: &Harness, fields: &Value) -> Post {
    let connection = connection(host, "twilio").await;
    let body = fields.to_string();
    let hash = hex(&Sha256::digest(&body));
    let path = format!("/webhooks/twilio/{connection}?bodySHA256={hash}");
    let mut mac = Hmac::<Sha1>::new_from_slice(twilio::AUTH_TOKEN.as_bytes()).unwrap();
    mac.update(format!("{PUBLIC_URL}{path}").as_bytes());
    let tag = STANDARD.encode(mac.finalize().into_bytes());
    Post {
        path,
        headers: vec![
            ("content-type".to_owned(), JSON.to_owned()),
            ("x-twilio-signature".to_owned(), tag),
        ],
        body: body.into_bytes(),
    }
}

/// What Twilio tells of a message's status.
pub(crate) async fn twilio_status(host: &Harness, sid: &str, query: &str, status: &str) -> Post {
    let pairs = [
        ("MessageSid", sid),
        ("SmsSid", sid),
        ("AccountSid", twilio::ACCOUNT_SID),
        ("From", twilio::FROM_NUMBER),
        ("To", "+14155550123"),
        ("MessageStatus", status),
        ("SmsStatus", status),
        ("ApiVersion", "2010-04-01"),
    ];
    twilio(host, query, &pairs).await
}

/// Connects Resend again, with what its webhooks are signed with.
pub(crate) async fn connect_resend(host: &Harness, secrets: &[(&str, &str)]) {
    let mut credentials = json!({"api_key": resend::FULL_ACCESS_KEY});
    for (name, secret) in secrets {
        credentials[*name] = json!(secret);
    }
    let settings = json!({"from_email": resend::FROM_EMAIL});
    connect(&host.operator(), ("email", "resend"), credentials, settings).await;
}

/// Connects Razorpay again, with what its webhooks are signed with.
pub(crate) async fn connect_razorpay(host: &Harness) {
    connect_razorpay_of(&host.operator()).await;
}

/// The same for an operator's tenant.
pub(crate) async fn connect_razorpay_of(operator: &Client) {
    let credentials = json!({
        "key_id": razorpay::KEY_ID, "key_secret": razorpay::KEY_SECRET,
        "webhook_secret": RAZORPAY_SECRET,
    });
    connect(operator, ("payments", "razorpay"), credentials, json!({})).await;
}

/// Connects a provider of a service.
pub(crate) async fn connect(
    operator: &Client,
    (service, provider): (&str, &str),
    credentials: Value,
    settings: Value,
) {
    let body = json!({"environment": "test", "credentials": credentials, "settings": settings});
    let path = format!("/api/services/{service}/{provider}/connect");
    let connected = operator.post(&path, body).await;
    assert!([200, 201].contains(&connected.status), "{connected:?}");
}

/// What Resend tells, signed at a time and with a secret.
pub(crate) async fn resend_at(
    host: &Harness,
    (id, seconds, secret): (&str, i64, &str),
    event: &Value,
) -> Post {
    let connection = connection(host, "resend").await;
    let mut post = Post {
        path: format!("/webhooks/resend/{connection}"),
        headers: vec![
            ("content-type".to_owned(), JSON.to_owned()),
            ("svix-id".to_owned(), id.to_owned()),
        ],
        body: event.to_string().into_bytes(),
    };
    post.sign_at(seconds, secret);
    post
}

/// What Resend tells now.
pub(crate) async fn resend(host: &Harness, id: &str, event: &Value) -> Post {
    let now = host.clock.now().timestamp();
    resend_at(host, (id, now, RESEND_SECRET), event).await
}

/// What Razorpay tells.
pub(crate) async fn razorpay(host: &Harness, id: &str, event: &Value) -> Post {
    razorpay_to(&connection(host, "razorpay").await, id, event)
}

/// The same to a certain connection.
pub(crate) fn razorpay_to(connection: &str, id: &str, event: &Value) -> Post {
    let body = event.to_string();
    let tag = mac_sha256(RAZORPAY_SECRET.as_bytes(), &[body.as_bytes()]);
    let tag = hex(&tag);
    Post {
        path: format!("/webhooks/razorpay/{connection}"),
        headers: vec![
            ("content-type".to_owned(), JSON.to_owned()),
            ("x-razorpay-event-id".to_owned(), id.to_owned()),
            ("x-razorpay-signature".to_owned(), tag),
        ],
        body: body.into_bytes(),
    }
}
