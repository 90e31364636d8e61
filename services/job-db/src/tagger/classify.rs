//! One job against the rules (spec/taggers.md 4, 6, 7).

use std::collections::BTreeMap;
use std::sync::Arc;

use cc_model::job::JobStatistics;
use cc_model::{Job, MetricConfig, SubCluster};

use super::expr::{Env, Value};
use super::rules::{ClassRule, Problem, RuleSet};

/// What a job has besides its row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'life> {
    pub(crate) job: &'life Job,
    /// Of the archived job.
    pub(crate) statistics: &'life BTreeMap<String, JobStatistics>,
    pub(crate) sub_cluster: &'life SubCluster,
}

/// What the classes say about a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Tags of the rules that apply, in the order of the rules, each with its hint.
    pub(crate) tags: Vec<(String, Option<String>)>,
    /// Rules that could not be decided for this job.
    pub(crate) problems: Vec<Problem>,
}

/// Tags of the applications found in a job's script.
pub(crate) fn applications(rules: &RuleSet, job: &Job) -> Vec<String> {
    let script = job.meta_data.as_ref().and_then(|metadata| metadata.get("jobScript"));
    let Some(script) = script.filter(|script| !script.is_empty()) else { return Vec::new() };
    let runs = rules
        .applications
        .iter()
        .filter(|application| application.patterns.iter().any(|pattern| pattern.is_match(script)));
    runs.map(|application| application.tag.clone()).collect()
}

/// The classes of an archived job.
pub(crate) fn classes(rules: &RuleSet, input: &Input<'_>) -> Found {
    let mut found = Found::default();
    let job = of_job(input.job);
    for rule in &rules.classes {
        match decide(rule, input, &job) {
            Ok(None) => {}
            Ok(Some(mut env)) => {
                env.values_mut().for_each(round);
                let hint = rule.hint.as_ref().map(|hint| hint.render(&env)).transpose();
                let hint = hint.unwrap_or_else(|text| {
                    found.problems.push(problem(rule, "hint", text));
                    None
                });
                found.tags.push((rule.tag.clone(), hint));
            }
            Err(problem) => found.problems.push(problem),
        }
    }
    found
}

fn problem(rule: &ClassRule, place: impl Into<String>, text: impl Into<String>) -> Problem {
    Problem { file: rule.file.clone(), place: place.into(), text: text.into() }
}

/// The names of a rule that applies; nothing where it does not.
fn decide(rule: &ClassRule, input: &Input<'_>, job: &Value) -> Result<Option<Env>, Problem> {
    let mut env = rule.parameters.clone();
    env.insert("job".to_owned(), job.clone());
    for name in &rule.metrics {
        let Some(statistics) = input.statistics.get(name) else { return Ok(None) };
        let config = input.sub_cluster.metric_config.iter().find(|metric| metric.name == *name);
        let Some(config) = config else {
            let sub_cluster = &input.sub_cluster.name;
            return Err(problem(
                rule,
                "metrics",
                format!("{name} is not configured for sub-cluster {sub_cluster}"),
            ));
        };
        env.insert(name.clone(), of_metric(statistics, config));
    }
    for (index, requirement) in rule.requirements.iter().enumerate() {
        let met = requirement
            .condition(&env)
            .map_err(|error| problem(rule, format!("requirements[{index}]"), error.to_string()))?;
        if !met {
            return Ok(None);
        }
    }
    for (name, expression) in &rule.variables {
        let value = expression
            .number(&env)
            .map_err(|error| problem(rule, format!("variable {name:?}"), error.to_string()))?;
        env.insert(name.clone(), Value::Float(value));
    }
    let applies = rule.rule.condition(&env).map_err(|error| problem(rule, "rule", error.to_string()))?;
    Ok(applies.then_some(env))
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(Arc::new(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
}

fn of_job(job: &Job) -> Value {
    let int = |value: i32| Value::Int(i64::from(value));
    map([
        ("shared", Value::text(job.shared.as_str())),
        ("duration", int(job.duration)),
        ("numCores", int(job.num_hwthreads)),
        ("numNodes", int(job.num_nodes)),
        ("numAcc", int(job.num_acc)),
        ("smt", int(job.smt)),
        ("jobState", Value::text(job.state.as_str())),
    ])
}

fn of_metric(statistics: &JobStatistics, config: &MetricConfig) -> Value {
    map([
        ("min", Value::Float(statistics.min)),
        ("max", Value::Float(statistics.max)),
        ("avg", Value::Float(statistics.avg)),
        (
            "limits",
            map([
                ("peak", Value::Float(config.peak)),
                ("normal", Value::Float(config.normal)),
                ("caution", Value::Float(config.caution)),
                ("alert", Value::Float(config.alert)),
            ]),
        ),
    ])
}

/// Floats to two decimals, also in maps.
fn round(value: &mut Value) {
    match value {
        Value::Float(number) if number.is_finite() && number.abs() < 1e15 => {
            *number = (*number * 100.0).round() / 100.0;
        }
        Value::Map(map) => Arc::make_mut(map).values_mut().for_each(round),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use cc_model::{Clusters, JobState};

    use super::*;

    const CLUSTER: &str = r#"{"name": "c", "metricConfig": [
        {"name": "cpu_load", "unit": {"base": ""}, "scope": "node", "timestep": 60, "aggregation": "avg",
         "peak": 72, "normal": 72, "caution": 20, "alert": 10},
        {"name": "mem_bw", "unit": {"base": "B/s"}, "scope": "node", "timestep": 60, "aggregation": "sum",
         "peak": 350, "normal": 100, "caution": 50, "alert": 10}],
        "subClusters": [{"name": "s", "nodes": "n[1-9]", "processorType": "x", "socketsPerNode": 1, "coresPerSocket": 1,
         "threadsPerCore": 1, "flopRateScalar": {"unit": {"base": "F/s"}, "value": 1},
         "flopRateSimd": {"unit": {"base": "F/s"}, "value": 1},
         "memoryBandwidth": {"unit": {"base": "B/s"}, "value": 1}, "topology": {"node": [0]}}]}"#;

    fn classified(files: &[(&str, &str)], metrics: &[(&str, f64)]) -> Found {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("jobclasses");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("parameters.json"), r#"{"factor": 0.5, "min_dur": 60}"#).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let rules = RuleSet::load(dir.path());
        let cluster = cc_model::Cluster::from_json(CLUSTER.as_bytes()).unwrap();
        let clusters = Clusters::new(vec![Arc::new(cluster)]);
        let statistics = metrics
            .iter()
            .map(|(name, avg)| {
                (
                    (*name).to_owned(),
                    JobStatistics { avg: *avg, min: 0.0, max: 2.0 * avg, ..JobStatistics::default() },
                )
            })
            .collect();
        let job = Job { duration: 600, num_nodes: 2, state: JobState::Completed, ..Job::default() };
        let sub_cluster = clusters.get("c").unwrap().sub_cluster("s").unwrap();
        classes(&rules, &Input { job: &job, statistics: &statistics, sub_cluster })
    }

    const LOW: (&str, &str) = (
        "lowload.json",
        r#"{"tag": "lowload", "parameters": ["min_dur", "factor"], "metrics": ["cpu_load"],
            "requirements": ["job.shared == \"none\"", "job.duration > min_dur"],
            "variables": [{"name": "limit", "expr": "cpu_load.limits.peak * factor"}],
            "rule": "cpu_load.avg < limit", "hint": "load {{.cpu_load.avg}} is below {{.limit}}"}"#,
    );

    #[test]
    fn a_rule_that_applies_gives_tag_and_message_in_the_order_of_the_files() {
        let state =
            ("a.json", r#"{"tag": "ended", "rule": "job.jobState == \"completed\"", "hint": "over"}"#);
        let found = classified(&[LOW, state], &[("cpu_load", 12.3456)]);
        let tag = |tag: &str, hint: Option<&str>| (tag.to_owned(), hint.map(str::to_owned));
        assert_eq!(found.tags, [tag("ended", Some("over")), tag("lowload", Some("load 12.35 is below 36"))]);
        assert_eq!(found.problems, []);
        assert_eq!(classified(&[LOW], &[("cpu_load", 40.0)]), Found::default());
        // the job has no such statistic
        assert_eq!(classified(&[LOW], &[("mem_bw", 1.0)]), Found::default());
    }

    #[test]
    fn a_rule_that_fails_is_named_and_the_others_go_on() {
        let found = classified(
            &[
                LOW,
                ("b.json", r#"{"tag": "b", "metrics": ["ipc"], "rule": "true"}"#),
                ("c.json", r#"{"tag": "c", "rule": "nosuch.avg > 1"}"#),
                ("d.json", r#"{"tag": "d", "requirements": ["job.numNodes"], "rule": "true"}"#),
                ("e.json", r#"{"tag": "e", "rule": "true", "hint": "{{.job.duration.x}}"}"#),
                (
                    "f.json",
                    r#"{"tag": "f", "variables": [{"name": "v", "expr": "job.shared"}], "rule": "true"}"#,
                ),
            ],
            &[("cpu_load", 1.0), ("ipc", 1.0)],
        );
        let tag = |tag: &str, hint: Option<&str>| (tag.to_owned(), hint.map(str::to_owned));
        let hint = Some("load 1 is below 36");
        assert_eq!(found.tags, [tag("e", None), tag("lowload", hint)], "a hint that fails leaves the tag");
        let places: Vec<&str> = found.problems.iter().map(|problem| problem.place.as_str()).collect();
        assert_eq!(places, ["metrics", "rule", "requirements[0]", "hint", "variable \"v\""]);
    }
}
