//! The expression language of the rule files (spec/taggers.md 8): parsed once, checked when a rule is loaded,
//! evaluated per job. Total: whatever is written in a rule, the answer is a value or an error with a text.

mod builtins;
mod eval;
mod lexer;
mod parser;

use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of a text that cost as much as a step of an evaluation.
const TEXT_BYTES_PER_STEP: usize = 64;

/// Names and their values.
pub(crate) type Env = BTreeMap<String, Value>;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    List(Arc<Vec<Value>>),
    Map(Arc<BTreeMap<String, Value>>),
}

impl Value {
    /// A text.
    pub(crate) fn text(text: impl AsRef<str>) -> Self {
        Self::Text(Arc::from(text.as_ref()))
    }

    /// What it is called in error texts and by `type()`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "string",
            Self::List(_) => "array",
            Self::Map(_) => "map",
        }
    }

    /// Whether the value is small and flat enough to be walked; takes what a walk costs from `budget`. Parts that are
    /// shared count as often as a walk meets them.
    fn fits(&self, budget: &mut usize, nesting: usize) -> bool {
        let own = match self {
            Self::Text(text) => 1 + text.len() / TEXT_BYTES_PER_STEP,
            _ => 1,
        };
        let Some(left) = budget.checked_sub(own).filter(|_| nesting > 0) else { return false };
        *budget = left;
        match self {
            Self::List(items) => items.iter().all(|item| item.fits(budget, nesting - 1)),
            Self::Map(map) => map.values().all(|item| item.fits(budget, nesting - 1)),
            _ => true,
        }
    }

    /// The number, if it is one.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "as the language converts integers")]
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }
}

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub(crate) struct SyntaxError {
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    pub(crate) problem: String,
}

impl SyntaxError {
    /// An error at a byte of the source.
    fn at(source: &str, offset: usize, problem: impl Into<String>) -> Self {
        let before = source.get(..offset).unwrap_or(source);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
        Self { line, column, problem: problem.into() }
    }
}

/// Why an expression has no value for a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct EvalError(pub(crate) String);

/// A parsed expression.
#[derive(Debug, Clone)]
pub(crate) struct Expr {
    root: parser::Node,
}

impl Expr {
    /// Parses a text.
    ///
    /// # Errors
    /// [`SyntaxError`], also for functions that do not exist here and for a wrong number of arguments.
    pub(crate) fn parse(source: &str) -> Result<Self, SyntaxError> {
        Ok(Self { root: parser::parse(source)? })
    }

    /// The value; small enough to be shown and compared.
    pub(crate) fn value(&self, env: &Env) -> Result<Value, EvalError> {
        let mut run = eval::Run::new(env);
        let value = run.value(&self.root)?;
        run.weigh(&value)?;
        Ok(value)
    }

    /// The value as a condition: nil is false.
    pub(crate) fn condition(&self, env: &Env) -> Result<bool, EvalError> {
        match self.value(env)? {
            Value::Bool(value) => Ok(value),
            Value::Nil => Ok(false),
            other => Err(EvalError(format!("expected bool, got {}", other.kind()))),
        }
    }

    /// The value as a number.
    pub(crate) fn number(&self, env: &Env) -> Result<f64, EvalError> {
        let value = self.value(env)?;
        value.number().ok_or_else(|| EvalError(format!("expected a number, got {}", value.kind())))
    }
}

/// Whether two values are equal, as `==` says.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    eval::equal(left, right)
}

/// The order of two values, if they have one.
pub(crate) fn compare(left: &Value, right: &Value) -> Option<std::cmp::Ordering> {
    eval::order(left, right).ok().flatten()
}

#[cfg(test)]
mod tests;
