//! Why the gateway does not start.

/// One variant per thing that can go wrong at start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting cannot be used.
    #[error("config.json: {key}: {problem}")]
    Setting {
        /// The key with its section.
        key: &'static str,
        /// What is wrong and what would do.
        problem: String,
    },
}
