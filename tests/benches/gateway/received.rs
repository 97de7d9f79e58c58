//! Webhooks of providers: how many a second are checked, kept and acted on, and what each costs the gateway.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha1::Sha1;

use crate::load::Client;
use crate::numbers::{Samples, Table, percentile};
use crate::peers::{self, Database, Peer, Tenant};
use crate::provider::{ACCOUNT, Provider, SENDER, TOKEN};
use crate::schedule::Schedule;

/// Each over a connection of its own, as limits are per connection.
const TENANTS: usize = 32;
/// Webhooks of one tenant and kind in a round: fewer than a connection may have acted on at once.
const EACH: usize = 150;

/// What arrives.
const KINDS: [(&str, Kind); 3] = [
    ("the status of a message, signed", Kind::Genuine),
    ("the same once more", Kind::Repeated),
    ("the same, wrongly signed", Kind::Forged),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Genuine,
    Repeated,
    Forged,
}

#[derive(Default)]
struct Row {
    cpu_us: Samples,
    per_second: Samples,
    p50_ms: Samples,
    p99_ms: Samples,
}

pub(crate) async fn measure(schedule: &Schedule) {
    let provider = Provider::start().await;
    let peer = peers::shipped(&provider, Database::Postgres, None).await;
    let mut tenants = Vec::new();
    for _ in 0..TENANTS {
        tenants.push(peers::another_tenant(&peer).await);
    }
    let mut rows = KINDS.map(|_| Row::default());
    for round in 0..=schedule.rounds {
        let sent = each(&tenants, |tenant| tenant.send(&peer)).await;
        for ((_, kind), row) in KINDS.into_iter().zip(&mut rows) {
            let told: Vec<_> = tenants
                .iter()
                .zip(&sent)
                .map(|(tenant, sids)| tenant.told(&peer, sids, kind))
                .collect();
            let before = peer.process.cpu_ns();
            let began = Instant::now();
            let mut times_ms = each(&told, |requests| post(&peer, requests, kind))
                .await
                .concat();
            let took = began.elapsed().as_secs_f64();
            let cpu_ns = peer.process.cpu_ns().saturating_sub(before);
            times_ms.sort_by(f64::total_cmp);
            // The first round warms up.
            if round > 0 {
                let count = times_ms.len() as f64;
                row.cpu_us.add(cpu_ns as f64 / 1e3 / count);
                row.per_second.add(count / took);
                row.p50_ms.add(percentile(&times_ms, 0.5));
                row.p99_ms.add(percentile(&times_ms, 0.99));
            }
        }
    }
    let mut table = Table::new(&[
        "webhook",
        "CPU per webhook, µs (range)",
        "webhooks per second",
        "p50, ms",
        "p99, ms",
    ]);
    for ((name, _), row) in KINDS.into_iter().zip(&rows) {
        table.row(&[
            name,
            &row.cpu_us.show(0),
            &row.per_second.show(0),
            &row.p50_ms.show(2),
            &row.p99_ms.show(2),
        ]);
    }
    table.print(&format!(
        "{} webhooks of a provider to {TENANTS} connections, one at a time to each, PostgreSQL, the program as \
         shipped, {} rounds in turn",
        TENANTS * EACH,
        schedule.rounds
    ));
}

/// Does something for each at the same time.
async fn each<'a, T, F: Future>(all: &'a [T], what: impl Fn(&'a T) -> F) -> Vec<F::Output> {
    futures_util::future::join_all(all.iter().map(what)).await
}

impl Tenant {
    /// Sends messages. Gives their ids at the provider.
    async fn send(&self, peer: &Peer) -> Vec<String> {
        let mut client = Client::connect(peer.address).await;
        let target = peer.write_with(&self.key);
        let mut sids = Vec::new();
        for _ in 0..EACH {
            client.exchange(&target.request).await;
            let sent: Value = serde_json::from_str(client.body()).unwrap();
            sids.push(sent["provider_message_id"].as_str().unwrap().to_owned());
        }
        sids
    }

    /// What the provider says of them.
    fn told(&self, peer: &Peer, sids: &[String], kind: Kind) -> Vec<Vec<u8>> {
        let path = format!("/webhooks/twilio/{}", self.connection);
        let url = format!("http://{}{path}", peer.address);
        let token = match kind {
            Kind::Genuine | Kind::Repeated => TOKEN,
            Kind::Forged => "another",
        };
        sids.iter()
            .map(|sid| {
                // In the order of their names, as they are signed.
                let pairs = [
                    ("AccountSid", ACCOUNT),
                    ("ApiVersion", "2010-04-01"),
                    ("From", SENDER),
                    ("MessageSid", sid),
                    ("MessageStatus", "delivered"),
                    ("SmsSid", sid),
                    ("SmsStatus", "delivered"),
                    ("To", "+14155550123"),
                ];
                let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).unwrap();
                mac.update(url.as_bytes());
                for (name, value) in pairs {
                    mac.update(name.as_bytes());
                    mac.update(value.as_bytes());
                }
                let tag = STANDARD.encode(mac.finalize().into_bytes());
                let body = url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(pairs)
                    .finish();
                format!(
                    "POST {path} HTTP/1.1\r\nhost: {}\r\nx-twilio-signature: {tag}\r\n\
                     content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
                    peer.address,
                    body.len()
                )
                .into_bytes()
            })
            .collect()
    }
}

/// One after another. Gives what each took, in ms.
async fn post(peer: &Peer, requests: &[Vec<u8>], kind: Kind) -> Vec<f64> {
    let mut client = Client::connect(peer.address).await;
    let mut times_ms = Vec::with_capacity(requests.len());
    for request in requests {
        let began = Instant::now();
        let status = client.ask(request).await;
        times_ms.push(began.elapsed().as_secs_f64() * 1e3);
        match kind {
            Kind::Genuine | Kind::Repeated => assert_eq!(status, 200, "{}", client.body()),
            Kind::Forged => assert!([401, 429].contains(&status), "{}", client.body()),
        }
    }
    times_ms
}
