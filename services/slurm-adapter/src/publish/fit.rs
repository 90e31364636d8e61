//! An event that is larger than a message may be would end every connection for ever. It is made smaller instead: first the
//! scripts go, then what the scheduler says about the job, then everything but the job's identity.

use cc_proto::scheduler::v1::{Event, JobSpec, event::Body};
use prost::Message as _;

/// Room for the batch around the events, in bytes: names, and a few bytes per event.
const ENVELOPE_BYTES_MAX: usize = 16 * 1024;

/// Bytes of events that go into a message of that size.
pub(super) fn event_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max - (message_bytes_max / 8).min(ENVELOPE_BYTES_MAX)
}

/// The event with at most `bytes_max` bytes; unchanged when it fits.
pub(super) fn fit(mut event: Event, bytes_max: usize) -> Event {
    let cuts: [fn(&mut JobSpec); 4] = [
        |job| job.job_script.clear(),
        |job| job.scheduler_info.clear(),
        |job| job.metadata.clear(),
        |job| {
            *job = JobSpec {
                key: job.key.take(),
                user: std::mem::take(&mut job.user),
                resources_incomplete: true,
                restart_count: job.restart_count,
                ..JobSpec::default()
            };
        },
    ];
    for cut in cuts {
        if event.encoded_len() <= bytes_max {
            return event;
        }
        if let Some(job) = event.body.as_mut().and_then(job_of) {
            cut(job);
        }
    }
    if event.encoded_len() > bytes_max {
        // the server rejects an event without body, by its number, and goes on with the next one
        event.body = None;
    }
    event
}

fn job_of(body: &mut Body) -> Option<&mut JobSpec> {
    match body {
        Body::Started(started) => started.job.as_mut(),
        Body::Updated(updated) => updated.job.as_mut(),
        Body::Stopped(stopped) => stopped.job.as_mut(),
        Body::Retracted(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use cc_proto::scheduler::v1::{JobKey, JobRetracted, JobStarted, NodeAllocation};

    use super::*;

    fn event(script: usize, info: usize, nodes: usize) -> Event {
        let node = NodeAllocation { hostname: "n".repeat(20), ..NodeAllocation::default() };
        let job = JobSpec {
            key: Some(JobKey { cluster: "a".into(), job_id: 1, start_time: 2 }),
            user: "alice".into(),
            job_script: "s".repeat(script),
            scheduler_info: "i".repeat(info),
            nodes: vec![node; nodes],
            ..JobSpec::default()
        };
        Event { seq: 1, body: Some(Body::Started(JobStarted { job: Some(job) })), ..Event::default() }
    }

    fn job(event: &Event) -> &JobSpec {
        match &event.body {
            Some(Body::Started(started)) => started.job.as_ref().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_fits_is_not_touched() {
        let whole = event(400, 400, 3);
        assert_eq!(fit(whole.clone(), whole.encoded_len()), whole);
    }

    #[test]
    fn the_least_important_goes_first() {
        let without_script = fit(event(2000, 400, 3), 1000);
        assert_eq!(
            (job(&without_script).job_script.len(), job(&without_script).scheduler_info.len()),
            (0, 400)
        );
        let without_info = fit(event(400, 2000, 3), 1000);
        assert_eq!((job(&without_info).scheduler_info.len(), job(&without_info).nodes.len()), (0, 3));
        let bare = fit(event(0, 0, 1000), 1000);
        assert!(job(&bare).nodes.is_empty() && job(&bare).resources_incomplete);
        assert_eq!((job(&bare).user.as_str(), job(&bare).key.as_ref().unwrap().job_id), ("alice", 1));
    }

    #[test]
    fn nothing_is_too_large_in_the_end() {
        let retracted = JobRetracted { key: None, reason: "x".repeat(5000) };
        let large = Event { seq: 7, body: Some(Body::Retracted(retracted)), ..Event::default() };
        let small = fit(large, 1000);
        assert_eq!((small.seq, small.body), (7, None));
    }
}
