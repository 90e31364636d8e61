//! Metric stores elsewhere (`metric-store-external`; spec integrations.md 7, config-and-cli.md 3.7): the same contract, each
//! question routed by cluster and subcluster to the store that has the samples.
//!
//! Samples that come in and the registry stay with the store of this process, if it has one. What is asked of several stores
//! is asked at once; a store that does not answer in time makes the question fail with its name and what to do, never a
//! shorter answer.

mod client;
mod job;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use cc_model::Cluster;
use cc_proto::common::v1 as common;
use cc_proto::metric_store::v1::metric_store_server::MetricStore;
use cc_proto::metric_store::v1::{
    CheckHealthRequest, CheckHealthResponse, ConfigureRequest, ConfigureResponse, DebugRequest, FreeRequest,
    FreeResponse, NodeHealth, PinRunningRequest, PinRunningResponse, QueryJobRequest, RawQueryRequest,
    RawQueryResponse, WriteRequest, WriteResponse,
};
use cc_runtime::config::metric_store::External as Entry;
use cc_runtime::error::{Failure, Kind};
use cc_runtime::health::Readiness;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use serde::Deserialize;
use tonic::{Request, Response, Status, Streaming};

use self::client::Client;
use crate::error::Error;
use crate::grpc::{Grpc, json_pieces};

/// The service: the own store and the others.
#[derive(Debug)]
pub(crate) struct External {
    local: Option<Grpc>,
    stores: BTreeMap<String, Arc<Client>>,
    clusters: RwLock<Arc<BTreeMap<String, Arc<Cluster>>>>,
    /// Ready as soon as the clusters are known; with an own store that one says when.
    readiness: Option<Readiness>,
    instance: u64,
}

/// Who has the samples.
enum Place {
    Here(Grpc),
    There(Arc<Client>),
}

impl External {
    /// Routes to the stores of `entries`, and everything else to `local`. Without `local`, `readiness` is set when the
    /// cluster files are known.
    ///
    /// # Errors
    /// An entry cannot be used.
    pub(crate) fn new(
        entries: &[Entry],
        local: Option<Grpc>,
        readiness: &Readiness,
        instance: u64,
    ) -> Result<Self, Error> {
        let mut stores = BTreeMap::new();
        for entry in entries {
            let client = Client::new(&entry.url, &entry.token, &entry.scope)?;
            if stores.insert(entry.scope.clone(), Arc::new(client)).is_some() {
                tracing::warn!(
                    "metric-store-external: scope {:?} is there twice, the last entry counts",
                    entry.scope
                );
            }
        }
        let readiness = local.is_none().then(|| readiness.clone());
        if let Some(readiness) = &readiness {
            readiness.not_ready("waiting for the cluster files");
        }
        Ok(Self { local, stores, clusters: RwLock::default(), readiness, instance })
    }

    /// The store that has the samples of a subcluster.
    fn place(&self, cluster: &str, sub_cluster: &str) -> Result<Place, Status> {
        let key = format!("{cluster}-{sub_cluster}");
        let there =
            self.stores.get(&key).or_else(|| self.stores.get(cluster)).or_else(|| self.stores.get("*"));
        if let Some(client) = there {
            return Ok(Place::There(Arc::clone(client)));
        }
        self.local.clone().map(Place::Here).ok_or_else(|| {
            let text = format!(
                "[METRICDISPATCH]> no metric data repository configured '{key}': add a section metric-store, or an entry with scope {cluster:?} or \"*\" to metric-store-external"
            );
            Failure::new(Kind::Unavailable, "NO_METRIC_STORE", text).into()
        })
    }

    /// The own store, for what only it can do.
    fn local(&self, what: &str) -> Result<&Grpc, Status> {
        self.local.as_ref().ok_or_else(|| {
            let text = format!(
                "{what}: this site has no metric store of its own (section metric-store), only those of metric-store-external"
            );
            Failure::new(Kind::Unavailable, "NO_METRIC_STORE", text).into()
        })
    }

    fn clusters(&self) -> Arc<BTreeMap<String, Arc<Cluster>>> {
        Arc::clone(&self.clusters.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn cluster(&self, name: &str) -> Option<Arc<Cluster>> {
        self.clusters().get(name).map(Arc::clone)
    }

    /// Things by the subcluster of their host: the one that is named, or the one that lists the host.
    fn by_sub_cluster<T>(
        &self,
        cluster: &str,
        named: &str,
        things: Vec<T>,
        host: impl Fn(&T) -> &str,
    ) -> BTreeMap<String, Vec<T>> {
        let file = self.cluster(cluster);
        let mut parts: BTreeMap<String, Vec<T>> = BTreeMap::new();
        for thing in things {
            let listed = file.as_ref().and_then(|file| file.sub_cluster_of(host(&thing)));
            let name = if named.is_empty() { listed.map_or("", |sub| &sub.name) } else { named };
            parts.entry(name.to_owned()).or_default().push(thing);
        }
        parts
    }
}

type Series = BoxStream<'static, Result<common::SeriesChunk, Status>>;

#[tonic::async_trait]
impl MetricStore for External {
    type QueryJobStream = Series;
    type RawQueryStream = BoxStream<'static, Result<RawQueryResponse, Status>>;
    type DebugStream = BoxStream<'static, Result<RawQueryResponse, Status>>;

    async fn configure(
        &self,
        request: Request<ConfigureRequest>,
    ) -> Result<Response<ConfigureResponse>, Status> {
        let mut problems = Vec::new();
        let mut clusters = BTreeMap::new();
        for file in &request.get_ref().clusters {
            match Cluster::from_json(&file.json) {
                Ok(cluster) => {
                    clusters.insert(file.name.clone(), Arc::new(cluster));
                }
                Err(error) => problems.push(format!("cluster {}: {error}", file.name)),
            }
        }
        *self.clusters.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(clusters);
        if let Some(local) = &self.local {
            return local.configure(request).await;
        }
        if let Some(readiness) = &self.readiness {
            readiness.ready();
        }
        Ok(Response::new(ConfigureResponse { problems, instance: self.instance }))
    }

    async fn pin_running(
        &self,
        request: Request<PinRunningRequest>,
    ) -> Result<Response<PinRunningResponse>, Status> {
        let known = !self.clusters().is_empty();
        let Some(local) = &self.local else {
            // the stores elsewhere keep what they keep
            return Ok(Response::new(PinRunningResponse { instance: self.instance, configured: known }));
        };
        let mut answer = local.pin_running(request).await?.into_inner();
        // after a start the own store still has its registry, and we need one too
        answer.configured &= known;
        Ok(Response::new(answer))
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Result<Response<WriteResponse>, Status> {
        self.local("samples are not taken")?.write(request).await
    }

    async fn query_job(&self, request: Request<QueryJobRequest>) -> Result<Response<Series>, Status> {
        let (metadata, extensions, mut query) = request.into_parts();
        let resources = std::mem::take(&mut query.resources);
        let parts =
            self.by_sub_cluster(&query.cluster, &query.sub_cluster, resources, |resource| &resource.hostname);
        let mut answers = Vec::with_capacity(parts.len());
        for (sub_cluster, resources) in parts {
            let place = self.place(&query.cluster, &sub_cluster)?;
            let query = QueryJobRequest { sub_cluster, resources, ..query.clone() };
            answers.push(match place {
                Place::Here(local) => {
                    let request = Request::from_parts(metadata.clone(), extensions.clone(), query);
                    local.query_job(request).await?.into_inner()
                }
                Place::There(client) => {
                    let cluster = self.cluster(&query.cluster);
                    let known = self.clusters().is_empty();
                    if known {
                        return Err(Error::NotConfigured.into());
                    }
                    job::series(client, cluster.as_deref(), query)?
                }
            });
        }
        Ok(Response::new(joined(answers)))
    }

    async fn raw_query(
        &self,
        request: Request<RawQueryRequest>,
    ) -> Result<Response<Self::RawQueryStream>, Status> {
        #[derive(Deserialize)]
        struct Named {
            #[serde(default)]
            cluster: String,
        }

        let named = serde_json::from_slice::<Named>(&request.get_ref().json).ok();
        match self.place(&named.map(|named| named.cluster).unwrap_or_default(), "")? {
            Place::Here(local) => local.raw_query(request).await,
            Place::There(client) => {
                let answer = client.query(request.into_inner().json.to_vec()).await?;
                Ok(Response::new(json_pieces(answer)))
            }
        }
    }

    async fn debug(&self, request: Request<DebugRequest>) -> Result<Response<Self::DebugStream>, Status> {
        self.local("there is nothing to show")?.debug(request).await
    }

    async fn free(&self, request: Request<FreeRequest>) -> Result<Response<FreeResponse>, Status> {
        self.local("there is nothing to free")?.free(request).await
    }

    async fn check_health(
        &self,
        request: Request<CheckHealthRequest>,
    ) -> Result<Response<CheckHealthResponse>, Status> {
        let (metadata, extensions, CheckHealthRequest { cluster, hostnames }) = request.into_parts();
        let parts = self.by_sub_cluster(&cluster, "", hostnames, |host| host);
        let mut asked = Vec::with_capacity(parts.len());
        for (sub_cluster, hostnames) in parts {
            let place = self.place(&cluster, &sub_cluster)?;
            let (metadata, extensions, cluster) = (metadata.clone(), extensions.clone(), cluster.clone());
            let metrics = self.metrics(&cluster, &sub_cluster);
            asked.push(async move {
                match place {
                    Place::Here(local) => {
                        let message = CheckHealthRequest { cluster, hostnames };
                        let request = Request::from_parts(metadata, extensions, message);
                        local.check_health(request).await.map(|answer| answer.into_inner().nodes)
                    }
                    Place::There(client) => client.health(&cluster, &hostnames, &metrics).await,
                }
            });
        }
        let nodes: Vec<Vec<NodeHealth>> = futures::future::try_join_all(asked).await?;
        Ok(Response::new(CheckHealthResponse { nodes: nodes.into_iter().flatten().collect() }))
    }
}

impl External {
    /// All metrics of a subcluster.
    fn metrics(&self, cluster: &str, sub_cluster: &str) -> Vec<String> {
        let Some(cluster) = self.cluster(cluster) else { return Vec::new() };
        let sub = cluster.sub_clusters.iter().find(|sub| sub.name == sub_cluster);
        let has = |name: &str| sub.is_some_and(|sub| sub.metric(name).is_some());
        cluster.metric_config.iter().map(|metric| metric.name.clone()).filter(|name| has(name)).collect()
    }
}

/// Several answers as one: their series are numbered anew, each store's in its own order.
fn joined(mut answers: Vec<Series>) -> Series {
    use common::series_chunk::Part;

    if answers.len() == 1
        && let Some(only) = answers.pop()
    {
        return only;
    }
    let mut next = 0;
    let renumbered = stream::iter(answers).flatten();
    // A header begins a series, its data follow: the last header's number is the one meant.
    renumbered
        .map(move |chunk| {
            let mut chunk = chunk?;
            match &mut chunk.part {
                Some(Part::Header(header)) => {
                    header.series = next;
                    next += 1;
                }
                Some(Part::Data(data)) => data.series = next - 1,
                Some(Part::Missing(_) | Part::Statistics(_)) | None => {}
            }
            Ok(chunk)
        })
        .boxed()
}

#[cfg(test)]
mod tests;
