//! What a request costs, where the time goes, and what the program keeps in memory.
//!
//! - `call`: one adapter call by itself
//! - `languages`: the same adapter in three languages
//! - `writes`: whole requests, beside other gateways in front of the same provider
//! - `received`: what providers tell
//! - `deliveries`: what webhook endpoints are told
//! - `memory`, `starts`, `installs`: the program as shipped
//!
//! `cargo xtask bench` runs all of it, `cargo xtask bench writes` that part. Everything is measured
//! in rounds, one kind after another, and the first round is thrown away: a busy machine then moves
//! all of them alike. `docs/performance.md` says how to read it.

mod call;
mod conditions;
mod crowds;
mod deliveries;
mod installs;
mod languages;
mod load;
mod memory;
mod native;
mod numbers;
mod peers;
mod process;
mod provider;
mod received;
mod roles;
mod schedule;
mod stages;
mod writes;

use mimalloc::MiMalloc;
use schedule::Schedule;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const POSTGRES_URL: &str = "ONEROUTER_TEST_POSTGRES_URL";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["role", "gateway", ..] => roles::gateway::serve(&arguments[2..]),
        ["role", "pass-through", ..] => roles::pass_through::serve(&arguments[2..]),
        // `cargo test --benches` only checks that it builds.
        arguments if arguments.contains(&"--bench") => {
            let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
            measure(|section| filter.is_none_or(|filter| section.contains(filter)));
        }
        _ => {}
    }
}

fn measure(wanted: impl Fn(&str) -> bool) {
    let schedule = Schedule::of_environment();
    let postgres = std::env::var(POSTGRES_URL).ok();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        conditions::print(postgres.as_deref()).await;
    });
    if wanted("call") {
        call::measure(schedule.rounds, schedule.calls);
    }
    runtime.block_on(async {
        if wanted("languages") {
            languages::measure(schedule.rounds, schedule.calls).await;
        }
        if wanted("writes") {
            writes::measure(&schedule, postgres.is_some()).await;
        }
        if wanted("crowds") && postgres.is_some() {
            crowds::measure(&schedule).await;
        }
        if wanted("received") && postgres.is_some() {
            received::measure(&schedule).await;
        }
        if wanted("deliveries") && postgres.is_some() {
            deliveries::measure(&schedule).await;
        }
        if wanted("memory") {
            memory::measure_memory().await;
        }
        if wanted("starts") {
            memory::measure_starts(schedule.rounds).await;
        }
        if wanted("installs") {
            installs::measure(schedule.rounds).await;
        }
    });
}
