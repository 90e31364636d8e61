//! Every promise of the transports and of the layers around them, on every transport: the rows of
//! design/rust-anchors.md 2.3 with the expected value per transport, then what the layers of 2.5 make of them.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod certificates;
mod layers;
mod matrix;
mod observed;
mod probe;
mod site;
mod stop;
