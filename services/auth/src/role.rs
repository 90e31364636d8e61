//! The five roles a person or a program can hold, their order, and what of a stored list counts (spec auth.md 2.3).

use cc_runtime::caller::Role;

/// The roles that can be given to a user, weakest first.
pub const ASSIGNABLE: [Role; 5] = [Role::Api, Role::User, Role::Manager, Role::Support, Role::Admin];

/// The word is no role that a user can be given. Names are lower case; nothing is folded, since the reference compares
/// exactly when it decides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("supplied role is no valid option : {0}")]
pub struct NotAssignable(pub String);

/// The role of that name, for storing. [`Role::Service`] is no role of users.
///
/// # Errors
/// [`NotAssignable`] for every other word, also for a known one in capitals.
pub fn assignable(name: &str) -> Result<Role, NotAssignable> {
    ASSIGNABLE.into_iter().find(|role| role.as_str() == name).ok_or_else(|| NotAssignable(name.to_owned()))
}

/// How much a role may, as in the reference: api 1, user 2, manager 3, support 4, admin 5. A process acting for itself
/// stands above all of them.
pub fn level(role: Role) -> u8 {
    match role {
        Role::Api => 1,
        Role::User => 2,
        Role::Manager => 3,
        Role::Support => 4,
        Role::Admin => 5,
        Role::Service => 6,
    }
}

/// The level of the strongest role; `None` without any role. (The reference gives role-less users level 6, above admin;
/// that is its weakness W16.)
pub fn highest(roles: &[Role]) -> Option<u8> {
    roles.iter().copied().map(level).max()
}

/// A list of words as read from the user table or a token, without the empty ones (`[""]` means "none"), duplicates, and
/// the word `service`: it is what processes call themselves, and no user gets it by having it written somewhere.
/// Other unknown words stay: they are shown, and count for nothing.
pub fn words(stored: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in stored {
        if !word.is_empty() && word != Role::Service.as_str() && !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_five_names_in_lower_case_can_be_assigned() {
        for name in ["api", "user", "manager", "support", "admin"] {
            assert_eq!(assignable(name).unwrap().as_str(), name);
        }
        for name in ["", "Admin", "API", "anonymous", "service", "king", " user", "user "] {
            assert_eq!(assignable(name), Err(NotAssignable(name.to_owned())), "{name:?}");
        }
    }

    #[test]
    fn levels_rise_from_api_to_admin_and_no_role_has_none() {
        let levels: Vec<u8> = ASSIGNABLE.into_iter().map(level).collect();
        assert_eq!(levels, [1, 2, 3, 4, 5]);
        assert_eq!(highest(&[Role::Api, Role::Manager, Role::User]), Some(3));
        assert_eq!(highest(&[]), None);
    }

    #[test]
    fn nobody_becomes_a_process_by_a_stored_word() {
        let stored = ["service", "", "wizard", "user", "user"].map(str::to_owned);
        assert_eq!(words(stored), ["wizard", "user"]);
    }
}
