//! The rule files (spec/taggers.md 2, 4, 5).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use regex::Regex;
use serde::Deserialize;

use super::expr::{Env, Expr, Value};
use super::pattern;
use super::template::Template;

/// Largest rule file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Files read of one directory.
const FILES_MAX: usize = 10_000;
/// Problems kept.
const PROBLEMS_MAX: usize = 1_000;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Relative to the directory of the rules, e.g. `jobclasses/lowload.json`.
    pub(crate) file: String,
    /// Key, and line and column where they are known.
    pub(crate) place: String,
    pub(crate) text: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, place, text } = self;
        if place.is_empty() {
            write!(formatter, "{file}: {text}")
        } else {
            write!(formatter, "{file} ({place}): {text}")
        }
    }
}

/// Patterns of one application.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) tag: String,
    pub(crate) patterns: Vec<Regex>,
}

/// One rule of the classification.
#[derive(Debug)]
pub(crate) struct ClassRule {
    pub(crate) file: String,
    pub(crate) tag: String,
    /// The parameters it uses.
    pub(crate) parameters: Env,
    pub(crate) metrics: Vec<String>,
    pub(crate) requirements: Vec<Expr>,
    pub(crate) variables: Vec<(String, Expr)>,
    pub(crate) rule: Expr,
    pub(crate) hint: Option<Template>,
}

/// All rules at one moment.
#[derive(Debug, Default)]
pub(crate) struct RuleSet {
    /// By file name.
    pub(crate) applications: Vec<Application>,
    /// By file name.
    pub(crate) classes: Vec<ClassRule>,
    pub(crate) problems: Vec<Problem>,
    /// Directories that are not there: the site has no such rules.
    pub(crate) missing: Vec<&'static str>,
}

/// A rule file as it is written; unknown keys are ignored.
#[derive(Debug, Deserialize)]
struct RuleFile {
    #[serde(default)]
    tag: String,
    #[serde(default)]
    parameters: Option<Vec<String>>,
    #[serde(default)]
    metrics: Option<Vec<String>>,
    #[serde(default)]
    requirements: Option<Vec<String>>,
    #[serde(default)]
    variables: Option<Vec<Variable>>,
    #[serde(default)]
    rule: String,
    #[serde(default)]
    hint: String,
}

#[derive(Debug, Deserialize)]
struct Variable {
    name: String,
    expr: String,
}

impl RuleSet {
    /// Reads the directories `apps` and `jobclasses`. Never fails: what cannot be used is a problem of the set.
    pub(crate) fn load(root: &Path) -> Self {
        let mut set = Self::default();
        set.load_applications(&root.join("apps"));
        set.load_classes(&root.join("jobclasses"));
        set.problems.truncate(PROBLEMS_MAX);
        set
    }

    fn problem(&mut self, file: &str, place: impl Into<String>, text: impl Into<String>) {
        self.problems.push(Problem { file: file.to_owned(), place: place.into(), text: text.into() });
    }

    fn unreadable(&mut self, folder: &'static str, error: &io::Error) {
        if error.kind() == io::ErrorKind::NotFound {
            self.missing.push(folder);
        } else {
            self.problem(folder, "", format!("cannot be read: {error}"));
        }
    }

    fn load_applications(&mut self, folder: &Path) {
        let files = match files(folder) {
            Ok(files) => files,
            Err(error) => return self.unreadable("apps", &error),
        };
        let mut found: BTreeMap<String, (usize, Vec<Regex>)> = BTreeMap::new();
        for (order, (name, path)) in files.into_iter().enumerate() {
            let shown = format!("apps/{name}");
            let text = match read(&path) {
                Ok(text) => text,
                Err(error) => {
                    self.problem(&shown, "", format!("cannot be read: {error}"));
                    continue;
                }
            };
            let mut patterns = Vec::new();
            for (number, line) in text.lines().enumerate() {
                let line = line.trim();
                if line.is_empty() {
                    continue;
                }
                match pattern::application(line) {
                    Ok(regex) => patterns.push(regex),
                    Err(problem) => self.problem(&shown, format!("line {}", number + 1), problem),
                }
            }
            let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
            found.insert(stem.to_owned(), (order, patterns));
        }
        let mut applications: Vec<_> = found.into_iter().collect();
        applications.sort_by_key(|(_, (order, _))| *order);
        self.applications =
            applications.into_iter().map(|(tag, (_, patterns))| Application { tag, patterns }).collect();
    }

    fn load_classes(&mut self, folder: &Path) {
        let files = match files(folder) {
            Ok(files) => files,
            Err(error) => return self.unreadable("jobclasses", &error),
        };
        let parameters = match parameters(&folder.join("parameters.json")) {
            Ok(parameters) => parameters,
            Err(text) => return self.problem("jobclasses/parameters.json", "", text),
        };
        let mut rules: Vec<ClassRule> = Vec::new();
        for (name, path) in files {
            if name == "parameters.json" {
                continue;
            }
            let shown = format!("jobclasses/{name}");
            let rule = read(&path)
                .map_err(|error| (String::new(), format!("cannot be read: {error}")))
                .and_then(|text| class_rule(&shown, &text, &parameters));
            match rule {
                Ok(rule) => {
                    if let Some(known) = rules.iter().position(|known| known.tag == rule.tag) {
                        let former = rules.remove(known).file;
                        self.problem(
                            &shown,
                            "tag",
                            format!("takes the place of {former}, which has the same tag"),
                        );
                    }
                    rules.push(rule);
                }
                Err((place, text)) => self.problem(&shown, place, text),
            }
        }
        self.classes = rules;
    }
}

/// One rule, checked; or the place and the text of what is wrong.
fn class_rule(file: &str, text: &str, parameters: &Env) -> Result<ClassRule, (String, String)> {
    let of = |place: &str, text: String| (place.to_owned(), text);
    let read: RuleFile = serde_json::from_str(text).map_err(|error| {
        (
            format!("line {}, column {}", error.line(), error.column()),
            "is no rule: ".to_owned() + &short(&error),
        )
    })?;
    if read.tag.is_empty() || read.tag.len() > 255 {
        return Err(of("tag", "a text of 1 to 255 bytes is needed".to_owned()));
    }
    let expression = |place: String, text: &str| {
        Expr::parse(text).map_err(|error| {
            (format!("{place}, line {}, column {}", error.line, error.column), error.problem)
        })
    };
    let mut used = Env::new();
    for name in read.parameters.unwrap_or_default() {
        let value = parameters.get(&name).cloned();
        let value = value.ok_or_else(|| {
            of("parameters", format!("parameters.json has no {name:?}: the rule is not used"))
        })?;
        used.insert(name, value);
    }
    let requirements = read.requirements.unwrap_or_default();
    let requirements: Result<Vec<Expr>, _> = requirements
        .iter()
        .enumerate()
        .map(|(index, text)| expression(format!("requirements[{index}]"), text))
        .collect();
    let variables: Result<Vec<(String, Expr)>, (String, String)> = read
        .variables
        .unwrap_or_default()
        .into_iter()
        .map(|variable| {
            let parsed = expression(format!("variable {:?}", variable.name), &variable.expr)?;
            Ok::<_, (String, String)>((variable.name, parsed))
        })
        .collect();
    let hint = if read.hint.is_empty() {
        None
    } else {
        Some(Template::parse(&read.hint).map_err(|problem| of("hint", problem))?)
    };
    Ok(ClassRule {
        file: file.to_owned(),
        tag: read.tag,
        parameters: used,
        metrics: read.metrics.unwrap_or_default(),
        requirements: requirements?,
        variables: variables?,
        rule: expression("rule".to_owned(), &read.rule)?,
        hint,
    })
}

/// The text of a JSON error without its place.
fn short(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn parameters(path: &Path) -> Result<Env, String> {
    let text = read(path).map_err(|error| format!("cannot be read, so no rule is used: {error}"))?;
    let read: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text)
        .map_err(|error| format!("is no JSON object, so no rule is used: {error}"))?;
    Ok(read.into_iter().map(|(name, value)| (name, from_json(value))).collect())
}

/// A value of a parameter file; numbers become floats. The JSON reader bounds how deep it is.
fn from_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(value) => Value::Bool(value),
        serde_json::Value::Number(value) => Value::Float(value.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(text) => Value::text(text),
        serde_json::Value::Array(items) => Value::List(Arc::new(items.into_iter().map(from_json).collect())),
        serde_json::Value::Object(map) => {
            Value::Map(Arc::new(map.into_iter().map(|(key, value)| (key, from_json(value))).collect()))
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let length = fs::metadata(path)?.len();
    if length > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    // patterns of other encodings match nothing; the rest of the file does
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

/// Regular files of a directory by name, without hidden ones and what editors leave.
fn files(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)?.take(FILES_MAX) {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        let swap = Path::new(&name).extension().is_some_and(|extension| extension == "swp");
        if name.starts_with('.') || name.ends_with('~') || swap || !fs::metadata(&path)?.is_file() {
            continue;
        }
        files.push((name, path));
    }
    files.sort_unstable();
    Ok(files)
}

/// What tells a changed directory from the same one.
type Stamp = Vec<(PathBuf, Option<SystemTime>, u64)>;

/// The directory of the rules and the set that was read last. A change is noticed when somebody asks.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    root: PathBuf,
    now: Arc<RwLock<(Option<Stamp>, Arc<RuleSet>)>>,
}

impl Directory {
    /// The directory, not read before the first [`Directory::refresh`].
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), now: Arc::default() }
    }

    /// The set as it was read last.
    pub(crate) fn rules(&self) -> Arc<RuleSet> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Looks at the files and reads them again when they changed: both directories anew, swapped as one.
    pub(crate) fn refresh(&self) {
        let stamp = Some(stamp(&self.root));
        if self.now.read().unwrap_or_else(PoisonError::into_inner).0 == stamp {
            return;
        }
        let set = Arc::new(RuleSet::load(&self.root));
        tracing::info!(
            "rules of the taggers read: {} applications, {} classes",
            set.applications.len(),
            set.classes.len()
        );
        told(&set);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = (stamp, set);
    }
}

fn told(set: &RuleSet) {
    for folder in &set.missing {
        tracing::warn!("tagger rules: there is no directory {folder}: that tagger does nothing");
    }
    for problem in &set.problems {
        tracing::warn!("tagger rules: {problem}");
    }
}

fn stamp(root: &Path) -> Stamp {
    let mut stamp = Vec::new();
    for folder in ["apps", "jobclasses"] {
        for (_, path) in files(&root.join(folder)).unwrap_or_default() {
            let metadata = fs::metadata(&path).ok();
            let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
            stamp.push((path, modified, metadata.map_or(0, |metadata| metadata.len())));
        }
    }
    stamp
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(files: &[(&str, &str)]) -> (tempfile::TempDir, RuleSet) {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["apps", "jobclasses"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let set = RuleSet::load(dir.path());
        (dir, set)
    }

    #[test]
    fn good_files_are_used_and_bad_ones_named_with_their_place() {
        let (_dir, set) = rules(&[
            ("apps/vasp.txt", "vasp_(std\n\nvasp_gam\n"),
            ("apps/a.b.txt", "x"),
            ("apps/vasp.old", "later wins in byte order: .old comes before .txt"),
            ("apps/.hidden", "("),
            ("apps/x.txt~", "("),
            ("jobclasses/parameters.json", r#"{"f": 2, "s": "x"}"#),
            (
                "jobclasses/good.json",
                r#"{"tag": "good", "parameters": ["f"], "rule": "f > 1", "hint": "{{.f}}", "new": 1}"#,
            ),
            ("jobclasses/again.json", r#"{"tag": "twice", "rule": "true"}"#),
            ("jobclasses/other.json", r#"{"tag": "twice", "rule": "false"}"#),
            ("jobclasses/broken.json", "{\"name\": "),
            ("jobclasses/expr.json", r#"{"tag": "e", "rule": "1 +\n nosuch(2)"}"#),
            ("jobclasses/norule.json", r#"{"tag": "n"}"#),
            ("jobclasses/hint.json", r#"{"tag": "h", "rule": "true", "hint": "{{.a * 2}}"}"#),
            ("jobclasses/param.json", r#"{"tag": "p", "parameters": ["nosuch"], "rule": "true"}"#),
        ]);
        let tags: Vec<&str> = set.applications.iter().map(|one| one.tag.as_str()).collect();
        assert_eq!(tags, ["a.b", "vasp"]);
        assert_eq!(set.applications[1].patterns.len(), 1);
        let classes: Vec<&str> = set.classes.iter().map(|one| one.file.as_str()).collect();
        assert_eq!(classes, ["jobclasses/good.json", "jobclasses/other.json"]);
        let places: Vec<(&str, &str)> =
            set.problems.iter().map(|problem| (problem.file.as_str(), problem.place.as_str())).collect();
        assert_eq!(
            places,
            [
                ("apps/vasp.txt", "line 1"),
                ("jobclasses/broken.json", "line 1, column 9"),
                ("jobclasses/expr.json", "rule, line 2, column 2"),
                ("jobclasses/hint.json", "hint"),
                ("jobclasses/norule.json", "rule, line 1, column 1"),
                ("jobclasses/other.json", "tag"),
                ("jobclasses/param.json", "parameters"),
            ]
        );
    }

    #[test]
    fn missing_directories_and_parameters_are_problems_and_nothing_more() {
        let dir = tempfile::tempdir().unwrap();
        let set = RuleSet::load(dir.path());
        assert_eq!((set.applications.len(), set.classes.len(), set.problems.len()), (0, 0, 0));
        assert_eq!(set.missing, ["apps", "jobclasses"]);
        let (_dir, set) = rules(&[("jobclasses/a.json", r#"{"tag": "a", "rule": "true"}"#)]);
        assert_eq!(set.classes.len(), 0);
        assert_eq!(set.problems[0].file, "jobclasses/parameters.json");
    }

    #[test]
    fn a_change_is_noticed_and_taken_over_whole() {
        let (dir, _) = rules(&[("apps/a.txt", "a"), ("jobclasses/parameters.json", "{}")]);
        let directory = Directory::new(dir.path());
        assert_eq!(directory.rules().applications.len(), 0);
        directory.refresh();
        let before = directory.rules();
        directory.refresh();
        assert!(Arc::ptr_eq(&before, &directory.rules()));
        fs::write(dir.path().join("apps/b.txt"), "b").unwrap();
        directory.refresh();
        assert_eq!(directory.rules().applications.len(), 2);
        assert_eq!(before.applications.len(), 1);
    }
}
