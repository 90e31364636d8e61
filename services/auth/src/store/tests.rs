use super::*;
use crate::testing::{NOW, Site};
use crate::user::Source;

async fn store(site: &Site) -> Store {
    Store::open(site.database.clone(), site.clock.clone()).await.unwrap()
}

#[tokio::test]
async fn rows_are_read_whatever_storage_class_the_reference_gave_them() {
    let site = Site::new().await;
    site.execute(
        r#"INSERT INTO hpc_user (username, password, ldap, name, roles, email, projects) VALUES
           ('text', 'h', 0, 'Ada Å', '["user","manager"]', 'a@b', '["p1"]'),
           ('blob', CAST('h' AS BLOB), 1, CAST('Ada Å' AS BLOB), CAST('["user","manager"]' AS BLOB), NULL, CAST('["p1"]' AS BLOB)),
           ('bare', NULL, 3, NULL, 'null', NULL, '[""]'),
           ('odd', '', 9, x'ff', '{broken', NULL, '["p1"]');"#,
    )
    .await;
    let store = store(&site).await;
    let text = store.account("text").await.unwrap().unwrap();
    assert_eq!(text.user.name, "Ada Å");
    assert_eq!(text.user.email, "a@b");
    assert_eq!(text.password.as_deref(), Some("h"));
    let blob = store.account("blob").await.unwrap().unwrap();
    assert_eq!((blob.user.roles, blob.user.projects), (text.user.roles, text.user.projects));
    assert_eq!((blob.user.name, blob.user.source), (text.user.name, Some(Source::Ldap)));
    assert_eq!(blob.password, text.password);
    let bare = store.account("bare").await.unwrap().unwrap();
    assert!(bare.user.roles.is_empty() && bare.user.projects.is_empty() && bare.password.is_none());
    assert_eq!((bare.user.name.as_str(), bare.user.source), ("", Some(Source::Oidc)));
    let odd = store.account("odd").await.unwrap().unwrap();
    assert!(odd.user.roles.is_empty() && odd.password.is_none() && odd.user.source.is_none());
    assert_eq!(odd.user.projects, ["p1"]);
    assert!(store.account("TEXT").await.unwrap().is_none(), "names are compared exactly");
}

#[tokio::test]
async fn hostile_names_are_values_and_never_text_of_a_statement() {
    let site = Site::new().await;
    let store = store(&site).await;
    for name in ["' OR '1'='1", "x'; DROP TABLE hpc_user; --", "\0", "%", "\"", "a\\", ""] {
        assert!(store.account(name).await.unwrap().is_none(), "{name:?}");
        assert!(store.users(&[name.to_owned()]).await.unwrap().is_empty(), "{name:?}");
    }
    assert_eq!(site.number("SELECT COUNT(*) FROM hpc_user").await, 0);
}

#[tokio::test]
async fn opening_again_keeps_everything_and_a_later_release_is_respected() {
    let site = Site::new().await;
    store(&site).await;
    site.execute("INSERT INTO ccx_session VALUES (x'01', 'a', NULL, '', 0, 1)").await;
    store(&site).await;
    assert_eq!(site.number("SELECT COUNT(*) FROM ccx_session").await, 1);
    site.execute("UPDATE ccx_version SET version = 99 WHERE component = 'auth'").await;
    let error = Store::open(site.database.clone(), site.clock.clone()).await.unwrap_err();
    assert!(matches!(error, cc_database::Error::SideTablesTooNew { found: 99, .. }), "{error}");
}

#[tokio::test]
async fn the_schema_of_the_reference_is_as_it_was() {
    let site = Site::new().await;
    let schema =
        "SELECT name || ' ' || COALESCE(sql, '') FROM sqlite_master WHERE name NOT LIKE '%ccx_%' ORDER BY 1";
    let before = site.texts(schema).await;
    store(&site).await;
    assert!(before.len() > 10);
    assert_eq!(site.texts(schema).await, before);
}

#[tokio::test]
async fn pruning_removes_what_is_past_its_end_and_nothing_else() {
    let site = Site::new().await;
    let store = store(&site).await;
    site.execute(
        "INSERT INTO hpc_user (username) VALUES ('a');
         INSERT INTO ccx_session VALUES
            (x'01', 'a', NULL, '', 0, 1795000000), (x'02', 'a', NULL, '', 0, 1795000001), (x'03', 'gone', NULL, '', 0, 1795000001);
         INSERT INTO ccx_audit (at, actor, address, action, target, outcome, detail) VALUES
            (1795000000 - 400 * 86400 - 1, 'old', '', '', '', '', ''), (1795000000 - 400 * 86400, 'kept', '', '', '', '', '');",
    )
    .await;
    assert_eq!(NOW, 1_795_000_000);
    assert_eq!(store.prune_sessions().await.unwrap(), 2);
    assert_eq!(site.texts("SELECT hex(hash) FROM ccx_session").await, ["02"]);
    assert_eq!(store.prune_audit().await.unwrap(), 1);
    assert_eq!(site.texts("SELECT actor FROM ccx_audit").await, ["kept"]);
}

#[tokio::test]
async fn the_audit_log_is_bounded_in_rows_and_its_fields_in_length() {
    let site = Site::new().await;
    let store = store(&site).await;
    site.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100007)
         INSERT INTO ccx_audit SELECT i, 1795000000, 'x', '', '', '', '', '' FROM n;",
    )
    .await;
    let name = "ü".repeat(10_000);
    let event = Event {
        actor: &name,
        address: &name,
        action: Action::Login,
        target: &name,
        outcome: Outcome::Refused,
        detail: "",
    };
    store.record(event).await.unwrap();
    store.prune_audit().await.unwrap();
    assert_eq!(site.number("SELECT COUNT(*) FROM ccx_audit").await, 100_000);
    assert_eq!(site.number("SELECT MAX(length(CAST(actor AS BLOB))) FROM ccx_audit").await, 254);
}

#[tokio::test]
async fn settings_belong_to_users_and_the_last_value_counts() {
    let site = Site::new().await;
    site.execute("INSERT INTO hpc_user (username, ldap, roles, projects) VALUES ('alice', 0, '[]', '[]')")
        .await;
    let store = store(&site).await;
    assert_eq!(store.put_setting("ghost", "a", "1").await.unwrap(), Put::NoAccount);
    for value in ["1", "[\"x\"]"] {
        assert_eq!(store.put_setting("alice", "b", value).await.unwrap(), Put::Stored);
    }
    assert_eq!(store.put_setting("alice", "a'; --", "true").await.unwrap(), Put::Stored);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(store.settings("alice").await.unwrap(), [pair("a'; --", "true"), pair("b", "[\"x\"]")]);
    assert!(store.settings("ghost").await.unwrap().is_empty());
}

#[tokio::test]
async fn all_settings_of_a_user_together_are_bounded() {
    let site = Site::new().await;
    site.execute(
        "INSERT INTO hpc_user (username, ldap, roles, projects) VALUES ('alice', 0, '[]', '[]'), ('bob', 0, '[]', '[]')",
    )
    .await;
    let store = store(&site).await;
    let value = format!("\"{}\"", "ä".repeat(30_000));
    let mut stored = 0;
    while store.put_setting("alice", &format!("s{stored}"), &value).await.unwrap() == Put::Stored {
        stored += 1;
        assert!(stored < 100);
    }
    assert_eq!(stored, 17, "60 kB each, 1 MiB in all");
    // the old value of a setting makes room for its new one
    assert_eq!(store.put_setting("alice", "s0", &value).await.unwrap(), Put::Stored);
    assert_eq!(store.put_setting("alice", "small", "1").await.unwrap(), Put::Stored);
    assert_eq!(store.put_setting("bob", "s0", &value).await.unwrap(), Put::Stored);
}
