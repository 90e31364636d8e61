//! Filters and rights as SQL: constants and parameters only (spec/graphql-api.md 5, job-db.md 7).

use cc_database::Quirks;
use cc_database::sql::Sql;
use cc_model::JobState;

use crate::store::query::{
    Bounds, Filter, IntColumn, NumberOp, Order, SortColumn, SortKey, Term, TextColumn, TextOp,
};
use crate::store::visible::{Rows, TagScopes, Visible};

/// ` WHERE …` of everything that restricts a list.
pub(crate) fn push_where(sql: &mut Sql, visible: &Visible, filters: &[Filter], quirks: Quirks) {
    sql.push(" WHERE ");
    push_visible(sql, visible);
    for term in filters.iter().flat_map(|filter| &filter.terms) {
        sql.push(" AND ");
        push_term(sql, term, quirks);
    }
}

pub(crate) fn push_visible(sql: &mut Sql, visible: &Visible) {
    match visible.rows() {
        Rows::All => sql.push("1"),
        Rows::OfUser(user) => sql.push("job.hpc_user = ").bind(user.clone()),
        Rows::OfProjects { user, projects } => sql
            .push("(job.project IN ")
            .bind_list(projects.iter().cloned())
            .push(" OR job.hpc_user = ")
            .bind(user.clone())
            .push(")"),
    };
}

/// A condition on `tag.tag_scope`.
pub(crate) fn push_scopes(sql: &mut Sql, scopes: &TagScopes) {
    match scopes {
        TagScopes::Every => sql.push("1"),
        TagScopes::Of { admin: true, user } => {
            sql.push("tag.tag_scope IN ('global', 'admin', ").bind(user.clone()).push(")")
        }
        TagScopes::Of { admin: false, user } => sql
            .push("(tag.tag_scope = 'global' OR (tag.tag_scope <> 'admin' AND tag.tag_scope = ")
            .bind(user.clone())
            .push("))"),
    };
}

fn push_term(sql: &mut Sql, term: &Term, quirks: Quirks) {
    match term {
        Term::Nothing => {
            sql.push("0");
        }
        Term::DbId(ids) => {
            sql.push("job.id IN ").bind_list(ids.iter().copied());
        }
        Term::JobId(op) => push_number(sql, op),
        // NULL is tolerated when read and means the same as 0
        Term::ArrayJobId(0) => {
            sql.push("COALESCE(job.array_job_id, 0) = 0");
        }
        Term::ArrayJobId(id) => {
            sql.push("job.array_job_id = ").bind(*id);
        }
        Term::Text(column, op) => push_text(sql, text_column(*column), op),
        Term::JobName(op) => push_text(sql, JOB_NAME, op),
        Term::Int(column, bounds) => push_bounds(sql, int_column(*column), *bounds),
        Term::Energy(bounds) => push_bounds(sql, "job.energy", *bounds),
        Term::StartTime(bounds) => push_bounds(sql, "job.start_time", *bounds),
        Term::State(states) => push_states(sql, states, quirks),
        Term::Shared(shared) => {
            sql.push("job.shared = ").bind(shared.as_str());
        }
        Term::Interactive(true) => {
            sql.push(JOB_NAME).push(" = 'interactive'");
        }
        Term::Interactive(false) => {
            sql.push(JOB_NAME).push(" <> 'interactive'");
        }
        Term::Tags(tags) => {
            sql.push("job.id IN (SELECT jobtag.job_id FROM jobtag WHERE jobtag.tag_id IN ")
                .bind_list(tags.iter().copied())
                .push(")");
        }
        Term::Node(op) => {
            sql.push(HOSTS);
            push_text(sql, HOSTNAME, op);
            sql.push(HOSTS_END);
        }
        Term::Metric(key, bounds) => {
            let path = key.json_path();
            push_metric(sql, &path);
            push_bounds(sql, "", *bounds);
        }
    }
}

/// `NULL`, and so no match, where the metadata is no JSON or has no such key.
pub(crate) const JOB_NAME: &str = "(CASE WHEN json_valid(CAST(job.meta_data AS TEXT)) \
                        THEN CAST(job.meta_data AS TEXT) ->> '$.jobName' END)";

/// Some host of the job with a condition on [`HOSTNAME`] in between. Not written as EXISTS: SQLite 3.51 turns that
/// into a join and then counts a job once per matching host when it skips an OFFSET.
pub(crate) const HOSTS: &str = "(SELECT 1 FROM json_each(CASE WHEN json_valid(CAST(job.resources AS TEXT)) \
                                THEN CAST(job.resources AS TEXT) ELSE '[]' END) AS host WHERE ";
/// The name of a host in [`HOSTS`].
pub(crate) const HOSTNAME: &str = "host.value ->> '$.hostname'";
/// Closes [`HOSTS`].
pub(crate) const HOSTS_END: &str = " LIMIT 1) IS NOT NULL";

/// The number under a path of the footprint, `NULL` where there is none.
fn push_metric(sql: &mut Sql, path: &str) {
    sql.push(
        "(CASE WHEN json_valid(CAST(job.footprint AS TEXT)) THEN json_extract(CAST(job.footprint AS TEXT), ",
    )
    .bind(path.to_owned())
    .push(") END)");
}

fn text_column(column: TextColumn) -> &'static str {
    match column {
        TextColumn::User => "job.hpc_user",
        TextColumn::Project => "job.project",
        TextColumn::Cluster => "job.cluster",
        TextColumn::SubCluster => "job.subcluster",
        TextColumn::Partition => "job.cluster_partition",
    }
}

fn int_column(column: IntColumn) -> &'static str {
    match column {
        IntColumn::Duration => "job.duration",
        IntColumn::NumNodes => "job.num_nodes",
        IntColumn::NumAcc => "job.num_acc",
        IntColumn::NumHwthreads => "job.num_hwthreads",
    }
}

pub(crate) fn push_text(sql: &mut Sql, expression: &'static str, op: &TextOp) {
    sql.push(expression);
    match op {
        TextOp::Eq(text) => sql.push(" = ").bind(text.clone()),
        TextOp::Neq(text) => sql.push(" <> ").bind(text.clone()),
        TextOp::StartsWith(text) => sql.push(" LIKE ").bind(format!("{text}%")),
        TextOp::EndsWith(text) => sql.push(" LIKE ").bind(format!("%{text}")),
        TextOp::Contains(text) => sql.push(" LIKE ").bind(format!("%{text}%")),
        TextOp::In(texts) => sql.push(" IN ").bind_list(texts.iter().cloned()),
    };
}

fn push_number(sql: &mut Sql, op: &NumberOp) {
    match op {
        NumberOp::Eq(number) => {
            sql.push("job.job_id = ").bind(*number);
        }
        NumberOp::Neq(number) => {
            sql.push("job.job_id <> ").bind(*number);
        }
        NumberOp::In(numbers) => {
            sql.push("job.job_id IN ").bind_list(numbers.iter().copied());
        }
        NumberOp::Like(op) => push_text(sql, "CAST(job.job_id AS TEXT)", op),
        NumberOp::Any => {
            sql.push("1");
        }
    }
}

fn push_bounds<T>(sql: &mut Sql, expression: &'static str, bounds: Bounds<T>)
where
    T: for<'value> sqlx::Encode<'value, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    sql.push(expression);
    match bounds {
        Bounds::Between(from, to) => sql.push(" BETWEEN ").bind(from).push(" AND ").bind(to),
        Bounds::AtLeast(from) => sql.push(" >= ").bind(from),
        Bounds::AtMost(to) => sql.push(" <= ").bind(to),
    };
}

fn push_states(sql: &mut Sql, states: &[JobState], quirks: Quirks) {
    // the word itself: an index of running jobs serves only statements that say so
    if states == [JobState::Running] {
        sql.push("job.job_state = 'running'");
        return;
    }
    let words = states.iter().map(|state| state_word(*state, quirks));
    sql.push("job.job_state IN ").bind_list(words);
}

/// A state as this file spells it.
pub(crate) fn state_word(state: JobState, quirks: Quirks) -> &'static str {
    match state {
        JobState::OutOfMemory if quirks.out_of_memory_with_hyphens => "out-of-memory",
        _ => state.as_str(),
    }
}

/// ` ORDER BY …` with the database id as the last word.
pub(crate) fn push_order(sql: &mut Sql, order: Option<&Order>) {
    let Some(Order { key, descending }) = order else {
        sql.push(" ORDER BY job.id");
        return;
    };
    if *key == SortKey::Any {
        return;
    }
    let direction = if *descending { " DESC" } else { " ASC" };
    sql.push(" ORDER BY ");
    match key {
        SortKey::Column(SortColumn::Id) => {
            sql.push("job.id").push(direction);
            return;
        }
        SortKey::Column(column) => {
            sql.push(sort_column(*column));
        }
        SortKey::Footprint(metric) => push_metric(sql, &metric.json_path()),
        SortKey::Any => {}
    }
    sql.push(direction).push(", job.id").push(direction);
}

fn sort_column(column: SortColumn) -> &'static str {
    match column {
        SortColumn::Id => "job.id",
        SortColumn::JobId => "job.job_id",
        SortColumn::User => "job.hpc_user",
        SortColumn::Project => "job.project",
        SortColumn::Cluster => "job.cluster",
        SortColumn::SubCluster => "job.subcluster",
        SortColumn::StartTime => "job.start_time",
        SortColumn::Partition => "job.cluster_partition",
        SortColumn::ArrayJobId => "job.array_job_id",
        SortColumn::NumNodes => "job.num_nodes",
        SortColumn::NumHwthreads => "job.num_hwthreads",
        SortColumn::NumAcc => "job.num_acc",
        SortColumn::Duration => "job.duration",
        SortColumn::Walltime => "job.walltime",
        SortColumn::Energy => "job.energy",
        SortColumn::State => "job.job_state",
        SortColumn::Shared => "job.shared",
        SortColumn::Smt => "job.smt",
        SortColumn::MonitoringStatus => "job.monitoring_status",
        SortColumn::SubmitTime => "job.submit_time",
    }
}
