//! Where the token comes from: a file, which is read anew for every connection, or the environment.

use std::path::PathBuf;
use std::sync::Arc;

use cc_runtime::env::Env;

use crate::publish::Token;

/// The environment variable with the token.
pub const VARIABLE: &str = "CC_TOKEN";

/// The token of a file, else of `CC_TOKEN`, else none.
#[derive(Debug, Clone)]
pub struct Source {
    file: Option<PathBuf>,
    env: Arc<dyn Env>,
}

impl Source {
    /// A file, if given, is used whatever the environment says.
    pub fn new(file: Option<PathBuf>, env: Arc<dyn Env>) -> Self {
        Self { file, env }
    }
}

impl Token for Source {
    fn token(&self) -> Result<Option<String>, String> {
        let token = match &self.file {
            None => return Ok(self.env.get(VARIABLE).filter(|token| !token.trim().is_empty())),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| format!("-token-file {} cannot be read: {error}", path.display()))?,
        };
        if token.trim().is_empty() {
            return Err("the file of -token-file is empty".to_owned());
        }
        Ok(Some(token.trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use cc_runtime::env::MapEnv;

    use super::*;

    #[test]
    fn a_file_goes_before_the_environment_and_is_read_each_time() {
        let env = MapEnv::new().with(VARIABLE, "from-env");
        assert_eq!(Source::new(None, Arc::new(env.clone())).token().unwrap().as_deref(), Some("from-env"));
        assert_eq!(Source::new(None, Arc::new(MapEnv::new())).token().unwrap(), None);
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = Source::new(Some(file.path().to_owned()), Arc::new(env));
        assert!(source.token().unwrap_err().contains("empty"));
        std::fs::write(file.path(), "one\n").unwrap();
        assert_eq!(source.token().unwrap().as_deref(), Some("one"));
        std::fs::write(file.path(), "two\n").unwrap();
        assert_eq!(source.token().unwrap().as_deref(), Some("two"));
        drop(file);
        assert!(source.token().unwrap_err().contains("cannot be read"));
    }
}
