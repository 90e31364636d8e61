//! The whole `config.json`, read once, validated completely, frozen into typed structs.
//!
//! Every field's comment is its manual: key, unit, default, effect (config-and-cli.md 3, and 2.4 for the sections
//! of our own). Keys are in kebab case in the file. Paths are relative to the working directory.
//!
//! [`Config::load`] reports every problem at once, with file, JSON path, value and expectation. Wrong types and
//! missing keys end the program, unknown keys in `main` and `metric-store` too; elsewhere unknown keys are
//! warnings. Values of a right type that the reference starts with are warnings at most.

pub mod archive;
pub mod auth;
pub mod cron;
pub mod main;
pub mod metric_store;
pub mod nats;
pub mod observability;
pub mod operation;
mod problem;
mod section;
pub mod services;
mod source;
pub mod standalone;
pub mod ui;
mod unserved;

use std::path::Path;

pub use problem::{Problem, Problems, Severity};

use crate::env::Env;
use problem::{At, Findings};
use section::{Rules, Section};
use source::Source;

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
    /// Section `store-log` (ours): when samples are on the disk.
    pub store_log: metric_store::StoreLog,
    /// Section `metric-store-external`: stores elsewhere, by scope.
    pub metric_store_external: Vec<metric_store::External>,
    /// Section `ui`: defaults for users without settings of their own.
    pub ui: ui::Ui,
    /// Section `nats`; absent: no broker.
    pub nats: Option<nats::Nats>,
    /// Section `nats-client` (ours): sign-in, TLS, sharing and durability beyond section `nats`.
    pub nats_client: nats::NatsClient,
    /// Section `grpc` (ours): the public gRPC listener.
    pub grpc: services::Grpc,
    /// Section `services` (ours): where each service is.
    pub services: services::Services,
    /// Section `observability` (ours): metrics, traces, log format.
    pub observability: observability::Observability,
    /// Section `site` (ours): what pages call the installation.
    pub site: operation::Site,
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

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// cc-backend and its split services.
    Backend,
    /// `cc-metric-store`: stand-alone if there is a section `metrics`, else a split service.
    Store,
}

/// A configuration that can be used, and what its author should know.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Findings that do not keep the program from starting.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Reads and checks the file at `path`. `env` is for values given as `{"$env": "NAME"}` in our own sections.
    pub fn load(path: impl AsRef<Path>, program: Program, env: &dyn Env) -> Result<Loaded, Problems> {
        let findings = Findings::default();
        let source = source::read(path.as_ref(), env, &findings);
        decide(&source, program, findings)
    }

    /// Reads and checks a text, for tests and generated configurations; the working directory is searched for
    /// the files of sections.
    pub fn parse(text: &str, program: Program, env: &dyn Env) -> Result<Loaded, Problems> {
        let findings = Findings::default();
        let source = source::parse(text, "config.json", None, env, &findings);
        decide(&source, program, findings)
    }

    /// What keeps a server (not a command-line action) from starting with this configuration.
    pub fn server_problem(&self) -> Option<&'static str> {
        let local =
            self.metric_store.is_some() || self.services.metric_store.address != services::Address::InProcess;
        (!local && self.metric_store_external.is_empty()).then_some(
            "missing metricstore configuration: section metric-store or metric-store-external is needed, e.g. \
             \"metric-store\": {\"retention-in-memory\": \"48h\", \"memory-cap\": 32}",
        )
    }
}

fn decide(source: &Source, program: Program, findings: Findings) -> Result<Loaded, Problems> {
    let config = read(source, program, &findings);
    let problems = findings.into_vec();
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        Err(Problems(problems))
    } else {
        Ok(Loaded { config, warnings: problems })
    }
}

fn read(source: &Source, program: Program, findings: &Findings) -> Config {
    let section = |name, rules| {
        let part = source.get(name)?;
        Section::new(&part.value, At::new(findings, &part.file, name), rules)
    };
    let mut config = Config::default();
    read_main(source, program, findings, &mut config);
    if let Some(section) = section("auth", Rules::LAX) {
        config.auth = auth::read(section);
    }
    if let Some(section) = section("cron", Rules::LAX) {
        config.cron = cron::read(section);
    }
    if let Some(section) = section("archive", Rules::SCHEMA) {
        config.archive = archive::read(section);
    }
    let store = section("metric-store", Rules::STRICT).map(|section| section.with_hints(metric_store::HINTS));
    config.metric_store = store.map(metric_store::read);
    if let Some(section) = section("store-log", Rules::LAX) {
        config.store_log = metric_store::read_log(section);
    }
    if let Some(section) = section("ui", Rules::SCHEMA) {
        config.ui = ui::read(section);
    }
    config.nats = section("nats", Rules::LAX).map(nats::read);
    if let Some(section) = section("nats-client", Rules::LAX) {
        config.nats_client = nats::read_client(section);
    }
    if let Some(section) = section("grpc", Rules::LAX) {
        config.grpc = services::read_grpc(section);
    }
    if let Some(section) = section("services", Rules::LAX) {
        config.services = services::read(section);
    }
    if let Some(section) = section("observability", Rules::LAX) {
        config.observability = observability::read(section);
    }
    if let Some(section) = section("site", Rules::LAX) {
        config.site = operation::read_site(section);
    }
    if let Some(section) = section("proxy", Rules::LAX) {
        config.proxy = operation::read_proxy(section);
    }
    if let Some(section) = section("limits", Rules::LAX) {
        config.limits = operation::read_limits(section);
    }
    if let Some(section) = section("compat", Rules::LAX) {
        config.compat = operation::read_compat(section);
    }
    read_external(source, findings, &mut config);
    warn_of_unknown_sections(source, program, findings);
    warn_of_shared_directory(source, findings, &config);
    warn_of_missing_broker(source, findings, &config);
    config
}

/// Section `main`, with the keys of the stand-alone store if it is one.
fn read_main(source: &Source, program: Program, findings: &Findings, config: &mut Config) {
    let Some(part) = source.get("main") else {
        if source.readable {
            findings.add(Severity::Error, &source.file, "", "main configuration must be present");
        }
        return;
    };
    let at = At::new(findings, &part.file, "main");
    let Some(section) = Section::new(&part.value, at, Rules::STRICT) else { return };
    let section = section.with_hints(main::HINTS);
    config.main = main::read(&section);
    if let (Program::Store, Some(metrics)) = (program, source.get("metrics")) {
        let mut standalone = standalone::read_main(&section, &mut config.main);
        let at = At::new(findings, &metrics.file, "metrics");
        if let Some(metrics) = Section::new(&metrics.value, at, Rules::STRICT) {
            standalone.metrics = standalone::read_metrics(&metrics);
        }
        config.standalone = Some(standalone);
        if source.get("metric-store").is_none() {
            findings.add(Severity::Error, &source.file, "metric-store", "missing; a metric store needs it");
        }
    }
    section.finish();
}

fn read_external(source: &Source, findings: &Findings, config: &mut Config) {
    let Some(part) = source.get("metric-store-external") else { return };
    let at = At::new(findings, &part.file, "metric-store-external");
    let Some(list) = part.value.as_array() else {
        at.wrong_type(&part.value, "a list of objects with scope, url and token");
        return;
    };
    for (index, value) in list.iter().enumerate() {
        let section = Section::new(value, at.index(index), Rules::SCHEMA);
        config.metric_store_external.extend(section.and_then(metric_store::read_external));
    }
}

/// The reference ignores unknown sections, so a misspelt one would go unnoticed.
fn warn_of_unknown_sections(source: &Source, program: Program, findings: &Findings) {
    let mut known: Vec<_> = source::REFERENCE_SECTIONS.into_iter().chain(source::OWN_SECTIONS).collect();
    if program == Program::Store {
        known.push("metrics");
    }
    for part in source.parts.iter().filter(|part| !known.contains(&part.name.as_str())) {
        let hint = section::nearest(&part.name, &known).map(|name| format!("; did you mean {name:?}?"));
        let text = format!("unknown section, ignored{}", hint.unwrap_or_default());
        findings.add(Severity::Warning, &part.file, &part.name, text);
    }
}

/// Subjects without an address: nobody would ever hear what is sent there.
fn warn_of_missing_broker(source: &Source, findings: &Findings, config: &Config) {
    if config.nats.as_ref().is_some_and(|nats| !nats.address.is_empty()) {
        return;
    }
    let store = config.metric_store.as_ref();
    for (asked, key) in [
        (config.main.api_subjects.is_some(), "main.api-subjects"),
        (store.is_some_and(|store| !store.nats_subscriptions.is_empty()), "metric-store.nats-subscriptions"),
    ] {
        if asked {
            let text = "there is no nats.address, so nothing sent to these subjects will arrive";
            findings.add(Severity::Warning, &source.file, key, text);
        }
    }
}

/// An archive refuses a directory with foreign files in it (deployment.md D-13).
fn warn_of_shared_directory(source: &Source, findings: &Findings, config: &Config) {
    let cleanup = config.metric_store.as_ref().map(|store| &store.cleanup);
    let retention = config.archive.retention.as_ref().map(|retention| &retention.target);
    if let (Some(metric_store::Cleanup::Archive { directory }), Some(archive::Target::File { path })) =
        (cleanup, retention)
        && directory.components().eq(path.components())
    {
        let text = format!("is metric-store.cleanup.directory too ({}); use two directories", path.display());
        findings.add(Severity::Warning, &source.file, "archive.retention.target-path", text);
    }
}

#[cfg(test)]
mod tests;
