//! Messages: what is told of them is merged as it comes.

use onerouter_tests::scenarios;
use onerouter_tests::write_path::Ground;
use serde_json::{Value, json};

use super::always_ends_alike;
use super::story::{Case, Story};

scenarios!(
    an_email_ends_alike,
    an_email_that_bounces_ends_alike,
    a_text_ends_alike,
    a_text_that_does_not_arrive_ends_alike,
);

async fn an_email_ends_alike(ground: Ground) {
    always_ends_alike(ground, Email).await;
}

async fn an_email_that_bounces_ends_alike(ground: Ground) {
    always_ends_alike(ground, Bounced).await;
}

async fn a_text_ends_alike(ground: Ground) {
    always_ends_alike(ground, Text).await;
}

async fn a_text_that_does_not_arrive_ends_alike(ground: Ground) {
    always_ends_alike(ground, Undelivered).await;
}

async fn force(case: &Case<'_>, change: Value) {
    let message = case.object(0).await;
    let id = message["provider_message_id"].as_str().unwrap();
    case.scene.host.force_status(id, change).await;
}

/// An e-mail that stays where it is until it is told otherwise.
async fn begin_email(case: &mut Case<'_>, course: &'static [&'static str]) {
    let body = json!({"to": "queued@sandbox.test", "subject": "Hi", "text_body": "Hello"});
    let email = case.scene.create("/v1/email", body).await;
    case.follow(&email, course);
}

/// Arrives late, is read, and is called spam.
struct Email;

impl Story for Email {
    const PROVIDER: &'static str = "resend";
    const STEPS: usize = 6;
    const ASKED_AT: &'static str = "";

    async fn begin(&self, case: &mut Case<'_>) {
        let course = &["queued", "sent", "delayed", "delivered", "complained"];
        begin_email(case, course).await;
    }

    async fn step(&self, case: &mut Case<'_>, number: usize) {
        let events = [
            "sent",
            "delivery_delayed",
            "delivered",
            "opened",
            "clicked",
            "complained",
        ];
        force(case, json!({"last_event": events[number]})).await;
    }

    async fn end(&self, case: &Case<'_>, objects: &[Value]) {
        let told = case.told(0).await;
        for once in ["opened", "clicked"] {
            let count = told.iter().filter(|verb| *verb == once).count();
            assert_eq!(count, 1, "{once}: {told:?}");
        }
        assert_eq!(objects[0]["failure"]["code"], "complained");
    }
}

/// Is put off, and sent back.
struct Bounced;

impl Story for Bounced {
    const PROVIDER: &'static str = "resend";
    const STEPS: usize = 3;
    const ASKED_AT: &'static str = "";

    async fn begin(&self, case: &mut Case<'_>) {
        begin_email(case, &["queued", "sent", "delayed", "bounced"]).await;
    }

    async fn step(&self, case: &mut Case<'_>, number: usize) {
        let events = ["sent", "delivery_delayed", "bounced"];
        force(case, json!({"last_event": events[number]})).await;
    }

    async fn end(&self, _case: &Case<'_>, objects: &[Value]) {
        let failure = &objects[0]["failure"];
        assert_eq!(failure["code"], "bounced");
        assert_ne!(failure["provider_message"], Value::Null);
    }
}

/// A text that stays where it is until it is told otherwise.
async fn begin_text(case: &mut Case<'_>, course: &'static [&'static str]) {
    let body = json!({"to": "+15005700001", "body": "Hi"});
    let text = case.scene.create("/v1/sms", body).await;
    case.follow(&text, course);
}

/// Counts as not delivered, and is.
struct Text;

impl Story for Text {
    const PROVIDER: &'static str = "twilio";
    const STEPS: usize = 4;
    const ASKED_AT: &'static str = "";
    // Only who asks is told the price.
    const READS: bool = false;

    async fn begin(&self, case: &mut Case<'_>) {
        let course = &["queued", "sending", "sent", "undelivered", "delivered"];
        begin_text(case, course).await;
    }

    async fn step(&self, case: &mut Case<'_>, number: usize) {
        let changes = [
            json!({"status": "sending"}),
            json!({"status": "sent"}),
            json!({"status": "undelivered", "error_code": 30_003}),
            json!({"status": "delivered"}),
        ];
        force(case, changes[number].clone()).await;
    }

    async fn end(&self, _case: &Case<'_>, objects: &[Value]) {
        assert_eq!(objects[0]["failure"], Value::Null);
    }
}

/// Is sent, and not delivered, for which there are two reasons.
struct Undelivered;

impl Story for Undelivered {
    const PROVIDER: &'static str = "twilio";
    const STEPS: usize = 4;
    const ASKED_AT: &'static str = "";
    const READS: bool = false;

    async fn begin(&self, case: &mut Case<'_>) {
        let course = &["queued", "sending", "sent", "undelivered"];
        begin_text(case, course).await;
    }

    async fn step(&self, case: &mut Case<'_>, number: usize) {
        let changes = [
            json!({"status": "sending"}),
            json!({"status": "sent"}),
            json!({"status": "undelivered", "error_code": 30_005}),
            json!({"status": "undelivered", "error_code": 30_003}),
        ];
        force(case, changes[number].clone()).await;
    }

    async fn end(&self, _case: &Case<'_>, objects: &[Value]) {
        // Twilio does not say which was the last.
        assert_eq!(objects[0]["failure"]["provider_code"], "30005");
    }
}
