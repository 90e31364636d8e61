//! Jobs, tags and nodes: who may see them, what events do to them, how they are found (spec/job-db.md,
//! integrations.md 9). Owns the tables `job`, `job_cache`, `tag`, `jobtag`, `node`, `node_state` of `job.db` and the
//! side tables `ccx_ingest_*`, `ccx_archive_queue`, `ccx_superseded`, `ccx_change`.
//!
//! A job stop, from outside in: `grpc` decodes it, `app::rest` (REST) or `app::rules` (scheduler events) decides,
//! `app::writer` commits it with its ledger rows and its entry in the archive queue, `app::archiver` works that
//! off, `app::watch` tells open pages.
//!
//! * [`start`]: the service on an open database; what it needs is in [`Deps`].
//! * `store`: the one repository trait, and SQLite below it.
//! * `tagger`: rule files, their languages, one job against them; `app::tagging` says when.

mod app;
mod apply_tags;
mod convert;
mod error;
mod grpc;
mod importer;
mod metrics;
mod rebuild;
mod service;
mod store;
mod tagger;

pub use apply_tags::{AppliedTags, Lookup, apply_tags};
pub use error::Error;
pub use importer::Importer;
pub use rebuild::{Rebuild, RebuildError, Rebuilt, Reports, row_of_entry};
pub use service::{Deps, start};
