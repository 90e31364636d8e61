//! The HTTP interface of a store of the reference's kind (spec metric-store.md 9, 12).

use std::collections::HashMap;
use std::time::Duration;

use cc_proto::metric_store::v1::NodeHealth;
use cc_runtime::cpu;
use cc_runtime::error::{Failure, Kind};
use cc_runtime::tasks::chain;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::error::Error;

/// To get a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// For one answer, from the first byte of the request to the last of the answer.
const ANSWER: Duration = Duration::from_secs(20);
/// The largest answer that is taken.
const ANSWER_BYTES_MAX: usize = 512 << 20;

/// One store.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
    scope: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Client")
            .field("base", &self.base)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// One question of a query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Question {
    pub(super) metric: String,
    pub(super) host: String,
    pub(super) resolution: i64,
    pub(super) aggreg: bool,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<&'static str>,
    #[serde(rename = "type-ids", skip_serializing_if = "Vec::is_empty")]
    pub(super) ids: Vec<String>,
}

/// A whole query.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Query<'a> {
    pub(super) cluster: &'a str,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) with_stats: bool,
    pub(super) with_data: bool,
    pub(super) with_padding: bool,
    pub(super) for_all_nodes: Option<()>,
    pub(super) queries: Vec<Question>,
}

/// What was found for a question.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    pub(super) error: Option<String>,
    pub(super) data: Vec<Option<f64>>,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) resolution: i64,
    pub(super) avg: Option<f64>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}

#[derive(Deserialize)]
struct Answers {
    #[serde(default)]
    results: Vec<Vec<Answer>>,
}

impl Client {
    pub(super) fn new(url: &str, token: &str, scope: &str) -> Result<Self, Error> {
        let bad = |why: &str| {
            Error::Invalid(format!(
                "metric-store-external: the entry with scope {scope:?} has url {url:?}, {why}; expected a base URL such as http://HOST:8082"
            ))
        };
        let parsed = reqwest::Url::parse(url).map_err(|error| bad(&error.to_string()))?;
        if !["http", "https"].contains(&parsed.scheme()) {
            return Err(bad("which is neither http nor https"));
        }
        cc_runtime::tls::install_provider();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| bad(&chain(&error)))?;
        let base = url.trim_end_matches('/').to_owned();
        Ok(Self { http, base, token: token.to_owned(), scope: scope.to_owned() })
    }

    /// The answers to each question, in order; a question whose series are not there has none.
    pub(super) async fn ask(&self, query: &Query<'_>) -> Result<Vec<Vec<Answer>>, Status> {
        let body = serde_json::to_vec(query).map_err(|error| self.failed(&error.to_string()))?;
        let text = self.query(body).await?;
        let answers: Answers = self.parse(text).await?;
        let mut results = answers.results;
        // more than was asked for is ignored, as the reference does; less is no answer
        results.truncate(query.queries.len());
        if results.len() < query.queries.len() {
            let (found, asked) = (results.len(), query.queries.len());
            return Err(self.failed(&format!("it answered {found} of {asked} questions")));
        }
        Ok(results)
    }

    /// A query as JSON, answered as JSON.
    pub(super) async fn query(&self, body: Vec<u8>) -> Result<Vec<u8>, Status> {
        self.send("/api/query?version=v2", body).await
    }

    /// The health of nodes by these metrics.
    pub(super) async fn health(
        &self,
        cluster: &str,
        hosts: &[String],
        metrics: &[String],
    ) -> Result<Vec<NodeHealth>, Status> {
        #[derive(Deserialize)]
        struct Health {
            #[serde(rename = "State")]
            state: String,
            #[serde(rename = "HealthMetrics", default)]
            metrics: String,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Lists {
            missing: Vec<String>,
            degraded: Vec<String>,
        }

        let body = serde_json::json!({"cluster": cluster, "nodes": hosts, "metric-names": metrics});
        let text = self.send("/api/healthcheck", body.to_string().into_bytes()).await?;
        let found: HashMap<String, Health> = self.parse(text).await?;
        let of = |host: &String| {
            let health = found.get(host)?;
            let lists: Lists = serde_json::from_str(&health.metrics).unwrap_or_default();
            let (missing, degraded) = (lists.missing, lists.degraded);
            Some(NodeHealth { hostname: host.clone(), state: health.state.clone(), missing, degraded })
        };
        Ok(hosts.iter().filter_map(of).collect())
    }

    /// Reads an answer, of up to [`ANSWER_BYTES_MAX`]. It was waited for, so a place to read it is as well.
    async fn parse<T: DeserializeOwned + Send + 'static>(&self, text: Vec<u8>) -> Result<T, Status> {
        let parsed = cpu::wait(move || serde_json::from_slice(&text)).await?;
        parsed.map_err(|error| self.failed(&format!("its answer is none: {error}")))
    }

    /// Sends once more when the connection was lost: both routes only read.
    async fn send(&self, path: &str, body: Vec<u8>) -> Result<Vec<u8>, Status> {
        match self.send_once(path, body.clone()).await {
            Err(Lost::Connection(_)) => self.send_once(path, body).await,
            answer => answer,
        }
        .map_err(|lost| match lost {
            Lost::Connection(text) | Lost::Answer(text) => self.failed(&text),
        })
    }

    async fn send_once(&self, path: &str, body: Vec<u8>) -> Result<Vec<u8>, Lost> {
        let mut request = self.http.get(format!("{}{path}", self.base)).body(body);
        request = request.header("content-type", "application/json");
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        let lost = |error: reqwest::Error| {
            let text = chain(&error.without_url());
            Lost::Connection(text)
        };
        let mut answer = request.send().await.map_err(|error| {
            if error.is_timeout() {
                Lost::Answer(format!("no answer within {} s", ANSWER.as_secs()))
            } else {
                lost(error)
            }
        })?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(piece) =
            answer.chunk().await.map_err(|error| Lost::Answer(chain(&error.without_url())))?
        {
            if bytes.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(Lost::Answer(format!(
                    "its answer is larger than {} MiB",
                    ANSWER_BYTES_MAX >> 20
                )));
            }
            bytes.extend_from_slice(&piece);
        }
        if status == reqwest::StatusCode::OK {
            return Ok(bytes);
        }
        let said =
            String::from_utf8_lossy(bytes.get(..bytes.len().min(200)).unwrap_or_default()).trim().to_owned();
        let fix = match status.as_u16() {
            401 | 403 => "; its entry in metric-store-external needs a token that this store accepts",
            404 => "; url must be the base of a cc-metric-store",
            _ => "",
        };
        Err(Lost::Answer(format!("HTTP Status: {status}: {said}{fix}")))
    }

    fn failed(&self, text: &str) -> Status {
        let text = format!("the metric store at '{}' (scope {:?}): {text}", self.base, self.scope);
        tracing::warn!("{text}");
        Failure::new(Kind::Unavailable, "EXTERNAL_METRIC_STORE", text).into()
    }
}

/// Why there is no answer.
enum Lost {
    /// Nobody is there, or somebody hung up: once more may help.
    Connection(String),
    /// There was an answer that is none, or time ran out.
    Answer(String),
}
