//! Row-level rights as types (spec/auth.md 13.1, 13.3): there is no way to ask for jobs without saying for whom.

use cc_model::Job;
use cc_runtime::caller::{Caller, Role};

use super::change::Change;
use crate::error::Error;

/// The jobs a caller may see. Made from a verified caller only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visible(Rows);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Every job.
    All,
    /// The caller's own.
    OfUser(String),
    /// The caller's own and those of the managed projects (at least one).
    OfProjects { user: String, projects: Vec<String> },
}

impl Visible {
    /// The rows of a caller; first matching rule wins.
    ///
    /// # Errors
    /// [`Error::UnknownRoles`].
    pub(crate) fn to(caller: &Caller) -> Result<Self, Error> {
        let everything = caller.roles == [Role::Api]
            || caller.has_any(&[Role::Admin, Role::Support])
            || caller.roles == [Role::Service];
        let user = caller.name.clone();
        Ok(Self(match () {
            () if everything => Rows::All,
            () if caller.has(Role::Manager) && !caller.projects.is_empty() => {
                Rows::OfProjects { user, projects: caller.projects.clone() }
            }
            () if caller.has_any(&[Role::Manager, Role::User]) => Rows::OfUser(user),
            () => return Err(Error::UnknownRoles),
        }))
    }

    /// What a statement has to restrict.
    pub(crate) fn rows(&self) -> &Rows {
        &self.0
    }

    /// Whether a job is among them.
    pub(crate) fn allows(&self, job: &Job) -> bool {
        self.allows_row(&job.user, &job.project)
    }

    /// Whether a change is of a job among them.
    pub(crate) fn allows_change(&self, change: &Change) -> bool {
        self.allows_row(&change.user, &change.project)
    }

    fn allows_row(&self, owner: &str, project: &str) -> bool {
        match &self.0 {
            Rows::All => true,
            Rows::OfUser(user) => user == owner,
            Rows::OfProjects { user, projects } => {
                user == owner || projects.iter().any(|mine| mine == project)
            }
        }
    }
}

/// The tag scopes a caller may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TagScopes {
    /// Every scope; for the services themselves.
    Every,
    /// `global`, `admin` if set, and the private ones of a user.
    Of { admin: bool, user: String },
}

impl TagScopes {
    /// The scopes of a caller.
    pub(crate) fn to(caller: &Caller) -> Self {
        if caller.roles == [Role::Service] {
            return Self::Every;
        }
        Self::Of { admin: caller.has_any(&[Role::Admin, Role::Support]), user: caller.name.clone() }
    }

    /// Whether tags of a scope may be read.
    pub(crate) fn allows(&self, scope: &str) -> bool {
        match self {
            Self::Every => true,
            Self::Of { admin, user } => scope == "global" || (*admin && scope == "admin") || scope == user,
        }
    }
}

/// Whether a caller may create and attach tags of a scope through REST and events (auth.md 13.3).
pub(crate) fn may_write_scope(caller: &Caller, scope: &str) -> bool {
    let api_only = caller.roles == [Role::Api];
    match scope {
        _ if caller.roles == [Role::Service] => true,
        "global" => api_only || caller.has_any(&[Role::Admin, Role::Support]),
        "admin" => api_only || caller.has(Role::Admin),
        _ => scope == caller.name,
    }
}

/// Whether a caller may delete tags of a scope with all their links (graphql-api.md 6.2, rest-api.md 6.16): those that
/// all see only administrators and programs of the site, not support.
pub(crate) fn may_delete_tag(caller: &Caller, scope: &str) -> bool {
    match scope {
        "global" | "admin" => {
            caller.roles == [Role::Service] || caller.roles == [Role::Api] || caller.has(Role::Admin)
        }
        _ => may_write_scope(caller, scope),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cc_runtime::caller::How;

    pub(crate) fn caller(name: &str, roles: &[Role], projects: &[&str]) -> Caller {
        Caller {
            name: name.to_owned(),
            roles: roles.to_vec(),
            projects: projects.iter().map(ToString::to_string).collect(),
            how: How::Session,
        }
    }

    #[test]
    fn rows_follow_the_roles() {
        let own = || Rows::OfUser("me".to_owned());
        let project = || Rows::OfProjects { user: "me".to_owned(), projects: vec!["p".to_owned()] };
        for (roles, projects, rows) in [
            (&[Role::Api][..], &[][..], Rows::All),
            (&[Role::Admin], &[], Rows::All),
            (&[Role::Support, Role::User], &[], Rows::All),
            (&[Role::Service], &[], Rows::All),
            (&[Role::Manager], &["p"], project()),
            (&[Role::Manager, Role::Api], &["p"], project()),
            (&[Role::Manager], &[], own()),
            (&[Role::User], &["p"], own()),
            (&[Role::User, Role::Api], &[], own()),
        ] {
            assert_eq!(Visible::to(&caller("me", roles, projects)).unwrap().rows(), &rows, "{roles:?}");
        }
        assert!(matches!(Visible::to(&caller("me", &[], &[])), Err(Error::UnknownRoles)));
    }

    #[test]
    fn scopes_follow_the_roles() {
        let scopes = ["global", "admin", "me", "you"];
        let readable = |roles: &[Role]| {
            let readable = TagScopes::to(&caller("me", roles, &[]));
            scopes.map(|scope| readable.allows(scope))
        };
        assert_eq!(readable(&[Role::User]), [true, false, true, false]);
        assert_eq!(readable(&[Role::Api]), [true, false, true, false]);
        assert_eq!(readable(&[Role::Support]), [true, true, true, false]);
        assert_eq!(readable(&[Role::Admin]), [true, true, true, false]);
        let writable = |roles: &[Role]| {
            let me = caller("me", roles, &[]);
            scopes.map(|scope| may_write_scope(&me, scope))
        };
        assert_eq!(writable(&[Role::User]), [false, false, true, false]);
        assert_eq!(writable(&[Role::Api]), [true, true, true, false]);
        assert_eq!(writable(&[Role::Support]), [true, false, true, false]);
        assert_eq!(writable(&[Role::Admin, Role::Api]), [true, true, true, false]);
        let deletable = |roles: &[Role]| {
            let me = caller("me", roles, &[]);
            scopes.map(|scope| may_delete_tag(&me, scope))
        };
        assert_eq!(deletable(&[Role::User]), [false, false, true, false]);
        assert_eq!(deletable(&[Role::Api]), [true, true, true, false]);
        assert_eq!(deletable(&[Role::Support]), [false, false, true, false]);
        assert_eq!(deletable(&[Role::Admin]), [true, true, true, false]);
    }
}
