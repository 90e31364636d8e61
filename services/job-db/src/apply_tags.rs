//! `-apply-tags`: the taggers over all ended jobs, by the command line's own process (spec/taggers.md 1).

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use cc_database::Database;
use cc_model::JobKey;
use cc_model::job::JobStatistics;
use cc_runtime::clock::Clock;
use cc_runtime::cpu;

use crate::app::archiver::Failed;
use crate::app::clusters::ClusterState;
use crate::app::tagging::{ArchivedStatistics, Runs, Tagging};
use crate::app::watch::Hub;
use crate::app::writer;
use crate::error::Error;
use crate::store::sqlite::SqliteStore;
use crate::tagger::{Directory, Tagger};

/// Jobs committed together.
const GROUP: usize = 500;

/// Looks the statistics of an archived job up; nothing where the archive has none.
pub type Lookup = Arc<dyn Fn(&JobKey) -> Option<BTreeMap<String, JobStatistics>> + Send + Sync>;

#[derive(Clone)]
struct InArchive(Lookup);

impl ArchivedStatistics for InArchive {
    async fn statistics(
        &self,
        keys: Vec<JobKey>,
    ) -> Result<HashMap<JobKey, BTreeMap<String, JobStatistics>>, Failed> {
        let lookup = Arc::clone(&self.0);
        let found = cpu::run(move || {
            keys.into_iter().filter_map(|key| lookup(&key).map(|found| (key, found))).collect()
        });
        found.await.map_err(|failure| Failed { retry: false, text: failure.to_string() })
    }
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppliedTags {
    /// Jobs looked at.
    pub jobs: u64,
    /// Jobs that got a tag or another message.
    pub tagged: u64,
    /// What is wrong with the rule files, and rules that could not be decided for some job; one line each.
    pub problems: Vec<String>,
}

/// Runs both taggers over all ended jobs with the rules in `rules`. `cluster_files` are those of the archive.
/// Works beside running services: each group of jobs is one short transaction.
///
/// # Errors
/// [`Error::Database`], [`Error::Taggers`].
pub async fn apply_tags(
    database: &Database,
    clock: &Clock,
    cluster_files: Vec<(String, Vec<u8>)>,
    rules: &Path,
    statistics: Lookup,
) -> Result<AppliedTags, Error> {
    let directory = Directory::new(rules);
    directory.refresh();
    let read = directory.rules();
    let missing = read.missing.iter().map(|folder| format!("there is no directory {folder}"));
    let missing: Vec<String> = missing.collect();
    let taggers: Vec<Tagger> =
        Tagger::ALL.into_iter().filter(|tagger| !read.missing.contains(&tagger.folder())).collect();
    if taggers.is_empty() {
        return Ok(AppliedTags { problems: missing, ..AppliedTags::default() });
    }
    let store = SqliteStore::open(database.clone()).await?;
    let clusters = ClusterState::default();
    clusters.report(cluster_files.into_iter().map(|(name, json)| (name, json.into())));
    let (writer, task) = writer::new(store.clone(), clock.clone(), clusters.clone(), Hub::default(), GROUP);
    let runs = Runs::default();
    for tagger in &taggers {
        runs.begin(*tagger, false);
    }
    let archive = InArchive(statistics);
    let tagging = Tagging {
        store,
        writer,
        archive,
        clusters,
        clock: clock.clone(),
        directory: directory.clone(),
        runs: runs.clone(),
        copies: Arc::default(),
    };
    // the writer ends when the last of its handles is dropped with the run
    let (outcome, ()) =
        tokio::join!(tagging.run_all(taggers.clone(), false), task.run(std::future::pending()));
    outcome?;
    let state = taggers.first().map(|tagger| runs.state(*tagger)).unwrap_or_default();
    let found = directory.rules().problems.iter().chain(&runs.problems()).map(ToString::to_string).collect();
    Ok(AppliedTags { jobs: state.done, tagged: state.tagged, problems: [missing, found].concat() })
}
