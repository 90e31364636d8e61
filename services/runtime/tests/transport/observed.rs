//! Metrics of a call look the same on every transport.

use cc_proto::metric_store::v1::RawQueryRequest;
use metrics_exporter_prometheus::PrometheusBuilder;
use rstest::rstest;

use crate::site::{Via, ask, stacked};

const SERVICE: &str = "clustercockpit.metric_store.v1.MetricStore";

/// The value of one series in a page of metrics; 0 when it is not there.
fn value(page: &str, series: &str) -> u64 {
    page.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
        .unwrap_or_default()
}

// one thread: the recorder is the thread's own
#[rstest]
#[tokio::test]
async fn calls_are_counted_on_both_sides(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let page = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let mut site = stacked(via).await;
    for _ in 0..3 {
        site.client.check_health(ask("echo")).await.unwrap();
    }
    site.client.check_health(ask("panic")).await.unwrap_err();
    site.client.check_health(ask("unavailable")).await.unwrap_err();
    let query = RawQueryRequest { json: "error-after-three".into() };
    let mut answers = site.client.raw_query(query).await.unwrap().into_inner();
    while let Ok(Some(_)) = answers.message().await {}
    drop(answers);

    let page = page.render();
    let counted = |side: &str, method: &str, code: &str| {
        let series =
            format!("rpc_{side}_requests_total{{service=\"{SERVICE}\",method=\"{method}\",code=\"{code}\"}}");
        value(&page, &series)
    };
    for side in ["client", "server"] {
        assert_eq!(counted(side, "CheckHealth", "ok"), 3, "{page}");
        assert_eq!(counted(side, "CheckHealth", "internal"), 1, "{page}");
        assert_eq!(counted(side, "RawQuery", "failed_precondition"), 1, "{page}");
    }
    assert_eq!(counted("client", "CheckHealth", "unavailable"), 1);
    assert_eq!(counted("server", "CheckHealth", "unavailable"), 3, "with two repetitions");
    let labels = format!("{{service=\"{SERVICE}\",method=\"CheckHealth\"}}");
    assert_eq!(value(&page, &format!("rpc_client_retries_total{labels}")), 2);
    assert_eq!(value(&page, &format!("rpc_client_duration_seconds_count{labels}")), 5);
    assert_eq!(value(&page, &format!("rpc_server_duration_seconds_count{labels}")), 7);
    assert_eq!(value(&page, &format!("rpc_server_in_flight{{service=\"{SERVICE}\"}}")), 0);
    assert!(page.contains(&format!("rpc_server_in_flight{{service=\"{SERVICE}\"}} 0")));
}
