//! Starting, describing and stopping a sandbox.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::net::TcpListener;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    config::SandboxConfig,
    connection::SandboxConnection,
    core::Core,
    provider::{self, Known},
    server::{self, Front},
    twilio::InboundSms,
    webhooks::{self, Courier, NewWebhook, Webhook, WebhookAttempt, WebhookChange, WebhookError},
};

/// An answer that a fault keeps back for minutes shall not keep a test run that long.
const SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// A running sandbox. Dropping it stops it without waiting; [`Sandbox::shutdown`] waits.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    front: Arc<Front>,
    known: Known,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl Sandbox {
    /// Binds and serves.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(config: SandboxConfig) -> io::Result<Sandbox> {
        let listener = TcpListener::bind(config.bind).await?;
        let mut address = listener.local_addr()?;
        if address.ip().is_unspecified() {
            // Bound to every address; this is the one that a client can name.
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        let core = Core::new(&config, url_of(address));
        let tasks = TaskTracker::new();
        let (providers, known) = provider::all(&core);
        let front = Arc::new(Front {
            providers,
            core,
            tasks: tasks.clone(),
        });
        let stop = CancellationToken::new();
        let courier = Arc::new(Courier::new(
            Arc::clone(&front.core),
            front.providers.clone(),
        ));
        tasks.spawn(webhooks::run(courier, tasks.clone(), stop.clone()));
        tasks.spawn(server::accept(listener, Arc::clone(&front), stop.clone()));
        Ok(Sandbox {
            address,
            front,
            known,
            tasks,
            stop: stop.drop_guard(),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:4010`
    pub fn url(&self) -> String {
        url_of(self.address)
    }

    /// For each host name of each provider the URL that stands in for it.
    pub fn upstreams(&self) -> Vec<(String, String)> {
        let upstreams = self.front.providers.iter().flat_map(|provider| {
            let hosts = std::iter::once(provider.host());
            let hosts = hosts.chain(provider.other_hosts().iter().copied());
            let url = format!("{}/{}", self.url(), provider.name());
            hosts.map(move |host| (host.to_owned(), url.clone()))
        });
        upstreams.collect()
    }

    /// One connection per provider; the credentials work here.
    pub fn connections(&self) -> Vec<SandboxConnection> {
        let providers = self.front.providers.iter();
        providers.map(|provider| provider.connection()).collect()
    }

    /// The connection of one provider.
    pub fn connection(&self, provider: &str) -> Option<SandboxConnection> {
        let mut providers = self.front.providers.iter();
        let found = providers.find(|known| known.name() == provider)?;
        Some(found.connection())
    }

    /// The connection of a provider that sends its events to `url` from now on: with what a gateway needs to
    /// know that they are the provider's.
    ///
    /// # Errors
    /// As [`Sandbox::add_webhook`].
    pub fn connection_with_webhook(
        &self,
        provider: &str,
        url: &str,
    ) -> Result<SandboxConnection, WebhookError> {
        let unknown = || WebhookError::new(format!("there is no provider {provider}"));
        let mut connection = self.connection(provider).ok_or_else(unknown)?;
        let webhook = self.add_webhook(&NewWebhook {
            provider: provider.to_owned(),
            url: url.to_owned(),
            ..NewWebhook::default()
        })?;
        match provider {
            // Its id is a part of what is signed.
            crate::paypal::NAME => connection.credentials.insert("webhook_id", webhook.id),
            // Signed with the account's own token.
            crate::twilio::NAME => None,
            _ => webhook
                .secret
                .and_then(|secret| connection.credentials.insert("webhook_secret", secret)),
        };
        Ok(connection)
    }

    /// Has a provider send its events to that URL, as the merchant would set it on the provider's pages or
    /// with its API.
    ///
    /// # Errors
    /// When there is no such provider or account, or when the URL is none that this sandbox sends to.
    pub fn add_webhook(&self, new: &NewWebhook) -> Result<Webhook, WebhookError> {
        let added = provider::add_webhook(&self.front.providers, new);
        self.front.core.webhooks.ring();
        added
    }

    pub fn webhooks(&self) -> Vec<Webhook> {
        provider::webhooks(&self.front.providers)
    }

    /// # Errors
    /// When there is no such webhook, or when it cannot be changed so.
    pub fn change_webhook(
        &self,
        id: &str,
        change: &WebhookChange,
    ) -> Result<Webhook, WebhookError> {
        let changed = provider::change_webhook(&self.front.providers, id, change);
        self.front.core.webhooks.ring();
        changed.unwrap_or_else(|| Err(WebhookError::new(format!("no provider has a webhook {id}"))))
    }

    /// Whether there was one.
    pub fn remove_webhook(&self, id: &str) -> bool {
        provider::remove_webhook(&self.front.providers, id)
    }

    /// Somebody texts a number of Twilio's ordinary account; gives the message's SID.
    ///
    /// # Errors
    /// When `to` is none of the account's numbers, or `from` no number at all.
    pub fn receive_sms(&self, new: &InboundSms) -> Result<String, WebhookError> {
        self.known.twilio.receive(new)
    }

    /// The root of the certificates with which PayPal's webhooks are signed here, as PEM: a gateway has to be
    /// told to trust it. `None` when no key could be made.
    pub fn webhook_root_certificate(&self) -> Option<String> {
        self.known.paypal.root_certificate()
    }

    /// Every attempt to deliver an event that is still kept, in the order in which they ended.
    pub fn webhook_attempts(&self) -> Vec<WebhookAttempt> {
        self.front.core.webhooks.attempts()
    }

    /// Waits until everything that has happened by now, and every retry that is due, was sent and answered.
    pub async fn webhooks_settled(&self) {
        for provider in &self.front.providers {
            provider.catch_up();
        }
        let core = &self.front.core;
        core.webhooks.ring();
        core.webhooks.settled(|| core.clock.now()).await;
    }

    /// Stops accepting, lets answers under way finish for up to two seconds, then cuts them off.
    pub async fn shutdown(self) {
        drop(self.stop);
        self.tasks.close();
        // Running out of time is fine: what is left ends with its connection or its fault's delay.
        let _ = tokio::time::timeout(SHUTDOWN_MAX, self.tasks.wait()).await;
    }
}

fn url_of(address: SocketAddr) -> String {
    format!("http://{address}")
}
