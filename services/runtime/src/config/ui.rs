//! Section `ui` (config-and-cli.md 3.8): defaults for users without settings of their own.

use super::section::Section;

/// What pages look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ui {
    /// `job-list`.
    pub job_list: JobList,
    /// `node-list`.
    pub node_list: NodeList,
    /// `job-view`.
    pub job_view: JobView,
    /// `metric-config`: which metrics are shown.
    pub metric_config: MetricConfig,
    /// `plot-configuration`.
    pub plot_configuration: PlotConfiguration,
}

/// `ui.job-list`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobList {
    /// `use-paging`: pages, not endless scrolling. Default false.
    pub use_paging: bool,
    /// `show-footprint`. Default false.
    pub show_footprint: bool,
}

/// `ui.node-list`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeList {
    /// `use-paging`. Default false.
    pub use_paging: bool,
}

/// `ui.job-view`.
#[expect(clippy::struct_excessive_bools, reason = "one switch of the file each")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// `show-polar-plot`. Default true.
    pub show_polar_plot: bool,
    /// `show-footprint`. Default false.
    pub show_footprint: bool,
    /// `show-roofline`. Default true.
    pub show_roofline: bool,
    /// `show-stat-table`. Default true.
    pub show_stat_table: bool,
}

impl Default for JobView {
    fn default() -> Self {
        Self { show_polar_plot: true, show_footprint: false, show_roofline: true, show_stat_table: true }
    }
}

/// `ui.metric-config`: metrics of each view; a list in the file replaces the default list, also an empty one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricConfig {
    /// `job-list-metrics`. Default `cpu_load, flops_any, mem_bw, mem_used`.
    pub job_list: Vec<String>,
    /// `job-view-plot-metrics`. Default as the job list.
    pub job_view_plot: Vec<String>,
    /// `job-view-table-metrics`. Default `flops_any, mem_bw, mem_used`.
    pub job_view_table: Vec<String>,
    /// `clusters`.
    pub clusters: Vec<ClusterMetrics>,
}

impl Default for MetricConfig {
    fn default() -> Self {
        let all = ["cpu_load", "flops_any", "mem_bw", "mem_used"].map(str::to_owned);
        Self {
            job_list: all.to_vec(),
            job_view_plot: all.to_vec(),
            job_view_table: all.into_iter().skip(1).collect(),
            clusters: Vec::new(),
        }
    }
}

/// Metrics for one cluster or subcluster; absent: those of the level above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterMetrics {
    /// `name`.
    pub name: String,
    /// `job-list-metrics`.
    pub job_list: Option<Vec<String>>,
    /// `job-view-plot-metrics`.
    pub job_view_plot: Option<Vec<String>>,
    /// `job-view-table-metrics`.
    pub job_view_table: Option<Vec<String>>,
    /// `sub-clusters`, each with no subclusters of its own.
    pub sub_clusters: Vec<ClusterMetrics>,
}

/// `ui.plot-configuration`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlotConfiguration {
    /// `color-background`: plots are tinted by threshold. Default true.
    pub color_background: bool,
    /// `plots-per-row`. Default 3.
    pub plots_per_row: u32,
    /// `line-width`. Default 3.
    pub line_width: u32,
    /// `color-scheme`: line colours.
    pub color_scheme: Vec<String>,
}

impl Default for PlotConfiguration {
    fn default() -> Self {
        let colors = ["#00bfff", "#0000ff", "#ff00ff", "#ff0000", "#ff8000", "#ffff00", "#80ff00"];
        Self {
            color_background: true,
            plots_per_row: 3,
            line_width: 3,
            color_scheme: colors.map(str::to_owned).to_vec(),
        }
    }
}

/// Reads the section.
pub(super) fn read(section: Section<'_>) -> Ui {
    let mut ui = Ui::default();
    if let Some(list) = section.object("job-list") {
        list.set("use-paging", &mut ui.job_list.use_paging);
        list.set("show-footprint", &mut ui.job_list.show_footprint);
        list.finish();
    }
    if let Some(list) = section.object("node-list") {
        list.set("use-paging", &mut ui.node_list.use_paging);
        list.finish();
    }
    if let Some(view) = section.object("job-view") {
        view.set("show-polar-plot", &mut ui.job_view.show_polar_plot);
        view.set("show-footprint", &mut ui.job_view.show_footprint);
        view.set("show-roofline", &mut ui.job_view.show_roofline);
        view.set("show-stat-table", &mut ui.job_view.show_stat_table);
        view.finish();
    }
    if let Some(metrics) = section.object("metric-config") {
        metrics.set("job-list-metrics", &mut ui.metric_config.job_list);
        metrics.set("job-view-plot-metrics", &mut ui.metric_config.job_view_plot);
        metrics.set("job-view-table-metrics", &mut ui.metric_config.job_view_table);
        let clusters = metrics.objects("clusters").into_iter();
        ui.metric_config.clusters = clusters.filter_map(|cluster| read_cluster(cluster, true)).collect();
        metrics.finish();
    }
    if let Some(plots) = section.object("plot-configuration") {
        plots.set("color-background", &mut ui.plot_configuration.color_background);
        plots.set("plots-per-row", &mut ui.plot_configuration.plots_per_row);
        plots.set("line-width", &mut ui.plot_configuration.line_width);
        plots.set("color-scheme", &mut ui.plot_configuration.color_scheme);
        plots.finish();
    }
    section.finish();
    ui
}

fn read_cluster(section: Section<'_>, with_parts: bool) -> Option<ClusterMetrics> {
    let name = section.need("name");
    let mut metrics = ClusterMetrics {
        name: String::new(),
        job_list: None,
        job_view_plot: None,
        job_view_table: None,
        sub_clusters: Vec::new(),
    };
    section.set("job-list-metrics", &mut metrics.job_list);
    section.set("job-view-plot-metrics", &mut metrics.job_view_plot);
    section.set("job-view-table-metrics", &mut metrics.job_view_table);
    if with_parts {
        let parts = section.objects("sub-clusters").into_iter();
        metrics.sub_clusters = parts.filter_map(|part| read_cluster(part, false)).collect();
    }
    section.finish();
    metrics.name = name?;
    Some(metrics)
}
