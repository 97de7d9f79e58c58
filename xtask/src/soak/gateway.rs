//! A gateway in a process of its own, and what can be asked of it from outside.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Soak;
use crate::http::{self, Answer};

/// `onerouter dev`. Ends with this value.
#[derive(Debug)]
pub(super) struct Gateway {
    child: Child,
    pub(super) address: SocketAddr,
    /// An API key above every rate.
    pub(super) key: String,
    /// One of another tenant, which has no connections.
    pub(super) other_key: String,
    resident_at_start: u64,
}

impl Gateway {
    pub(super) fn start(soak: &Soak<'_>) -> Result<Self> {
        let folder = soak.workspace.target.join("soak");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let log = fs::File::create(folder.join("log"))?;
        let mut child = Command::new(soak.workspace.host_program(soak.profile))
            .args(["dev", "--json", "--bind", "127.0.0.1:0"])
            .current_dir(&folder)
            .env("ONEROUTER_PLUGINS_DIR", soak.workspace.plugins())
            .env("ONEROUTER_UNSIGNED_PLUGINS", "allow")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("cannot run the gateway")?;
        let mut line = String::new();
        let data = child.stdout.take().context("no stdout")?;
        BufReader::new(data).read_line(&mut line)?;
        let mut gateway = Self {
            child,
            address: text(&line, "base_url")?
                .trim_start_matches("http://")
                .parse()?,
            key: String::new(),
            other_key: String::new(),
            resident_at_start: 0,
        };
        let body = r#"{"name":"soak","environment":"test","rate_limit":{"per_second":100000,"burst":100000}}"#;
        let admin_token = text(&line, "admin_token")?;
        let created = gateway.post("/api/api-keys", admin_token, body)?;
        text(&created.text, "key")?.clone_into(&mut gateway.key);
        let other = gateway.post("/api/tenants", admin_token, r#"{"name":"other"}"#)?;
        let of_other = format!(
            "{admin_token}\r\nOneRouter-Tenant: {}",
            text(&other.text, "id")?
        );
        let created = gateway.post("/api/api-keys", &of_other, body)?;
        text(&created.text, "key")?.clone_into(&mut gateway.other_key);
        gateway.resident_at_start = gateway.memory("VmRSS")?;
        Ok(gateway)
    }

    pub(super) fn connect(&self) -> Result<TcpStream> {
        http::connect(self.address)
    }

    pub(super) fn get(&self, path: &str) -> Result<Answer> {
        http::get(self.address, path)
    }

    pub(super) fn post(&self, path: &str, token: &str, body: &str) -> Result<Answer> {
        http::post(self.address, path, token, body)
    }

    /// Others are served: a read that costs nothing, and a message that goes all the way.
    pub(super) fn serves(&self) -> Result<()> {
        let health = self.get("/api/health")?;
        ensure!(health.status == 200, "{health:?}");
        let sms = r#"{"to":"+14155550123","body":"soak"}"#;
        let sent = self.post("/v1/sms", &self.key, sms)?;
        ensure!(sent.status == 201, "{sent:?}");
        Ok(())
    }

    /// The sum over all series of a metric.
    pub(super) fn metric(&self, name: &str) -> Result<f64> {
        let metrics = self.get("/metrics")?.text;
        let of = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let is_it = rest.starts_with(' ') || rest.starts_with('{');
            is_it.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        };
        // Not `sum`: of nothing, that is a negative zero.
        Ok(metrics
            .lines()
            .filter_map(of)
            .fold(0.0, |sum, value| sum + value))
    }

    /// KiB, from the kernel's account of the process: `VmRSS` for now, `VmHWM` for the most so far.
    pub(super) fn memory(&self, what: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .context("memory is read from /proc, which is there on Linux")?;
        let line = status.lines().find_map(|line| line.strip_prefix(what));
        let kib = line.and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        kib.with_context(|| format!("no {what} in /proc"))
    }

    /// Says how much memory is used, and gives by how much it has grown at most, in KiB.
    pub(super) fn report(&self, when: &str) -> Result<u64> {
        let (now, peak) = (self.memory("VmRSS")?, self.memory("VmHWM")?);
        eprintln!(
            "soak:   memory: {} MiB at the start, {} MiB {when}, {} MiB at most",
            self.resident_at_start >> 10,
            now >> 10,
            peak >> 10
        );
        Ok(peak.saturating_sub(self.resident_at_start))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A text of a JSON object that has nothing escaped in it.
fn text<'a>(json: &'a str, name: &str) -> Result<&'a str> {
    let mark = format!("\"{name}\":\"");
    let after = json.split_once(&mark).map(|(_, rest)| rest);
    let value = after.and_then(|rest| rest.split('"').next());
    value.with_context(|| format!("no {name} in {json}"))
}

/// How many files we may open, made as many as the system allows.
pub(super) fn files() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}
