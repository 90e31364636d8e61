use cc_runtime::env::MapEnv;
use cc_runtime::error::chain;

use super::*;
use crate::testing::{NOW, Site, settings};

async fn add_with(site: &Site, spec: &str, mut input: &[u8]) -> Result<(), Error> {
    add_user(&site.database, &site.clock, spec, &mut input).await
}

async fn add(site: &Site, spec: &str) -> Result<(), Error> {
    add_with(site, spec, b"").await
}

async fn refused(site: &Site, spec: &str) -> String {
    let error = add(site, spec).await.unwrap_err();
    chain(&error)
}

#[tokio::test]
async fn users_are_stored_as_the_reference_stores_them() {
    let site = Site::new().await;
    add(&site, "neo:user:pw").await.unwrap();
    add(&site, "multi:admin,api,user,api:p:w:with:colons").await.unwrap();
    add(&site, "robot:api:").await.unwrap();
    add(&site, "nora::pw").await.unwrap();
    let rows = site
        .texts("SELECT username || '|' || typeof(roles) || roles || '|' || typeof(projects) || projects || '|' || ldap FROM hpc_user ORDER BY 1")
        .await;
    assert_eq!(
        rows,
        [
            r#"multi|text["admin","api","user"]|text[]|0"#,
            r#"neo|text["user"]|text[]|0"#,
            "nora|text[]|text[]|0",
            r#"robot|text["api"]|text[]|0"#,
        ]
    );
    let hashes = site
        .texts("SELECT substr(password, 1, 7) || length(password) FROM hpc_user WHERE password IS NOT NULL")
        .await;
    assert_eq!(hashes, ["$2a$10$60", "$2a$10$60", "$2a$10$60"]);
    assert_eq!(site.number("SELECT COUNT(*) FROM hpc_user WHERE password IS NULL").await, 1);
    let stored = site.texts("SELECT password FROM hpc_user WHERE username = 'multi'").await;
    assert!(crate::password::verify("p:w:with:colons", stored.first().map(String::as_str)));
}

#[tokio::test]
async fn a_password_is_read_from_standard_input_without_its_line_end() {
    let site = Site::new().await;
    add_with(&site, "neo:user:-", b"from stdin\r\nsecond line\n").await.unwrap();
    let stored = site.texts("SELECT password FROM hpc_user").await;
    assert!(crate::password::verify("from stdin", stored.first().map(String::as_str)));
    add_with(&site, "silent:user:-", b"").await.unwrap();
    assert_eq!(site.number("SELECT COUNT(*) FROM hpc_user WHERE password IS NULL").await, 1);
    assert!(matches!(
        add_with(&site, "odd:user:-", b"\xff\xfe").await,
        Err(Error::AddUser { source: AddError::Input(_), .. })
    ));
}

#[tokio::test]
async fn what_is_refused_is_named_and_leaves_no_row() {
    let site = Site::new().await;
    let format = "invalid user format, want: <username>:[admin,support,manager,api,user]:<password>, have: ";
    assert_eq!(refused(&site, "justname").await, format!("{format}justname"));
    assert_eq!(refused(&site, "name:secret").await, format!("{format}name:…"));
    assert_eq!(refused(&site, ":user:x").await, format!("{format}:…"));
    assert_eq!(
        refused(&site, "odd:user,king:x").await,
        "adding user 'odd' with roles 'user,king': supplied role is no valid option : king"
    );
    for spec in ["odd:Admin:x", "odd:service:x", "odd:anonymous:x"] {
        assert!(refused(&site, spec).await.contains("no valid option"), "{spec}");
    }
    let long = format!("long:user:{}", "x".repeat(73));
    assert!(refused(&site, &long).await.ends_with("bcrypt: password length exceeds 72 bytes"));
    for spec in ["global:user:x", "admin:admin:x", "a/b:user:x", "a\nb:user:x"] {
        assert!(refused(&site, spec).await.starts_with("adding user '"), "{spec}");
    }
    assert_eq!(site.number("SELECT COUNT(*) FROM hpc_user").await, 0);
    add(&site, "neo:user:pw").await.unwrap();
    let text = refused(&site, "neo:admin:other").await;
    assert!(
        text.starts_with("adding user 'neo' with roles 'admin': ") && text.contains("UNIQUE constraint"),
        "{text}"
    );
    assert_eq!(site.texts("SELECT roles FROM hpc_user").await, [r#"["user"]"#]);
}

#[tokio::test]
async fn a_deleted_user_takes_sessions_and_settings_along_and_an_unknown_one_is_no_error() {
    let site = Site::new().await;
    add(&site, "neo:user:pw").await.unwrap();
    site.execute(
        "INSERT INTO configuration VALUES ('neo', 'k', 'v');
         INSERT INTO ccx_session VALUES (x'01', 'neo', NULL, '', 0, 9999999999), (x'02', 'trinity', NULL, '', 0, 9999999999);",
    )
    .await;
    del_user(&site.database, &site.clock, "neo").await.unwrap();
    del_user(&site.database, &site.clock, "nobody").await.unwrap();
    assert_eq!(site.number("SELECT COUNT(*) FROM hpc_user").await, 0);
    assert_eq!(site.number("SELECT COUNT(*) FROM configuration").await, 0);
    assert_eq!(site.texts("SELECT username FROM ccx_session").await, ["trinity"]);
}

#[tokio::test]
async fn the_line_of_jwt_is_the_one_that_scripts_cut() {
    let site = Site::new().await;
    add(&site, "slurm:api:").await.unwrap();
    let line = mint_jwt(&site.database, &site.clock, &settings(), "slurm").await.unwrap();
    let token = line.strip_prefix("JWT: Successfully generated JWT for user 'slurm': ").unwrap();
    let verifier = crate::token::Verifier::new(settings().keys.verifying(), site.clock.clone());
    let claims = verifier.check(token).unwrap();
    assert_eq!((claims.username.as_str(), claims.roles.as_slice()), ("slurm", &["api".to_owned()][..]));
    assert_eq!(claims.expires_at, None);
    let limited = Settings { token_lifetime_s: Some(3600), ..settings() };
    let line = mint_jwt(&site.database, &site.clock, &limited, "slurm").await.unwrap();
    let claims = verifier.check(line.rsplit(": ").next().unwrap()).unwrap();
    assert_eq!(claims.expires_at, Some(NOW + 3600));
}

#[tokio::test]
async fn no_token_for_nobody_and_none_without_a_key() {
    let site = Site::new().await;
    let error = mint_jwt(&site.database, &site.clock, &settings(), "nobody").await.unwrap_err();
    assert_eq!(chain(&error), "getting user 'nobody': sql: no rows in result set");
    add(&site, "slurm:api:").await.unwrap();
    let env: MapEnv = MapEnv::new().with("SESSION_KEY", "AAAA");
    let keyless = Settings::load(&cc_runtime::config::Config::default(), &env).unwrap();
    let error = mint_jwt(&site.database, &site.clock, &keyless, "slurm").await.unwrap_err();
    assert!(
        chain(&error)
            .starts_with("generating JWT for user 'slurm': environment variable 'JWT_PRIVATE_KEY' not set")
    );
}

#[tokio::test]
async fn every_change_stands_in_the_audit_log_once_and_no_secret_does() {
    let site = Site::new().await;
    add(&site, "neo:user,api:the-secret").await.unwrap();
    add(&site, "neo:user:again").await.unwrap_err();
    let line = mint_jwt(&site.database, &site.clock, &settings(), "neo").await.unwrap();
    del_user(&site.database, &site.clock, "neo").await.unwrap();
    del_user(&site.database, &site.clock, "neo").await.unwrap();
    let rows = site
        .texts("SELECT at || ' ' || actor || ' ' || action || ' ' || target || ' ' || outcome || ' ' || detail FROM ccx_audit ORDER BY id")
        .await;
    assert_eq!(
        rows,
        [
            format!("{NOW} cli add-user neo done user,api"),
            format!("{NOW} cli mint-token neo done user,api"),
            format!("{NOW} cli delete-user neo done "),
        ]
    );
    let token = line.rsplit(": ").next().unwrap();
    assert!(!rows.iter().any(|row| row.contains("secret") || row.contains(token)));
}
