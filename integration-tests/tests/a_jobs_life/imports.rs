//! The two real archived jobs come in by `-import-job`, while the server runs, and their statistics agree.
//!
//! The one of `emmy` has a key `stopTime` of an old format, which `-import-job` refuses as the reference does: it is imported without.

use std::{fs, io::Read as _, path::Path};

use cc_integration_tests::{oracle, wait};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::house::House;

pub async fn real_archived_jobs_are_imported(house: &mut House) {
    let import = house.shared.join("data/import");
    let (meta, data) = (import.join("meta-fritzMinimal.json"), import.join("data-fritzMinimal.json"));
    imported(house, &meta, &data).await;

    let folder = house.shared.join("data/archive/emmy/1403/244/1608923076");
    let (meta, data) = (house.site.file("emmy-meta.json"), house.site.file("emmy-data.json"));
    let mut plain = Vec::new();
    let packed = fs::read(folder.join("data.json.gz")).expect("the real data");
    GzDecoder::new(packed.as_slice()).read_to_end(&mut plain).expect("gzip");
    fs::write(&data, plain).expect("a file");
    fs::copy(folder.join("meta.json"), &meta).expect("a file");
    let refused = house.site.cli(&["-import-job", &pair(&meta, &data)]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("stopTime"), "{said}");
    let mut json: Value =
        serde_json::from_slice(&fs::read(folder.join("meta.json")).expect("meta")).expect("JSON");
    json.as_object_mut().expect("an object").remove("stopTime").expect("the old key");
    fs::remove_file(&meta).expect("a file");
    fs::write(&meta, json.to_string()).expect("a file");
    imported(house, &meta, &data).await;
}

fn pair(meta: &Path, data: &Path) -> String {
    format!("{}:{}", meta.display(), data.display())
}

async fn imported(house: &House, meta: &Path, data: &Path) {
    let read =
        |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON") };
    let (want, series) = (read(meta), read(data));
    house.site.cli_ok(&["-import-job", &pair(meta, data)]);
    let (cluster, job_id) =
        (want["cluster"].as_str().expect("a cluster"), want["jobId"].as_i64().expect("an id"));
    let start = want["startTime"].as_i64().expect("a start");

    // On disk: everything the file said, and the numbers themselves.
    let entry =
        oracle::entry(&house.archive(), cluster, job_id, start).unwrap_or_else(|error| panic!("{error}"));
    for (key, value) in want.as_object().expect("an object") {
        let empty = value.as_array().is_some_and(Vec::is_empty);
        assert!(
            same(&entry.meta[key], value) || (empty && entry.meta[key].is_null()),
            "{key}: {}",
            entry.meta[key]
        );
    }
    let values = same_series(&entry.data, &series);
    assert!(values > 100, "{values} values");

    // Through the server: the row, the statistics, the series.
    let operator = house.person("operator");
    let query = "query($f:[JobFilter!]){jobs(filter:$f){items{id monitoringStatus duration numNodes footprint{name stat value}}}}";
    let filter = json!({"f": [{"jobId": {"eq": job_id.to_string()}, "cluster": {"eq": cluster}}]});
    let row = wait::until("the imported job is listed", std::time::Duration::from_secs(5), || async {
        let answer = operator.client.graphql(query, filter.clone()).await;
        answer["jobs"]["items"].get(0).cloned().ok_or_else(|| answer.to_string())
    })
    .await;
    assert_eq!(
        (&row["monitoringStatus"], &row["duration"], &row["numNodes"]),
        (&json!(3), &want["duration"], &want["numNodes"])
    );
    for value in row["footprint"].as_array().into_iter().flatten() {
        let metric = value["name"].as_str().expect("a name");
        let average = want["statistics"][metric]["avg"].as_f64().unwrap_or(0.0);
        assert_eq!(
            (value["stat"].as_str(), value["value"].as_f64()),
            (Some("avg"), Some(average)),
            "{metric}"
        );
    }
    statistics_agree(house, &row["id"], &want).await;
    let query =
        "query($id:ID!){jobMetrics(id:$id,resolution:0){name scope metric{series{hostname id data}}}}";
    let answer = operator.client.graphql(query, json!({"id": row["id"]})).await;
    let mut shown = json!({});
    for metric in answer["jobMetrics"].as_array().expect("metrics") {
        let (name, scope) =
            (metric["name"].as_str().expect("a name"), metric["scope"].as_str().expect("a scope"));
        shown[name][scope] = metric["metric"].clone();
    }
    assert_eq!(same_series(&shown, &series), values);
}

/// `jobStats`, and the statistics of the REST list, are those of the file.
async fn statistics_agree(house: &House, id: &Value, want: &Value) {
    let statistics = want["statistics"].as_object().expect("statistics");
    let query = "query($id:ID!,$m:[String!]){jobStats(id:$id,metrics:$m){name data{avg min max}}}";
    let asked = json!({"id": id, "m": statistics.keys().collect::<Vec<_>>()});
    let answer = house.person("operator").client.graphql(query, asked).await;
    let stats = answer["jobStats"].as_array().expect("statistics");
    assert_eq!(stats.len(), statistics.len());
    for stat in stats {
        let want = &statistics[stat["name"].as_str().expect("a name")];
        for key in ["avg", "min", "max"] {
            let (got, want) =
                (stat["data"][key].as_f64().expect("a number"), want[key].as_f64().expect("a number"));
            assert!((got - want).abs() <= 0.005_001, "{}: {key}: {got} instead of {want}", stat["name"]);
        }
    }
    let start = &want["startTime"];
    let path = format!(
        "/api/jobs/?cluster={}&start-time={start}-{start}",
        want["cluster"].as_str().expect("a cluster")
    );
    let jobs = house.scheduler.get(&path).await.expect(200).json();
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(1));
    assert!(same(&jobs["jobs"][0]["statistics"], &want["statistics"]), "{jobs}");
}

/// Equal JSON, where `0` and `0.0` are the same number.
fn same(got: &Value, want: &Value) -> bool {
    match (got, want) {
        (Value::Number(got), Value::Number(want)) => got.as_f64() == want.as_f64(),
        (Value::Array(got), Value::Array(want)) => {
            got.len() == want.len() && got.iter().zip(want).all(|(got, want)| same(got, want))
        }
        (Value::Object(got), Value::Object(want)) => {
            got.len() == want.len()
                && want.iter().all(|(key, want)| got.get(key).is_some_and(|got| same(got, want)))
        }
        _ => got == want,
    }
}

/// Whether two files hold the same series with the same numbers; answers how many.
fn same_series(got: &Value, want: &Value) -> usize {
    let want = want.as_object().expect("metrics");
    assert_eq!(got.as_object().expect("metrics").len(), want.len());
    let mut compared = 0;
    for (metric, scopes) in want {
        for (scope, data) in scopes.as_object().expect("scopes") {
            let (got, want) = (&got[metric][scope]["series"], &data["series"]);
            let (got, want) = (got.as_array().expect("series"), want.as_array().expect("series"));
            assert_eq!(got.len(), want.len(), "{metric} at {scope}");
            for (got, want) in got.iter().zip(want) {
                assert_eq!(got["hostname"], want["hostname"]);
                assert!(scope == "node" || got["id"] == want["id"], "{metric} at {scope}: {got} {want}");
                let (got, want) = (oracle_numbers(got), oracle_numbers(want));
                assert_eq!(got.len(), want.len(), "{metric} at {scope}");
                for (got, want) in got.iter().zip(&want) {
                    let same = got.is_nan() && want.is_nan()
                        || (got - want).abs() <= 0.005_001 + want.abs() * 1.2e-7;
                    assert!(same, "{metric} at {scope}: {got} instead of {want}");
                }
                compared += want.len();
            }
        }
    }
    compared
}

fn oracle_numbers(series: &Value) -> Vec<f64> {
    let data = series["data"].as_array().expect("data");
    data.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}
