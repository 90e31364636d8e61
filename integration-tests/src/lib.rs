//! Black-box suites over the real binaries, real servers and a real browser.
//!
//! What the suites share: a [`site`] to start from, the [`server`] processes of both deployments, an HTTP [`client`], invented but
//! reproducible samples ([`samples`]), an [`oracle`] of what an archived job must hold that imports nothing from `services/`, and
//! bounded waiting ([`wait`]). Data beside the checkout is found by [`shared`].

pub mod client;
pub mod oracle;
pub mod samples;
pub mod server;
pub mod shared;
pub mod simulator;
pub mod site;
pub mod wait;
