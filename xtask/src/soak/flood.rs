//! Bodies of 100 MB: many at once, declared and chunked; and as many held ones as there is room for.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::Soak;
use super::gateway::Gateway;
use crate::http;

const CLIENTS: usize = 32;
const EACH: usize = 8;
const MEGABYTE: usize = 1 << 20;
/// A gateway that has no room says so at once.
const ANSWER_WAIT: Duration = Duration::from_millis(300);
/// So many of these are 100 MB.
const MEGABYTES: usize = 96;
/// The flood may make the gateway hold this much more, in KiB: of a chunked body it learns only after
/// 10 MiB, the most of an e-mail, that it is too large. One tenant's bodies hold 64 MiB at most, and
/// what is around them while they are read as much again, which the allocator keeps for a while.
const FLOOD_KIB_MAX: u64 = (64 + 128) << 10;
/// The same with as many held as there is room for.
const HELD_KIB_MAX: u64 = (64 + 192) << 10;

pub(super) fn run(soak: &Soak<'_>) -> Result<()> {
    let gateway = Gateway::start(soak)?;
    let (refused, turned_away, served) = <(AtomicUsize, AtomicUsize, AtomicUsize)>::default();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let others = scope.spawn(|| -> Result<()> {
            while !is_over.load(Ordering::Relaxed) {
                gateway.serves()?;
                served.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (gateway, refused, turned_away) = (&gateway, &refused, &turned_away);
                scope.spawn(move || -> Result<()> {
                    for n in 0..EACH {
                        let status = send(gateway, client.wrapping_add(n) % 2 == 0)?;
                        let count = if status == 413 { refused } else { turned_away };
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        let ends: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        let others = others.join();
        for end in ends.into_iter().chain([others]) {
            end.ok().context("a client broke")??;
        }
        Ok(())
    })?;
    let [refused, turned_away, served] =
        [refused, turned_away, served].map(AtomicUsize::into_inner);
    eprintln!(
        "soak:   {refused} bodies of 100 MB were refused, {turned_away} found no room, {served} others were served"
    );
    ensure!(served > 0, "nobody else was served");
    let grown = gateway.report("after them")?;
    ensure!(
        grown < FLOOD_KIB_MAX,
        "{grown} KiB are held for refused bodies"
    );

    hold(&gateway)?;
    let grown = gateway.report("at the end")?;
    ensure!(grown < HELD_KIB_MAX, "{grown} KiB are held for bodies");
    Ok(())
}

/// Writes all of it before it listens, as simple clients do. What is declared is refused for its size;
/// what is not may find no room before that is known.
fn send(gateway: &Gateway, is_declared: bool) -> Result<u16> {
    let mut stream = gateway.connect()?;
    let framing = if is_declared {
        format!("Content-Length: {}", MEGABYTE.saturating_mul(MEGABYTES))
    } else {
        "Transfer-Encoding: chunked".to_owned()
    };
    head(&mut stream, gateway, &framing)?;
    let mut piece = Vec::new();
    if !is_declared {
        piece.extend_from_slice(b"100000\r\n");
    }
    piece.resize(piece.len().saturating_add(MEGABYTE), b' ');
    if !is_declared {
        piece.extend_from_slice(b"\r\n");
    }
    for _ in 0..MEGABYTES {
        // The gateway may stop listening first.
        if stream.write_all(&piece).is_err() {
            break;
        }
    }
    let answer = http::read(&mut stream)?;
    let is_full = !is_declared && answer.status == 503;
    ensure!(answer.status == 413 || is_full, "{answer:?}");
    Ok(answer.status)
}

fn head(stream: &mut std::net::TcpStream, gateway: &Gateway, framing: &str) -> Result<()> {
    // One tenant fills its own room only.
    let key = &gateway.other_key;
    let head = format!(
        "POST /v1/email HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n{framing}\r\n\r\n"
    );
    Ok(stream.write_all(head.as_bytes())?)
}

/// Bodies just below the bound that do not end: as many are read as there is room for.
fn hold(gateway: &Gateway) -> Result<()> {
    let mut holding = Vec::new();
    let mut full = 0_usize;
    let piece = vec![b' '; MEGABYTE];
    for _ in 0..64 {
        let mut stream = gateway.connect()?;
        head(
            &mut stream,
            gateway,
            "Expect: 100-continue\r\nTransfer-Encoding: chunked",
        )?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        if status.ends_with(b"100") {
            for _ in 0..9 {
                // Whoever finds no room on the way is told, and hung up on.
                let is_taken = stream.write_all(b"100000\r\n").is_ok()
                    && stream.write_all(&piece).is_ok()
                    && stream.write_all(b"\r\n").is_ok();
                if !is_taken {
                    break;
                }
            }
            holding.push(stream);
        } else {
            ensure!(
                status.ends_with(b"503"),
                "{}",
                String::from_utf8_lossy(&status)
            );
            full = full.saturating_add(1);
        }
    }
    let mut held = Vec::new();
    for mut stream in holding {
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        let mut status = [0; 12];
        match stream.read_exact(&mut status) {
            Ok(()) if status.ends_with(b"503") => full = full.saturating_add(1),
            Ok(()) => bail!("{}", String::from_utf8_lossy(&status)),
            Err(_no_answer) => held.push(stream),
        }
    }
    gateway.serves()?;
    eprintln!(
        "soak:   {} bodies of 9 MiB are held, {full} found no room",
        held.len()
    );
    ensure!(full > 0, "there is room without end");
    ensure!(!held.is_empty(), "there is no room at all");
    gateway.report("with them")?;
    Ok(())
}
