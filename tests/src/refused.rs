//! What a create looks like to a caller when its provider does not take it.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Client, Harness, Reply};
use crate::table::Row;

/// How such a create ends for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The provider refused it for good: the answer is kept.
    Rejected,
    /// The provider refused the credentials.
    Unauthorized,
    /// The provider asks for patience.
    Limited,
    /// The provider is down, and says that nothing was processed.
    Unavailable,
    /// Nobody knows.
    Unknown,
}

impl End {
    /// HTTP status and code of the problem.
    #[must_use]
    pub const fn problem(self) -> (u16, &'static str) {
        match self {
            Self::Rejected => (422, "provider_rejected"),
            Self::Unauthorized => (422, "provider_auth_failed"),
            Self::Limited => (429, "provider_rate_limited"),
            Self::Unavailable => (503, "provider_unavailable"),
            Self::Unknown => (504, "outcome_unknown"),
        }
    }
}

/// One create that is not taken.
#[derive(Debug)]
pub struct Refused<'a> {
    /// `/v1/sms` or `/v1/email`.
    pub path: &'a str,
    /// The request.
    pub body: Value,
    /// Its recipient, who gets nothing else in this test.
    pub to: &'a str,
    /// Who refuses.
    pub provider: &'a str,
    /// With which HTTP status.
    pub http_status: u16,
    /// With which code of its own.
    pub provider_code: Value,
    /// How it ends.
    pub end: End,
    /// Unified code of the object's failure; unused where nobody knows.
    pub failure: &'a str,
    /// Whether it may go through later.
    pub retryable: bool,
}

impl Refused<'_> {
    /// Sends it twice under one key, and holds everything that can be seen against the contract.
    pub async fn check(&self, host: &Harness, acme: &Client, row: &mut Row<'_>) {
        let acme = acme.with("Idempotency-Key", &Uuid::now_v7().to_string());
        let first = acme.post(self.path, self.body.clone()).await;
        self.check_problem(&first, row);
        row.equal("effects", &host.effects(self.to).await, &0);
        row.equal("provider calls", &self.calls(host).await, &1);
        let id = first.json["id"].as_str().unwrap_or_default().to_owned();
        self.check_object(&acme, &id, row).await;

        let second = acme.post(self.path, self.body.clone()).await;
        let replayed = second.header("idempotent-replayed") == Some("true");
        match self.end {
            End::Rejected => {
                row.holds("the answer is replayed", replayed);
                row.equal("repeated status", &second.status, &first.status);
                row.holds("byte for byte", second.bytes == first.bytes);
                row.equal("provider calls in the end", &self.calls(host).await, &1);
            }
            End::Unauthorized | End::Limited | End::Unavailable => {
                row.holds("the key is free again", !replayed);
                row.holds("a new object", second.json["id"] != first.json["id"]);
                row.equal("provider calls in the end", &self.calls(host).await, &2);
            }
            End::Unknown => {
                row.equal("repeated status", &second.status, &504);
                row.equal("repeated id", &second.json["id"], &first.json["id"]);
                row.equal("provider calls in the end", &self.calls(host).await, &1);
            }
        }
    }

    fn check_problem(&self, reply: &Reply, row: &mut Row<'_>) {
        let (status, code) = self.end.problem();
        row.equal("status", &reply.status, &status);
        row.equal(
            "content type",
            &reply.header("content-type"),
            &Some("application/problem+json"),
        );
        row.equal("code", &reply.json["code"], code);
        let provider = &reply.json["provider"];
        if self.end == End::Unknown {
            row.equal("retryable", &reply.json["retryable"], &true);
            row.equal("provider", provider, &Value::Null);
            return;
        }
        row.equal("retryable", &reply.json["retryable"], &self.retryable);
        let expected = json!({
            "name": self.provider, "code": self.provider_code, "http_status": self.http_status,
        });
        row.has("provider", provider, &expected);
        // Words come with a code: both are read from the same body.
        let has_words = provider["message"]
            .as_str()
            .is_some_and(|words| !words.is_empty());
        row.holds(
            "the provider's words are passed on",
            has_words || self.provider_code.is_null(),
        );
        let waits = reply.header("retry-after").is_some();
        row.equal("has Retry-After", &waits, &(self.end == End::Limited));
    }

    async fn check_object(&self, acme: &Client, id: &str, row: &mut Row<'_>) {
        let path = format!("{}/{id}?refresh=false", self.path);
        let object = acme.get(&path).await;
        row.equal("reading the object", &object.status, &200);
        let failure = &object.json["failure"];
        if self.end == End::Unknown {
            row.equal("object's status", &object.json["status"], "unknown");
            row.equal("object's failure", failure, &Value::Null);
            return;
        }
        row.equal("object's status", &object.json["status"], "failed");
        let expected = json!({
            "code": self.failure,
            "retryable": self.retryable,
            "provider_code": self.provider_code,
        });
        row.has("failure", failure, &expected);
        row.holds(
            "the failure says why",
            failure["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
        );
    }

    /// Creates that reached the provider for this recipient.
    async fn calls(&self, host: &Harness) -> usize {
        let filter = format!("provider={}&method=POST", self.provider);
        let digits = self.to.trim_start_matches('+');
        host.provider_requests(&filter)
            .await
            .iter()
            .filter(|request| request["body"].as_str().unwrap().contains(digits))
            .count()
    }
}
