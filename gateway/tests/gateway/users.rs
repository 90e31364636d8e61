//! Users, for programs and for the forms of administrators.

use http::{Method, Request, header};

use crate::house::{Answer, House};

async fn form(house: &House, method: Method, target: &str, session: &str, body: &'static str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::COOKIE, format!("cc_session={session}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    house.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn programs_of_administrators_list_and_change_users() {
    let house = House::new();
    let admin = "admin+api";
    assert_eq!(house.get("/api/users/", admin).await.json(), serde_json::json!([]));
    let refused = house.get("/api/users/", "api").await.error();
    assert_eq!(refused, (403, "only admins are allowed to fetch a list of users".to_owned()));
    for (user, body, status, text) in [
        ("alice", r#"{"remove-role":"api"}"#, 200, "Remove Role Success for user alice"),
        ("ghost", r#"{"add-role":"api"}"#, 422, "adding role failed: sql: no rows in result set"),
        ("same", r#"{"remove-project":"p"}"#, 422, "removing project failed: it is so already"),
    ] {
        let answer = house.post(&format!("/api/user/{user}"), admin, body).await;
        let json = answer.json();
        let told = json["msg"].as_str().or(json["error"].as_str()).unwrap();
        assert_eq!((answer.status.as_u16(), told), (status, text), "{user}");
    }
    let refused = house.post("/api/user/alice", "api", r#"{"add-role":"api"}"#).await.error();
    assert_eq!(refused, (403, "only admins are allowed to update a user".to_owned()));
}

#[tokio::test]
async fn forms_of_administrators_make_change_and_remove_users() {
    let house = House::new();
    let admin = house.fakes.auth.get().open("ruth", &["admin"]);
    let user = house.fakes.auth.get().open("alice", &["user"]);
    let roles = form(&house, Method::GET, "/config/roles/", &admin, "").await;
    assert_eq!(roles.json(), serde_json::json!(["api", "user", "manager", "support", "admin"]));
    assert_eq!(form(&house, Method::GET, "/config/roles/", &user, "").await.status, 401);
    let neu = "username=neu&password=geheim%3A1&role=user";
    let made = form(&house, Method::POST, "/config/users/", &admin, neu).await;
    assert_eq!((made.status.as_u16(), made.text()), (200, "User neu successfully created!\n"));
    let again = form(&house, Method::PUT, "/config/users/", &admin, neu).await.error();
    assert_eq!(again, (422, "adding user failed: UNIQUE constraint failed: hpc_user.username".to_owned()));
    let bad = form(&house, Method::POST, "/config/users/", &admin, "username=x&role=king").await.error();
    assert_eq!(bad, (400, "no such role".to_owned()));
    let listed = form(&house, Method::GET, "/config/users/", &admin, "").await.json();
    assert_eq!((listed[0]["username"].as_str(), listed[0]["authType"].as_i64()), (Some("neu"), Some(0)));
    let special = form(&house, Method::GET, "/config/users/?not-just-user=true", &admin, "").await.json();
    assert_eq!(special, serde_json::json!([]));
    let changed = form(&house, Method::POST, "/config/user/neu", &admin, "add-role=support").await;
    assert_eq!(changed.json()["msg"], "Add Role Success");
    for removal in [("/config/users/", "username=neu"), ("/config/users/?username=neu", "")] {
        let gone = form(&house, Method::DELETE, removal.0, &admin, removal.1).await;
        assert_eq!((gone.status.as_u16(), gone.text()), (200, ""));
    }
    assert!(house.fakes.auth.get().users.is_empty());
    let long = form(&house, Method::POST, "/config/notice/", &user, "new-content=x").await;
    assert_eq!(long.status, 401);
}

#[tokio::test]
async fn administrators_see_and_start_taggers() {
    let house = House::new();
    let admin = house.fakes.auth.get().open("ruth", &["admin"]);
    let taggers = form(&house, Method::GET, "/config/taggers/", &admin, "").await.json();
    let plain = serde_json::json!({"name": "AppTagger", "type": "start", "running": false});
    assert_eq!(taggers[0], plain, "without a run as the reference tells it");
    assert_eq!((taggers[1]["total"].as_u64(), taggers[1]["dryRun"].as_bool()), (Some(7), Some(false)));
    let started = form(&house, Method::POST, "/config/taggers/run/", &admin, "name=AppTagger").await;
    assert_eq!((started.status.as_u16(), started.text()), (200, "Tagger AppTagger started"));
    let unknown = form(&house, Method::POST, "/config/taggers/run/", &admin, "name=X").await.error();
    assert_eq!(unknown, (409, "unknown tagger: X".to_owned()));
    let nameless = form(&house, Method::POST, "/config/taggers/run/", &admin, "").await.error();
    assert_eq!(nameless, (400, "missing required parameter: name".to_owned()));
}
