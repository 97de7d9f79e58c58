//! Where the CPU time of a write goes.

use std::time::Duration;

use onerouter_stages::Stage;

use crate::numbers::{Samples, Table};
use crate::peers::Peer;
use crate::writes::slot;

/// The stages of one kind of load on one peer.
#[derive(Debug)]
pub(crate) struct Stages {
    name: String,
    /// µs per request, in the order of [`Stage::ALL`]; last of all the rest of the process.
    us: Vec<Samples>,
    readings: Samples,
}

impl Stages {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            us: vec![Samples::default(); Stage::ALL.len() + 1],
            readings: Samples::default(),
        }
    }

    /// Writes for so long over so many connections, with the clock running.
    pub(crate) async fn slot(
        &mut self,
        peer: &mut Peer,
        connections: usize,
        (time, counts): (Duration, bool),
    ) {
        let before = spent(&peer.process.ask(Some("run")));
        let (cpu_us, run) = slot(peer, &peer.write(), connections, time).await;
        let after = spent(&peer.process.ask(Some("stop")));
        if !counts {
            return;
        }
        let requests = run.requests as f64;
        let mut rest_us = cpu_us;
        let spent = before
            .iter()
            .zip(&after)
            .map(|(before, after)| after - before);
        for (at, spent) in spent.enumerate() {
            if at == 0 {
                self.readings.add(spent / requests);
                continue;
            }
            let us = spent / 1e3 / requests;
            rest_us -= us;
            self.us[at - 1].add(us);
        }
        self.us[Stage::ALL.len()].add(rest_us);
    }
}

/// Readings of the clock, then ns by stage.
fn spent(line: &str) -> Vec<f64> {
    line.split(' ')
        .map(|number| number.parse().unwrap())
        .collect()
}

pub(crate) fn print(stages: &[&Stages], title: &str) {
    let mut columns = vec!["stage of `POST /v1/sms`, CPU µs"];
    columns.extend(stages.iter().map(|stages| stages.name.as_str()));
    let mut table = Table::new(&columns);
    let names = Stage::ALL.iter().map(|stage| stage.name());
    let rest = "the rest: HTTP server, runtime, background";
    for (at, name) in names.chain([rest]).enumerate() {
        let mut row = vec![name.to_owned()];
        row.extend(stages.iter().map(|stages| stages.us[at].show(1)));
        table.row(&row);
    }
    let mut row = vec![format!(
        "readings of the clock ({:.2} µs each, contained above)",
        reading_us()
    )];
    row.extend(stages.iter().map(|stages| stages.readings.show(1)));
    table.row(&row);
    table.print(title);
}

/// What one reading of the stages' clock costs here.
fn reading_us() -> f64 {
    const READINGS: u32 = 20_000;
    let began = std::time::Instant::now();
    for _ in 0..READINGS {
        let _now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    }
    let spent: Duration = began.elapsed();
    spent.as_secs_f64() * 1e6 / f64::from(READINGS)
}
