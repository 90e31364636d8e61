//! The transports of the services with a named error type, so that futures of calls are `Send` without help from the
//! caller (a boxed error in a client's type keeps the compiler from seeing it).

use cc_runtime::transport::Transport;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

/// A way to a service.
pub type Channel =
    BoxCloneSyncService<http::Request<tonic::body::Body>, http::Response<tonic::body::Body>, Unreachable>;

/// The transport failed; the client layers turn all they know of into a status before.
#[derive(Debug, thiserror::Error)]
#[error("the service cannot be reached")]
pub struct Unreachable(#[source] cc_runtime::transport::BoxError);

/// The same way.
pub fn channel(transport: Transport) -> Channel {
    BoxCloneSyncService::new(transport.map_err(Unreachable))
}
