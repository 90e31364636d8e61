//! Who may, and who not.

use std::{fs, process::Command};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cc_integration_tests::{client::Client, recording::now, server::Deployment, shared::binary, site::Site};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};

use crate::house::{CLUSTER, House, lines, minute, refused, start};

/// The key that the site signs tokens with.
fn key(site: &Site) -> SigningKey {
    let env = fs::read_to_string(site.file(".env")).expect(".env");
    let line = env.lines().find_map(|line| line.strip_prefix("JWT_PRIVATE_KEY=")).expect("a key");
    let bytes = base64::engine::general_purpose::STANDARD.decode(line.trim_matches('"')).expect("base64");
    SigningKey::from_bytes(bytes[..32].try_into().expect("32 bytes"))
}

fn token(key: &SigningKey, algorithm: &str, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": algorithm, "typ": "JWT"})), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).to_bytes());
    format!("{signed}.{signature}")
}

/// Claims of the scheduler, good until a time.
fn claims(until: i64) -> Value {
    json!({"sub": "scheduler", "roles": ["api"], "iat": now() - 3600, "exp": until})
}

/// Bad tokens and what is said of them.
fn bad(site: &Site) -> Vec<(&'static str, String, &'static str)> {
    let key = key(site);
    let other = SigningKey::from_bytes(&[7; 32]);
    let good = token(&key, "EdDSA", &claims(now() + 3600));
    let (head, signature) = good.rsplit_once('.').expect("three parts");
    let (first, _) = head.split_once('.').expect("three parts");
    let admin = URL_SAFE_NO_PAD
        .encode(json!({"sub": "scheduler", "roles": ["api", "admin"], "exp": now() + 3600}).to_string());
    vec![
        ("nonsense", "nonsense".to_owned(), "token"),
        ("signed with another key", token(&other, "EdDSA", &claims(now() + 3600)), "signature"),
        ("claims exchanged", format!("{first}.{admin}.{signature}"), "signature"),
        ("signature missing", format!("{head}."), "token"),
        ("unsigned", token(&key, "none", &claims(now() + 3600)), "eddsa"),
        ("expired", token(&key, "EdDSA", &claims(now() - 60)), "expired"),
    ]
}

pub async fn wrong_expired_and_weak_tokens_are_told_apart(deployment: Deployment) {
    let house = House::open(deployment).await;
    let anybody = house.server.client();
    let body = start(1, "s01", now() - 60);
    let good = anybody.with_token(&token(&key(&house.site), "EdDSA", &claims(now() + 3600)));
    good.get("/api/clusters/").await.expect(200);
    for (what, token, word) in bad(&house.site) {
        let client = anybody.with_token(&token);
        for answer in [
            client.post("/api/jobs/start_job/", &body).await,
            client.write(CLUSTER, lines("s01", minute() - 60, minute())).await,
            client.get("/api/jobs/").await,
        ] {
            assert_eq!(answer.status.as_u16(), 401, "{what}: {}", answer.text);
            assert!(answer.text.to_lowercase().contains(word), "{what}: {}", answer.text);
        }
        let answer = client.post("/query", &json!({"query": "{me{username}}"})).await;
        assert_eq!(answer.status.as_u16(), 401, "{what}: {}", answer.text);
        assert_eq!(client.get("/events").await.status.as_u16(), 401, "{what}");
    }
    refused(&anybody.post("/api/jobs/start_job/", &body).await, 401, &[]);
    let guess = anybody
        .clone()
        .with_cookie("cc_session=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    assert_eq!(guess.post("/query", &json!({"query": "{me{username}}"})).await.status.as_u16(), 401);
    assert!(house.jobs().await.is_empty(), "nothing was started");
    assert!(house.values("load", "s01", minute() - 60, minute()).await.is_empty(), "no sample was taken");
    house.close();
}

pub async fn a_role_that_may_not_is_refused(deployment: Deployment) {
    let house = House::open(deployment).await;
    let alice = house.server.client().with_token(&house.site.token("alice"));
    let operator = house.server.client().with_token(&house.site.token("operator"));
    for client in [&alice, &operator] {
        for answer in [
            client.post("/api/jobs/start_job/", &start(1, "s01", now() - 60)).await,
            client.post("/api/jobs/stop_job/", &json!({"jobId": 1, "stopTime": now()})).await,
            client.post("/api/nodestate/", &json!({"cluster": CLUSTER, "nodes": []})).await,
            client.write(CLUSTER, lines("s01", minute() - 60, minute())).await,
            client.get("/api/jobs/").await,
            client.get("/api/clusters/").await,
        ] {
            // As the reference: a role that is missing is a 401, with a text that says which.
            refused(&answer, 401, &["api"]);
        }
    }
    let alice = house.server.client().signed_in("alice", "alice").await;
    let answer = alice.try_graphql("{nodes{items{hostname}}}", json!({})).await;
    assert!(answer["errors"].is_array(), "{answer}");
    assert!(house.jobs().await.is_empty());
    assert!(house.values("load", "s01", minute() - 60, minute()).await.is_empty());
    let wrong = Client::new(house.server.base()).try_signed_in("alice", "guess").await;
    assert!(wrong.is_err_and(|error| error.contains("401")), "a wrong password");
    house.close();
}

pub async fn the_scheduler_interface_refuses_them_too(deployment: Deployment) {
    let house = House::open(deployment).await;
    let recording = house.site.file("recording.jsonl");
    let record = json!({"t": 0, "method": "POST", "path": "/api/jobs/start_job/", "request": start(1, "s01", now() - 60), "status": 201});
    fs::write(&recording, format!("{record}\n")).expect("a file");
    let mut tokens = bad(&house.site);
    tokens.push(("without the role", house.site.token("alice"), "api"));
    for (what, token, word) in tokens {
        let output = Command::new(binary("cc-slurm-adapter"))
            .arg("replay")
            .arg(&recording)
            .args(["-server", house.server.grpc(), "-patience", "2", "-json"])
            .env("CC_TOKEN", &token)
            .current_dir(house.site.path())
            .output()
            .expect("cc-slurm-adapter runs");
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(!output.status.success(), "{what}: {output:?}");
        assert!(said.contains(word), "{what}: {said}");
        assert!(!said.contains(&token.to_lowercase()), "{what}: the token itself is told");
    }
    assert!(house.jobs().await.is_empty());
    house.close();
}
