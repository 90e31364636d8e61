//! The JSON interface for programs: schedulers, collectors, scripts (rest-api.md 6 to 8).

pub mod clusters;
pub mod debug;
pub mod delete_jobs;
pub mod edit_meta;
pub mod free;
pub mod job;
pub mod job_metrics;
pub mod jobs;
mod jobs_query;
mod jobs_stream;
pub mod machine_state;
pub mod nodestate;
mod path;
pub mod query;
pub mod start_job;
pub mod stop_job;
mod strict;
pub mod tags;
pub mod used_nodes;
pub mod users;
mod wire;
pub mod write;

use serde::Serialize;

/// `{"msg": …}`, the answer of routes that have nothing else to say.
#[derive(Serialize)]
struct Message {
    msg: std::borrow::Cow<'static, str>,
}

/// What every decoding error of a JSON body begins with.
const PARSING: &str = "parsing request body failed: ";

/// The same on routes of tags, metadata and single jobs.
const DECODING: &str = "decoding request failed: ";

/// The text that scripts look for when a row is not there.
const NO_ROWS: &str = "sql: no rows in result set";
