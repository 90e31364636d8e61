//! `cc-slurm-adapter replay FILE`: a real sender for recorded events.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::PathBuf;
use std::time::Duration;

use cc_proto::scheduler::v1::Event;
use cc_runtime::clock::Clock;

use crate::event_id;
use crate::publish::{self, Options, Outbox, Token, Transport};
use crate::recording::{self, Recorded};
use crate::report::Report;
use crate::rest::Mapper;
use crate::spool::{self, Spool};

/// Events that are put into the spool at a time, each time with one sync.
const APPEND_EVENTS_MAX: usize = 500;

/// What to replay, and how.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The recording.
    pub file: PathBuf,
    /// Added to all times, seconds.
    pub shift_s: i64,
    /// Jobs are reported under this cluster instead of the recorded one.
    pub cluster: Option<String>,
    /// Directory of the durable spool; `None`: in memory.
    pub spool: Option<PathBuf>,
    /// One JSON object per event.
    pub json: bool,
    /// Name of the adapter.
    pub adapter_id: String,
    /// Give up after so long without any acknowledgement.
    pub patience: Duration,
}

/// Why not every event got a result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The recording cannot be opened.
    #[error("the recording {} cannot be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The recording cannot be replayed.
    #[error("the recording {} cannot be replayed", path.display())]
    Recording {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: recording::Error,
    },
    /// The spool does not work.
    #[error("the spool does not work")]
    Spool(#[from] spool::Error),
    /// Not everything could be sent.
    #[error("{told} events have a result, {waiting} wait")]
    Publish {
        /// Events with a result.
        told: usize,
        /// Events without.
        waiting: usize,
        /// Why.
        #[source]
        source: publish::Error,
    },
    /// The report cannot be written.
    #[error("the report cannot be written")]
    Report(#[source] std::io::Error),
}

impl Replay {
    /// Sends every event of the recording, and whatever waits in the spool, and tells on `out` what became of each.
    /// Repeated after a kill with the same spool, it goes on where it was.
    ///
    /// # Errors
    /// [`Error`]; what waits stays in the spool.
    pub async fn run(
        &self,
        transport: Transport,
        token: &dyn Token,
        clock: &Clock,
        out: &mut (dyn Write + Send),
    ) -> Result<(), Error> {
        let events = self.read()?;
        let mut spool = match &self.spool {
            Some(directory) => Spool::open(directory)?,
            None => Spool::in_memory(),
        };
        fill(&mut spool, events, self.shift_s)?;
        let outbox = Outbox::new(spool);
        outbox.close();
        let mut options = Options::new(self.adapter_id.clone());
        "replay".clone_into(&mut options.scheduler);
        options.patience = Some(self.patience);
        let mut report = Report::new(out, self.json);
        let sent = publish::run(&outbox, transport, token, &options, clock, &mut report).await;
        let told = report.told();
        report.finish().map_err(Error::Report)?;
        sent.map_err(|source| Error::Publish { told, waiting: outbox.waiting(), source })?;
        Ok(outbox.compact()?)
    }

    fn read(&self) -> Result<Vec<Recorded>, Error> {
        let path = &self.file;
        let file = File::open(path).map_err(|source| Error::Open { path: path.clone(), source })?;
        let mut mapper = Mapper::new(self.shift_s, self.cluster.clone());
        recording::read(BufReader::new(file), &mut mapper)
            .map_err(|source| Error::Recording { path: path.clone(), source })
    }
}

/// Puts the events into the spool that are not there from an interrupted replay of the same recording. A recording may hold
/// the same event several times; each occurrence counts.
fn fill(spool: &mut Spool, events: Vec<Recorded>, shift_s: i64) -> Result<(), spool::Error> {
    let mut there: HashMap<Vec<u8>, usize> = spool.known_ids().clone();
    let mut missing = Vec::new();
    for recorded in events {
        let id = event_id::of(&recorded.body).to_vec();
        if let Some(count) = there.get_mut(&id).filter(|count| **count > 0) {
            *count -= 1;
            continue;
        }
        let cluster = event_id::key(&recorded.body).map(|key| key.cluster.clone()).unwrap_or_default();
        let observed_at_ms = recorded.recorded_at_ms.saturating_add(shift_s.saturating_mul(1000));
        missing.push((
            cluster,
            Event { seq: 0, event_id: id.into(), observed_at_ms, body: Some(recorded.body) },
        ));
    }
    let mut missing = missing.into_iter().peekable();
    while missing.peek().is_some() {
        spool.append(missing.by_ref().take(APPEND_EVENTS_MAX).collect())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
