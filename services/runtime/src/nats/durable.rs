//! Durable consumers of `JetStream`: the broker keeps what was not acknowledged.

use std::error::Error as _;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::{GetStreamByNameErrorKind, RequestError, RequestErrorKind};
use async_nats::jetstream::stream::RetentionPolicy;
use async_nats::jetstream::{self, Context};

use super::Purpose;
use super::inbox::Listener;
use crate::tasks::chain;

/// A message whose reader was not heard of for so long comes again. Short: others may wait for what it says. While it
/// waits here the broker hears of it.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// Messages that the broker hands out before the first of them is acknowledged.
const UNACKNOWLEDGED_MAX: i64 = 4096;
/// Messages asked for at once; each may be as large as the broker allows.
const BATCH: usize = 64;

/// A consumer.
pub(super) struct Durable {
    pub(super) messages: pull::Stream,
    /// When a message comes again of which nothing was heard.
    pub(super) again: Duration,
}

/// The messages of a durable consumer; `None` when none is asked for or no stream holds the subject.
pub(super) async fn open(listener: &Listener, client: &Client) -> Result<Option<Durable>, String> {
    let Some(prefix) = &listener.link.0.client.durable else { return Ok(None) };
    let context = jetstream::new(client.clone());
    let Some(stream) = stream_of(&context, &listener.subject).await? else { return Ok(None) };
    let stream = context.get_stream(&stream).await.map_err(|error| chain(&error))?;
    // Such a stream is emptied by its consumers and takes no other policy. Of the others a new consumer takes what comes
    // from now on: starts and stops of last month are no news.
    let deliver_policy = match stream.cached_info().config.retention {
        RetentionPolicy::WorkQueue => DeliverPolicy::All,
        RetentionPolicy::Limits | RetentionPolicy::Interest => DeliverPolicy::New,
    };
    let name = consumer_name(prefix, listener.purpose, &listener.subject);
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
    let again = consumer.cached_info().config.ack_wait;
    let messages = consumer.stream().max_messages_per_batch(BATCH).messages().await;
    let messages = messages.map_err(|error| chain(&error))?;
    Ok(Some(Durable { messages, again: if again.is_zero() { ACK_WAIT } else { again } }))
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

/// A consumer's name has no dots and wildcards. Each purpose has one of its own: readers of one consumer share its messages.
fn consumer_name(prefix: &str, purpose: Purpose, subject: &str) -> String {
    let subject: String = subject
        .chars()
        .map(|char| match char {
            '*' => "any".to_owned(),
            '>' => "all".to_owned(),
            char if char.is_ascii_alphanumeric() || char == '-' => char.to_string(),
            _ => "_".to_owned(),
        })
        .collect();
    format!("{}-{subject}", purpose.named(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumers_are_named_by_their_subjects() {
        let name = |purpose, subject| consumer_name("hub", purpose, subject);
        assert_eq!(name(Purpose::JobEvents, "cc.job.*.event.>"), "hub-job-cc_job_any_event_all");
        assert_eq!(name(Purpose::NodeStates, "a b/ü"), "hub-node-a_b__");
        assert_eq!(name(Purpose::Samples, "cc"), "hub-samples-cc");
    }
}
