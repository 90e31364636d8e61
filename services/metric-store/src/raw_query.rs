//! The reference's query JSON: request in, answer out, byte for byte in its form (spec metric-store.md 9).

use cc_model::resample::{Algorithm, NotAMultiple, resample};

use self::answer::Answer;
use self::request::{Query, Request};
use crate::error::Error;
use crate::read::{self, Front, Piece, ReadError, Statistics};
use crate::store::{Needed, Store};

mod answer;
pub(crate) mod request;

/// Series shorter than this are not thinned.
const MINIMUM_POINTS: usize = 1000;

/// Values that one answer may hold; beyond, results are errors.
const VALUES_MAX: usize = 50_000_000;

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
        let Self(mut request) = self;
        let mut answer = Answer::new();
        if let Some(metrics) = request.for_all_nodes.take() {
            let own = request.queries.len();
            for host in store.hosts_of(&request.cluster) {
                let of_host = metrics.iter().map(|metric| Query::of_node(metric, &host.key.host));
                request.queries.extend(of_host);
            }
            answer.queries(request.queries.get(own..).unwrap_or_default());
        }
        answer.begin_results();
        let mut values = 0;
        for query in &request.queries {
            answer.begin_row();
            for (component, sub_component) in query.selectors() {
                match find(store, &request, query, &component, &sub_component) {
                    Ok(None) => {}
                    Ok(Some(found)) => {
                        let padding = found.padding(&request);
                        let count = found.values().len().saturating_add(padding);
                        values += if request.with_data { count } else { 0 };
                        if values > VALUES_MAX {
                            answer.error(&ReadError::TooMany.to_string());
                        } else {
                            answer.found(&found, &request, query, padding);
                        }
                    }
                    Err(error) => answer.error(&error.to_string()),
                }
            }
            answer.end_row();
        }
        answer.end()
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
