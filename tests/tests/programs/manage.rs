//! Tenants, keys, the vault, migrations.

use onerouter_tests::database::TestDatabase;
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};

use crate::program::Program;

#[test]
fn tenants_are_made_and_listed() {
    let program = Program::new();
    let made = program
        .run(&["tenant", "create", "--name", "Acme", "--json"])
        .well();
    let tenant = made.json();
    assert!(tenant["id"].as_str().unwrap().starts_with("ten_"));
    assert_eq!(
        (&tenant["object"], &tenant["name"]),
        (&json!("tenant"), &json!("Acme"))
    );
    let bare = program.run(&["tenant", "create", "--name", "Bob"]).well();
    assert!(
        bare.data.starts_with("ten_") && bare.data.lines().count() == 1,
        "{bare:?}"
    );
    let listed = program.run(&["tenant", "list", "--json"]).well().json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 3);
    assert!(listed["data"].as_array().unwrap().contains(&tenant));
    let people = program.run(&["tenant", "list"]).well();
    assert!(
        people.data.contains("Acme") && people.data.contains("Bob"),
        "{people:?}"
    );
    for name in ["", &"n".repeat(101)] {
        let refused = program.run(&["tenant", "create", "--name", name]).badly();
        assert!(refused.talk.contains("1 to 100 characters"), "{refused:?}");
    }
}

#[tokio::test]
async fn a_revoked_tenant_has_no_working_key() {
    let program = Program::new();
    let tenant = program.run(&["tenant", "create", "--name", "Acme"]).well();
    let id = tenant.data.trim();
    for name in ["a", "b"] {
        let create = [
            "key",
            "create",
            "--environment",
            "test",
            "--name",
            name,
            "--tenant",
            id,
            "--allow-ip",
            "10.0.0.0/8",
        ];
        program.run(&create).well();
    }
    let revoked = program
        .run(&["tenant", "revoke", id, "--json"])
        .well()
        .json();
    assert_eq!(revoked["revoked_keys"], 2);
    let keys = program
        .run(&["key", "list", "--tenant", id, "--json"])
        .well()
        .json();
    for key in keys["data"].as_array().unwrap() {
        assert!(key["revoked_at"].is_string(), "{key}");
        assert_eq!(key["allowed_ips"], json!(["10.0.0.0/8"]));
    }
    let again = program.run(&["tenant", "revoke", id]).well();
    assert!(again.talk.contains("Revoked 0 API key(s)"), "{again:?}");
    program
        .run(&["tenant", "revoke", "ten_01h455vb4pex5vsknk084sn02q"])
        .badly();
    let database = program.path(".onerouter/onerouter.db");
    let database = format!("sqlite://{}", database.display());
    let mut database = SqliteConnection::connect(&database).await.unwrap();
    let noted: Vec<(String, String)> =
        sqlx::query_as("select actor, action from audit_log order by id")
            .fetch_all(&mut database)
            .await
            .unwrap();
    let actions = [
        "tenant.created",
        "api_key.created",
        "api_key.created",
        "api_key.revoked",
        "api_key.revoked",
    ];
    let expected = actions.map(|action| ("command_line".to_owned(), action.to_owned()));
    assert_eq!(noted, expected);
}

#[test]
fn a_tenant_is_deleted_by_its_id_and_its_name() {
    let program = Program::new();
    let tenant = program.run(&["tenant", "create", "--name", "Acme"]).well();
    let id = tenant.data.trim();
    let refused = program.run(&["tenant", "delete", id, "--name", "acme"]);
    assert!(refused.badly().talk.contains("another name"));
    let delete = ["tenant", "delete", id, "--name", "Acme"];
    let deleted = program.run(&[&delete[..], &["--json"]].concat()).well();
    assert_eq!(deleted.json()["deleted"], true);
    // What a kill may have left goes with the next one.
    program.run(&delete).well();
    let listed = program.run(&["tenant", "list"]).well();
    assert!(!listed.data.contains("Acme"), "{listed:?}");
    program.run(&["key", "list", "--tenant", id]).badly();
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let program = Program::new();
    let made = program
        .run(&[
            "key",
            "create",
            "--environment",
            "test",
            "--name",
            "shop",
            "--json",
        ])
        .well();
    let key = made.json();
    let text = key["key"].as_str().unwrap();
    assert!(text.starts_with("unf_test_") && text.len() == 47);
    assert!(!made.talk.contains(text));
    let bare = program
        .run(&[
            "key",
            "create",
            "--environment",
            "live",
            "--name",
            "x",
            "--scope",
            "sms:read",
        ])
        .well();
    assert!(
        bare.data.starts_with("unf_live_") && bare.data.lines().count() == 1,
        "{bare:?}"
    );
    assert!(!bare.talk.contains(bare.data.trim()) && !bare.talk.is_empty());

    let id = key["id"].as_str().unwrap();
    let listed = program.run(&["key", "list", "--json"]).well();
    assert_eq!(listed.json()["data"].as_array().unwrap().len(), 2);
    let people = program.run(&["key", "list"]).well();
    for list in [&listed.data, &people.data] {
        assert!(list.contains(id) && !list.contains(text), "{list}");
    }
    let revoked = program.run(&["key", "revoke", id]).well();
    assert_eq!(revoked.data, "");
    assert!(
        program
            .run(&["key", "list"])
            .well()
            .data
            .contains("revoked")
    );

    let absent = "key_01h455vb4pex5vsknk084sn02q";
    let refused = program.run(&["key", "revoke", absent]).badly();
    assert!(refused.talk.contains("There is no API key"), "{refused:?}");
    let refused = program
        .run(&["key", "create", "--environment", "test", "--name", ""])
        .badly();
    assert!(refused.talk.contains("1 to 100 characters"), "{refused:?}");
}

#[test]
fn keys_belong_to_a_tenant_that_exists() {
    let program = Program::new();
    let tenant = program
        .run(&["tenant", "create", "--name", "Acme"])
        .well()
        .data;
    let tenant = tenant.trim();
    let create = [
        "key",
        "create",
        "--environment",
        "test",
        "--name",
        "x",
        "--tenant",
    ];
    program.run(&[&create[..], &[tenant]].concat()).well();
    let count = |tenant: &str| {
        let listed = program
            .run(&["key", "list", "--json", "--tenant", tenant])
            .well();
        listed.json()["data"].as_array().unwrap().len()
    };
    assert_eq!(count(tenant), 1);
    let absent = "ten_01h455vb4pex5vsknk084sn02q";
    for args in [
        [&create[..], &[absent]].concat(),
        vec!["key", "list", "--tenant", absent],
    ] {
        let refused = program.run(&args).badly();
        assert!(refused.talk.contains("There is no tenant"), "{refused:?}");
    }
}

#[tokio::test]
async fn migrations_bring_both_kinds_of_database_up_to_date() {
    let program = Program::new();
    let migrated = program.run(&["migrate"]).well();
    assert_eq!(
        (migrated.data.as_str(), migrated.talk.contains("up to date")),
        ("", true)
    );
    program.run(&["migrate"]).well();
    if let Some(postgres) = TestDatabase::postgres_empty().await {
        let program = Program::new().set("DATABASE_URL", postgres.url());
        let refused = program.run(&["tenant", "list"]).badly();
        assert!(refused.talk.contains("onerouter migrate"), "{refused:?}");
        let program = program.set("ONEROUTER_MIGRATE_DATABASE_URL", postgres.owner_url());
        program.run(&["migrate"]).well();
        program.run(&["tenant", "list"]).well();
    }
}

#[test]
fn the_vault_is_wrapped_anew_under_another_key() {
    let (old, new) = ("0a".repeat(32), "0b".repeat(32));
    let program = Program::new().set("ENCRYPTION_KEY", &old);
    program.run(&["migrate"]).well();
    let program = program
        .set("ENCRYPTION_KEY_PREVIOUS", &old)
        .set("ENCRYPTION_KEY", &new);
    let rotated = program.run(&["vault", "rotate", "--json"]).well();
    assert_eq!(rotated.json()["object"], "vault.rotation");
    let people = program.run(&["vault", "rotate"]).well();
    assert_eq!(people.data, "");
    assert!(
        people.talk.contains("ENCRYPTION_KEY_PREVIOUS"),
        "{people:?}"
    );
    for text in [&rotated.data, &rotated.talk, &people.talk] {
        assert!(!text.contains(&old) && !text.contains(&new), "{text}");
    }
    let refused = Program::new().run(&["vault", "rotate"]).badly();
    assert!(refused.talk.contains("set ENCRYPTION_KEY"), "{refused:?}");
}
