//! One open stream: changes from the database, heartbeats, and an eye on the session.

use std::time::Duration;

use axum::response::sse::Event;
use cc_proto::job_db::v1::{ChangeKind, WatchRequest, WatchResponse};
use cc_runtime::caller;
use cc_runtime::error::{self, Kind};
use serde::Serialize;
use tokio::time::{Interval, MissedTickBehavior, interval_at};
use tonic::{Status, Streaming};

use super::limit::Place;
use crate::auth::credential::Credential;
use crate::auth::{self, AuthFailure, Identity};
use crate::problem::Problem;
use crate::state::State;

/// A proxy closes a silent connection after a minute, usually.
const PING: Duration = Duration::from_secs(15);
/// How often the session is looked at again; a stream outlives its session by no more than this.
const RECHECK: Duration = Duration::from_secs(30);

/// The stream.
pub(super) struct Live {
    state: State,
    viewer: Identity,
    credential: Option<Credential>,
    changes: Changes,
    ping: Interval,
    recheck: Interval,
    _place: Place,
}

enum Changes {
    /// Following.
    On(Box<Streaming<WatchResponse>>),
    /// Some were missed: say so, then follow from now on.
    Missed,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hello {
    position: u64,
    server_time: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ping {
    server_time: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JobChange<'a> {
    position: u64,
    kind: &'static str,
    id: i64,
    cluster: &'a str,
    job_id: i64,
    start_time: i64,
    user: &'a str,
    state: &'a str,
}

impl Live {
    /// Begins to follow, so that what cannot be followed has a status.
    pub(super) async fn open(
        state: State,
        viewer: Identity,
        credential: Option<Credential>,
        after: Option<u64>,
        place: Place,
    ) -> Result<Self, Problem> {
        let changes = match watch(&state, &viewer, after).await {
            Ok(changes) => Changes::On(Box::new(changes)),
            Err(status) if is_horizon(&status) => Changes::Missed,
            Err(status) => return Err(status.into()),
        };
        let (ping, recheck) = (every(PING), every(RECHECK));
        Ok(Self { state, viewer, credential, changes, ping, recheck, _place: place })
    }

    /// The next event; `None` ends the stream: the process ends, the session did, or the database is gone. The browser
    /// comes back by itself and learns which.
    pub(super) async fn next(&mut self) -> Option<Event> {
        let stopping = self.state.tasks().token();
        loop {
            let Changes::On(changes) = &mut self.changes else { return self.resync().await };
            tokio::select! {
                biased;
                () = stopping.cancelled() => return None,
                _ = self.recheck.tick() => if !self.may_go_on().await { return None },
                _ = self.ping.tick() => {
                    let server_time = self.state.clock().unix();
                    return event("ping", None, &Ping { server_time });
                }
                change = changes.message() => match change {
                    Ok(Some(change)) => if let Some(event) = self.tell(&change) { return Some(event) },
                    Err(status) if is_horizon(&status) => self.changes = Changes::Missed,
                    Ok(None) => return None,
                    Err(status) => {
                        tracing::debug!("an event stream ends: {:?} {}", status.code(), status.message());
                        return None;
                    }
                },
            }
        }
    }

    async fn resync(&mut self) -> Option<Event> {
        let changes = watch(&self.state, &self.viewer, None).await.ok()?;
        self.changes = Changes::On(Box::new(changes));
        event("resync", None, &serde_json::Map::new())
    }

    fn tell(&self, change: &WatchResponse) -> Option<Event> {
        let kind = match change.kind() {
            ChangeKind::Position => {
                let hello = Hello { position: change.position, server_time: self.state.clock().unix() };
                return event("hello", Some(change.position), &hello);
            }
            ChangeKind::Started => "started",
            ChangeKind::Updated => "updated",
            ChangeKind::Stopped => "stopped",
            ChangeKind::Archived => "archived",
            ChangeKind::Deleted => "deleted",
            ChangeKind::Unspecified => return None,
        };
        let key = change.key.as_ref();
        let told = JobChange {
            position: change.position,
            kind,
            id: change.id,
            cluster: key.map_or("", |key| &key.cluster),
            job_id: key.map_or(0, |key| key.job_id),
            start_time: key.map_or(0, |key| key.start_time),
            user: &change.user,
            state: &change.state,
        };
        event("job", Some(change.position), &told)
    }

    /// Whether the credential is still good and gives the same rights.
    async fn may_go_on(&self) -> bool {
        let Some(credential) = &self.credential else { return !self.state.settings().authentication };
        match auth::check_now(&self.state, credential).await {
            Ok(now) => now.caller == self.viewer.caller,
            // nobody can be asked: that ends no session
            Err(AuthFailure::Unavailable(_)) => true,
            Err(_) => false,
        }
    }
}

async fn watch(
    state: &State,
    viewer: &Identity,
    after: Option<u64>,
) -> Result<Streaming<WatchResponse>, Status> {
    let request = caller::request(WatchRequest { after }, &viewer.caller);
    Ok(state.job_db().watch(request).await?.into_inner())
}

/// The position is too old for the database to tell what happened since.
fn is_horizon(status: &Status) -> bool {
    error::kind(status) == Kind::TooLarge
}

fn every(period: Duration) -> Interval {
    let mut interval = interval_at(tokio::time::Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn event<T: Serialize>(name: &'static str, position: Option<u64>, data: &T) -> Option<Event> {
    let data = cc_model::json::to_string(data).ok()?;
    let event = Event::default().event(name).data(data);
    Some(match position {
        Some(position) => event.id(position.to_string()),
        None => event,
    })
}
