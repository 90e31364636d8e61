//! Section `auth` (config-and-cli.md 3.2).

use std::time::Duration;

use cc_model::duration::{self, DurationError};

use super::section::Section;

/// Login methods and tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// `jwts`.
    pub jwts: Jwts,
    /// `ldap`; absent: no LDAP.
    pub ldap: Option<Ldap>,
    /// `oidc`; absent: no single sign-on.
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

/// Reads the section. The reference starts without most of the keys it documents as required, so do we.
pub(super) fn read(section: Section<'_>) -> Auth {
    let mut auth = Auth::default();
    match section.object("jwts") {
        Some(jwts) => auth.jwts = read_jwts(jwts),
        // A wrong type is reported already.
        None if section.value("jwts").is_some() => {}
        None => section.at.key("jwts").error("missing; expected an object, which may be empty"),
    }
    auth.ldap = section.object("ldap").map(read_ldap);
    auth.oidc = section.object("oidc").map(read_oidc);
    section.finish();
    auth
}

fn read_jwts(section: Section<'_>) -> Jwts {
    let mut jwts = Jwts::default();
    match section.get::<String>("max-age") {
        Some(text) if !text.is_empty() => match duration::parse(&text) {
            Ok(age) => jwts.max_age = Some(age),
            Err(DurationError::Negative(_)) => jwts.max_age = Some(Duration::ZERO),
            Err(error) => section.at.key("max-age").error(error.to_string()),
        },
        _ => {}
    }
    section.set("cookie-name", &mut jwts.cookie_name);
    section.set("validate-user", &mut jwts.validate_user);
    section.set("trusted-issuer", &mut jwts.trusted_issuer);
    section.set("sync-user-on-login", &mut jwts.sync_user_on_login);
    section.set("update-user-on-login", &mut jwts.update_user_on_login);
    section.finish();
    jwts
}

fn read_ldap(section: Section<'_>) -> Ldap {
    let text = |key| documented_as_required(&section, key);
    let or = |key, default: &str| {
        section.get::<String>(key).filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned())
    };
    let mut ldap = Ldap {
        url: text("url"),
        user_base: text("user-base"),
        search_dn: text("search-dn"),
        user_bind: text("user-bind"),
        user_filter: text("user-filter"),
        username_attr: or("username-attr", "gecos"),
        uid_attr: or("uid-attr", "uid"),
        sync_interval: None,
        sync_del_old_users: false,
        sync_user_on_login: false,
        update_user_on_login: false,
    };
    if section.get::<String>("sync-interval").is_some_and(|text| !text.is_empty()) {
        section.set_period("sync-interval", &mut ldap.sync_interval);
    }
    section.set("sync-del-old-users", &mut ldap.sync_del_old_users);
    section.set("sync-user-on-login", &mut ldap.sync_user_on_login);
    section.set("update-user-on-login", &mut ldap.update_user_on_login);
    section.finish();
    ldap
}

fn read_oidc(section: Section<'_>) -> Oidc {
    let mut oidc = Oidc {
        provider: documented_as_required(&section, "provider"),
        sync_user_on_login: false,
        update_user_on_login: false,
    };
    section.set("sync-user-on-login", &mut oidc.sync_user_on_login);
    section.set("update-user-on-login", &mut oidc.update_user_on_login);
    section.finish();
    oidc
}

fn documented_as_required(section: &Section<'_>, key: &'static str) -> String {
    let text = section.get::<String>(key);
    if section.value(key).is_none() || text.as_ref().is_some_and(String::is_empty) {
        section.at.key(key).warn("missing: logins of this kind will fail");
    }
    text.unwrap_or_default()
}
