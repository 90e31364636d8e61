//! `/api/machine_state/{cluster}/{host}` (rest-api.md 6.17): a JSON document per host, kept for other programs. The
//! routes answer 404 unless `main.machine-state-dir` is configured.

use std::io;
use std::path::{Path as FilePath, PathBuf};

use axum::body::{Body, Bytes};
use axum::extract::{Path, State as Extract};
use axum::response::{IntoResponse as _, Response};
use cc_runtime::{cpu, files};
use http::{HeaderMap, StatusCode, header};
use serde::de::IgnoredAny;
use tonic::Status;

use crate::auth::gate::Api;
use crate::problem::Problem;
use crate::state::State;
use crate::{body, json};

/// Answers 201 when the document is stored durably; a reader never sees half of it.
pub async fn put(
    Api(_caller): Api,
    Extract(state): Extract<State>,
    Path(names): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let path = path(&state, &names)?;
    let limits = state.settings().bodies;
    let body = body::whole(body, &headers, limits.start_job, limits).await?;
    cpu::run(move || store(&path, &body)).await.map_err(Status::from)??;
    Ok(StatusCode::CREATED.into_response())
}

/// The document as it was stored.
pub async fn get(
    Api(_caller): Api,
    Extract(state): Extract<State>,
    Path(names): Path<(String, String)>,
) -> Result<Response, Problem> {
    let path = path(&state, &names)?;
    match cpu::run(move || std::fs::read(path)).await.map_err(Status::from)? {
        Ok(bytes) => Ok(([(header::CONTENT_TYPE, json::CONTENT_TYPE)], Body::from(bytes)).into_response()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let host = &names.1;
            Err(Problem::new(StatusCode::NOT_FOUND, format!("no state of host {host} is stored")))
        }
        Err(error) => Err(failed("reading the machine state failed", &error)),
    }
}

fn path(state: &State, (cluster, host): &(String, String)) -> Result<PathBuf, Problem> {
    let Some(directory) = &state.config().main.machine_state_dir else {
        return Err(Problem::no_such_endpoint());
    };
    for (what, name) in [("cluster", cluster), ("host", host)] {
        let leads_away = name.contains("..") || name.contains(['/', '\\', '\0']) || name.is_empty();
        if leads_away || name == "." {
            return Err(Problem::bad(format!("invalid {what} name")));
        }
    }
    Ok(directory.join(cluster).join(format!("{host}.json")))
}

fn store(path: &FilePath, body: &Bytes) -> Result<(), Problem> {
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(body) {
        return Err(Problem::bad(format!("the machine state is no JSON: {error}")));
    }
    let written = match path.parent() {
        Some(directory) => files::create_directory(directory).and_then(|()| files::write_atomic(path, body)),
        None => Ok(()),
    };
    written.map_err(|error| failed("writing the machine state failed", &error))
}

/// The path goes to the log only.
fn failed(what: &'static str, error: &(dyn std::error::Error + 'static)) -> Problem {
    let mut problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, what);
    problem.detail = Some(format!("{what}: {}", cc_runtime::error::chain(error)));
    problem
}
