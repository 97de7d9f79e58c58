//! What a provider tells of its own accord: signed well, signed badly, and without sense.

pub(crate) mod certificate;
mod sign;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use onerouter_engine::wit::webhooks;
use onerouter_engine::{
    Adapter, CallContext, FaultKind, NotSent, UnknownReason, WebhookRefusal, WebhookRequest,
};
use onerouter_manifest::{Manifest, WebhookSignature};

use crate::cassette::{OwnSignature, Told};
use crate::connection::Connection;
use crate::finding::{Finding, Findings};
use crate::run::{Ending, Run};
use certificate::Identity;
use sign::{Hand, Signer};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Where providers send to.
const URL: &str = "https://gateway.example.com/webhooks/kit/con_01kt0h7r00e00c0nf0rm000003";

/// Older than any scheme with a time allows.
const STALE_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// The largest body that the gateway takes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// One webhook, as it comes or before it is signed.
#[derive(Debug, Clone)]
pub(crate) struct Vector {
    content_type: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
    own: Option<OwnSignature>,
    /// Events that must be read in it; none is at least one.
    events: Option<usize>,
}

/// What is tried with one webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trial {
    /// Signed by the provider: believed and read.
    Valid,
    /// Its body was changed afterwards.
    Tampered,
    /// Signed by somebody else.
    Forged,
    /// Not signed.
    Unsigned,
    /// Signed by the provider, long ago.
    Stale,
}

impl Trial {
    pub(crate) const ALL: [Self; 5] = [
        Self::Valid,
        Self::Tampered,
        Self::Forged,
        Self::Unsigned,
        Self::Stale,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Tampered => "tampered",
            Self::Forged => "forged",
            Self::Unsigned => "unsigned",
            Self::Stale => "stale",
        }
    }
}

impl Vector {
    pub(crate) fn told(told: &Told) -> Self {
        let (default_type, body) = match (&told.json, &told.text) {
            (Some(json), _) => (JSON, json.to_string()),
            (None, Some(text)) => ("", text.clone()),
            (None, None) => ("", String::new()),
        };
        let content_type = told.content_type.clone();
        let mut vector = Self::new(
            &content_type.unwrap_or_else(|| default_type.to_owned()),
            body.into_bytes(),
        );
        vector.query.clone_from(&told.query);
        for (name, value) in &told.headers {
            sign::put(&mut vector.headers, name, value);
        }
        vector.own.clone_from(&told.sign);
        vector.events = told.events;
        vector
    }

    fn new(content_type: &str, body: Vec<u8>) -> Self {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            sign::put(&mut headers, CONTENT_TYPE.as_str(), content_type);
        }
        Self {
            content_type: content_type.to_owned(),
            query: String::new(),
            headers,
            body: body.into(),
            own: None,
            events: None,
        }
    }

    /// Some webhook, where no cassette says what they look like. Nothing is said about its meaning.
    pub(crate) fn plain() -> Self {
        Self {
            events: Some(0),
            ..Self::new(JSON, br#"{"kit":"some event"}"#.to_vec())
        }
    }

    fn url(&self) -> String {
        if self.query.is_empty() {
            URL.to_owned()
        } else {
            format!("{URL}?{}", self.query)
        }
    }

    /// As the adapter gets it.
    pub(crate) fn request(&self, manifest: &Manifest, now_ms: u64) -> webhooks::Request {
        let pairs = |bytes: &[u8]| {
            form_urlencoded::parse(bytes)
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect::<Vec<_>>()
        };
        let wanted = manifest.webhook.iter().flat_map(|webhook| &webhook.headers);
        let headers = wanted.filter_map(|name| {
            let value = self.headers.get(name)?.to_str().ok()?;
            Some((name.clone(), value.to_owned()))
        });
        let is_form = self.content_type == FORM;
        webhooks::Request {
            content_type: self.content_type.clone(),
            query: pairs(self.query.as_bytes()),
            headers: headers.collect(),
            form: if is_form {
                pairs(&self.body)
            } else {
                Vec::new()
            },
            body: self.body.to_vec(),
            received_at: now_ms,
            extra: Vec::new(),
        }
    }
}

/// A webhook without anything.
pub(crate) fn empty(now_ms: u64) -> webhooks::Request {
    webhooks::Request {
        content_type: String::new(),
        query: Vec::new(),
        headers: Vec::new(),
        form: Vec::new(),
        body: Vec::new(),
        received_at: now_ms,
        extra: Vec::new(),
    }
}

/// Bodies that no provider means.
pub(crate) fn garbage() -> Vec<(&'static str, Vector)> {
    let json = |body: Vec<u8>| Vector::new(JSON, body);
    let bytes: Vec<u8> = (0..=255_u8).cycle().take(4_096).collect();
    let nested = [vec![b'['; 20_000], vec![b']'; 20_000]].concat();
    let objects = br#"{"a":"#.repeat(20_000);
    vec![
        ("garbage_empty", Vector::new("", Vec::new())),
        ("garbage_half", json(b"{\"id\":\"".to_vec())),
        ("garbage_array", json(b"[]".to_vec())),
        ("garbage_null", json(b"null".to_vec())),
        ("garbage_types", json(br#"{"id":[],"type":{},"event":7,"data":"x","created_at":null,"payload":[[]],"entity":true}"#.to_vec())),
        ("garbage_numbers", json(br#"{"id":1e999,"created_at":-99999999999999999999999,"amount":0.1}"#.to_vec())),
        ("garbage_binary", Vector::new("application/octet-stream", bytes)),
        ("garbage_not_utf8", json(vec![b'"', 0xc3, 0x28, 0xed, 0xa0, 0x80, b'"'])),
        ("garbage_nested", json(nested)),
        ("garbage_unclosed", json(objects)),
        ("garbage_large", json(vec![b'a'; BODY_BYTES_MAX])),
        ("garbage_form", Vector::new(FORM, b"a=%zz&=&&&b&%00=%ff&MessageStatus=&MessageSid=".to_vec())),
    ]
}

/// Who tries webhooks.
pub(crate) struct Trier<'k> {
    pub(crate) adapter: &'k Adapter,
    pub(crate) connection: &'k Connection,
    pub(crate) identity: Option<&'k Identity>,
    pub(crate) context: &'k CallContext,
    pub(crate) now_ms: u64,
}

impl Trier<'_> {
    /// Tries one webhook in one way. The run is there where the adapter was asked.
    pub(crate) async fn try_one(&self, vector: &Vector, trial: Trial) -> (Findings, Option<Run>) {
        let mut findings = Findings::default();
        let manifest = self.adapter.manifest();
        let Some(webhook) = &manifest.webhook else {
            findings.fail(Finding::new(
                "no_scheme",
                "the plugin reads webhooks, and its manifest does not say how they are signed",
                "add `[webhook.signature]` to the manifest",
            ));
            return (findings, None);
        };
        let has_time = matches!(
            webhook.signature,
            WebhookSignature::StandardWebhooks { .. } | WebhookSignature::CertificateCrc32 { .. }
        );
        if trial == Trial::Stale && !has_time {
            findings.note(
                "the provider's scheme covers no time: what comes again is known by its content",
            );
            return (findings, None);
        }
        let Some(signed) = self.prepare(vector, trial) else {
            findings.not_covered(
                "the kit cannot sign this: a cassette's `webhook.sign` says how where the manifest leaves it to the adapter",
            );
            return (findings, None);
        };
        let (urls, now_ms) = ([signed.url()], self.now_ms);
        let request = WebhookRequest {
            urls: &urls,
            headers: &signed.headers,
            body: &signed.body,
            received_at_ms: now_ms,
        };
        let verified = self.adapter.verify_webhook(self.context, &request).await;
        let left_to_adapter = matches!(&verified, Ok(signed) if signed.left_to_adapter);
        match (&verified, trial) {
            (Err(refusal), Trial::Valid) => {
                findings.fail(Finding::new(
                    "valid_refused",
                    format!("a webhook that the provider signed is refused: {refusal}"),
                    "name the scheme, the header and the credential by which the provider signs under `webhook.signature`",
                ));
                return (findings, None);
            }
            (Err(refusal), _) => {
                if let WebhookRefusal::Unavailable(why) = refusal {
                    findings.not_covered(format!("the signature could not be checked: {why}"));
                }
                return (findings, None);
            }
            (Ok(_), Trial::Valid) => {}
            (Ok(_), _) if !left_to_adapter => {
                findings.fail(Finding::new(
                    "forgery_believed",
                    format!("a webhook that is {} was believed", trial.name()),
                    "name a scheme under `webhook.signature` that covers the whole body",
                ));
                return (findings, None);
            }
            (Ok(_), _) => {}
        }
        let request = signed.request(manifest, now_ms);
        let run = Run::of(self.adapter.webhooks_read(self.context, &request).await);
        let is_believed = run.ending == Ending::Accepted
            && run.facts.count > 0
            && (!left_to_adapter || run.vouched);
        if trial == Trial::Valid {
            judge_reading(&run, vector.events, &mut findings);
            if vector.events != Some(0) && !is_believed && findings.all.is_empty() {
                findings.fail(Finding::new(
                    "valid_refused",
                    "the adapter read the webhook without a yes of `onerouter:host/signature.verify`",
                    "have the signature checked in the call that reads the webhook",
                ));
            }
        } else if is_believed {
            findings.fail(Finding::new(
                "forgery_believed",
                format!("a webhook that is {} was believed", trial.name()),
                "give events only after `onerouter:host/signature.verify` has said yes to this very body",
            ));
        }
        (findings, Some(run))
    }

    fn prepare(&self, vector: &Vector, trial: Trial) -> Option<Vector> {
        let signer = Signer {
            manifest: self.adapter.manifest(),
            connection: self.connection,
            identity: self.identity,
        };
        let now = self.now_ms;
        match trial {
            Trial::Valid => signer.sign(vector, now, Hand::Right),
            Trial::Forged => signer.sign(vector, now, Hand::Wrong),
            Trial::Stale => signer.sign(vector, now.saturating_sub(STALE_MS), Hand::Right),
            Trial::Unsigned => Some(vector.clone()),
            Trial::Tampered => {
                let mut signed = signer.sign(vector, now, Hand::Right)?;
                // The meaning stays the same: JSON allows the space, and a form has one more letter.
                signed.body = [&signed.body[..], b" "].concat().into();
                Some(signed)
            }
        }
    }

    /// Reads what makes no sense.
    pub(crate) async fn read_garbage(&self, vector: &Vector) -> (Findings, Run) {
        let mut findings = Findings::default();
        let request = vector.request(self.adapter.manifest(), self.now_ms);
        let run = Run::of(self.adapter.webhooks_read(self.context, &request).await);
        if let Some(finding) = broke(&run) {
            findings.fail(finding);
        }
        (findings, run)
    }
}

fn judge_reading(run: &Run, events: Option<usize>, findings: &mut Findings) {
    if let Some(finding) = broke(run) {
        findings.fail(finding);
        return;
    }
    match (events, run.facts.count) {
        (Some(0), _) => {}
        (None, 0) => findings.fail(Finding::new(
            "nothing_read",
            format!("no event was read: {}", run.ending.describe()),
            "give one event for what the provider tells, also for what OneRouter does not know",
        )),
        (Some(expected), found) if expected != found => findings.fail(Finding::new(
            "wrong_count",
            format!("{found} events were read; {expected} are expected"),
            "give one event for each thing that the provider tells",
        )),
        (None | Some(_), _) => {}
    }
}

/// A breakdown. `other` is what the interface has for what cannot be understood.
fn broke(run: &Run) -> Option<Finding> {
    let broken = match &run.ending {
        Ending::NotSent(NotSent::Fault(broken)) => broken,
        Ending::Unknown(unknown) => match &unknown.reason {
            UnknownReason::Fault(broken) => broken,
            UnknownReason::Adapter | UnknownReason::Unanswered | UnknownReason::Contradicted => {
                return None;
            }
        },
        Ending::Accepted | Ending::Declined(_) | Ending::NotSent(_) => return None,
    };
    (broken.kind != FaultKind::Other).then(|| {
        Finding::new(
            "breakdown",
            format!("the adapter broke down: {}: {}", broken.kind.as_str(), broken.detail),
            "answer `other` for what cannot be understood: the request is kept, and read again later",
        )
    })
}
