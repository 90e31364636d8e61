//! A row of table `job` and the job it is, in both directions (spec/job-db.md 1, 5).
//!
//! Reading is tolerant: BLOB or TEXT, NULL, `null` and damaged JSON in one row must not hide all others. Writing
//! is what the reference can read back: TEXT, and nothing NULL that it scans into plain values.

use std::collections::BTreeMap;

use cc_model::{Job, JobState, MonitoringStatus, Resource, Sharing};
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::store::Metadata;

/// Columns of [`job`], in its order, without metadata.
macro_rules! columns {
    () => {
        "job.id, job.job_id, job.cluster, job.subcluster, job.start_time, job.hpc_user, job.project, \
         job.cluster_partition, job.array_job_id, job.duration, job.walltime, job.job_state, job.resources, \
         job.num_nodes, job.num_hwthreads, job.num_acc, job.smt, job.shared, job.monitoring_status, job.energy, \
         job.energy_footprint, job.footprint"
    };
}
pub(crate) use columns;

/// Position of the metadata, or of the job name, when a statement selects it after [`columns`].
const METADATA: usize = 22;

/// The job of a row of [`columns`], and of the metadata or the job name if selected; durations as stored.
pub(crate) fn job(row: &SqliteRow, metadata: Metadata) -> sqlx::Result<Job> {
    let id: i64 = row.try_get(0)?;
    let state_word: String = row.try_get(11)?;
    let shared_word: String = row.try_get(17)?;
    Ok(Job {
        id: Some(id),
        job_id: row.try_get(1)?,
        cluster: row.try_get(2)?,
        sub_cluster: row.try_get(3)?,
        start_time: row.try_get(4)?,
        user: row.try_get(5)?,
        project: row.try_get(6)?,
        partition: row.try_get::<Option<String>, _>(7)?.unwrap_or_default(),
        array_job_id: row.try_get::<Option<i64>, _>(8)?.unwrap_or_default(),
        duration: narrow(row.try_get(9)?),
        walltime: row.try_get(10)?,
        state: state(&state_word).unwrap_or_else(|| {
            tracing::warn!(job.db_id = id, "job {id} has the unknown state {state_word:?}, shown as failed");
            JobState::Failed
        }),
        resources: json(row, 12, id, "resources")?.unwrap_or_default(),
        num_nodes: narrow(row.try_get(13)?),
        num_hwthreads: narrow(row.try_get::<Option<i64>, _>(14)?.unwrap_or_default()),
        num_acc: narrow(row.try_get::<Option<i64>, _>(15)?.unwrap_or_default()),
        smt: narrow(row.try_get(16)?),
        shared: shared_word.parse().unwrap_or(Sharing::None),
        monitoring_status: MonitoringStatus::try_from(row.try_get::<i64, _>(18)?).unwrap_or_default(),
        energy: row.try_get(19)?,
        energy_footprint: json(row, 20, id, "energy_footprint")?,
        footprint: json(row, 21, id, "footprint")?,
        meta_data: match metadata {
            Metadata::None => None,
            Metadata::All => json(row, METADATA, id, "meta_data")?,
            Metadata::JobName => row
                .try_get::<Option<String>, _>(METADATA)?
                .map(|name| BTreeMap::from([("jobName".to_owned(), name)])),
        },
        ..Job::default()
    })
}

/// The state of a stored word; files of early builds spell one with hyphens.
pub(crate) fn state(word: &str) -> Option<JobState> {
    match word {
        "out-of-memory" => Some(JobState::OutOfMemory),
        _ => JobState::from_old(word).ok(),
    }
}

/// Hosts of the JSON in column `index`, for callers that need nothing else of a row.
pub(crate) fn hosts(row: &SqliteRow, index: usize, id: i64) -> sqlx::Result<Vec<String>> {
    let resources: Vec<Resource> = json(row, index, id, "resources")?.unwrap_or_default();
    Ok(resources.into_iter().map(|resource| resource.hostname).collect())
}

/// The value of a JSON column; nothing for NULL, empty and `null`, and for what does not decode.
fn json<T: DeserializeOwned>(
    row: &SqliteRow,
    index: usize,
    id: i64,
    column: &str,
) -> sqlx::Result<Option<T>> {
    // unchecked: the declared type is TEXT, the reference stores BLOBs
    let Some(bytes) = row.try_get_unchecked::<Option<Vec<u8>>, _>(index)? else { return Ok(None) };
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        tracing::warn!(job.db_id = id, column, %error, "job {id} has damaged JSON in {column}");
        None
    }))
}

/// Numbers of the JSON object in column `index` (a footprint); what is no number is left out.
pub(crate) fn numbers(row: &SqliteRow, index: usize) -> sqlx::Result<Option<BTreeMap<String, f64>>> {
    let Some(bytes) = row.try_get_unchecked::<Option<Vec<u8>>, _>(index)? else { return Ok(None) };
    let object: Option<BTreeMap<String, serde_json::Value>> =
        serde_json::from_slice(&bytes).unwrap_or_default();
    let number = |(key, value): (String, serde_json::Value)| Some((key, value.as_f64()?));
    Ok(object.map(|object| object.into_iter().filter_map(number).collect()))
}

fn narrow(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
}

/// JSON of a footprint: an object or `null`, never NULL (the reference cannot read that).
pub(crate) fn footprint_json(values: Option<&BTreeMap<String, f64>>) -> String {
    encode(&values)
}

/// JSON of the metadata: an object of strings or `null`.
pub(crate) fn metadata_json(values: Option<&BTreeMap<String, String>>) -> String {
    encode(&values)
}

/// JSON of the resources: an array.
pub(crate) fn resources_json(resources: &[Resource]) -> String {
    encode(resources)
}

fn encode<T: serde::Serialize + ?Sized>(value: &T) -> String {
    // maps with text keys, numbers and texts always encode
    cc_model::json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}
