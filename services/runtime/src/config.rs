//! The whole `config.json`, read once, validated completely, frozen into typed structs.
//!
//! Every field's comment is its manual: key, unit, default, effect (config-and-cli.md 3, and 2.4 for the sections
//! of our own). Keys are in kebab case in the file. Paths are relative to the working directory.

pub mod archive;
pub mod auth;
pub mod cron;
pub mod main;
pub mod metric_store;
pub mod nats;
pub mod observability;
pub mod operation;
pub mod services;
pub mod standalone;
pub mod ui;

/// Everything the file said, defaults filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Section `main`, the only one that must be present.
    pub main: main::Main,
    /// Section `auth`; a missing section means local login, and tokens where the keys exist.
    pub auth: auth::Auth,
    /// Section `cron`: how often background work runs.
    pub cron: cron::Cron,
    /// Section `archive`: where finished jobs go, and for how long.
    pub archive: archive::Archive,
    /// Section `metric-store`: the store of this product; absent: only external ones.
    pub metric_store: Option<metric_store::MetricStore>,
    /// Section `metric-store-external`: stores elsewhere, by scope.
    pub metric_store_external: Vec<metric_store::External>,
    /// Section `ui`: defaults for users without settings of their own.
    pub ui: ui::Ui,
    /// Section `nats`; absent: no broker.
    pub nats: Option<nats::Nats>,
    /// Section `grpc` (ours): the public gRPC listener.
    pub grpc: services::Grpc,
    /// Section `services` (ours): where each service is.
    pub services: services::Services,
    /// Section `observability` (ours): metrics, traces, log format.
    pub observability: observability::Observability,
    /// Section `proxy` (ours): which peers may speak for others.
    pub proxy: operation::Proxy,
    /// Section `limits` (ours).
    pub limits: operation::Limits,
    /// Section `compat` (ours): switches for the reference's behaviour.
    pub compat: operation::Compat,
    /// What only the stand-alone `cc-metric-store` has (config-and-cli.md 13); set when it reads the file and
    /// finds a section `metrics`.
    pub standalone: Option<standalone::Standalone>,
}
