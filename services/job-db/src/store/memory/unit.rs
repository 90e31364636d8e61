//! The unit of work: a copy of the tables that replaces them at commit.

use std::collections::{BTreeMap, BTreeSet};

use cc_model::{Job, JobKey, JobState, MonitoringStatus, Resource, Tag};

use super::MemoryUnit;
use crate::store::change::Change;
use crate::store::ledger::{Adapter, Dead, Parked, Recorded, Stream, Superseded};
use crate::store::nodes::NodeRow;
use crate::store::{ArchiveResult, DbId, JobHead, Queued, Result, ToCopy, Unit};

impl Unit for MemoryUnit {
    async fn commit(mut self) -> Result<()> {
        *self.committed = self.tables;
        Ok(())
    }

    async fn heads(&mut self, cluster: &str, job_id: i64) -> Result<Vec<JobHead>> {
        let mut heads: Vec<JobHead> = self
            .tables
            .jobs
            .iter()
            .filter(|(_, job)| job.cluster == cluster && job.job_id == job_id)
            .map(|(id, job)| JobHead {
                id: *id,
                start_time: job.start_time,
                state: job.state,
                walltime: job.walltime,
            })
            .collect();
        heads.sort_by_key(|head| head.start_time);
        Ok(heads)
    }

    async fn job(&mut self, id: DbId) -> Result<Option<Job>> {
        Ok(self.tables.jobs.get(&id).cloned())
    }

    async fn job_by_key(&mut self, key: &JobKey) -> Result<Option<Job>> {
        Ok(self.tables.jobs.values().find(|job| job.key() == *key).cloned())
    }

    async fn newest(
        &mut self,
        job_id: i64,
        cluster: Option<&str>,
        start_time: Option<i64>,
    ) -> Result<Option<Job>> {
        let fits = |job: &&Job| {
            job.job_id == job_id
                && cluster.is_none_or(|cluster| cluster == job.cluster)
                && start_time.is_none_or(|time| time == job.start_time)
        };
        Ok(self.tables.jobs.values().rev().find(fits).cloned())
    }

    async fn insert(&mut self, job: &Job) -> Result<DbId> {
        assert!(self.tables.jobs.values().all(|known| known.key() != job.key()), "{} is there", job.key());
        let id = self.tables.jobs.keys().last().copied().unwrap_or_default() + 1;
        let stored = Job {
            id: Some(id),
            tags: Vec::new(),
            statistics: None,
            submit_time: 0,
            requested_memory: 0,
            ..job.clone()
        };
        self.tables.jobs.insert(id, stored);
        Ok(id)
    }

    async fn fill(&mut self, id: DbId, job: &Job) -> Result<()> {
        let row = self.tables.jobs.get_mut(&id).unwrap();
        let resources: Vec<Resource> = job.resources.clone();
        *row = Job {
            partition: job.partition.clone(),
            project: job.project.clone(),
            walltime: job.walltime,
            array_job_id: job.array_job_id,
            num_nodes: job.num_nodes,
            num_hwthreads: job.num_hwthreads,
            num_acc: job.num_acc,
            resources,
            meta_data: job.meta_data.clone(),
            ..row.clone()
        };
        Ok(())
    }

    async fn end(
        &mut self,
        id: DbId,
        state: JobState,
        duration: i32,
        monitoring: MonitoringStatus,
    ) -> Result<()> {
        let row = self.tables.jobs.get_mut(&id).unwrap();
        (row.state, row.duration, row.monitoring_status) = (state, duration, monitoring);
        Ok(())
    }

    async fn archived(&mut self, id: DbId, result: &ArchiveResult) -> Result<()> {
        let row = self.tables.jobs.get_mut(&id).unwrap();
        row.footprint = Some(result.footprint.clone());
        row.energy_footprint = Some(result.energy_footprint.clone());
        (row.energy, row.monitoring_status) = (result.energy, MonitoringStatus::Archived);
        Ok(())
    }

    async fn put_footprint(&mut self, id: DbId, footprint: &BTreeMap<String, f64>) -> Result<()> {
        let row = self.tables.jobs.get_mut(&id).unwrap();
        if row.state.is_running() {
            row.footprint = Some(footprint.clone());
        }
        Ok(())
    }

    async fn monitoring(&mut self, id: DbId, status: MonitoringStatus) -> Result<()> {
        self.tables.jobs.get_mut(&id).unwrap().monitoring_status = status;
        Ok(())
    }

    async fn refresh_durations(&mut self, ids: &[DbId], now: i64) -> Result<()> {
        for id in ids {
            let row = self.tables.jobs.get_mut(id).unwrap();
            if row.state.is_running() {
                row.duration = i32::try_from((now - row.start_time).max(0)).unwrap_or(i32::MAX);
            }
        }
        Ok(())
    }

    async fn drain_buffer(&mut self) -> Result<(Vec<Job>, u64)> {
        let (mut moved, mut known) = (Vec::new(), 0);
        for job in std::mem::take(&mut self.tables.buffer) {
            if self.job_by_key(&job.key()).await?.is_some() {
                known += 1;
                continue;
            }
            let id = self.insert(&job).await?;
            moved.push(self.tables.jobs[&id].clone());
        }
        Ok((moved, known))
    }

    async fn tag(&mut self, kind: &str, name: &str) -> Result<Option<Tag>> {
        Ok(self.tables.tags.values().find(|tag| tag.kind == kind && tag.name == name).cloned())
    }

    async fn insert_tag(&mut self, kind: &str, name: &str, scope: &str) -> Result<i64> {
        let id = self.tables.tags.keys().last().copied().unwrap_or_default() + 1;
        let tag = Tag { id, kind: kind.to_owned(), name: name.to_owned(), scope: scope.to_owned() };
        self.tables.tags.insert(id, tag);
        Ok(id)
    }

    async fn attach(&mut self, job: DbId, tag: i64) -> Result<()> {
        self.tables.attached.insert((job, tag));
        Ok(())
    }

    async fn tag_by_id(&mut self, id: i64) -> Result<Option<Tag>> {
        Ok(self.tables.tags.get(&id).cloned())
    }

    async fn detach(&mut self, job: DbId, tag: i64) -> Result<()> {
        self.tables.attached.remove(&(job, tag));
        Ok(())
    }

    async fn delete_tag(&mut self, tag: i64, now: i64) -> Result<()> {
        let attached = std::mem::take(&mut self.tables.attached).into_iter();
        let (gone, left): (BTreeSet<_>, BTreeSet<_>) = attached.partition(|(_, of)| *of == tag);
        self.tables.attached = left;
        for (job, _) in gone {
            if !self.tables.jobs[&job].state.is_running() {
                self.note_copy(job, now).await?;
            }
        }
        self.tables.tags.remove(&tag);
        Ok(())
    }

    async fn put_metadata(&mut self, id: DbId, metadata: &BTreeMap<String, String>) -> Result<()> {
        self.tables.jobs.get_mut(&id).unwrap().meta_data = Some(metadata.clone());
        Ok(())
    }

    async fn note_copy(&mut self, id: DbId, now: i64) -> Result<()> {
        self.tables.generations += 1;
        let generation = self.tables.generations;
        self.tables.copies.insert(id, (ToCopy { id, generation, attempts: 0 }, now));
        Ok(())
    }

    async fn copied(&mut self, copy: ToCopy) -> Result<()> {
        if self.tables.copies.get(&copy.id).is_some_and(|(known, _)| known.generation == copy.generation) {
            self.tables.copies.remove(&copy.id);
        }
        Ok(())
    }

    async fn defer_copy(&mut self, id: DbId, not_before: i64) -> Result<()> {
        if let Some((copy, due)) = self.tables.copies.get_mut(&id) {
            copy.attempts += 1;
            *due = not_before;
        }
        Ok(())
    }

    async fn delete_job(&mut self, id: DbId) -> Result<bool> {
        self.tables.attached.retain(|(job, _)| *job != id);
        self.tables.queue.remove(&id);
        self.tables.copies.remove(&id);
        self.tables.superseded.remove(&id);
        Ok(self.tables.jobs.remove(&id).is_some())
    }

    async fn tags_of(&mut self, job: DbId) -> Result<Vec<Tag>> {
        let attached = self.tables.attached.iter().filter(|(of, _)| *of == job);
        Ok(attached.map(|(_, tag)| self.tables.tags[tag].clone()).collect())
    }

    async fn enqueue(&mut self, id: DbId, now: i64) -> Result<()> {
        self.tables.generations += 1;
        let generation = self.tables.generations;
        self.tables.queue.insert(id, Queued { id, generation, attempts: 0, not_before: now });
        Ok(())
    }

    async fn queued(&mut self, id: DbId) -> Result<Option<Queued>> {
        Ok(self.tables.queue.get(&id).cloned())
    }

    async fn dequeue(&mut self, id: DbId) -> Result<()> {
        self.tables.queue.remove(&id);
        Ok(())
    }

    async fn defer(&mut self, id: DbId, not_before: i64, _: &str) -> Result<()> {
        if let Some(entry) = self.tables.queue.get_mut(&id) {
            entry.attempts += 1;
            entry.not_before = not_before;
        }
        Ok(())
    }

    async fn adapter(&mut self, adapter_id: &str) -> Result<Option<Adapter>> {
        Ok(self.tables.adapters.get(adapter_id).cloned())
    }

    async fn put_adapter(&mut self, adapter: &Adapter, _: i64) -> Result<()> {
        self.tables.adapters.insert(adapter.adapter_id.clone(), adapter.clone());
        Ok(())
    }

    async fn stream(&mut self, adapter_id: &str, cluster: &str) -> Result<Option<Stream>> {
        Ok(self.tables.streams.get(&(adapter_id.to_owned(), cluster.to_owned())).cloned())
    }

    async fn put_stream(&mut self, stream: &Stream, _: i64) -> Result<()> {
        let key = (stream.adapter_id.clone(), stream.cluster.clone());
        self.tables.streams.insert(key, stream.clone());
        Ok(())
    }

    async fn event(&mut self, event_id: &[u8]) -> Result<Option<Recorded>> {
        Ok(self.tables.events.get(event_id).cloned())
    }

    async fn put_event(&mut self, event_id: &[u8], recorded: &Recorded, _: i64) -> Result<()> {
        self.tables.events.insert(event_id.to_vec(), recorded.clone());
        Ok(())
    }

    async fn put_dead(&mut self, dead: &Dead, _: i64) -> Result<()> {
        self.tables.dead.push(dead.clone());
        Ok(())
    }

    async fn park(&mut self, parked: &Parked) -> Result<()> {
        let next = self.tables.parked.keys().last().copied().unwrap_or_default() + 1;
        let id = if parked.id == 0 { next } else { parked.id };
        self.tables.parked.insert(id, Parked { id, ..parked.clone() });
        Ok(())
    }

    async fn parked(&mut self, after: i64, limit: u32) -> Result<Vec<Parked>> {
        let later = self.tables.parked.range(after + 1..).map(|(_, parked)| parked.clone());
        Ok(later.take(usize::try_from(limit).unwrap()).collect())
    }

    async fn parked_count(&mut self, limit: u32) -> Result<u32> {
        Ok(u32::try_from(self.tables.parked.len()).unwrap().min(limit))
    }

    async fn has_parked(&mut self, key: &JobKey) -> Result<bool> {
        Ok(self.tables.parked.values().any(|parked| parked.key == *key))
    }

    async fn unpark(&mut self, id: i64) -> Result<()> {
        self.tables.parked.remove(&id);
        Ok(())
    }

    async fn supersede(&mut self, superseded: &Superseded) -> Result<()> {
        self.tables.superseded.entry(superseded.id).or_insert_with(|| superseded.clone());
        Ok(())
    }

    async fn unsupersede(&mut self, id: DbId) -> Result<()> {
        self.tables.superseded.remove(&id);
        Ok(())
    }

    async fn superseded_due(&mut self, now: i64, limit: u32) -> Result<Vec<Superseded>> {
        let mut due: Vec<Superseded> =
            self.tables.superseded.values().filter(|mark| mark.close_at <= now).cloned().collect();
        due.sort_by_key(|mark| (mark.close_at, mark.id));
        due.truncate(usize::try_from(limit).unwrap());
        Ok(due)
    }

    async fn prune_ledger(&mut self, _: i64, _: u32) -> Result<()> {
        Ok(())
    }

    async fn put_node(&mut self, node: &NodeRow, now: i64) -> Result<()> {
        self.tables.nodes.push((now, node.clone()));
        Ok(())
    }

    async fn last_position(&mut self) -> Result<u64> {
        Ok(self.tables.changes.keys().last().copied().unwrap_or_default())
    }

    async fn put_change(&mut self, change: &Change) -> Result<()> {
        assert!(self.tables.changes.insert(change.position, change.clone()).is_none(), "position used twice");
        Ok(())
    }

    async fn prune_node_states(&mut self, before: i64, limit: u32) -> Result<u64> {
        let mut left = usize::try_from(limit).unwrap();
        let reports = self.tables.nodes.clone();
        let mut index = 0;
        let former = reports.len();
        self.tables.nodes.retain(|(time, node)| {
            let same = |other: &NodeRow| (&other.cluster, &other.hostname) == (&node.cluster, &node.hostname);
            // of equal times the later one counts
            let newer = reports
                .iter()
                .enumerate()
                .any(|(other, (at, row))| same(row) && (at > time || (at == time && other > index)));
            index += 1;
            let remove = *time < before && newer && left > 0;
            left -= usize::from(remove);
            !remove
        });
        Ok((former - self.tables.nodes.len()) as u64)
    }

    async fn put_tagger_position(&mut self, position: u64) -> Result<()> {
        self.tables.tagger_position = Some(position);
        Ok(())
    }

    async fn prune_changes(&mut self, up_to: u64) -> Result<()> {
        self.tables.changes.retain(|position, _| *position > up_to);
        Ok(())
    }
}
