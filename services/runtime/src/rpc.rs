//! The layers around every call between services, the same list for local and remote (rust-anchors.md 2.5).

pub(crate) mod body;
pub(crate) mod timeout;
