//! Black-box suites over the real binaries, real servers and a real browser.
//!
//! What the suites share: a [`site`] to start from with real clusters or a [`small`] one, the [`server`] processes of both deployments, an HTTP [`client`], invented but
//! reproducible samples ([`samples`]), [`recording`]s of real clients moved to the present, an [`oracle`] of what a job must show and its
//! archive entry must hold that imports nothing from `services/`, event streams ([`sse`]), a message [`broker`], and bounded waiting ([`wait`]). Data beside the checkout is found by [`shared`].

pub mod broker;
pub mod client;
pub mod oracle;
pub mod recording;
pub mod samples;
pub mod server;
pub mod shared;
pub mod simulator;
pub mod site;
pub mod small;
pub mod sse;
pub mod wait;
