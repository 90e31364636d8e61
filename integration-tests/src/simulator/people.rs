//! Users and projects of the demo site.

/// Name, roles and password of the accounts that the demo prints, one per role.
pub const ACCOUNTS: &[(&str, &str, &str)] = &[
    ("operator", "admin", "operator"),
    ("sam", "support", "sam"),
    ("meike", "manager", "meike"),
    ("ada", "user", "ada"),
    ("scheduler", "api", "scheduler"),
];

/// Users that own jobs; the first is the demo's `ada`.
pub const USERS: &[&str] = &[
    "ada", "bruno", "carla", "deniz", "elif", "felix", "greta", "hanna", "ines", "jonas", "karim", "lena",
    "mira", "nils", "olga", "pavel", "quinn", "rosa", "stefan", "tarek", "uta", "viktor", "wanda", "xenia",
    "yusuf", "zoe",
];

/// Projects by field.
pub const PROJECTS: &[&str] = &[
    "astro01",
    "astro02",
    "bio01",
    "bio02",
    "bio03",
    "chem01",
    "chem02",
    "chem03",
    "cfd01",
    "cfd02",
    "climate01",
    "climate02",
    "geo01",
    "llm01",
    "llm02",
    "mat01",
    "mat02",
    "med01",
    "phys01",
    "phys02",
    "phys03",
];

/// The project of a user: people stay with one or two.
pub fn project_of(user: usize, dice: u64) -> &'static str {
    PROJECTS[(user * 7 + usize::from(dice.is_multiple_of(4))) % PROJECTS.len()]
}
