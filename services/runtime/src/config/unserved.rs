//! Settings of the reference that are read and checked, and that nothing acts upon yet. Each is told at the start and by
//! `-check-config`: a site that moves over must learn before the switch which jobs, samples and logins would stay away.

use super::Config;
use super::archive::{Place, Policy};
use super::main::NodestatePolicy;
use super::problem::{Problem, Severity};
use crate::env::Env;

/// Tokens of other issuers; the variables hold their keys.
const FOREIGN_TOKENS: &str = "tokens and sign-ins of another issuer are not accepted yet: sign in with a password, \
                              use tokens of -jwt";

impl Config {
    /// What is asked for and not served by this version. `file` is the configuration as it was named.
    #[must_use]
    pub fn unserved(&self, file: &str, env: &dyn Env) -> Vec<Problem> {
        let warning = |file: &str, path: &str, text: &str| Problem {
            severity: Severity::Warning,
            file: file.to_owned(),
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let settings = self.unserved_settings().into_iter();
        let settings = settings.filter(|(asked, ..)| *asked).map(|(_, path, text)| warning(file, path, text));
        let keys = ["CROSS_LOGIN_JWT_PUBLIC_KEY", "CROSS_LOGIN_JWT_HS512_KEY"].into_iter();
        let keys = keys.filter(|name| env.get(name).is_some_and(|value| !value.trim().is_empty()));
        settings.chain(keys.map(|name| warning(".env", name, FOREIGN_TOKENS))).collect()
    }

    fn unserved_settings(&self) -> [(bool, &'static str, &'static str); 6] {
        let (main, auth) = (&self.main, &self.auth);
        [
            (
                auth.ldap.is_some(),
                "auth.ldap",
                "people of the directory cannot sign in yet: give them a password with -add-user",
            ),
            (
                auth.oidc.is_some(),
                "auth.oidc",
                "single sign-on is not served yet: give people a password with -add-user",
            ),
            (!auth.jwts.cookie_name.is_empty(), "auth.jwts.cookie-name", FOREIGN_TOKENS),
            (
                main.nodestate_retention
                    .as_ref()
                    .is_some_and(|retention| retention.policy == NodestatePolicy::Move),
                "main.nodestate-retention.policy",
                "\"move\" is not served yet: old node states are kept, job.db grows; \"delete\" removes them",
            ),
            (
                !matches!(self.archive.place, Place::File { .. }),
                "archive.kind",
                "archives in S3 or SQLite are not served yet: the start ends with an error",
            ),
            (
                self.archive.retention.as_ref().is_some_and(|retention| retention.policy != Policy::None),
                "archive.retention",
                "old jobs are kept: the archive grows",
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Program;
    use crate::env::MapEnv;

    fn told(value: &serde_json::Value, env: &[(&str, &str)]) -> Vec<String> {
        let env: MapEnv = env.iter().copied().collect();
        let loaded = Config::parse(&value.to_string(), Program::Backend, &env).unwrap();
        loaded.config.unserved("config.json", &env).into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn a_site_that_asks_for_nothing_more_is_told_nothing() {
        let plain = json!({"main": {}, "auth": {"jwts": {"max-age": "2000h"}},
            "metric-store": {"retention-in-memory": "48h", "memory-cap": 4}, "nats": {"address": "nats://h"},
            "archive": {"kind": "file", "path": "./a", "retention": {"policy": "none"}}});
        assert_eq!(told(&plain, &[("CROSS_LOGIN_JWT_HS512_KEY", "")]), Vec::<String>::new());
    }

    #[test]
    fn the_guide_for_those_who_move_over_names_them_all() {
        let guide = include_str!("../../../../deploy/README.md");
        let loaded = Config::parse(r#"{"main":{}}"#, Program::Backend, &MapEnv::default()).unwrap();
        for (_, path, _) in loaded.config.unserved_settings() {
            assert!(guide.contains(&format!("`{path}`")), "{path}");
        }
    }

    #[test]
    fn an_archive_that_cannot_be_opened_is_told_before_the_start() {
        let sqlite = json!({"main": {}, "archive": {"kind": "sqlite", "db-path": "./a.db"}});
        assert_eq!(told(&sqlite, &[]), ["archive.kind"]);
    }

    #[test]
    fn where_jobs_samples_and_logins_would_stay_away_is_told() {
        let full = json!({
            "main": {"api-subjects": {"subject-job-event": "j", "subject-node-state": "n"}, "enable-job-taggers": true},
            "auth": {"jwts": {"max-age": "2000h", "cookie-name": "portal"}, "oidc": {"provider": "https://p"}},
            "metric-store": {"retention-in-memory": "48h", "memory-cap": 4,
                "nats-subscriptions": [{"subscribe-to": "s", "cluster-tag": "c"}]},
            "nats": {"address": "nats://h"}});
        assert_eq!(
            told(&full, &[("CROSS_LOGIN_JWT_HS512_KEY", "a2V5")]),
            ["auth.oidc", "auth.jwts.cookie-name", "CROSS_LOGIN_JWT_HS512_KEY"]
        );
    }
}
