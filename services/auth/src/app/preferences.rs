//! What users set in the UI.

use super::App;
use crate::error::Error;
use crate::store::Put;

/// Longest name of a setting, in bytes: what its column declares.
const NAME_BYTES_MAX: usize = 255;
/// Longest value, in bytes.
const VALUE_BYTES_MAX: usize = 64 * 1024;

impl App {
    /// The settings of a user, by name; values are JSON texts. A row that is no JSON, which the reference allows, is left
    /// out.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) async fn preferences(&self, username: &str) -> Result<Vec<(String, String)>, Error> {
        let mut settings = self.store().settings(username).await?;
        settings.retain(|(name, value)| {
            let good = is_json(value);
            if !good {
                tracing::warn!("the setting {name:?} of {username} is no JSON and is not used");
            }
            good
        });
        Ok(settings)
    }

    /// Stores one of them.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`], [`Error::NoAccount`], [`Error::Database`].
    pub(crate) async fn set_preference(&self, username: &str, name: &str, value: &str) -> Result<(), Error> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            let problem = format!("the name has {} bytes, expected 1 to {NAME_BYTES_MAX}", name.len());
            return Err(Error::InvalidSetting { problem });
        }
        if value.len() > VALUE_BYTES_MAX {
            let problem = format!("the value has {} bytes, expected at most {VALUE_BYTES_MAX}", value.len());
            return Err(Error::InvalidSetting { problem });
        }
        if !is_json(value) {
            return Err(Error::InvalidSetting { problem: "the value is no JSON text".to_owned() });
        }
        match self.store().put_setting(username, name, value).await? {
            Put::Stored => Ok(()),
            Put::NoAccount => Err(Error::NoAccount),
            Put::TooMany => {
                Err(Error::InvalidSetting { problem: "the settings are too many or too large".to_owned() })
            }
        }
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}
