//! The reference's query JSON: request in, answer out, byte for byte in its form (spec metric-store.md 9).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cc_model::resample::{Algorithm, NotAMultiple, resample};
use cc_runtime::cpu;
use cc_runtime::error::Failure;
use futures::stream::{FuturesUnordered, StreamExt as _};

use self::answer::Answer;
use self::request::{Query, Request};
use crate::error::Error;
use crate::read::{self, Front, Piece, ReadError, Statistics};
use crate::store::{Needed, Store};

mod answer;
mod parse;
pub(crate) mod request;

/// Series shorter than this are not thinned.
const MINIMUM_POINTS: usize = 1000;

/// Values that one answer may hold; beyond, results are errors.
const VALUES_MAX: usize = 50_000_000;

/// Queries that are answered in one go: few enough that the processors finish together, many enough that sharing them costs nothing.
const QUERIES_AT_ONCE: usize = 8;

/// Why a result is an error. The texts are the reference's.
#[derive(Debug, thiserror::Error)]
enum ResultError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("[METRICSTORE]> unknown metric: {0}")]
    UnknownMetric(String),
    #[error(transparent)]
    Resolution(#[from] NotAMultiple),
}

/// One result: what a selector of a query found.
struct Found {
    piece: Piece,
    /// Thinned values, if they are.
    thinned: Option<Vec<f64>>,
    resolution: i64,
    statistics: Option<Statistics>,
}

/// A request that was read.
#[derive(Debug)]
pub struct RawQuery(Request);

impl RawQuery {
    /// Reads the request's JSON. Data behind the object is ignored, unknown keys too.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the key.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        Request::parse(json).map(Self).map_err(Error::Invalid)
    }

    /// The hosts whose samples it needs.
    pub fn needed(&self) -> Needed {
        let Request { cluster, for_all_nodes, queries, .. } = &self.0;
        if for_all_nodes.is_some() {
            return Needed::ALL;
        }
        let mut needed = Needed::default();
        for query in queries {
            needed.add(cluster, &query.host);
        }
        needed
    }

    /// Answers it. CPU work: up to seconds for large answers. The hosts it needs must be loaded.
    pub fn answer(self, store: &Store) -> Vec<u8> {
        let work = Work::new(self, store);
        work.run(store);
        work.answer()
    }

    /// As [`RawQuery::answer`], on every processor that is free; dropped, the work stops soon.
    ///
    /// # Errors
    /// As [`cpu::run`].
    pub async fn answer_on_all(self, store: Arc<Store>) -> Result<Vec<u8>, Failure> {
        let planner = Arc::clone(&store);
        let work = Arc::new(cpu::run(move || Work::new(self, &planner)).await?);
        let caller = Caller(Arc::clone(&work));
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut running: FuturesUnordered<_> = (0..threads.min(work.parts()))
            .map(|_| {
                let (work, store) = (Arc::clone(&work), Arc::clone(&store));
                cpu::wait(move || work.run(&store))
            })
            .collect();
        // Whoever still waits for a processor when everything is done is not needed.
        let mut failure = None;
        while !work.is_done() {
            match running.next().await {
                Some(Ok(())) => {}
                Some(Err(error)) => failure = Some(error),
                None => break,
            }
        }
        drop(running);
        match failure.filter(|_| !work.is_done()) {
            Some(failure) => Err(failure),
            None => cpu::wait(move || caller.0.answer()).await,
        }
    }
}

/// A request that several threads answer in parts.
#[derive(Debug)]
struct Work {
    request: Request,
    /// What comes before the results.
    head: Answer,
    /// The next part that nobody has taken.
    next: AtomicUsize,
    /// The parts that are done.
    done: Mutex<Vec<Option<Vec<u8>>>>,
    /// Values so far.
    values: AtomicUsize,
    cancelled: AtomicBool,
}

/// Whoever waits for the answer: gone, the work stops.
struct Caller(Arc<Work>);

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Work {
    fn new(query: RawQuery, store: &Store) -> Self {
        let RawQuery(mut request) = query;
        let mut head = Answer::new();
        if let Some(metrics) = request.for_all_nodes.take() {
            let own = request.queries.len();
            for host in store.hosts_of(&request.cluster) {
                let of_host = metrics.iter().map(|metric| Query::of_node(metric, &host.key.host));
                request.queries.extend(of_host);
            }
            head.queries(request.queries.get(own..).unwrap_or_default());
        }
        head.begin_results();
        let parts = request.queries.len().div_ceil(QUERIES_AT_ONCE);
        Self {
            request,
            head,
            next: AtomicUsize::new(0),
            done: Mutex::new(vec![None; parts]),
            values: AtomicUsize::new(0),
            cancelled: AtomicBool::new(false),
        }
    }

    fn parts(&self) -> usize {
        self.request.queries.len().div_ceil(QUERIES_AT_ONCE)
    }

    fn is_done(&self) -> bool {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).iter().all(Option::is_some)
    }

    /// Answers parts as long as there are any.
    fn run(&self, store: &Store) {
        while !self.cancelled.load(Ordering::Relaxed) {
            let part = self.next.fetch_add(1, Ordering::Relaxed);
            let first = part * QUERIES_AT_ONCE;
            let queries = self.request.queries.iter().skip(first).take(QUERIES_AT_ONCE);
            if queries.len() == 0 {
                return;
            }
            let mut rows = Answer::rows(part == 0);
            for query in queries {
                rows.begin_row();
                self.row(store, query, &mut rows);
                rows.end_row();
            }
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = done.get_mut(part) {
                *place = Some(rows.into_bytes());
            }
        }
    }

    fn row(&self, store: &Store, query: &Query, answer: &mut Answer) {
        let request = &self.request;
        for (component, sub_component) in query.selectors() {
            match find(store, request, query, &component, &sub_component) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    let padding = found.padding(request);
                    let count = found.values().len().saturating_add(padding);
                    let count = if request.with_data { count } else { 0 };
                    let before = self.values.fetch_add(count, Ordering::Relaxed);
                    if before.saturating_add(count) > VALUES_MAX {
                        answer.error(&ReadError::TooMany.to_string());
                    } else {
                        answer.found(&found, request, query, padding);
                    }
                }
                Err(error) => answer.error(&error.to_string()),
            }
        }
    }

    /// The whole answer; to be called when all parts are done.
    fn answer(&self) -> Vec<u8> {
        let parts = std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner));
        self.head.whole(parts.into_iter().flatten())
    }
}

impl Found {
    fn values(&self) -> &[f64] {
        self.thinned.as_deref().unwrap_or(&self.piece.values)
    }

    /// Points without data to put in front, in the resolution of the answer.
    fn padding(&self, request: &Request) -> usize {
        if !request.with_padding {
            return 0;
        }
        let slots = |time: i64| time.div_euclid(self.resolution.max(1));
        usize::try_from(slots(self.piece.from) - slots(request.from)).unwrap_or(0)
    }
}

/// What one selector finds; `Ok(None)`: nothing.
fn find(
    store: &Store,
    request: &Request,
    query: &Query,
    component: &str,
    sub_component: &str,
) -> Result<Option<Found>, ResultError> {
    if request.from > request.to {
        return Err(ReadError::Range.into());
    }
    let registry = store.registry();
    let Some(rule) = registry.rule(&request.cluster, &query.metric) else {
        return Err(ResultError::UnknownMetric(query.metric.clone()));
    };
    let Some(metric) = store.names().get(&query.metric) else { return Ok(None) };
    let Some(host) = store.host(&request.cluster, &query.host) else { return Ok(None) };
    let piece = {
        let data = host.data();
        let columns = if query.aggregate {
            query.all_columns(&data, metric)
        } else {
            data.select(metric, component, sub_component)
        };
        read::piece(&data, &columns, request.from, request.to, Front::Cut, rule.aggregation)?
    };
    let Some(piece) = piece else { return Ok(None) };
    let statistics = if request.with_stats { Statistics::of(&piece.values) } else { None };
    let resampled =
        resample(&piece.values, piece.interval, query.resolution, MINIMUM_POINTS, Algorithm::Lttb)?;
    let resolution = resampled.timestep;
    let thinned = (resolution != piece.interval).then(|| resampled.data.into_owned());
    Ok(Some(Found { piece, thinned, resolution, statistics }))
}

/// Splits an answer into pieces of at most `size` bytes.
pub(crate) fn pieces(answer: Vec<u8>, size: usize) -> impl Iterator<Item = bytes::Bytes> {
    let mut rest = bytes::Bytes::from(answer);
    std::iter::from_fn(move || (!rest.is_empty()).then(|| rest.split_to(size.min(rest.len()))))
}

#[cfg(test)]
mod tests;
