//! The JSON interface for programs: schedulers, collectors, scripts (rest-api.md 6 to 8).

pub mod clusters;
pub mod debug;
pub mod jobs;
mod jobs_query;
mod jobs_stream;
pub mod nodestate;
pub mod query;
pub mod start_job;
pub mod stop_job;
mod strict;
pub mod used_nodes;
mod wire;
pub mod write;

use serde::Serialize;

/// `{"msg": …}`, the answer of routes that have nothing else to say.
#[derive(Serialize)]
struct Message {
    msg: &'static str,
}

/// What every decoding error of a JSON body begins with.
const PARSING: &str = "parsing request body failed: ";

/// The text that scripts look for when a row is not there.
const NO_ROWS: &str = "sql: no rows in result set";
