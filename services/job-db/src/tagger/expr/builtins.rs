//! Functions of the language (spec/taggers.md 8): those for numbers, texts and lists. A rule that uses another one is
//! refused when it is loaded.

mod items;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::eval::{Answer, Run, equal, fail, member};
use super::parser::Node;
use super::{EvalError, Value};

/// A function.
#[derive(Debug, Clone)]
pub(super) struct Builtin {
    name: &'static str,
    pub(super) arguments: RangeInclusive<usize>,
    /// Its second argument is evaluated for each item of the first.
    pub(super) predicate: bool,
}

impl Builtin {
    /// How many arguments it takes, in words.
    pub(super) fn arity(&self) -> String {
        let (from, to) = (self.arguments.start(), self.arguments.end());
        match (from, to) {
            (from, to) if from == to => format!("{from} argument{}", if *from == 1 { "" } else { "s" }),
            (from, to) if *to > 100 => {
                format!("at least {from} argument{}", if *from == 1 { "" } else { "s" })
            }
            (from, to) => format!("{from} to {to} arguments"),
        }
    }
}

const MANY: usize = 1_000;

/// Name, fewest and most arguments.
const PLAIN: [(&str, usize, usize); 48] = [
    ("len", 1, 1),
    ("type", 1, 1),
    ("abs", 1, 1),
    ("ceil", 1, 1),
    ("floor", 1, 1),
    ("round", 1, 1),
    ("int", 1, 1),
    ("float", 1, 1),
    ("string", 1, 1),
    ("trim", 1, 2),
    ("trimPrefix", 2, 2),
    ("trimSuffix", 2, 2),
    ("upper", 1, 1),
    ("lower", 1, 1),
    ("split", 2, 3),
    ("replace", 3, 3),
    ("repeat", 2, 2),
    ("join", 1, 2),
    ("indexOf", 2, 2),
    ("lastIndexOf", 2, 2),
    ("hasPrefix", 2, 2),
    ("hasSuffix", 2, 2),
    ("max", 1, MANY),
    ("min", 1, MANY),
    ("mean", 1, MANY),
    ("median", 1, MANY),
    ("first", 1, 1),
    ("last", 1, 1),
    ("get", 2, 2),
    ("take", 2, 2),
    ("keys", 1, 1),
    ("values", 1, 1),
    ("toPairs", 1, 1),
    ("fromPairs", 1, 1),
    ("reverse", 1, 1),
    ("uniq", 1, 1),
    ("concat", 1, MANY),
    ("flatten", 1, 1),
    ("sort", 1, 2),
    ("bitand", 2, 2),
    ("bitor", 2, 2),
    ("bitxor", 2, 2),
    ("bitnand", 2, 2),
    ("bitshl", 2, 2),
    ("bitshr", 2, 2),
    ("bitushr", 2, 2),
    ("bitnot", 1, 1),
    ("sum", 1, 2),
];

const PREDICATES: [(&str, usize, usize); 13] = [
    ("all", 2, 2),
    ("none", 2, 2),
    ("any", 2, 2),
    ("one", 2, 2),
    ("filter", 2, 2),
    ("map", 2, 2),
    ("find", 2, 2),
    ("findIndex", 2, 2),
    ("findLast", 2, 2),
    ("findLastIndex", 2, 2),
    ("count", 1, 2),
    ("groupBy", 2, 2),
    ("reduce", 2, 3),
];

/// The function of a name.
pub(super) fn find(name: &str) -> Option<Builtin> {
    let of = |table: &[(&'static str, usize, usize)], predicate| {
        let (name, from, to) = table.iter().find(|(known, ..)| *known == name)?;
        Some(Builtin { name, arguments: *from..=*to, predicate: predicate || *name == "sum" })
    };
    of(&PLAIN, false).or_else(|| of(&PREDICATES, true))
}

/// A length as a number of the language.
pub(super) fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Calls a function; the number of arguments was checked when it was parsed.
pub(super) fn call(run: &mut Run<'_>, builtin: &Builtin, arguments: &[Node]) -> Answer {
    if builtin.predicate {
        return items::over(run, builtin.name, arguments);
    }
    let values: Result<Vec<Value>, EvalError> =
        arguments.iter().map(|argument| run.value(argument)).collect();
    let values = values?;
    for text in values.iter().filter(|value| matches!(value, Value::Text(_))) {
        run.weigh(text)?;
    }
    let wrong = || {
        let kinds: Vec<&str> = values.iter().map(Value::kind).collect();
        EvalError(format!("{} of {}", builtin.name, kinds.join(", ")))
    };
    let answer = match builtin.name {
        "max" | "min" | "mean" | "median" => of_numbers(builtin.name, &values),
        "concat" => concat(run, &values)?,
        name if name.starts_with("bit") => bits(name, &values),
        name => match values.as_slice() {
            [one] => of_one(run, name, one)?,
            [one, two] => of_two(run, name, one, two)?,
            [Value::Text(text), Value::Text(from), Value::Text(to)] if name == "replace" => {
                let times = if from.is_empty() { text.len() + 1 } else { text.matches(&**from).count() };
                run.make(text.len().saturating_add(times.saturating_mul(to.len())))?;
                Some(Value::text(text.replace(&**from, to)))
            }
            [Value::Text(text), Value::Text(separator), Value::Int(most)] if name == "split" => {
                Some(split(run, text, separator, usize::try_from(*most).ok())?)
            }
            _ => None,
        },
    };
    answer.ok_or_else(wrong)
}

#[expect(clippy::cast_possible_truncation, reason = "as Go converts, but saturating")]
fn whole(value: f64) -> i64 {
    value as i64
}

fn of_one(run: &mut Run<'_>, name: &str, value: &Value) -> Result<Option<Value>, EvalError> {
    Ok(Some(match (name, value) {
        ("len", Value::Text(text)) => Value::Int(count(text.chars().count())),
        ("len", Value::List(items)) => Value::Int(count(items.len())),
        ("len", Value::Map(map)) => Value::Int(count(map.len())),
        ("type", value) => Value::text(value.kind()),
        ("abs", Value::Int(value)) => Value::Int(value.wrapping_abs()),
        ("abs", Value::Float(value)) => Value::Float(value.abs()),
        ("ceil" | "floor" | "round", value) => match value.number() {
            Some(value) => Value::Float(match name {
                "ceil" => value.ceil(),
                "floor" => value.floor(),
                _ => value.round(),
            }),
            None => return Ok(None),
        },
        ("int", Value::Int(value)) => Value::Int(*value),
        ("int", Value::Float(value)) => Value::Int(whole(*value)),
        ("int", Value::Text(text)) => match text.parse() {
            Ok(value) => Value::Int(value),
            Err(_) => return fail(format!("{text:?} is no whole number")),
        },
        ("float", Value::Text(text)) => match text.parse() {
            Ok(value) => Value::Float(value),
            Err(_) => return fail(format!("{text:?} is no number")),
        },
        ("float", value) => match value.number() {
            Some(value) => Value::Float(value),
            None => return Ok(None),
        },
        ("string", value) => {
            run.weigh(value)?;
            let text = crate::tagger::template::shown(value);
            run.make(text.len())?;
            Value::text(text)
        }
        ("trim", Value::Text(text)) => Value::text(text.trim()),
        ("upper", Value::Text(text)) => Value::text(text.to_uppercase()),
        ("lower", Value::Text(text)) => Value::text(text.to_lowercase()),
        ("join", Value::List(_)) => return of_two(run, "join", value, &Value::text("")),
        ("first", Value::List(items)) => items.first().cloned().unwrap_or(Value::Nil),
        ("last", Value::List(items)) => items.last().cloned().unwrap_or(Value::Nil),
        ("keys", Value::Map(map)) => list(run, map.keys().map(Value::text).collect())?,
        ("values", Value::Map(map)) => list(run, map.values().cloned().collect())?,
        ("toPairs", Value::Map(map)) => {
            let pair = |(key, value): (&String, &Value)| {
                Value::List(Arc::new(vec![Value::text(key), value.clone()]))
            };
            list(run, map.iter().map(pair).collect())?
        }
        ("fromPairs", Value::List(pairs)) => {
            let mut map = BTreeMap::new();
            for pair in pairs.iter() {
                match pair {
                    Value::List(pair) => match pair.as_slice() {
                        [Value::Text(key), value] => map.insert(key.to_string(), value.clone()),
                        _ => return fail("fromPairs needs pairs of a text and a value"),
                    },
                    _ => return fail("fromPairs needs pairs of a text and a value"),
                };
            }
            Value::Map(Arc::new(map))
        }
        ("reverse", Value::List(items)) => list(run, items.iter().rev().cloned().collect())?,
        ("uniq", Value::List(items)) => {
            let mut found: Vec<Value> = Vec::new();
            // each pair is looked at
            run.make(items.len().saturating_mul(items.len()) / 2)?;
            for item in items.iter() {
                let mut known = false;
                for other in &found {
                    run.weigh(item)?;
                    known |= equal(other, item);
                }
                if !known {
                    found.push(item.clone());
                }
            }
            Value::List(Arc::new(found))
        }
        ("flatten", Value::List(items)) => {
            let mut flat = Vec::new();
            flatten(run, items, &mut flat, 0)?;
            Value::List(Arc::new(flat))
        }
        ("sort", Value::List(items)) => sort(run, items, false)?,
        _ => return Ok(None),
    }))
}

fn of_two(run: &mut Run<'_>, name: &str, one: &Value, two: &Value) -> Result<Option<Value>, EvalError> {
    Ok(Some(match (name, one, two) {
        ("trim", Value::Text(text), Value::Text(set)) => {
            Value::text(text.trim_matches(|character| set.contains(character)))
        }
        ("trimPrefix", Value::Text(text), Value::Text(part)) => {
            Value::text(text.strip_prefix(&**part).unwrap_or(text))
        }
        ("trimSuffix", Value::Text(text), Value::Text(part)) => {
            Value::text(text.strip_suffix(&**part).unwrap_or(text))
        }
        ("hasPrefix", Value::Text(text), Value::Text(part)) => Value::Bool(text.starts_with(&**part)),
        ("hasSuffix", Value::Text(text), Value::Text(part)) => Value::Bool(text.ends_with(&**part)),
        ("indexOf", Value::Text(text), Value::Text(part)) => Value::Int(text.find(&**part).map_or(-1, count)),
        ("lastIndexOf", Value::Text(text), Value::Text(part)) => {
            Value::Int(text.rfind(&**part).map_or(-1, count))
        }
        ("split", Value::Text(text), Value::Text(separator)) => split(run, text, separator, None)?,
        ("repeat", Value::Text(text), Value::Int(times)) => {
            let times = usize::try_from(*times).unwrap_or(0);
            run.make(text.len().saturating_mul(times))?;
            Value::text(text.repeat(times))
        }
        ("join", Value::List(items), Value::Text(separator)) => {
            let mut words = Vec::with_capacity(items.len());
            for item in items.iter() {
                let Value::Text(word) = item else { return fail(format!("join of {}", item.kind())) };
                run.make(word.len() + separator.len())?;
                words.push(&**word);
            }
            Value::text(words.join(separator))
        }
        ("get", Value::Nil, _) => Value::Nil,
        ("get", one, two) => member(one, two).unwrap_or(Value::Nil),
        ("take", Value::List(items), Value::Int(most)) => {
            let most = usize::try_from(*most).unwrap_or(0);
            list(run, items.iter().take(most).cloned().collect())?
        }
        ("sort", Value::List(items), Value::Text(direction)) => match &**direction {
            "asc" => sort(run, items, false)?,
            "desc" => sort(run, items, true)?,
            _ => return fail("sort goes asc or desc"),
        },
        _ => return Ok(None),
    }))
}

fn list(run: &mut Run<'_>, items: Vec<Value>) -> Answer {
    run.make(items.len())?;
    Ok(Value::List(Arc::new(items)))
}

fn split(run: &mut Run<'_>, text: &str, separator: &str, most: Option<usize>) -> Answer {
    let parts: Vec<Value> = match most {
        Some(most) => text.splitn(most, separator).map(Value::text).collect(),
        None => text.split(separator).map(Value::text).collect(),
    };
    list(run, parts)
}

/// Numbers or texts, not both: an order that is none would be a trap for the sorting.
fn sort(run: &mut Run<'_>, items: &[Value], descending: bool) -> Answer {
    run.make(items.len())?;
    let mut sorted = items.to_vec();
    let number = |value: &Value| value.number().unwrap_or_default();
    if items.iter().all(|item| item.number().is_some()) {
        sorted.sort_by(|left, right| number(left).total_cmp(&number(right)));
    } else if items.iter().all(|item| matches!(item, Value::Text(_))) {
        sorted.sort_by(|left, right| match (left, right) {
            (Value::Text(left), Value::Text(right)) => left.as_bytes().cmp(right.as_bytes()),
            _ => Ordering::Equal,
        });
    } else {
        return fail("sort needs numbers or texts alone");
    }
    if descending {
        sorted.reverse();
    }
    Ok(Value::List(Arc::new(sorted)))
}

fn flatten(run: &mut Run<'_>, items: &[Value], flat: &mut Vec<Value>, depth: usize) -> Result<(), EvalError> {
    if depth > 50 {
        return fail("flatten of a list that is nested too deep");
    }
    run.make(items.len())?;
    for item in items {
        match item {
            Value::List(inner) => flatten(run, inner, flat, depth + 1)?,
            other => flat.push(other.clone()),
        }
    }
    Ok(())
}

fn concat(run: &mut Run<'_>, lists: &[Value]) -> Result<Option<Value>, EvalError> {
    let mut all = Vec::new();
    for one in lists {
        let Value::List(items) = one else { return Ok(None) };
        run.make(items.len())?;
        all.extend(items.iter().cloned());
    }
    Ok(Some(Value::List(Arc::new(all))))
}

/// Numbers among the arguments and in lists among them.
fn numbers(values: &[Value], found: &mut Vec<f64>, ints: &mut bool) -> Option<()> {
    for value in values {
        match value {
            Value::List(items) => {
                if items.iter().any(|item| matches!(item, Value::List(_))) {
                    return None;
                }
                numbers(items, found, ints)?;
            }
            other => {
                *ints &= matches!(other, Value::Int(_));
                found.push(other.number()?);
            }
        }
    }
    Some(())
}

fn of_numbers(name: &str, values: &[Value]) -> Option<Value> {
    let (mut found, mut ints) = (Vec::new(), true);
    numbers(values, &mut found, &mut ints)?;
    #[expect(clippy::cast_precision_loss, reason = "a count of arguments")]
    let length = found.len() as f64;
    let back = |value: f64| if ints { Value::Int(whole(value)) } else { Value::Float(value) };
    match name {
        "max" => found.into_iter().reduce(f64::max).map(back),
        "min" => found.into_iter().reduce(f64::min).map(back),
        "mean" if found.is_empty() => Some(Value::Float(0.0)),
        "mean" => Some(Value::Float(found.iter().sum::<f64>() / length)),
        _ => {
            found.sort_by(f64::total_cmp);
            let middle = found.len() / 2;
            let upper = found.get(middle).copied();
            let lower = found.get(middle.saturating_sub(1)).copied();
            Some(Value::Float(match (found.len() % 2, lower, upper) {
                (_, _, None) => 0.0,
                (0, Some(lower), Some(upper)) => f64::midpoint(lower, upper),
                (_, _, Some(upper)) => upper,
            }))
        }
    }
}

fn bits(name: &str, values: &[Value]) -> Option<Value> {
    let shift = |by: i64| u32::try_from(by).ok();
    Some(Value::Int(match (name, values) {
        ("bitnot", [Value::Int(one)]) => !one,
        ("bitand", [Value::Int(one), Value::Int(two)]) => one & two,
        ("bitor", [Value::Int(one), Value::Int(two)]) => one | two,
        ("bitxor", [Value::Int(one), Value::Int(two)]) => one ^ two,
        ("bitnand", [Value::Int(one), Value::Int(two)]) => one & !two,
        ("bitshl", [Value::Int(one), Value::Int(by)]) => one.checked_shl(shift(*by)?).unwrap_or(0),
        ("bitshr", [Value::Int(one), Value::Int(by)]) => one >> shift(*by)?.min(63),
        ("bitushr", [Value::Int(one), Value::Int(by)]) => {
            one.cast_unsigned().checked_shr(shift(*by)?).unwrap_or(0).cast_signed()
        }
        _ => return None,
    }))
}
