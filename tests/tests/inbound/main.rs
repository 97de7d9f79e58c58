//! Webhooks of providers, as they come over HTTP: what is believed, what is kept, what it does.

mod hostile;
mod messages;
mod money;
mod permuted;
mod post;
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
    let listed = host.operator().get("/api/services").await;
    let connections = listed.json["data"].as_array().unwrap();
    let found = connections.iter().find(|one| one["provider"] == provider);
    found.unwrap()["id"].as_str().unwrap().to_owned()
}
