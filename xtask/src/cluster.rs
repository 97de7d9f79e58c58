//! `cargo xtask cluster`: three gateways over one database behind a balancer, for a person to play with.
//!
//! PostgreSQL with an owner and a role that serves, Redis, the emulated providers, three nodes, nginx.
//! All of it is private, on loopback, and gone when this process ends.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::postgres::{Commits, Postgres, free_port};
use crate::watchdog::Watchdog;
use crate::workspace::{BUILD_HOST, Workspace, without_cargo_run};
use crate::{http, plugins, process, servers};

const NODES: usize = 3;
/// A node that has ended is started again after this: time to see how it is without it.
const DOWN_FOR: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Nothing is a secret here.
const MASTER_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const ADMIN_TOKEN: &str = "cluster-admin-token";
const SERVICE_ROLE: &str = "onerouter_service";

/// What the command line asks for.
#[derive(Debug, clap::Args)]
pub(crate) struct ClusterArgs {
    /// Build the gateway with optimisations
    #[arg(long)]
    release: bool,
    /// Port of the balancer; 0 picks one
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Print one line of JSON when ready, and nothing else on standard output
    #[arg(long)]
    json: bool,
    /// Use what was built before
    #[arg(long, hide = true)]
    no_build: bool,
}

/// Everything that runs.
struct Cluster {
    program: PathBuf,
    plugins: PathBuf,
    folder: PathBuf,
    watchdog: Watchdog,
    /// For every node.
    settings: Vec<(&'static str, String)>,
    nodes: Vec<Node>,
    // Dropped last, since it goes on while the others end.
    postgres: Postgres,
}

struct Node {
    port: u16,
    child: Child,
    ended_at: Option<Instant>,
}

/// `cargo xtask cluster`.
pub(crate) fn run(workspace: &Workspace, args: &ClusterArgs) -> Result<ExitCode> {
    let profile = if args.release { "release" } else { "debug" };
    if !args.no_build {
        plugins::build(workspace)?;
        let mut build = workspace.cargo();
        build.args(BUILD_HOST);
        if args.release {
            build.arg("--release");
        }
        process::run(&mut build)?;
    }
    let servers = servers::provide(&["redis-server", "nginx"])?;
    let postgres = Postgres::start(Commits::Forgetful)?;
    let folder = private_folder()?;
    let mut cluster = Cluster {
        program: workspace.host_program(profile),
        plugins: workspace.plugins(),
        watchdog: Watchdog::of_processes(&folder)?,
        folder,
        settings: Vec::new(),
        nodes: Vec::new(),
        postgres,
    };
    let balancer = match args.port {
        0 => free_port()?,
        port => port,
    };
    let redis = cluster.start_redis(servers::path(&servers, "redis-server")?)?;
    let sandbox = cluster.start_sandbox()?;
    cluster.settings = settings(&cluster.postgres, redis, balancer, &sandbox)?;
    cluster.migrate()?;
    for _ in 0..NODES {
        let port = free_port()?;
        let child = cluster.start_node(port)?;
        cluster.nodes.push(Node {
            port,
            child,
            ended_at: None,
        });
    }
    cluster.start_nginx(servers::path(&servers, "nginx")?, balancer)?;
    let key = cluster.set_up(&sandbox)?;
    cluster.tell(args.json, balancer, &sandbox, &key);
    cluster.mind()
}

/// A folder that is removed by the watchdog.
fn private_folder() -> Result<PathBuf> {
    let name = std::env::temp_dir().join("onerouter-cluster.XXXXXX");
    process::read(Command::new("mktemp").arg("-d").arg(name)).map(PathBuf::from)
}

fn settings(
    postgres: &Postgres,
    redis: u16,
    balancer: u16,
    sandbox: &Value,
) -> Result<Vec<(&'static str, String)>> {
    let create = format!("create role {SERVICE_ROLE} login");
    postgres.run(&create)?;
    let owner = postgres.url();
    let text = |name: &str| sandbox[name].as_str().unwrap_or_default().to_owned();
    Ok(vec![
        (
            "DATABASE_URL",
            owner.replace("postgres@", &format!("{SERVICE_ROLE}@")),
        ),
        ("ONEROUTER_MIGRATE_DATABASE_URL", owner),
        ("REDIS_URL", format!("redis://127.0.0.1:{redis}")),
        ("ENCRYPTION_KEY", MASTER_KEY.to_owned()),
        ("ONEROUTER_ADMIN_TOKEN", ADMIN_TOKEN.to_owned()),
        ("ONEROUTER_UPSTREAMS", text("upstreams")),
        ("ONEROUTER_TRUSTED_PROXIES", "127.0.0.1".to_owned()),
        (
            "ONEROUTER_PUBLIC_URL",
            format!("http://127.0.0.1:{balancer}"),
        ),
    ])
}

impl Cluster {
    /// Starts a program that writes its log into the folder, and has it ended with this process.
    fn spawn(&mut self, command: &mut Command, name: &str) -> Result<Child> {
        let log = self.folder.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log)?;
        without_cargo_run(command);
        let child = command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {name}"))?;
        self.watchdog.watch(&child)?;
        Ok(child)
    }

    fn start_redis(&mut self, program: &OsStr) -> Result<u16> {
        let port = free_port()?;
        let mut redis = Command::new(program);
        redis
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null());
        let mut redis = self.spawn(&mut redis, "redis")?;
        until_open(port, &mut redis, "Redis")?;
        Ok(port)
    }

    /// What it says of itself: where it is, and what connects to it.
    fn start_sandbox(&mut self) -> Result<Value> {
        let mut sandbox = Command::new(&self.program);
        sandbox
            .args(["sandbox", "--json", "--bind", "127.0.0.1:0"])
            .stdout(Stdio::piped());
        let mut sandbox = self.spawn(&mut sandbox, "sandbox")?;
        let mut line = String::new();
        let data = sandbox.stdout.take().context("no stdout")?;
        BufReader::new(data).read_line(&mut line)?;
        serde_json::from_str(&line).context("the sandbox does not start")
    }

    fn gateway(&self, args: &[&str]) -> Command {
        let mut gateway = Command::new(&self.program);
        gateway
            .args(args)
            .env("ENVIRONMENT", "development")
            .env("ONEROUTER_PLUGINS_DIR", &self.plugins)
            .env("ONEROUTER_UNSIGNED_PLUGINS", "allow")
            .envs(self.settings.iter().map(|(name, value)| (name, value)));
        gateway
    }

    fn migrate(&self) -> Result<()> {
        let mut migrate = self.gateway(&["migrate"]);
        process::read(migrate.current_dir(&self.folder)).map(drop)
    }

    fn start_node(&mut self, port: u16) -> Result<Child> {
        let mut node = self.gateway(&["serve", "--bind", &format!("127.0.0.1:{port}")]);
        node.env("ONEROUTER_DATA_DIR", self.folder.join(port.to_string()))
            .stdout(Stdio::null());
        let mut node = self.spawn(&mut node, &format!("node-{port}"))?;
        until_open(port, &mut node, "a node")?;
        Ok(node)
    }

    fn start_nginx(&mut self, program: &OsStr, port: u16) -> Result<()> {
        fs::create_dir_all(self.folder.join("nginx"))?;
        let ports: Vec<u16> = self.nodes.iter().map(|node| node.port).collect();
        let file = self.folder.join("nginx.conf");
        fs::write(&file, configuration(port, &ports))?;
        let mut nginx = Command::new(program);
        nginx
            .arg("-e")
            .arg("stderr")
            .arg("-p")
            .arg(self.folder.join("nginx"))
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null());
        let mut nginx = self.spawn(&mut nginx, "nginx")?;
        until_open(port, &mut nginx, "nginx")
    }

    /// Connects the emulated providers and makes an API key.
    fn set_up(&self, sandbox: &Value) -> Result<String> {
        let node = self.nodes.first().context("no node")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, node.port));
        for connection in sandbox["connections"].as_array().into_iter().flatten() {
            let text = |name: &str| connection[name].as_str().unwrap_or_default();
            let path = format!(
                "/api/services/{}/{}/connect",
                text("service"),
                text("provider")
            );
            let body = json!({
                "environment": connection["environment"],
                "credentials": connection["credentials"],
                "settings": connection["settings"],
            });
            let answer = http::post(address, &path, ADMIN_TOKEN, &body.to_string())?;
            ensure!(answer.status == 201, "{path}: {}", answer.text);
        }
        let rate = json!({"per_second": 1_000, "burst": 1_000});
        let body = json!({"name": "cluster", "environment": "test", "rate_limit": rate});
        let made = http::post(address, "/api/api-keys", ADMIN_TOKEN, &body.to_string())?;
        let made: Value = serde_json::from_str(made.body()).context("no API key")?;
        let key = made.get("key").and_then(Value::as_str);
        key.map(str::to_owned).context("no API key")
    }

    #[expect(clippy::print_stdout, reason = "what was asked for")]
    fn tell(&self, as_json: bool, balancer: u16, sandbox: &Value, key: &str) {
        let base = format!("http://127.0.0.1:{balancer}");
        let sandbox_url = sandbox["sandbox_url"].as_str().unwrap_or_default();
        if as_json {
            let nodes: Vec<_> = self
                .nodes
                .iter()
                .map(|node| json!({"base_url": node.url(), "pid": node.child.id()}))
                .collect();
            let ready = json!({
                "base_url": base,
                "api_key": key,
                "admin_token": ADMIN_TOKEN,
                "sandbox_url": sandbox_url,
                "nodes": nodes,
            });
            println!("{ready}");
            return;
        }
        println!(
            "\nThree gateways are ready.

  Balancer     {base}
  API key      {key}
  Admin token  {ADMIN_TOKEN}
  Sandbox      {sandbox_url}  (the providers, emulated: nothing leaves this machine)
  Logs         {}",
            self.folder.display()
        );
        for (number, node) in self.nodes.iter().enumerate() {
            println!(
                "  Node {}       {}  (process {})",
                number + 1,
                node.url(),
                node.child.id()
            );
        }
        let pid = self.nodes.last().map_or(0, |node| node.child.id());
        println!(
            "
Send messages, one after another:

  while curl -sf {base}/v1/sms -H 'Authorization: Bearer {key}' \\
      -H 'Content-Type: application/json' -H \"Idempotency-Key: $(uuidgen)\" \\
      -d '{{\"to\":\"+14155550123\",\"body\":\"Hi\"}}' | cut -c-60; do :; done

and end a node meanwhile; it is started again after {} s:

  kill {pid}        it finishes what it has begun: nothing is lost
  kill -9 {pid}     who waits for it gets 502, and may repeat with the same Idempotency-Key

How often did each message arrive?

  curl '{sandbox_url}/_sandbox/ledger?to=%2B14155550123'

Stop with Ctrl-C.",
            DOWN_FOR.as_secs()
        );
    }

    /// Starts nodes again that have ended, for ever.
    fn mind(mut self) -> Result<ExitCode> {
        loop {
            pause(LOOK_EVERY);
            for place in 0..self.nodes.len() {
                self.mind_node(place)?;
            }
        }
    }

    fn mind_node(&mut self, place: usize) -> Result<()> {
        let Some(node) = self.nodes.get_mut(place) else {
            return Ok(());
        };
        let port = node.port;
        match node.ended_at {
            None => {
                if let Some(status) = node.child.try_wait()? {
                    self.watchdog.forget(&node.child)?;
                    eprintln!("node {} has ended ({status})", place + 1);
                    node.ended_at = Some(Instant::now());
                }
            }
            Some(ended_at) if ended_at.elapsed() >= DOWN_FOR => {
                let child = self.start_node(port)?;
                eprintln!("node {} runs again as process {}", place + 1, child.id());
                if let Some(node) = self.nodes.get_mut(place) {
                    node.child = child;
                    node.ended_at = None;
                }
            }
            Some(_) => {}
        }
        Ok(())
    }
}

impl Node {
    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this program has nothing else to do"
)]
fn pause(time: Duration) {
    thread::sleep(time);
}

/// Waits until somebody listens there.
fn until_open(port: u16, child: &mut Child, name: &str) -> Result<()> {
    let until = Instant::now() + http::PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if let Some(status) = child.try_wait()? {
            bail!("{name} does not start ({status})");
        }
        ensure!(Instant::now() < until, "{name} does not start");
        pause(Duration::from_millis(20));
    }
    Ok(())
}

/// The rules of `deploy/nginx.conf` that matter here, without TLS and in one process.
fn configuration(port: u16, nodes: &[u16]) -> String {
    let servers: String = nodes
        .iter()
        .map(|node| format!("server 127.0.0.1:{node} max_fails=1 fail_timeout=1s;\n        "))
        .collect();
    format!(
        "daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{
    worker_connections 4096;
}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    client_max_body_size 11m;
    upstream onerouter {{
        least_conn;
        {servers}keepalive 64;
        keepalive_timeout 8s;
    }}
    server {{
        listen 127.0.0.1:{port};
        proxy_http_version 1.1;
        proxy_set_header Connection \"\";
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_connect_timeout 2s;
        proxy_read_timeout 60s;
        # A POST of which a byte was sent is never repeated here.
        proxy_next_upstream error timeout;
        proxy_next_upstream_tries 3;
        location / {{
            proxy_pass http://onerouter;
        }}
    }}
}}
"
    )
}

/// Where logs are, for whoever looks for them.
impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let folder: &Path = &self.folder;
        f.debug_struct("Cluster")
            .field("folder", &folder)
            .finish_non_exhaustive()
    }
}
