//! The wire form: decode, ask, encode. Who may call what is in `cc_proto::access`; which users a caller sees is in
//! [`crate::users`].

use cc_proto::auth::v1 as wire;
use cc_proto::auth::v1::auth_server::Auth;
use cc_runtime::caller;
use tonic::{Request, Response, Status};

use crate::app::{App, Authenticated, Change, NewPerson};
use crate::error::Error;
use crate::users::{NAMES_MAX, Seen};

/// The server of `clustercockpit.auth.v1.Auth`.
#[derive(Debug, Clone)]
pub(crate) struct Grpc {
    app: App,
}

impl Grpc {
    /// Serves that app.
    pub(crate) fn new(app: App) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl Auth for Grpc {
    async fn login(
        &self,
        request: Request<wire::LoginRequest>,
    ) -> Result<Response<wire::LoginResponse>, Status> {
        let request = request.into_inner();
        let login = self.app.login(&request.username, &request.password, &request.client_address).await?;
        Ok(Response::new(wire::LoginResponse {
            session: login.secret.to_cookie(),
            expires_at: login.expires_at,
            user: Some(login.user.into()),
        }))
    }

    async fn logout(
        &self,
        request: Request<wire::LogoutRequest>,
    ) -> Result<Response<wire::LogoutResponse>, Status> {
        self.app.logout(&request.into_inner().session).await?;
        Ok(Response::new(wire::LogoutResponse {}))
    }

    async fn authenticate(
        &self,
        request: Request<wire::AuthenticateRequest>,
    ) -> Result<Response<wire::AuthenticateResponse>, Status> {
        use wire::authenticate_request::Credential;
        let answer = match request.into_inner().credential {
            Some(Credential::Session(cookie)) => self.app.authenticate_session(&cookie).await?,
            Some(Credential::Bearer(token)) => self.app.authenticate_bearer(&token).await?,
            None => return Err(Error::NoCredential.into()),
        };
        let Authenticated { user, expires_at, cache_s } = answer;
        Ok(Response::new(wire::AuthenticateResponse {
            user: Some(user.into()),
            expires_at: expires_at.unwrap_or_default(),
            cache_s,
        }))
    }

    async fn get_user(
        &self,
        request: Request<wire::GetUserRequest>,
    ) -> Result<Response<wire::GetUserResponse>, Status> {
        let caller = caller::of(&request)?;
        let username = request.into_inner().username;
        let user = match self.app.users().as_seen_by(&caller) {
            Seen::All(users) => users.get(&username).await?,
            Seen::Own(own) if own.username() == username => own.get().await?,
            Seen::Own(_) => return Err(Error::OtherUser.into()),
        };
        Ok(Response::new(wire::GetUserResponse { user: Some(user.into()) }))
    }

    async fn lookup_users(
        &self,
        request: Request<wire::LookupUsersRequest>,
    ) -> Result<Response<wire::LookupUsersResponse>, Status> {
        let caller = caller::of(&request)?;
        let usernames = request.into_inner().usernames;
        if usernames.len() > NAMES_MAX {
            return Err(Error::TooManyNames { found: usernames.len(), limit: NAMES_MAX }.into());
        }
        let users = match self.app.users().as_seen_by(&caller) {
            Seen::All(users) => users.lookup(&usernames).await?,
            Seen::Own(own) if usernames.iter().any(|name| name == own.username()) => match own.get().await {
                Ok(user) => vec![user],
                Err(Error::UserNotFound { .. }) => Vec::new(),
                Err(error) => return Err(error.into()),
            },
            Seen::Own(_) => Vec::new(),
        };
        Ok(Response::new(wire::LookupUsersResponse { users: users.into_iter().map(Into::into).collect() }))
    }

    async fn get_settings(
        &self,
        request: Request<wire::GetSettingsRequest>,
    ) -> Result<Response<wire::GetSettingsResponse>, Status> {
        let caller = caller::of(&request)?;
        let settings = self.app.preferences(&caller.name).await?.into_iter();
        let settings = settings.map(|(name, value)| wire::Setting { name, value }).collect();
        Ok(Response::new(wire::GetSettingsResponse { settings }))
    }

    async fn put_setting(
        &self,
        request: Request<wire::PutSettingRequest>,
    ) -> Result<Response<wire::PutSettingResponse>, Status> {
        let caller = caller::of(&request)?;
        let setting = request.into_inner().setting.unwrap_or_default();
        self.app.set_preference(&caller.name, &setting.name, &setting.value).await?;
        Ok(Response::new(wire::PutSettingResponse {}))
    }

    async fn list_users(
        &self,
        request: Request<wire::ListUsersRequest>,
    ) -> Result<Response<wire::ListUsersResponse>, Status> {
        let users = self.app.list_users(request.into_inner().special_only).await?;
        Ok(Response::new(wire::ListUsersResponse { users: users.into_iter().map(Into::into).collect() }))
    }

    async fn create_user(
        &self,
        request: Request<wire::CreateUserRequest>,
    ) -> Result<Response<wire::CreateUserResponse>, Status> {
        let caller = caller::of(&request)?;
        let wire::CreateUserRequest { username, password, role, name, email, project } = request.into_inner();
        let person = NewPerson { username, password, role, name, email, project };
        self.app.create_user(&caller.name, person).await?;
        Ok(Response::new(wire::CreateUserResponse {}))
    }

    async fn delete_user(
        &self,
        request: Request<wire::DeleteUserRequest>,
    ) -> Result<Response<wire::DeleteUserResponse>, Status> {
        let caller = caller::of(&request)?;
        self.app.delete_user(&caller.name, &request.into_inner().username).await?;
        Ok(Response::new(wire::DeleteUserResponse {}))
    }

    async fn change_user(
        &self,
        request: Request<wire::ChangeUserRequest>,
    ) -> Result<Response<wire::ChangeUserResponse>, Status> {
        use wire::change_user_request::Change as Wire;
        let caller = caller::of(&request)?;
        let wire::ChangeUserRequest { username, change } = request.into_inner();
        let change = match change {
            Some(Wire::AddRole(role)) => Change::AddRole(role),
            Some(Wire::RemoveRole(role)) => Change::RemoveRole(role),
            Some(Wire::AddProject(project)) => Change::AddProject(project),
            Some(Wire::RemoveProject(project)) => Change::RemoveProject(project),
            None => return Err(Error::InvalidUser("no change is named".to_owned()).into()),
        };
        self.app.change_user(&caller.name, &username, change).await?;
        Ok(Response::new(wire::ChangeUserResponse {}))
    }
}

#[cfg(test)]
mod tests;
