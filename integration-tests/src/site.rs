//! A site on disk: made as a newcomer makes one, by `-init` and `-add-user`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shared::binary;

/// A site's directory; removed when dropped.
#[derive(Debug)]
pub struct Site {
    dir: TempDir,
}

impl Site {
    /// A fresh site by `cc-backend -init`.
    pub fn init() -> Self {
        let site =
            Self { dir: tempfile::Builder::new().prefix("cc-site-").tempdir().expect("a temporary folder") };
        let output = site.cli(&["-init"]);
        assert!(output.status.success(), "-init: {output:?}");
        site
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A file or folder in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Runs `cc-backend` with these arguments in the site.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        Command::new(binary("cc-backend"))
            .args(arguments)
            .current_dir(self.path())
            .env("TZ", "UTC")
            .output()
            .expect("cc-backend runs")
    }

    /// Runs `cc-backend` and expects success.
    #[track_caller]
    pub fn cli_ok(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("stdout is UTF-8")
    }

    /// Adds a user; roles separated by commas.
    #[track_caller]
    pub fn add_user(&self, name: &str, roles: &str, password: &str) {
        self.cli_ok(&["-add-user", &format!("{name}:{roles}:{password}")]);
    }

    /// A token of a user, cut from the line as scripts cut it.
    #[track_caller]
    pub fn token(&self, user: &str) -> String {
        let line = self.cli_ok(&["-jwt", user]);
        let token =
            line.lines().find_map(|line| line.rsplit_once("': ")).map(|(_, token)| token.trim().to_owned());
        token.filter(|token| token.split('.').count() == 3).unwrap_or_else(|| panic!("no token in {line:?}"))
    }

    /// The configuration as JSON.
    pub fn config(&self) -> Value {
        serde_json::from_slice(&fs::read(self.file("config.json")).expect("config.json")).expect("JSON")
    }

    /// Changes the configuration.
    pub fn configure(&self, change: impl FnOnce(&mut Value)) {
        let mut config = self.config();
        change(&mut config);
        fs::write(self.file("config.json"), serde_json::to_vec_pretty(&config).expect("JSON"))
            .expect("config.json");
    }

    /// Settings that make a test quick: short intervals, small retention of nothing but time.
    pub fn configure_for_tests(&self) {
        self.configure(|config| {
            config["cron"] =
                json!({"commit-job-worker": "1s", "duration-worker": "2s", "footprint-worker": "3s"});
            config["metric-store"] = json!({
                "checkpoints": {"directory": "./var/checkpoints"},
                "checkpoint-interval": "5s",
                "retention-in-memory": "48h",
                "memory-cap": 4
            });
        });
    }

    /// Puts a cluster file into the archive.
    pub fn add_cluster(&self, name: &str, cluster_json: &[u8]) {
        let folder = self.file("var/job-archive").join(name);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("cluster.json"), cluster_json).expect("cluster.json");
    }

    /// Puts a cluster file from another place into the archive.
    pub fn add_cluster_file(&self, name: &str, path: &Path) {
        let json = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.add_cluster(name, &json);
    }

    /// Looks into the database file; no server may have it open.
    #[track_caller]
    pub fn database_is_whole(&self) {
        self.database_at_is_whole("var/job.db");
    }

    /// The same where the file lies elsewhere in the site.
    #[track_caller]
    pub fn database_at_is_whole(&self, file: &str) {
        let file = self.file(file);
        // Python is there: the suites' conductor is written in it.
        let program = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('PRAGMA integrity_check').fetchall())";
        let output = Command::new("python3").args(["-c", program]).arg(file).output().expect("python3 runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "[('ok',)]", "{output:?}");
    }
}
