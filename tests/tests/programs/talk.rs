//! Help, completions, mistakes in the settings, the doctor.

use onerouter_tests::redis::TestRedis;
use serde_json::Value;

use crate::program::Program;

const COMMANDS: [&str; 66] = [
    "",
    "serve",
    "dev",
    "sandbox",
    "migrate",
    "tenant",
    "tenant create",
    "tenant revoke",
    "tenant delete",
    "tenant list",
    "key",
    "key create",
    "key list",
    "key revoke",
    "vault",
    "vault rotate",
    "plugin",
    "plugin inspect",
    "plugin new",
    "plugin build",
    "plugin check",
    "plugin dev",
    "plugin pack",
    "plugin keygen",
    "plugin sign",
    "plugin publish",
    "plugin test",
    "plugin yank",
    "plugin install",
    "plugin list",
    "plugin shadow",
    "plugin activate",
    "plugin rollback",
    "plugin remove",
    "plugin key",
    "plugin key list",
    "plugin key distrust",
    "plugin bundle",
    "registry",
    "registry serve",
    "registry migrate",
    "registry account",
    "registry account create",
    "registry account list",
    "registry token",
    "registry token create",
    "registry token list",
    "registry token revoke",
    "registry moderate",
    "registry moderate revoke-key",
    "registry moderate yank",
    "registry moderate advise",
    "registry moderate suspend",
    "registry moderate resume",
    "registry login",
    "registry key",
    "registry key add",
    "registry key revoke",
    "webhooks",
    "webhooks listen",
    "webhooks trigger",
    "webhooks resend",
    "openapi",
    "doctor",
    "completions",
    "help",
];

#[test]
fn every_command_helps_with_an_example() {
    let program = Program::new();
    for command in COMMANDS.iter().filter(|command| **command != "help") {
        let mut args: Vec<&str> = command.split_whitespace().collect();
        args.push("--help");
        let help = program.run(&args).well();
        assert!(help.data.contains("Example"), "{command}: {}", help.data);
        assert!(help.data.contains("onerouter"), "{command}: {}", help.data);
        assert_eq!(help.talk, "", "{command}");
        let subcommands = help
            .data
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1);
        for line in subcommands.take_while(|line| !line.is_empty()) {
            let name = line.split_whitespace().next().unwrap();
            let whole = format!("{command} {name}");
            let known = COMMANDS.contains(&whole.trim()) || name == "help";
            assert!(known, "{whole} has no case here");
        }
    }
}

#[test]
fn a_command_that_does_not_exist_is_no_success() {
    let program = Program::new();
    for args in [
        &[][..],
        &["fly"],
        &["key", "create"],
        &["key", "create", "--environment", "prod", "--name", "x"],
        &["serve", "--bind"],
    ] {
        let refused = program.run(args).badly();
        assert_eq!(refused.data, "", "{args:?}");
        assert!(!refused.talk.is_empty(), "{args:?}");
    }
}

#[test]
fn completions_are_a_script() {
    let script = Program::new().run(&["completions", "bash"]).well();
    assert!(
        script.data.contains("complete -F _onerouter"),
        "{}",
        script.data
    );
    Program::new().run(&["completions", "cobol"]).badly();
}

#[test]
fn every_mistake_of_the_settings_is_named_with_its_origin() {
    let program = Program::new()
        .set("ONEROUTER_BIND", "nowhere")
        .set("ENCRYPTION_KEY", "hunter2-short")
        .set("ONEROUTER_ADMIN_TOKEN", "hunter2")
        .set("DATABASE_URL", "mysql://me:hunter2@db/x");
    program.write(
        "onerouter.toml",
        "environment = \"prod\"\ncolour = \"red\"\npublic_url = 5\n",
    );
    for command in ["serve", "dev", "migrate"] {
        let refused = program.run(&[command]).badly();
        assert_eq!(refused.data, "");
        let talk = &refused.talk;
        for part in [
            "7 mistake",
            "from the environment variable ONEROUTER_BIND",
            "\"nowhere\"",
            "ENCRYPTION_KEY must be 32 bytes",
            "ONEROUTER_ADMIN_TOKEN",
            "DATABASE_URL",
            "ENVIRONMENT must be development or production",
            "colour is not a setting",
            "ONEROUTER_PUBLIC_URL must be a text",
            "onerouter.toml",
        ] {
            assert!(talk.contains(part), "{part} in {talk}");
        }
        assert!(!talk.contains("hunter2"), "{talk}");
    }
    let flag = Program::new()
        .run(&["serve", "--bind", "elsewhere"])
        .badly();
    assert!(flag.talk.contains("from the flag --bind"), "{}", flag.talk);
    let absent = Program::new()
        .run(&["serve", "--config", "absent.toml"])
        .badly();
    assert!(absent.talk.contains("absent.toml"), "{}", absent.talk);
}

#[test]
fn a_settings_file_that_is_no_toml_is_named_without_its_text() {
    let program = Program::new();
    program.write(
        "onerouter.toml",
        "bind = \"127.0.0.1:0\"\nadmin_token = hunter2-is-secret\n",
    );
    let refused = program.run(&["serve"]).badly();
    assert!(refused.talk.contains("onerouter.toml"), "{}", refused.talk);
    assert!(refused.talk.contains("line 2"), "{}", refused.talk);
    assert!(!refused.talk.contains("hunter2"), "{}", refused.talk);
}

#[test]
fn the_doctor_finds_a_healthy_house_healthy() {
    let program = Program::new().with_plugins();
    let found = program.run(&["doctor", "--json"]).well();
    let findings = found.json();
    let mut checks: Vec<_> = findings
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            assert_ne!(one["verdict"], "failed", "{one}");
            one["check"].as_str().unwrap()
        })
        .collect();
    // One line for each plugin.
    assert!(checks.len() > 6, "{checks:?}");
    checks.dedup();
    // Whether this machine knows the providers' names is its own matter.
    checks.retain(|check| *check != "providers");
    assert_eq!(
        checks,
        [
            "configuration",
            "data folder",
            "vault",
            "database",
            "plugins"
        ]
    );
    let people = program.run(&["doctor"]).well();
    assert!(
        people.data.contains("ok") && people.data.contains("ENCRYPTION_KEY"),
        "{people:?}"
    );
}

#[test]
fn the_doctor_counts_data_keys_where_there_can_be_some() {
    let program = Program::new().set("ENCRYPTION_KEY", "0a".repeat(32));
    program.run(&["migrate"]).well();
    let found = program.run(&["doctor", "--json"]).well().json();
    let found = found.as_array().unwrap().iter();
    let found: Vec<_> = found.filter(|one| one["check"] == "data keys").collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["verdict"], "ok");
}

#[test]
fn the_doctor_says_how_to_mend_what_is_wrong() {
    let program = Program::new().set("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/none");
    std::fs::create_dir(program.path("plugins")).unwrap();
    program.write("plugins/bad.wasm", "no component");
    let program = program.set("ONEROUTER_PLUGINS_DIR", "plugins");
    let found = program.run(&["doctor", "--json"]).badly();
    let findings = found.json();
    let failed: Vec<&Value> = findings
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["verdict"] == "failed")
        .collect();
    assert_eq!(failed.len(), 2, "{findings}");
    for one in failed {
        assert!(
            one["fix"].as_str().is_some_and(|fix| !fix.is_empty()),
            "{one}"
        );
    }
    let people = program.run(&["doctor"]).badly();
    assert!(
        people.data.contains("FAILED") && people.data.contains("bad.wasm"),
        "{people:?}"
    );
    for text in [found.data, found.talk, people.data, people.talk] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let wrong = Program::new()
        .set("ONEROUTER_BIND", "x")
        .run(&["doctor", "--json"])
        .badly();
    assert_eq!(wrong.json()[0]["check"], "configuration");
}

#[test]
fn the_doctor_looks_at_redis() {
    let redis = TestRedis::start();
    let of_redis = |url: String| {
        let program = Program::new().set("REDIS_URL", &url);
        let found = program.run(&["doctor", "--json"]);
        assert!(!found.data.contains("hunter2"), "{}", found.data);
        let findings = found.json();
        let mut findings = findings.as_array().unwrap().iter();
        findings
            .find(|one| one["check"] == "redis")
            .unwrap_or_else(|| panic!("{found:?}"))
            .clone()
    };
    assert_eq!(of_redis(redis.url())["verdict"], "ok");
    let port = redis.port();
    let refused = of_redis(format!("redis://me:hunter2@127.0.0.1:{port}"));
    assert_eq!(refused["verdict"], "failed");
    drop(redis);
    let gone = of_redis(format!("redis://me:hunter2@127.0.0.1:{port}"));
    assert_eq!(gone["verdict"], "failed");
    assert!(gone["fix"].as_str().unwrap().contains("REDIS_URL"));
}

#[test]
fn a_database_that_cannot_be_reached_is_named_without_its_password() {
    let program = Program::new().set("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/none");
    for args in [
        &["serve"][..],
        &["migrate"],
        &["tenant", "list"],
        &["key", "list"],
    ] {
        let refused = program.run(args).badly();
        assert!(refused.talk.contains("error:"), "{refused:?}");
        assert!(!refused.talk.contains("hunter2"), "{refused:?}");
        assert_eq!(refused.data, "");
    }
}
