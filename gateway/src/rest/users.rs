//! `GET /api/users/` and `POST /api/user/{id}` (rest-api.md 6.1, 6.2): users, for programs of administrators.

use axum::body::Body;
use axum::extract::{Path, Query, State as Extract};
use axum::response::Response;
use cc_proto::auth::v1::change_user_request::Change;
use cc_proto::auth::v1::{ChangeUserRequest, ListUsersRequest, User};
use cc_runtime::caller::{self, Caller, Role};
use cc_runtime::error::{self, Kind};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;

use super::NO_ROWS;
use crate::auth::gate::Api;
use crate::body;
use crate::json;
use crate::problem::Problem;
use crate::state::State;

/// A user as clients of the reference know it: where it comes from is not told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    username: String,
    name: String,
    email: String,
    roles: Vec<String>,
    projects: Vec<String>,
    auth_type: u8,
    auth_source: u8,
}

impl From<User> for Listed {
    fn from(user: User) -> Self {
        let User { username, name, email, roles, projects, .. } = user;
        Self { username, name, email, roles, projects, auth_type: 0, auth_source: 0 }
    }
}

/// The first of the four operations that is given.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    pub(crate) add_role: String,
    pub(crate) remove_role: String,
    pub(crate) add_project: String,
    pub(crate) remove_project: String,
}

impl Operations {
    /// Verb and noun of the first one, and the change.
    pub(crate) fn first(self) -> Option<(&'static str, &'static str, Change)> {
        let Self { add_role, remove_role, add_project, remove_project } = self;
        if !add_role.is_empty() {
            Some(("Add", "Role", Change::AddRole(add_role)))
        } else if !remove_role.is_empty() {
            Some(("Remove", "Role", Change::RemoveRole(remove_role)))
        } else if !add_project.is_empty() {
            Some(("Add", "Project", Change::AddProject(add_project)))
        } else if !remove_project.is_empty() {
            Some(("Remove", "Project", Change::RemoveProject(remove_project)))
        } else {
            None
        }
    }
}

/// `{"msg": …}`
#[derive(Serialize)]
struct Message {
    msg: String,
}

pub(crate) fn admins_only(caller: &Caller, what: &str) -> Result<(), Problem> {
    if caller.roles.contains(&Role::Admin) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, format!("only admins are allowed to {what}")))
}

/// All users, or with `not-just-user=true` those who are more than that.
pub async fn list(
    Api(caller): Api,
    Extract(state): Extract<State>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    admins_only(&caller, "fetch a list of users")?;
    listed(&state, &caller, &query).await
}

pub(crate) async fn listed(
    state: &State,
    caller: &Caller,
    query: &[(String, String)],
) -> Result<Response, Problem> {
    let first = query.iter().find(|(key, _)| key == "not-just-user");
    let special_only = first.is_some_and(|(_, value)| value == "true");
    let request = caller::request(ListUsersRequest { special_only }, caller);
    let answer = state.auth().list_users(request).await?;
    let users: Vec<Listed> = answer.into_inner().users.into_iter().map(Listed::from).collect();
    Ok(json::answer(StatusCode::OK, &users))
}

/// One change of one user, as JSON with strict keys.
pub async fn change(
    Api(caller): Api,
    Extract(state): Extract<State>,
    Path(username): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    admins_only(&caller, "update a user")?;
    let limits = state.settings().bodies;
    let body = body::whole(body, &headers, limits.json, limits).await?;
    let operations = read(&body)?;
    let suffix = format!(" for user {username}");
    changed(&state, &caller, username, operations, &suffix).await
}

/// Does the first operation and tells of it.
pub(crate) async fn changed(
    state: &State,
    caller: &Caller,
    username: String,
    operations: Operations,
    suffix: &str,
) -> Result<Response, Problem> {
    let Some((verb, noun, change)) = operations.first() else {
        return Err(Problem::bad(
            "no operation specified: must provide add-role, remove-role, add-project, or remove-project",
        ));
    };
    let request = caller::request(ChangeUserRequest { username, change: Some(change) }, caller);
    let mut auth = state.auth();
    match state.detached("change a user", async move { auth.change_user(request).await }).await {
        Ok(_) => Ok(json::answer(StatusCode::OK, &Message { msg: format!("{verb} {noun} Success{suffix}") })),
        Err(status) => {
            let doing = if verb == "Add" { "adding" } else { "removing" };
            Err(refusal(&status, &format!("{doing} {} failed: ", noun.to_lowercase())))
        }
    }
}

/// 422 with the texts of the reference; what is not a refusal stays what it is.
pub(crate) fn refusal(status: &tonic::Status, prefix: &str) -> Problem {
    let text = match (error::kind(status), error::reason(status).as_deref()) {
        (Kind::NotFound, Some("USER_NOT_FOUND")) => NO_ROWS.to_owned(),
        (_, Some("REFUSED_CHANGE" | "USER_EXISTS" | "LAST_ADMIN")) => status.message().to_owned(),
        _ => return Problem::from(status.clone()),
    };
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{prefix}{text}"))
}

/// Keys match in any case, unknown ones are errors, `null` is "not given".
fn read(body: &[u8]) -> Result<Operations, Problem> {
    let failed = |text: String| Problem::bad(format!("decoding request failed: {text}"));
    let value = match serde_json::Deserializer::from_slice(body).into_iter::<Value>().next() {
        Some(Ok(value)) => value,
        None => return Err(failed("EOF".to_owned())),
        Some(Err(error)) if error.is_eof() => return Err(failed("unexpected EOF".to_owned())),
        // as Go says it for a body that is no JSON from its first byte on
        Some(Err(error)) if error.line() == 1 && error.column() <= 1 => {
            let first =
                char::from(body.iter().copied().find(|byte| !byte.is_ascii_whitespace()).unwrap_or(b' '));
            return Err(failed(format!("invalid character {first:?} looking for beginning of value")));
        }
        Some(Err(error)) => return Err(failed(error.to_string())),
    };
    let Value::Object(members) = value else {
        return Err(failed("json: expected an object".to_owned()));
    };
    let mut operations = Operations::default();
    for (key, value) in members {
        let target = match key.to_ascii_lowercase().as_str() {
            "add-role" => &mut operations.add_role,
            "remove-role" => &mut operations.remove_role,
            "add-project" => &mut operations.add_project,
            "remove-project" => &mut operations.remove_project,
            _ => return Err(failed(format!("json: unknown field {key:?}"))),
        };
        match value {
            Value::String(text) => *target = text,
            Value::Null => {}
            _ => return Err(failed(format!("json: {key}: expected a string"))),
        }
    }
    Ok(operations)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(body: &str) -> String {
        match read(body.as_bytes()) {
            Err(problem) => problem.error.into_owned(),
            Ok(operations) => match operations.first() {
                Some((verb, noun, change)) => format!("{verb} {noun} {change:?}"),
                None => "nothing".to_owned(),
            },
        }
    }

    #[test]
    fn the_first_operation_counts_and_keys_are_strict() {
        for (body, outcome) in [
            (r#"{"add-project": "p", "add-role": "api"}"#, "Add Role AddRole(\"api\")"),
            (r#"{"ADD-role": "api"}"#, "Add Role AddRole(\"api\")"),
            (r#"{"add-role": "", "remove-project": "p"}"#, "Remove Project RemoveProject(\"p\")"),
            ("{}", "nothing"),
            (r#"{"add-role": null}"#, "nothing"),
            (r#"{"add-rolle": "x"}"#, "decoding request failed: json: unknown field \"add-rolle\""),
            (r#"{"add-role": 1}"#, "decoding request failed: json: add-role: expected a string"),
            (
                "add-role=support",
                "decoding request failed: invalid character 'a' looking for beginning of value",
            ),
            ("", "decoding request failed: EOF"),
            ("[]", "decoding request failed: json: expected an object"),
        ] {
            assert_eq!(done(body), outcome, "{body}");
        }
    }
}
