//! Reading back what a shard has on disk: the newest whole checkpoint, the log behind it, and what was logged meanwhile.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::checkpoint;
use crate::host::{ColumnId, HostData, HostKey, SeriesKey};
use crate::log::record::{ColumnOf, Record};
use crate::log::segment::{self, HEADER_BYTES};
use crate::names::MetricNames;
use crate::reference::import::{self, ImportReport};
use crate::shard::Shard;
use crate::wire::{Frames, Next};

/// The last catch-up happens with writers waiting; it begins when less than this is left to read.
const CATCH_UP_BYTES: u64 = 1 << 20;

/// What was found, for the log and the metrics.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LoadReport {
    /// Hosts with samples.
    pub(crate) hosts: usize,
    /// Samples replayed from the log.
    pub(crate) replayed: u64,
    /// Bytes of log read.
    pub(crate) log_bytes: u64,
    /// Segments that end within a record, and how many bytes of each cannot be read.
    pub(crate) cut: Vec<(PathBuf, u64)>,
    /// Checkpoints that are damaged; they were renamed.
    pub(crate) damaged: Vec<PathBuf>,
    /// What the reference's files held.
    pub(crate) imported: ImportReport,
}

/// Why a shard cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {}", path.display())]
pub(crate) struct LoadError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> LoadError + '_ {
    |source| LoadError { path: path.to_owned(), source }
}

/// Hosts as they are put together from files.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    hosts: Vec<(HostKey, HostData)>,
    numbers: HashMap<(String, String), usize>,
}

impl Restored {
    /// The number of a host here; its blocks are shifted by `stagger`.
    pub(crate) fn host(&mut self, cluster: &str, host: &str, stagger: i64) -> usize {
        let name = (cluster.to_owned(), host.to_owned());
        if let Some(&number) = self.numbers.get(&name) {
            return number;
        }
        let key = HostKey { cluster: cluster.into(), host: host.into() };
        self.hosts.push((key, HostData::new(stagger)));
        self.numbers.insert(name, self.hosts.len() - 1);
        self.hosts.len() - 1
    }

    /// The number of a host here, if there is one.
    pub(crate) fn find(&self, cluster: &str, host: &str) -> Option<usize> {
        self.numbers.get(&(cluster.to_owned(), host.to_owned())).copied()
    }

    /// A host's data.
    pub(crate) fn data(&mut self, number: usize) -> Option<&mut HostData> {
        self.hosts.get_mut(number).map(|(_, data)| data)
    }
}

/// The column of a series that a file names.
pub(crate) fn column(data: &mut HostData, names: &MetricNames, column: ColumnOf<'_>) -> ColumnId {
    let ColumnOf { metric, interval, component, sub_component } = column;
    data.column(SeriesKey { metric: names.number(metric), interval, component, sub_component })
}

/// Replays one segment, possibly in several goes.
#[derive(Debug)]
struct Replay {
    number: u64,
    path: PathBuf,
    offset: u64,
    /// By the segment's host numbers: the host here, and its columns by the segment's numbers.
    hosts: Vec<(usize, Vec<ColumnId>)>,
}

impl Replay {
    fn new(shard: &Shard, number: u64) -> Self {
        Self { number, path: segment::path(&shard.directory, number), offset: 0, hosts: Vec::new() }
    }

    /// Reads on, up to `end` or as far as whole records go. Returns the number of samples.
    fn read(
        &mut self,
        shard: u32,
        end: u64,
        into: &mut Restored,
        names: &MetricNames,
        now: i64,
    ) -> io::Result<u64> {
        let mut file = BufReader::with_capacity(1 << 18, File::open(&self.path)?);
        if self.offset == 0 {
            if !segment::check_header(&mut file, shard, self.number)? {
                return Ok(0);
            }
            self.offset = HEADER_BYTES as u64;
        } else {
            file.seek(SeekFrom::Start(self.offset))?;
        }
        let start = self.offset;
        let mut frames = Frames::new(file.take(end.saturating_sub(start)));
        let mut samples = 0;
        while let Next::Frame(payload) = frames.next()? {
            let Some(count) = self.record(payload, into, names, now) else { break };
            samples += count;
            self.offset = start + frames.read;
        }
        Ok(samples)
    }

    /// Applies one record; `None` if it is none of ours.
    fn record(&mut self, payload: &[u8], into: &mut Restored, names: &MetricNames, now: i64) -> Option<u64> {
        let mut record = Record::read(payload)?;
        if let Some((cluster, host)) = record.names {
            // Hosts are numbered in the order in which they appear.
            if record.host as usize != self.hosts.len() {
                return None;
            }
            let number = into.host(cluster, host, crate::host::stagger(cluster, host));
            self.hosts.push((number, Vec::new()));
        }
        let (host, columns) = self.hosts.get_mut(record.host as usize)?;
        let data = into.data(*host)?;
        if record.first_column().is_some_and(|first| first as usize != columns.len()) {
            return None;
        }
        while let Some(defined) = record.next_column().ok()? {
            columns.push(column(data, names, defined));
        }
        if let Some(freed) = record.freed {
            data.free(freed);
        }
        let mut samples = record.samples()?;
        let mut count = 0;
        while let Some(sample) = samples.next_sample().ok()? {
            let column = *columns.get(sample.column as usize)?;
            if sample.value.is_finite() {
                data.write(column, sample.time, sample.value, now);
                count += 1;
            }
        }
        Some(count)
    }
}

impl Shard {
    /// Reads everything that the shard has on disk, then what was logged since the process started, and makes it the shard's memory.
    /// The reference's files come behind our own, before what this process takes: the newest writer wins. Blocks; batches are taken
    /// meanwhile, except for a moment at the end.
    pub(crate) fn load(&self, context: &import::Context<'_>) -> Result<LoadReport, LoadError> {
        let (names, now) = (context.names, context.now);
        let mut report = LoadReport::default();
        let mut restored = Restored::default();
        let listing = segment::list(&self.directory).map_err(failed(&self.directory))?;
        let mut covered = 0;
        for &number in listing.checkpoints.iter().rev() {
            let path = segment::checkpoint_path(&self.directory, number);
            let mut candidate = Restored::default();
            if checkpoint::read(&path, self.number, number, &mut candidate, names).map_err(failed(&path))? {
                (restored, covered) = (candidate, number);
                break;
            }
            let aside = path.with_extension("ccs.corrupt");
            // If it cannot be renamed it is found damaged again at the next start.
            let renamed = std::fs::rename(&path, &aside).is_ok();
            report.damaged.push(if renamed { aside } else { path });
        }
        // Segments of this process are numbered behind those that were there at the start.
        let mut live: Vec<Replay> = Vec::new();
        let first_live = self.log().first_number();
        for &number in listing.segments.iter().filter(|number| **number > covered && **number < first_live) {
            let mut replay = Replay::new(self, number);
            let end = std::fs::metadata(&replay.path).map_err(failed(&replay.path))?.len();
            self.replay(&mut replay, end, &mut restored, names, now, &mut report)?;
            let lost = end.saturating_sub(replay.offset);
            if lost > 0 {
                report.cut.push((replay.path, lost));
            }
        }
        // What a damaged checkpoint held may lie in the reference's directory as well.
        let context = import::Context { own_lost: !report.damaged.is_empty(), ..*context };
        report.imported = import::import(&context, &mut self.imported(), &mut restored);
        let mut read = 0;
        loop {
            let numbers = self.log().numbers_written();
            let before = read;
            self.catch_up(&mut live, numbers, &mut restored, names, now, &mut report)?;
            read = live.iter().map(|replay| replay.offset).sum();
            if read - before < CATCH_UP_BYTES {
                break;
            }
        }
        let mut log = self.log();
        let numbers = log.numbers_written();
        self.catch_up(&mut live, numbers, &mut restored, names, now, &mut report)?;
        log.add_bytes(report.log_bytes);
        log.forget_closed();
        report.hosts = self.take_over(restored);
        self.set_loaded();
        Ok(report)
    }

    fn catch_up(
        &self,
        live: &mut Vec<Replay>,
        numbers: Vec<(u64, u64)>,
        into: &mut Restored,
        names: &MetricNames,
        now: i64,
        report: &mut LoadReport,
    ) -> Result<(), LoadError> {
        for (number, end) in numbers {
            if live.iter().all(|replay| replay.number != number) {
                live.push(Replay::new(self, number));
            }
            if let Some(replay) = live.iter_mut().find(|replay| replay.number == number) {
                self.replay(replay, end, into, names, now, report)?;
            }
        }
        Ok(())
    }

    fn replay(
        &self,
        replay: &mut Replay,
        end: u64,
        into: &mut Restored,
        names: &MetricNames,
        now: i64,
        report: &mut LoadReport,
    ) -> Result<(), LoadError> {
        let before = replay.offset;
        let result = replay.read(self.number, end, into, names, now);
        report.replayed += result.map_err(failed(&replay.path))?;
        report.log_bytes += replay.offset - before;
        Ok(())
    }

    /// Makes restored hosts this shard's; returns how many have samples.
    fn take_over(&self, restored: Restored) -> usize {
        let mut count = 0;
        for (key, data) in restored.hosts {
            let host = self.host_or_new(&key.cluster, &key.host);
            let mut live = host.data();
            live.adopt(data);
            count += usize::from(live.has_samples());
            self.account(&mut live);
        }
        count
    }
}
