//! All of Redis: limits that nodes share, and a word to the others when something has changed.
//!
//! It makes things fairer and faster, and nothing depends on it. While it is away, each node limits for
//! itself and looks for changes in its own time. A request waits for it [`ANSWER_MAX`] at most, and
//! once it has failed nobody waits until it is back.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::{MultiplexedConnection, PubSubStream};
use ::redis::{AsyncConnectionConfig, Client, RedisError, Script};
use arc_swap::ArcSwapOption;
use futures_util::StreamExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::service::caller::Rate;
use crate::service::changes::Changes;

/// How long a request waits for an answer before the node decides for itself.
const ANSWER_MAX: Duration = Duration::from_millis(100);
/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How often it is tried whether Redis still works, and whether it is back.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// A connection that lasts for less comes and goes.
const STEADY_AFTER: Duration = Duration::from_secs(10);
/// Requests that may wait to be written.
const QUEUE: usize = 1_024;
/// Where nodes say that something has changed. What has, is in the database.
const CHANNEL: &str = "onerouter:changes";
/// Limits begin with this; the id of a key or of an endpoint follows.
const LIMIT: &str = "onerouter:limit:";
/// Whose limit is used to try whether limits work.
const PROBE: &str = "probe";

/// What became of a request by a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It may go on; so many more may come at once.
    Admitted {
        /// How many.
        remaining: u32,
    },
    /// It is one too many.
    Refused {
        /// Until there is room for one.
        wait: Duration,
    },
}

/// A Redis that may go away.
pub struct Redis {
    client: Client,
    limit: Script,
    /// None while it is away.
    connection: ArcSwapOption<MultiplexedConnection>,
    lost: Notify,
}

impl fmt::Debug for Redis {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("is_up", &self.is_up())
            .finish_non_exhaustive()
    }
}

impl Redis {
    /// At this URL; it is not reached yet.
    ///
    /// # Errors
    /// It is no URL of a Redis.
    pub fn new(url: &SecretString) -> Result<Self, RedisError> {
        Ok(Self {
            client: Client::open(url.expose_secret())?,
            limit: Script::new(include_str!("redis/limit.lua")),
            connection: ArcSwapOption::empty(),
            lost: Notify::new(),
        })
    }

    /// Whether it works.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.connection.load().is_some()
    }

    /// Connects, and tries whether it can be used.
    ///
    /// # Errors
    /// It cannot be reached, or refuses what is asked of it.
    pub async fn connect(&self) -> Result<(), RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            // The wait for an answer is bounded here, with the wait for room in the queue.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE);
        let connecting = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        let connection = within(CONNECT_MAX, connecting).await?;
        self.probe(&connection).await?;
        self.connection.store(Some(Arc::new(connection)));
        metrics::gauge!("onerouter_redis_up").set(1.0);
        Ok(())
    }

    /// Counts one of a key's requests or of an endpoint's deliveries. None where Redis is away: the node decides for itself.
    pub async fn take(&self, of: Uuid, rate: Rate) -> Option<Taken> {
        let connection = self.connection.load_full()?;
        let taken = self.take_of(&connection, &of.to_string(), rate).await;
        taken
            .inspect_err(|error| self.lose(&connection, error))
            .ok()
    }

    async fn take_of(
        &self,
        connection: &MultiplexedConnection,
        key: &str,
        rate: Rate,
    ) -> Result<Taken, RedisError> {
        let mut asked = self.limit.key(format!("{LIMIT}{key}"));
        asked.arg(rate.per_second).arg(rate.burst);
        let mut connection = connection.clone();
        let answer: (u8, u64) = within(ANSWER_MAX, asked.invoke_async(&mut connection)).await?;
        Ok(match answer {
            (0, wait_us) => Taken::Refused {
                wait: Duration::from_micros(wait_us),
            },
            (_, remaining) => Taken::Admitted {
                remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            },
        })
    }

    /// A limit is what is asked of it most, and needs it to keep something: one that is full, or only
    /// copies another, is of no use.
    async fn probe(&self, connection: &MultiplexedConnection) -> Result<(), RedisError> {
        let rate = Rate {
            per_second: 1_000,
            burst: 1,
        };
        self.take_of(connection, PROBE, rate).await.map(drop)
    }

    /// Keeps the connection, and passes on what nodes say to each other, until `stop`.
    pub async fn run(self: Arc<Self>, changes: Arc<Changes>, stop: CancellationToken) {
        let kept = self.keep_coming_back(&changes);
        tokio::select! {
            () = stop.cancelled() => {}
            never = kept => match never {},
        }
    }

    async fn keep_coming_back(&self, changes: &Changes) -> Infallible {
        let mut pause = PROBE_EVERY;
        loop {
            if !self.is_up() {
                if let Err(error) = self.connect().await {
                    tracing::debug!(%error, "Redis is still away");
                    tokio::time::sleep(PROBE_EVERY).await;
                    continue;
                }
                tracing::info!("Redis is back: nodes share limits again");
            }
            let began = Instant::now();
            let Err(error) = self.keep(changes).await;
            // Unless a request has noticed it first.
            if let Some(connection) = self.connection.load_full() {
                self.lose(&connection, &error);
            }
            // One that comes and goes is left alone for longer each time.
            pause = if began.elapsed() < STEADY_AFTER {
                (pause * 2).min(STEADY_AFTER)
            } else {
                PROBE_EVERY
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Returns when it is away.
    async fn keep(&self, changes: &Changes) -> Result<Infallible, RedisError> {
        // Limits work without it: who may not listen looks in its own time.
        let mut said = self.listen().await;
        let mut listened_at = Instant::now();
        let mut probes = tokio::time::interval(PROBE_EVERY);
        loop {
            let connection = self.connection.load_full().ok_or_else(closed)?;
            tokio::select! {
                () = self.lost.notified() => {}
                _ = probes.tick() => {
                    self.probe(&connection).await?;
                    if said.is_none() && listened_at.elapsed() >= STEADY_AFTER {
                        said = self.listen().await;
                        listened_at = Instant::now();
                    }
                }
                message = next(&mut said) => match message {
                    Some(_) => changes.want_look(),
                    None => said = None,
                },
                () = changes.made() => {
                    let mut connection = MultiplexedConnection::clone(&connection);
                    let mut publish = ::redis::cmd("PUBLISH");
                    publish.arg(CHANNEL).arg("");
                    let told = within(ANSWER_MAX, publish.exec_async(&mut connection)).await;
                    if let Err(error) = told {
                        tracing::debug!(%error, "nobody is told of a change: nodes look in their own time");
                    }
                }
            }
        }
    }

    async fn listen(&self) -> Option<PubSubStream> {
        let listening = self.subscribe().await;
        listening
            .inspect_err(|error| {
                tracing::warn!(%error, "cannot listen for changes in Redis: they are looked for instead");
            })
            .ok()
    }

    /// Hears of changes.
    ///
    /// # Errors
    /// It cannot be reached, or does not allow it.
    pub async fn subscribe(&self) -> Result<PubSubStream, RedisError> {
        let mut others = within(CONNECT_MAX, self.client.get_async_pubsub()).await?;
        within(CONNECT_MAX, others.subscribe(CHANNEL)).await?;
        Ok(others.into_on_message())
    }

    /// Uses this connection no more, if it is still the one that is used.
    fn lose(&self, connection: &Arc<MultiplexedConnection>, error: &RedisError) {
        let before = self.connection.compare_and_swap(connection, None);
        if before
            .as_ref()
            .is_some_and(|before| Arc::ptr_eq(before, connection))
        {
            tracing::warn!(%error, "Redis is away: each node limits for itself");
            metrics::gauge!("onerouter_redis_up").set(0.0);
            self.lost.notify_one();
        }
    }
}

/// The next word; never, where nobody listens.
async fn next(said: &mut Option<PubSubStream>) -> Option<::redis::Msg> {
    match said {
        Some(said) => said.next().await,
        None => std::future::pending().await,
    }
}

async fn within<T>(
    time: Duration,
    answer: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisError> {
    match tokio::time::timeout(time, answer).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} ms", time.as_millis()),
        )
        .into()),
    }
}

fn closed() -> RedisError {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection ended").into()
}
