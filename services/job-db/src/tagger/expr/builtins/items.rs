//! Functions that look at each item of a list.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{count, list};
use crate::tagger::expr::Value;
use crate::tagger::expr::eval::{Answer, Run, fail};
use crate::tagger::expr::parser::Node;

/// Calls a function whose second argument is evaluated for each item of the first.
pub(super) fn over(run: &mut Run<'_>, name: &str, arguments: &[Node]) -> Answer {
    let Some((first, rest)) = arguments.split_first() else {
        return fail(format!("{name} without arguments"));
    };
    let items = match run.value(first)? {
        Value::List(items) => items,
        other => return fail(format!("{name} of {}", other.kind())),
    };
    let predicate = rest.first();
    if name == "reduce" {
        return reduce(run, &items, predicate, rest.get(1));
    }
    if name == "sum" {
        return sum(run, &items, predicate);
    }
    let mut kept = Vec::new();
    let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let (mut hits, mut first_hit, mut last_hit) = (0_usize, None, None);
    for (index, item) in items.iter().enumerate() {
        let found = match predicate {
            Some(predicate) => run.with_item(predicate, item, index, Value::Nil)?,
            None => item.clone(),
        };
        match (name, &found) {
            ("map", _) => kept.push(found),
            ("groupBy", Value::Text(key)) => groups.entry(key.to_string()).or_default().push(item.clone()),
            ("groupBy", other) => {
                run.weigh(other)?;
                groups.entry(crate::tagger::template::shown(other)).or_default().push(item.clone());
            }
            (_, Value::Bool(hit)) => {
                if *hit {
                    hits += 1;
                    first_hit = first_hit.or(Some(index));
                    last_hit = Some(index);
                    if name == "filter" {
                        kept.push(item.clone());
                    }
                }
                let decided = match name {
                    "all" => !*hit,
                    "any" | "none" | "find" | "findIndex" => *hit,
                    _ => false,
                };
                if decided {
                    break;
                }
            }
            (_, other) => return fail(format!("{name} needs a condition, got {}", other.kind())),
        }
    }
    let at = |index: Option<usize>| index.and_then(|index| items.get(index)).cloned().unwrap_or(Value::Nil);
    let place = |index: Option<usize>| index.map_or(Value::Nil, |index| Value::Int(count(index)));
    Ok(match name {
        "map" | "filter" => return list(run, kept),
        "groupBy" => {
            run.make(items.len())?;
            let groups = groups.into_iter().map(|(key, items)| (key, Value::List(Arc::new(items))));
            Value::Map(Arc::new(groups.collect()))
        }
        "all" => Value::Bool(hits == items.len()),
        "none" => Value::Bool(hits == 0),
        "any" => Value::Bool(hits > 0),
        "one" => Value::Bool(hits == 1),
        "count" => Value::Int(count(hits)),
        "find" => at(first_hit),
        "findLast" => at(last_hit),
        "findIndex" => place(first_hit),
        _ => place(last_hit),
    })
}

fn sum(run: &mut Run<'_>, items: &[Value], predicate: Option<&Node>) -> Answer {
    let (mut ints, mut whole, mut total) = (true, 0_i64, 0.0);
    for (index, item) in items.iter().enumerate() {
        let found = match predicate {
            Some(predicate) => run.with_item(predicate, item, index, Value::Nil)?,
            None => item.clone(),
        };
        let Some(number) = found.number() else { return fail(format!("sum of {}", found.kind())) };
        match found {
            Value::Int(value) => whole = whole.wrapping_add(value),
            _ => ints = false,
        }
        total += number;
    }
    Ok(if ints { Value::Int(whole) } else { Value::Float(total) })
}

fn reduce(run: &mut Run<'_>, items: &[Value], step: Option<&Node>, start: Option<&Node>) -> Answer {
    let Some(step) = step else { return fail("reduce without a step") };
    let mut items = items.iter().enumerate();
    let mut accumulator = match start {
        Some(start) => run.value(start)?,
        None => match items.next() {
            Some((_, first)) => first.clone(),
            None => return fail("reduce of an empty array without a start"),
        },
    };
    for (index, item) in items {
        accumulator = run.with_item(step, item, index, accumulator)?;
        // the only loop that can nest a value deeper with each turn
        run.weigh(&accumulator)?;
    }
    Ok(accumulator)
}
