//! Numbers about the process for Prometheus.
//!
//! Everybody counts with the macros of the crate `metrics`; this is the one registry behind them, and the page
//! that shows it. The page has a listener of its own and never appears on the public address.

use std::sync::OnceLock;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::header;
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

/// Bounds of histograms of times, in seconds: from a call inside the process to a slow page.
pub const SECONDS_BUCKETS: [f64; 15] =
    [0.00001, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// Bounds of histograms of sizes, in bytes.
pub const BYTES_BUCKETS: [f64; 9] =
    [64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 16_777_216.0];
/// Old observations of histograms are folded in this often.
const UPKEEP_PERIOD: Duration = Duration::from_secs(5);

/// The commit this was built from, if the build said so.
pub const COMMIT: &str = match option_env!("CC_GIT_HASH") {
    Some(hash) => hash,
    None => "unknown",
};

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Why there is no registry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bounds of histograms are not accepted.
    #[error("failed to set up metrics")]
    Build(#[source] BuildError),
    /// Another recorder was installed in this process.
    #[error("failed to install the metrics registry: there is one already")]
    Taken,
}

fn recorder() -> Result<PrometheusRecorder, Error> {
    Ok(PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES_BUCKETS)
        })
        .map_err(Error::Build)?
        .build_recorder())
}

/// Installs the registry of the process, once; later calls do nothing.
pub fn install() -> Result<(), Error> {
    if HANDLE.get().is_some() {
        return Ok(());
    }
    let recorder = recorder()?;
    let handle = recorder.handle();
    ::metrics::set_global_recorder(recorder).map_err(|_| Error::Taken)?;
    HANDLE.get_or_init(|| handle);
    describe();
    crate::rpc::metrics::describe();
    Ok(())
}

/// Names, units and meanings of what this module itself reports.
fn describe() {
    ::metrics::describe_gauge!("process_resident_memory_bytes", "Memory of the process in RAM.");
    ::metrics::describe_gauge!("process_virtual_memory_bytes", "Address space of the process.");
    ::metrics::describe_gauge!("process_open_fds", "Open file descriptors.");
    ::metrics::describe_gauge!("process_max_fds", "Most file descriptors the process may open.");
    ::metrics::describe_gauge!("process_threads", "Threads of the process.");
    ::metrics::describe_gauge!("process_start_time_seconds", "Start of the process, Unix time.");
    ::metrics::describe_counter!("process_cpu_seconds_total", "CPU time used, user and system.");
    ::metrics::describe_gauge!("build_info", "1, with the version in its labels.");
    ::metrics::describe_counter!("runtime_task_failures_total", "Background tasks that failed, by task.");
}

/// Reports the version of the running program.
pub fn build_info(program: &'static str) {
    let labels = [("program", program), ("version", env!("CARGO_PKG_VERSION")), ("commit", COMMIT)];
    ::metrics::gauge!("build_info", &labels).set(1.0);
}

/// The page's text; empty without a registry.
pub fn render() -> String {
    process::report();
    HANDLE.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Folds old observations in, for ever; a background task.
pub async fn upkeep() {
    let mut ticks = tokio::time::interval(UPKEEP_PERIOD);
    loop {
        ticks.tick().await;
        if let Some(handle) = HANDLE.get() {
            handle.run_upkeep();
        }
    }
}

/// Route `GET /metrics`.
pub fn router() -> Router {
    let page = async || ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render());
    Router::new().route("/metrics", get(page))
}

/// What the kernel knows about the process.
mod process {
    use std::fs;
    use std::sync::OnceLock;

    static START: OnceLock<Option<f64>> = OnceLock::new();

    #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
    pub(super) fn report() {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |key: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(key))?;
            rest.split_whitespace().next()?.parse::<u64>().ok()
        };
        let set = |name: &'static str, value: Option<u64>| {
            if let Some(value) = value {
                ::metrics::gauge!(name).set(value as f64);
            }
        };
        set("process_resident_memory_bytes", number("VmRSS:").map(|kilobytes| kilobytes * 1024));
        set("process_virtual_memory_bytes", number("VmSize:").map(|kilobytes| kilobytes * 1024));
        set("process_threads", number("Threads:"));
        let open = fs::read_dir("/proc/self/fd").ok().and_then(|entries| u64::try_from(entries.count()).ok());
        set("process_open_fds", open);
        set("process_max_fds", most_open());
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        if let Some((cpu, start)) = times(&stat) {
            ::metrics::counter!("process_cpu_seconds_total").absolute(cpu);
            if let Some(start) = START.get_or_init(|| Some(boot_time()? + start)) {
                ::metrics::gauge!("process_start_time_seconds").set(*start);
            }
        }
    }

    fn most_open() -> Option<u64> {
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"))?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    }

    /// Whole seconds of CPU used, and seconds from the boot to the start. The kernel counts in ticks of 10 ms.
    #[expect(clippy::cast_precision_loss, reason = "ticks since boot fit")]
    pub(super) fn times(stat: &str) -> Option<(u64, f64)> {
        const TICKS_PER_SECOND: u64 = 100;
        // The second field is a name in parentheses that may hold anything.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let cpu = (field(11)? + field(12)?) / TICKS_PER_SECOND;
        Some((cpu, field(19)? as f64 / TICKS_PER_SECOND as f64))
    }

    fn boot_time() -> Option<f64> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Request, StatusCode};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn the_page_shows_process_build_and_counters() {
        install().unwrap();
        install().unwrap();
        build_info("cc-test");
        ::metrics::counter!("runtime_test_total").increment(3);
        ::metrics::histogram!("runtime_test_seconds").record(0.002);
        let answer = router().oneshot(Request::get("/metrics").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        for part in [
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "process_start_time_seconds 1",
            "process_cpu_seconds_total ",
            "build_info{program=\"cc-test\",version=\"",
            "runtime_test_total 3",
            "runtime_test_seconds_bucket{le=\"0.0025\"} 1",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn times_are_found_behind_any_name() {
        let rest = (0..11)
            .map(|_| "1".to_owned())
            .chain(["250".into(), "150".into()])
            .chain((0..6).map(|_| "0".into()));
        let fields: Vec<String> = rest.chain(["1234".to_owned()]).collect();
        let stat = format!("7 (a) b ) {}", fields.join(" "));
        assert_eq!(process::times(&stat), Some((4, 12.34)));
        assert_eq!(process::times("broken"), None);
    }
}
