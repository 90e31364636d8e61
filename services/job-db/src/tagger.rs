//! Taggers (spec/taggers.md): which application a job runs, read from its script, and which classes it belongs to,
//! computed from its statistics. Rules are files that a site edits; whatever they say, a job is at worst not tagged.
//!
//! * `rules`: the files become a checked, immutable set; what is wrong with them is kept for administrators.
//! * `classify`: one job against the set.
//! * `expr`, `template`, `pattern`: the languages in the files.

mod classify;
mod expr;
mod pattern;
mod rules;
mod template;

pub(crate) use classify::{Input, applications, classes};
pub(crate) use rules::{Directory, Problem, RuleSet};

/// The two taggers by the names of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Tagger {
    /// Application detection: when a job starts.
    Applications,
    /// Job classification: when a job was archived.
    Classes,
}

impl Tagger {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Applications, Self::Classes];

    /// The reference's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Applications => "AppTagger",
            Self::Classes => "JobClassTagger",
        }
    }

    /// When it runs: `start` or `stop`.
    pub(crate) fn trigger(self) -> &'static str {
        match self {
            Self::Applications => "start",
            Self::Classes => "stop",
        }
    }

    /// The type of its tags.
    pub(crate) fn tag_type(self) -> &'static str {
        match self {
            Self::Applications => "app",
            Self::Classes => "jobClass",
        }
    }

    /// Where its rules are, in the directory of all rules.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Applications => "apps",
            Self::Classes => "jobclasses",
        }
    }

    /// The tagger of a name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tagger| tagger.name() == name)
    }
}
