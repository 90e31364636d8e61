//! What the command line does with the reference's checkpoint files besides serving (spec config-and-cli.md 6.3, metric-store.md 2.6).

use std::sync::Arc;

use cc_runtime::clock::Clock;
use cc_runtime::config::Config;

use crate::error::Error;
use crate::standalone;
use crate::start::options;
use crate::store::{self, CleanedFiles, Cleanup, Options, Pinning, Store};

/// `-cleanup-checkpoints`: deletes or archives checkpoint files that are older than the retention, also while a store runs. Returns what
/// there is to say, without a line end, as the reference does.
///
/// # Errors
/// There is no section `metric-store`, or files cannot be read, written or removed; the others are done all the same.
pub async fn cleanup_checkpoints(config: &Config, clock: &Clock) -> Result<String, Error> {
    let options = options_of(config, "checkpoint cleanup")?;
    if options.retention.is_zero() {
        return Err(Error::Invalid(
            "metric-store.retention-in-memory is 0: nothing is ever too old".to_owned(),
        ));
    }
    let archives = options.reference.as_ref().is_some_and(|reference| reference.cleanup != Cleanup::Delete);
    let now = clock.unix();
    let CleanedFiles { files, problems } = blocking(move || store::clean_reference(&options, now)).await??;
    if let [first, more @ ..] = problems.as_slice() {
        let text = format!("checkpoint cleanup: {first} (and {} more; {files} files are done)", more.len());
        return Err(Error::Invalid(text));
    }
    let done = if archives { "archived to parquet" } else { "deleted" };
    Ok(format!("Cleanup done: {files} checkpoint files {done}."))
}

/// `-export-checkpoints`: makes the checkpoint directory readable by the reference from our own log, without serving: after a crash, or
/// before going back. Returns what there is to say.
///
/// # Errors
/// There is no section `metric-store`, a store runs on the directory, or files cannot be read or written.
pub async fn export_checkpoints(config: &Config, clock: &Clock) -> Result<String, Error> {
    let options = options_of(config, "checkpoint export")?;
    let place = options.reference.as_ref().map(|reference| reference.directory.clone()).unwrap_or_default();
    let clock = clock.clone();
    let metrics = config.standalone.as_ref().map(|section| standalone::metrics(section).collect::<Vec<_>>());
    let export = move || {
        let store: Arc<Store> = Store::open(options, clock)?;
        if let Some(metrics) = metrics {
            store.configure_metrics(metrics);
        }
        store.load()?;
        Ok::<_, Error>(store.export_all())
    };
    let exported = blocking(export).await??;
    let (files, place) = (exported.files, place.display());
    if exported.failures > 0 {
        return Err(Error::Invalid(format!(
            "checkpoint export: {} hosts cannot be written below {place}, see the log; {files} files are",
            exported.failures
        )));
    }
    Ok(format!("Export done: {files} checkpoint files written to {place}."))
}

fn options_of(config: &Config, purpose: &str) -> Result<Options, Error> {
    let section = config.metric_store.as_ref();
    let missing = || Error::Invalid(format!("metric-store configuration required for {purpose}"));
    Ok(options(section.ok_or_else(missing)?, Pinning::None))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::Invalid("interrupted".to_owned()))
}
