//! Webhooks of providers: how many a second are checked, kept and acted on, and what each costs the gateway.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use onerouter_tests::harness::built;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;

use crate::load::{Client, Figures, Run};
use crate::numbers::Table;
use crate::peers::{self, Database, Peer, Tenant};
use crate::provider::{ACCOUNT, Provider, SENDER, TOKEN};
use crate::schedule::Schedule;

/// Each over a connection of its own, as limits are per connection.
const TENANTS: usize = 32;
/// Webhooks of one tenant and kind in a round: fewer than a connection may have acted on at once.
const EACH: usize = 150;

/// What arrives.
const KINDS: [(&str, Kind); 4] = [
    (
        "the status of a message, checked by the host",
        Kind::Genuine,
    ),
    ("the same once more", Kind::Repeated),
    ("the same, wrongly signed", Kind::Forged),
    (
        "a text that comes in, checked by its adapter",
        Kind::LeftToAdapter,
    ),
];

/// An adapter that checks for itself, and what its provider signs with.
const BELL: &str = "acme-bell";
const BELL_SECRET: &str = "bell-secret-0001";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Genuine,
    Repeated,
    Forged,
    LeftToAdapter,
}

pub(crate) async fn measure(schedule: &Schedule) {
    let provider = Provider::start().await;
    let adapters = adapters();
    let peer = peers::shipped_with(&provider, Database::Postgres, None, adapters.path()).await;
    let mut tenants = Vec::new();
    let mut bells = Vec::new();
    for _ in 0..TENANTS {
        tenants.push(peers::another_tenant(&peer).await);
        // Tenants of their own, who send nothing.
        let tenant = peers::another_tenant(&peer).await;
        let credentials = json!({"token": "bell-token-0001", "bell_secret": BELL_SECRET});
        bells.push(peers::connect_also(&peer, &tenant, BELL, &credentials).await);
    }
    let mut rows = KINDS.map(|_| Figures::default());
    for round in 0..=schedule.rounds {
        let sent = each(&tenants, |tenant| tenant.send(&peer)).await;
        for ((_, kind), row) in KINDS.into_iter().zip(&mut rows) {
            let told: Vec<_> = match kind {
                Kind::LeftToAdapter => bells.iter().map(|bell| rung(&peer, bell, round)).collect(),
                Kind::Genuine | Kind::Repeated | Kind::Forged => tenants
                    .iter()
                    .zip(&sent)
                    .map(|(tenant, sids)| tenant.told(&peer, sids, kind))
                    .collect(),
            };
            let before = peer.process.cpu_ns();
            let began = Instant::now();
            let times_ms = each(&told, |requests| post(&peer, requests, kind)).await;
            let run = Run::of(times_ms.concat(), began.elapsed().as_secs_f64());
            let cpu_ns = peer.process.cpu_ns().saturating_sub(before);
            // The first round warms up.
            if round > 0 {
                row.add(cpu_ns as f64 / 1e3 / run.requests as f64, &run);
            }
        }
    }
    let columns: Vec<&str> = ["webhook"].into_iter().chain(Figures::COLUMNS).collect();
    let mut table = Table::new(&columns);
    for ((name, _), row) in KINDS.into_iter().zip(&rows) {
        let mut cells = vec![name.to_owned()];
        cells.extend(row.cells());
        table.row(&cells);
    }
    table.print(&format!(
        "{} webhooks of a provider to {TENANTS} connections, one at a time to each, PostgreSQL, the program as \
         shipped, {} rounds in turn",
        TENANTS * EACH,
        schedule.rounds
    ));
}

/// The bundled adapters, and the one that checks for itself.
fn adapters() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let fixture = built("ONEROUTER_TEST_FIXTURES_DIR", "fixtures").join(format!("{BELL}.wasm"));
    let bundled = std::fs::read_dir(peers::plugins()).unwrap();
    let bundled = bundled.map(|entry| entry.unwrap().path());
    for path in bundled.chain([fixture]) {
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

/// Texts that have come in, as only their adapter can check.
fn rung(peer: &Peer, connection: &str, round: usize) -> Vec<Vec<u8>> {
    let texts = (0..EACH).map(|number| {
        let body = format!(
            r#"{{"id":"{round}-{number}","from":"+14155550188","to":"+12025550142","text":"Ring"}}"#
        );
        let time = "1764000000";
        let mut mac = Hmac::<Sha256>::new_from_slice(BELL_SECRET.as_bytes()).unwrap();
        mac.update(format!("{time}:{body}").as_bytes());
        let tag: String = mac
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!(
            "POST /webhooks/{BELL}/{connection} HTTP/1.1\r\nhost: {}\r\nx-bell-time: {time}\r\n\
             x-bell-tag: {tag}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            peer.address,
            body.len()
        )
        .into_bytes()
    });
    texts.collect()
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
            Kind::Genuine | Kind::Repeated | Kind::LeftToAdapter => TOKEN,
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
            Kind::Genuine | Kind::Repeated | Kind::LeftToAdapter => {
                assert_eq!(status, 200, "{}", client.body());
            }
            Kind::Forged => assert!([401, 429].contains(&status), "{}", client.body()),
        }
    }
    times_ms
}
