//! The identity of an event: derived from what happened, not from who noticed (spec integrations.md 9.5).
//!
//! An adapter that lost its spool, or a second adapter that watches the same scheduler, derives the same 16 bytes, and the
//! server applies the event once.

use cc_proto::scheduler::v1::{JobKey, event::Body};

/// The first 16 bytes of BLAKE3 over the canonical form of (kind, key, stop time, state, restart count, mask).
///
/// Canonical form: each of the eight fields `kind`, `cluster`, `job_id`, `start_time`, `stop_time`, `state`,
/// `restart_count`, `mask` as its length (u32) and its bytes. Numbers are little-endian (i64; state i32; restart count
/// u32) and 0 where the kind has none; the mask is its paths, sorted, joined by commas.
pub fn of(body: &Body) -> [u8; 16] {
    let facts = Facts::of(body);
    let mut hasher = blake3::Hasher::new();
    let mut field = |bytes: &[u8]| {
        // no field is longer than a gRPC message
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        hasher.update(&length.to_le_bytes());
        hasher.update(bytes);
    };
    field(facts.kind.as_bytes());
    field(facts.key.map_or("", |key| &key.cluster).as_bytes());
    field(&facts.key.map_or(0, |key| key.job_id).to_le_bytes());
    field(&facts.key.map_or(0, |key| key.start_time).to_le_bytes());
    field(&facts.stop_time.to_le_bytes());
    field(&facts.state.to_le_bytes());
    field(&facts.restart_count.to_le_bytes());
    field(facts.mask.as_bytes());
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(hasher.finalize().as_bytes()) {
        *to = *from;
    }
    id
}

/// The word for a kind of event: `started`, `updated`, `stopped`, `retracted`.
pub fn kind(body: &Body) -> &'static str {
    Facts::of(body).kind
}

/// The job an event is about.
pub fn key(body: &Body) -> Option<&JobKey> {
    Facts::of(body).key
}

struct Facts<'a> {
    kind: &'static str,
    key: Option<&'a JobKey>,
    stop_time: i64,
    state: i32,
    restart_count: u32,
    mask: String,
}

impl<'a> Facts<'a> {
    fn of(body: &'a Body) -> Self {
        let plain =
            |kind, key| Self { kind, key, stop_time: 0, state: 0, restart_count: 0, mask: String::new() };
        match body {
            Body::Started(started) => {
                let job = started.job.as_ref();
                Self {
                    restart_count: job.map_or(0, |job| job.restart_count),
                    ..plain("started", job.and_then(|job| job.key.as_ref()))
                }
            }
            Body::Updated(updated) => {
                let mut paths = updated.mask.as_ref().map(|mask| mask.paths.clone()).unwrap_or_default();
                paths.sort();
                Self {
                    state: updated.state,
                    restart_count: updated.job.as_ref().map_or(0, |job| job.restart_count),
                    mask: paths.join(","),
                    ..plain("updated", updated.key.as_ref())
                }
            }
            Body::Stopped(stopped) => Self {
                stop_time: stopped.stop_time,
                state: stopped.state,
                restart_count: stopped.job.as_ref().map_or(0, |job| job.restart_count),
                ..plain("stopped", stopped.key.as_ref())
            },
            Body::Retracted(retracted) => plain("retracted", retracted.key.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use cc_proto::scheduler::v1::{JobRetracted, JobSpec, JobStarted, JobState, JobStopped, JobUpdated};
    use prost_types::FieldMask;

    use super::*;

    fn key() -> JobKey {
        JobKey { cluster: "fritz".to_owned(), job_id: 42, start_time: 1_795_000_000 }
    }

    fn started() -> Body {
        Body::Started(JobStarted { job: Some(JobSpec { key: Some(key()), ..JobSpec::default() }) })
    }

    fn stopped() -> JobStopped {
        JobStopped {
            key: Some(key()),
            stop_time: 1_795_000_100,
            state: JobState::Completed.into(),
            ..JobStopped::default()
        }
    }

    #[test]
    fn ids_never_change() {
        // computed by another implementation; changing one makes every event of every spool and ledger a new one
        assert_eq!(u128::from_be_bytes(of(&started())), 0x646d_2ecd_97ee_7fcc_d903_b261_df8c_fde4);
        assert_eq!(
            u128::from_be_bytes(of(&Body::Stopped(stopped()))),
            0x1f2e_6860_e31d_553e_1e1e_acef_bc1c_bef2
        );
    }

    #[test]
    fn only_what_happened_counts() {
        let same = Body::Started(JobStarted {
            job: Some(JobSpec {
                key: Some(key()),
                user: "alice".to_owned(),
                num_nodes: 7,
                ..JobSpec::default()
            }),
        });
        assert_eq!(of(&same), of(&started()));
    }

    #[test]
    fn every_fact_counts() {
        let restarted = Body::Started(JobStarted {
            job: Some(JobSpec { key: Some(key()), restart_count: 1, ..JobSpec::default() }),
        });
        let updated = |paths: &[&str]| {
            Body::Updated(JobUpdated {
                key: Some(key()),
                mask: Some(FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() }),
                ..JobUpdated::default()
            })
        };
        let bodies = [
            started(),
            restarted,
            updated(&["walltime_s"]),
            updated(&["walltime_s", "project"]),
            Body::Stopped(stopped()),
            Body::Stopped(JobStopped { stop_time: 1_795_000_101, ..stopped() }),
            Body::Stopped(JobStopped { state: JobState::Failed.into(), ..stopped() }),
            Body::Stopped(JobStopped { key: Some(JobKey { job_id: 43, ..key() }), ..stopped() }),
            Body::Stopped(JobStopped { key: Some(JobKey { start_time: 1, ..key() }), ..stopped() }),
            Body::Stopped(JobStopped {
                key: Some(JobKey { cluster: "fritz2".to_owned(), ..key() }),
                ..stopped()
            }),
            Body::Retracted(JobRetracted { key: Some(key()), ..JobRetracted::default() }),
        ];
        let ids: std::collections::HashSet<_> = bodies.iter().map(of).collect();
        assert_eq!(ids.len(), bodies.len());
        assert_eq!(of(&updated(&["b", "a"])), of(&updated(&["a", "b"])), "the order of a mask means nothing");
    }
}
