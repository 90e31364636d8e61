//! Serving routes to other processes: over a Unix socket or TLS, with an ordered end.

mod incoming;
mod listener;

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;

use crate::transport::{WINDOW_CONNECTION_BYTES, WINDOW_STREAM_BYTES};

pub use self::listener::{ListenError, Listener};

/// Calls at a time on one connection; more wait for a free place.
const CALLS_PER_CONNECTION_MAX: u32 = 1024;
/// A connection is pinged this often, and ends without an answer within the second time.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Serving ended other than by a shutdown.
#[derive(Debug, thiserror::Error)]
#[error("serving on {address} failed")]
pub struct ServeError {
    address: String,
    #[source]
    source: tonic::transport::Error,
}

/// Serves until `shutdown` is cancelled: then stops listening, lets running calls finish, and after `grace` cuts
/// the connections that are still open.
///
/// # Errors
/// When the server itself fails; a broken connection is none of its business.
pub async fn serve(
    listener: Listener,
    routes: Routes,
    shutdown: CancellationToken,
    grace: Duration,
) -> Result<(), ServeError> {
    let address = listener.address().to_string();
    let failed = |source| ServeError { address: address.clone(), source };
    let cut = CancellationToken::new();
    let incoming = incoming::connections(listener, cut.clone());
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
        .max_concurrent_streams(CALLS_PER_CONNECTION_MAX)
        .initial_stream_window_size(WINDOW_STREAM_BYTES)
        .initial_connection_window_size(WINDOW_CONNECTION_BYTES)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, shutdown.clone().cancelled_owned());
    let mut serving = Box::pin(serving);
    let late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        ended = &mut serving => return ended.map_err(failed),
        () = late => {}
    }
    tracing::warn!(address, "calls on {address} did not end in time, cutting their connections");
    cut.cancel();
    serving.await.map_err(failed)
}
