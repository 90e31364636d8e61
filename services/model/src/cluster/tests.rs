use serde_json::{Value, json};

use super::*;
use crate::{job::Resource, json::to_vec, scope::MetricScope, testing::shared};

const FILES: [&str; 9] = [
    "data/archive/alex/cluster.json",
    "data/archive/emmy/cluster.json",
    "data/archive/fritz/cluster.json",
    "data/import/cluster-fritz.json",
    "fixtures/clients/metric-collector/cluster.json",
    "fixtures/clients/slurm-adapter/cluster.json",
    "fixtures/site/hub/var/job-archive/alex/cluster.json",
    "fixtures/site/hub/var/job-archive/emmy/cluster.json",
    "fixtures/site/hub/var/job-archive/fritz/cluster.json",
];

fn document() -> Value {
    json!({
        "name": "c",
        "metricConfig": [
            {"name": "load", "unit": {"base": ""}, "scope": "node", "timestep": 60, "aggregation": "avg",
             "peak": 72, "normal": 72, "caution": 36, "alert": 20, "footprint": "avg", "restrict": true,
             "subClusters": [{"name": "b", "peak": 104, "normal": 103, "caution": 52, "alert": 21}]},
            {"name": "power", "unit": {"base": "W"}, "scope": "socket", "timestep": 30, "aggregation": "sum",
             "energy": "power", "subClusters": [{"name": "b", "remove": true}]}
        ],
        "subClusters": [
            {"name": "a", "nodes": "n[01-10]", "topology": {"node": [0, 1], "socket": [[0, 1]], "memoryDomain": [[0, 1]],
             "core": [[0], [1]]}},
            {"name": "b", "nodes": "n[09-10]", "topology": {"node": [0], "socket": [[0]], "memoryDomain": [[0]]}},
            {"name": "rest", "nodes": "*"}
        ]
    })
}

fn read(document: &Value) -> Result<Cluster, ClusterError> {
    Cluster::from_json(document.to_string().as_bytes())
}

#[test]
fn every_real_file_is_read() {
    for file in FILES {
        let Some(bytes) = shared(file) else { continue };
        let cluster = Cluster::from_json(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(cluster.rejected(), [], "{file}");
        for sub in &cluster.sub_clusters {
            assert!(sub.number_of_nodes() > 0 && !sub.metric_config.is_empty(), "{file}");
            let first = sub.hosts().unwrap().expand(10_000).unwrap().remove(0);
            assert!(cluster.sub_cluster_of(&first).is_some(), "{file}");
        }
    }
}

#[test]
fn overlapping_lists_of_fritz_go_to_the_shorter_one() {
    let Some(bytes) = shared(FILES[2]) else { return };
    let fritz = Cluster::from_json(&bytes).unwrap();
    assert_eq!(fritz.sub_cluster_of("f0101").unwrap().name, "main");
    assert_eq!(fritz.sub_cluster_of("f2157").unwrap().name, "spr1tb");
    assert_eq!(fritz.sub_cluster_of("f2181").unwrap().name, "spr2tb");
    assert_eq!(fritz.sub_cluster_of("x0001"), None);
    let warnings: Vec<String> = fritz.warnings().iter().map(ToString::to_string).collect();
    assert!(warnings.iter().any(|w| w.contains("both name f2181")), "{warnings:?}");
}

#[test]
fn the_recorded_answer_of_the_cluster_route_is_reproduced() {
    let Some(scenario) = shared("fixtures/scenarios/rest/clusters-users-nodes.json") else { return };
    let scenario: Value = serde_json::from_slice(&scenario).unwrap();
    let step = |name: &str| {
        let steps = scenario["steps"].as_array().unwrap();
        steps.iter().find(|step| step["name"] == name).unwrap()["expect"]["json"]["clusters"].clone()
    };
    let ours: Clusters =
        FILES[6..].iter().map(|file| Cluster::from_json(&shared(file).unwrap()).unwrap()).collect();
    let shown = |cluster: &Cluster| serde_json::from_slice::<Value>(&to_vec(cluster).unwrap()).unwrap();
    assert_eq!(json!([shown(ours.get("alex").unwrap())]), step("one cluster"));
    let mut all: Vec<Value> = ours.iter().map(|cluster| shown(cluster)).collect();
    for cluster in &mut all {
        for sub in cluster["subClusters"].as_array_mut().unwrap() {
            sub["topology"] = json!({});
        }
    }
    assert_eq!(Value::Array(all), step("all clusters"));
}

#[test]
fn keys_are_written_in_the_order_of_the_reference() {
    let text = String::from_utf8(to_vec(&read(&document()).unwrap()).unwrap()).unwrap();
    assert!(text.starts_with(
        r#"{"name":"c","metricConfig":[{"name":"load","unit":{"base":""},"peak":72,"normal":72,"caution":36,"alert":20,"energy":"","scope":"node","aggregation":"avg","footprint":"avg","subClusters":[{"name":"b","unit":{"base":""},"peak":104,"normal":103,"caution":52,"alert":21,"energy":"","lowerIsBetter":false,"restrict":false,"remove":false}],"timestep":60,"restrict":true,"lowerIsBetter":false},"#
    ), "{text}");
    assert!(text.contains(
        r#"{"name":"b","nodes":"n[09-10]","processorType":"","topology":{"node":[0],"socket":[[0]],"memoryDomain":[[0]],"core":null},"flopRateScalar":{"unit":{"base":""},"value":0},"flopRateSimd":{"unit":{"base":""},"value":0},"memoryBandwidth":{"unit":{"base":""},"value":0},"metricConfig":[{"name":"load","#
    ), "{text}");
}

#[test]
fn overrides_replace_and_remove() {
    let cluster = read(&document()).unwrap();
    let (a, b) = (cluster.sub_cluster("a").unwrap(), cluster.sub_cluster("b").unwrap());
    assert_eq!(a.footprint, ["load"]);
    assert_eq!(a.energy_footprint, ["power"]);
    assert_eq!((a.metric("load").unwrap().peak, a.metric("power").unwrap().timestep), (72.0, 30));
    let load = b.metric("load").unwrap();
    assert_eq!((load.peak, load.normal, load.caution, load.alert), (104.0, 103.0, 52.0, 21.0));
    assert_eq!((load.footprint, load.scope, load.aggregation), (None, MetricScope::Node, Aggregation::Avg));
    assert!(load.sub_clusters.is_empty());
    assert!(b.metric("power").is_none() && b.footprint.is_empty() && b.energy_footprint.is_empty());
    assert_eq!(cluster.metric_in("b", "power"), None);
    let warnings: Vec<String> = cluster.warnings().iter().map(ToString::to_string).collect();
    assert!(warnings.iter().any(|w| w.contains("does not repeat footprint")), "{warnings:?}");
}

#[test]
fn an_override_that_says_nothing_lifts_no_restriction() {
    let mut document = document();
    assert!(read(&document).unwrap().restricted("b", "load"));
    document["metricConfig"][0]["subClusters"][0]["restrict"] = json!(false);
    let cluster = read(&document).unwrap();
    assert!(!cluster.restricted("b", "load") && cluster.restricted("a", "load"));
    assert!(!cluster.restricted("a", "unknown"));
}

#[test]
fn a_timestep_of_zero_rejects_the_metric_and_not_the_file() {
    let mut document = document();
    document["metricConfig"][1]["timestep"] = json!(0);
    let cluster = read(&document).unwrap();
    assert_eq!(cluster.metric_config.len(), 1);
    assert_eq!(
        cluster.rejected()[0].to_string(),
        "metricConfig[1].timestep: cluster c, metric power: the timestep is 0, must be at least 1; metric not used"
    );
    document["metricConfig"][0].as_object_mut().unwrap().remove("timestep");
    let error = read(&document).unwrap_err().to_string();
    assert!(error.starts_with("metricConfig: no usable metric is left (metricConfig[0].timestep"), "{error}");
}

#[test]
fn every_problem_has_its_path() {
    let broken = json!({"name": "../c", "metricConfig": [{"name": ""}, {"name": "m", "scope": "rack", "timestep": 1},
        {"name": "k", "timestep": "60"}, 5, {"name": "u", "timestep": 1, "unit": "GB/s", "peak": "high"}],
        "subClusters": [{"name": "", "nodes": "a b", "topology": {"node": [-1], "core": [0]}, "flopRateScalar": 5}]});
    let problems = read(&broken).unwrap_err().problems();
    let paths: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
    for path in [
        "name",
        "metricConfig[0].name",
        "metricConfig[1].scope",
        "metricConfig[2].timestep",
        "metricConfig[3]",
        "metricConfig[4].unit",
        "metricConfig[4].peak",
        "subClusters[0].name",
        "subClusters[0].nodes",
        "subClusters[0].topology.node[0]",
        "subClusters[0].topology.core[0]",
        "subClusters[0].flopRateScalar",
    ] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
    for (text, want) in [
        ("", "not valid JSON: EOF"),
        ("{\"name\":", "not valid JSON: unexpected EOF"),
        ("[]", "expected an object, got an array"),
    ] {
        assert_eq!(Cluster::from_json(text.as_bytes()).unwrap_err().to_string(), want);
    }
    assert_eq!(
        read(&json!({"name": "c"})).unwrap_err().to_string(),
        "metricConfig: at least one entry is needed; subClusters: at least one entry is needed"
    );
}

#[test]
fn oddities_are_warned_of() {
    let mut document = document();
    document["metricConfig"][0]["aggregation"] = json!("max");
    document["metricConfig"][1]["subClusters"][0]["name"] = json!("gone");
    document["metricConfig"][1]["name"] = json!("load");
    document["subClusters"][0]["topology"] = json!({"node": [0, 1], "socket": [[0, 0], null], "die": [null, [null]],
        "accelerators": [{"id": "x"}, {"id": "x"}]});
    let cluster = read(&document).unwrap();
    assert_eq!(cluster.metric_config[0].aggregation, Aggregation::None);
    let warnings: Vec<String> = cluster.warnings().iter().map(ToString::to_string).collect();
    for part in [
        "metricConfig[0].aggregation: \"max\" is not one of",
        "metricConfig: \"load\" is there twice",
        "there is no sub-cluster \"gone\"",
        "topology.socket: hwthread 0 is in two groups",
        "topology.socket: hwthread 1 is missing",
        "accelerators: id \"x\" is empty or there twice",
    ] {
        assert!(warnings.iter().any(|w| w.contains(part)), "{part} in {warnings:#?}");
    }
}

#[test]
fn derived_lists_in_the_file_are_not_doubled() {
    let cluster = read(&document()).unwrap();
    let again = Cluster::from_json(&to_vec(&cluster).unwrap()).unwrap();
    assert_eq!(again.sub_clusters[0].metric_config, cluster.sub_clusters[0].metric_config);
    assert_eq!(again.sub_clusters[0].footprint, ["load"]);
}

#[test]
fn hosts_find_their_sub_cluster() {
    let cluster = read(&document()).unwrap();
    for (host, want) in [("n01", "a"), ("n09", "b"), ("n99", "rest")] {
        assert_eq!(cluster.sub_cluster_of(host).unwrap().name, want);
    }
}

#[test]
fn jobs_are_assigned_with_the_texts_of_the_reference() {
    let mut document = document();
    document["subClusters"].as_array_mut().unwrap().pop();
    let clusters: Clusters = [read(&document).unwrap()].into_iter().collect();
    let hosts = |host: &str| vec![Resource::node(host)];
    assert_eq!(clusters.assign("c", "", &hosts("n10")).unwrap(), "b");
    assert_eq!(clusters.assign("c", "a", &[]).unwrap(), "a");
    let text = |result: Result<String, AssignError>| result.unwrap_err().to_string();
    assert_eq!(text(clusters.assign("x", "", &[])), "no such cluster: x");
    assert_eq!(
        text(clusters.assign("c", "nosuch", &hosts("n01"))),
        "ARCHIVE/CLUSTERCONFIG > already assigned subcluster nosuch unkown (cluster: c)"
    );
    assert_eq!(
        text(clusters.assign("c", "", &[])),
        "ARCHIVE/CLUSTERCONFIG > job without any resources/hosts"
    );
    assert_eq!(
        text(clusters.assign("c", "", &hosts("x0001"))),
        "ARCHIVE/CLUSTERCONFIG > no subcluster found for cluster c and host x0001"
    );
}

#[test]
fn the_global_list_says_where_a_metric_exists() {
    let mut second = document();
    second["name"] = json!("d");
    second["metricConfig"][0]["footprint"] = json!("max");
    second["metricConfig"][0]["restrict"] = json!(false);
    let clusters: Clusters = [read(&document()).unwrap(), read(&second).unwrap()].into_iter().collect();
    let all = serde_json::to_value(clusters.global_metrics()).unwrap();
    assert_eq!(
        all,
        json!([
            {"name": "load", "unit": {"base": ""}, "scope": "node", "footprint": "max", "availability": [
                {"cluster": "c", "subclusters": ["a", "b", "rest"]}, {"cluster": "d", "subclusters": ["a", "b", "rest"]}]},
            {"name": "power", "unit": {"base": "W"}, "scope": "socket", "availability": [
                {"cluster": "c", "subclusters": ["a", "rest"]}, {"cluster": "d", "subclusters": ["a", "rest"]}]}
        ])
    );
    let users = clusters.global_metrics_for_users();
    assert_eq!(users[0].name, "power");
    assert_eq!((users[1].name.as_str(), users[1].footprint), ("load", Some(FootprintStat::Max)));
    assert_eq!(users[1].availability.len(), 1);
}
