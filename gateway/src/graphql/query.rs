//! The root: what can be asked (graphql-api.md 8).

use async_graphql::{Context, ID, Object, Result};
use cc_proto::auth::v1 as auth;
use cc_proto::job_db::v1 as proto;

use super::clusters::{Cluster, GlobalMetricListItem};
use super::context::{self, Viewing, error, refused};
use super::inputs::{JobFilter, NodeFilter, OrderByInput, PageRequest, job_filters, node_filters};
use super::job_sets::{self, Footprints, JobStats, Roofline};
use super::jobs::{Job, JobResultList, Me, Tag, User};
use super::many::{self, Many};
use super::node_metrics::{Asked, ClusterMetrics, Listed, NodeMetrics, NodesResultList};
use super::nodes::{Count, Node, NodeStateResultList, NodeStates, NodeStatesTimed, list_nodes};
use super::scalars::{Any, MetricScope, Time};
use super::series::{JobMetricWithName, JobMetricsOfJob, MetricStatistics, outward};
use super::statistics::{self, Aggregate, JobsStatistics, SortByAggregate};
use super::stats::{NamedStats, NamedStatsWithScope, ScopedStats, archived_stats, live_stats};
use crate::series::{Wanted, in_store};
use cc_runtime::caller::Role;

/// Jobs of a page where the request names no size.
const PAGE_DEFAULT: i64 = 50;
/// Largest page.
const PAGE_MAX: i64 = 10_000;
/// Complexity of a field that reads the series or statistics of many jobs or nodes, besides that of what is selected in
/// it: aliases repeat a field as often as the limit of a request allows.
const MANY: usize = 200;
/// The same for one job, and for sums that the database makes.
const ONE: usize = 100;

/// Values of a job in an answer, about.
const JOB_VALUES: usize = 32;

/// What can be asked.
pub(super) struct Query;

#[expect(clippy::unused_async, reason = "resolvers are async by the macro's contract")]
#[Object]
impl Query {
    /// Every cluster of the job archive.
    async fn clusters(&self, ctx: &Context<'_>) -> Result<Vec<Cluster>> {
        Ok(context::of(ctx)?.clusters.clusters.iter().cloned().map(Cluster).collect())
    }

    /// The tags the caller may see.
    async fn tags(&self, ctx: &Context<'_>) -> Result<Vec<Tag>> {
        let viewing = context::of(ctx)?;
        let answer = viewing.state.job_db().list_tags(viewing.request(proto::ListTagsRequest {})).await;
        Ok(answer.map_err(|status| refused(&status))?.into_inner().tags.iter().map(Tag::from).collect())
    }

    /// Union of the metrics of all clusters; metrics restricted for the caller are absent.
    async fn global_metrics(&self, ctx: &Context<'_>) -> Result<Vec<GlobalMetricListItem>> {
        let viewing = context::of(ctx)?;
        let metrics = if viewing.caller.has_any(&[Role::User, Role::Manager]) {
            viewing.clusters.clusters.global_metrics_for_users()
        } else {
            viewing.clusters.clusters.global_metrics()
        };
        Ok(metrics.into_iter().map(GlobalMetricListItem::from).collect())
    }

    /// Name and mail of a user; null when the name is not in the user table.
    async fn user(&self, ctx: &Context<'_>, username: String) -> Option<Result<User>> {
        let found = async { Ok(context::of(ctx)?.user(&username).await?.map(User::from)) };
        found.await.transpose()
    }

    /// One job by database id; null with an error when it does not exist or the caller may not see it.
    async fn job(&self, ctx: &Context<'_>, id: ID) -> Option<Result<Job>> {
        let found = async { context::of(ctx)?.job(super::scalars::id(&id)?).await.map(Job) };
        Some(found.await)
    }

    /// Series of one job. `metrics` null: all. `scopes` null: node (running) or all archived. `resolution`: seconds per
    /// point wanted; 0: native; null: the coarsest configured.
    #[graphql(complexity = "ONE + child_complexity")]
    async fn job_metrics(
        &self,
        ctx: &Context<'_>,
        id: ID,
        metrics: Option<Vec<String>>,
        scopes: Option<Vec<MetricScope>>,
        resolution: Option<i64>,
    ) -> Result<Vec<JobMetricWithName>> {
        let viewing = context::of(ctx)?;
        let job = viewing.job(super::scalars::id(&id)?).await?;
        let resolution = resolution_of(viewing, resolution)?;
        let metrics = viewing.some_metrics(metrics)?;
        let _turn = viewing.turn().await?;
        let wanted = Wanted { metrics, scopes: scopes_of(scopes), resolution, with_data: true };
        let loaded = viewing.series(&job, wanted).await.map_err(|status| refused(&status))?;
        Ok(loaded.metrics.into_iter().map(|metric| outward(metric, usize::MAX)).collect())
    }

    /// Statistics of one job over all its nodes.
    #[graphql(complexity = "ONE + child_complexity")]
    async fn job_stats(
        &self,
        ctx: &Context<'_>,
        id: ID,
        metrics: Option<Vec<String>>,
    ) -> Result<Vec<NamedStats>> {
        let viewing = context::of(ctx)?;
        let job = viewing.job(super::scalars::id(&id)?).await?;
        let metrics = viewing.metric_names(metrics.unwrap_or_default())?;
        if metrics.is_empty() {
            return Ok(Vec::new());
        }
        if in_store(&job) {
            live_stats(viewing, &job, metrics).await
        } else {
            archived_stats(viewing, &job, metrics).await
        }
    }

    /// Statistics of one job per series.
    #[graphql(complexity = "ONE + child_complexity")]
    async fn scoped_job_stats(
        &self,
        ctx: &Context<'_>,
        id: ID,
        metrics: Option<Vec<String>>,
        scopes: Option<Vec<MetricScope>>,
    ) -> Result<Vec<NamedStatsWithScope>> {
        let viewing = context::of(ctx)?;
        let job = viewing.job(super::scalars::id(&id)?).await?;
        // Of an archived job all metrics and scopes, whatever was asked: clients of the reference rely on it.
        let (metrics, scopes) = if in_store(&job) { (metrics, scopes) } else { (None, None) };
        let metrics = viewing.some_metrics(metrics)?;
        let _turn = viewing.turn().await?;
        let wanted = Wanted { metrics, scopes: scopes_of(scopes), resolution: 0, with_data: false };
        let loaded = viewing.series(&job, wanted).await.map_err(|status| refused(&status))?;
        let stats = loaded.metrics.into_iter().map(|metric| NamedStatsWithScope {
            name: metric.name,
            scope: MetricScope(metric.scope),
            stats: metric
                .series
                .into_iter()
                .map(|one| ScopedStats {
                    hostname: one.hostname,
                    id: one.id,
                    data: one.statistics.as_ref().map(MetricStatistics::from).unwrap_or_default(),
                })
                .collect(),
        });
        Ok(stats.collect())
    }

    /// The jobs the caller may see. `page` null: the first 50.
    async fn jobs(
        &self,
        ctx: &Context<'_>,
        filter: Option<Vec<JobFilter>>,
        page: Option<PageRequest>,
        order: Option<OrderByInput>,
    ) -> Result<JobResultList> {
        let viewing = context::of(ctx)?;
        let page = page.unwrap_or(PageRequest { items_per_page: PAGE_DEFAULT, page: 1 });
        let page_size = match page.items_per_page {
            -1 => 0,
            size @ 1..=PAGE_MAX => u32::try_from(size).unwrap_or_default(),
            size => return Err(error("INVALID", format!("invalid items-per-page value: {size}"))),
        };
        let selected = ctx.look_ahead();
        let items = selected.field("items");
        let wants = |field: &str| items.field(field).exists();
        let request = proto::ListJobsRequest {
            filters: job_filters(filter, viewing.state.clock().unix())?,
            order: order.map(Into::into),
            page: u32::try_from(page.page.max(1)).unwrap_or(u32::MAX),
            page_size,
            with_metadata: wants("metaData"),
            with_tags: wants("tags"),
            with_count: selected.field("count").exists(),
            with_job_name: wants("jobName"),
            unordered: false,
        };
        let answer = viewing.state.job_db().list_jobs(viewing.request(request)).await;
        let answer = answer.map_err(|status| refused(&status))?.into_inner();
        viewing.take_values(answer.jobs.len(), JOB_VALUES)?;
        if wants("userData") {
            many::prefetch_users(viewing, &answer.jobs).await?;
        }
        Ok(JobResultList {
            items: answer.jobs.into_iter().map(Job).collect(),
            offset: None,
            limit: None,
            count: answer.count,
            has_next_page: Some(answer.has_next_page),
        })
    }

    /// Sums and histograms over the jobs the caller may see, as far as the fields are selected.
    #[expect(clippy::too_many_arguments, reason = "the arguments are the contract of the query")]
    #[graphql(complexity = "ONE + child_complexity")]
    async fn jobs_statistics(
        &self,
        ctx: &Context<'_>,
        filter: Option<Vec<JobFilter>>,
        metrics: Option<Vec<String>>,
        page: Option<PageRequest>,
        sort_by: Option<SortByAggregate>,
        group_by: Option<Aggregate>,
        #[graphql(default_with = "Some(\"1h\".to_owned())")] num_duration_bins: Option<String>,
        #[graphql(default_with = "Some(10)")] num_metric_bins: Option<i64>,
    ) -> Result<Vec<JobsStatistics>> {
        let arguments = statistics::Arguments {
            filter,
            metrics,
            page,
            sort_by,
            group_by,
            num_duration_bins: num_duration_bins.unwrap_or_else(|| "1h".to_owned()),
            num_metric_bins: num_metric_bins.unwrap_or(10),
        };
        statistics::load(ctx, context::of(ctx)?, arguments).await
    }

    /// Additive: the series of many jobs in one request, in the order of `ids` (at most 100). A job that does not exist
    /// or that the caller may not see is left out; one whose series cannot be read has `error`, and the others are
    /// answered all the same. `metrics`, `scopes`, `resolution` as in `jobMetrics`. `points` replaces `resolution`
    /// where given: about how many points per series are wanted; each job gets the resolution that fits its duration,
    /// rounded up to a multiple of the metric's timestep. `maxSeries`: where a metric has more series than this,
    /// `series` is null and `statisticsSeries` is filled instead, so that a list of large jobs stays small.
    #[expect(clippy::too_many_arguments, reason = "the arguments are the contract of the query")]
    #[graphql(complexity = "MANY + child_complexity")]
    async fn jobs_metrics(
        &self,
        ctx: &Context<'_>,
        ids: Vec<ID>,
        metrics: Option<Vec<String>>,
        scopes: Option<Vec<MetricScope>>,
        resolution: Option<i64>,
        points: Option<i64>,
        max_series: Option<i64>,
    ) -> Result<Option<Vec<JobMetricsOfJob>>> {
        let viewing = context::of(ctx)?;
        let many = Many {
            ids: super::scalars::ids(&ids)?,
            metrics: viewing.some_metrics(metrics)?,
            scopes,
            resolution: resolution_of(viewing, resolution)?,
            points: points.map(|points| points.max(1)),
            series_max: max_series
                .map_or(usize::MAX, |most| usize::try_from(most.max(0)).unwrap_or(usize::MAX)),
        };
        let _turn = viewing.turn().await?;
        many.load(viewing).await.map(Some)
    }

    /// Additive: the caller.
    async fn me(&self, ctx: &Context<'_>) -> Option<Me> {
        let viewing = context::of(ctx).ok()?;
        let name = viewing.user(&viewing.caller.name).await.ok().flatten().map(|user| user.name);
        Some(Me {
            username: viewing.caller.name.clone(),
            name: name.unwrap_or_default(),
            roles: viewing.caller.roles.iter().map(|role| role.as_str().to_owned()).collect(),
            projects: viewing.caller.projects.clone(),
        })
    }

    /// Additive: the caller's own settings of the UI, an object of values by name; see `updateConfiguration`.
    async fn settings(&self, ctx: &Context<'_>) -> Option<Result<Any>> {
        let found = async {
            let viewing = context::of(ctx)?;
            let request = viewing.request(auth::GetSettingsRequest {});
            let answer = viewing.state.auth().get_settings(request).await;
            let settings = answer.map_err(|status| refused(&status))?.into_inner().settings.into_iter();
            let values = settings.filter_map(|one| Some((one.name, serde_json::from_str(&one.value).ok()?)));
            Ok(Any(serde_json::Value::Object(values.collect())))
        };
        Some(found.await)
    }

    /// Per subcluster the number of distinct hosts used by running jobs.
    async fn allocated_nodes(&self, ctx: &Context<'_>, cluster: String) -> Result<Vec<Count>> {
        let viewing = context::of(ctx)?;
        let request = viewing.request(proto::AllocatedNodesRequest { cluster });
        let answer = viewing.state.job_db().allocated_nodes(request).await;
        Ok(answer
            .map_err(|status| refused(&status))?
            .into_inner()
            .counts
            .into_iter()
            .map(Count::from)
            .collect())
    }

    /// Latest state of one node by database id.
    async fn node(&self, ctx: &Context<'_>, id: ID) -> Option<Result<Node>> {
        let found = async {
            let viewing = context::of(ctx)?;
            let request = viewing.request(proto::GetNodeRequest { id: super::scalars::id(&id)? });
            let answer = viewing.state.job_db().get_node(request).await;
            Ok(answer.map_err(|status| refused(&status))?.into_inner().node.map(Node::from))
        };
        found.await.transpose()
    }

    /// Latest state per node, ordered by host name.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        filter: Option<Vec<NodeFilter>>,
        order: Option<OrderByInput>,
    ) -> Result<NodeStateResultList> {
        list_nodes(context::of(ctx)?, filter, order, false).await
    }

    /// As `nodes`, with `metaData` and `healthData` filled.
    async fn nodes_with_meta(
        &self,
        ctx: &Context<'_>,
        filter: Option<Vec<NodeFilter>>,
        order: Option<OrderByInput>,
    ) -> Result<NodeStateResultList> {
        list_nodes(context::of(ctx)?, filter, order, true).await
    }

    /// Number of nodes by latest scheduler state, followed by those by health state.
    async fn node_states(
        &self,
        ctx: &Context<'_>,
        filter: Option<Vec<NodeFilter>>,
    ) -> Result<Vec<NodeStates>> {
        let viewing = context::of(ctx)?;
        let request = viewing.request(proto::CountNodeStatesRequest { filters: node_filters(filter) });
        let answer = viewing.state.job_db().count_node_states(request).await;
        let answer = answer.map_err(|status| refused(&status))?.into_inner();
        Ok(answer.scheduler.into_iter().chain(answer.health).map(NodeStates::from).collect())
    }

    /// Number of nodes by state and time; `type` is `node` or `health`.
    async fn node_states_timed(
        &self,
        ctx: &Context<'_>,
        filter: Option<Vec<NodeFilter>>,
        r#type: String,
    ) -> Result<Vec<NodeStatesTimed>> {
        let health = match r#type.as_str() {
            "node" => false,
            "health" => true,
            _ => return Err(error("INVALID", "unknown Node State Query Type")),
        };
        let viewing = context::of(ctx)?;
        let request = viewing.request(proto::TimeNodeStatesRequest { filters: node_filters(filter), health });
        let answer = viewing.state.job_db().time_node_states(request).await;
        let states = answer.map_err(|status| refused(&status))?.into_inner().states;
        Ok(states.into_iter().map(NodeStatesTimed::from).collect())
    }

    /// Statistics of each job that matches, by start time; at most 10,000 jobs. Jobs without any are left out.
    #[graphql(complexity = "MANY + child_complexity")]
    async fn jobs_metric_stats(
        &self,
        ctx: &Context<'_>,
        filter: Option<Vec<JobFilter>>,
        metrics: Option<Vec<String>>,
    ) -> Result<Vec<JobStats>> {
        let viewing = context::of(ctx)?;
        let filters = job_filters(filter, viewing.state.clock().unix())?;
        let metrics = viewing.metric_names(metrics.unwrap_or_default())?;
        let _turn = viewing.turn().await?;
        job_sets::metric_stats(viewing, filters, metrics).await
    }

    /// Averages of the jobs that match with their weights; at most 500 jobs.
    #[graphql(complexity = "MANY + child_complexity")]
    async fn jobs_footprints(
        &self,
        ctx: &Context<'_>,
        filter: Option<Vec<JobFilter>>,
        metrics: Vec<String>,
    ) -> Option<Result<Footprints>> {
        let found = async {
            let viewing = context::of(ctx)?;
            let filters = job_filters(filter, viewing.state.clock().unix())?;
            let metrics = viewing.metric_names(metrics)?;
            let _turn = viewing.turn().await?;
            job_sets::footprints(viewing, filters, metrics).await
        };
        Some(found.await)
    }

    /// How many samples of the jobs that match lie where in the plane of arithmetic intensity (x) and performance (y);
    /// row by row, from the lowest performance on; at most 500 jobs.
    #[expect(clippy::too_many_arguments, reason = "the arguments are the contract of the query")]
    #[graphql(complexity = "MANY + child_complexity")]
    async fn roofline_heatmap(
        &self,
        ctx: &Context<'_>,
        filter: Vec<JobFilter>,
        rows: i64,
        cols: i64,
        #[graphql(name = "minX")] min_x: f64,
        #[graphql(name = "minY")] min_y: f64,
        #[graphql(name = "maxX")] max_x: f64,
        #[graphql(name = "maxY")] max_y: f64,
    ) -> Result<Vec<Vec<f64>>> {
        let viewing = context::of(ctx)?;
        let plane = Roofline::new(rows, cols, (min_x, max_x), (min_y, max_y))?;
        let filters = job_filters(Some(filter), viewing.state.clock().unix())?;
        plane.count(viewing, filters).await
    }

    /// Series of nodes at node scope in a window of time; nodes without any sample are absent. `nodes` null: all of the
    /// cluster. `scopes` is not looked at.
    #[expect(clippy::too_many_arguments, reason = "the arguments are the contract of the query")]
    #[graphql(complexity = "MANY + child_complexity")]
    async fn node_metrics(
        &self,
        ctx: &Context<'_>,
        cluster: String,
        nodes: Option<Vec<String>>,
        scopes: Option<Vec<MetricScope>>,
        metrics: Option<Vec<String>>,
        from: Time,
        to: Time,
    ) -> Result<Vec<NodeMetrics>> {
        // part of the contract, without a meaning
        drop(scopes);
        let viewing = context::of(ctx)?;
        let _turn = viewing.turn().await?;
        Asked { cluster, metrics, window: (from.0, to.0) }.nodes(viewing, nodes).await
    }

    /// A page of nodes by name with their series. `stateFilter`: `all`, a state of the scheduler, or `notindb` for hosts
    /// that no scheduler ever reported. `nodeFilter`: part of the name, or empty. `scopes` null: no data.
    #[expect(clippy::too_many_arguments, reason = "the arguments are the contract of the query")]
    #[graphql(complexity = "MANY + child_complexity")]
    async fn node_metrics_list(
        &self,
        ctx: &Context<'_>,
        cluster: String,
        sub_cluster: String,
        state_filter: String,
        node_filter: String,
        scopes: Option<Vec<MetricScope>>,
        metrics: Option<Vec<String>>,
        from: Time,
        to: Time,
        page: Option<PageRequest>,
        resolution: Option<i64>,
    ) -> Result<NodesResultList> {
        let viewing = context::of(ctx)?;
        let listed = Listed {
            sub_cluster,
            state: state_filter,
            name: node_filter,
            page,
            scopes: scopes_of(scopes),
            resolution: resolution_of(viewing, resolution)?,
        };
        let _turn = viewing.turn().await?;
        Asked { cluster, metrics, window: (from.0, to.0) }.list(viewing, listed).await
    }

    /// Sums over all nodes of a cluster.
    #[graphql(complexity = "MANY + child_complexity")]
    async fn cluster_metrics(
        &self,
        ctx: &Context<'_>,
        cluster: String,
        metrics: Option<Vec<String>>,
        from: Time,
        to: Time,
    ) -> Result<ClusterMetrics> {
        let viewing = context::of(ctx)?;
        let _turn = viewing.turn().await?;
        Asked { cluster, metrics, window: (from.0, to.0) }.sums(viewing).await
    }
}

/// Seconds per point: as asked, or the coarsest configured.
fn resolution_of(viewing: &Viewing, asked: Option<i64>) -> Result<u32> {
    match asked {
        None => Ok(viewing.default_resolution()),
        Some(seconds) => u32::try_from(seconds).map_err(|_| {
            error("INVALID", format!("resolution {seconds} is not a number of seconds from 0 on"))
        }),
    }
}

/// Scopes of a request, as the services know them.
pub(super) fn scopes_of(scopes: Option<Vec<MetricScope>>) -> Option<Vec<cc_model::scope::MetricScope>> {
    scopes.map(|scopes| scopes.into_iter().map(|scope| scope.0).collect())
}
