//! Section `auth` (config-and-cli.md 3.2).

use std::time::Duration;

/// Login methods and tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// `jwts`.
    pub jwts: Jwts,
    /// `ldap`; absent: no LDAP.
    pub ldap: Option<Ldap>,
    /// `oidc`; absent: no OpenID Connect.
    pub oidc: Option<Oidc>,
}

/// `auth.jwts`: tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jwts {
    /// `max-age`: life of tokens we issue; absent: they never expire.
    pub max_age: Option<Duration>,
    /// `cookie-name`: cookie with a token of an external issuer; empty: off.
    pub cookie_name: String,
    /// `validate-user`: take roles from the database and refuse unknown users. Default false.
    pub validate_user: bool,
    /// `trusted-issuer`: `iss` of external tokens.
    pub trusted_issuer: String,
    /// `sync-user-on-login`: create the user from the token. Default false.
    pub sync_user_on_login: bool,
    /// `update-user-on-login`: update the user from the token. Default false.
    pub update_user_on_login: bool,
}

/// `auth.ldap`. The bind password is `LDAP_ADMIN_PASSWORD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ldap {
    /// `url`: `ldap://` or `ldaps://`.
    pub url: String,
    /// `user-base`: base DN.
    pub user_base: String,
    /// `search-dn`: DN to bind with for searches.
    pub search_dn: String,
    /// `user-bind`: DN of a user; `{username}` stands for the escaped login name.
    pub user_bind: String,
    /// `user-filter`: filter for synchronisation and lookup.
    pub user_filter: String,
    /// `username-attr`: attribute with the full name. Default `gecos`.
    pub username_attr: String,
    /// `uid-attr`: attribute with the login name. Default `uid`.
    pub uid_attr: String,
    /// `sync-interval`; absent: no periodic synchronisation.
    pub sync_interval: Option<Duration>,
    /// `sync-del-old-users`: delete users of LDAP origin that vanished. Default false.
    pub sync_del_old_users: bool,
    /// `sync-user-on-login`. Default false.
    pub sync_user_on_login: bool,
    /// `update-user-on-login`. Default false.
    pub update_user_on_login: bool,
}

/// `auth.oidc`. Client id and secret are `OID_CLIENT_ID` and `OID_CLIENT_SECRET`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oidc {
    /// `provider`: URL of the issuer.
    pub provider: String,
    /// `sync-user-on-login`. Default false.
    pub sync_user_on_login: bool,
    /// `update-user-on-login`. Default false.
    pub update_user_on_login: bool,
}
