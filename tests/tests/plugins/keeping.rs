//! What a gateway keeps of plugins, what it tries again and when, and who comes first.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use onerouter::config::PluginTrust;
use onerouter::service::caller::Operator;
use onerouter::service::plugins::{Activation, Install, InstallSource, Step};
use onerouter::store::DEFAULT_TENANT;
use onerouter_tests::acme;
use onerouter_tests::harness::{Harness, Setup};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use tokio::runtime::Handle;

use crate::rig::Rig;

/// A version that may do what every other one may.
fn plain(version: &str) -> Vec<u8> {
    acme::of_fixture("acme-texts", version, |_| {})
}

async fn database(data_dir: &Path) -> SqliteConnection {
    let url = format!("sqlite://{}", data_dir.join("onerouter.db").display());
    SqliteConnection::connect(&url).await.unwrap()
}

async fn write_component(data_dir: &Path, sha256: &str, bytes: &[u8]) {
    let mut rows = database(data_dir).await;
    let written = sqlx::query("update plugin_components set component = $2 where sha256 = $1")
        .bind(sha256)
        .bind(bytes)
        .execute(&mut rows)
        .await
        .unwrap();
    assert_eq!(written.rows_affected(), 1);
}

/// What the one node of a gateway says of the version that is wanted.
async fn loaded(host: &Harness) -> Value {
    host.gateway.parts().plugins.follow().await.unwrap();
    let plugin = host.operator().get("/api/plugins/acme-texts").await;
    assert_eq!(plugin.status, 200, "{plugin:?}");
    // The one that has ended without a word is still among them.
    let nodes = plugin.json["nodes"].as_array().unwrap().clone();
    nodes.last().unwrap()["versions"][0].clone()
}

#[tokio::test]
async fn what_cannot_be_loaded_is_tried_ever_more_rarely_until_something_changes() {
    let rig = Rig::start().await;
    let bytes = plain("1.0.0");
    let path = rig.signed("first", &bytes);
    let installed = rig.ask(json!({"source": path})).await;
    let sha256 = installed.text("sha256").to_owned();
    let trust = PluginTrust {
        publisher_keys: vec![(None, rig.publisher.public().id())],
        ..PluginTrust::default()
    };
    let next = rig.signed("next", &plain("1.1.0"));
    let Rig {
        host,
        folder: _files,
        ..
    } = rig;
    let folder = host.stop().await;
    let data_dir = folder.path().join("data");
    write_component(&data_dir, &sha256, b"damaged").await;
    let host = Harness::with(Setup {
        plugin_trust: Some(trust),
        data_dir: Some(data_dir.clone()),
        ..Setup::default()
    })
    .await;

    let retry_at = async || -> DateTime<Utc> {
        let version = loaded(&host).await;
        assert_eq!(version["state"], "failed", "{version}");
        let text = version["retry_at"].as_str();
        text.unwrap_or_else(|| panic!("{version}")).parse().unwrap()
    };
    for seconds in [15, 30, 60, 120, 240, 480, 900, 900] {
        let until = retry_at().await;
        let pause = (until - host.clock.now()).num_seconds();
        assert!((seconds - 5..=seconds).contains(&pause), "{pause}");
        host.clock.advance(TimeDelta::seconds(pause - 2));
        assert_eq!(retry_at().await, until, "not before it is time");
        host.clock.advance(TimeDelta::seconds(3));
    }
    retry_at().await;

    // It could be loaded, and nobody looks for a while.
    write_component(&data_dir, &sha256, &bytes).await;
    assert_eq!(loaded(&host).await["state"], "failed");
    // A change is a reason to look at once.
    let staged = json!({"source": next, "activate": false});
    let staged = host.operator().post("/api/plugins/install", staged).await;
    assert_eq!(staged.status, 201, "{staged:?}");
    let version = loaded(&host).await;
    assert_eq!(
        (&version["state"], &version["retry_at"]),
        (&json!("active"), &json!(null))
    );
}

#[tokio::test]
async fn the_last_retired_versions_stay_and_older_ones_go_with_their_bytes() {
    let rig = Rig::start().await;
    let newest = 8;
    for minor in 0..=newest {
        let version = format!("1.{minor}.0");
        let path = rig.signed(&version, &plain(&version));
        let installed = rig.ask(json!({"source": path})).await;
        assert_eq!(
            (installed.status, installed.text("state")),
            (201, "active"),
            "{installed:?}"
        );
    }
    // What serves, what served before, and five more.
    let kept: Vec<String> = rig.states().await.into_iter().map(|(v, _)| v).collect();
    assert_eq!(
        kept,
        [
            "1.8.0", "1.7.0", "1.6.0", "1.5.0", "1.4.0", "1.3.0", "1.2.0"
        ]
    );
    let mut rows = database(&rig.host.folder.path().join("data")).await;
    let components: i64 = sqlx::query_scalar("select count(*) from plugin_components")
        .fetch_one(&mut rows)
        .await
        .unwrap();
    assert_eq!(components, 7);
    let removed = rig.operator.get("/api/audit?action=plugin.removed").await;
    assert_eq!(removed.json["data"].as_array().unwrap().len(), 2);

    // Going back retires nothing, and what is gone can be had again.
    let back = rig
        .operator
        .post("/api/plugins/acme-texts/rollback", json!({}))
        .await;
    assert_eq!(back.status, 200, "{back:?}");
    assert_eq!(rig.states().await.len(), 7);
    let path = rig.signed("again", &plain("1.0.0"));
    let again = rig.ask(json!({"source": path, "activate": false})).await;
    assert_eq!(
        (again.status, again.text("state")),
        (201, "staged"),
        "{again:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_overtaken_by_a_greater_version_does_not_take_its_place() {
    for (overtaken_at, is_there) in [(Step::Probed, false), (Step::Staged, true)] {
        let rig = Rig::start().await;
        let install = |version: &str| json!({"source": rig.signed(version, &plain(version))});
        rig.ask(install("1.0.0")).await;
        let older = rig.signed("older", &plain("1.1.0"));
        let older = Install {
            source: InstallSource::Text(older.display().to_string()),
            trust_key: None,
            activate: Some(Activation::default()),
            allow_downgrade: false,
        };
        let operator = Operator::on_command_line(DEFAULT_TENANT);
        let greater = install("1.2.0");
        let overtake = |step| {
            if step == overtaken_at {
                let asked = || Handle::current().block_on(rig.ask(greater.clone()));
                let installed = tokio::task::block_in_place(asked);
                assert_eq!(installed.text("state"), "active", "{installed:?}");
            }
        };
        let plugins = &rig.host.gateway.parts().plugins;
        let refused = plugins.install(&operator, &older, &overtake).await;
        let refused = refused.unwrap_err();
        assert!(refused.detail.contains("is older than"), "{refused:?}");
        let states = rig.states().await;
        let state = |version: &str| states.iter().find(|(known, _)| known == version);
        assert_eq!(state("1.2.0").unwrap().1, "active", "{states:?}");
        assert_eq!(state("1.1.0").is_some(), is_there, "{states:?}");
    }
}
