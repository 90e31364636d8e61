//! What jobs look like in their metrics: well-behaved ones and the usual faults.

use std::fmt::Write as _;

use super::{Dice, clusters::Cluster};

/// A kind of job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Busy cores, high flop rate.
    Compute,
    /// Limited by memory bandwidth.
    Bandwidth,
    /// Phases of work and of writing.
    Phases,
    /// All GPUs busy.
    GpuBusy,
    /// Three of four GPUs idle.
    GpuIdle,
    /// Memory grows until the node is full.
    Leak,
    /// One node works, the others wait.
    Imbalance,
    /// The clock falls after a while.
    Throttled,
    /// One core of a node works.
    Serial,
    /// Ends after seconds.
    Short,
    /// Breaks off.
    Failed,
}

/// One host of a job at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Seconds since the start.
    pub since: i64,
    /// Length of the job, or the time so far.
    pub length: i64,
    /// Which host of the job.
    pub host: usize,
    /// How many hosts it has.
    pub hosts: usize,
}

/// Load per core, flops, bandwidth, memory share and clock of a moment.
#[derive(Clone, Copy, Debug)]
struct Level {
    load: f64,
    flops: f64,
    bandwidth: f64,
    memory: f64,
    clock: f64,
    write: f64,
    network: f64,
}

impl Shape {
    fn level(self, moment: Moment) -> Level {
        let done = moment.since as f64 / moment.length.max(1) as f64;
        let multi = if moment.hosts > 1 { 1.0 } else { 0.0 };
        let work = Level {
            load: 0.98,
            flops: 14.0,
            bandwidth: 35.0,
            memory: 0.35,
            clock: 2900.0,
            write: 4.0,
            network: 400.0 * multi,
        };
        match self {
            Self::Compute | Self::Failed => work,
            Self::Bandwidth => Level { flops: 3.0, bandwidth: 140.0, clock: 2750.0, ..work },
            Self::Phases => {
                if moment.since % 900 > 720 {
                    Level {
                        load: 0.12,
                        flops: 0.4,
                        bandwidth: 6.0,
                        write: 900.0,
                        clock: 3300.0,
                        network: 30.0 * multi,
                        ..work
                    }
                } else {
                    work
                }
            }
            Self::GpuBusy => Level { load: 0.25, flops: 1.2, bandwidth: 20.0, ..work },
            Self::GpuIdle => Level { load: 0.2, flops: 0.8, bandwidth: 12.0, ..work },
            Self::Leak => Level { memory: 0.15 + 0.84 * done.min(1.0), ..work },
            Self::Imbalance if moment.host == 0 => work,
            Self::Imbalance => Level { load: 0.04, flops: 0.1, bandwidth: 1.0, network: 5.0, ..work },
            Self::Throttled => {
                let clock = if done > 0.3 { 1400.0 } else { 2900.0 };
                Level { flops: 14.0 * clock / 2900.0, bandwidth: 35.0 * clock / 2900.0, clock, ..work }
            }
            Self::Serial => {
                Level { load: 1.0 / 32.0, flops: 0.3, bandwidth: 4.0, memory: 0.05, clock: 3400.0, ..work }
            }
            Self::Short => Level { load: 0.5, flops: 2.0, bandwidth: 10.0, ..work },
        }
    }

    fn gpu(self, index: usize, dice: &mut Dice) -> (f64, f64, f64) {
        match self {
            Self::GpuBusy => (92.0 + 6.0 * dice.unit(), 31.0 + dice.unit(), 340.0 + 25.0 * dice.unit()),
            Self::GpuIdle if index > 0 => (0.0, 0.4, 52.0 + dice.unit()),
            _ => (70.0 + 20.0 * dice.unit(), 18.0 + dice.unit(), 260.0 + 20.0 * dice.unit()),
        }
    }
}

/// Line protocol of one host of a job at `time`.
pub fn lines(
    text: &mut String,
    cluster: &Cluster,
    shape: Shape,
    moment: Moment,
    host: &str,
    job: u64,
    time: i64,
) {
    let mut dice = Dice::new(job ^ (time as u64).rotate_left(17) ^ (moment.host as u64).rotate_left(43));
    let level = shape.level(moment);
    let threads = cluster.hwthreads;
    let head = format!("cluster={},hostname={host}", cluster.name);
    let noise = |dice: &mut Dice, share: f64| 1.0 + share * (dice.unit() - 0.5);
    let mut put = |name: &str, kind: &str, value: f64| {
        writeln!(text, "{name},{head},{kind} value={value:.2} {time}").expect("writing to a string");
    };
    put("cpu_load", "type=node", level.load * threads as f64 * noise(&mut dice, 0.04));
    put("mem_used", "type=node", level.memory * cluster.memory_gb * noise(&mut dice, 0.01));
    put("ib_recv", "type=node", level.network * noise(&mut dice, 0.3));
    put("file_write", "type=node", level.write * noise(&mut dice, 0.6));
    for socket in 0..2 {
        let kind = format!("type=socket,type-id={socket}");
        put("mem_bw", &kind, level.bandwidth * noise(&mut dice, 0.1));
        put("clock", &kind, level.clock * noise(&mut dice, 0.02));
        put("cpu_power", &kind, (60.0 + 110.0 * level.load * level.clock / 2900.0) * noise(&mut dice, 0.05));
    }
    for thread in 0..threads {
        let kind = format!("type=hwthread,type-id={thread}");
        // A serial job has its one busy core.
        let (user, flops) = if shape == Shape::Serial {
            if thread == 0 { (99.0, level.flops) } else { (0.2, 0.0) }
        } else {
            (level.load * 100.0, level.flops)
        };
        put("cpu_user", &kind, (user * noise(&mut dice, 0.03)).min(100.0));
        put("flops_any", &kind, flops * noise(&mut dice, 0.1));
    }
    for gpu in 0..cluster.gpus {
        let kind = format!("type=accelerator,type-id={}", Cluster::gpu(gpu));
        let (utilization, memory, power) = shape.gpu(gpu, &mut dice);
        put("acc_utilization", &kind, utilization);
        put("acc_mem_used", &kind, memory);
        put("acc_power", &kind, power);
    }
}
