//! What administrators do with users (spec auth.md 14, rest-api.md 6.1, 6.2, 9). The texts are those that clients of the
//! reference know.

use cc_model::names::UserName;
use cc_runtime::cpu;

use super::App;
use crate::cli::RESERVED;
use crate::error::Error;
use crate::password::{self, PasswordError};
use crate::role;
use crate::store::{Action, Changed, Event, Lists, NewUser, Outcome, Removed};
use crate::user::User;

/// Longest name of a user made by form, in bytes.
const NAME_BYTES_MAX: usize = 100;
/// Longest project, full name or mail address, in bytes: what the columns declare.
const TEXT_BYTES_MAX: usize = 255;

/// A user to be made.
#[derive(Clone, Default)]
pub struct NewPerson {
    /// Login name.
    pub username: String,
    /// Empty: no login, for the role `api` only.
    pub password: String,
    /// One role.
    pub role: String,
    /// Full name; may be empty.
    pub name: String,
    /// Mail address; may be empty.
    pub email: String,
    /// Project of a manager.
    pub project: String,
}

impl std::fmt::Debug for NewPerson {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NewPerson").field("username", &self.username).finish_non_exhaustive()
    }
}

/// One change of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Gives a role.
    AddRole(String),
    /// Takes a role.
    RemoveRole(String),
    /// Puts a project under a manager.
    AddProject(String),
    /// Takes a project from a manager.
    RemoveProject(String),
}

impl App {
    /// All users, or those who are more than users; lists as stored. The caller is an administrator.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn list_users(&self, special_only: bool) -> Result<Vec<User>, Error> {
        Ok(self.store().all_users(special_only).await?)
    }

    /// Makes a local user.
    ///
    /// # Errors
    /// [`Error::InvalidUser`], [`Error::UserExists`], [`Error::Database`].
    pub async fn create_user(&self, actor: &str, person: NewPerson) -> Result<(), Error> {
        check(&person)?;
        let NewPerson { username, password, role, name, email, project } = person;
        let hash = if password.is_empty() {
            None
        } else {
            let hashed = cpu::run(move || password::hash(&password)).await.map_err(Error::Cpu)?;
            Some(hashed.map_err(|error: PasswordError| Error::RefusedChange(error.to_string()))?)
        };
        let (roles, projects) = ([role.clone()], [project]);
        let new = NewUser {
            username: &username,
            roles: &roles,
            password: hash.as_deref(),
            name: Some(name.as_str()).filter(|name| !name.is_empty()),
            email: Some(email.as_str()).filter(|email| !email.is_empty()),
            projects: &projects,
        };
        let event = by(actor, Action::AddUser, &username, &role);
        match self.store().add_user(new, event).await {
            Err(error) if error.class() == Some(cc_database::Class::Unique) => Err(Error::UserExists),
            other => Ok(other?),
        }
    }

    /// Removes a user of any source; an unknown one is no error.
    ///
    /// # Errors
    /// [`Error::LastAdmin`], [`Error::Database`].
    pub async fn delete_user(&self, actor: &str, username: &str) -> Result<(), Error> {
        let event = by(actor, Action::DeleteUser, username, "");
        match self.store().remove_user_but_last_admin(username, event).await? {
            Removed::Done => Ok(()),
            Removed::LastAdmin => Err(Error::LastAdmin { username: username.to_owned() }),
        }
    }

    /// Gives or takes a role or a project.
    ///
    /// # Errors
    /// [`Error::RefusedChange`], [`Error::UserNotFound`], [`Error::LastAdmin`], [`Error::Database`].
    pub async fn change_user(&self, actor: &str, username: &str, change: Change) -> Result<(), Error> {
        let detail = format!("{change:?}");
        let event = by(actor, Action::ChangeUser, username, &detail);
        let outcome =
            self.store().change_lists(username, |lists| change.apply(username, lists), event).await?;
        match outcome {
            Changed::Done => Ok(()),
            Changed::NoUser => Err(Error::UserNotFound { username: username.to_owned() }),
            Changed::Refused(text) => Err(Error::RefusedChange(text)),
            Changed::LastAdmin => Err(Error::LastAdmin { username: username.to_owned() }),
        }
    }
}

impl Change {
    fn apply(self, user: &str, lists: &mut Lists) -> Result<(), String> {
        let Lists { roles, projects } = lists;
        let managed = |projects: &[String]| -> Vec<String> {
            projects.iter().filter(|project| !project.is_empty()).cloned().collect()
        };
        let has = |roles: &[String], role: &str| roles.iter().any(|own| own == role);
        match self {
            Self::AddRole(role) => {
                let role = role.to_lowercase();
                role::assignable(&role).map_err(|error| error.to_string())?;
                if has(roles, &role) {
                    return Err(format!("user {user} already has role {role}"));
                }
                // `[""]` means no role
                roles.retain(|own| !own.is_empty());
                roles.push(role);
            }
            Self::RemoveRole(role) => {
                let role = role.to_lowercase();
                role::assignable(&role).map_err(|error| error.to_string())?;
                if !has(roles, &role) {
                    return Err(format!("role already deleted for user '{user}': {role}"));
                }
                let left = managed(projects);
                if role == "manager" && !left.is_empty() {
                    return Err(format!(
                        "cannot remove role 'manager' while user {user} still has assigned project(s) : [{}]",
                        left.join(" ")
                    ));
                }
                roles.retain(|own| *own != role);
            }
            Self::AddProject(project) => {
                if !has(roles, "manager") {
                    return Err(format!("user '{user}' is not a manager"));
                }
                if project.len() > TEXT_BYTES_MAX {
                    return Err(format!("a project has at most {TEXT_BYTES_MAX} bytes"));
                }
                if projects.contains(&project) {
                    return Err(format!("user '{user}' already manages project '{project}'"));
                }
                projects.retain(|own| !own.is_empty());
                projects.push(project);
            }
            Self::RemoveProject(project) => {
                if !has(roles, "manager") {
                    return Err(format!("user '{user:?}' is not a manager"));
                }
                if !projects.contains(&project) {
                    return Err(format!(
                        "user '{user:?}': Cannot remove project '{project:?}' - Does not match"
                    ));
                }
                projects.retain(|own| *own != project);
            }
        }
        Ok(())
    }
}

fn check(person: &NewPerson) -> Result<(), Error> {
    let bad = |text: &str| Err(Error::InvalidUser(text.to_owned()));
    let NewPerson { username, password, role, name, email, project } = person;
    if username.is_empty() || username.len() > NAME_BYTES_MAX {
        return bad("username must be between 1 and 100 characters");
    }
    UserName::check(username).map_err(|error| Error::InvalidUser(error.to_string()))?;
    if RESERVED.contains(&username.as_str()) {
        return bad("this name means a scope of tags and can be no user's");
    }
    role::assignable(role).map_err(|error| Error::InvalidUser(error.to_string()))?;
    if password.is_empty() && role != "api" {
        return bad("only API users are allowed to have a blank password (login will be impossible)");
    }
    if !project.is_empty() && role != "manager" {
        return bad("only managers require a project (can be changed later)");
    }
    if project.is_empty() && role == "manager" {
        return bad("managers require a project to manage (can be changed later)");
    }
    if [name, email, project].iter().any(|text| text.len() > TEXT_BYTES_MAX) {
        return bad("name, email and project have at most 255 bytes");
    }
    Ok(())
}

fn by<'a>(actor: &'a str, action: Action, target: &'a str, detail: &'a str) -> Event<'a> {
    Event { actor, address: "", action, target, outcome: Outcome::Done, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Site, settings};

    async fn app() -> (Site, App) {
        let site = Site::new().await;
        site.execute(
            "INSERT INTO hpc_user (username, ldap, roles, projects) VALUES
             ('ruth', 0, '[\"admin\"]', '[]'), ('alice', 0, '[\"user\"]', '[]'),
             ('meike', 0, CAST('[\"manager\"]' AS BLOB), CAST('[\"pa01\",\"pb02\"]' AS BLOB)),
             ('nora', 0, '[\"\"]', '[]')",
        )
        .await;
        let app = App::open(site.database.clone(), site.clock.clone(), &settings()).await.unwrap();
        (site, app)
    }

    async fn change(app: &App, user: &str, change: Change) -> String {
        match app.change_user("ruth", user, change).await {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn changes_and_refusals_are_those_recorded() {
        let (site, app) = app().await;
        let text = |text: &str| text.to_owned();
        for (user, step, outcome) in [
            ("alice", Change::AddRole(text("api")), "ok"),
            ("alice", Change::AddRole(text("API")), "user alice already has role api"),
            ("alice", Change::AddRole(text("king")), "supplied role is no valid option : king"),
            ("ghost", Change::AddRole(text("api")), "there is no user 'ghost'"),
            ("alice", Change::RemoveRole(text("support")), "role already deleted for user 'alice': support"),
            ("alice", Change::AddProject(text("p9")), "user 'alice' is not a manager"),
            ("meike", Change::AddProject(text("p9")), "ok"),
            ("meike", Change::AddProject(text("p9")), "user 'meike' already manages project 'p9'"),
            ("meike", Change::RemoveProject(text("p9")), "ok"),
            (
                "meike",
                Change::RemoveProject(text("p9")),
                "user '\"meike\"': Cannot remove project '\"p9\"' - Does not match",
            ),
            (
                "meike",
                Change::RemoveRole(text("manager")),
                "cannot remove role 'manager' while user meike still has assigned project(s) : [pa01 pb02]",
            ),
            ("nora", Change::AddRole(text("support")), "ok"),
            ("ruth", Change::RemoveRole(text("admin")), "'ruth' is the last administrator"),
        ] {
            assert_eq!(change(&app, user, step.clone()).await, outcome, "{user} {step:?}");
        }
        let rows = site
            .texts(
                "SELECT username || CAST(roles AS TEXT) || CAST(projects AS TEXT) FROM hpc_user ORDER BY 1",
            )
            .await;
        assert_eq!(
            rows,
            [
                r#"alice["user","api"][]"#,
                r#"meike["manager"]["pa01","pb02"]"#,
                r#"nora["support"][]"#,
                r#"ruth["admin"][]"#
            ]
        );
        assert_eq!(site.number("SELECT COUNT(*) FROM ccx_audit WHERE action = 'change-user'").await, 4);
    }

    #[tokio::test]
    async fn users_are_made_listed_and_removed() {
        let (site, app) = app().await;
        let person = |username: &str, password: &str, role: &str, project: &str| NewPerson {
            username: username.to_owned(),
            password: password.to_owned(),
            role: role.to_owned(),
            project: project.to_owned(),
            ..NewPerson::default()
        };
        for (new, outcome) in [
            (person("neu", "geheim:1", "user", ""), "ok"),
            (person("neu", "x", "user", ""), "UNIQUE constraint failed: hpc_user.username"),
            (person("b2", "x y", "manager", "pa01"), "ok"),
            (person("b3", "x", "manager", ""), "managers require a project to manage (can be changed later)"),
            (person("u4", "x", "user", "p"), "only managers require a project (can be changed later)"),
            (
                person("u5", "", "user", ""),
                "only API users are allowed to have a blank password (login will be impossible)",
            ),
            (person("u6", "", "api", ""), "ok"),
            (person("", "x", "user", ""), "username must be between 1 and 100 characters"),
            (person(&"x".repeat(101), "x", "user", ""), "username must be between 1 and 100 characters"),
            (person("u7", &"x".repeat(81), "user", ""), "bcrypt: password length exceeds 72 bytes"),
            (person("u8", "x", "king", ""), "supplied role is no valid option : king"),
            (person("admin", "x", "user", ""), "this name means a scope of tags and can be no user's"),
        ] {
            let name = new.username.clone();
            let made = app.create_user("ruth", new).await;
            assert_eq!(made.map_or_else(|error| error.to_string(), |()| "ok".to_owned()), outcome, "{name}");
        }
        assert!(app.login("neu", "geheim:1", "").await.is_ok());
        let names = |users: Vec<User>| users.into_iter().map(|user| user.username).collect::<Vec<_>>();
        assert_eq!(
            names(app.list_users(false).await.unwrap()),
            ["alice", "b2", "meike", "neu", "nora", "ruth", "u6"]
        );
        let special = app.list_users(true).await.unwrap();
        let nora = special.iter().find(|user| user.username == "nora").unwrap();
        assert_eq!(nora.roles, [""], "as stored");
        assert_eq!(names(special), ["b2", "meike", "nora", "ruth", "u6"]);
        app.delete_user("ruth", "neu").await.unwrap();
        app.delete_user("ruth", "nobody").await.unwrap();
        assert!(matches!(app.delete_user("ruth", "ruth").await, Err(Error::LastAdmin { .. })));
        assert_eq!(site.number("SELECT COUNT(*) FROM hpc_user WHERE username IN ('neu', 'ruth')").await, 1);
    }

    #[tokio::test]
    async fn two_administrators_cannot_remove_each_other() {
        let (site, app) = app().await;
        site.execute(
            "UPDATE hpc_user SET password = 'x' WHERE username = 'ruth';
             INSERT INTO hpc_user (username, password, ldap, roles, projects) VALUES ('otto', 'x', 0, '[\"admin\"]', '[]')",
        )
        .await;
        for _ in 0..5 {
            let (ruth, otto) = tokio::join!(app.delete_user("otto", "ruth"), app.delete_user("ruth", "otto"));
            assert_eq!(u8::from(ruth.is_ok()) + u8::from(otto.is_ok()), 1, "{ruth:?} {otto:?}");
            let left = site.texts("SELECT username FROM hpc_user WHERE roles = '[\"admin\"]'").await;
            assert_eq!(left.len(), 1);
            site.execute(
                "INSERT OR IGNORE INTO hpc_user (username, password, ldap, roles, projects) VALUES
                 ('ruth', 'x', 0, '[\"admin\"]', '[]'), ('otto', 'x', 0, '[\"admin\"]', '[]')",
            )
            .await;
        }
    }

    #[tokio::test]
    async fn an_administrator_who_cannot_sign_in_does_not_count_as_one_that_is_left() {
        let (site, app) = app().await;
        site.execute(
            "INSERT INTO hpc_user (username, password, ldap, roles, projects) VALUES
             ('robot', NULL, 0, '[\"api\",\"admin\"]', '[]'), ('dora', 'x', 1, '[\"admin\"]', '[]'),
             ('otto', 'x', 0, '[\"admin\"]', '[]')",
        )
        .await;
        for step in ["remove", "take the role"] {
            let outcome = match step {
                "remove" => app.delete_user("robot", "otto").await,
                _ => app.change_user("robot", "otto", Change::RemoveRole("admin".to_owned())).await,
            };
            assert!(matches!(outcome, Err(Error::LastAdmin { .. })), "{step}: {outcome:?}");
        }
        // who cannot sign in is no loss
        app.delete_user("otto", "ruth").await.unwrap();
        app.delete_user("ruth", "robot").await.unwrap();
    }
}
