//! The router of the gateway: routes, and around them what every request passes. The order is this file.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tower::ServiceBuilder;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate as _, SizeAbove};

use crate::client;
use crate::middleware::{
    access_log, compression, concurrency, cors, cross_site, panic, request_id, security_headers, unread,
};
use crate::problem;
use crate::routes::{self, Routes};
use crate::state::State;
use crate::web::fallback;

/// Smaller answers are sent as they are, bytes.
const COMPRESSED_FROM: u64 = 1024;
/// Of gzip and brotli alike: the reference compresses at 5, and more costs time nobody gains.
const COMPRESSION: CompressionLevel = CompressionLevel::Precise(5);

/// All routes with all layers.
pub fn app(state: &State) -> Router {
    wrap(state, routes::all(state.settings()))
}

/// The layers around given routes: for the tests of the layers, too.
pub fn wrap(state: &State, routes: Routes) -> Router {
    let outer = ServiceBuilder::new()
        // a name first: everything below tells it
        .layer(from_fn(request_id::assign))
        // who is there: the log, the headers and the gates ask
        .layer(from_fn_with_state(state.clone(), client::identify))
        // around everything that can fail, so that nothing is answered without a line and a measurement
        .layer(from_fn_with_state(state.clone(), access_log::observe))
        // on every answer, also on those of the layers below
        .layer(from_fn_with_state(state.clone(), security_headers::add))
        // bodies of problems are written inside, so they are compressed as well
        .layer(
            CompressionLayer::new()
                .quality(COMPRESSION)
                .compress_when(SizeAbove::new(COMPRESSED_FROM).and(compression::listed)),
        );
    let inner = ServiceBuilder::new()
        // around all that may answer before it has read the whole request
        .layer(from_fn(unread::drop_rest))
        // one place writes what went wrong, whoever found it
        .layer(from_fn_with_state(state.clone(), problem::render))
        // below this line a panic costs one request
        .layer(from_fn(panic::catch))
        // preflights end here and never reach a route
        .layer(from_fn(cors::share))
        // before anybody looks at credentials
        .layer(from_fn(cross_site::guard))
        // last: a place is taken by those who are let this far only
        .layer(from_fn_with_state(state.clone(), concurrency::limit));
    routes.into_router().fallback(fallback::answer).layer(inner).layer(outer).with_state(state.clone())
}
