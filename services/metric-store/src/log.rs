//! The log of one shard: every sample is in it before its sender hears that it was taken (architecture.md 8).
//!
//! It is a sequence of numbered segment files that are only appended to, by `write()` before the answer. A segment is closed when it
//! is large or when a checkpoint begins; segments up to N are deleted only when a checkpoint that holds all of them is durable, so at
//! no moment a sample is in neither (product.md B1). A start never appends to an old segment: a torn end stays where it is.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Appended, Disk};
use crate::host::{HostData, HostKey};
use crate::names::MetricNames;
use crate::wire::{self, FRAME_HEADER};

pub(crate) mod record;
pub(crate) mod segment;

use self::record::{ColumnOf, Freed, Sample};

/// A segment is closed when it is longer.
const SEGMENT_BYTES: u64 = 64 << 20;

/// Columns that one record defines at most.
const DEFINED_MAX: u32 = 10_000;

/// When samples are made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// At most a second after the answer: a killed process loses nothing, a power cut that second.
    #[default]
    Background,
    /// Before the answer: a power cut loses nothing either.
    Sync,
}

/// Files that hold bytes which may not be on the disk yet.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    /// To be synced.
    pub(crate) files: Vec<Arc<dyn Appended>>,
    /// Whether a file was made.
    pub(crate) directory: bool,
}

/// See the module's description. Lives behind the shard's lock.
#[derive(Debug)]
pub(crate) struct ShardLog {
    directory: PathBuf,
    shard: u32,
    disk: Arc<dyn Disk>,
    durability: Durability,
    open: Option<Open>,
    /// Number of the first segment of this process.
    first: u64,
    /// Number of the next segment.
    next: u64,
    /// Segments that this process closed, and their lengths, while history is still loading.
    closed: Vec<(u64, u64)>,
    /// Closed or not, written since the last sync.
    unsynced: Unsynced,
    /// Bytes written since the last checkpoint began.
    bytes: u64,
    /// Bytes of the last checkpoint.
    checkpoint_bytes: u64,
    checkpoint_wanted: bool,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    number: u64,
    file: Arc<dyn Appended>,
    length: u64,
    dirty: bool,
    hosts: u32,
}

impl ShardLog {
    /// A log that begins with segment `next` when the first sample comes.
    pub(crate) fn new(
        directory: &Path,
        shard: u32,
        next: u64,
        disk: Arc<dyn Disk>,
        durability: Durability,
    ) -> Self {
        Self {
            directory: directory.to_owned(),
            shard,
            disk,
            durability,
            open: None,
            first: next.max(1),
            next: next.max(1),
            closed: Vec::new(),
            unsynced: Unsynced::default(),
            bytes: 0,
            checkpoint_bytes: 0,
            checkpoint_wanted: false,
            buffer: Vec::new(),
        }
    }

    /// Number of the first segment that this process writes.
    pub(crate) fn first_number(&self) -> u64 {
        self.first
    }

    /// Numbers and lengths of the segments that this process wrote, until [`ShardLog::forget_closed`].
    pub(crate) fn numbers_written(&self) -> Vec<(u64, u64)> {
        let open = self.open.as_ref().map(|open| (open.number, open.length));
        self.closed.iter().copied().chain(open).collect()
    }

    /// Ends the list of closed segments: history is loaded.
    pub(crate) fn forget_closed(&mut self) {
        self.closed = Vec::new();
    }

    /// Bytes since the last checkpoint began.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the last checkpoint; 0: none was made by this process.
    pub(crate) fn checkpoint_bytes(&self) -> u64 {
        self.checkpoint_bytes
    }

    /// Asks for a checkpoint soon: one failed, or the log may not be durable.
    pub(crate) fn want_checkpoint(&mut self) {
        self.checkpoint_wanted = true;
    }

    /// Whether a checkpoint was asked for.
    pub(crate) fn wants_checkpoint(&self) -> bool {
        self.checkpoint_wanted
    }

    /// A checkpoint of so many bytes is durable.
    pub(crate) fn checkpoint_done(&mut self, bytes: u64) {
        self.checkpoint_bytes = bytes;
    }

    /// Counts bytes that were in the log before the process started.
    pub(crate) fn add_bytes(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Makes room for the records of a batch and says for which segment they are.
    pub(crate) fn begin(&mut self) -> io::Result<u64> {
        self.buffer.clear();
        if let Some(open) = self.open.as_ref().filter(|open| open.length < SEGMENT_BYTES) {
            return Ok(open.number);
        }
        self.close();
        let number = self.next;
        let path = segment::path(&self.directory, number);
        let file = self.disk.create(&path)?;
        // A number is used once, also when its segment could not be begun.
        self.next += 1;
        let header = segment::header(self.shard, number);
        if let Err(error) = file.append(&header) {
            drop(file);
            // Nothing but this process knows the file yet; if it stays, the next start finds it empty.
            let _removed = std::fs::remove_file(&path);
            return Err(error);
        }
        if self.durability == Durability::Sync {
            // The name must be as durable as what will be acknowledged under it.
            std::fs::File::open(&self.directory)?.sync_all()?;
        }
        let length = header.len() as u64;
        self.open = Some(Open { number, file: Arc::from(file), length, dirty: true, hosts: 0 });
        self.unsynced.directory = true;
        Ok(number)
    }

    /// Adds the samples of one host, and what the segment does not know of it yet, to the batch begun.
    pub(crate) fn add(
        &mut self,
        key: &HostKey,
        data: &mut HostData,
        names: &MetricNames,
        samples: &[Sample],
    ) {
        self.add_record(key, data, names, samples, None);
    }

    /// Adds that samples of one host are freed.
    pub(crate) fn add_freed(
        &mut self,
        key: &HostKey,
        data: &mut HostData,
        names: &MetricNames,
        freed: Freed<'_>,
    ) {
        self.add_record(key, data, names, &[], Some(freed));
    }

    fn add_record(
        &mut self,
        key: &HostKey,
        data: &mut HostData,
        names: &MetricNames,
        samples: &[Sample],
        freed: Option<Freed<'_>>,
    ) {
        let Some(open) = &mut self.open else { return };
        let mut new_host = false;
        if data.logged.segment != open.number {
            data.logged.segment = open.number;
            data.logged.id = open.hosts;
            data.logged.columns = 0;
            open.hosts += 1;
            new_host = true;
        }
        let id = data.logged.id;
        loop {
            let defined = data.columns().saturating_sub(data.logged.columns).min(DEFINED_MAX);
            let start = self.buffer.len();
            self.buffer.extend_from_slice(&[0; FRAME_HEADER]);
            let known_by = new_host.then_some((&*key.cluster, &*key.host));
            new_host = false;
            let last = data.logged.columns + defined >= data.columns();
            record::put_host(&mut self.buffer, id, known_by, defined > 0, freed.filter(|_| last));
            if defined > 0 {
                record::put_columns(&mut self.buffer, data.logged.columns, defined);
                for number in data.logged.columns..data.logged.columns + defined {
                    put_column(&mut self.buffer, data, names, number);
                }
                data.logged.columns += defined;
            }
            record::put_samples(&mut self.buffer, if last { samples } else { &[] });
            wire::close_frame(&mut self.buffer, start);
            if last {
                return;
            }
        }
    }

    /// Writes the batch. After an error the log is as before, and the next batch begins a new segment.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let mut result = open.file.append(&self.buffer);
        if result.is_ok() && self.durability == Durability::Sync {
            result = open.file.sync();
        }
        match result {
            Ok(()) => {
                let written = self.buffer.len() as u64;
                open.length += written;
                self.bytes += written;
                open.dirty = self.durability == Durability::Background;
                Ok(())
            }
            Err(error) => {
                // If this fails too, the checksum ends the segment here when it is read.
                let _cut = open.file.cut(open.length);
                self.close();
                Err(error)
            }
        }
    }

    /// Closes the open segment, if any, and returns the highest number used so far: a checkpoint that begins now holds all up to it.
    pub(crate) fn close(&mut self) -> u64 {
        if let Some(open) = self.open.take() {
            self.closed.push((open.number, open.length));
            if open.dirty {
                self.unsynced.files.push(open.file);
            }
        }
        self.next - 1
    }

    /// As [`ShardLog::close`], for a checkpoint.
    pub(crate) fn close_for_checkpoint(&mut self) -> u64 {
        self.bytes = 0;
        self.checkpoint_wanted = false;
        let last = self.close();
        self.closed.clear();
        last
    }

    /// What has to be synced now.
    pub(crate) fn take_unsynced(&mut self) -> Unsynced {
        let mut unsynced = std::mem::take(&mut self.unsynced);
        if let Some(open) = self.open.as_mut().filter(|open| open.dirty) {
            open.dirty = false;
            unsynced.files.push(Arc::clone(&open.file));
        }
        unsynced
    }
}

fn put_column(out: &mut Vec<u8>, data: &HostData, names: &MetricNames, number: u32) {
    if let Some(key) = data.key(number) {
        let metric = names.name(key.metric);
        let (component, sub_component) = (key.component, key.sub_component);
        record::put_column(
            out,
            ColumnOf { metric: &metric, interval: key.interval, component, sub_component },
        );
    }
}

impl Unsynced {
    /// Makes everything durable; goes on after an error and returns the first.
    pub(crate) fn sync(&self, directory: &Path) -> io::Result<()> {
        let files = self.files.iter().map(|file| file.sync()).fold(Ok(()), Result::and);
        if self.directory {
            files.and(std::fs::File::open(directory).and_then(|directory| directory.sync_all()))
        } else {
            files
        }
    }
}
