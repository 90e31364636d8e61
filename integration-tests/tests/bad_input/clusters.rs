//! Broken `cluster.json`.

use std::{fs, time::Duration};

use cc_integration_tests::{recording::now, server::Deployment, small, wait};

use crate::{
    house::{CLUSTER, House, STEP, refused, site, start},
    starts::ends_with,
};

pub async fn a_broken_cluster_file_stops_the_start(deployment: Deployment) {
    let good = small::cluster("other", "o[01-02]", STEP);
    let broken = [
        (good[..good.len() / 2].to_owned(), vec!["other/cluster.json"]),
        (good.replace("\"scope\":\"socket\"", "\"scope\":\"galaxy\""), vec!["other/cluster.json", "galaxy"]),
        (good.replace("o[01-02]", "o[01-"), vec!["other/cluster.json", "nodes"]),
        (good.replace("\"name\":\"other\"", "\"name\":\"another\""), vec!["other/cluster.json", "another"]),
        (good.replace("\"metricConfig\":[", "\"metricConfig\":{["), vec!["other/cluster.json"]),
    ];
    for (text, words) in broken {
        let site = site();
        site.add_cluster("other", text.as_bytes());
        ends_with(&site, deployment, &words);
        // Repaired, it starts.
        site.add_cluster("other", good.as_bytes());
        House::of(site, deployment).await.close();
    }
}

pub async fn a_broken_change_leaves_the_cluster_as_it_was(deployment: Deployment) {
    let house = House::open(deployment).await;
    let file = house.site.file("var/job-archive/small/cluster.json");
    let before = house.scheduler.get("/api/clusters/").await.expect(200).text;
    fs::write(&file, "{\"name\": \"small\", \"metricConfig\": [").expect("a file");
    wait::until("the log names the file", Duration::from_secs(20), || async {
        let log = house.server.log_tail();
        let told = log.lines().any(|line| line.contains("ERROR") && line.contains("small/cluster.json"));
        if told { Ok(()) } else { Err(log) }
    })
    .await;
    assert_eq!(house.scheduler.get("/api/clusters/").await.expect(200).text, before);
    house.scheduler.post("/api/jobs/start_job/", &start(1, "s01", now() - 60)).await.expect(201);
    let new = start(2, "s09", now() - 60);
    refused(&house.scheduler.post("/api/jobs/start_job/", &new).await, 400, &["s09"]);

    // Mended, and with a new host, it is taken over without a restart.
    fs::write(&file, small::cluster(CLUSTER, "s[01-09]", STEP)).expect("a file");
    wait::until("the new host is known", Duration::from_secs(20), || async {
        let answer = house.scheduler.post("/api/jobs/start_job/", &new).await;
        if answer.status.as_u16() == 201 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    assert_eq!(house.jobs().await.len(), 2);
    house.close();
}
