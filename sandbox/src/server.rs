//! Sockets and routing: which provider a request is for, and what a fault does to it.

mod framing;
mod front;
mod socket;

use std::{convert::Infallible, future, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(crate) use self::front::Front;
use self::socket::{ResetSwitch, Socket};

/// After a failed accept (out of file descriptors, mostly) there is no sense in trying at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a connection may take to send a request's head.
const HEAD_MAX: Duration = Duration::from_secs(30);

/// Serves connections until `stop`.
pub(crate) async fn accept(listener: TcpListener, front: Arc<Front>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                front
                    .tasks
                    .spawn(serve(stream, Arc::clone(&front), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "the sandbox could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection, HTTP/1.1: a fault that resets it then meets exactly one request.
async fn serve(stream: TcpStream, front: Arc<Front>, stop: CancellationToken) {
    // Answers are small and whole; waiting for more to send only adds latency. Not vital when refused.
    let _ = stream.set_nodelay(true);
    let reset = ResetSwitch::default();
    let socket = Socket::new(stream, reset.clone());
    let service = service_fn(|request| {
        let (front, reset) = (Arc::clone(&front), reset.clone());
        async move {
            match front.serve(request).await {
                Ok(response) => Ok::<_, Infallible>(response),
                Err(front::Reset) => {
                    reset.throw();
                    // The connection task sees the switch, drops the socket and with it this future.
                    future::pending().await
                }
            }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .serve_connection(TokioIo::new(socket), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to the sandbox broke off");
            }
        }
        () = reset.thrown() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // How it ends is of no interest any more.
            let _ = tokio::time::timeout(Duration::from_secs(1), connection).await;
        }
    }
}
