//! The actions of the command line: `-add-user`, `-del-user`, `-jwt` (spec config-and-cli.md 6.3, auth.md 15). They work
//! on the open database in their own process, also while services run.

use std::io::Read;

use cc_database::Database;
use cc_model::names::{NameError, UserName};
use cc_runtime::clock::Clock;

use crate::keys::KeyError;
use crate::password::{self, PasswordError};
use crate::role::{self, NotAssignable};
use crate::settings::Settings;
use crate::store::{Action, Event, NewUser, Outcome, Store};
use crate::token;

/// Longest password read from standard input, in bytes; longer ones could not be set anyway.
const INPUT_BYTES_MAX: u64 = 4096;

/// Names that mean a scope of tags and can be no user's (auth.md 13.3).
pub(crate) const RESERVED: [&str; 2] = ["global", "admin"];

/// Why an action failed. The texts are those of the reference.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not `<name>:<roles>:<password>`. Shows the name only: the rest may hold a password.
    #[error("invalid user format, want: <username>:[admin,support,manager,api,user]:<password>, have: {0}")]
    Format(String),
    /// The user could not be made.
    #[error("adding user '{username}' with roles '{roles}'")]
    AddUser {
        /// Its name.
        username: String,
        /// The roles as given.
        roles: String,
        /// Why.
        #[source]
        source: AddError,
    },
    /// The user could not be removed.
    #[error("deleting user '{username}'")]
    DeleteUser {
        /// Its name.
        username: String,
        /// Why.
        #[source]
        source: cc_database::Error,
    },
    /// The owner of the token could not be read.
    #[error("getting user '{username}'")]
    GetUser {
        /// Its name.
        username: String,
        /// Why.
        #[source]
        source: GetError,
    },
    /// The token could not be made.
    #[error("generating JWT for user '{username}'")]
    Mint {
        /// Its owner.
        username: String,
        /// Why.
        #[source]
        source: MintError,
    },
    /// Our own tables could not be prepared.
    #[error("preparing the tables of auth")]
    Tables(#[source] cc_database::Error),
}

/// Why a user could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// No usable name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A name that means something else.
    #[error("the name '{0}' means a scope of tags and can be no user's")]
    Reserved(String),
    /// No role.
    #[error(transparent)]
    Role(#[from] NotAssignable),
    /// No usable password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Standard input could not be read.
    #[error("failed to read the password from standard input")]
    Input(#[source] std::io::Error),
    /// The row could not be written; class `Unique` when the name is taken.
    #[error(transparent)]
    Database(#[from] cc_database::Error),
}

/// Why a user could not be read.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// No such user.
    #[error("sql: no rows in result set")]
    NotFound,
    /// The table could not be read.
    #[error(transparent)]
    Database(#[from] cc_database::Error),
}

/// Why a token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// There is no private key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The claims could not be encoded.
    #[error("failed to encode the claims")]
    Encode(#[source] serde_json::Error),
    /// It could not be recorded.
    #[error(transparent)]
    Database(#[from] cc_database::Error),
}

/// `-add-user SPEC`, with `SPEC` = `<name>:<role>[,<role>…]:<password>`. The password may contain colons; empty: the
/// user cannot log in; `-`: it is read from `input`, without its line end.
///
/// # Errors
/// [`Error::Format`], [`Error::AddUser`].
pub async fn add_user(
    database: &Database,
    clock: &Clock,
    spec: &str,
    input: &mut (dyn Read + Send),
) -> Result<(), Error> {
    let mut parts = spec.splitn(3, ':');
    let (Some(username), Some(roles), Some(password)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Error::Format(without_secrets(spec)));
    };
    if username.is_empty() {
        return Err(Error::Format(without_secrets(spec)));
    }
    let store = open(database, clock).await?;
    add(&store, username, roles, password, input).await.map_err(|source| Error::AddUser {
        username: username.to_owned(),
        roles: roles.to_owned(),
        source,
    })?;
    tracing::info!("Add User: Added new user '{username}' with roles '{roles}'");
    Ok(())
}

async fn add(
    store: &Store,
    username: &str,
    roles: &str,
    password: &str,
    input: &mut (dyn Read + Send),
) -> Result<(), AddError> {
    UserName::check(username)?;
    if RESERVED.contains(&username) {
        return Err(AddError::Reserved(username.to_owned()));
    }
    let mut words: Vec<String> = Vec::new();
    for word in roles.split(',').filter(|word| !word.is_empty()) {
        let word = role::assignable(word)?.as_str().to_owned();
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let password = if password == "-" { read_password(input)? } else { password.to_owned() };
    let hash = if password.is_empty() { None } else { Some(password::hash(&password)?) };
    let new = NewUser { username, roles: &words, password: hash.as_deref(), ..NewUser::default() };
    let event = by_hand(Action::AddUser, username, roles);
    Ok(store.add_user(new, event).await?)
}

fn read_password(input: &mut (dyn Read + Send)) -> Result<String, AddError> {
    let mut password = String::new();
    input.take(INPUT_BYTES_MAX).read_to_string(&mut password).map_err(AddError::Input)?;
    let line = password.lines().next().unwrap_or_default();
    Ok(line.to_owned())
}

/// `-del-user NAME`: removes a user of any origin, its sessions and its settings. An unknown user is no error.
///
/// # Errors
/// [`Error::DeleteUser`].
pub async fn del_user(database: &Database, clock: &Clock, username: &str) -> Result<(), Error> {
    let store = open(database, clock).await?;
    let event = by_hand(Action::DeleteUser, username, "");
    let removed = store
        .remove_user(username, event)
        .await
        .map_err(|source| Error::DeleteUser { username: username.to_owned(), source })?;
    if removed {
        tracing::info!("Delete User: Deleted user '{username}'");
    } else {
        tracing::info!("Delete User: there is no user '{username}'");
    }
    Ok(())
}

/// `-jwt NAME`: makes an API token with the user's roles and gives the line for standard output, which scripts of sites
/// cut at `: `.
///
/// # Errors
/// [`Error::GetUser`], [`Error::Mint`].
pub async fn mint_jwt(
    database: &Database,
    clock: &Clock,
    settings: &Settings,
    username: &str,
) -> Result<String, Error> {
    let store = open(database, clock).await?;
    let account = store
        .account(username)
        .await
        .map_err(GetError::Database)
        .and_then(|found| found.ok_or(GetError::NotFound));
    let user = account.map_err(|source| Error::GetUser { username: username.to_owned(), source })?.user;
    if !user.has(cc_runtime::caller::Role::Api) {
        tracing::warn!(
            "JWT: User '{username}' does not have the role 'api'. REST API endpoints will return error!"
        );
    }
    let token = mint(&store, settings, &user)
        .await
        .map_err(|source| Error::Mint { username: username.to_owned(), source })?;
    Ok(format!("JWT: Successfully generated JWT for user '{username}': {token}"))
}

async fn mint(store: &Store, settings: &Settings, user: &crate::user::User) -> Result<String, MintError> {
    let key = settings.keys.signing()?;
    let token = token::mint(key, &user.username, &user.roles, store.clock(), settings.token_lifetime_s)
        .map_err(MintError::Encode)?;
    store.record(by_hand(Action::MintToken, &user.username, &user.roles.join(","))).await?;
    Ok(token)
}

async fn open(database: &Database, clock: &Clock) -> Result<Store, Error> {
    Store::open(database.clone(), clock.clone()).await.map_err(Error::Tables)
}

fn by_hand<'a>(action: Action, target: &'a str, detail: &'a str) -> Event<'a> {
    Event { actor: "cli", address: "", action, target, outcome: Outcome::Done, detail }
}

fn without_secrets(spec: &str) -> String {
    match spec.split_once(':') {
        Some((username, _)) => format!("{username}:…"),
        None => spec.to_owned(),
    }
}

#[cfg(test)]
mod tests;
