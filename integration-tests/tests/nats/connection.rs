//! Getting and keeping a connection.

use async_nats::ConnectOptions;
use cc_integration_tests::{
    broker::Broker,
    recording::now,
    server::{Deployment, free_port},
};
use serde_json::json;

use crate::house::{House, JOBS, line, send, site, start, stop};

pub async fn the_hub_goes_on_without_a_broker_and_takes_up_its_work(deployment: Deployment) {
    let port = free_port();
    let url = format!("nats://127.0.0.1:{port}");
    let house = House::of(site(&url, &json!([])), deployment).await;
    house.says("gateway-nats", &["not connected to 127.0.0.1", "refused"]).await;
    assert_eq!(house.jobs().await, [], "it serves");
    let mut broker = Broker::start_at(port, &[]);
    house.connected("gateway-nats").await;
    let began = now() - 3600;
    let nats = broker.client().await;
    send(&nats, JOBS, line("job,function=start_job", &start(1, began))).await;
    send(&nats, JOBS, line("job,function=stop_job", &stop(1, began + 1))).await;
    nats.flush().await.expect("sent");
    house.all_stopped(1).await;
    broker.kill();
    house.says("gateway-nats", &["not connected"]).await;
    broker.restart();
    house.connected("gateway-nats").await;
    let nats = broker.client().await;
    send(&nats, JOBS, line("job,function=start_job", &start(2, began))).await;
    send(&nats, JOBS, line("job,function=stop_job", &stop(2, began + 2))).await;
    nats.flush().await.expect("sent");
    house.all_stopped(2).await;
    house.close();
}

pub async fn who_may_not_sign_in_is_told_why(deployment: Deployment) {
    let key = nkeys::KeyPair::new_user();
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("nats.conf");
    let text = format!("authorization: {{ users: [ {{ nkey: {} }} ] }}", key.public_key());
    std::fs::write(&config, text).expect("written");
    let broker = Broker::start(&["-c", config.to_str().expect("UTF-8")]);

    let stranger = site(&broker.url(), &json!([]));
    stranger.configure(|config| config["nats-client"] = json!({"nkey-seed-file": "./no-such-file"}));
    let house = House::of(stranger, deployment).await;
    house.says("gateway-nats", &["nats-client.nkey-seed-file", "no-such-file"]).await;
    house.site.configure(|config| config["nats-client"] = json!({"nkey-seed-file": "./seed"}));
    let seed = |key: &nkeys::KeyPair| format!("{}\n", key.seed().expect("a seed"));
    std::fs::write(house.site.file("seed"), seed(&nkeys::KeyPair::new_user())).expect("written");
    let House { site, server, .. } = house;
    server.stop();
    let house = House::of(site, deployment).await;
    house.says("gateway-nats", &["authorization violation"]).await;

    // The right seed is taken without a restart: files are read at each try.
    std::fs::write(house.site.file("seed"), seed(&key)).expect("written");
    house.connected("gateway-nats").await;
    let options = ConnectOptions::with_nkey(key.seed().expect("a seed"));
    let nats = broker.client_with(options).await;
    send(&nats, JOBS, line("job,function=start_job", &start(1, now() - 60))).await;
    send(&nats, JOBS, line("job,function=stop_job", &stop(1, now() - 30))).await;
    nats.flush().await.expect("sent");
    house.all_stopped(1).await;
    house.close();
}

pub async fn a_password_over_tls_is_taken(deployment: Deployment) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    std::fs::write(file("cert.pem"), certified.cert.pem()).expect("written");
    std::fs::write(file("key.pem"), certified.signing_key.serialize_pem()).expect("written");
    let broker = Broker::start(&[
        "--user",
        "hub",
        "--pass",
        "secret word",
        "--tls",
        "--tlscert",
        &file("cert.pem"),
        "--tlskey",
        &file("key.pem"),
    ]);
    let url = broker.url().replace("nats://127.0.0.1", "tls://localhost");
    let site = site(&url, &json!([]));
    site.configure(|config| {
        config["nats"]["username"] = json!("hub");
        config["nats"]["password"] = json!("secret word");
    });
    let house = House::of(site, deployment).await;
    house.says("gateway-nats", &["not connected to localhost", "certificate"]).await;
    house
        .site
        .configure(|config| config["nats-client"] = json!({"tls": true, "tls-ca-file": file("cert.pem")}));
    let House { site, server, .. } = house;
    server.stop();
    let house = House::of(site, deployment).await;
    house.connected("gateway-nats").await;
    let log = std::fs::read_to_string(house.site.file("server.log")).expect("a log");
    assert!(!log.contains("secret word"), "{log}");
    house.close();
}
