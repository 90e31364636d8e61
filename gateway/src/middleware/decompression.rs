//! Compressed request bodies, for the one route that takes large ones.

use axum::body::Body;
use axum::routing::MethodRouter;
use http::Request;
use tower::ServiceBuilder;
use tower_http::decompression::{DecompressionBody, RequestDecompressionLayer};

use crate::middleware::announced;
use crate::state::State;

/// Unpacks `Content-Encoding: gzip` as the body is read. Other encodings pass as they are: the reference ignores them
/// too, and the parser then says that this is no line.
pub fn of_request(handler: MethodRouter<State>) -> MethodRouter<State> {
    handler.layer(
        ServiceBuilder::new()
            .map_request(announced::check)
            .layer(RequestDecompressionLayer::new().gzip(true).pass_through_unaccepted(true))
            .map_request(|request: Request<DecompressionBody<Body>>| request.map(Body::new)),
    )
}
