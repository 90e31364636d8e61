//! Through the layers that stand around the service in every deployment.

use cc_proto::access::{self, Needs, Peer};
use cc_proto::auth::v1::auth_client::AuthClient;
use cc_proto::auth::v1::auth_server::AuthServer;
use cc_runtime::caller::{Caller, How, Role};
use cc_runtime::error::{details, reason};
use cc_runtime::rpc::{ClientStack, House, ServerStack};
use cc_runtime::transport::{Transport, local};
use tonic::Code;
use tonic::service::Routes;

use super::*;
use crate::cli;
use crate::testing::{Site, settings};
use wire::authenticate_request::Credential;

struct Harness {
    _site: Site,
    client: AuthClient<Transport>,
}

async fn harness() -> Harness {
    let site = Site::new().await;
    for spec in ["bob:user:right", "meike:manager:pw", "slurm:api:"] {
        cli::add_user(&site.database, &site.clock, spec, &mut std::io::empty()).await.unwrap();
    }
    let app = App::open(site.database.clone(), site.clock.clone(), &settings()).await.unwrap();
    let house = House::in_memory();
    let server = ServerStack::new(house.of(Peer::Auth), site.clock.clone());
    let routes = server.wrap(Routes::new(AuthServer::new(Grpc::new(app))));
    let client = ClientStack::new(house.of(Peer::Gateway), site.clock.clone()).wrap(local(routes));
    Harness { _site: site, client: AuthClient::new(client) }
}

fn caller(name: &str, roles: &[Role]) -> Caller {
    Caller { name: name.to_owned(), roles: roles.to_vec(), projects: Vec::new(), how: How::Session }
}

/// Calls the method of that name with a request that is fine otherwise; the code of the answer.
async fn call(client: &AuthClient<Transport>, method: &str, caller: Option<&Caller>) -> Code {
    let mut client = client.clone();
    macro_rules! answer {
        ($method:ident, $message:expr) => {{
            let mut request = Request::new($message);
            if let Some(caller) = caller {
                cc_runtime::caller::set(&mut request, caller);
            }
            client.$method(request).await.map(drop).err()
        }};
    }
    let status = match method {
        "Login" => answer!(
            login,
            wire::LoginRequest {
                username: "bob".into(),
                password: "right".into(),
                client_address: "10.0.0.1".into()
            }
        ),
        "Logout" => answer!(logout, wire::LogoutRequest { session: "x".into() }),
        "Authenticate" => answer!(
            authenticate,
            wire::AuthenticateRequest { credential: Some(Credential::Session("unknown".into())) }
        ),
        "GetUser" => answer!(get_user, wire::GetUserRequest { username: "bob".into() }),
        "LookupUsers" => answer!(lookup_users, wire::LookupUsersRequest { usernames: vec!["bob".into()] }),
        "GetSettings" => answer!(get_settings, wire::GetSettingsRequest {}),
        "PutSetting" => answer!(put_setting, wire::PutSettingRequest::default()),
        "ListUsers" => answer!(list_users, wire::ListUsersRequest { special_only: false }),
        "CreateUser" => answer!(create_user, wire::CreateUserRequest::default()),
        "DeleteUser" => answer!(delete_user, wire::DeleteUserRequest { username: "nobody".into() }),
        "ChangeUser" => answer!(
            change_user,
            wire::ChangeUserRequest {
                username: "nobody".into(),
                change: Some(wire::change_user_request::Change::AddRole("api".into()))
            }
        ),
        other => panic!("{other} is not called by this test"),
    };
    status.map_or(Code::Ok, |status| status.code())
}

#[tokio::test]
async fn every_method_answers_every_role_as_the_access_table_says() {
    let harness = harness().await;
    let own = access::TABLE.iter().filter(|rpc| rpc.path.starts_with("/clustercockpit.auth.v1.Auth/"));
    let mut methods = 0;
    for rpc in own {
        methods += 1;
        let method = rpc.path.rsplit('/').next().unwrap();
        // a process acting for itself
        let ok = match method {
            "Authenticate" => Code::Unauthenticated,
            // without a name, and of a user that is not there
            "CreateUser" | "PutSetting" => Code::InvalidArgument,
            "ChangeUser" => Code::NotFound,
            _ => Code::Ok,
        };
        assert_eq!(call(&harness.client, method, None).await, ok, "{method} by the gateway itself");
        for roles in
            [&[] as &[Role], &[Role::Api], &[Role::User], &[Role::Manager], &[Role::Support], &[Role::Admin]]
        {
            let expected = match (rpc.needs, method) {
                (Needs::Service, _) => Code::PermissionDenied,
                (Needs::AnyOf(words), _) if !roles.iter().any(|role| words.contains(&role.as_str())) => {
                    Code::PermissionDenied
                }
                (_, "GetUser") if roles.iter().all(|role| matches!(role, Role::Api | Role::User)) => {
                    Code::PermissionDenied
                }
                _ => ok,
            };
            let found = call(&harness.client, method, Some(&caller("eve", roles))).await;
            assert_eq!(found, expected, "{method} by {roles:?}");
        }
    }
    assert_eq!(methods, 11);
}

#[tokio::test]
async fn users_are_seen_by_themselves_and_by_who_looks_after_others() {
    let harness = harness().await;
    let mut client = harness.client.clone();
    let names = ["slurm", "nobody", "bob", "meike", "bob"].map(str::to_owned).to_vec();
    for (name, roles, all) in [
        ("bob", &[Role::User] as &[Role], false),
        ("bob", &[Role::Api, Role::User], false),
        ("bob", &[], false),
        ("x", &[Role::Manager], true),
        ("x", &[Role::Support], true),
        ("x", &[Role::Admin, Role::Api], true),
    ] {
        let caller = caller(name, roles);
        let ask = |username: &str| {
            cc_runtime::caller::request(wire::GetUserRequest { username: username.to_owned() }, &caller)
        };
        let meike = client.get_user(ask("meike")).await;
        if all {
            assert_eq!(meike.unwrap().into_inner().user.unwrap().roles, ["manager"]);
            let status = client.get_user(ask("nobody")).await.unwrap_err();
            assert_eq!((status.code(), reason(&status).as_deref()), (Code::NotFound, Some("USER_NOT_FOUND")));
        } else {
            let status = meike.unwrap_err();
            assert_eq!(
                (status.code(), reason(&status).as_deref()),
                (Code::PermissionDenied, Some("OTHER_USER"))
            );
            assert_eq!(client.get_user(ask("nobody")).await.unwrap_err().code(), Code::PermissionDenied);
            assert_eq!(client.get_user(ask("bob")).await.unwrap().into_inner().user.unwrap().username, "bob");
        }
        let request =
            cc_runtime::caller::request(wire::LookupUsersRequest { usernames: names.clone() }, &caller);
        let found = client.lookup_users(request).await.unwrap().into_inner().users;
        let found: Vec<&str> = found.iter().map(|user| user.username.as_str()).collect();
        let expected: &[&str] = if all { &["bob", "meike", "slurm"] } else { &["bob"] };
        assert_eq!(found, expected, "{roles:?}");
    }
}

#[tokio::test]
async fn an_owner_of_a_token_without_a_user_sees_nobody() {
    let harness = harness().await;
    let mut client = harness.client.clone();
    let ghost = caller("ghost", &[Role::User]);
    let request = cc_runtime::caller::request(wire::GetUserRequest { username: "ghost".into() }, &ghost);
    assert_eq!(client.get_user(request).await.unwrap_err().code(), Code::NotFound);
    let usernames = vec!["ghost".to_owned(), "bob".to_owned()];
    let request = cc_runtime::caller::request(wire::LookupUsersRequest { usernames }, &ghost);
    assert!(client.lookup_users(request).await.unwrap().into_inner().users.is_empty());
}

#[tokio::test]
async fn a_thousand_names_are_the_most() {
    let harness = harness().await;
    let mut client = harness.client.clone();
    for (count, fine) in [(NAMES_MAX, true), (NAMES_MAX + 1, false)] {
        let usernames = (0..count).map(|n| format!("u{n}")).collect();
        let status = client.lookup_users(wire::LookupUsersRequest { usernames }).await.map(drop).err();
        assert_eq!(status.as_ref().map(Status::code), if fine { None } else { Some(Code::OutOfRange) });
    }
}

#[tokio::test]
async fn a_session_travels_over_the_wire() {
    let harness = harness().await;
    let mut client = harness.client.clone();
    let request = wire::LoginRequest {
        username: "bob".into(),
        password: "right".into(),
        client_address: "10.0.0.1".into(),
    };
    let login = client.login(request).await.unwrap().into_inner();
    assert_eq!(login.user.as_ref().unwrap().source, i32::from(wire::AuthSource::Local));
    let ask = || wire::AuthenticateRequest { credential: Some(Credential::Session(login.session.clone())) };
    let seen = client.authenticate(ask()).await.unwrap().into_inner();
    assert_eq!((seen.user, seen.expires_at, seen.cache_s), (login.user.clone(), login.expires_at, 30));
    client.logout(wire::LogoutRequest { session: login.session.clone() }).await.unwrap();
    let status = client.authenticate(ask()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_deref()), (Code::Unauthenticated, Some("UNKNOWN_SESSION")));
}

#[tokio::test]
async fn failures_have_stable_reasons_and_the_texts_of_the_reference() {
    let harness = harness().await;
    let mut client = harness.client.clone();
    let mut login = async |password: &str| {
        let request = wire::LoginRequest {
            username: "bob".into(),
            password: password.into(),
            client_address: "10.0.0.1".into(),
        };
        client.login(request).await.map(drop).unwrap_err()
    };
    for _ in 0..5 {
        let status = login("wrong").await;
        assert_eq!(
            (status.code(), reason(&status).as_deref()),
            (Code::Unauthenticated, Some("WRONG_CREDENTIALS"))
        );
    }
    let status = login("right").await;
    assert_eq!(
        (status.code(), reason(&status).as_deref()),
        (Code::ResourceExhausted, Some("TOO_MANY_ATTEMPTS"))
    );
    assert_eq!(details(&status).get("retry_after_s").map(String::as_str), Some("181"));
    let mut bearer = async |token: &str| {
        let credential = Some(Credential::Bearer(token.to_owned()));
        client.authenticate(wire::AuthenticateRequest { credential }).await.map(drop).unwrap_err()
    };
    let status = bearer("garbage").await;
    assert_eq!(status.message(), "token is malformed: token contains an invalid number of segments");
    assert_eq!(reason(&status).as_deref(), Some("INVALID_TOKEN"));
    let status = client.authenticate(wire::AuthenticateRequest { credential: None }).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_deref()), (Code::InvalidArgument, Some("NO_CREDENTIAL")));
}
