//! Use cases, without SQL and without protobuf.

pub(crate) mod archiver;
pub(crate) mod clusters;
pub(crate) mod concurrent;
pub(crate) mod copies;
pub(crate) mod edits;
pub(crate) mod footprints;
pub(crate) mod ingest;
pub(crate) mod janitor;
pub(crate) mod mapping;
pub(crate) mod nodes;
pub(crate) mod peers;
pub(crate) mod rest;
pub(crate) mod retention;
pub(crate) mod rules;
pub(crate) mod spec;
pub(crate) mod tagging;
pub(crate) mod tags;
pub(crate) mod watch;
pub(crate) mod writer;

#[cfg(test)]
pub(crate) mod tests;
