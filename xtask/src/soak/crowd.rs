//! Idle connections: ten thousand, and then more than the gateway has room for.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::Soak;
use super::gateway::{Gateway, files};

const IDLE: usize = 10_000;
/// More than `CONNECTIONS_MAX` in `host/src/http/server.rs`.
const TOO_MANY: usize = 17_000;
const ROOM: f64 = 16_384.0;
/// Other clients that ask meanwhile.
const OTHERS: usize = 200;
/// What one idle connection may cost, in KiB. Measured without optimisations: 34, of which the
/// allocator's rounding is a good part (21 with the system's).
const KIB_EACH_MAX: u64 = 48;

/// Whole, begun and absent requests of both versions.
const OPENINGS: [&[u8]; 4] = [
    b"GET /api/health HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /api/health HTTP/1.1\r\nHost: a\r\nA: ",
    b"",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
];

pub(super) fn run(soak: &Soak<'_>) -> Result<()> {
    let files = files()?;
    ensure!(files > 11_000, "only {files} open files are allowed");
    let gateway = Gateway::start(soak)?;
    let mut crowd = Vec::new();
    let begun = Instant::now();
    // Those that are waited for longest come first.
    join(&gateway, &mut crowd, &OPENINGS[3..], IDLE / 2)?;
    join(&gateway, &mut crowd, &OPENINGS[..3], IDLE / 2)?;
    let connected = gateway.metric("onerouter_http_connections")?;
    let ms = begun.elapsed().as_millis();
    eprintln!("soak:   {connected} connections after {ms} ms");
    ensure!(connected >= 9_990.0, "idle clients were thrown out early");
    let slowest = others(&gateway)?;
    let grown = gateway.report("with them")?;
    eprintln!("soak:   {OTHERS} others were served, the slowest in {slowest} ms");
    let most = KIB_EACH_MAX.saturating_mul(10_000);
    ensure!(grown < most, "{grown} KiB for 10,000 connections");

    if files > 18_000 {
        join(
            &gateway,
            &mut crowd,
            &OPENINGS,
            TOO_MANY.saturating_sub(IDLE),
        )?;
        others(&gateway)?;
        let connected = gateway.metric("onerouter_http_connections")?;
        let evicted = gateway.metric("onerouter_http_connections_evicted_total")?;
        let refused = gateway.metric("onerouter_http_connections_refused_total")?;
        eprintln!(
            "soak:   of {TOO_MANY} clients {connected} are connected, {evicted} gave way, {refused} were refused"
        );
        ensure!(connected <= ROOM, "more than there is room for");
        ensure!(refused < 1.0, "idle clients kept others out");
        gateway.report("with more")?;
    } else {
        eprintln!("soak:   {files} open files are too few for more");
    }

    // They are closed by the gateway, sooner or later: heads and keep-alive after 10 s.
    let mut scrap = [0; 4_096];
    let mut closed = 0_usize;
    for (client, opening) in &mut crowd {
        if opening.starts_with(b"PRI") {
            continue;
        }
        while let Ok(1..) = client.read(&mut scrap) {}
        closed = closed.saturating_add(1);
    }
    eprintln!("soak:   {closed} slow clients of HTTP/1 were closed by the gateway");
    drop(crowd);
    gateway.serves()?;
    gateway.report("at the end")?;
    Ok(())
}

type Member = (TcpStream, &'static [u8]);

fn join(
    gateway: &Gateway,
    crowd: &mut Vec<Member>,
    openings: &[&'static [u8]],
    more: usize,
) -> Result<()> {
    for opening in openings.iter().cycle().take(more) {
        let mut client = gateway.connect()?;
        client.write_all(opening)?;
        crowd.push((client, opening));
    }
    Ok(())
}

/// How long the slowest of them waited, in milliseconds.
fn others(gateway: &Gateway) -> Result<u128> {
    let mut slowest = 0;
    for _ in 0..OTHERS {
        let begun = Instant::now();
        gateway.serves()?;
        slowest = slowest.max(begun.elapsed().as_millis());
    }
    Ok(slowest)
}
