//! The layers around every call between services, the same list for local and remote (rust-anchors.md 2.5).
//!
//! | # | [`ClientStack`], outermost first | [`ServerStack`], outermost first |
//! |---|---|---|
//! | 1 | metrics | panic → `Internal` |
//! | 2 | trace span, `traceparent` | trace span |
//! | 3 | deadline | metrics |
//! | 4 | caller identity | readiness |
//! | 5 | retry | concurrency limit |
//! | 6 | transport | authentication → authorization → handler |

pub(crate) mod body;
mod client;
mod detached;
mod failure;
mod identity;
pub(crate) mod methods;
pub mod metrics;
mod server;
pub(crate) mod timeout;
mod trace;

pub use self::client::ClientStack;
pub use self::detached::detached;
pub use self::identity::{CLOCK_SKEW_S, House, Identity, Keyring, TOKEN_BYTES_MAX, TOKEN_LIFETIME_S};
pub use self::server::{Limits, ServerStack};
