//! How a connection ends, so that the client can read the last answer.
//!
//! A socket that is closed with unread bytes in it is reset, and a reset takes away what the client
//! has not read yet: the 413 of whoever is still sending a body, say. So the connection is closed in
//! one direction first, and what still comes is thrown away for a while.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::plain;
use super::wire::Returned;

/// Bytes that are thrown away at a time.
const SCRAP_BYTES: usize = 4 << 10;
/// A client that sends nothing for so long has read what it wanted to.
const QUIET_MAX: Duration = Duration::from_secs(1);
/// However much it has to send.
const LINGER_MAX: Duration = Duration::from_secs(5);

/// Ends a connection that the HTTP library is done with, well or badly.
pub(super) async fn close(returned: Returned<TcpStream>, badly: bool) {
    let Returned {
        mut stream,
        has_ended,
        is_mid_head,
    } = returned;
    // Of all the mistakes, only this one goes unsaid in the library.
    if badly && is_mid_head {
        say(&mut stream, &plain::too_late()).await;
    }
    if !has_ended {
        linger(&mut stream).await;
    }
}

/// Ends a connection before it began.
pub(super) async fn turn_away(mut stream: TcpStream) {
    say(&mut stream, &plain::overloaded()).await;
    linger(&mut stream).await;
}

async fn say(stream: &mut TcpStream, words: &[u8]) {
    // They fit into the socket's buffer, unless the client does not read.
    match tokio::time::timeout(QUIET_MAX, stream.write_all(words)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a client was gone before the last word"),
        Err(_elapsed) => tracing::debug!("a client does not read the last word"),
    }
}

async fn linger(stream: &mut TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let drained = async {
        let mut scrap = vec![0; SCRAP_BYTES];
        while let Ok(Ok(1..)) = tokio::time::timeout(QUIET_MAX, stream.read(&mut scrap)).await {}
    };
    if tokio::time::timeout(LINGER_MAX, drained).await.is_err() {
        tracing::debug!("a client goes on sending after its last answer");
    }
}
