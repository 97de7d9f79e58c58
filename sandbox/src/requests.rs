//! The log of requests to the providers, for tests that assert on what an adapter sent.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use http::header;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{call::Call, ledger::hex, lock};

/// A view shows this much of a body; the rest is only counted.
const BODY_BYTES_SHOWN: usize = 64 * 1024;
/// Larger requests are left out: a thousand mails with attachments would not fit into memory.
const CALL_BYTES_KEPT: usize = 1024 * 1024;

#[derive(Debug, Default)]
pub(crate) struct RequestLog(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    kept: VecDeque<Record>,
    total: u64,
}

#[derive(Debug)]
struct Record {
    number: u64,
    provider: &'static str,
    call: Arc<Call>,
}

/// What a reader asks for; absent fields match everything.
#[derive(Debug, Default)]
pub(crate) struct RequestFilter {
    pub(crate) provider: Option<String>,
    pub(crate) method: Option<String>,
    pub(crate) path_contains: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct RequestsView {
    count: usize,
    /// All requests since the start or the last reset.
    total: u64,
    /// In the order of arrival.
    data: Vec<RequestView>,
}

#[derive(Debug, Serialize)]
struct RequestView {
    number: u64,
    at: String,
    provider: &'static str,
    method: String,
    /// As the provider knows it: without the sandbox's prefix.
    path: String,
    query: Option<String>,
    /// Lower-case names; repeated ones are joined by `, `. Credentials show as fingerprints.
    headers: BTreeMap<String, String>,
    body: String,
    body_bytes: usize,
    /// Null when no answer was given.
    status: Option<u16>,
}

impl RequestLog {
    pub(crate) fn record(&self, provider: &'static str, call: &Arc<Call>, kept: usize) {
        if kept == 0 || call.body.len() > CALL_BYTES_KEPT {
            return;
        }
        let mut records = lock(&self.0);
        while records.kept.len() >= kept {
            records.kept.pop_front();
        }
        records.total = records.total.saturating_add(1);
        let number = records.total;
        records.kept.push_back(Record {
            number,
            provider,
            call: Arc::clone(call),
        });
    }

    pub(crate) fn read(&self, filter: &RequestFilter, limit: usize) -> RequestsView {
        let records = lock(&self.0);
        let matching = || records.kept.iter().filter(|record| filter.matches(record));
        RequestsView {
            count: matching().count(),
            total: records.total,
            data: matching().take(limit).map(RequestView::from).collect(),
        }
    }

    pub(crate) fn clear(&self) {
        *lock(&self.0) = Records::default();
    }
}

impl RequestFilter {
    fn matches(&self, record: &Record) -> bool {
        self.provider
            .as_deref()
            .is_none_or(|provider| provider == record.provider)
            && self
                .method
                .as_deref()
                .is_none_or(|method| method == record.call.method)
            && self
                .path_contains
                .as_deref()
                .is_none_or(|part| record.call.path().contains(part))
    }
}

impl From<&Record> for RequestView {
    fn from(record: &Record) -> Self {
        let call = &record.call;
        let shown = call.body.get(..BODY_BYTES_SHOWN).unwrap_or(&call.body);
        RequestView {
            number: record.number,
            at: call.received_at.to_rfc3339(),
            provider: record.provider,
            method: call.method.to_string(),
            path: call.path().to_owned(),
            query: call.uri.query().map(str::to_owned),
            headers: headers(call),
            body: String::from_utf8_lossy(shown).into_owned(),
            body_bytes: call.body.len(),
            status: call.answered(),
        }
    }
}

fn headers(call: &Call) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::<String, String>::new();
    for (name, value) in &call.headers {
        let text = if *name == header::AUTHORIZATION {
            fingerprint(value.as_bytes())
        } else {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        shown
            .entry(name.to_string())
            .and_modify(|before| {
                before.push_str(", ");
                before.push_str(&text);
            })
            .or_insert(text);
    }
    shown
}

/// `Basic sha256:1f2e3d4c`: tells two credentials apart without showing either.
fn fingerprint(value: &[u8]) -> String {
    let scheme = value.split(|byte| *byte == b' ').next().unwrap_or_default();
    let digest = hex(&Sha256::digest(value));
    format!(
        "{} sha256:{}",
        String::from_utf8_lossy(scheme),
        digest.get(..8).unwrap_or_default()
    )
}
