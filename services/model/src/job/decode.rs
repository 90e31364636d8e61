//! Reading jobs: strictly from requests, tolerantly from the archive.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Job, JobState, JobStatistics, MonitoringStatus, Resource, Sharing, Tag};
use crate::{
    json::{self, Object, Problem},
    unit::Unit,
};

/// Why a document is not a job. The text is meant for whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobDecodeError {
    /// Not JSON, or cut off.
    #[error("{0}")]
    NotJson(String),
    /// JSON, but not an object.
    #[error("expected a job as a JSON object, got {0}")]
    NotAnObject(&'static str),
    /// Keys that a job does not have (strict reading), with their paths.
    #[error("json: unknown {} {}", if .0.len() == 1 { "field" } else { "fields" }, quoted(.0))]
    UnknownKeys(Vec<String>),
    /// Members of a wrong type or value.
    #[error("{}", json::join(.0))]
    Members(Vec<Problem>),
}

fn quoted(keys: &[String]) -> String {
    keys.iter().map(|key| format!("{key:?}")).collect::<Vec<_>>().join(", ")
}

/// The 28 keys of a job.
const KEYS: [&str; 28] = [
    "cluster",
    "subCluster",
    "partition",
    "project",
    "user",
    "shared",
    "jobState",
    "tags",
    "resources",
    "energyFootprint",
    "footprint",
    "metaData",
    "concurrentJobs",
    "energy",
    "arrayJobId",
    "walltime",
    "requestedMemory",
    "jobId",
    "duration",
    "smt",
    "monitoringStatus",
    "numAcc",
    "numHwthreads",
    "numNodes",
    "statistics",
    "id",
    "submitTime",
    "startTime",
];

impl Job {
    /// Reads the body of a start request (rest-api.md 6.5).
    ///
    /// Strict: a key that a job does not have is an error, at any depth; keys match in any case. `shared` defaults to
    /// `none`, `monitoringStatus` to 1; `jobState` is always `running`. `id`, `statistics`, `energyFootprint` and
    /// `concurrentJobs` are accepted and dropped. Nothing is checked against the clusters, see [`Job::validate_start`].
    ///
    /// # Errors
    /// Not JSON, unknown keys (all of them), wrong types or values (all of them). REST prefixes the text with
    /// `parsing request body failed: `.
    pub fn from_start_request(body: &[u8]) -> Result<Self, JobDecodeError> {
        let mut job = Reader { strict: true, any_state: true, ..Reader::default() }.document(body)?;
        job.state = JobState::Running;
        job.id = None;
        job.statistics = None;
        job.energy_footprint = None;
        Ok(job)
    }

    /// Reads a `meta.json` given to `-import-job` (job-archive.md 16): strict in keys and values as a start request,
    /// but with the job's own state, statistics and footprint.
    ///
    /// # Errors
    /// As [`Job::from_start_request`].
    pub fn from_import_json(document: &[u8]) -> Result<Self, JobDecodeError> {
        Reader { strict: true, ..Reader::default() }.document(document)
    }

    /// Reads a `meta.json` of the archive: unknown keys are ignored, old spellings are understood (`exclusive`
    /// instead of `shared`, states `canceled` and `stopped`), statistics that are no objects are left out.
    ///
    /// # Errors
    /// Not JSON, or members of a wrong type.
    pub fn from_meta_json(document: &[u8]) -> Result<Self, JobDecodeError> {
        Reader::default().document(document)
    }

    pub(super) fn from_value(value: &Value) -> Result<Self, JobDecodeError> {
        Reader::default().job(value)
    }
}

#[derive(Default)]
struct Reader {
    strict: bool,
    any_state: bool,
    unknown: Vec<String>,
    problems: Vec<Problem>,
}

impl Reader {
    fn document(self, bytes: &[u8]) -> Result<Job, JobDecodeError> {
        let value = json::first_value(bytes).map_err(JobDecodeError::NotJson)?;
        self.job(&value)
    }

    fn job(mut self, value: &Value) -> Result<Job, JobDecodeError> {
        let Value::Object(map) = value else { return Err(JobDecodeError::NotAnObject(json::kind(value))) };
        let object = Object::new(map, "");
        self.known(&object, &KEYS);
        let job = self.members(&object);
        if !self.unknown.is_empty() {
            return Err(JobDecodeError::UnknownKeys(self.unknown));
        }
        if !self.problems.is_empty() {
            return Err(JobDecodeError::Members(self.problems));
        }
        Ok(job)
    }

    fn known(&mut self, object: &Object<'_>, keys: &[&str]) {
        if self.strict {
            self.unknown.extend(object.unknown(keys));
        }
    }

    fn members(&mut self, o: &Object<'_>) -> Job {
        let tags = self.list(o, "tags", &["type", "name", "scope", "id"], Self::tag);
        let resources = self.list(
            o,
            "resources",
            &["hostname", "configuration", "hwthreads", "accelerators"],
            Self::resource,
        );
        let statistics = self.statistics(o);
        let (shared, state, monitoring_status) = (self.shared(o), self.state(o), self.monitoring_status(o));
        if let Some(concurrent) = o.object("concurrentJobs", &mut self.problems) {
            self.known(&concurrent, &["items", "count"]);
        }
        let p = &mut self.problems;
        Job {
            cluster: o.text("cluster", p),
            sub_cluster: o.text("subCluster", p),
            partition: o.text("partition", p),
            project: o.text("project", p),
            user: o.text("user", p),
            shared,
            state,
            tags,
            resources,
            energy_footprint: o.floats("energyFootprint", p),
            footprint: o.floats("footprint", p),
            meta_data: o.strings("metaData", p),
            energy: o.float("energy", p).unwrap_or_default(),
            array_job_id: o.integer("arrayJobId", p).unwrap_or_default(),
            walltime: o.integer("walltime", p).unwrap_or_default(),
            requested_memory: o.integer("requestedMemory", p).unwrap_or_default(),
            job_id: o.integer("jobId", p).unwrap_or_default(),
            duration: o.integer32("duration", p).unwrap_or_default(),
            smt: o.integer32("smt", p).unwrap_or_default(),
            monitoring_status,
            num_acc: o.integer32("numAcc", p).unwrap_or_default(),
            num_hwthreads: o.integer32("numHwthreads", p).unwrap_or_default(),
            num_nodes: o.integer32("numNodes", p).unwrap_or_default(),
            statistics,
            id: o.integer("id", p),
            submit_time: o.integer("submitTime", p).unwrap_or_default(),
            start_time: o.integer("startTime", p).unwrap_or_default(),
        }
    }

    fn shared(&mut self, o: &Object<'_>) -> Sharing {
        if let Some(word) = o.string("shared", &mut self.problems)
            && (self.strict || !word.is_empty())
        {
            return self.word(o.path_of("shared"), word.parse());
        }
        if self.strict {
            return Sharing::None;
        }
        // archive version 2 (job-archive.md 21)
        match o.integer("exclusive", &mut self.problems) {
            Some(0) => Sharing::MultiUser,
            Some(2) => Sharing::SingleUser,
            _ => Sharing::None,
        }
    }

    fn state(&mut self, o: &Object<'_>) -> JobState {
        match o.string("jobState", &mut self.problems) {
            Some(word) if !self.any_state => {
                let state = if self.strict { word.parse() } else { JobState::from_old(word) };
                self.word(o.path_of("jobState"), state)
            }
            None if !self.any_state => {
                self.problems.push(Problem::new(o.path_of("jobState"), "is missing"));
                JobState::default()
            }
            _ => JobState::default(),
        }
    }

    fn monitoring_status(&mut self, o: &Object<'_>) -> MonitoringStatus {
        match o.integer("monitoringStatus", &mut self.problems) {
            Some(code) => self.word(o.path_of("monitoringStatus"), MonitoringStatus::try_from(code)),
            None if self.strict => MonitoringStatus::RunningOrArchiving,
            None => MonitoringStatus::Disabled,
        }
    }

    fn word<T: Default, E: std::fmt::Display>(&mut self, path: String, found: Result<T, E>) -> T {
        found.unwrap_or_else(|error| {
            self.problems.push(Problem::new(path, error.to_string()));
            T::default()
        })
    }

    fn list<T>(
        &mut self,
        o: &Object<'_>,
        key: &str,
        keys: &[&str],
        read: impl Fn(&mut Self, &Object<'_>) -> T,
    ) -> Vec<T> {
        let Some(items) = o.array(key, &mut self.problems) else { return Vec::new() };
        items
            .filter_map(|(path, value)| {
                let item = Object::of(value, path, &mut self.problems)?;
                self.known(&item, keys);
                Some(read(self, &item))
            })
            .collect()
    }

    fn tag(&mut self, o: &Object<'_>) -> Tag {
        let p = &mut self.problems;
        Tag {
            kind: o.text("type", p),
            name: o.text("name", p),
            scope: o.text("scope", p),
            id: o.integer("id", p).unwrap_or_default(),
        }
    }

    fn resource(&mut self, o: &Object<'_>) -> Resource {
        let p = &mut self.problems;
        let hwthreads = o.array("hwthreads", p).map(|items| {
            items
                .filter_map(|(path, value)| {
                    let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
                    if id.is_none() {
                        p.push(Problem::new(path, "expected the number of a hardware thread"));
                    }
                    id
                })
                .collect()
        });
        let accelerators = o.array("accelerators", p).map(|items| {
            items
                .filter_map(|(path, value)| {
                    let id = value.as_str().map(str::to_owned);
                    if id.is_none() {
                        p.push(Problem::new(path, format!("expected a string, got {}", json::kind(value))));
                    }
                    id
                })
                .collect()
        });
        Resource {
            hostname: o.text("hostname", p),
            configuration: o.text("configuration", p),
            hwthreads: hwthreads.unwrap_or_default(),
            accelerators: accelerators.unwrap_or_default(),
        }
    }

    fn statistics(&mut self, o: &Object<'_>) -> Option<BTreeMap<String, JobStatistics>> {
        let object = o.object("statistics", &mut self.problems)?;
        let mut out = BTreeMap::new();
        for (metric, value) in object.entries() {
            if !self.strict && !value.is_object() {
                continue;
            }
            let Some(item) = Object::of(value, object.path_of(metric), &mut self.problems) else { continue };
            self.known(&item, &["unit", "avg", "min", "max"]);
            let unit = item.object("unit", &mut self.problems);
            if let Some(unit) = &unit {
                self.known(unit, &["base", "prefix"]);
            }
            let p = &mut self.problems;
            let statistics = JobStatistics {
                unit: unit.map(|u| Unit::new(u.text("base", p), u.text("prefix", p))).unwrap_or_default(),
                avg: item.float("avg", p).unwrap_or_default(),
                min: item.float("min", p).unwrap_or_default(),
                max: item.float("max", p).unwrap_or_default(),
            };
            out.insert(metric.clone(), statistics);
        }
        Some(out)
    }
}

/// For serde: `null` counts as not given.
pub(super) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
