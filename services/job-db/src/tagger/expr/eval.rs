//! A tree and the names of a job become a value.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::builtins::{self, count};
use super::parser::{Node, Op, Pattern, Pointer};
use super::{Env, EvalError, Value};
use crate::tagger::pattern;

/// Elements that one evaluation may make.
const ELEMENTS_MAX: usize = 1_000_000;
/// Parts of the tree that one evaluation may visit: predicates within predicates multiply.
const STEPS_MAX: usize = 2_000_000;
/// Levels of lists and maps in each other; a walk over a value must not use up the stack.
const NESTING_MAX: usize = 200;
/// Steps that the compilation of a pattern counts as.
const PATTERN_STEPS: usize = 10_000;

pub(super) type Answer = Result<Value, EvalError>;

/// Why there is no value.
pub(super) enum Stop {
    Error(EvalError),
    /// `?.` met nil.
    Nil,
}

impl From<EvalError> for Stop {
    fn from(error: EvalError) -> Self {
        Self::Error(error)
    }
}

/// One evaluation.
pub(super) struct Run<'env> {
    env: &'env Env,
    locals: Vec<(String, Value)>,
    items: Vec<Item>,
    elements: usize,
    steps: usize,
}

/// What `#`, `#index` and `#acc` are.
#[derive(Clone)]
struct Item {
    value: Value,
    index: i64,
    accumulator: Value,
}

pub(super) fn fail<T>(text: impl Into<String>) -> Result<T, EvalError> {
    Err(EvalError(text.into()))
}

impl<'env> Run<'env> {
    pub(super) fn new(env: &'env Env) -> Self {
        Self { env, locals: Vec::new(), items: Vec::new(), elements: 0, steps: 0 }
    }

    pub(super) fn value(&mut self, node: &Node) -> Answer {
        match self.eval(node) {
            Ok(value) => Ok(value),
            Err(Stop::Error(error)) => Err(error),
            Err(Stop::Nil) => Ok(Value::Nil),
        }
    }

    /// Counts elements that are made.
    pub(super) fn make(&mut self, elements: usize) -> Result<(), EvalError> {
        self.elements = self.elements.saturating_add(elements);
        if self.elements > ELEMENTS_MAX { fail("memory budget exceeded") } else { Ok(()) }
    }

    /// Counts a walk over a whole value before it is made.
    pub(super) fn weigh(&mut self, value: &Value) -> Result<(), EvalError> {
        let mut budget = STEPS_MAX.saturating_sub(self.steps);
        let fits = value.fits(&mut budget, NESTING_MAX);
        self.steps = STEPS_MAX - budget;
        if fits { Ok(()) } else { fail("the expression takes too long or its value is nested too deep") }
    }

    /// Evaluates a predicate for one item.
    pub(super) fn with_item(
        &mut self,
        node: &Node,
        value: &Value,
        index: usize,
        accumulator: Value,
    ) -> Answer {
        self.items.push(Item { value: value.clone(), index: count(index), accumulator });
        let answer = self.value(node);
        self.items.pop();
        answer
    }

    fn eval(&mut self, node: &Node) -> Result<Value, Stop> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(EvalError("the expression takes too long".to_owned()).into());
        }
        Ok(match node {
            Node::Literal(value) => value.clone(),
            Node::Name(name) => {
                let local = self.locals.iter().rev().find(|(known, _)| known == name);
                local.map(|(_, value)| value).or_else(|| self.env.get(name)).cloned().unwrap_or(Value::Nil)
            }
            Node::Everything => Value::Map(Arc::new(self.env.clone())),
            Node::Pointer(pointer) => {
                let Some(item) = self.items.last() else {
                    return Err(EvalError("# outside of a predicate".to_owned()).into());
                };
                match pointer {
                    Pointer::Item => item.value.clone(),
                    Pointer::Index => Value::Int(item.index),
                    Pointer::Accumulator => item.accumulator.clone(),
                }
            }
            Node::List(items) => {
                self.make(items.len())?;
                let items: Result<Vec<_>, _> = items.iter().map(|item| self.value(item)).collect();
                Value::List(Arc::new(items?))
            }
            Node::Map(entries) => {
                self.make(entries.len())?;
                let mut map = BTreeMap::new();
                for (key, entry) in entries {
                    map.insert(key.clone(), self.value(entry)?);
                }
                Value::Map(Arc::new(map))
            }
            Node::Not(inner) => Value::Bool(!self.boolean(inner)?),
            Node::Negate(inner) => match self.value(inner)? {
                Value::Int(value) => Value::Int(value.wrapping_neg()),
                Value::Float(value) => Value::Float(-value),
                other => return Err(EvalError(format!("cannot negate {}", other.kind())).into()),
            },
            Node::Plus(inner) => match self.value(inner)? {
                value @ (Value::Int(_) | Value::Float(_)) => value,
                other => return Err(EvalError(format!("unary + of {}", other.kind())).into()),
            },
            Node::Binary(op, left, right) => self.binary(*op, left, right)?,
            Node::Matches(left, right) => Value::Bool(self.matches(left, right)?),
            Node::Choose(parts) => {
                let [condition, yes, no] = &**parts;
                let chosen = if self.boolean(condition)? { yes } else { no };
                self.value(chosen)?
            }
            Node::Let(name, parts) => {
                let [value, body] = &**parts;
                let value = self.value(value)?;
                self.locals.push((name.clone(), value));
                let answer = self.value(body);
                self.locals.pop();
                answer?
            }
            Node::Member(object, key, optional) => {
                let object = self.eval(object)?;
                if *optional && object == Value::Nil {
                    return Err(Stop::Nil);
                }
                let key = self.value(key)?;
                member(&object, &key)?
            }
            Node::Slice(object, from, to) => {
                let object = self.eval(object)?;
                let from = self.bound(from.as_deref())?;
                let to = self.bound(to.as_deref())?;
                self.slice(&object, from, to)?
            }
            Node::Chain(inner) => self.value(inner)?,
            Node::Call(builtin, arguments) => builtins::call(self, builtin, arguments)?,
        })
    }

    pub(super) fn boolean(&mut self, node: &Node) -> Result<bool, EvalError> {
        match self.value(node)? {
            Value::Bool(value) => Ok(value),
            other => fail(format!("expected bool, got {}", other.kind())),
        }
    }

    fn bound(&mut self, node: Option<&Node>) -> Result<Option<i64>, EvalError> {
        let Some(node) = node else { return Ok(None) };
        match self.value(node)? {
            Value::Int(value) => Ok(Some(value)),
            other => fail(format!("cannot slice with {}", other.kind())),
        }
    }

    fn slice(&mut self, object: &Value, from: Option<i64>, to: Option<i64>) -> Answer {
        let place = |bound: i64, length: usize| {
            let place = if bound < 0 { bound.saturating_add(count(length)) } else { bound };
            usize::try_from(place.max(0)).unwrap_or(usize::MAX).min(length)
        };
        let part = |length: usize| {
            let from = from.map_or(0, |from| place(from, length));
            let to = to.map_or(length, |to| place(to, length));
            from..to.max(from)
        };
        match object {
            Value::List(items) => {
                let part = items.get(part(items.len())).unwrap_or_default();
                self.make(part.len())?;
                Ok(Value::List(Arc::new(part.to_vec())))
            }
            Value::Text(text) => {
                let bytes = text.as_bytes().get(part(text.len())).unwrap_or_default();
                self.make(bytes.len())?;
                Ok(Value::text(String::from_utf8_lossy(bytes)))
            }
            other => fail(format!("cannot slice {}", other.kind())),
        }
    }

    fn matches(&mut self, left: &Node, pattern: &Pattern) -> Result<bool, EvalError> {
        let text = match self.value(left)? {
            Value::Text(text) => text,
            Value::Nil => return Ok(false),
            other => return fail(format!("cannot match {}", other.kind())),
        };
        self.steps = self.steps.saturating_add(text.len());
        match pattern {
            Pattern::Fixed(regex) => Ok(regex.is_match(&text)),
            Pattern::Computed(node) => match self.value(node)? {
                Value::Text(words) => {
                    self.steps = self.steps.saturating_add(PATTERN_STEPS);
                    pattern::regex(&words).map(|regex| regex.is_match(&text)).map_err(EvalError)
                }
                other => fail(format!("cannot match with {}", other.kind())),
            },
        }
    }

    fn binary(&mut self, op: Op, left: &Node, right: &Node) -> Answer {
        match op {
            Op::Or => return Ok(Value::Bool(self.boolean(left)? || self.boolean(right)?)),
            Op::And => return Ok(Value::Bool(self.boolean(left)? && self.boolean(right)?)),
            Op::OrElse => {
                let value = self.value(left)?;
                return if value == Value::Nil { self.value(right) } else { Ok(value) };
            }
            _ => {}
        }
        let (left, right) = (self.value(left)?, self.value(right)?);
        if matches!(
            op,
            Op::Equal
                | Op::Unequal
                | Op::In
                | Op::Contains
                | Op::StartsWith
                | Op::EndsWith
                | Op::Less
                | Op::Greater
                | Op::LessOrEqual
                | Op::GreaterOrEqual
        ) {
            self.weigh(&left)?;
            self.weigh(&right)?;
        }
        let bool = |value: bool| Ok(Value::Bool(value));
        match op {
            Op::Equal => bool(equal(&left, &right)),
            Op::Unequal => bool(!equal(&left, &right)),
            Op::Less => bool(order(&left, &right)? == Some(Ordering::Less)),
            Op::Greater => bool(order(&left, &right)? == Some(Ordering::Greater)),
            Op::LessOrEqual => bool(matches!(order(&left, &right)?, Some(Ordering::Less | Ordering::Equal))),
            Op::GreaterOrEqual => {
                bool(matches!(order(&left, &right)?, Some(Ordering::Greater | Ordering::Equal)))
            }
            Op::In => bool(within(&left, &right)?),
            Op::Contains | Op::StartsWith | Op::EndsWith => match (&left, &right) {
                (Value::Text(text), Value::Text(part)) => bool(match op {
                    Op::Contains => text.contains(&**part),
                    Op::StartsWith => text.starts_with(&**part),
                    _ => text.ends_with(&**part),
                }),
                _ => fail(format!("expected two texts, got {} and {}", left.kind(), right.kind())),
            },
            Op::Range => match (&left, &right) {
                (Value::Int(from), Value::Int(to)) => {
                    let length = to.saturating_sub(*from).saturating_add(1).max(0);
                    self.make(usize::try_from(length).unwrap_or(usize::MAX))?;
                    Ok(Value::List(Arc::new((*from..=*to).map(Value::Int).collect())))
                }
                _ => fail(format!("no range from {} to {}", left.kind(), right.kind())),
            },
            Op::Add => match (&left, &right) {
                (Value::Text(left), Value::Text(right)) => {
                    self.make(left.len() + right.len())?;
                    Ok(Value::text(format!("{left}{right}")))
                }
                _ => arithmetic(&left, &right, "+", i64::wrapping_add, |a, b| a + b),
            },
            Op::Subtract => arithmetic(&left, &right, "-", i64::wrapping_sub, |a, b| a - b),
            Op::Multiply => arithmetic(&left, &right, "*", i64::wrapping_mul, |a, b| a * b),
            Op::Divide => floats(&left, &right, "/").map(|(left, right)| Value::Float(left / right)),
            Op::Power => floats(&left, &right, "**").map(|(left, right)| Value::Float(left.powf(right))),
            Op::Remainder => match (&left, &right) {
                (Value::Int(_), Value::Int(0)) => fail("integer divide by zero"),
                (Value::Int(left), Value::Int(right)) => Ok(Value::Int(left.wrapping_rem(*right))),
                _ => fail(format!("no % of {} and {}", left.kind(), right.kind())),
            },
            Op::Or | Op::And | Op::OrElse => Ok(Value::Nil),
        }
    }
}

fn floats(left: &Value, right: &Value, sign: &str) -> Result<(f64, f64), EvalError> {
    match (left.number(), right.number()) {
        (Some(left), Some(right)) => Ok((left, right)),
        _ => fail(format!("no {sign} of {} and {}", left.kind(), right.kind())),
    }
}

fn arithmetic(
    left: &Value,
    right: &Value,
    sign: &str,
    whole: fn(i64, i64) -> i64,
    float: fn(f64, f64) -> f64,
) -> Answer {
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        return Ok(Value::Int(whole(*left, *right)));
    }
    floats(left, right, sign).map(|(left, right)| Value::Float(float(left, right)))
}

/// Equality: numbers by value, other kinds are never equal to each other.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => left == right,
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => left.number() == right.number(),
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right.iter()).all(|(left, right)| equal(left, right))
        }
        (Value::Map(left), Value::Map(right)) => {
            left.len() == right.len()
                && left.iter().zip(right.iter()).all(|((a, left), (b, right))| a == b && equal(left, right))
        }
        _ => left == right,
    }
}

/// Order of numbers and of texts (by bytes); nothing where a number is NaN.
pub(super) fn order(left: &Value, right: &Value) -> Result<Option<Ordering>, EvalError> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Ok(Some(left.cmp(right))),
        (Value::Text(left), Value::Text(right)) => Ok(Some(left.as_bytes().cmp(right.as_bytes()))),
        _ => match (left.number(), right.number()) {
            (Some(left), Some(right)) => Ok(left.partial_cmp(&right)),
            _ => fail(format!("cannot compare {} and {}", left.kind(), right.kind())),
        },
    }
}

fn within(item: &Value, collection: &Value) -> Result<bool, EvalError> {
    match (item, collection) {
        (_, Value::Nil) => Ok(false),
        (_, Value::List(items)) => Ok(items.iter().any(|known| equal(known, item))),
        (Value::Text(key), Value::Map(map)) => Ok(map.contains_key(&**key)),
        _ => fail(format!("cannot look for {} in {}", item.kind(), collection.kind())),
    }
}

/// A member of a map or an element of a list; a name that a map does not have is nil.
pub(super) fn member(object: &Value, key: &Value) -> Answer {
    match (object, key) {
        (Value::Map(map), Value::Text(key)) => Ok(map.get(&**key).cloned().unwrap_or(Value::Nil)),
        (Value::List(items), Value::Int(index)) => {
            let place = if *index < 0 { index.saturating_add(count(items.len())) } else { *index };
            let item = usize::try_from(place).ok().and_then(|place| items.get(place));
            item.cloned().ok_or_else(|| EvalError(format!("index {index} is out of range")))
        }
        (_, Value::Text(key)) => fail(format!("cannot take {key} from {}", object.kind())),
        _ => fail(format!("cannot take an element of {} with {}", object.kind(), key.kind())),
    }
}
