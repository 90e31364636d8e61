use jiff::SignedDuration;

use super::*;
use crate::cli;
use crate::testing::{NOW, Site, settings};
use crate::user::{Source, User};

async fn site_with(users: &[&str]) -> Site {
    let site = Site::new().await;
    for spec in users {
        cli::add_user(&site.database, &site.clock, spec, &mut std::io::empty()).await.unwrap();
    }
    site
}

async fn app_of(site: &Site, settings: &Settings) -> App {
    App::open(site.database.clone(), site.clock.clone(), settings).await.unwrap()
}

async fn bob() -> (Site, App) {
    let site = site_with(&["bob:user:right"]).await;
    let app = app_of(&site, &settings()).await;
    (site, app)
}

async fn login(app: &App) -> String {
    app.login("bob", "right", "10.0.0.1").await.unwrap().secret.to_cookie()
}

#[tokio::test]
async fn a_login_opens_a_session_that_tells_whose_it_is() {
    let (_site, app) = bob().await;
    let login = app.login("bob", "right", "10.0.0.1").await.unwrap();
    assert_eq!(login.expires_at, NOW + 168 * 3600);
    let seen = app.authenticate_session(&login.secret.to_cookie()).await.unwrap();
    assert_eq!(seen.user, login.user);
    assert_eq!(seen.user.roles, ["user"]);
    assert_eq!((seen.expires_at, seen.cache_s), (Some(NOW + 168 * 3600), 30));
}

#[tokio::test]
async fn nothing_tells_what_was_wrong_with_a_login() {
    let (site, app) = bob().await;
    site.execute(
        "INSERT INTO hpc_user (username, password, ldap) SELECT 'fromldap', password, 1 FROM hpc_user;
         INSERT INTO hpc_user (username, ldap) VALUES ('robot', 0);
         INSERT INTO hpc_user (username, password, ldap) VALUES ('broken', 'no hash', 0);",
    )
    .await;
    let long = "x".repeat(5000);
    for (username, password) in [
        ("bob", "wrong"),
        ("bob", ""),
        ("BOB", "right"),
        ("ghost", "right"),
        ("", "right"),
        ("robot", ""),
        ("broken", "right"),
        ("fromldap", "right"),
        ("bob", &long),
        (&long, "right"),
    ] {
        let error = app.login(username, password, "10.0.0.1").await.unwrap_err();
        assert!(matches!(error, Error::WrongCredentials), "{username:?}: {error}");
    }
    assert_eq!(site.number("SELECT COUNT(*) FROM ccx_session").await, 0);
    assert_eq!(
        site.number("SELECT COUNT(*) FROM ccx_audit WHERE action = 'login' AND outcome = 'refused'").await,
        10
    );
}

#[tokio::test]
async fn after_five_failures_even_the_right_password_has_to_wait() {
    let (site, app) = bob().await;
    for _ in 0..5 {
        app.login("bob", "wrong", "10.0.0.1").await.unwrap_err();
    }
    let error = app.login("bob", "right", "10.0.0.1").await.unwrap_err();
    assert_eq!(error.to_string(), "too many login attempts, try again in a few minutes");
    let failure = cc_runtime::error::Failure::from(error);
    assert_eq!((failure.kind(), failure.reason()), (cc_runtime::error::Kind::Busy, "TOO_MANY_ATTEMPTS"));
    app.login("bob", "right", "10.0.0.2").await.unwrap();
    site.clock.advance(SignedDuration::from_mins(3));
    app.login("bob", "right", "10.0.0.1").await.unwrap();
}

#[tokio::test]
async fn a_session_ends_at_its_time_without_sliding() {
    let (site, app) = bob().await;
    let cookie = login(&app).await;
    site.clock.advance(SignedDuration::from_secs(168 * 3600 - 10));
    assert_eq!(app.authenticate_session(&cookie).await.unwrap().cache_s, 10);
    site.clock.advance(SignedDuration::from_secs(10));
    assert!(matches!(app.authenticate_session(&cookie).await, Err(Error::ExpiredSession)));
    crate::janitor::round(app.store()).await.unwrap();
    assert!(matches!(app.authenticate_session(&cookie).await, Err(Error::UnknownSession)));
}

#[tokio::test]
async fn a_shorter_life_configured_later_holds_for_open_sessions() {
    let (site, app) = bob().await;
    let cookie = login(&app).await;
    let strict = app_of(&site, &Settings { session_max_age_s: 60, ..settings() }).await;
    assert_eq!(strict.authenticate_session(&cookie).await.unwrap().expires_at, Some(NOW + 60));
    site.clock.advance(SignedDuration::from_secs(60));
    assert!(matches!(strict.authenticate_session(&cookie).await, Err(Error::ExpiredSession)));
    assert!(app.authenticate_session(&cookie).await.is_ok());
}

#[tokio::test]
async fn changes_of_the_user_table_reach_open_sessions() {
    let (site, app) = bob().await;
    let cookie = login(&app).await;
    site.execute(
        r#"UPDATE hpc_user SET roles = CAST('["manager"]' AS BLOB), projects = CAST('["p1"]' AS BLOB)"#,
    )
    .await;
    let user = app.authenticate_session(&cookie).await.unwrap().user;
    assert_eq!((user.roles, user.projects), (vec!["manager".to_owned()], vec!["p1".to_owned()]));
    site.execute("UPDATE hpc_user SET password = 'another'").await;
    assert!(matches!(app.authenticate_session(&cookie).await, Err(Error::UnknownSession)));
    site.execute("DELETE FROM hpc_user").await;
    assert!(matches!(app.authenticate_session(&cookie).await, Err(Error::UnknownUser)));
}

#[tokio::test]
async fn a_user_made_again_under_the_same_name_does_not_inherit_sessions() {
    let (site, app) = bob().await;
    let cookie = login(&app).await;
    site.execute("DELETE FROM hpc_user").await;
    cli::add_user(&site.database, &site.clock, "bob:user:right", &mut std::io::empty()).await.unwrap();
    assert!(matches!(app.authenticate_session(&cookie).await, Err(Error::UnknownSession)));
}

#[tokio::test]
async fn logout_ends_this_session_only_and_can_be_repeated() {
    let (site, app) = bob().await;
    let (one, other) = (login(&app).await, login(&app).await);
    app.logout(&one).await.unwrap();
    app.logout(&one).await.unwrap();
    for foreign in ["", "abc", "MTIzfGFiY3w=", "ä"] {
        app.logout(foreign).await.unwrap();
        assert!(matches!(app.authenticate_session(foreign).await, Err(Error::UnknownSession)));
    }
    assert!(matches!(app.authenticate_session(&one).await, Err(Error::UnknownSession)));
    assert!(app.authenticate_session(&other).await.is_ok());
    let log = site.texts("SELECT action || ' ' || actor || ' ' || address FROM ccx_audit ORDER BY id").await;
    assert_eq!(log, ["add-user cli ", "login bob 10.0.0.1", "login bob 10.0.0.1", "logout bob "]);
}

#[tokio::test]
async fn the_database_holds_no_cookie() {
    let (site, app) = bob().await;
    let secret = app.login("bob", "right", "10.0.0.1").await.unwrap().secret;
    let stored: Vec<u8> = {
        let mut reader = site.database.read().await.unwrap();
        sqlx::query_scalar("SELECT hash FROM ccx_session").fetch_one(&mut *reader).await.unwrap()
    };
    assert_eq!(stored, secret.hash());
    let forged = crate::session::Secret::from_cookie(&{
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&stored)
    });
    let forged = forged.unwrap().to_cookie();
    assert!(matches!(app.authenticate_session(&forged).await, Err(Error::UnknownSession)));
}

#[tokio::test]
async fn a_user_has_a_hundred_sessions_at_most_and_the_oldest_go() {
    let (site, app) = bob().await;
    let oldest = login(&app).await;
    site.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99)
         INSERT INTO ccx_session SELECT CAST('s' || i AS BLOB), 'bob', NULL, '', 1795000000 + i, 9999999999 FROM n;",
    )
    .await;
    assert!(app.authenticate_session(&oldest).await.is_ok());
    site.clock.advance(SignedDuration::from_secs(200));
    let newest = login(&app).await;
    assert_eq!(site.number("SELECT COUNT(*) FROM ccx_session").await, 100);
    assert!(matches!(app.authenticate_session(&oldest).await, Err(Error::UnknownSession)));
    assert!(app.authenticate_session(&newest).await.is_ok());
}

#[tokio::test]
async fn logins_beyond_the_limit_are_turned_away_at_once() {
    let (_site, app) = bob().await;
    let turns: Vec<_> = (0..LOGINS_MAX).map(|_| app.logins.try_acquire().unwrap()).collect();
    assert!(matches!(app.login("bob", "right", "10.0.0.1").await, Err(Error::LoginsBusy)));
    drop(turns);
    login(&app).await;
}

fn token(settings: &Settings, site: &Site, username: &str, roles: &[&str]) -> String {
    let roles: Vec<String> = roles.iter().map(|&role| role.to_owned()).collect();
    crate::token::mint(settings.keys.signing().unwrap(), username, &roles, &site.clock, Some(60)).unwrap()
}

#[tokio::test]
async fn a_token_speaks_for_itself_unless_users_are_validated() {
    let site = site_with(&["bob:user:right"]).await;
    site.execute(r#"UPDATE hpc_user SET projects = '["p1"]'"#).await;
    let app = app_of(&site, &settings()).await;
    let ghost = token(&settings(), &site, "ghost", &["admin", "wizard"]);
    let seen = app.authenticate_bearer(&ghost).await.unwrap();
    assert_eq!(
        seen.user,
        User {
            username: "ghost".into(),
            name: String::new(),
            email: String::new(),
            roles: vec!["admin".into(), "wizard".into()],
            projects: Vec::new(),
            source: None
        }
    );
    assert_eq!((seen.expires_at, seen.cache_s), (Some(NOW + 60), 30));

    let validating = app_of(&site, &Settings { validate_user: true, ..settings() }).await;
    let error = validating.authenticate_bearer(&ghost).await.unwrap_err();
    assert!(matches!(error, Error::UnknownUser));
    assert_eq!(error.to_string(), "unknown user");
    let bob = token(&settings(), &site, "bob", &["admin"]);
    let user = validating.authenticate_bearer(&bob).await.unwrap().user;
    assert_eq!((user.roles, user.projects), (vec!["user".to_owned()], vec!["p1".to_owned()]));
    assert_eq!(user.source, Some(Source::Local));
}

#[tokio::test]
async fn every_person_of_the_recorded_site_can_log_in() {
    let Some(shared) = crate::testing::shared() else { return };
    let hub = shared.join("fixtures/site/hub");
    let directory = tempfile::tempdir().unwrap();
    let packed =
        std::process::Command::new("gzip").arg("-dc").arg(hub.join("var/job.db.gz")).output().unwrap();
    std::fs::write(directory.path().join("job.db"), packed.stdout).unwrap();
    let site = Site::open(directory).await;
    let app = app_of(&site, &settings()).await;
    let actors: serde_json::Value =
        serde_json::from_slice(&std::fs::read(hub.join("site.json")).unwrap()).unwrap();
    let mut people = 0;
    for actor in actors["actors"].as_object().unwrap().values() {
        let Some(password) = actor["password"].as_str().filter(|password| !password.is_empty()) else {
            continue;
        };
        let login = app.login(actor["user"].as_str().unwrap(), password, "10.0.0.1").await.unwrap();
        let roles: Vec<&str> =
            actor["roles"].as_array().unwrap().iter().filter_map(|role| role.as_str()).collect();
        assert_eq!(login.user.roles, roles.into_iter().filter(|role| !role.is_empty()).collect::<Vec<_>>());
        people += 1;
    }
    assert!(people >= 10, "{people}");
    let manager = app.login("meike", "pw-meike:1!", "10.0.0.1").await.unwrap();
    assert_eq!(manager.user.projects, ["pa01", "pb02"]);
}

#[tokio::test]
async fn settings_are_json_of_a_bounded_size() {
    let (site, app) = bob().await;
    app.set_preference("bob", "jobsPerPage", "25").await.unwrap();
    let long = format!("\"{}\"", "x".repeat(64 * 1024));
    for (name, value) in [("", "1"), (&"n".repeat(256), "1"), ("a", "nonsense"), ("a", ""), ("a", &long)] {
        let refused = app.set_preference("bob", name, value).await;
        assert!(matches!(refused, Err(Error::InvalidSetting { .. })), "{name} {value:.9}");
    }
    assert!(matches!(app.set_preference("ghost", "a", "1").await, Err(Error::NoAccount)));
    site.execute("INSERT INTO configuration VALUES ('bob', 'old', 'nonsense')").await;
    let kept = app.preferences("bob").await.unwrap();
    assert_eq!(kept, [("jobsPerPage".to_owned(), "25".to_owned())], "what the reference let in does no harm");
}
