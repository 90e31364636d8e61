//! Durable consumers of `JetStream`: the broker keeps what was not acknowledged.

use std::error::Error as _;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::{GetStreamByNameErrorKind, RequestError, RequestErrorKind};
use async_nats::jetstream::stream::RetentionPolicy;
use async_nats::jetstream::{self, Context};

use super::inbox::Listener;
use crate::tasks::chain;

/// A message that was neither acknowledged nor lost with its process comes again after this time: longer than anything
/// waits here for its turn.
const ACK_WAIT: Duration = Duration::from_mins(5);
/// Messages that the broker hands out before the first of them is acknowledged.
const UNACKNOWLEDGED_MAX: i64 = 4096;
/// Messages asked for at once; each may be as large as the broker allows.
const BATCH: usize = 64;

/// The messages of a durable consumer; `None` when no stream holds the subject.
pub(super) async fn messages(
    listener: &Listener,
    client: &Client,
    prefix: &str,
) -> Result<Option<pull::Stream>, String> {
    let context = jetstream::new(client.clone());
    let Some(stream) = stream_of(&context, &listener.subject).await? else {
        tracing::warn!(
            "NATS: no stream holds {:?}: nats-client.durable does nothing there, what is sent while nobody listens is lost",
            listener.subject
        );
        return Ok(None);
    };
    let stream = context.get_stream(&stream).await.map_err(|error| chain(&error))?;
    // Such a stream is emptied by its consumers and takes no other policy. Of the others a new consumer takes what comes
    // from now on: starts and stops of last month are no news.
    let deliver_policy = match stream.cached_info().config.retention {
        RetentionPolicy::WorkQueue => DeliverPolicy::All,
        RetentionPolicy::Limits | RetentionPolicy::Interest => DeliverPolicy::New,
    };
    let name = consumer_name(prefix, &listener.subject);
    let config = pull::Config {
        durable_name: Some(name.clone()),
        description: Some("cc-backend".to_owned()),
        deliver_policy,
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: UNACKNOWLEDGED_MAX,
        filter_subject: listener.subject.clone(),
        ..pull::Config::default()
    };
    let consumer = stream.get_or_create_consumer(&name, config).await.map_err(|error| chain(&error))?;
    let filter = &consumer.cached_info().config.filter_subject;
    if *filter != listener.subject {
        return Err(format!(
            "the durable consumer {name} exists already, for {filter:?}; choose another nats-client.durable, or remove it"
        ));
    }
    let messages = consumer.stream().max_messages_per_batch(BATCH).messages().await;
    messages.map(Some).map_err(|error| chain(&error))
}

async fn stream_of(context: &Context, subject: &str) -> Result<Option<String>, String> {
    let error = match context.stream_by_subject(subject).await {
        Ok(name) => return Ok(Some(name)),
        Err(error) => error,
    };
    // A broker without JetStream has nobody to answer.
    let request = error.source().and_then(|source| source.downcast_ref::<RequestError>());
    let off = request.is_some_and(|request| request.kind() == RequestErrorKind::NoResponders);
    if off || error.kind() == GetStreamByNameErrorKind::NotFound { Ok(None) } else { Err(chain(&error)) }
}

/// A consumer's name has no dots and wildcards.
fn consumer_name(prefix: &str, subject: &str) -> String {
    let subject: String = subject
        .chars()
        .map(|char| match char {
            '*' => "any".to_owned(),
            '>' => "all".to_owned(),
            char if char.is_ascii_alphanumeric() || char == '-' => char.to_string(),
            _ => "_".to_owned(),
        })
        .collect();
    format!("{prefix}-{subject}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumers_are_named_by_their_subjects() {
        assert_eq!(consumer_name("hub", "cc.job.*.event.>"), "hub-cc_job_any_event_all");
        assert_eq!(consumer_name("hub", "a b/ü"), "hub-a_b__");
    }
}
