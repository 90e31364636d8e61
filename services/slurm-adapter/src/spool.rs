//! The durable spool: events wait here, numbered, until the server has committed them (spec integrations.md 9.5).
//!
//! One file, append only, synced before an event may be sent, so that a sequence number never means two events. A kill at
//! any moment leaves a readable prefix; what is acknowledged is removed by rewriting the file under another name.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use cc_proto::scheduler::v1::{Event, EventBatch};
use prost::Message as _;

use self::log::{Header, Log, Place, Visitor};

mod log;

/// Acknowledged bytes that are kept in the file before it is rewritten.
const DEAD_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What went wrong with the spool.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another adapter uses the directory.
    #[error("the spool {} is in use by another process", directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory or a file in it does not let itself be used.
    #[error("failed to {operation} {}", path.display())]
    Io {
        /// In words, e.g. `read`.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why; a full file system shows here.
        #[source]
        source: std::io::Error,
    },
    /// The file could not be replaced.
    #[error(transparent)]
    Files(#[from] cc_runtime::files::Error),
    /// Bytes of the file are not what was written.
    #[error(
        "the spool {} is damaged at byte {offset}: {what}. Move it away to begin a new one; what waits in it is then lost \
         unless the scheduler is asked again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What was found.
        what: &'static str,
    },
}

/// What the server's word about a stream means for the spool.
#[derive(Debug, PartialEq, Eq)]
pub enum Resume {
    /// Go on after that number; these were acknowledged and their results are not known here.
    After {
        /// Their sequence numbers.
        unreported: Vec<u64>,
    },
    /// Spool and server do not fit together (one of them was restored from a copy): a new epoch is needed.
    Misfit,
}

/// The spool. The process that opened a directory is its only user.
#[derive(Debug)]
pub struct Spool {
    log: Log,
    index: Index,
}

/// What is in the log.
#[derive(Debug, Default)]
struct Index {
    epoch: u64,
    streams: BTreeMap<String, Stream>,
    /// Event ids in the file, with their number of occurrences.
    ids: HashMap<Vec<u8>, usize>,
    /// Bytes of acknowledged records in the file.
    dead_bytes: u64,
}

/// The events of one cluster.
#[derive(Debug)]
struct Stream {
    next_seq: u64,
    waiting: VecDeque<Entry>,
}

/// An event that waits for its acknowledgement.
#[derive(Debug, Clone, Copy)]
struct Entry {
    seq: u64,
    place: Place,
    /// Its result is known, only the acknowledgement of everything before it is missing.
    reported: bool,
}

impl Stream {
    fn beginning_at(next_seq: u64) -> Self {
        Self { next_seq, waiting: VecDeque::new() }
    }

    /// The number of the first waiting event, or of the next one to come.
    fn first_seq(&self) -> u64 {
        self.waiting.front().map_or(self.next_seq, |entry| entry.seq)
    }
}

impl Visitor for Index {
    fn header(&mut self, header: &Header) {
        let stream = |(cluster, next): (&String, &u64)| (cluster.clone(), Stream::beginning_at(*next));
        let streams = header.next.iter().map(stream).collect();
        *self = Self { epoch: header.epoch, streams, ..Self::default() };
    }

    fn record(&mut self, place: Place, record: &[u8]) -> Result<(), &'static str> {
        let (cluster, event) = decode(record)?;
        let stream = self.streams.entry(cluster).or_insert_with(|| Stream::beginning_at(1));
        if event.seq != stream.next_seq {
            return Err("a sequence number is missing");
        }
        stream.waiting.push_back(Entry { seq: event.seq, place, reported: false });
        stream.next_seq += 1;
        *self.ids.entry(event.event_id.to_vec()).or_default() += 1;
        Ok(())
    }
}

impl Spool {
    /// Opens the spool in a directory, or begins one there with a new epoch.
    ///
    /// # Errors
    /// [`Error`]. A torn frame at the end, as a kill leaves it, is no error: nothing of it was sent.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let mut index = Index::default();
        let log = Log::open(directory, &Header::new(new_epoch()), &mut index)?;
        Ok(Self { log, index })
    }

    /// A spool that lives as long as the process.
    pub fn in_memory() -> Self {
        let index = Index { epoch: new_epoch(), ..Index::default() };
        Self { log: Log::in_memory(), index }
    }

    /// The epoch of the sequence numbers: random, 63 bits, another one in every spool.
    pub fn epoch(&self) -> u64 {
        self.index.epoch
    }

    /// The clusters that have had events.
    pub fn clusters(&self) -> Vec<String> {
        self.index.streams.keys().cloned().collect()
    }

    /// Events that wait for their acknowledgement.
    pub fn waiting(&self) -> usize {
        self.index.streams.values().map(|stream| stream.waiting.len()).sum()
    }

    /// How often each event id stands in the file, acknowledged or not.
    pub fn known_ids(&self) -> &HashMap<Vec<u8>, usize> {
        &self.index.ids
    }

    /// Takes events of clusters over, numbers them, and returns when all of them are on the disk.
    ///
    /// # Errors
    /// [`Error::Io`]; then none of them is in the spool.
    pub fn append(&mut self, events: Vec<(String, Event)>) -> Result<(), Error> {
        let mut next: HashMap<String, u64> = HashMap::new();
        let mut records = Vec::with_capacity(events.len());
        for (cluster, event) in events {
            let known = || self.index.streams.get(&cluster).map_or(1, |stream| stream.next_seq);
            let seq = next.entry(cluster.clone()).or_insert_with(known);
            records.push(encode(cluster, self.index.epoch, Event { seq: *seq, ..event }));
            *seq += 1;
        }
        let slices: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let places = self.log.append(&slices)?;
        for (place, record) in places.into_iter().zip(&records) {
            self.index.record(place, record).map_err(|what| self.log.damaged(place.offset, what))?;
        }
        Ok(())
    }

    /// Events of a cluster that wait, from `after` on, in order: at most `events_max`, and as many as fit into
    /// `bytes_max`, but at least one. Each with its size.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Damaged`].
    pub fn read(
        &self,
        cluster: &str,
        after: u64,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Event, usize)>, Error> {
        let Some(stream) = self.index.streams.get(cluster) else { return Ok(Vec::new()) };
        let begin = stream.waiting.partition_point(|entry| entry.seq <= after);
        let mut events = Vec::new();
        let mut bytes = 0;
        for entry in stream.waiting.iter().skip(begin).take(events_max) {
            let event = self.event(entry.place)?;
            let size = event.encoded_len();
            if bytes + size > bytes_max && !events.is_empty() {
                break;
            }
            bytes += size;
            events.push((event, size));
        }
        Ok(events)
    }

    /// Whether a cluster has events after that number.
    pub fn has_after(&self, cluster: &str, after: u64) -> bool {
        self.index
            .streams
            .get(cluster)
            .is_some_and(|stream| !stream.waiting.is_empty() && stream.next_seq > after + 1)
    }

    /// The event of that number, for telling what came of it; `None` once it is acknowledged or was asked for.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Damaged`].
    pub fn report(&mut self, cluster: &str, seq: u64) -> Result<Option<Event>, Error> {
        let Some(stream) = self.index.streams.get_mut(cluster) else { return Ok(None) };
        let at = stream.waiting.partition_point(|entry| entry.seq < seq);
        let Some(entry) = stream.waiting.get_mut(at).filter(|entry| entry.seq == seq && !entry.reported)
        else {
            return Ok(None);
        };
        entry.reported = true;
        let place = entry.place;
        self.event(place).map(Some)
    }

    /// When the oldest waiting event was observed, Unix milliseconds.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Damaged`].
    pub fn oldest_observed_ms(&self) -> Result<Option<i64>, Error> {
        let mut oldest = None;
        for entry in self.index.streams.values().filter_map(|stream| stream.waiting.front()) {
            let observed = self.event(entry.place)?.observed_at_ms;
            oldest = Some(oldest.map_or(observed, |known: i64| known.min(observed)));
        }
        Ok(oldest)
    }

    /// Compares with the number up to which the server has everything.
    pub fn resume(&self, cluster: &str, durable: u64) -> Resume {
        let Some(stream) = self.index.streams.get(cluster) else {
            return Resume::After { unreported: Vec::new() };
        };
        if durable >= stream.next_seq || durable + 1 < stream.first_seq() {
            return Resume::Misfit;
        }
        Resume::After { unreported: self.unreported(cluster, durable) }
    }

    /// Waiting events up to `durable` whose results were not told.
    pub fn unreported(&self, cluster: &str, durable: u64) -> Vec<u64> {
        let waiting = self.index.streams.get(cluster).map(|stream| stream.waiting.iter());
        let acknowledged = waiting.into_iter().flatten().take_while(|entry| entry.seq <= durable);
        acknowledged.filter(|entry| !entry.reported).map(|entry| entry.seq).collect()
    }

    /// Forgets the events of a cluster up to `durable`. Rewrites the file when much of it is forgotten.
    ///
    /// # Errors
    /// [`Error`] of the rewriting; the events are forgotten all the same.
    pub fn acknowledge(&mut self, cluster: &str, durable: u64) -> Result<(), Error> {
        if let Some(stream) = self.index.streams.get_mut(cluster) {
            let end = stream.waiting.partition_point(|entry| entry.seq <= durable);
            self.index.dead_bytes += stream.waiting.drain(..end).map(|entry| entry.place.size()).sum::<u64>();
        }
        if self.index.dead_bytes > DEAD_BYTES_MAX && self.index.dead_bytes > self.log.end() / 2 {
            return self.compact();
        }
        Ok(())
    }

    /// Rewrites the file without what is acknowledged.
    ///
    /// # Errors
    /// [`Error`]; then the old file stands.
    pub fn compact(&mut self) -> Result<(), Error> {
        let mut header = Header::new(self.index.epoch);
        header.next = self
            .index
            .streams
            .iter()
            .map(|(cluster, stream)| (cluster.clone(), stream.first_seq()))
            .collect();
        self.rewrite(&header, |_, record| record)
    }

    /// Begins a new epoch: all waiting events are numbered anew from 1.
    ///
    /// # Errors
    /// [`Error`]; then the old epoch stands.
    pub fn renew(&mut self) -> Result<(), Error> {
        let mut header = Header::new(new_epoch());
        header.next = self.index.streams.keys().map(|cluster| (cluster.clone(), 1)).collect();
        let sizes = self.index.streams.values().map(|stream| stream.waiting.len() as u64);
        let numbers: Vec<u64> = sizes.flat_map(|size| 1..=size).collect();
        let epoch = header.epoch;
        self.rewrite(&header, |at, record| match (decode(&record), numbers.get(at)) {
            (Ok((cluster, event)), Some(&seq)) => encode(cluster, epoch, Event { seq, ..event }),
            _ => record, // refused by the check of what was written
        })
    }

    fn rewrite(&mut self, header: &Header, change: impl Fn(usize, Vec<u8>) -> Vec<u8>) -> Result<(), Error> {
        let waiting = || self.index.streams.values().flat_map(|stream| &stream.waiting);
        let places: Vec<Place> = waiting().map(|entry| entry.place).collect();
        let reported: HashSet<usize> =
            waiting().enumerate().filter(|(_, entry)| entry.reported).map(|(at, _)| at).collect();
        let mut index = Index::default();
        self.log.rewrite(header, &places, change, &mut index)?;
        let entries = index.streams.values_mut().flat_map(|stream| &mut stream.waiting);
        for (at, entry) in entries.enumerate() {
            entry.reported = reported.contains(&at);
        }
        self.index = index;
        Ok(())
    }

    fn event(&self, place: Place) -> Result<Event, Error> {
        let record = self.log.read(place)?;
        Ok(decode(&record).map_err(|what| self.log.damaged(place.offset, what))?.1)
    }
}

/// A record: a batch of one, so that it says whose it is.
fn encode(cluster: String, epoch: u64, event: Event) -> Vec<u8> {
    EventBatch { cluster, epoch, events: vec![event], fencing_token: 0 }.encode_to_vec()
}

fn decode(record: &[u8]) -> Result<(String, Event), &'static str> {
    let batch = EventBatch::decode(record).map_err(|_| "a record is no event")?;
    let event = batch.events.into_iter().next().ok_or("a record holds no event")?;
    Ok((batch.cluster, event))
}

/// Random, 63 bits, not 0.
fn new_epoch() -> u64 {
    (rand::random::<u64>() >> 1).max(1)
}

#[cfg(test)]
mod tests;
