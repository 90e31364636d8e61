//! From the samples to the series of a job.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    CORE_NODES_MAX,
    fed::{Fed, Slots},
    round2,
    site::{Cluster, Join, Metric, Scope, Sub},
};

/// What of a job decides about its series.
#[derive(Clone, Debug)]
pub struct Job {
    /// Subcluster.
    pub sub_cluster: String,
    /// Unix seconds.
    pub start: i64,
    /// Hosts, each with its hardware threads (none: all) and accelerators.
    hosts: Vec<(String, Vec<u32>, Vec<String>)>,
    accelerators: i64,
}

impl Job {
    /// From the body of `start_job` and the subcluster that its hosts are in.
    pub fn of(body: &Value, sub_cluster: &str) -> Self {
        let resources = body["resources"].as_array().expect("resources");
        let hosts = resources
            .iter()
            .map(|resource| {
                let list = |key: &str| resource[key].as_array().cloned().unwrap_or_default();
                let threads = list("hwthreads")
                    .iter()
                    .map(|id| u32::try_from(id.as_u64().expect("an id")).expect("small"))
                    .collect();
                let accelerators =
                    list("accelerators").iter().map(|id| id.as_str().expect("an id").to_owned()).collect();
                (resource["hostname"].as_str().expect("a host").to_owned(), threads, accelerators)
            })
            .collect();
        Self {
            sub_cluster: sub_cluster.to_owned(),
            start: body["startTime"].as_i64().expect("a start"),
            hosts,
            accelerators: body["numAcc"].as_i64().unwrap_or(0),
        }
    }

    /// The scopes that its archive entry is made of (job-archive.md 12).
    pub fn scopes(&self) -> Vec<Scope> {
        let mut scopes = vec![Scope::Node];
        if self.hosts.len() <= CORE_NODES_MAX {
            scopes.push(Scope::Core);
        }
        if self.accelerators > 0 {
            scopes.push(Scope::Accelerator);
        }
        scopes
    }

    /// How many nodes it has.
    pub fn nodes(&self) -> usize {
        self.hosts.len()
    }
}

/// One series.
#[derive(Clone, Debug)]
pub struct Row {
    /// Host.
    pub host: String,
    /// Part of the host; nothing at node scope.
    pub id: Option<String>,
    /// Values from the start of the job on; NaN is a gap.
    pub values: Vec<f64>,
}

impl Row {
    /// Smallest, mean, largest of what is there.
    pub fn statistics(&self) -> (f64, f64, f64) {
        let known: Vec<f64> = self.values.iter().copied().filter(|value| !value.is_nan()).collect();
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        (
            known.iter().copied().fold(f64::INFINITY, f64::min),
            mean,
            known.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        )
    }
}

/// One metric at one scope.
#[derive(Clone, Debug)]
pub struct Rows {
    /// As in the cluster file.
    pub unit: Value,
    /// Seconds between values.
    pub step: i64,
    /// Series, in the order of the job's hosts.
    pub rows: Vec<Row>,
}

/// Metric and scope → series.
pub type Data = BTreeMap<(String, Scope), Rows>;

/// The series of a job up to `until` at these scopes, each lifted to what the metric can give (metric-store.md 10.1).
pub fn expected(fed: &Fed, cluster: &Cluster, job: &Job, until: i64, scopes: &[Scope]) -> Data {
    let sub = cluster.sub(&job.sub_cluster);
    let mut data = Data::new();
    for metric in cluster.metrics(&job.sub_cluster) {
        let lifted: BTreeSet<Scope> = scopes.iter().map(|scope| metric.scope.max(*scope)).collect();
        for scope in lifted {
            let rows: Vec<Row> = job
                .hosts
                .iter()
                .flat_map(|(host, threads, accelerators)| {
                    let share = Share {
                        sub,
                        threads: if threads.is_empty() { &sub.node } else { threads },
                        accelerators,
                    };
                    share.groups(metric.scope, scope).into_iter().filter_map(|(id, ids)| {
                        let values = values(fed, &cluster.name, metric, host, &ids, (job.start, until))?;
                        Some(Row { host: host.clone(), id: id.filter(|_| scope != Scope::Node), values })
                    })
                })
                .collect();
            if !rows.is_empty() {
                data.insert(
                    (metric.name.clone(), scope),
                    Rows { unit: metric.unit.clone(), step: metric.step, rows },
                );
            }
        }
    }
    data
}

/// Statistics of a job from its node series: mean over nodes of their means, smallest, largest (job-archive.md 12).
pub fn statistics(data: &Data, nodes: usize) -> BTreeMap<String, (f64, f64, f64)> {
    data.iter()
        .filter(|((_, scope), _)| *scope == Scope::Node)
        .map(|((metric, _), rows)| {
            let all: Vec<(f64, f64, f64)> = rows
                .rows
                .iter()
                .map(|row| {
                    let (min, mean, max) = row.statistics();
                    (round2(min), round2(mean), round2(max))
                })
                .collect();
            let mean = round2(all.iter().map(|(_, mean, _)| mean).sum::<f64>() / nodes as f64);
            let min = all.iter().map(|(min, ..)| *min).fold(f64::INFINITY, f64::min);
            let max = all.iter().map(|(.., max)| *max).fold(f64::NEG_INFINITY, f64::max);
            (metric.clone(), (min, mean, max))
        })
        .collect()
}

/// What of a host a job has.
struct Share<'a> {
    sub: &'a Sub,
    threads: &'a [u32],
    accelerators: &'a [String],
}

impl Share<'_> {
    /// The parts at `scope`, each with the ids of the series at `native` scope that make it.
    fn groups(&self, native: Scope, scope: Scope) -> Vec<(Option<String>, Vec<String>)> {
        if native == scope {
            return self.parts(native).into_iter().map(|id| (Some(id.clone()), vec![id])).collect();
        }
        if scope == Scope::Node {
            let ids = self.parts(native);
            return if ids.is_empty() { Vec::new() } else { vec![(None, ids)] };
        }
        // Accelerators belong to no part of the processor.
        if native == Scope::Accelerator {
            return Vec::new();
        }
        let outer = self.list(scope);
        self.touched(scope)
            .into_iter()
            .map(|number| {
                let inside = Share { threads: &outer[number], ..*self };
                (Some(number.to_string()), inside.parts(native))
            })
            .collect()
    }

    /// Ids of the parts of a scope that the job touches.
    fn parts(&self, scope: Scope) -> Vec<String> {
        match scope {
            Scope::Node => vec![String::new()],
            Scope::Accelerator => self.accelerators.to_vec(),
            Scope::HwThread => {
                let sorted: BTreeSet<u32> = self.threads.iter().copied().collect();
                sorted.iter().map(u32::to_string).collect()
            }
            Scope::Core | Scope::MemoryDomain | Scope::Socket => {
                self.touched(scope).iter().map(usize::to_string).collect()
            }
        }
    }

    fn touched(&self, scope: Scope) -> Vec<usize> {
        let touches = |group: &Vec<u32>| group.iter().any(|thread| self.threads.contains(thread));
        self.list(scope)
            .iter()
            .enumerate()
            .filter(|(_, group)| touches(group))
            .map(|(number, _)| number)
            .collect()
    }

    fn list(&self, scope: Scope) -> &[Vec<u32>] {
        match scope {
            Scope::Core => &self.sub.cores,
            Scope::MemoryDomain => &self.sub.domains,
            Scope::Socket => &self.sub.sockets,
            Scope::Node | Scope::HwThread | Scope::Accelerator => &[],
        }
    }
}

/// Joined values of the series of these parts from `from` up to `until`; nothing where none of them has a sample in between.
fn values(
    fed: &Fed,
    cluster: &str,
    metric: &Metric,
    host: &str,
    ids: &[String],
    (from, until): (i64, i64),
) -> Option<Vec<f64>> {
    let step = metric.step;
    let tracks: Vec<Slots> = ids
        .iter()
        .flat_map(|id| fed.of(cluster, host, &metric.name, metric.scope.name(), id))
        .map(|track| track.slots(step))
        .collect();
    let last = tracks.iter().map(Slots::last).max()?;
    assert!(tracks.len() == 1 || metric.join != Join::Never, "{} cannot be joined", metric.name);
    // A point belongs to the last sample up to halfway to the next slot; what follows is not there yet.
    let end = until.min(last + step - step / 2);
    let points = (end - from + step - 1).div_euclid(step).max(0);
    let values: Vec<f64> = (0..points)
        .map(|point| {
            let sum: f64 = tracks.iter().map(|track| track.at(from + point * step)).sum();
            if metric.join == Join::Mean { sum / tracks.len() as f64 } else { sum }
        })
        .collect();
    values.iter().any(|value| !value.is_nan()).then_some(values)
}
