//! Checkpoints: everything that a shard holds in memory, in one file, made beside running writers.
//!
//! A checkpoint of number N holds at least all samples of the log segments up to N. Layout: a header like a segment's, then frames
//! ([`crate::wire`]): kind 1: names, stagger, columns of a host with phase and blocks (a large host takes several); kind 0, last: the
//! number of frames before it. A file without this end is damaged.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cc_runtime::files::{self, AtomicFile};

use crate::block;
use crate::host::{Host, HostData};
use crate::load::{self, Restored};
use crate::log::record::{self, ColumnOf, get_block, get_column};
use crate::log::segment;
use crate::names::MetricNames;
use crate::shard::Shard;
use crate::wire::{self, FRAME_HEADER, Frames, Next, get_i64, get_str, get_u64, put_bytes, put_i64, put_u64};

/// First bytes; the last but one is the version of the format.
const MAGIC: [u8; 8] = *b"ccxsnap\x02";

/// Version 1 differs in its blocks only: it has no rows ([`block`]), and what it has is still read.
const READ: [[u8; 8]; 2] = [MAGIC, *b"ccxsnap\x01"];

const END: u64 = 0;
const HOST: u64 = 1;

/// A frame is closed when it is longer.
const FRAME_BYTES: usize = 4 << 20;

/// Columns that are copied while a host is locked at a time.
const COLUMNS_AT_ONCE: u32 = 256;

/// Why a checkpoint was not made. The one before, and the log, are untouched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    /// The file cannot be written.
    #[error("failed to write checkpoint")]
    Write(#[from] files::Error),
    /// Bytes cannot be written.
    #[error("failed to write checkpoint {}", path.display())]
    Fill {
        /// The checkpoint.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What was written does not read back: the log stays.
    #[error("checkpoint {} does not read back, the log is kept", path.display())]
    Verify {
        /// The checkpoint.
        path: PathBuf,
    },
    /// Old files cannot be removed.
    #[error("failed to remove {}", path.display())]
    Remove {
        /// The old file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// What a checkpoint took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CheckpointReport {
    /// Hosts in it.
    pub(crate) hosts: usize,
    /// Bytes of the file.
    pub(crate) bytes: u64,
}

impl Shard {
    /// Writes a checkpoint, then removes the log segments and checkpoints that it replaces. Blocks for the time of the writing;
    /// batches and queries go on.
    pub(crate) fn checkpoint(&self, names: &MetricNames) -> Result<CheckpointReport, CheckpointError> {
        let result = self.write_checkpoint(names);
        match &result {
            Ok(report) => self.log().checkpoint_done(report.bytes),
            Err(_) => self.log().want_checkpoint(),
        }
        result
    }

    fn write_checkpoint(&self, names: &MetricNames) -> Result<CheckpointReport, CheckpointError> {
        let number = self.log().close_for_checkpoint();
        let path = segment::checkpoint_path(&self.directory, number);
        let mut hosts = self.hosts(None);
        hosts.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let file = BufWriter::with_capacity(1 << 18, AtomicFile::create(&path)?);
        let broken = |source| CheckpointError::Fill { path: path.clone(), source };
        let mut out = Output { file, frames: 0, bytes: 0, buffer: Vec::new() };
        out.header(self.number, number).map_err(broken)?;
        for host in &hosts {
            out.host(host, names).map_err(broken)?;
        }
        let (file, bytes) = out.end().map_err(broken)?;
        file.into_inner().map_err(|error| broken(error.into_error()))?.commit()?;
        if !verify(&path, self.number, number).map_err(broken)? {
            return Err(CheckpointError::Verify { path });
        }
        crate::disk::forget_pages(&File::open(&path).map_err(broken)?);
        self.remove_replaced(number)?;
        self.imported().keep(&self.directory)?;
        Ok(CheckpointReport { hosts: hosts.len(), bytes })
    }

    fn remove_replaced(&self, number: u64) -> Result<(), CheckpointError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| CheckpointError::Remove { path, source }
        };
        let listing = segment::list(&self.directory).map_err(failed(&self.directory))?;
        let segments = listing.segments.into_iter().filter(|&found| found <= number);
        let checkpoints = listing.checkpoints.into_iter().filter(|&found| found < number);
        let old = segments.map(|found| segment::path(&self.directory, found));
        let old = old.chain(checkpoints.map(|found| segment::checkpoint_path(&self.directory, found)));
        for path in old {
            std::fs::remove_file(&path).map_err(failed(&path))?;
        }
        Ok(())
    }
}

struct Output<W> {
    file: W,
    frames: u64,
    bytes: u64,
    buffer: Vec<u8>,
}

impl<W: Write> Output<W> {
    fn header(&mut self, shard: u32, number: u64) -> io::Result<()> {
        self.write(&header(shard, number))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    fn host(&mut self, host: &Arc<Host>, names: &MetricNames) -> io::Result<()> {
        let mut next = 0_u32;
        loop {
            self.buffer.clear();
            self.buffer.extend_from_slice(&[0; FRAME_HEADER]);
            put_u64(&mut self.buffer, HOST);
            put_bytes(&mut self.buffer, host.key.cluster.as_bytes());
            put_bytes(&mut self.buffer, host.key.host.as_bytes());
            let head = self.buffer.len();
            let mut more = true;
            while more && self.buffer.len() < FRAME_BYTES {
                let data = host.data();
                if self.buffer.len() == head {
                    put_i64(&mut self.buffer, data.stagger());
                }
                let end = next.saturating_add(COLUMNS_AT_ONCE).min(data.columns());
                for column in next..end {
                    put_series(&mut self.buffer, &data, column, names);
                }
                next = end;
                more = end < data.columns();
            }
            self.close_frame()?;
            if !more {
                return Ok(());
            }
        }
    }

    fn close_frame(&mut self) -> io::Result<()> {
        wire::close_frame(&mut self.buffer, 0);
        let buffer = std::mem::take(&mut self.buffer);
        let result = self.write(&buffer);
        self.buffer = buffer;
        self.frames += 1;
        result
    }

    fn end(mut self) -> io::Result<(W, u64)> {
        let frames = self.frames;
        self.buffer.clear();
        self.buffer.extend_from_slice(&[0; FRAME_HEADER]);
        put_u64(&mut self.buffer, END);
        put_u64(&mut self.buffer, frames);
        self.close_frame()?;
        Ok((self.file, self.bytes))
    }
}

/// Appends one series: a column, its phase, its blocks. Series without samples are left out.
fn put_series(out: &mut Vec<u8>, data: &HostData, number: u32, names: &MetricNames) {
    let Some((key, (grid, lane))) = data.key(number).zip(data.lane(number)) else { return };
    let Some(state) = grid.state(lane) else { return };
    let metric = names.name(key.metric);
    let column = ColumnOf {
        metric: &metric,
        interval: key.interval,
        component: key.component,
        sub_component: key.sub_component,
    };
    record::put_column(out, column);
    put_i64(out, state.phase);
    put_u64(out, (state.sealed.len() + state.open.len()) as u64);
    for (number, bytes) in state.sealed {
        put_i64(out, number);
        put_bytes(out, bytes);
    }
    let mut bytes = Vec::new();
    for (number, values) in state.open {
        bytes.clear();
        block::encode(&values, &mut bytes);
        put_i64(out, number);
        put_bytes(out, &bytes);
    }
}

fn header(shard: u32, number: u64) -> [u8; segment::HEADER_BYTES] {
    segment::header_of(MAGIC, shard, number)
}

/// Adds the content of a checkpoint to `into`. False: it is damaged (`into` is then of no use).
pub(crate) fn read(
    path: &Path,
    shard: u32,
    number: u64,
    into: &mut Restored,
    names: &MetricNames,
) -> io::Result<bool> {
    frames(path, shard, number, |payload| restore(payload, into, names).is_some())
}

fn verify(path: &Path, shard: u32, number: u64) -> io::Result<bool> {
    frames(path, shard, number, |_| true)
}

/// Reads header, frames and end; false as soon as anything is not as it was written, or `take` says so.
fn frames(path: &Path, shard: u32, number: u64, mut take: impl FnMut(&[u8]) -> bool) -> io::Result<bool> {
    let mut file = BufReader::with_capacity(1 << 18, File::open(path)?);
    if !segment::check_header_of(&READ, &mut file, shard, number)? {
        return Ok(false);
    }
    let mut frames = Frames::new(file);
    let mut count = 0;
    loop {
        let Next::Frame(mut payload) = frames.next()? else { return Ok(false) };
        match get_u64(&mut payload) {
            Some(HOST) if take(payload) => count += 1,
            Some(END) => {
                let whole = get_u64(&mut payload) == Some(count);
                return Ok(whole && matches!(frames.next()?, Next::End));
            }
            _ => return Ok(false),
        }
    }
}

fn restore(mut payload: &[u8], into: &mut Restored, names: &MetricNames) -> Option<()> {
    let input = &mut payload;
    let (cluster, host) = (get_str(input)?, get_str(input)?);
    let stagger = get_i64(input)?;
    let number = into.host(cluster, host, stagger);
    let data = into.data(number)?;
    while !input.is_empty() {
        let column = load::column(data, names, get_column(input)?);
        let phase = get_i64(input)?;
        let blocks = get_u64(input)?;
        let (grid, lane) = data.lane_mut(column)?;
        grid.restore_phase(lane, phase);
        for _ in 0..blocks {
            let (number, bytes) = get_block(input)?;
            grid.restore_block(lane, number, bytes)?;
        }
    }
    Some(())
}
