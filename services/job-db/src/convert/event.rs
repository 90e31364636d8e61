//! Scheduler events (spec/integrations.md 9.4): decoded once, total, with every problem as a result of that event.

use std::collections::BTreeMap;

use cc_model::{JobKey, JobState, Sharing, Tag};
use cc_proto::job_db::v1 as proto;
use cc_proto::scheduler::v1 as scheduler;
use cc_proto::scheduler::v1::event::Body as Wire;
use cc_runtime::caller::Caller;
use prost::Message;

use crate::app::ingest::{Batch, EVENT_ID_BYTES, Event, Results};
use crate::app::mapping::{Allocation, Processors, Range};
use crate::app::rules::{Body, Stopped};
use crate::app::spec::{INCOMPLETE, Problem, RESTART_COUNT, Spec};
use crate::app::tags;
use crate::error::Error;

/// Events of one request (9.8).
pub(crate) const EVENTS_MAX: usize = 1_000;
/// Hosts of one job.
const NODES_MAX: usize = 100_000;
/// Longest name of an adapter or cluster, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// A batch as the rules take it. Scripts longer than `script_bytes_max` are cut.
///
/// # Errors
/// [`Error::Missing`], [`Error::InvalidBatch`]: what leaves no room for results per event.
pub(crate) fn batch(
    request: proto::IngestRequest,
    caller: &Caller,
    script_bytes_max: usize,
) -> Result<Batch, Error> {
    let batch = request.batch.ok_or(Error::Missing("batch"))?;
    for (what, name) in [("adapter_id", &request.adapter_id), ("cluster", &batch.cluster)] {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(Error::InvalidBatch(format!("{what}: expected 1 to {NAME_BYTES_MAX} bytes")));
        }
    }
    if batch.events.len() > EVENTS_MAX {
        let count = batch.events.len();
        return Err(Error::InvalidBatch(format!("{count} events are more than {EVENTS_MAX} in one batch")));
    }
    let number = |what: &str, value: u64| {
        i64::try_from(value)
            .map_err(|_| Error::InvalidBatch(format!("{what}: {value} has more than 63 bits")))
    };
    let mut events = Vec::with_capacity(batch.events.len());
    for event in batch.events {
        let seq = number("seq", event.seq)?;
        events.push(self::event(event, seq, caller, script_bytes_max));
    }
    Ok(Batch {
        adapter_id: request.adapter_id,
        credential: crate::app::ingest::credential(caller),
        cluster: batch.cluster,
        epoch: number("epoch", batch.epoch)?,
        fencing: number("fencing_token", batch.fencing_token)?,
        unsequenced: request.unsequenced,
        events,
    })
}

fn event(event: scheduler::Event, seq: i64, caller: &Caller, script_bytes_max: usize) -> Event {
    let payload = event.encode_to_vec();
    let id = event.event_id.to_vec();
    let mut remark = None;
    let body = if matches!(id.len(), 0 | EVENT_ID_BYTES) {
        body(event.body, Some(caller), script_bytes_max, &mut remark)
    } else {
        let detail = format!("expected {EVENT_ID_BYTES} bytes or none, found {}", id.len());
        Body::Broken(Problem::field("event_id", detail))
    };
    Event { seq, id, body, remark, payload }
}

/// Decodes a parked event. Its tags were permitted when it came, its script was cut.
pub(crate) fn decode_parked(payload: &[u8]) -> Body {
    match scheduler::Event::decode(payload) {
        Ok(event) => body(event.body, None, usize::MAX, &mut None),
        Err(error) => Body::Broken(Problem::field("payload", error.to_string())),
    }
}

fn body(
    wire: Option<Wire>,
    caller: Option<&Caller>,
    script_bytes_max: usize,
    remark: &mut Option<(&'static str, String)>,
) -> Body {
    let decoded = match wire {
        None => Err(Problem::field("body", "the event has no body, or one of a later revision")),
        Some(Wire::Updated(_)) => return Body::Unsupported("updated"),
        Some(Wire::Retracted(_)) => return Body::Unsupported("retracted"),
        Some(Wire::Started(started)) => started
            .job
            .ok_or_else(|| Problem::field("job", "missing"))
            .and_then(|job| spec(job, caller, script_bytes_max, remark))
            .map(Body::Started),
        Some(Wire::Stopped(stopped)) => {
            self::stopped(stopped, caller, script_bytes_max, remark).map(Body::Stopped)
        }
    };
    decoded.unwrap_or_else(Body::Broken)
}

fn stopped(
    stopped: scheduler::JobStopped,
    caller: Option<&Caller>,
    script_bytes_max: usize,
    remark: &mut Option<(&'static str, String)>,
) -> Result<Stopped, Problem> {
    let state = state(stopped.state(), &stopped.scheduler_state)?;
    let key = key(stopped.key.ok_or_else(|| Problem::field("key", "missing"))?);
    let job = stopped.job.map(|job| spec(job, caller, script_bytes_max, remark)).transpose()?;
    if let Some(job) = &job {
        job.check()?;
    }
    Ok(Stopped { key, stop_time: stopped.stop_time, state, exit_code: stopped.exit_code, job })
}

fn state(state: scheduler::JobState, word: &str) -> Result<JobState, Problem> {
    Ok(match state {
        scheduler::JobState::BootFail => JobState::BootFail,
        scheduler::JobState::Cancelled => JobState::Cancelled,
        scheduler::JobState::Completed => JobState::Completed,
        scheduler::JobState::Deadline => JobState::Deadline,
        scheduler::JobState::Failed => JobState::Failed,
        scheduler::JobState::NodeFail => JobState::NodeFail,
        scheduler::JobState::OutOfMemory => JobState::OutOfMemory,
        scheduler::JobState::Pending => JobState::Pending,
        scheduler::JobState::Preempted => JobState::Preempted,
        scheduler::JobState::Running => JobState::Running,
        scheduler::JobState::Suspended => JobState::Suspended,
        scheduler::JobState::Timeout => JobState::Timeout,
        scheduler::JobState::Unspecified => {
            return Err(Problem::field("state", format!("no state, the scheduler's word is {word:?}")));
        }
    })
}

fn key(key: scheduler::JobKey) -> JobKey {
    JobKey { cluster: key.cluster, job_id: key.job_id, start_time: key.start_time }
}

fn spec(
    mut job: scheduler::JobSpec,
    caller: Option<&Caller>,
    script_bytes_max: usize,
    remark: &mut Option<(&'static str, String)>,
) -> Result<Spec, Problem> {
    let key = key(job.key.take().ok_or_else(|| Problem::field("job.key", "missing"))?);
    if job.nodes.len() > NODES_MAX {
        return Err(Problem::field("job.nodes", format!("more than {NODES_MAX} entries")));
    }
    let given: Vec<Tag> = std::mem::take(&mut job.tags).into_iter().map(tag).collect();
    let tags = match caller {
        Some(caller) => tags::permitted(&given, caller),
        None => Ok(given.into_iter().map(with_scope).collect()),
    };
    let tags = tags.map_err(|error| Problem::field("job.tags", error.to_string()))?;
    let allocations = std::mem::take(&mut job.nodes).into_iter().map(allocation).collect();
    let metadata = metadata(&mut job, script_bytes_max, remark);
    Ok(Spec {
        key,
        sharing: match job.sharing() {
            scheduler::Sharing::Unspecified | scheduler::Sharing::None => Sharing::None,
            scheduler::Sharing::SingleUser => Sharing::SingleUser,
            scheduler::Sharing::MultiUser => Sharing::MultiUser,
        },
        user: job.user,
        project: job.project,
        partition: job.partition,
        walltime: job.walltime_s,
        num_nodes: job.num_nodes,
        num_hwthreads: job.num_hwthreads,
        num_acc: job.num_acc,
        // as REST stores it when a client does not say
        smt: job.smt.unwrap_or(0),
        allocations,
        incomplete: job.resources_incomplete,
        array_job_id: job.array_job_id,
        restart_count: job.restart_count,
        metadata,
        tags,
    })
}

fn tag(tag: scheduler::Tag) -> Tag {
    Tag { kind: tag.r#type, name: tag.name, scope: tag.scope, id: 0 }
}

fn with_scope(mut tag: Tag) -> Tag {
    if tag.scope.is_empty() {
        "global".clone_into(&mut tag.scope);
    }
    tag
}

/// The scheduler's facts under the keys of 9.7, over whatever metadata came with the job.
fn metadata(
    job: &mut scheduler::JobSpec,
    script_bytes_max: usize,
    remark: &mut Option<(&'static str, String)>,
) -> BTreeMap<String, String> {
    let mut metadata: BTreeMap<String, String> = std::mem::take(&mut job.metadata).into_iter().collect();
    // a mark of ours, not of clients
    metadata.remove(INCOMPLETE);
    let script = std::mem::take(&mut job.job_script);
    if script.len() > script_bytes_max {
        *remark = Some(("TOO_LARGE", format!("the job script was cut from {} bytes", script.len())));
    }
    let script = cc_runtime::error::cut(&script, script_bytes_max).to_owned();
    let number = |value: i64| if value == 0 { String::new() } else { value.to_string() };
    for (key, value) in [
        ("jobName", std::mem::take(&mut job.job_name)),
        ("jobScript", script),
        ("slurmInfo", std::mem::take(&mut job.scheduler_info)),
        ("submitTime", number(job.submit_time)),
        ("arrayTaskId", job.array_task_id.map(|id| id.to_string()).unwrap_or_default()),
        ("hetJobId", number(job.het_job_id)),
        ("hetJobOffset", job.het_offset.map(|offset| offset.to_string()).unwrap_or_default()),
        (RESTART_COUNT, number(i64::from(job.restart_count))),
        ("qos", std::mem::take(&mut job.qos)),
    ] {
        if !value.is_empty() {
            metadata.insert(key.to_owned(), value);
        }
    }
    metadata
}

fn allocation(node: scheduler::NodeAllocation) -> Allocation {
    let numbering = node.numbering();
    let processors = match numbering {
        _ if node.whole_node => Processors::All,
        scheduler::CoreNumbering::SchedSocketCore => Processors::Cores(
            node.sockets.into_iter().map(|socket| (socket.socket, ranges(&socket.cores))).collect(),
        ),
        scheduler::CoreNumbering::SchedLinearCpu => Processors::Linear(ranges(&node.hwthreads)),
        scheduler::CoreNumbering::OsHwthread => Processors::Threads(ranges(&node.hwthreads)),
        scheduler::CoreNumbering::Unspecified => Processors::Unknown,
    };
    Allocation {
        hostname: node.hostname,
        processors,
        accelerators: node.accelerator_ids,
        gpus: ranges(&node.gpu_indices),
    }
}

fn ranges(ranges: &[scheduler::IdRange]) -> Vec<Range> {
    ranges.iter().map(|range| Range { first: range.first, last: range.last }).collect()
}

/// Results of a batch, in the order of its events, and the jobs of which the server wants to know more.
pub(crate) fn event_results(
    seqs: &[u64],
    results: Results,
) -> (Vec<scheduler::EventResult>, Vec<cc_proto::common::v1::JobKey>) {
    let mut fetch = Vec::new();
    let one = |(seq, verdict): (&u64, crate::app::rules::Verdict)| {
        fetch.extend(verdict.fetch.into_iter().map(|key| cc_proto::common::v1::JobKey {
            cluster: key.cluster,
            job_id: key.job_id,
            start_time: key.start_time,
        }));
        scheduler::EventResult {
            seq: *seq,
            outcome: verdict.outcome as i32,
            code: verdict.code,
            field: verdict.field,
            detail: verdict.detail,
            db_id: verdict.id,
        }
    };
    let results = seqs.iter().zip(results.verdicts).map(one).collect();
    (results, fetch)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::app::tests::api;

    fn event() -> scheduler::Event {
        let key = scheduler::JobKey { cluster: "c".to_owned(), job_id: 1, start_time: 5 };
        let job = scheduler::JobSpec { key: Some(key), user: "a".to_owned(), ..Default::default() };
        let started = scheduler::JobStarted { job: Some(job) };
        scheduler::Event { seq: 1, body: Some(Wire::Started(started)), ..Default::default() }
    }

    #[test]
    fn a_parked_event_is_decoded_as_it_came() {
        let request = proto::IngestRequest {
            adapter_id: "a".to_owned(),
            batch: Some(scheduler::EventBatch {
                cluster: "c".to_owned(),
                events: vec![event()],
                ..Default::default()
            }),
            unsequenced: true,
        };
        let batch = batch(request, &api(), 1024).unwrap();
        assert_eq!(decode_parked(&batch.events[0].payload), batch.events[0].body);
    }

    proptest! {
        #[test]
        fn decoding_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..60_usize) {
            decode_parked(&bytes);
            let mut damaged = event().encode_to_vec();
            damaged.truncate(cut);
            damaged.extend(bytes);
            decode_parked(&damaged);
        }
    }
}
