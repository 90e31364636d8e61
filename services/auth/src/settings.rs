//! What this service takes from the configuration and the environment, checked once.

use std::net::IpAddr;
use std::time::Duration;

use cc_runtime::config::Config;
use cc_runtime::env::Env;

use crate::keys::{KeyError, Keys};

/// The settings of this service.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The site's keys; without any when authentication is off.
    pub keys: Keys,
    /// Life of API tokens made here, seconds; `None`: for ever.
    pub token_lifetime_s: Option<i64>,
    /// Take roles and projects of token owners from the user table, and refuse unknown ones.
    pub validate_user: bool,
    /// Life of a session, seconds.
    pub session_max_age_s: i64,
    /// Failed logins per user and address …
    pub login_attempts: u32,
    /// … within this time.
    pub login_window: Duration,
}

/// Settings that this service does not start with.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A key is missing or unusable.
    #[error("failed to read the keys")]
    Keys(#[from] KeyError),
    /// Everybody can sign tokens.
    #[error(
        "JWT_PUBLIC_KEY is the published sample key and main.addr '{addr}' is no loopback address: make own keys \
         (-init in an empty directory writes some), or set compat.allow-default-keys"
    )]
    PublishedKeys {
        /// `main.addr`.
        addr: String,
    },
}

impl Settings {
    /// Reads and checks them. With `main.disable-authentication` no key is needed.
    ///
    /// # Errors
    /// [`SettingsError::Keys`].
    pub fn load(config: &Config, env: &dyn Env) -> Result<Self, SettingsError> {
        let keys = if config.main.disable_authentication { Keys::default() } else { Keys::from_env(env)? };
        Ok(Self {
            keys,
            token_lifetime_s: config.auth.jwts.max_age.map(seconds),
            validate_user: config.auth.jwts.validate_user,
            session_max_age_s: seconds(config.main.session_max_age).max(1),
            login_attempts: config.limits.login_attempts,
            login_window: config.limits.login_window,
        })
    }

    /// What must hold besides when requests are served: no published key on a public address.
    ///
    /// # Errors
    /// [`SettingsError::PublishedKeys`].
    pub fn check_for_serving(&self, config: &Config) -> Result<(), SettingsError> {
        let addr = &config.main.addr;
        if self.keys.are_published() && !config.compat.allow_default_keys && !is_loopback(addr) {
            return Err(SettingsError::PublishedKeys { addr: addr.clone() });
        }
        Ok(())
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn is_loopback(addr: &str) -> bool {
    let host = addr.rsplit_once(':').map_or(addr, |(host, _port)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use cc_runtime::env::MapEnv;

    use super::*;

    fn published() -> MapEnv {
        MapEnv::new()
            .with("SESSION_KEY", "AAAA")
            .with("JWT_PUBLIC_KEY", "kzfYrYy+TzpanWZHJ5qSdMj5uKUWgq74BWhQG6copP0=")
    }

    #[test]
    fn published_keys_serve_on_loopback_only() {
        let mut config = Config::default();
        let settings = Settings::load(&config, &published()).unwrap();
        for (addr, fine) in [
            ("localhost:8080", true),
            ("127.0.0.1:0", true),
            ("127.8.9.1:80", true),
            ("[::1]:8080", true),
            (":8080", false),
            ("0.0.0.0:8080", false),
            ("[::]:443", false),
            ("monitoring.example.org:443", false),
        ] {
            addr.clone_into(&mut config.main.addr);
            assert_eq!(settings.check_for_serving(&config).is_ok(), fine, "{addr}");
        }
        config.compat.allow_default_keys = true;
        assert!(settings.check_for_serving(&config).is_ok());
    }

    #[test]
    fn without_authentication_no_key_is_needed() {
        let mut config = Config::default();
        assert!(matches!(Settings::load(&config, &MapEnv::new()), Err(SettingsError::Keys(_))));
        config.main.disable_authentication = true;
        let settings = Settings::load(&config, &MapEnv::new()).unwrap();
        assert!(settings.keys.verifying().is_none());
    }

    #[test]
    fn durations_are_seconds() {
        let mut config = Config::default();
        config.auth.jwts.max_age = Some(Duration::from_hours(2000));
        let settings = Settings::load(&config, &published()).unwrap();
        assert_eq!(settings.token_lifetime_s, Some(7_200_000));
        assert_eq!(settings.session_max_age_s, 604_800);
    }
}
