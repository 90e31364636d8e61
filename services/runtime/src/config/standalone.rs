//! What the stand-alone `cc-metric-store` has in its `main` and `metrics` (config-and-cli.md 13).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::main::Main;
use super::problem::At;
use super::section::{Decode as _, Rules, Section};

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

/// Reads the keys of `main` that only the stand-alone store has. `main` holds what both programs have; the
/// address has no default here.
pub(super) fn read_main(section: &Section<'_>, main: &mut Main) -> Standalone {
    if section.value("addr").is_none() {
        main.addr = String::new();
    }
    let mut standalone = Standalone::default();
    section.set("backend-url", &mut standalone.backend_url);
    section.set("jwt-public-key", &mut standalone.jwt_public_key);
    let key = BASE64_STANDARD.decode(&standalone.jwt_public_key);
    let at = section.at.key("jwt-public-key");
    match key.map(|key| key.len()) {
        Ok(0) => at.warn("missing: everybody may write and read samples"),
        Ok(32) => {}
        Ok(length) => {
            at.error(format!("has {length} bytes, expected the 32 bytes of an Ed25519 public key in Base64"));
        }
        Err(error) => at.error(format!("is no Base64: {error}")),
    }
    if let Some(debug) = section.object("debug") {
        // Accepted and unused by the reference.
        debug.get::<String>("dump-to-file");
        debug.get::<bool>("gops");
        debug.finish();
    }
    standalone
}

/// Reads section `metrics`.
pub(super) fn read_metrics(section: &Section<'_>) -> BTreeMap<String, Metric> {
    section.entries().filter_map(|(name, value, at)| Some((name.clone(), read_metric(value, at)?))).collect()
}

fn read_metric(value: &Value, at: At<'_>) -> Option<Metric> {
    let section = Section::new(value, at, Rules::STRICT)?;
    let frequency = section.need::<u32>("frequency");
    if frequency == Some(0) {
        section.at.key("frequency").error("is 0, expected the seconds between two samples");
    }
    let aggregation = match section.value("aggregation") {
        None => {
            section.at.key("aggregation").error("missing; expected \"sum\", \"avg\" or null");
            None
        }
        Some((Value::Null, _)) => None,
        Some((value, at)) => match String::decode(value, &at)?.as_str() {
            "sum" => Some(Aggregation::Sum),
            "avg" => Some(Aggregation::Avg),
            "" => None,
            _ => {
                at.warn(format!("{} is none of \"sum\", \"avg\" and null: no aggregation", at.shown(value)));
                None
            }
        },
    };
    section.finish();
    Some(Metric { frequency: frequency?, aggregation })
}
