//! Side tables of this service in `job.db` (spec/integrations.md 9.5, design/architecture.md 4).

use cc_database::side::Step;

/// Name of this service in the table of side-table versions.
pub(crate) const COMPONENT: &str = "job_db";

/// All steps; a released one never changes.
pub(crate) const STEPS: &[Step] = &[
    Step {
        version: 1,
        sql: "
CREATE TABLE ccx_ingest_adapter (
  adapter_id TEXT PRIMARY KEY NOT NULL,
  bound_to TEXT NOT NULL,
  first_seen INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE ccx_ingest_stream (
  adapter_id TEXT NOT NULL,
  cluster TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  durable_seq INTEGER NOT NULL,
  lease_holder TEXT NOT NULL DEFAULT '',
  fencing INTEGER NOT NULL DEFAULT 0,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (adapter_id, cluster)
) WITHOUT ROWID;

CREATE TABLE ccx_ingest_event (
  event_id BLOB PRIMARY KEY NOT NULL,
  job_db_id INTEGER NOT NULL,
  outcome INTEGER NOT NULL,
  code TEXT NOT NULL,
  applied_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX ccx_ingest_event_age ON ccx_ingest_event (applied_at);

CREATE TABLE ccx_ingest_dead (
  id INTEGER PRIMARY KEY,
  adapter_id TEXT NOT NULL,
  cluster TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  event_id BLOB NOT NULL,
  received_at INTEGER NOT NULL,
  code TEXT NOT NULL,
  field TEXT NOT NULL,
  detail TEXT NOT NULL,
  payload BLOB NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX ccx_ingest_dead_age ON ccx_ingest_dead (received_at);

CREATE TABLE ccx_ingest_parked (
  id INTEGER PRIMARY KEY,
  adapter_id TEXT NOT NULL,
  cluster TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  event_id BLOB NOT NULL,
  job_id INTEGER NOT NULL,
  start_time INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  code TEXT NOT NULL,
  field TEXT NOT NULL,
  detail TEXT NOT NULL,
  payload BLOB NOT NULL
);
CREATE INDEX ccx_ingest_parked_key ON ccx_ingest_parked (job_id, start_time, cluster);

CREATE TABLE ccx_superseded (
  job_db_id INTEGER PRIMARY KEY,
  close_at INTEGER NOT NULL,
  stop_time INTEGER NOT NULL,
  job_state TEXT NOT NULL
);
CREATE INDEX ccx_superseded_due ON ccx_superseded (close_at);

CREATE TABLE ccx_archive_queue (
  job_db_id INTEGER PRIMARY KEY,
  generation INTEGER NOT NULL DEFAULT 1,
  queued_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  not_before INTEGER NOT NULL,
  last_error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX ccx_archive_queue_due ON ccx_archive_queue (not_before, job_db_id);

CREATE TABLE ccx_change (
  position INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  job_db_id INTEGER NOT NULL,
  cluster TEXT NOT NULL,
  job_id INTEGER NOT NULL,
  start_time INTEGER NOT NULL,
  hpc_user TEXT NOT NULL,
  project TEXT NOT NULL,
  job_state TEXT NOT NULL
);
",
    },
    Step {
        version: 2,
        sql: "
CREATE TABLE ccx_archive_copy (
  job_db_id INTEGER PRIMARY KEY,
  generation INTEGER NOT NULL DEFAULT 1,
  attempts INTEGER NOT NULL DEFAULT 0,
  not_before INTEGER NOT NULL
);
CREATE INDEX ccx_archive_copy_due ON ccx_archive_copy (not_before, job_db_id);
",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn side_tables_have_the_prefix() {
        for step in STEPS {
            for statement in step.sql.split(';').map(str::trim).filter(|text| !text.is_empty()) {
                let name = statement.split_whitespace().nth(2).unwrap();
                assert!(name.starts_with("ccx_"), "{name}");
            }
        }
    }
}
