//! Who is behind a session or a token (spec auth.md 4.3, 7.3).

use super::App;
use crate::error::Error;
use crate::session::Secret;
use crate::store::Found;
use crate::user::User;

/// How long an answer may be kept, seconds: a new role, a deleted user, an ended session is noticed that much later.
const CACHE_S: u32 = 30;

/// A caller who showed a valid session or token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// Who it is.
    pub user: User,
    /// Unix seconds; `None`: never.
    pub expires_at: Option<i64>,
    /// How long this answer may be kept, seconds.
    pub cache_s: u32,
}

impl App {
    /// The user of a session, with the roles and projects that the table has now.
    ///
    /// # Errors
    /// [`Error::UnknownSession`], [`Error::ExpiredSession`], [`Error::UnknownUser`], [`Error::Database`].
    pub async fn authenticate_session(&self, cookie: &str) -> Result<Authenticated, Error> {
        let secret = Secret::from_cookie(cookie).ok_or(Error::UnknownSession)?;
        match self.store.session(&secret.hash()).await? {
            Found::Nothing => Err(Error::UnknownSession),
            Found::UserGone => Err(Error::UnknownUser),
            Found::Session { user, created_at, expires_at } => {
                // a shorter life configured later holds for open sessions too
                let expires_at = expires_at.min(created_at.saturating_add(self.session_max_age_s));
                let left_s = expires_at - self.store.clock().unix();
                if left_s <= 0 {
                    return Err(Error::ExpiredSession);
                }
                Ok(Authenticated { user, expires_at: Some(expires_at), cache_s: cache_s(left_s) })
            }
        }
    }

    /// The owner of an API token. With `validate-user` roles and projects come from the user table; else the token's own
    /// roles count, and no projects.
    ///
    /// # Errors
    /// [`Error::Token`], [`Error::UnknownUser`], [`Error::Database`].
    pub async fn authenticate_bearer(&self, token: &str) -> Result<Authenticated, Error> {
        let claims = self.verifier.check(token)?;
        let user = if self.validate_user {
            let account = self.store.account(&claims.username).await?;
            account.ok_or(Error::UnknownUser)?.user
        } else {
            User {
                username: claims.username,
                name: claims.name,
                email: String::new(),
                roles: claims.roles,
                projects: Vec::new(),
                source: None,
            }
        };
        let left_s = claims.expires_at.map_or(i64::MAX, |exp| exp - self.store.clock().unix());
        Ok(Authenticated { user, expires_at: claims.expires_at, cache_s: cache_s(left_s) })
    }
}

fn cache_s(left_s: i64) -> u32 {
    u32::try_from(left_s).unwrap_or(u32::MAX).min(CACHE_S)
}
