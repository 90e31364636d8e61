//! What the stand-alone `cc-metric-store` has in its `main` and `metrics` (config-and-cli.md 13).

use std::collections::BTreeMap;

/// Settings of the stand-alone store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standalone {
    /// `main.jwt-public-key`: Base64 of an Ed25519 public key; empty: no authentication at all.
    pub jwt_public_key: String,
    /// `main.backend-url`: base URL of the cc-backend that knows which nodes are in use; empty: none.
    pub backend_url: String,
    /// `metrics`: what is stored; other metrics are dropped.
    pub metrics: BTreeMap<String, Metric>,
}

/// One entry of `metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// `frequency`: seconds between samples, > 0.
    pub frequency: u32,
    /// `aggregation` from finer to coarser scopes; absent: none.
    pub aggregation: Option<Aggregation>,
}

/// How values of several parts become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregation {
    /// `sum`.
    Sum,
    /// `avg`.
    Avg,
}
