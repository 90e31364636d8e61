//! The event stream of open pages.

use axum::body::{Body, BodyDataStream};
use axum::response::Response;
use cc_proto::common::v1::JobKey;
use cc_proto::job_db::v1::{ChangeKind, WatchResponse};
use cc_runtime::error::{Failure, Kind};
use futures::StreamExt as _;
use http::{Request, header};
use jiff::SignedDuration;

use crate::fakes::Heard;
use crate::house::{House, NOW};

/// The events of a response, one at a time.
struct Listening(BodyDataStream, String);

#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    id: String,
    data: serde_json::Value,
}

impl Listening {
    fn to(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-cache");
        Self(response.into_body().into_data_stream(), String::new())
    }

    /// The next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.1.split_once("\n\n") {
                let line =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim();
                let (name, id, data) = (line("event:"), line("id:"), line("data:"));
                let data = serde_json::from_str(data).unwrap();
                let event = Event { name: name.to_owned(), id: id.to_owned(), data };
                self.1 = rest.to_owned();
                return Some(event);
            }
            let piece = self.0.next().await?.unwrap();
            self.1.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }
}

async fn listen(house: &House, session: &str, last: &str) -> Response {
    let mut request = Request::get("/events").header(header::COOKIE, format!("cc_session={session}"));
    if !last.is_empty() {
        request = request.header("last-event-id", last);
    }
    house.open(request.body(Body::empty()).unwrap()).await
}

fn tell(house: &House, change: Result<WatchResponse, tonic::Status>) {
    house.fakes.job_db.get().watchers.last().unwrap().send(change).unwrap();
}

fn stopped(position: u64) -> WatchResponse {
    WatchResponse {
        position,
        kind: ChangeKind::Stopped.into(),
        id: 5,
        key: Some(JobKey { cluster: "fritz".to_owned(), job_id: 123, start_time: 1_700_000_000 }),
        user: "alice".to_owned(),
        project: "pa01".to_owned(),
        state: "completed".to_owned(),
    }
}

#[tokio::test]
async fn changes_come_with_what_pages_need_and_with_the_viewers_rights() {
    let house = House::new();
    let session = house.fakes.auth.get().open("alice", &["user"]);
    let mut events = Listening::to(listen(&house, &session, "").await);
    let hello = events.next().await.unwrap();
    assert_eq!((hello.name.as_str(), hello.id.as_str()), ("hello", "7"));
    assert_eq!(hello.data, serde_json::json!({"position": 7, "serverTime": NOW}));
    tell(&house, Ok(stopped(8)));
    let event = events.next().await.unwrap();
    assert_eq!((event.name.as_str(), event.id.as_str()), ("job", "8"));
    assert_eq!(
        event.data,
        serde_json::json!({"position": 8, "kind": "stopped", "id": 5, "cluster": "fritz", "jobId": 123,
            "startTime": 1_700_000_000, "user": "alice", "state": "completed"})
    );
    let heard = house.fakes.job_db.get().heard.clone();
    let Some(Heard::Watch(request, caller)) = heard.last() else { panic!("{heard:?}") };
    assert_eq!((request.after, caller.name.as_str()), (None, "alice"));
}

#[tokio::test]
async fn a_browser_goes_on_where_it_was() {
    let house = House::new();
    let session = house.fakes.auth.get().open("alice", &["user"]);
    let mut events = Listening::to(listen(&house, &session, "41").await);
    assert_eq!(events.next().await.unwrap().data["position"], 41);
}

#[tokio::test]
async fn missed_changes_are_admitted() {
    let house = House::new();
    let session = house.fakes.auth.get().open("alice", &["user"]);
    let mut events = Listening::to(listen(&house, &session, "2").await);
    assert_eq!(events.next().await.unwrap().name, "resync");
    assert_eq!(events.next().await.unwrap().data["position"], 7);
    tell(&house, Err(Failure::new(Kind::TooLarge, "HORIZON", "too slow").into()));
    assert_eq!(events.next().await.unwrap().name, "resync");
    assert_eq!(events.next().await.unwrap().name, "hello");
    tell(&house, Ok(stopped(9)));
    assert_eq!(events.next().await.unwrap().id, "9");
}

#[tokio::test(start_paused = true)]
async fn heartbeats_fill_the_silence_and_the_end_of_the_session_ends_it() {
    let house = House::new();
    let session = house.fakes.auth.get().open("alice", &["user"]);
    let mut events = Listening::to(listen(&house, &session, "").await);
    assert_eq!(events.next().await.unwrap().name, "hello");
    house.clock.advance(SignedDuration::from_secs(15));
    let ping = events.next().await.unwrap();
    assert_eq!((ping.name.as_str(), ping.data), ("ping", serde_json::json!({"serverTime": NOW + 15})));
    house.fakes.auth.get().sessions.clear();
    let begun = tokio::time::Instant::now();
    while let Some(event) = events.next().await {
        assert_eq!(event.name, "ping");
    }
    assert!(begun.elapsed().as_secs() <= 60);
}

#[tokio::test(start_paused = true)]
async fn changed_rights_end_the_stream_and_outages_do_not() {
    let house = House::new();
    let session = house.fakes.auth.get().open("alice", &["user"]);
    let mut events = Listening::to(listen(&house, &session, "").await);
    house.fakes.auth.get().down = true;
    for _ in 0..10 {
        assert!(events.next().await.is_some());
    }
    house.fakes.auth.get().down = false;
    house.fakes.auth.get().sessions.get_mut(&session).unwrap().roles = vec!["support".to_owned()];
    while let Some(event) = events.next().await {
        assert_eq!(event.name, "ping");
    }
}

#[tokio::test]
async fn a_stream_ends_at_once_with_the_process_and_with_the_database() {
    let house = House::new();
    let session = house.fakes.auth.get().open("alice", &["user"]);
    let mut events = Listening::to(listen(&house, &session, "").await);
    events.next().await.unwrap();
    house.fakes.job_db.get().watchers.clear();
    assert_eq!(events.next().await, None);
    let mut events = Listening::to(listen(&house, &session, "").await);
    events.next().await.unwrap();
    house.tasks.shutdown(std::time::Duration::from_secs(5)).await;
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn one_user_has_a_bounded_number_of_streams() {
    let house = House::new();
    let session = house.fakes.auth.get().open("alice", &["user"]);
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(Listening::to(listen(&house, &session, "").await));
    }
    let refused = listen(&house, &session, "").await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    let other = house.fakes.auth.get().open("bob", &["user"]);
    Listening::to(listen(&house, &other, "").await);
    open.pop();
    Listening::to(listen(&house, &session, "").await);
}

#[tokio::test]
async fn strangers_get_json() {
    let house = House::new();
    assert_eq!(house.get("/events", "").await.error().0, 401);
}
