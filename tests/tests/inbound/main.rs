//! Webhooks of providers, as they come over HTTP: what is believed, what is kept, what it does.

mod adapters;
mod checksum;
mod disconnected;
mod floods;
mod hanging;
mod hostile;
mod late;
mod messages;
mod money;
mod paypal;
mod permuted;
mod post;
mod slow;
mod told;

use onerouter_tests::harness::{Client, Harness, Setup};
use onerouter_tests::write_path::Ground;

/// The address that providers know.
const PUBLIC_URL: &str = "https://hooks.example.com";

/// A gateway that providers reach, and a client of it.
async fn host(ground: &Ground) -> (Harness, Client) {
    let setup = Setup {
        public_url: Some(PUBLIC_URL.to_owned()),
        ..Setup::default()
    };
    let host = ground.host_with(setup).await;
    let acme = host.key("test").await;
    (host, acme)
}

/// The connection of a provider.
async fn connection(host: &Harness, provider: &str) -> String {
    host.operator().connection(provider).await
}
