//! A user as the rest of the house sees it (spec auth.md 2.2): without password hash.

use cc_proto::auth::v1 as wire;

use crate::role;

/// Where a user comes from: column `ldap` of the user table (historic name).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Made here, with a password or without.
    Local,
    /// Copied from the directory.
    Ldap,
    /// Made at a token login.
    Token,
    /// Made at an `OpenID` login.
    Oidc,
}

impl Source {
    /// The number in the table.
    pub fn number(self) -> i64 {
        match self {
            Self::Local => 0,
            Self::Ldap => 1,
            Self::Token => 2,
            Self::Oidc => 3,
        }
    }

    /// The source of a number in the table; `None` for one that this release does not know.
    pub fn of_number(number: i64) -> Option<Self> {
        [Self::Local, Self::Ldap, Self::Token, Self::Oidc]
            .into_iter()
            .find(|source| source.number() == number)
    }

    fn wire(self) -> wire::AuthSource {
        match self {
            Self::Local => wire::AuthSource::Local,
            Self::Ldap => wire::AuthSource::Ldap,
            Self::Token => wire::AuthSource::Token,
            Self::Oidc => wire::AuthSource::Oidc,
        }
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name; compared exactly.
    pub username: String,
    /// Full name; empty when unknown.
    pub name: String,
    /// Mail address; empty when unknown.
    pub email: String,
    /// Role names as stored, see [`role::words`].
    pub roles: Vec<String>,
    /// Projects a manager looks after.
    pub projects: Vec<String>,
    /// Where it comes from; `None`: known from a token only, or a number of a later release.
    pub source: Option<Source>,
}

impl User {
    /// Whether it holds a role, compared exactly.
    pub fn has(&self, role: cc_runtime::caller::Role) -> bool {
        self.roles.iter().any(|word| word == role.as_str())
    }
}

impl From<User> for wire::User {
    fn from(user: User) -> Self {
        let source = user.source.map_or(wire::AuthSource::Unspecified, Source::wire);
        Self {
            username: user.username,
            name: user.name,
            email: user.email,
            roles: user.roles,
            projects: user.projects,
            source: source.into(),
        }
    }
}

/// The words of a JSON list as the reference stores roles and projects: `null`, `[""]` and broken text are empty lists.
/// Broken text is reported, since it takes a person's rights away.
pub(crate) fn stored_list(json: &[u8], column: &'static str, username: &str) -> Vec<String> {
    match serde_json::from_slice::<Option<Vec<String>>>(json) {
        Ok(list) => role::words(list.unwrap_or_default()),
        Err(error) => {
            tracing::warn!(user.name = username, column, error = %error, "a list in the user table is no JSON, taken as empty");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_reference_are_read_as_they_are_meant() {
        let list = |json: &str| stored_list(json.as_bytes(), "projects", "x");
        assert_eq!(list(r#"["pa01","pb02"]"#), ["pa01", "pb02"]);
        for empty in ["null", "[]", r#"[""]"#, "", "{", r#"{"a":1}"#, r"[1]"] {
            assert!(list(empty).is_empty(), "{empty}");
        }
    }

    #[test]
    fn sources_are_numbered_as_in_the_table() {
        let numbers: Vec<i64> =
            [Source::Local, Source::Ldap, Source::Token, Source::Oidc].map(Source::number).to_vec();
        assert_eq!(numbers, [0, 1, 2, 3]);
        assert_eq!(Source::of_number(2), Some(Source::Token));
        assert_eq!(Source::of_number(-1), None);
    }
}
