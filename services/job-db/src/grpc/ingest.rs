//! Scheduler adapters: introduction and batches.

use cc_proto::job_db::v1 as proto;
use cc_proto::scheduler::v1 as scheduler;
use cc_runtime::caller;
use tonic::{Request, Response};

use super::{Answer, Service};
use crate::app::ingest::{self, Hello, REVISION};
use crate::convert;
use crate::error::Error;
use crate::store::Store;

/// A queue longer than this, in seconds, takes credit away.
const BACKLOG_SECONDS_MAX: f64 = 2.0;
/// Longest advice to wait, in milliseconds.
const RETRY_AFTER_MS_MAX: u32 = 30_000;
/// Largest message, in bytes (9.8).
const MESSAGE_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// Clusters of one introduction.
const CLUSTERS_MAX: usize = 1_000;

impl<S: Store> Service<S> {
    fn script_bytes_max(&self) -> usize {
        usize::try_from(self.limits.script_limit_kb).unwrap_or(usize::MAX).saturating_mul(1024)
    }

    pub(super) async fn hello_impl(
        &self,
        request: Request<scheduler::HelloRequest>,
    ) -> Answer<scheduler::HelloResponse> {
        let caller = caller::of(&request)?;
        let hello = request.into_inner();
        if hello.adapter_id.is_empty() || hello.adapter_id.len() > 255 {
            return Err(Error::InvalidBatch("adapter_id: expected 1 to 255 bytes".to_owned()).into());
        }
        let (min, max) = (hello.revision_min, hello.revision_max);
        if min > REVISION || max < REVISION {
            return Err(Error::Revision { min, max }.into());
        }
        if hello.clusters.len() > CLUSTERS_MAX {
            return Err(Error::InvalidBatch(format!("more than {CLUSTERS_MAX} clusters")).into());
        }
        self.clusters()?;
        let epoch = i64::try_from(hello.epoch)
            .map_err(|_| Error::InvalidBatch("epoch: expected at most 63 bits".to_owned()))?;
        let mutation = Hello {
            adapter_id: hello.adapter_id,
            credential: ingest::credential(&caller),
            clusters: hello.clusters,
            epoch,
        };
        let welcome = self.writer.run(mutation).await??;
        let seq = |(cluster, seq): (String, i64)| (cluster, seq.unsigned_abs());
        Ok(Response::new(scheduler::HelloResponse {
            revision: REVISION,
            features: Vec::new(),
            durable_seq: welcome.durable_seq.into_iter().map(seq).collect(),
            epoch: hello.epoch,
            lease: None,
            limits: Some(scheduler::Limits {
                max_batch_events: u32::try_from(convert::EVENTS_MAX).unwrap_or(u32::MAX),
                max_message_bytes: MESSAGE_BYTES_MAX,
                max_script_bytes: u32::try_from(self.script_bytes_max()).unwrap_or(u32::MAX),
                ack_delay_ms: self.limits.ack_delay_ms,
            }),
            server_time_ms: self.clock.now().as_millisecond(),
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            unknown_clusters: welcome.unknown_clusters,
        }))
    }

    pub(super) async fn ingest_impl(
        &self,
        request: Request<proto::IngestRequest>,
    ) -> Answer<proto::IngestResponse> {
        let caller = caller::of(&request)?;
        // without them every job would be of an unknown cluster
        self.clusters()?;
        let batch = convert::batch(request.into_inner(), &caller, self.script_bytes_max())?;
        let (cluster, epoch) = (batch.cluster.clone(), batch.epoch.unsigned_abs());
        let seqs: Vec<u64> = batch.events.iter().map(|event| event.seq.unsigned_abs()).collect();
        let portion_max = usize::try_from(self.limits.commit_batch).unwrap_or(usize::MAX);
        let results = ingest::ingest(&self.writer, batch, portion_max).await?;
        let durable_seq = results.durable_seq.unsigned_abs();
        let (results, fetch) = convert::event_results(&seqs, results);
        Ok(Response::new(proto::IngestResponse {
            ack: Some(scheduler::Ack { cluster, epoch, durable_seq, results }),
            credit: Some(self.credit()),
            fetch,
        }))
    }

    /// How much the adapter may send before the next answer: all that is allowed, unless the writer is behind.
    fn credit(&self) -> scheduler::Credit {
        let seconds = self.writer.waiting_seconds();
        let events = self.limits.max_inflight_events;
        if seconds <= BACKLOG_SECONDS_MAX {
            return scheduler::Credit { events, bytes: MESSAGE_BYTES_MAX, retry_after_ms: 0 };
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and bounded")]
        let share = (f64::from(events) * BACKLOG_SECONDS_MAX / seconds) as u32;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and bounded")]
        let wait = (seconds * 1000.0).min(f64::from(RETRY_AFTER_MS_MAX)) as u32;
        scheduler::Credit { events: share.max(1), bytes: MESSAGE_BYTES_MAX, retry_after_ms: wait }
    }
}
