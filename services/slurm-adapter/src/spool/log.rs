//! The file of the spool: a header, then frames. A frame is what one append wrote and synced: several records, or none.
//!
//! ```text
//! file    = frame(header as JSON) frame*
//! frame   = length u32 LE, checksum 8 bytes (BLAKE3 of length and payload), payload
//! payload = (length u32 LE, record)*
//! ```

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use cc_runtime::files::{self, AtomicFile};
use serde::{Deserialize, Serialize};

use super::Error;

const FILE: &str = "events.spool";
const LOCK: &str = "lock";
/// Events hold names of people.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
const FRAME_HEAD_BYTES: usize = 12;
const RECORD_HEAD_BYTES: usize = 4;
/// Longest payload of a frame, in bytes.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Size at which one append becomes two frames, in bytes.
const FRAME_BYTES_GOOD: usize = 4 * 1024 * 1024;

/// What stands before the events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) epoch: u64,
    /// By cluster, the number of its first event in the file, or of its next one.
    pub(super) next: BTreeMap<String, u64>,
}

impl Header {
    pub(super) fn new(epoch: u64) -> Self {
        Self { version: 1, epoch, next: BTreeMap::new() }
    }
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) length: u32,
}

impl Place {
    /// Bytes that it takes in the file.
    pub(super) fn size(self) -> u64 {
        u64::from(self.length) + RECORD_HEAD_BYTES as u64
    }
}

/// Takes what is read, in order.
pub(super) trait Visitor {
    /// The header, first.
    fn header(&mut self, header: &Header);
    /// A record; the answer says what is wrong with it.
    fn record(&mut self, place: Place, record: &[u8]) -> Result<(), &'static str>;
}

/// The file, open at its end.
#[derive(Debug)]
pub(super) struct Log {
    backing: Backing,
    end: u64,
}

#[derive(Debug)]
enum Backing {
    Memory(Vec<u8>),
    File {
        file: File,
        path: PathBuf,
        /// Held until the log is dropped.
        _lock: File,
        /// An append failed and may have left bytes behind the end.
        untidy: bool,
    },
}

impl Log {
    pub(super) fn in_memory() -> Self {
        Self { backing: Backing::Memory(Vec::new()), end: 0 }
    }

    /// Opens the file in `directory`, or makes one with the header `fresh`, and hands everything to `visitor`. A frame that
    /// a kill left unfinished at the end is cut off.
    pub(super) fn open(directory: &Path, fresh: &Header, visitor: &mut dyn Visitor) -> Result<Self, Error> {
        files::create_directory_with_mode(directory, DIRECTORY_MODE)?;
        let lock = lock(directory)?;
        let path = directory.join(FILE);
        let found = path.try_exists().map_err(|source| io("look for", &path, source))?;
        if !found {
            write_new(&path, fresh, std::iter::empty())?;
        }
        let (file, end) = scan(&path, visitor)?;
        Ok(Self { backing: Backing::File { file, path, _lock: lock, untidy: false }, end })
    }

    /// Replaces the content by `header` and the records at `places`, each changed by `change` (called with its place in the
    /// list), and hands everything to `visitor`. On an error the old content stands.
    pub(super) fn rewrite(
        &mut self,
        header: &Header,
        places: &[Place],
        change: impl Fn(usize, Vec<u8>) -> Vec<u8>,
        visitor: &mut dyn Visitor,
    ) -> Result<(), Error> {
        let records = places.iter().enumerate().map(|(at, place)| Ok(change(at, self.read(*place)?)));
        match &self.backing {
            Backing::File { path, .. } => {
                write_new(path, header, records)?;
                let (file, end) = scan(path, visitor)?;
                self.end = end;
                if let Backing::File { file: old, untidy, .. } = &mut self.backing {
                    *old = file;
                    *untidy = false;
                }
            }
            Backing::Memory(_) => {
                let mut log = Self::in_memory();
                visitor.header(header);
                for record in records {
                    let record = record?;
                    for place in log.append(&[&record])? {
                        visitor.record(place, &record).map_err(|what| log.damaged(place.offset, what))?;
                    }
                }
                *self = log;
            }
        }
        Ok(())
    }

    /// Bytes in use.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Adds records; they are durable when this returns. On an error none of them is there.
    pub(super) fn append(&mut self, records: &[&[u8]]) -> Result<Vec<Place>, Error> {
        let before = self.end;
        let mut places = Vec::with_capacity(records.len());
        let mut bytes = Vec::new();
        for payload in payloads(records) {
            let at = before + (bytes.len() + FRAME_HEAD_BYTES) as u64;
            places.extend(records_of(at, &payload));
            bytes.extend(frame(&payload));
        }
        match &mut self.backing {
            Backing::Memory(memory) => memory.extend(&bytes),
            Backing::File { file, path, untidy, .. } => {
                let written = tidy(file, before, untidy).and_then(|()| {
                    file.write_all_at(&bytes, before)?;
                    file.sync_data()
                });
                if let Err(source) = written {
                    // perhaps there is room again next time
                    *untidy = cut(file, before).is_err();
                    return Err(io("write", path, source));
                }
            }
        }
        self.end = before + bytes.len() as u64;
        Ok(places)
    }

    /// Reads a record.
    pub(super) fn read(&self, place: Place) -> Result<Vec<u8>, Error> {
        let mut record = vec![0; place.length as usize];
        match &self.backing {
            Backing::Memory(memory) => {
                let begin = usize::try_from(place.offset).unwrap_or(usize::MAX);
                let bytes = memory.get(begin..begin.saturating_add(record.len()));
                record.copy_from_slice(
                    bytes.ok_or_else(|| self.damaged(place.offset, "a record is not there"))?,
                );
            }
            Backing::File { file, path, .. } => {
                file.read_exact_at(&mut record, place.offset).map_err(|source| io("read", path, source))?;
            }
        }
        Ok(record)
    }

    /// The error for bytes that make no sense.
    pub(super) fn damaged(&self, offset: u64, what: &'static str) -> Error {
        match &self.backing {
            Backing::Memory(_) => damaged(Path::new("in memory"), offset, what),
            Backing::File { path, .. } => damaged(path, offset, what),
        }
    }
}

/// Reads the whole file and cuts off what was never finished. Gives the file and its end.
fn scan(path: &Path, visitor: &mut dyn Visitor) -> Result<(File, u64), Error> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(|source| io("open", path, source))?;
    let length = file.metadata().map_err(|source| io("look at", path, source))?.len();
    let mut frames = Frames { file: &file, path, length, offset: 0 };
    let (_, json) = frames.next()?.ok_or_else(|| damaged(path, 0, "the header is not complete"))?;
    let header: Header =
        serde_json::from_slice(&json).map_err(|_| damaged(path, 0, "the header is no header"))?;
    if header.version != 1 {
        return Err(damaged(path, 0, "a later release wrote it"));
    }
    visitor.header(&header);
    while let Some((offset, payload)) = frames.next()? {
        let records =
            records(offset, &payload).ok_or_else(|| damaged(path, offset, "a frame has no shape"))?;
        for (place, record) in records {
            visitor.record(place, record).map_err(|what| damaged(path, place.offset, what))?;
        }
    }
    let end = frames.offset;
    if end < length {
        cut(&file, end).map_err(|source| io("cut", path, source))?;
    }
    Ok((file, end))
}

/// Reads frame after frame, up to the end or to a frame that was never finished.
struct Frames<'a> {
    file: &'a File,
    path: &'a Path,
    length: u64,
    offset: u64,
}

impl Frames<'_> {
    /// The next payload with its place.
    fn next(&mut self) -> Result<Option<(u64, Vec<u8>)>, Error> {
        let left = self.length - self.offset;
        let mut head = [0; FRAME_HEAD_BYTES];
        if left < head.len() as u64 {
            return Ok(None);
        }
        self.read(&mut head, self.offset)?;
        let [a, b, c, d, checksum @ ..] = head;
        let length = u32::from_le_bytes([a, b, c, d]);
        let whole = FRAME_HEAD_BYTES as u64 + u64::from(length);
        let place = self.offset + FRAME_HEAD_BYTES as u64;
        if whole > left {
            return Ok(None);
        }
        if length as usize <= FRAME_BYTES_MAX {
            let mut payload = vec![0; length as usize];
            self.read(&mut payload, place)?;
            if checksum == self::checksum(length, &payload) {
                self.offset += whole;
                return Ok(Some((place, payload)));
            }
        }
        // a frame that was being written is the last one; a file that was only made longer is full of zeros
        if whole == left || self.only_zeros()? {
            return Ok(None);
        }
        Err(damaged(self.path, self.offset, "a frame is not what was written"))
    }

    fn only_zeros(&self) -> Result<bool, Error> {
        let mut chunk = vec![0; 64 * 1024];
        let mut at = self.offset;
        while at < self.length {
            let size = usize::try_from(self.length - at).unwrap_or(usize::MAX).min(chunk.len());
            let part = chunk.get_mut(..size).unwrap_or_default();
            self.file.read_exact_at(part, at).map_err(|source| io("read", self.path, source))?;
            if part.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            at += size as u64;
        }
        Ok(true)
    }

    fn read(&self, into: &mut [u8], at: u64) -> Result<(), Error> {
        self.file.read_exact_at(into, at).map_err(|source| io("read", self.path, source))
    }
}

fn write_new(
    path: &Path,
    header: &Header,
    records: impl Iterator<Item = Result<Vec<u8>, Error>>,
) -> Result<(), Error> {
    let mut file = AtomicFile::create_with_mode(path, FILE_MODE)?;
    let mut put = |bytes: &[u8]| file.file().write_all(bytes).map_err(|source| io("write", path, source));
    let json = serde_json::to_vec(header).map_err(|error| io("write", path, error.into()))?;
    put(&frame(&json))?;
    for record in records {
        let record = record?;
        for payload in payloads(&[&record]) {
            put(&frame(&payload))?;
        }
    }
    Ok(file.commit()?)
}

/// The payloads of the frames that hold these records.
fn payloads(records: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut payloads: Vec<Vec<u8>> = Vec::new();
    for record in records {
        let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
        let payload = match payloads.last_mut() {
            Some(payload) if payload.len() + record.len() < FRAME_BYTES_GOOD => payload,
            _ => {
                payloads.push(Vec::new());
                match payloads.last_mut() {
                    Some(payload) => payload,
                    None => continue,
                }
            }
        };
        payload.extend(length.to_le_bytes());
        payload.extend(*record);
    }
    payloads
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(FRAME_HEAD_BYTES + payload.len());
    bytes.extend(length.to_le_bytes());
    bytes.extend(checksum(length, payload));
    bytes.extend(payload);
    bytes
}

fn checksum(length: u32, payload: &[u8]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&length.to_le_bytes()).update(payload);
    let mut sum = [0; 8];
    for (to, from) in sum.iter_mut().zip(hasher.finalize().as_bytes()) {
        *to = *from;
    }
    sum
}

/// The records of a payload that begins at `offset`; `None` when it has another shape.
fn records(offset: u64, payload: &[u8]) -> Option<Vec<(Place, &[u8])>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < payload.len() {
        let head: [u8; RECORD_HEAD_BYTES] = payload.get(at..at + RECORD_HEAD_BYTES)?.try_into().ok()?;
        let length = u32::from_le_bytes(head);
        let begin = at + RECORD_HEAD_BYTES;
        let record = payload.get(begin..begin.checked_add(length as usize)?)?;
        found.push((Place { offset: offset + begin as u64, length }, record));
        at = begin + record.len();
    }
    Some(found)
}

fn records_of(offset: u64, payload: &[u8]) -> Vec<Place> {
    records(offset, payload).unwrap_or_default().into_iter().map(|(place, _)| place).collect()
}

fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join(LOCK);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(&path);
    let file = file.map_err(|source| io("open", &path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { directory: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io("lock", &path, source)),
    }
}

fn tidy(file: &File, end: u64, untidy: &mut bool) -> std::io::Result<()> {
    if *untidy {
        cut(file, end)?;
        *untidy = false;
    }
    Ok(())
}

fn cut(file: &File, end: u64) -> std::io::Result<()> {
    file.set_len(end)?;
    file.sync_data()
}

fn io(operation: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Io { operation, path: path.to_owned(), source }
}

fn damaged(path: &Path, offset: u64, what: &'static str) -> Error {
    Error::Damaged { path: path.to_owned(), offset, what }
}
