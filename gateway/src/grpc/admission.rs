//! Who may call: a token in the metadata `authorization` or `x-auth-token`, with the role `api`, from an allowed address
//! (integrations.md 9.10). Sessions of browsers do not count here.

use std::net::SocketAddr;

use http::HeaderMap;
use tonic::metadata::MetadataMap;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Extensions, Status};

use crate::auth::credential::Credential;
use crate::auth::gate::Gate;
use crate::auth::{self, AuthFailure, Identity};
use crate::state::State;

/// An admitted caller.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Who.
    pub identity: Identity,
    /// By what; `None` while authentication is switched off.
    pub credential: Option<Credential>,
}

/// Checks a request.
///
/// # Errors
/// `UNAUTHENTICATED`, `PERMISSION_DENIED`, `UNAVAILABLE` with the reasons of [`super::refusal`].
pub async fn admit(
    state: &State,
    metadata: &MetadataMap,
    extensions: &Extensions,
) -> Result<Admitted, Status> {
    let settings = state.settings();
    if !settings.authentication {
        return Ok(Admitted { identity: Identity::unauthenticated(), credential: None });
    }
    let headers: HeaderMap = metadata.clone().into_headers();
    let credential = Credential::token(&headers).ok_or(AuthFailure::Nothing)?;
    let identity = auth::check(state, &credential).await?;
    let client = settings.proxies.client(peer(extensions).map(|peer| peer.ip()), false, &headers);
    Gate::Api.admit(&identity, client.address, &settings.api_allowed)?;
    Ok(Admitted { identity, credential: Some(credential) })
}

/// The TCP peer, from whichever server accepted the connection.
fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    let by_axum = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>().map(|info| info.0);
    by_axum.or_else(|| extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr))
}
