//! What a provider repeats, in every form and at every place, with every kind of credential.

use std::fs;
use std::path::Path;

use onerouter_tests::database::TestDatabase;
use onerouter_tests::harness::reply;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::canaries::{CANARIES, CLIENT, Canary, credentials};
use crate::echo::{Echo, HOST, Loot, WORDS};
use crate::encodings::{disguised, recognised};
use crate::gateway::{Program, Running};
use crate::rows::{self, Tables};
use crate::search::{Search, count};

const ADMIN_TOKEN: &str = "operator-Wm4x9Tq7Lz2Ks8Vn5";
const TO: &str = "+14155550123";
const FROM: &str = "+14155550100";
const MASTER_KEY: &str = "5e1f7a09c3d84b62a7e0954c1d3f8b26709ae45c8d1b36f2e4075a9c63d81f2b";

/// What the guest gets of an echo at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gets {
    /// The words around it, and a blot.
    Blot,
    /// The words around it: the place itself is nothing that an adapter can read.
    Words,
    /// The news that there is no usable answer.
    Error,
}

/// Where the provider repeats a credential, how the adapter then ends its call, and what it got. Few
/// calls break down: a gateway stops calling an adapter that does nothing else.
const PLACES: [(&str, &str, Gets); 17] = [
    ("body", "sent", Gets::Blot),
    ("refusal", "declined", Gets::Blot),
    ("breakdown", "unsupported", Gets::Blot),
    ("overload", "not-sent", Gets::Blot),
    ("header", "failed", Gets::Blot),
    ("several-headers", "invalid", Gets::Blot),
    ("redirect", "sent", Gets::Blot),
    ("challenge", "unauthorized", Gets::Blot),
    ("withheld", "sent", Gets::Words),
    ("status-text", "sent", Gets::Words),
    ("hints", "sent", Gets::Words),
    ("partial", "trap", Gets::Blot),
    ("chunks", "other", Gets::Blot),
    ("trailers", "sent", Gets::Words),
    ("encoded", "sent", Gets::Error),
    ("cut", "unknown", Gets::Error),
    ("nonsense", "sent", Gets::Error),
];

/// Where it repeats a credential so that nobody recognises it.
const DISGUISED: [(&str, &str, Gets); 1] = [("disguised", "sent", Gets::Words)];

#[tokio::test(flavor = "multi_thread")]
async fn no_reflected_credential_is_found_anywhere_with_sqlite() {
    let search = everything_searched(None, &PLACES).await;
    assert_places(&search);
    let files = search.places("file ");
    for part in [
        "onerouter.db (serving)",
        "onerouter.db-wal (serving)",
        "onerouter.db (stopped)",
    ] {
        assert!(files.iter().any(|name| name.contains(part)), "{files:?}");
    }
    search.found_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reflected_credential_is_found_anywhere_with_postgresql() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
    let search = everything_searched(Some(&database), &PLACES).await;
    assert_places(&search);
    search.found_nothing();
}

/// The control: what an adapter hears in disguise it keeps and passes on, and the same search finds it
/// wherever the words of an adapter go.
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_does_come_through_is_found_wherever_it_goes() {
    let search = everything_searched(None, &DISGUISED).await;
    let found = search.found_in();
    let memories: Vec<_> = CANARIES
        .iter()
        .map(|canary| format!("memory {}/disguised", canary.scheme))
        .collect();
    let places = [
        "answers",
        "log",
        "table objects",
        "table events",
        "table idempotency_keys",
        "file .onerouter/onerouter.db (stopped)",
    ];
    let expected = places
        .into_iter()
        .chain(memories.iter().map(String::as_str));
    let missed: Vec<_> = expected.filter(|place| !found.contains(place)).collect();
    assert!(missed.is_empty(), "{missed:?} not in {found:?}");
}

/// Nothing was left out.
fn assert_places(search: &Search) {
    assert_eq!(
        search.places("memory ").len(),
        CANARIES.len() * PLACES.len() + 2
    );
    assert_eq!(search.places("command ").len(), 7);
    assert_eq!(search.places("talk of ").len(), 7);
    assert_eq!(search.places("/").len(), 4);
    assert_eq!(
        search.places("answers").len() + search.places("log").len(),
        2
    );
    let files = search.places("file ");
    for part in ["compiled/", "compiled-code.key", "spy.wasm"] {
        for when in ["(serving)", "(stopped)"] {
            let is_it = |name: &&str| name.contains(part) && name.contains(when);
            assert!(files.iter().any(is_it), "{part} {when}: {files:?}");
        }
    }
    let tables = search.places("table ");
    for table in [
        "api_keys",
        "attempts",
        "call_logs",
        "connections",
        "data_keys",
        "due_work",
        "events",
        "idempotency_keys",
        "key_directory",
        "object_contents",
        "objects",
        "recorded_calls",
        "routing_policies",
        "tenants",
    ] {
        assert!(
            tables.contains(&format!("table {table}").as_str()),
            "{tables:?}"
        );
    }
}

/// Lets the provider repeat everything at these places, and looks everywhere.
async fn everything_searched(
    database: Option<&TestDatabase>,
    places: &[(&str, &str, Gets)],
) -> Search {
    let echo = Echo::start().await;
    let mut settings = vec![
        ("ONEROUTER_ADMIN_TOKEN", ADMIN_TOKEN.to_owned()),
        ("ENCRYPTION_KEY", MASTER_KEY.to_owned()),
        ("ONEROUTER_UPSTREAMS", format!("{HOST}={}", echo.url())),
    ];
    settings.extend(database.map(|database| ("DATABASE_URL", database.url().to_owned())));
    let program = Program::new(settings).with_spy();
    let gateway = program.serve();
    let (key, answers) = reflect(&gateway, places).await;

    let further = [
        ("operator's token", ADMIN_TOKEN),
        ("master key", MASTER_KEY),
        ("API key", key.as_str()),
    ];
    let mut search = Search::new(&further);
    search.place("answers", &answers, WORDS);
    for (page, known) in [
        ("/metrics", "onerouter_provider_calls_total"),
        ("/openapi.json", "/v1/sms"),
        ("/docs", "html"),
        ("/api/health", "status"),
    ] {
        let (_, bytes) = call(&gateway, Method::GET, page, ADMIN_TOKEN, None).await;
        search.place(page, &bytes, known);
    }
    search_files(&mut search, program.folder.path(), "serving");

    let (status, talk, data) = gateway.end(Signal::TERM);
    assert_eq!(status.code(), Some(0));
    search.place("log", &talk, WORDS);
    // Each of the program's own levels is there, so nothing was filtered out.
    for level in ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"] {
        let field = format!(r#""level":"{level}""#);
        assert!(count(&talk, field.as_bytes()) > 0, "{level}");
    }
    search.place("standard output", &data, "");
    search_files(&mut search, program.folder.path(), "stopped");
    search_commands(&mut search, &program);
    let tables = match database {
        Some(database) => rows::of_postgres(database.owner_url()).await,
        None => rows::of_sqlite(&program.folder.path().join(".onerouter/onerouter.db")).await,
    };
    search_rows(&mut search, tables);
    search_memory(&mut search, &echo, places);
    search
}

/// Connects the spy and has it listen at these places with every credential. Gives the API key that
/// was used, and all answers but the one that told it.
async fn reflect(gateway: &Running, places: &[(&str, &str, Gets)]) -> (String, Vec<u8>) {
    let rate = json!({"per_second": 100_000, "burst": 100_000});
    let create = json!({"name": "spied on", "environment": "test", "rate_limit": rate});
    let (created, _) = call(
        gateway,
        Method::POST,
        "/api/api-keys",
        ADMIN_TOKEN,
        Some(create),
    )
    .await;
    let key = created["key"].as_str().unwrap().to_owned();

    let mut answers = Vec::new();
    let connect = json!({"environment": "test", "credentials": credentials()});
    let path = "/api/services/sms/spy/connect";
    let (connected, bytes) = call(gateway, Method::POST, path, ADMIN_TOKEN, Some(connect)).await;
    assert_eq!(connected["provider"], "spy", "{connected}");
    answers.extend(bytes);
    // A refused one says what was wrong with it, not what it was.
    let mut odd = credentials();
    for (_, secret) in odd.as_object_mut().unwrap() {
        *secret = json!(format!("{} {}", secret.as_str().unwrap(), "\u{e9}"));
    }
    let connect = json!({"environment": "test", "credentials": odd, "settings": {"x": "y"}});
    let (refused, bytes) = call(gateway, Method::POST, path, ADMIN_TOKEN, Some(connect)).await;
    assert_eq!(refused["code"], "validation_failed", "{refused}");
    answers.extend(bytes);

    for canary in CANARIES {
        for (place, ending, _) in places {
            let forms = forms(place, canary);
            let text = format!("listen {} {place} {forms} {ending} {WORDS}", canary.scheme);
            let send = json!({"to": TO, "from_number": FROM, "body": text});
            let (sent, bytes) = call(gateway, Method::POST, "/v1/sms", &key, Some(send)).await;
            answers.extend(bytes);
            if let Some(id) = sent["id"].as_str() {
                // A refreshed object holds what was heard last, the others what was heard first.
                let refresh = canary.scheme == "form";
                let path = format!("/v1/sms/{id}?refresh={refresh}");
                answers.extend(call(gateway, Method::GET, &path, &key, None).await.1);
            }
        }
    }
    if places.len() > 1 {
        let forms = recognised(CLIENT.secret).len();
        let text = format!("listen client refused {forms} declined {WORDS}");
        let send = json!({"to": TO, "from_number": FROM, "body": text});
        let (sent, bytes) = call(gateway, Method::POST, "/v1/sms", &key, Some(send)).await;
        assert_eq!(sent["code"], "provider_rejected", "{sent}");
        answers.extend(bytes);
    }
    for (path, token) in [
        ("/v1/sms?limit=100", key.as_str()),
        ("/api/services", ADMIN_TOKEN),
        ("/api/api-keys", ADMIN_TOKEN),
        ("/api/tenants", ADMIN_TOKEN),
    ] {
        answers.extend(call(gateway, Method::GET, path, token, None).await.1);
    }
    (key, answers)
}

/// The answer as JSON, and all of it as bytes.
async fn call(
    gateway: &Running,
    method: Method,
    path: &str,
    token: &str,
    body: Option<Value>,
) -> (Value, Vec<u8>) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client
        .request(method, format!("{}{path}", gateway.url))
        .bearer_auth(token);
    if let Some(body) = body {
        if let Some(text) = body["body"].as_str() {
            // What is answered under a key is kept.
            request = request.header("idempotency-key", text.replace(' ', "-"));
        }
        request = request.json(&body);
    }
    let reply = reply(request.send().await.unwrap()).await;
    let mut bytes = format!("\n{path} {} {:?}\n", reply.status, reply.headers).into_bytes();
    bytes.extend_from_slice(&reply.bytes);
    (reply.json, bytes)
}

/// Everything in the program's folder: database and journal, compiled code, keys, plugins, and whatever
/// somebody might have dumped there.
fn search_files(search: &mut Search, folder: &Path, when: &str) {
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(current).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            assert!(!name.contains("core") && !name.contains("dump"), "{name}");
            let known = if name.contains("compiled/") || name.ends_with("spy.wasm") {
                HOST
            } else if name.ends_with("onerouter.db") && when == "stopped" {
                WORDS
            } else {
                ""
            };
            let bytes = fs::read(&path).unwrap();
            search.place(&format!("file {name} ({when})"), &bytes, known);
        }
    }
}

/// What the other commands say.
fn search_commands(search: &mut Search, program: &Program) {
    for (args, known) in [
        (&["plugin", "inspect", "plugins/spy.wasm"][..], HOST),
        (&["plugin", "inspect", "plugins/spy.wasm", "--json"], HOST),
        (&["doctor"], "spy"),
        (&["doctor", "--json"], "spy"),
        (&["key", "list"], "spied on"),
        (&["tenant", "list", "--json"], "id"),
        (&["openapi"], "/v1/sms"),
    ] {
        let output = program.run(args);
        let name = args.join(" ");
        search.place(&format!("command {name}"), &output.stdout, known);
        search.place(&format!("talk of {name}"), &output.stderr, "");
    }
}

fn search_rows(search: &mut Search, tables: Tables) {
    for (table, cells) in tables {
        let known = match table.as_str() {
            "objects" | "idempotency_keys" => WORDS,
            "connections" => "spy",
            "attempts" => "accepted",
            "call_logs" => "/v1/sms",
            "events" => "object",
            _ => "",
        };
        search.place(&format!("table {table}"), &cells, known);
    }
}

/// How often the spy listens there.
fn forms(place: &str, canary: Canary) -> usize {
    match place {
        "disguised" => disguised(canary.secret).len(),
        _ => recognised(canary.secret).len(),
    }
}

/// What the spy's memory held at the end of each call, from the first byte to the last.
fn search_memory(search: &mut Search, echo: &Echo, places: &[(&str, &str, Gets)]) {
    let loot = echo.loot();
    for canary in CANARIES {
        let mut echoes = 0;
        for (place, _, gets) in places {
            let forms = forms(place, canary);
            echoes += forms;
            let from = format!("{}/{place}", canary.scheme);
            let mut brought = loot.iter().filter(|loot| loot.from == from);
            let memory = &brought
                .next()
                .unwrap_or_else(|| panic!("nothing from {from}"))
                .memory;
            assert!(brought.next().is_none(), "{from}");
            search.place(&format!("memory {from}"), memory, &from);
            let heard = |text: &str| count(memory, text.as_bytes());
            let blots = heard("[redacted]");
            let words = heard(&format!(r#"{{"note":"{WORDS}""#));
            match gets {
                Gets::Blot => assert!(words >= forms && blots >= forms, "{from}: {words} {blots}"),
                Gets::Words => assert!(words >= forms && blots == 0, "{from}: {words} {blots}"),
                Gets::Error => assert_eq!((words, blots), (0, 0), "{from}"),
            }
        }
        assert!(echo.echoes()[canary.scheme] >= echoes);
    }
    // Each refusal to accept a token has made the host ask for another one.
    let challenges = places.iter().filter(|(place, ..)| *place == "challenge");
    assert!(echo.tokens() > challenges.count() * recognised(CLIENT.secret).len());
    search_client(search, &loot);
    let reads = loot.iter().filter(|loot| loot.from == "bearer/read");
    let reads: Vec<_> = reads.flat_map(|loot| loot.memory.clone()).collect();
    search.place("memory of reads", &reads, WORDS);
}

/// What it held after a client was refused: of each answer the words, and a blot in two places.
fn search_client(search: &mut Search, loot: &[Loot]) {
    let forms = recognised(CLIENT.secret).len();
    for loot in loot.iter().filter(|loot| loot.from == "client/refused") {
        search.place("memory client/refused", &loot.memory, &loot.from);
        let heard = |text: &str| count(&loot.memory, text.as_bytes());
        assert!(heard(&format!(r#"{{"note":"{WORDS}""#)) >= forms);
        assert!(heard("[redacted]") >= 2 * forms);
    }
}
