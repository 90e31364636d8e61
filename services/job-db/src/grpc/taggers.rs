//! The taggers for administrators (spec/taggers.md 11).

use cc_proto::job_db::v1 as proto;
use cc_runtime::tasks::{OnError, OnShutdown};
use tonic::{Request, Response};

use super::{Answer, Service};
use crate::app::tagging::RunState;
use crate::error::Error;
use crate::store::Store;
use crate::tagger::{Problem, Tagger};

impl<S: Store> Service<S> {
    pub(super) async fn list_taggers_impl(
        &self,
        _: Request<proto::ListTaggersRequest>,
    ) -> Answer<proto::ListTaggersResponse> {
        // what was just edited is shown as it is now
        self.tagging.refresh().await;
        let rules = self.tagging.directory.rules();
        let of_jobs = self.tagging.runs.problems();
        let taggers = Tagger::ALL.into_iter().map(|tagger| {
            let RunState { running, dry, done, total, tagged, error } = self.tagging.runs.state(tagger);
            let problems = rules.problems.iter().chain(&of_jobs).filter(|problem| concerns(problem, tagger));
            proto::Tagger {
                name: tagger.name().to_owned(),
                trigger: tagger.trigger().to_owned(),
                running,
                dry,
                total,
                done,
                tagged,
                error,
                problems: problems.map(ToString::to_string).collect(),
            }
        });
        Ok(Response::new(proto::ListTaggersResponse { taggers: taggers.collect() }))
    }

    pub(super) fn run_tagger_impl(
        &self,
        request: Request<proto::RunTaggerRequest>,
    ) -> Answer<proto::RunTaggerResponse> {
        let proto::RunTaggerRequest { name, dry } = request.into_inner();
        let tagger = Tagger::of(&name).ok_or(Error::UnknownTagger(name))?;
        // classes need them, and without them every job would have none
        self.clusters()?;
        if !self.tagging.runs.begin(tagger, dry) {
            return Err(Error::TaggerRuns(tagger.name()).into());
        }
        let run = self.tagging.clone().run_all(vec![tagger], dry);
        // the outcome is in the state of the run
        let run = async move { drop(run.await) };
        self.tasks.spawn("job-db.tagger-run", OnError::Log, OnShutdown::Abort, run);
        Ok(Response::new(proto::RunTaggerResponse {}))
    }
}

fn concerns(problem: &Problem, tagger: Tagger) -> bool {
    problem.file.starts_with(tagger.folder())
}
