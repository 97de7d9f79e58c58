//! The gateway inside of this program: the same library, with a clock for its stages and, if asked,
//! native code in the adapter's place.

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::process::Command;

use onerouter::config::{Config, UnsignedPlugins};
use onerouter::gateway::{Doubles, Gateway};
use onerouter_stages::{set_running, totals};
use onerouter_tests::harness::ADMIN_TOKEN;

use crate::native::Mapping;
use crate::peers::ServedBy;

/// Sandboxed code that spins yields between its slices; as in the program.
const EVENT_INTERVAL: u32 = 13;

/// As the word of an argument.
const NATIVE_CODE: &str = "native-code";

/// What the process is told.
#[derive(Debug)]
pub(crate) struct Settings<'s> {
    pub(crate) data_dir: &'s Path,
    pub(crate) plugins_dir: &'s Path,
    pub(crate) database_url: Option<&'s str>,
    pub(crate) redis_url: Option<&'s str>,
    pub(crate) upstream: (&'s str, &'s str),
    pub(crate) served_by: ServedBy,
}

impl Settings<'_> {
    /// This program in that role.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["role", "gateway"])
            .arg(self.data_dir)
            .arg(self.plugins_dir)
            .arg(self.database_url.unwrap_or_default())
            .arg(self.redis_url.unwrap_or_default())
            .args([self.upstream.0, self.upstream.1])
            .arg(match self.served_by {
                ServedBy::NativeCode => NATIVE_CODE,
                ServedBy::Component => "component",
            });
        command
    }
}

/// Serves until standard input ends. Each line of it is a question, with one line as the answer:
/// `run` and `stop` the clock, and its `totals`.
pub(crate) fn serve(arguments: &[String]) {
    let [
        data_dir,
        plugins_dir,
        database_url,
        redis_url,
        host,
        base,
        served_by,
    ] = arguments
    else {
        panic!("{arguments:?}")
    };
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()
        .unwrap();
    let mut config = Config::in_folder(Path::new(data_dir));
    config.admin_token = Some(ADMIN_TOKEN.to_owned().into());
    config.plugin_trust.unsigned = UnsignedPlugins::Allow;
    config.plugins_dir = plugins_dir.into();
    if !database_url.is_empty() {
        database_url.clone_into(&mut config.database_url);
    }
    if !redis_url.is_empty() {
        config.redis_url = Some(redis_url.clone().into());
    }
    config.upstreams.set(host, base).unwrap();
    let gateway = runtime
        .block_on(Gateway::start(&config, Doubles::default()))
        .unwrap();
    if served_by == NATIVE_CODE {
        for adapter in gateway.parts().adapters.list() {
            adapter.answer_natively(Mapping);
        }
    }
    let mut out = std::io::stdout();
    writeln!(out, "{}", gateway.address()).unwrap();
    for line in std::io::stdin().lock().lines() {
        match line.unwrap().as_str() {
            "run" => set_running(true),
            "stop" => set_running(false),
            _ => {}
        }
        let totals = totals();
        let mut answer = vec![totals.readings.to_string()];
        answer.extend(totals.spent_ns.iter().map(u64::to_string));
        writeln!(out, "{}", answer.join(" ")).unwrap();
    }
    runtime.block_on(gateway.shutdown());
}
