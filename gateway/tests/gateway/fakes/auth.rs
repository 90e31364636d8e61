//! Users and tokens. A token `roles:admin+api` has those roles; a token `until:500:api` ends at second 500.

use std::collections::HashMap;

use cc_proto::auth::v1::auth_server::Auth;
use cc_proto::auth::v1::authenticate_request::Credential;
use cc_proto::auth::v1::{
    AuthenticateRequest, AuthenticateResponse, ChangeUserRequest, ChangeUserResponse, CreateUserRequest,
    CreateUserResponse, DeleteUserRequest, DeleteUserResponse, GetSettingsRequest, GetSettingsResponse,
    GetUserRequest, GetUserResponse, ListUsersRequest, ListUsersResponse, LoginRequest, LoginResponse,
    LogoutRequest, LogoutResponse, LookupUsersRequest, LookupUsersResponse, PutSettingRequest,
    PutSettingResponse, Setting, User,
};
use cc_runtime::clock::Clock;
use cc_runtime::error::{Failure, Kind};
use tonic::{Request, Response, Status};

use super::Shared;

#[derive(Debug, Default)]
pub(crate) struct AuthState {
    /// Open sessions by cookie value.
    pub(crate) sessions: HashMap<String, User>,
    /// How often somebody was asked for.
    pub(crate) asked: usize,
    /// The user table.
    pub(crate) users: Vec<User>,
    /// Client addresses of logins.
    pub(crate) addresses: Vec<String>,
    /// Nothing is answered.
    pub(crate) down: bool,
    /// Answers may be kept for this long.
    pub(crate) cache_s: u32,
}

impl AuthState {
    /// Opens a session and gives the value of its cookie.
    pub(crate) fn open(&mut self, name: &str, roles: &[&str]) -> String {
        let session = format!("session-of-{name}-{}", self.sessions.len());
        self.sessions.insert(session.clone(), user(name, roles.iter().copied()));
        session
    }
}

pub(crate) struct FakeAuth {
    pub(crate) state: Shared<AuthState>,
    pub(crate) clock: Clock,
}

fn user<'a>(name: &str, roles: impl Iterator<Item = &'a str>) -> User {
    let roles = roles.filter(|role| !role.is_empty()).map(str::to_owned).collect();
    User { username: name.to_owned(), roles, ..User::default() }
}

fn refused(reason: &'static str, text: &str) -> Status {
    Failure::new(Kind::Unauthenticated, reason, text).into()
}

#[tonic::async_trait]
impl Auth for FakeAuth {
    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let request = request.into_inner();
        let mut state = self.state.get();
        if state.down {
            return Err(Failure::new(Kind::Unavailable, "STARTING", "starting").into());
        }
        state.addresses.push(request.client_address);
        match (request.username.as_str(), request.password.as_str()) {
            ("alice", "pw-alice:1!") => {
                let session = state.open("alice", &["user"]);
                let user = state.sessions.get(&session).cloned();
                Ok(Response::new(LoginResponse { session, expires_at: self.clock.unix() + 3600, user }))
            }
            ("often", _) => Err(Failure::new(Kind::Busy, "TOO_MANY_ATTEMPTS", "user often")
                .with("retry_after_s", 77)
                .into()),
            _ => Err(refused("WRONG_CREDENTIALS", "bcrypt says no")),
        }
    }

    async fn logout(&self, request: Request<LogoutRequest>) -> Result<Response<LogoutResponse>, Status> {
        self.state.get().sessions.remove(&request.into_inner().session);
        Ok(Response::new(LogoutResponse {}))
    }

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        let mut state = self.state.get();
        state.asked += 1;
        if state.down {
            return Err(Failure::new(Kind::Unavailable, "STARTING", "starting").into());
        }
        let cache_s = state.cache_s;
        let (user, expires_at) = match request.into_inner().credential {
            Some(Credential::Session(value)) => {
                let user = state.sessions.get(&value).cloned();
                (user.ok_or_else(|| refused("UNKNOWN_SESSION", "no such session"))?, 0)
            }
            Some(Credential::Bearer(token)) => self.token(&token)?,
            None => return Err(refused("NO_CREDENTIAL", "nothing")),
        };
        Ok(Response::new(AuthenticateResponse { user: Some(user), expires_at, cache_s }))
    }

    async fn get_user(&self, _request: Request<GetUserRequest>) -> Result<Response<GetUserResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn lookup_users(
        &self,
        request: Request<LookupUsersRequest>,
    ) -> Result<Response<LookupUsersResponse>, Status> {
        let names = request.into_inner().usernames;
        if names.len() > 1000 {
            return Err(Failure::new(Kind::Invalid, "TOO_MANY_NAMES", "the contract allows no more").into());
        }
        let users = names.iter().map(|name| user(name, ["user"].into_iter()));
        Ok(Response::new(LookupUsersResponse { users: users.collect() }))
    }

    async fn get_settings(
        &self,
        _request: Request<GetSettingsRequest>,
    ) -> Result<Response<GetSettingsResponse>, Status> {
        let setting = Setting { name: "jobList_jobsPerPage".to_owned(), value: "25".to_owned() };
        Ok(Response::new(GetSettingsResponse { settings: vec![setting] }))
    }

    async fn put_setting(
        &self,
        request: Request<PutSettingRequest>,
    ) -> Result<Response<PutSettingResponse>, Status> {
        let setting = request.into_inner().setting.unwrap();
        if setting.value == "nonsense" {
            return Err(Failure::new(Kind::Invalid, "INVALID_SETTING", "the value is no JSON text").into());
        }
        Ok(Response::new(PutSettingResponse {}))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        let special_only = request.into_inner().special_only;
        let users = self.state.get().users.clone();
        let users = users.into_iter().filter(|user| !special_only || user.roles != ["user"]);
        Ok(Response::new(ListUsersResponse { users: users.collect() }))
    }

    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        let request = request.into_inner();
        let mut state = self.state.get();
        if request.role == "king" {
            return Err(Failure::new(Kind::Invalid, "INVALID_USER", "no such role").into());
        }
        if state.users.iter().any(|user| user.username == request.username) {
            let text = "UNIQUE constraint failed: hpc_user.username";
            return Err(Failure::new(Kind::Conflict, "USER_EXISTS", text).into());
        }
        state.users.push(user(&request.username, [request.role.as_str()].into_iter()));
        Ok(Response::new(CreateUserResponse {}))
    }

    async fn delete_user(
        &self,
        request: Request<DeleteUserRequest>,
    ) -> Result<Response<DeleteUserResponse>, Status> {
        let name = request.into_inner().username;
        self.state.get().users.retain(|user| user.username != name);
        Ok(Response::new(DeleteUserResponse {}))
    }

    async fn change_user(
        &self,
        request: Request<ChangeUserRequest>,
    ) -> Result<Response<ChangeUserResponse>, Status> {
        let request = request.into_inner();
        match request.username.as_str() {
            "ghost" => Err(Failure::new(Kind::NotFound, "USER_NOT_FOUND", "there is no user 'ghost'").into()),
            "same" => {
                Err(Failure::new(Kind::Conflict, "REFUSED_CHANGE", "it is so already").precondition().into())
            }
            _ => Ok(Response::new(ChangeUserResponse {})),
        }
    }
}

impl FakeAuth {
    fn token(&self, token: &str) -> Result<(User, i64), Status> {
        if let Some(roles) = token.strip_prefix("roles:") {
            return Ok((user("tester", roles.split('+')), 0));
        }
        let until = token.strip_prefix("until:").and_then(|rest| rest.split_once(':'));
        let (until, roles) = until.ok_or_else(|| {
            refused("INVALID_TOKEN", "token is malformed: token contains an invalid number of segments")
        })?;
        let until: i64 = until.parse().unwrap();
        if self.clock.unix() >= until {
            return Err(refused("EXPIRED_TOKEN", "token has invalid claims: token is expired"));
        }
        Ok((user("tester", roles.split('+')), until))
    }
}
