//! Which rows match, in which order, as loops over all of them.

use std::collections::BTreeMap;

use cc_model::Job;

use super::Tables;
use crate::store::query::{
    Filter, IntColumn, NumberOp, Order, SortColumn, SortKey, Term, TextColumn, TextOp,
};
use crate::store::visible::{TagScopes, Visible};
use crate::store::{Load, Metadata};

impl Tables {
    pub(super) fn matching(&self, visible: &Visible, filters: &[Filter]) -> Vec<Job> {
        let terms: Vec<&Term> = filters.iter().flat_map(|filter| &filter.terms).collect();
        self.jobs
            .values()
            .filter(|job| visible.allows(job) && terms.iter().all(|term| self.holds(term, job)))
            .cloned()
            .collect()
    }

    pub(super) fn shown(&self, mut job: Job, scopes: &TagScopes, load: Load, now: i64) -> Job {
        let id = job.id.unwrap();
        job.tags.clear();
        if load.tags {
            let attached = self.attached.iter().filter(|(job, _)| *job == id).map(|(_, tag)| &self.tags[tag]);
            job.tags = attached.filter(|tag| scopes.allows(&tag.scope)).cloned().collect();
        }
        match load.metadata {
            Metadata::All => {}
            Metadata::None => job.meta_data = None,
            Metadata::JobName => {
                let name = job.meta_data.take().and_then(|mut map| map.remove("jobName"));
                job.meta_data = name.map(|name| BTreeMap::from([("jobName".to_owned(), name)]));
            }
        }
        if job.state.is_running() {
            job.duration = i32::try_from((now - job.start_time).max(0)).unwrap_or(i32::MAX);
        }
        job
    }

    fn holds(&self, term: &Term, job: &Job) -> bool {
        let name = job.meta_data.as_ref().and_then(|map| map.get("jobName"));
        match term {
            Term::Nothing => false,
            Term::DbId(ids) => ids.contains(&job.id.unwrap()),
            Term::JobId(op) => match op {
                NumberOp::Eq(number) => job.job_id == *number,
                NumberOp::Neq(number) => job.job_id != *number,
                NumberOp::In(numbers) => numbers.contains(&job.job_id),
                NumberOp::Like(op) => text(op, &job.job_id.to_string()),
                NumberOp::Any => true,
            },
            Term::ArrayJobId(id) => job.array_job_id == *id,
            Term::Text(column, op) => text(op, text_column(*column, job)),
            Term::JobName(op) => name.is_some_and(|name| text(op, name)),
            Term::Int(column, bounds) => bounds.contains(int_column(*column, job)),
            Term::Energy(bounds) => bounds.contains(job.energy),
            Term::StartTime(bounds) => bounds.contains(job.start_time),
            Term::State(states) => states.contains(&job.state),
            Term::Shared(shared) => job.shared == *shared,
            Term::Interactive(wanted) => name.is_some_and(|name| (name == "interactive") == *wanted),
            Term::Tags(tags) => tags.iter().any(|tag| self.attached.contains(&(job.id.unwrap(), *tag))),
            Term::Node(op) => job.resources.iter().any(|resource| text(op, &resource.hostname)),
            Term::Metric(key, bounds) => {
                let value = job.footprint.as_ref().and_then(|map| map.get(key.as_str()));
                value.is_some_and(|value| bounds.contains(*value))
            }
        }
    }
}

fn text_column(column: TextColumn, job: &Job) -> &str {
    match column {
        TextColumn::User => &job.user,
        TextColumn::Project => &job.project,
        TextColumn::Cluster => &job.cluster,
        TextColumn::SubCluster => &job.sub_cluster,
        TextColumn::Partition => &job.partition,
    }
}

fn int_column(column: IntColumn, job: &Job) -> i64 {
    i64::from(match column {
        IntColumn::Duration => job.duration,
        IntColumn::NumNodes => job.num_nodes,
        IntColumn::NumAcc => job.num_acc,
        IntColumn::NumHwthreads => job.num_hwthreads,
    })
}

fn text(op: &TextOp, value: &str) -> bool {
    match op {
        TextOp::Eq(text) => value == text,
        TextOp::Neq(text) => value != text,
        TextOp::StartsWith(text) => like(&format!("{text}%"), value),
        TextOp::EndsWith(text) => like(&format!("%{text}"), value),
        TextOp::Contains(text) => like(&format!("%{text}%"), value),
        TextOp::In(texts) => texts.iter().any(|text| text == value),
    }
}

/// LIKE by the definition: `%` any text, `_` one character, ASCII letters without case.
fn like(pattern: &str, value: &str) -> bool {
    fn step(pattern: &[char], value: &[char]) -> bool {
        match pattern.split_first() {
            None => value.is_empty(),
            Some(('%', rest)) => (0..=value.len()).any(|skip| step(rest, &value[skip..])),
            Some(('_', rest)) => !value.is_empty() && step(rest, &value[1..]),
            Some((wanted, rest)) => {
                value.first().is_some_and(|found| found.eq_ignore_ascii_case(wanted))
                    && step(rest, &value[1..])
            }
        }
    }
    let (pattern, value): (Vec<char>, Vec<char>) = (pattern.chars().collect(), value.chars().collect());
    step(&pattern, &value)
}

/// A sort value; absent ones come lowest.
#[derive(Debug, PartialEq, PartialOrd)]
enum Value {
    Absent,
    Number(f64),
    Whole(i64),
    Text(String),
}

pub(super) fn sort(jobs: &mut [Job], order: Option<&Order>) {
    let Some(order) = order else { return };
    jobs.sort_by(|one, other| {
        let by_value = value(one, &order.key).partial_cmp(&value(other, &order.key)).unwrap();
        let ordering = by_value.then(one.id.cmp(&other.id));
        if order.descending { ordering.reverse() } else { ordering }
    });
}

fn value(job: &Job, key: &SortKey) -> Value {
    let whole = |number: i32| Value::Whole(i64::from(number));
    match key {
        SortKey::Any => Value::Absent,
        SortKey::Footprint(key) => {
            let value = job.footprint.as_ref().and_then(|map| map.get(key.as_str()));
            value.map_or(Value::Absent, |value| Value::Number(*value))
        }
        SortKey::Column(column) => match column {
            SortColumn::Id => Value::Whole(job.id.unwrap()),
            SortColumn::JobId => Value::Whole(job.job_id),
            SortColumn::User => Value::Text(job.user.clone()),
            SortColumn::Project => Value::Text(job.project.clone()),
            SortColumn::Cluster => Value::Text(job.cluster.clone()),
            SortColumn::SubCluster => Value::Text(job.sub_cluster.clone()),
            SortColumn::StartTime => Value::Whole(job.start_time),
            SortColumn::Partition => Value::Text(job.partition.clone()),
            SortColumn::ArrayJobId => Value::Whole(job.array_job_id),
            SortColumn::NumNodes => whole(job.num_nodes),
            SortColumn::NumHwthreads => whole(job.num_hwthreads),
            SortColumn::NumAcc => whole(job.num_acc),
            SortColumn::Duration => whole(job.duration),
            SortColumn::Walltime => Value::Whole(job.walltime),
            SortColumn::Energy => Value::Number(job.energy),
            SortColumn::State => Value::Text(job.state.as_str().to_owned()),
            SortColumn::Shared => Value::Text(job.shared.as_str().to_owned()),
            SortColumn::Smt => whole(job.smt),
            SortColumn::MonitoringStatus => whole(job.monitoring_status.code()),
            SortColumn::SubmitTime => Value::Whole(0),
        },
    }
}
