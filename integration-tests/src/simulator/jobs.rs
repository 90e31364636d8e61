//! Jobs by id: who, what kind, how long.

use serde_json::{Value, json};

use super::{
    Dice,
    clusters::{AURORA, Cluster, NOVA},
    people::{USERS, project_of},
    shapes::Shape,
};

/// What follows from a job's id.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Scheduler id.
    pub id: u64,
    /// Cluster.
    pub cluster: Cluster,
    /// Owner.
    pub user: &'static str,
    /// Project.
    pub project: &'static str,
    /// Number of nodes.
    pub nodes: usize,
    /// Run time in seconds.
    pub duration: i64,
    /// Wall time asked for, seconds.
    pub walltime: i64,
    /// How it behaves.
    pub shape: Shape,
    /// Job name.
    pub name: String,
}

const CPU_SHAPES: &[Shape] = &[
    Shape::Compute,
    Shape::Compute,
    Shape::Bandwidth,
    Shape::Phases,
    Shape::Compute,
    Shape::Leak,
    Shape::Imbalance,
    Shape::Throttled,
    Shape::Serial,
    Shape::Short,
    Shape::Failed,
    Shape::Bandwidth,
];
const GPU_SHAPES: &[Shape] =
    &[Shape::GpuBusy, Shape::GpuBusy, Shape::GpuIdle, Shape::GpuBusy, Shape::Leak, Shape::Short];
const PROGRAMS: &[&str] =
    &["gromacs", "openfoam", "vasp", "cp2k", "icon", "lammps", "namd", "quantum-espresso", "wrf", "palabos"];
const GPU_PROGRAMS: &[&str] = &["train-llm", "finetune", "alphafold", "gromacs-gpu", "resnet", "diffusion"];

impl Plan {
    /// The plan of a job id.
    pub fn of(id: u64) -> Self {
        let mut dice = Dice::new(id);
        let cluster = if dice.range(0, 9) < 6 { AURORA } else { NOVA };
        let gpu = cluster.gpus > 0;
        let shape = *dice.pick(if gpu { GPU_SHAPES } else { CPU_SHAPES });
        let user = (dice.unit() * dice.unit() * USERS.len() as f64) as usize;
        let nodes = match shape {
            Shape::Serial | Shape::Short => 1,
            Shape::Imbalance => *dice.pick(&[2, 4, 8]),
            _ if gpu => *dice.pick(&[1, 1, 1, 2, 4]),
            _ => *dice.pick(&[1, 1, 2, 2, 4, 8, 16]),
        };
        let duration = match shape {
            Shape::Short => dice.range(20, 170),
            Shape::Failed => dice.range(300, 2_400),
            _ if nodes > 4 => dice.range(1_200, 4_800),
            _ => dice.range(1_200, 12_000),
        };
        let walltime = *dice.pick(&[7_200, 14_400, 43_200, 86_400]);
        let program = *dice.pick(if gpu { GPU_PROGRAMS } else { PROGRAMS });
        let name = format!("{program}-{}", dice.range(1, 40));
        Self {
            id,
            cluster,
            user: USERS[user],
            project: project_of(user, dice.roll()),
            nodes,
            duration: duration.min(walltime),
            walltime,
            shape,
            name,
        }
    }

    /// State at the end.
    pub fn state(&self) -> &'static str {
        match self.shape {
            Shape::Leak => "out_of_memory",
            Shape::Failed => "failed",
            _ if self.duration == self.walltime => "timeout",
            _ if self.id.is_multiple_of(17) => "cancelled",
            _ => "completed",
        }
    }

    /// Body of `start_job`.
    pub fn start(&self, hosts: &[String], start: i64) -> Value {
        let threads: Vec<usize> = (0..self.cluster.hwthreads).collect();
        let gpus: Vec<String> = (0..self.cluster.gpus).map(Cluster::gpu).collect();
        let resources: Vec<Value> = hosts
            .iter()
            .map(|host| {
                let mut resource = json!({"hostname": host, "hwthreads": threads});
                if !gpus.is_empty() {
                    resource["accelerators"] = json!(gpus);
                }
                resource
            })
            .collect();
        let script = format!(
            "#!/bin/bash\n#SBATCH --job-name={}\n#SBATCH --nodes={}\n#SBATCH --time={:02}:{:02}:00\nmodule load {}\nsrun ./{}\n",
            self.name,
            self.nodes,
            self.walltime / 3600,
            self.walltime % 3600 / 60,
            self.name.rsplit_once('-').map_or(self.name.as_str(), |(program, _)| program),
            self.name
        );
        json!({
            "jobId": self.id, "cluster": self.cluster.name, "user": self.user, "project": self.project,
            "partition": self.cluster.partition, "numNodes": self.nodes, "numHwthreads": self.nodes * self.cluster.hwthreads,
            "numAcc": self.nodes * self.cluster.gpus, "walltime": self.walltime, "startTime": start, "shared": "none", "smt": 1,
            "resources": resources,
            "metaData": {"jobName": self.name, "jobScript": script,
                         "slurmInfo": format!("JobId={} JobName={} UserId={} Account={}", self.id, self.name, self.user, self.project)}
        })
    }

    /// Body of `stop_job`.
    pub fn stop(&self, start: i64) -> Value {
        json!({"jobId": self.id, "cluster": self.cluster.name, "startTime": start, "stopTime": start + self.duration, "jobState": self.state()})
    }
}
