//! From a message to what it asks for.

use cc_model::Job;
use cc_proto::job_db::v1::{ReportNodesRequest, StartJobRequest, StopJobRequest};

use super::line::{self, Line};
use crate::rest;

/// What a subject is for; lines about other things are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `main.api-subjects.subject-job-event`.
    Job,
    /// `main.api-subjects.subject-node-state`.
    Node,
}

impl Kind {
    /// For the log.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Job => "job events",
            Self::Node => "node states",
        }
    }

    /// For metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Node => "nodestate",
        }
    }
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    /// As REST start.
    Start(Box<StartJobRequest>),
    /// As REST stop.
    Stop(StopJobRequest),
    /// As REST node states.
    Nodes(ReportNodesRequest),
}

/// What was found in a line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    /// An event.
    Event(Event),
    /// Nothing for us.
    Other,
    /// Something that is not what it should be; the text says what and where.
    Wrong(String),
}

/// Takes a message apart. Total.
pub(super) fn read(payload: &[u8], kind: Kind) -> Vec<Found> {
    let text = match std::str::from_utf8(payload) {
        Ok(text) => text,
        Err(error) => return vec![Found::Wrong(format!("the message is no UTF-8: {error}"))],
    };
    line::lines(text)
        .map(|line| match line {
            Ok(line) => of_line(&line, kind).unwrap_or_else(Found::Wrong),
            Err(bad) => Found::Wrong(format!("no line protocol: {bad}")),
        })
        .collect()
}

fn of_line(line: &Line<'_>, kind: Kind) -> Result<Found, String> {
    let (Some(event), true) = (&line.event, line.measurement == kind.word()) else { return Ok(Found::Other) };
    let event = event.as_bytes();
    let event = match (kind, line.function.as_deref()) {
        (Kind::Node, _) => rest::nodestate::read(event).map(Event::Nodes),
        (Kind::Job, Some("start_job")) => match Job::from_start_request(event) {
            Ok(mut job) => {
                // as recorded: only a start over REST brings its tags
                job.tags.clear();
                let job = Some(cc_proto::convert::job_to_proto(&job));
                Ok(Event::Start(Box::new(StartJobRequest { job })))
            }
            Err(error) => return Err(format!("start_job: {error}")),
        },
        (Kind::Job, Some("stop_job")) => rest::stop_job::read(event).map(Event::Stop),
        (Kind::Job, Some(other)) => {
            return Err(format!("tag function is {other:?}, expected start_job or stop_job"));
        }
        (Kind::Job, None) => return Err("tag function is missing, expected start_job or stop_job".to_owned()),
    };
    let of = line.function.as_deref().unwrap_or("nodestate");
    event.map(Found::Event).map_err(|problem| format!("{of}: {}", problem.error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, kind: Kind) -> Vec<Found> {
        read(text.as_bytes(), kind)
    }

    #[test]
    fn events_are_those_of_rest() {
        let start = r#"job,function=start_job event="{\"jobId\":7,\"cluster\":\"fritz\",\"user\":\"a\",\"project\":\"p\",\"numNodes\":1,\"resources\":[{\"hostname\":\"n\"}],\"startTime\":5}" 5"#;
        let stop = r#"job,function=stop_job event="{\"jobId\":7,\"stopTime\":9,\"jobState\":\"failed\"}" 5"#;
        let both = found(&format!("{start}\nother v=1 5\n{stop}"), Kind::Job);
        let [Found::Event(Event::Start(request)), Found::Other, Found::Event(Event::Stop(stop))] = &both[..]
        else {
            panic!("{both:?}")
        };
        assert_eq!(request.job.as_ref().unwrap().job_id, 7);
        assert_eq!((stop.job_id, stop.stop_time, &*stop.state, &stop.cluster), (7, 9, "failed", &None));
        let nodes = r#"nodestate event="{\"cluster\":\"fritz\",\"nodes\":[{\"hostname\":\"n\",\"states\":[\"IDLE\"]}]}" 5"#;
        assert!(
            matches!(&found(nodes, Kind::Node)[..], [Found::Event(Event::Nodes(report))] if report.cluster == "fritz")
        );
        assert_eq!(found(nodes, Kind::Job), [Found::Other]);
    }

    #[test]
    fn what_is_wrong_is_told_and_costs_no_other_event() {
        let good = r#"job,function=stop_job event="{\"jobId\":7}" 5"#;
        for (bad, text) in [
            (r#"job event="{}" 5"#, "tag function is missing, expected start_job or stop_job"),
            (
                r#"job,function=pause_job event="{}" 5"#,
                "tag function is \"pause_job\", expected start_job or stop_job",
            ),
            (r#"job,function=stop_job event="{broken" 5"#, "stop_job: parsing request body failed"),
            (r#"job,function=start_job event="{\"foo\":1}" 5"#, "foo"),
        ] {
            let all = found(&format!("{bad}\n{good}"), Kind::Job);
            let [Found::Wrong(told), Found::Event(_)] = &all[..] else { panic!("{all:?}") };
            assert!(told.contains(text), "{told}");
        }
        let broken = found(&format!("{good}\ngarbage\n{good}"), Kind::Job);
        assert!(matches!(&broken[..], [Found::Event(_), Found::Wrong(_)]), "{broken:?}");
        assert!(matches!(&read(b"job\xff", Kind::Job)[..], [Found::Wrong(_)]));
    }
}
