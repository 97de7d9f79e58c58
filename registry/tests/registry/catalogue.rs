//! What the API shows of plugins, names, and the log.

use chrono::TimeDelta;
use onerouter_registry::client::{Client, ClientConfig, RegistryApi};
use onerouter_registry::index::{Freshness, Index};
use onerouter_registry::server::{
    NewAdvisory, Registry, RegistryConfig, RegistryError, Schema, migrate,
};
use onerouter_registry::{Digest, KeyPair};
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::server::{Server, json_of, new_postgres_database, reason, refusal};
use crate::support::component;

#[tokio::test]
async fn a_name_belongs_to_its_first_publisher() {
    for server in Server::start_on_each().await {
        let (acme, other) = (
            server.publisher("acme").await,
            server.publisher("other").await,
        );
        acme.add_key("acme-texts").await;
        acme.publish("acme-texts", "1.0.0").await;
        assert_eq!(
            refusal(other.add_key("acme-texts").await).await,
            (403, "forbidden".to_owned())
        );
        let component = component("acme-texts", "1.0.1");
        let sidecar = other.sign("acme-texts", "1.0.1", &component);
        let refused = other.send_version("acme-texts", &component, &sidecar).await;
        assert_eq!(refusal(refused).await, (403, "forbidden".to_owned()));
        for path in ["/versions/1.0.0/yank", "/advisories"] {
            let body = json!({"reason": "x"});
            let body = if path == "/advisories" {
                json!({"affected": "*", "summary": "x"})
            } else {
                body
            };
            let refused = other
                .post_json(&format!("/plugins/acme-texts{path}"), &body)
                .await;
            assert_eq!(
                refusal(refused).await,
                (403, "forbidden".to_owned()),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn squatters_are_refused() {
    for server in Server::start_on_each().await {
        let (acme, other) = (
            server.publisher("acme").await,
            server.publisher("other").await,
        );
        acme.add_key("acme-texts").await;
        for name in ["acmetexts", "acme-text5", "onerouter", "registry"] {
            let refused = other.add_key(name).await;
            assert_eq!(
                refusal(refused).await,
                (400, "name_refused".to_owned()),
                "{name}"
            );
        }
        let pushed = other
            .send(Method::POST, "/v2/acme--texts/blobs/uploads/", "")
            .await;
        assert_eq!(refusal(pushed).await, (400, "NAME_INVALID".to_owned()));
        assert_eq!(
            acme.add_key("acme-text5").await.status(),
            StatusCode::CREATED,
            "its own family"
        );
        assert_eq!(
            other.add_key("acme-textz").await.status(),
            StatusCode::CREATED,
            "nobody uses it yet"
        );
    }
}

#[tokio::test]
async fn names_near_a_popular_one_are_refused() {
    let limits = onerouter_registry::server::Limits {
        popular_from: 2,
        ..Default::default()
    };
    let server = Server::start_with(Server::limits(limits)).await;
    let (acme, other) = (
        server.publisher("acme").await,
        server.publisher("other").await,
    );
    acme.add_key("acme-texts").await;
    let component = acme.publish("acme-texts", "1.0.0").await;
    let path = format!("/v2/acme-texts/blobs/{}", Digest::of(&component));
    let get = async |address: &str| {
        let request = server.request(Method::GET, &path);
        let request = request.header("test-address", address);
        request.send().await.unwrap().bytes().await.unwrap();
        server.registry.maintain().await.unwrap();
    };
    for _ in 0..3 {
        get("192.0.2.1").await;
    }
    let near = other.add_key("acme-textz").await;
    assert_eq!(near.status(), StatusCode::CREATED, "one who asks often");
    get("192.0.2.2").await;
    let refused = other.add_key("acme-textx").await;
    assert!(
        reason(refused)
            .await
            .contains("one keystroke from acme-texts")
    );
}

#[tokio::test]
async fn a_yank_an_advisory_and_downloads_are_shown() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        acme.add_key("acme-texts").await;
        let component = acme.publish("acme-texts", "1.0.0").await;
        acme.publish("acme-texts", "1.1.0").await;
        let path = "/plugins/acme-texts/versions/1.0.0";
        let empty = acme
            .post_json(&format!("{path}/yank"), &json!({"reason": " "}))
            .await;
        assert_eq!(refusal(empty).await, (422, "validation_failed".to_owned()));
        let yanked = acme
            .post_json(&format!("{path}/yank"), &json!({"reason": "sends twice"}))
            .await;
        assert_eq!(yanked.status(), StatusCode::NO_CONTENT);
        let advisory = json!({"affected": "<1.1.0", "summary": "Sends twice.", "url": "https://acme.example/1"});
        let advised = acme
            .post_json("/plugins/acme-texts/advisories", &advisory)
            .await;
        assert_eq!(advised.status(), StatusCode::CREATED);
        let script = json!({"affected": "*", "summary": "x", "url": "javascript:alert(1)"});
        let refused = acme
            .post_json("/plugins/acme-texts/advisories", &script)
            .await;
        assert_eq!(
            refusal(refused).await,
            (422, "validation_failed".to_owned())
        );
        server
            .get(&format!("/v2/acme-texts/blobs/{}", Digest::of(&component)))
            .await;
        server.registry.maintain().await.unwrap();
        let page = server.get_json("/registry/v1/plugins/acme-texts").await;
        assert_eq!(page["latest"], "1.1.0");
        assert_eq!(page["downloads"], 1);
        assert_eq!(page["categories"], json!(["sms"]));
        assert_eq!(page["versions"], json!(["1.1.0", "1.0.0"]));
        assert_eq!(page["latest_version"]["advisories"], json!([]));
        assert_eq!(page["advisories"][0]["summary"], "Sends twice.");
        let version = server.get_json(&format!("/registry/v1{path}")).await;
        assert_eq!(version["yanked"], "sends twice");
        assert_eq!(version["advisories"].as_array().unwrap().len(), 1);
        acme.post_json(&format!("{path}/unyank"), &json!({})).await;
        let version = server.get_json(&format!("/registry/v1{path}")).await;
        assert_eq!(version["yanked"], json!(null));
        let downloads = server
            .get_json("/registry/v1/plugins/acme-texts/downloads")
            .await;
        assert_eq!(downloads["days"][0]["version"], "1.0.0");
    }
}

#[tokio::test]
async fn plugins_are_found_by_text_and_category_in_pages() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        for plugin in ["acme-texts", "blue-phone", "cargo-mail", "under-way"] {
            acme.add_key(plugin).await;
            acme.publish(plugin, "1.0.0").await;
        }
        acme.add_key("nothing-yet").await;
        let names = |query: &'static str| {
            let server = &server;
            async move {
                let found = server
                    .get_json(&format!("/registry/v1/plugins{query}"))
                    .await;
                let names = found["data"].as_array().unwrap().iter();
                names
                    .map(|plugin| plugin["name"].as_str().unwrap().to_owned())
                    .collect::<Vec<_>>()
            }
        };
        assert_eq!(
            names("").await,
            ["acme-texts", "blue-phone", "cargo-mail", "under-way"]
        );
        assert_eq!(names("?q=PHONE").await, ["blue-phone"]);
        assert_eq!(names("?q=over+cargo").await, ["cargo-mail"]);
        assert_eq!(
            names("?q=%25").await,
            [] as [&str; 0],
            "a pattern's characters are plain text"
        );
        assert_eq!(names("?q=_").await, [] as [&str; 0]);
        assert_eq!(
            names("?category=sms&limit=2").await,
            ["acme-texts", "blue-phone"]
        );
        assert_eq!(names("?category=email").await, [] as [&str; 0]);
        let page = server.get_json("/registry/v1/plugins?limit=3").await;
        assert_eq!(page["has_more"], true);
        let cursor = page["next_cursor"].as_str().unwrap();
        let rest = server
            .get_json(&format!("/registry/v1/plugins?cursor={cursor}"))
            .await;
        assert_eq!(rest["data"][0]["name"], "under-way");
        for wrong in ["?limit=0", "?limit=101", "?category=fax", "?cursor=!"] {
            let refused = server.get(&format!("/registry/v1/plugins{wrong}")).await;
            assert_eq!(
                refusal(refused).await,
                (422, "validation_failed".to_owned()),
                "{wrong}"
            );
        }
    }
}

#[tokio::test]
async fn refusals_of_the_api_are_problem_documents() {
    let server = Server::start().await;
    let response = server.get("/registry/v1/plugins/nothing").await;
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    insta::assert_json_snapshot!(json_of(response).await, @r#"
    {
      "code": "not_found",
      "detail": "there is no plugin nothing",
      "retryable": false,
      "status": 404,
      "title": "There is no such plugin",
      "type": "https://onerouter.dev/docs/registry/errors#not_found"
    }
    "#);
    for (method, path, expected) in [
        (Method::GET, "/registry/v1/nowhere", 404),
        (Method::DELETE, "/registry/v1/plugins", 405),
        (Method::GET, "/registry/v1/account", 401),
        (Method::GET, "/registry/v1/plugins?limit=many", 422),
        (Method::GET, "/registry/v1/plugins?colour=red", 422),
        (Method::GET, "/registry/v1/plugins/%ff", 400),
    ] {
        let response = server.request(method, path).send().await.unwrap();
        assert_eq!(response.status(), expected, "{path}");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
    }
}

#[tokio::test]
async fn operators_make_accounts_and_see_their_tokens() {
    let server = Server::start().await;
    let _acme = server.publisher("acme").await;
    let found = server.registry.find_account("acme").await.unwrap().unwrap();
    assert_eq!(
        server.registry.list_tokens(found.id).await.unwrap().len(),
        1
    );
    assert!(server.registry.create_account("acme").await.is_err());
    assert!(server.registry.create_account("Not A Name").await.is_err());
    assert_eq!(server.registry.list_accounts().await.unwrap(), [found]);
}

#[tokio::test]
async fn operators_step_in_where_a_publisher_does_not() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        acme.add_key("acme-texts").await;
        acme.publish("acme-texts", "1.0.0").await;
        let (registry, plugin) = (&server.registry, crate::support::name("acme-texts"));
        let account = registry.find_account("acme").await.unwrap().unwrap();
        assert!(registry.suspend_account(account.id).await.unwrap());
        let empty = json!({});
        let refused = acme
            .post_json("/plugins/acme-texts/advisories", &empty)
            .await;
        assert_eq!(refusal(refused).await, (403, "suspended".to_owned()));
        let version = "1.0.0".parse().unwrap();
        registry
            .yank_version(&plugin, &version, Some("steals credentials"))
            .await
            .unwrap();
        let new = NewAdvisory {
            affected: "*".parse().unwrap(),
            summary: "It steals credentials.".to_owned(),
            url: None,
        };
        registry.publish_advisory(&plugin, new).await.unwrap();
        let key = acme.key.public().id();
        registry.revoke_key(&plugin, key, "stolen").await.unwrap();
        let again = registry.revoke_key(&plugin, key, "stolen").await;
        assert!(matches!(again, Err(RegistryError::Refused(_))));
        let none = "9.9.9".parse().unwrap();
        let none = registry.yank_version(&plugin, &none, Some("x")).await;
        assert!(matches!(none, Err(RegistryError::Refused(_))));
        let page = server.get_json("/registry/v1/plugins/acme-texts").await;
        assert_eq!(page["latest_version"]["yanked"], "steals credentials");
        assert_eq!(page["keys"][0]["revoked_reason"], "stolen");
        assert_eq!(page["advisories"].as_array().unwrap().len(), 1);
        assert!(registry.resume_account(account.id).await.unwrap());
        let own = acme.send(Method::GET, "/registry/v1/account", "").await;
        assert_eq!(own.status(), StatusCode::OK);
        assert!(!registry.suspend_account(uuid::Uuid::nil()).await.unwrap());
    }
}

#[tokio::test]
async fn several_nodes_append_to_one_log() {
    for server in Server::start_on_each().await {
        let second = server.another_node().await;
        let accounts = [
            server.publisher("acme").await,
            server.publisher("other").await,
        ];
        // The same tokens are good at both.
        let calls =
            accounts
                .iter()
                .zip(["acme-texts", "other-mails"])
                .flat_map(|(account, name)| {
                    [&server, &second].into_iter().flat_map(move |node| {
                        (0..4).map(move |_| {
                            let body = json!({"key": KeyPair::generate().public()}).to_string();
                            let path = format!("/registry/v1/plugins/{name}/keys");
                            let request = node
                                .request(Method::POST, &path)
                                .bearer_auth(&account.token);
                            request.body(body).send()
                        })
                    })
                });
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(answer.unwrap().status(), StatusCode::CREATED);
        }
        let mut index = Index::empty(server.registry.key());
        let api = RegistryApi::new(second.url("/").parse().unwrap());
        let client = Client::new(ClientConfig::default()).unwrap();
        client
            .update_index(&api, &mut index, Freshness::AnyAge)
            .await
            .unwrap();
        assert_eq!(index.size(), 16);
    }
}

#[tokio::test]
async fn a_long_log_is_read_in_pages() {
    let server = Server::start().await;
    let acme = server.publisher("acme").await;
    acme.add_key("acme-texts").await;
    acme.publish("acme-texts", "1.0.0").await;
    let path = "/plugins/acme-texts/versions/1.0.0";
    for round in 0..510 {
        let (verb, body) = if round % 2 == 0 {
            ("yank", json!({"reason": "x"}))
        } else {
            ("unyank", json!({}))
        };
        let done = acme.post_json(&format!("{path}/{verb}"), &body).await;
        assert_eq!(done.status(), StatusCode::NO_CONTENT);
    }
    let page = server
        .get_json("/registry/v1/index/entries?limit=10000")
        .await;
    assert_eq!(page["entries"].as_array().unwrap().len(), 500);
    let mut index = Index::empty(server.registry.key());
    let api = RegistryApi::new(server.url("/").parse().unwrap());
    let client = Client::new(ClientConfig::default()).unwrap();
    client
        .update_index(&api, &mut index, Freshness::AnyAge)
        .await
        .unwrap();
    assert_eq!(index.size(), 512);
}

#[tokio::test]
async fn long_answers_come_in_pages_or_are_cut() {
    for server in Server::start_on_each().await {
        let acme = server.publisher("acme").await;
        acme.add_key("acme-texts").await;
        for minor in 0..5 {
            acme.publish("acme-texts", &format!("1.{minor}.0")).await;
        }
        let path = "/registry/v1/plugins/acme-texts/versions";
        let page = server.get_json(&format!("{path}?limit=3")).await;
        let of = |page: &serde_json::Value| -> Vec<String> {
            let data = page["data"].as_array().unwrap().iter();
            data.map(|version| version["version"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(of(&page), ["1.4.0", "1.3.0", "1.2.0"]);
        assert_eq!(page["has_more"], true);
        let cursor = page["next_cursor"].as_str().unwrap();
        let rest = server.get_json(&format!("{path}?cursor={cursor}")).await;
        assert_eq!(of(&rest), ["1.1.0", "1.0.0"]);
        assert_eq!(rest["next_cursor"], json!(null));
        for wrong in [
            "?limit=0".to_owned(),
            "?limit=101".to_owned(),
            "?cursor=x".to_owned(),
        ] {
            let refused = server.get(&format!("{path}{wrong}")).await;
            assert_eq!(refused.status(), 422, "{wrong}");
        }
        for path in [
            "/registry/v1/plugins?q=%00",
            "/v2/acme-texts/tags/list?last=%00",
        ] {
            assert_eq!(server.get(path).await.status(), 422, "{path}");
        }
        let config = acme.put_blob("acme-texts", b"{}").await;
        let layer = acme.put_blob("acme-texts", b"note").await;
        let about = Digest::of(b"something");
        for number in 0..40 {
            let layer = ("text/plain", layer, 4);
            let mut note = crate::server::image(config, 2, layer, Some(about));
            note["annotations"] = json!({"n": format!("{number}{}", "y".repeat(8_000))});
            let put = acme
                .put_manifest("acme-texts", &format!("n{number}"), &note)
                .await;
            assert_eq!(put.status(), StatusCode::CREATED);
        }
        let layer = ("text/plain", layer, 4);
        let mut note = crate::server::image(config, 2, layer, Some(about));
        note["annotations"] = json!({"n": "y".repeat(100_000)});
        acme.put_manifest("acme-texts", "long", &note).await;
        for wrong in ["x".repeat(300), "\0".to_owned()] {
            note["artifactType"] = wrong.into();
            let refused = acme.put_manifest("acme-texts", "typed", &note).await;
            assert_eq!(refused.status(), 400);
        }
        let path = format!("/v2/acme-texts/referrers/{about}");
        let answer = server.get(&path).await.bytes().await.unwrap();
        assert!(answer.len() < 300 << 10, "{}", answer.len());
        let all: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(all["manifests"].as_array().unwrap().len(), 41);
    }
}

#[tokio::test]
async fn neither_the_log_nor_the_blobs_of_another_are_touched() {
    for database in Server::databases().await {
        let server = Server::start_on(database, |_config| {}).await;
        let acme = server.publisher("acme").await;
        acme.put_blob("acme-texts", b"x").await;
        let key = KeyPair::generate();
        let config = |database: String, blobs: &str| {
            let blobs = format!("file://{}/{blobs}", server.folder.path().display());
            RegistryConfig::new(database, blobs, key.clone())
        };
        let opened = Registry::open(config(server.database_url(), "others")).await;
        assert!(matches!(opened, Err(RegistryError::OtherKey { .. })));
        let fresh = format!("sqlite://{}/other.db", server.folder.path().display());
        let opened = Registry::open(config(fresh, "blobs")).await.unwrap();
        assert!(matches!(
            opened.collect_orphans().await,
            Err(RegistryError::OtherBlobs)
        ));
        assert_eq!(server.registry.collect_orphans().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn nobody_fills_the_log() {
    for database in Server::databases().await {
        let limits = onerouter_registry::server::Limits {
            log_bytes_per_day: 2_000,
            advisories_max: 2,
            ..Default::default()
        };
        let server = Server::start_on(database, Server::limits(limits)).await;
        let (acme, other) = (
            server.publisher("acme").await,
            server.publisher("other").await,
        );
        acme.add_key("acme-texts").await;
        let path = "/plugins/acme-texts/advisories";
        let long = format!("=1.0.0-{}", "x".repeat(20_000));
        let long = json!({"affected": long, "summary": "x"});
        assert_eq!(
            refusal(acme.post_json(path, &long).await).await,
            (422, "validation_failed".to_owned())
        );
        let short = json!({"affected": "*", "summary": "x"});
        for expected in [201, 201, 403] {
            assert_eq!(acme.post_json(path, &short).await.status(), expected);
        }
        let key = || json!({"key": KeyPair::generate().public()});
        let mut added = acme.post_json("/plugins/acme-mails/keys", &key()).await;
        for _ in 0..20 {
            if added.status() != StatusCode::CREATED {
                break;
            }
            added = acme.post_json("/plugins/acme-mails/keys", &key()).await;
        }
        assert!(added.headers().contains_key("retry-after"));
        assert_eq!(refusal(added).await, (429, "rate_limited".to_owned()));
        assert_eq!(
            other.add_key("other-texts").await.status(),
            StatusCode::CREATED
        );
        server.clock.advance(TimeDelta::days(1));
        let tomorrow = acme.post_json("/plugins/acme-mails/keys", &key()).await;
        assert_eq!(tomorrow.status(), StatusCode::CREATED);
    }
}

#[tokio::test]
async fn a_role_that_owns_nothing_serves_a_registry() {
    let Some(owner) = new_postgres_database().await else {
        return;
    };
    let role = format!("registry \"{}\"", uuid::Uuid::now_v7().simple());
    let quoted = role.replace('"', "\"\"");
    let mut connection = sqlx::PgConnection::connect(&owner).await.unwrap();
    let create = AssertSqlSafe(format!("create role \"{quoted}\" login"));
    connection.execute(create).await.unwrap();
    migrate(&owner, Some(&role)).await.unwrap();
    migrate(&owner, Some(&role)).await.unwrap();
    let mut service = url::Url::parse(&owner).unwrap();
    service.set_username(&role).unwrap();
    let expect = |config: &mut RegistryConfig| config.schema = Schema::Expect;
    let server = Server::start_on(Some(service.into()), expect).await;
    let acme = server.publisher("acme").await;
    acme.add_key("acme-texts").await;
    acme.publish("acme-texts", "1.0.0").await;
    for statement in [
        "drop table registry_entries",
        "update registry_entries set entry = ''",
        "delete from registry_entries",
    ] {
        let refused = sqlx::PgConnection::connect(&server.database_url())
            .await
            .unwrap()
            .execute(statement)
            .await;
        assert!(refused.is_err(), "{statement}");
    }
}
