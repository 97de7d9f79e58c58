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
    provider::{self, Provider},
    server::{self, Front},
};

/// An answer that a fault keeps back for minutes shall not keep a test run that long.
const SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// A running sandbox. Dropping it stops it without waiting; [`Sandbox::shutdown`] waits.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    front: Arc<Front>,
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
        let front = Arc::new(Front {
            providers: provider::all(&core),
            core,
            tasks: tasks.clone(),
        });
        let stop = CancellationToken::new();
        tasks.spawn(server::accept(listener, Arc::clone(&front), stop.clone()));
        Ok(Sandbox {
            address,
            front,
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

    /// For each provider its real host name and the URL that stands in for it.
    pub fn upstreams(&self) -> Vec<(String, String)> {
        let upstream = |provider: &Arc<dyn Provider>| {
            (
                provider.host().to_owned(),
                format!("{}/{}", self.url(), provider.name()),
            )
        };
        self.front.providers.iter().map(upstream).collect()
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
