//! GraphQL at `/query`: what pages read, and the names and types of the reference for its clients (graphql-api.md).
//!
//! The SDL holds only fields that work; it is committed in `web/schema.graphql` and compared in a test.

mod clusters;
mod coerce;
mod context;
mod expansion;
mod inputs;
mod job_sets;
mod jobs;
mod many;
mod mutation;
mod node_metrics;
mod nodes;
mod query;
mod scalars;
mod series;
mod statistics;
mod stats;
mod transport;

use std::sync::LazyLock;

use async_graphql::{EmptySubscription, Schema};

pub(crate) use transport::post;

/// Cost of a request: one per selected field (graphql-api.md 1.3), and more for those that read series.
const COMPLEXITY_MAX: usize = 5000;
/// Levels of nesting; the deepest query of a page has eight.
const DEPTH_MAX: usize = 15;

/// Stateless, so one serves the process.
type QuerySchema = Schema<query::Query, mutation::Mutation, EmptySubscription>;

static SCHEMA: LazyLock<QuerySchema> = LazyLock::new(|| {
    Schema::build(query::Query, mutation::Mutation, EmptySubscription)
        .disable_introspection()
        .limit_complexity(COMPLEXITY_MAX)
        .limit_depth(DEPTH_MAX)
        .finish()
});

/// The schema as text.
pub fn sdl() -> String {
    Schema::build(query::Query, mutation::Mutation, EmptySubscription).finish().sdl()
}

#[cfg(test)]
mod tests;
