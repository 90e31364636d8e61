//! Between protobuf and the types of the rules. Everything that comes from outside is checked here or refused.

mod event;
mod filter;
mod statistics;

pub(crate) use event::{EVENTS_MAX, batch, decode_parked, event_results};
pub(crate) use filter::{filters, node_filters, query};
pub(crate) use statistics::question;

use cc_model::{Job, Tag};
use cc_proto::common::v1 as common;
pub(crate) use cc_proto::convert::{job_to_proto, statistics_from_proto, tag_to_proto, texts_to_proto};

use crate::error::Error;

/// A job as requests carry it: without ids of the database, which are ours to give.
///
/// # Errors
/// [`Error::InvalidJob`] for words outside their vocabulary and numbers outside their columns.
pub(crate) fn job_from_proto(job: common::Job) -> Result<Job, Error> {
    let job = cc_proto::convert::job_from_proto(job)
        .map_err(|invalid| Error::InvalidJob { field: invalid.field, problem: invalid.problem })?;
    let tags = job.tags.into_iter().map(|tag| Tag { id: 0, ..tag }).collect();
    Ok(Job { id: None, tags, ..job })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_cannot_choose_ids() {
        let tag =
            common::Tag { id: 7, r#type: "app".to_owned(), name: "x".to_owned(), scope: "global".to_owned() };
        let job = job_from_proto(common::Job { id: 9, tags: vec![tag], ..Default::default() }).unwrap();
        assert_eq!((job.id, job.tags[0].id), (None, 0));
        let wrong = common::Job { shared: "exclusive".to_owned(), ..Default::default() };
        assert!(matches!(job_from_proto(wrong), Err(Error::InvalidJob { field: "shared", .. })));
    }
}
