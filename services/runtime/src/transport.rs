//! How a service is reached: one type-erased tower service, in this process or over HTTP/2
//! (design/rust-anchors.md section 2).
//!
//! Callers hold `XClient<Transport>` and cannot tell which one they have. Choosing is the composition root's
//! business: [`local`] around the routes of a service in this process, a remote one for an [`Address`] elsewhere.
//! Both are wrapped by the client layers of the `rpc` module.

mod address;
mod guard;
mod peer;

use tonic::service::Routes;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

pub use self::address::{Address, BadAddress};
pub use self::guard::Guard;
pub use self::peer::PeerInfo;

/// Error of a [`Transport`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One service, wherever it lives.
pub type Transport =
    BoxCloneSyncService<http::Request<tonic::body::Body>, http::Response<tonic::body::Body>, BoxError>;

/// A service in this process: same codec, same limits, same deadlines as over a wire, no sockets.
pub fn local(routes: Routes) -> Transport {
    BoxCloneSyncService::new(Guard::new(routes).map_err(|never| -> BoxError { match never {} }))
}
