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
    Ok(options(section.ok_or_else(missing)?, config.store_log, Pinning::None))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::Invalid("interrupted".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use cc_runtime::config::Program;
    use cc_runtime::env::MapEnv;

    use super::*;
    use crate::store::Pin;
    use crate::testing::{NOW, clock, cluster_file, write};

    fn config(root: &Path) -> Config {
        let text = serde_json::json!({"main": {}, "metric-store": {
            "retention-in-memory": "48h",
            "memory-cap": 1,
            "checkpoints": { "directory": root.join("checkpoints") },
        }});
        Config::parse(&text.to_string(), Program::Backend, &MapEnv::default()).unwrap().config
    }

    fn store(config: &Config) -> Arc<Store> {
        Store::open(options_of(config, "tests").unwrap(), clock()).unwrap()
    }

    #[tokio::test]
    async fn expired_files_go_but_for_hosts_that_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let config = config(root.path());
        let old = NOW - 50 * 3600;
        let file = |host: &str, number: i64, text: String| {
            let directory = root.path().join("checkpoints/c").join(host);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(format!("{number}.json")), text).unwrap();
        };
        for host in ["a", "kept"] {
            file(host, old - 60, format!(r#"{{"from":{},"to":{old}}}"#, old - 60));
        }
        let store = store(&config);
        let pin = Pin { cluster: "c".to_owned(), host: "kept".to_owned(), from: old - 3600 };
        store.pin(&[pin]).unwrap();
        // beside a running store
        let done = cleanup_checkpoints(&config, &clock()).await.unwrap();
        assert_eq!(done, "Cleanup done: 1 checkpoint files deleted.");
        assert!(root.path().join(format!("checkpoints/c/kept/{}.json", old - 60)).is_file());
        file("a", old - 60, "broken".to_owned());
        let error = cleanup_checkpoints(&config, &clock()).await.unwrap_err().to_string();
        assert!(error.contains("(and 0 more; 0 files are done)"), "{error}");
        assert!(root.path().join(format!("checkpoints/c/a/{}.json", old - 60)).is_file());
    }

    #[tokio::test]
    async fn after_a_crash_the_rest_is_written() {
        let root = tempfile::tempdir().unwrap();
        let config = config(root.path());
        let store = store(&config);
        store.configure([("c", cluster_file("c").as_bytes())]).unwrap();
        store.load().unwrap();
        write(&store, format!("load,host=f0101 value=1 {}", NOW - 60)).unwrap();
        let error = export_checkpoints(&config, &clock()).await.unwrap_err();
        assert!(matches!(error, Error::InUse { .. }), "{error}");
        drop(store);
        let place = root.path().join("checkpoints");
        for files in [1, 0] {
            let done = export_checkpoints(&config, &clock()).await.unwrap();
            assert_eq!(
                done,
                format!("Export done: {files} checkpoint files written to {}.", place.display())
            );
        }
        let files = fs::read_dir(place.join("c/f0101")).unwrap().count();
        assert_eq!(files, 1);
    }
}
