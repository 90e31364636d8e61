//! How a service is reached: one type-erased tower service, in this process or over HTTP/2
//! (design/rust-anchors.md section 2).
//!
//! Callers hold `XClient<Transport>` and cannot tell which one they have. Choosing is the composition root's
//! business: [`local`] around the routes of a service in this process, [`remote`] for an [`Address`] elsewhere,
//! where the other process runs [`serve()`]. Around every transport go the client layers of [`crate::rpc`], around
//! every service its server layers.

mod address;
mod connect;
mod guard;
mod peer;
mod serve;

use tonic::service::Routes;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

pub use self::address::{Address, BadAddress, SOCKET_PATH_BYTES_MAX};
pub use self::connect::{ConnectError, remote};
pub use self::guard::Guard;
pub use self::peer::PeerInfo;
pub use self::serve::{ListenError, Listener, ServeError, serve};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The service gave no answer: it cannot be reached, or the connection broke.
///
/// A type of its own, because futures of clients over a boxed error are not `Send` enough to be spawned in every
/// place (the compiler cannot prove the error's lifetime).
#[derive(Debug, thiserror::Error)]
#[error("no answer from the service")]
pub struct NoAnswer(#[source] pub(crate) BoxError);

/// One service, wherever it lives.
pub type Transport =
    BoxCloneSyncService<http::Request<tonic::body::Body>, http::Response<tonic::body::Body>, NoAnswer>;

/// What one stream may send ahead of its reader: a few series chunks of at most 256 KiB.
const WINDOW_STREAM_BYTES: u32 = 1024 * 1024;
/// What all streams of a connection may send ahead together.
const WINDOW_CONNECTION_BYTES: u32 = 8 * 1024 * 1024;

/// A service in this process: same codec, same limits, same deadlines as over a wire, no sockets.
pub fn local(routes: Routes) -> Transport {
    BoxCloneSyncService::new(Guard::new(routes).map_err(|never| -> NoAnswer { match never {} }))
}
