//! Statistics by their definition (spec/job-db.md 9): one pass over the jobs per figure, nothing shared with the
//! arithmetic of the database.

use std::collections::{BTreeMap, BTreeSet};

use cc_model::Job;

use crate::store::query::IntColumn;
use crate::store::statistics::{Found, GroupColumn, Question, Sums};

pub(super) fn statistics(jobs: &[Job], question: &Question, now: i64) -> Found {
    let key = |job: &Job| match question.group {
        None => String::new(),
        Some(GroupColumn::User) => job.user.clone(),
        Some(GroupColumn::Project) => job.project.clone(),
        Some(GroupColumn::Cluster) => job.cluster.clone(),
        Some(GroupColumn::SubCluster) => job.sub_cluster.clone(),
    };
    let mut by_key: BTreeMap<String, Vec<&Job>> = BTreeMap::new();
    if question.group.is_none() {
        by_key.insert(String::new(), Vec::new());
    }
    for job in jobs {
        by_key.entry(key(job)).or_default().push(job);
    }
    let length = |job: &Job| {
        if job.state.is_running() { (now - job.start_time).max(0) } else { i64::from(job.duration) }
    };
    let sum = |jobs: &[&Job], of: &dyn Fn(&Job) -> i64| -> i128 {
        jobs.iter().map(|job| i128::from(of(job))).sum()
    };
    let sums = |jobs: &[&Job]| Sums {
        jobs: jobs.len() as u64,
        running: jobs.iter().filter(|job| job.state.is_running()).count() as u64,
        short: jobs.iter().filter(|job| i64::from(job.duration) < question.short_below).count() as u64,
        users: if question.users {
            jobs.iter().map(|job| &job.user).collect::<BTreeSet<_>>().len() as u64
        } else {
            0
        },
        seconds: sum(jobs, &length),
        nodes: sum(jobs, &|job| job.num_nodes.into()),
        node_seconds: sum(jobs, &|job| length(job) * i64::from(job.num_nodes)),
        hwthreads: sum(jobs, &|job| job.num_hwthreads.into()),
        hwthread_seconds: sum(jobs, &|job| length(job) * i64::from(job.num_hwthreads)),
        accs: sum(jobs, &|job| job.num_acc.into()),
        acc_seconds: sum(jobs, &|job| length(job) * i64::from(job.num_acc)),
    };
    let in_bins = |bins: usize, bin: &dyn Fn(&Job) -> Option<usize>| -> Vec<u64> {
        (0..bins).map(|wanted| jobs.iter().filter(|job| bin(job) == Some(wanted)).count() as u64).collect()
    };
    let value = |column: IntColumn, job: &Job| {
        i64::from(match column {
            IntColumn::Duration => job.duration,
            IntColumn::NumNodes => job.num_nodes,
            IntColumn::NumAcc => job.num_acc,
            IntColumn::NumHwthreads => job.num_hwthreads,
        })
    };
    let by_value = |column: &IntColumn| {
        let mut counts = BTreeMap::new();
        for job in jobs {
            *counts.entry(value(*column, job)).or_default() += 1;
        }
        counts
    };
    Found {
        groups: by_key.iter().map(|(key, jobs)| (key.clone(), sums(jobs))).collect(),
        durations: question
            .durations
            .map(|bins| in_bins(bins.bins, &|job| bins.bin(length(job))))
            .unwrap_or_default(),
        values: question.values.iter().map(by_value).collect(),
        metrics: question
            .metrics
            .iter()
            .map(|bins| {
                let value = |job: &Job| job.footprint.as_ref()?.get(bins.key.as_str()).copied();
                in_bins(bins.bins, &|job| bins.bin(value(job)?))
            })
            .collect(),
    }
}
