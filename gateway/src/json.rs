//! JSON answers as the reference writes them: Go's escapes and number forms, one newline at the end (rest-api.md 2.8).

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::problem::Problem;

/// The content type of every JSON answer.
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/json");

/// A JSON answer.
pub fn answer<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    match cc_model::json::to_vec(value) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], Body::from(bytes)).into_response()
        }
        Err(error) => {
            let mut problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error");
            problem.detail = Some(format!("encoding an answer failed: {error}"));
            problem.into_response()
        }
    }
}
