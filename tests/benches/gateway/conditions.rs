//! Under which conditions something was measured: a number without them says nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Where the interpreter and the proxy of the comparison are; `cargo xtask bench` provides them.
pub(crate) fn tool(variable: &str) -> Option<String> {
    std::env::var(variable)
        .ok()
        .filter(|path| Path::new(path).exists())
}

/// Prints everything that the figures depend on.
pub(crate) async fn print(postgres: Option<&str>) {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: "))
        .unwrap_or("an unknown processor");
    let memory = read("/proc/meminfo");
    let memory_gib = memory
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<f64>().ok())
        .unwrap_or_default()
        / f64::from(1 << 20);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("Conditions\n");
    println!("- {model}, {cores} cores, {memory_gib:.0} GiB");
    println!("- Linux {}", read("/proc/sys/kernel/osrelease").trim());
    println!("- load when this began: {}", read("/proc/loadavg").trim());
    println!("- {}", version("rustc", &["--version"]));
    let profile = if cfg!(debug_assertions) {
        "WITHOUT optimisations: no figure below means anything"
    } else {
        "release profile"
    };
    println!("- onerouter {}, {profile}", env!("CARGO_PKG_VERSION"));
    println!("- wasmtime {}", locked("wasmtime"));
    match postgres {
        Some(url) => println!("- PostgreSQL {}", postgres_version(url).await),
        None => println!("- no PostgreSQL: ONEROUTER_TEST_POSTGRES_URL is not set"),
    }
    match tool("ONEROUTER_BENCH_NGINX") {
        Some(nginx) => println!("- {}", version(&nginx, &["-v"])),
        None => println!("- no nginx: left out"),
    }
    match tool("ONEROUTER_BENCH_PYTHON") {
        Some(python) => {
            let script = "import platform, fastapi, uvicorn, httpx, aiohttp, uvloop, httptools
print('Python', platform.python_version(), *(f', {m.__name__} {m.__version__}' for m in (fastapi, uvicorn, httpx, aiohttp, uvloop, httptools)), sep='')";
            println!("- {}", version(&python, &["-c", script]));
        }
        None => println!("- no Python with FastAPI: left out"),
    }
}

fn version(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |error| format!("{program}: {error}"),
        |output| {
            let text = [output.stdout, output.stderr].concat();
            String::from_utf8_lossy(&text).trim().to_owned()
        },
    )
}

/// The version of a crate in the lock file.
fn locked(name: &str) -> &'static str {
    let lock = include_str!("../../../Cargo.lock");
    let heading = format!("name = \"{name}\"\nversion = \"");
    lock.split_once(heading.as_str())
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or("?")
}

async fn postgres_version(url: &str) -> String {
    use sqlx::Connection as _;
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    let mut shown = Vec::new();
    for setting in ["server_version", "fsync", "synchronous_commit"] {
        let sql = sqlx::AssertSqlSafe(format!("show {setting}"));
        let (value,): (String,) = sqlx::query_as(sql)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        shown.push(value);
    }
    let [version, fsync, commit] = shown.as_slice() else {
        unreachable!()
    };
    format!("{version}, fsync {fsync}, synchronous_commit {commit}")
}
