//! The Slurm side: sends a cluster's job events over the public gRPC stream and loses none (spec integrations.md 9).
//!
//! * [`publish`]: the stream: `Hello`, credits, acknowledgements, heartbeats, back-off; [`spool`]: where events wait.
//! * [`event_id`]: the identity of an event; [`rest`]: the bodies of the Go adapter as events.
//! * [`replay`]: sends a [`recording`]; [`report`]: tells what became of each event. [`token`]: the credential.
//! * [`command`]: the command line.

pub mod command;
pub mod event_id;
pub mod publish;
pub mod recording;
pub mod replay;
pub mod report;
pub mod rest;
pub mod spool;
#[cfg(test)]
mod testing;
pub mod token;
