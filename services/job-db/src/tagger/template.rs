//! Hint templates (spec/taggers.md 9): the part of Go's `text/template` that a hint needs. Anything else is refused
//! when the rule is loaded.

mod format;

use super::expr::{Env, Value};
use format::printf;

pub(crate) use format::shown;

/// A parsed template.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Show(Pipe),
    /// Condition and body each, and what else.
    If(Vec<(Pipe, Vec<Part>)>, Vec<Part>),
}

/// What stands between braces.
#[derive(Debug, Clone)]
enum Pipe {
    Literal(Value),
    /// Names after dots; none is everything.
    Field(Vec<String>),
    Call(Function, Vec<Pipe>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Printf,
    Print,
    Len,
    And,
    Or,
    Not,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

const FUNCTIONS: [(&str, Function); 12] = [
    ("printf", Function::Printf),
    ("print", Function::Print),
    ("len", Function::Len),
    ("and", Function::And),
    ("or", Function::Or),
    ("not", Function::Not),
    ("eq", Function::Eq),
    ("ne", Function::Ne),
    ("lt", Function::Lt),
    ("le", Function::Le),
    ("gt", Function::Gt),
    ("ge", Function::Ge),
];

/// Conditions within each other.
const DEPTH_MAX: usize = 20;
/// Longest rendered text, in bytes.
const TEXT_MAX: usize = 64 << 10;

impl Template {
    /// Parses a text.
    ///
    /// # Errors
    /// What is wrong or not supported, in one line.
    pub(crate) fn parse(source: &str) -> Result<Self, String> {
        let mut pieces = pieces(source)?.into_iter();
        let (parts, end) = block(&mut pieces, 0)?;
        match end {
            None => Ok(Self { parts }),
            Some(word) => Err(format!("{{{{{word}}}}} without {{{{if}}}}")),
        }
    }

    /// The text for the names of a job.
    ///
    /// # Errors
    /// Why there is none, in one line.
    pub(crate) fn render(&self, env: &Env) -> Result<String, String> {
        let mut text = String::new();
        render(&self.parts, env, &mut text)?;
        Ok(text)
    }
}

enum Piece {
    Text(String),
    Action(String),
}

/// Texts and actions, with the white space that `{{-` and `-}}` take away gone.
fn pieces(source: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = source;
    let mut trim = false;
    loop {
        let (text, behind) = match rest.split_once("{{") {
            Some((text, behind)) => (text, Some(behind)),
            None => (rest, None),
        };
        let text = if trim { text.trim_start() } else { text };
        let Some(behind) = behind else {
            pieces.push(Piece::Text(text.to_owned()));
            return Ok(pieces);
        };
        let (action, next) = behind.split_once("}}").ok_or("an action without }}")?;
        let left = action.strip_prefix("- ");
        pieces.push(Piece::Text(if left.is_some() { text.trim_end() } else { text }.to_owned()));
        let action = left.unwrap_or(action);
        let right = action.strip_suffix(" -");
        trim = right.is_some();
        let action = right.unwrap_or(action).trim();
        if !(action.starts_with("/*") && action.ends_with("*/")) {
            pieces.push(Piece::Action(action.to_owned()));
        }
        rest = next;
    }
}

type Block = Result<(Vec<Part>, Option<String>), String>;

/// Parts up to an action that ends a block, which is returned.
fn block(pieces: &mut std::vec::IntoIter<Piece>, depth: usize) -> Block {
    let mut parts = Vec::new();
    while let Some(piece) = pieces.next() {
        match piece {
            Piece::Text(text) => parts.push(Part::Text(text)),
            Piece::Action(action) => {
                let word = action.split_whitespace().next().unwrap_or_default();
                match word {
                    "end" | "else" => return Ok((parts, Some(action))),
                    "if" => parts.push(condition(pieces, action.get(2..).unwrap_or_default(), depth + 1)?),
                    "range" | "with" | "define" | "template" | "block" | "break" | "continue" => {
                        return Err(format!("{{{{{word}}}}} is not supported in hints"));
                    }
                    _ => parts.push(Part::Show(pipeline(&action)?)),
                }
            }
        }
    }
    Ok((parts, None))
}

fn condition(pieces: &mut std::vec::IntoIter<Piece>, first: &str, depth: usize) -> Result<Part, String> {
    if depth > DEPTH_MAX {
        return Err(format!("{{{{if}}}} is nested more than {DEPTH_MAX} deep"));
    }
    let mut branches = Vec::new();
    let mut test = pipeline(first)?;
    loop {
        let (body, end) = block(pieces, depth)?;
        branches.push((test, body));
        let end = end.ok_or("{{if}} without {{end}}")?;
        let behind = end.strip_prefix("else").map(str::trim);
        match behind {
            None => return Ok(Part::If(branches, Vec::new())),
            Some("") => {
                let (otherwise, end) = block(pieces, depth)?;
                return match end.as_deref() {
                    Some("end") => Ok(Part::If(branches, otherwise)),
                    _ => Err("{{else}} without {{end}}".to_owned()),
                };
            }
            Some(more) => {
                let more = more.strip_prefix("if ").ok_or("only {{else}} and {{else if}} are supported")?;
                test = pipeline(more)?;
            }
        }
    }
}

/// `a b c | f`: the value before the bar is the last argument behind it.
fn pipeline(text: &str) -> Result<Pipe, String> {
    let mut words = tokens(text)?.into_iter().peekable();
    let pipe = commands(&mut words, 0)?;
    match words.next() {
        None => Ok(pipe),
        Some(word) => Err(format!("unexpected {word:?} in {{{{{text}}}}}")),
    }
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' | '|' => 1,
            '"' => {
                let mut escaped = false;
                let end = rest.char_indices().skip(1).find(|(_, character)| {
                    let end = *character == '"' && !escaped;
                    escaped = *character == '\\' && !escaped;
                    end
                });
                end.map(|(at, _)| at + 1).ok_or("a text without an end")?
            }
            '`' => rest.get(1..).and_then(|rest| rest.find('`')).ok_or("a text without an end")? + 2,
            _ => rest.find(|c: char| c.is_whitespace() || "()|\"`".contains(c)).unwrap_or(rest.len()),
        };
        tokens.push(rest.get(..length).unwrap_or_default().to_owned());
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

type Words = std::iter::Peekable<std::vec::IntoIter<String>>;

fn commands(words: &mut Words, depth: usize) -> Result<Pipe, String> {
    if depth > DEPTH_MAX {
        return Err(format!("brackets are nested more than {DEPTH_MAX} deep"));
    }
    let mut value = command(words, depth, None)?;
    // each bar makes the tree one deeper
    for _ in 0..DEPTH_MAX {
        if words.next_if(|word| word == "|").is_none() {
            return Ok(value);
        }
        value = command(words, depth, Some(value))?;
    }
    Err("too many bars".to_owned())
}

fn command(words: &mut Words, depth: usize, last: Option<Pipe>) -> Result<Pipe, String> {
    let Some(first) = words.next() else { return Err("an empty action".to_owned()) };
    let function = FUNCTIONS.iter().find(|(name, _)| *name == first).map(|(_, function)| *function);
    let Some(function) = function else {
        let operand = operand(&first, words, depth)?;
        return match last {
            None => Ok(operand),
            Some(_) => Err(format!("{first} is no function")),
        };
    };
    let mut arguments = Vec::new();
    while let Some(word) = words.next_if(|word| word != ")" && word != "|") {
        arguments.push(operand(&word, words, depth)?);
    }
    arguments.extend(last);
    let fits = match function {
        Function::Not | Function::Len => arguments.len() == 1,
        Function::Eq => arguments.len() >= 2,
        Function::Ne | Function::Lt | Function::Le | Function::Gt | Function::Ge => arguments.len() == 2,
        Function::Printf | Function::And | Function::Or => !arguments.is_empty(),
        Function::Print => true,
    };
    if fits {
        Ok(Pipe::Call(function, arguments))
    } else {
        Err(format!("wrong number of arguments for {first}"))
    }
}

fn operand(word: &str, words: &mut Words, depth: usize) -> Result<Pipe, String> {
    if word == "(" {
        let inner = commands(words, depth + 1)?;
        return match words.next().as_deref() {
            Some(")") => Ok(inner),
            _ => Err("( without )".to_owned()),
        };
    }
    if let Some(path) = word.strip_prefix('.') {
        let names: Vec<String> =
            if path.is_empty() { Vec::new() } else { path.split('.').map(str::to_owned).collect() };
        let good = |name: &String| {
            !name.is_empty() && name.chars().all(|character| character.is_alphanumeric() || character == '_')
        };
        return if names.iter().all(good) {
            Ok(Pipe::Field(names))
        } else {
            Err(format!("{word} is no field"))
        };
    }
    let literal = match word {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        "nil" => None,
        _ if word.starts_with('"') => serde_json::from_str::<String>(word).ok().map(Value::text),
        _ if word.starts_with('`') => Some(Value::text(word.trim_matches('`'))),
        _ => word.parse().map(Value::Int).ok().or_else(|| {
            if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
                word.parse().map(Value::Float).ok()
            } else {
                None
            }
        }),
    };
    literal.map(Pipe::Literal).ok_or_else(|| {
        format!("{word:?} is not supported in hints: fields, texts, numbers, printf, comparisons, and, or, not, if")
    })
}

fn render(parts: &[Part], env: &Env, text: &mut String) -> Result<(), String> {
    for part in parts {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Show(pipe) => match value(pipe, env)? {
                None => text.push_str("<no value>"),
                Some(found) => text.push_str(&shown(&found)),
            },
            Part::If(branches, otherwise) => {
                let mut chosen = otherwise;
                for (test, body) in branches {
                    if truth(value(test, env)?.as_ref()) {
                        chosen = body;
                        break;
                    }
                }
                render(chosen, env, text)?;
            }
        }
        if text.len() > TEXT_MAX {
            return Err(format!("the text is longer than {TEXT_MAX} bytes"));
        }
    }
    Ok(())
}

/// A value; nothing for a field that is not there.
fn value(pipe: &Pipe, env: &Env) -> Result<Option<Value>, String> {
    match pipe {
        Pipe::Literal(value) => Ok(Some(value.clone())),
        Pipe::Field(names) => {
            let Some((first, rest)) = names.split_first() else {
                return Ok(Some(Value::Map(std::sync::Arc::new(env.clone()))));
            };
            let mut found = env.get(first).cloned();
            for name in rest {
                found = match found {
                    None | Some(Value::Nil) => None,
                    Some(Value::Map(map)) => map.get(name).cloned(),
                    Some(other) => return Err(format!("cannot take field {name} of {}", other.kind())),
                };
            }
            Ok(found.filter(|found| *found != Value::Nil))
        }
        Pipe::Call(function, arguments) => {
            let values: Result<Vec<Option<Value>>, String> =
                arguments.iter().map(|argument| value(argument, env)).collect();
            call(*function, &values?).map(Some)
        }
    }
}

fn call(function: Function, arguments: &[Option<Value>]) -> Result<Value, String> {
    let nil = Value::Nil;
    let at = |index: usize| arguments.get(index).and_then(Option::as_ref).unwrap_or(&nil);
    let compare = || {
        super::expr::compare(at(0), at(1))
            .ok_or_else(|| format!("cannot compare {} and {}", at(0).kind(), at(1).kind()))
    };
    Ok(match function {
        Function::Print => {
            Value::text(arguments.iter().map(|one| shown(one.as_ref().unwrap_or(&nil))).collect::<String>())
        }
        Function::Printf => {
            let Value::Text(format) = at(0) else { return Err("printf needs a text first".to_owned()) };
            Value::text(printf(format, arguments.get(1..).unwrap_or_default())?)
        }
        Function::Len => match at(0) {
            Value::Text(text) => Value::Int(i64::try_from(text.len()).unwrap_or(i64::MAX)),
            Value::List(items) => Value::Int(i64::try_from(items.len()).unwrap_or(i64::MAX)),
            Value::Map(map) => Value::Int(i64::try_from(map.len()).unwrap_or(i64::MAX)),
            other => return Err(format!("len of {}", other.kind())),
        },
        Function::Not => Value::Bool(!truth(Some(at(0)))),
        Function::And | Function::Or => {
            let wanted = function == Function::Or;
            let mut found = &nil;
            for index in 0..arguments.len() {
                found = at(index);
                if truth(Some(found)) == wanted {
                    break;
                }
            }
            found.clone()
        }
        Function::Eq => Value::Bool((1..arguments.len()).any(|index| super::expr::same(at(0), at(index)))),
        Function::Ne => Value::Bool(!super::expr::same(at(0), at(1))),
        Function::Lt => Value::Bool(compare()?.is_lt()),
        Function::Le => Value::Bool(compare()?.is_le()),
        Function::Gt => Value::Bool(compare()?.is_gt()),
        Function::Ge => Value::Bool(compare()?.is_ge()),
    })
}

fn truth(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Nil) => false,
        Some(Value::Bool(value)) => *value,
        Some(Value::Int(value)) => *value != 0,
        Some(Value::Float(value)) => *value != 0.0,
        Some(Value::Text(text)) => !text.is_empty(),
        Some(Value::List(items)) => !items.is_empty(),
        Some(Value::Map(map)) => !map.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;

    fn env() -> Env {
        let limits = Value::Map(Arc::new(BTreeMap::from([("peak".to_owned(), Value::Float(350.0))])));
        let metric = BTreeMap::from([("avg".to_owned(), Value::Float(0.85)), ("limits".to_owned(), limits)]);
        BTreeMap::from([
            ("mem_bw".to_owned(), Value::Map(Arc::new(metric))),
            ("limit".to_owned(), Value::Float(12.0)),
            ("nodes".to_owned(), Value::Int(3)),
            ("shared".to_owned(), Value::text("<none>")),
        ])
    }

    #[test]
    fn what_hints_use() {
        for (template, text) in [
            (
                "load {{.mem_bw.avg}} of {{.mem_bw.limits.peak}} is below {{.limit}}",
                "load 0.85 of 350 is below 12",
            ),
            ("{{.nodes}} {{.shared}}", "3 <none>"),
            ("{{.nosuch}} {{.nosuch.deep}} {{.mem_bw.nosuch}}", "<no value> <no value> <no value>"),
            ("{{.mem_bw}}", "map[avg:0.85 limits:map[peak:350]]"),
            ("a {{- /* nothing */ -}} b", "ab"),
            (
                "{{printf \"%.1f%% %d %s|%5d|%-4d|%05.1f\" .mem_bw.avg .nodes .shared .nodes .nodes .mem_bw.avg}}",
                "0.8% 3 <none>|    3|3   |000.8",
            ),
            ("{{.mem_bw.avg | printf \"%.2f\"}}", "0.85"),
            ("{{if gt .nodes 2}}many{{else}}few{{end}}", "many"),
            ("{{if lt .nodes 2}}few{{else if eq .nodes 3}}three{{else}}more{{end}}", "three"),
            ("{{if and (gt .limit 1.0) (not .nosuch)}}x{{end}}", "x"),
            ("no action", "no action"),
        ] {
            assert_eq!(Template::parse(template).unwrap().render(&env()).unwrap(), text, "{template}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_at_load() {
        for bad in [
            "{{",
            "{{.a",
            "{{}}",
            "{{.a + 1}}",
            "{{range .a}}x{{end}}",
            "{{end}}",
            "{{if .a}}x",
            "{{nosuch .a}}",
            "{{.a..b}}",
            "{{printf}}",
            "{{(.a}}",
            "{{if .a}}x{{else}}y{{else}}z{{end}}",
            "{{$x := 1}}",
            "{{.a | .b}}",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
        let scalar = Template::parse("{{.limit.peak}}").unwrap();
        assert!(scalar.render(&env()).is_err());
    }

    #[test]
    fn numbers_look_as_in_go() {
        for (value, text) in [
            (0.85, "0.85"),
            (12.0, "12"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (-2.5, "-2.5"),
            (0.0, "0"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(shown(&Value::Float(value)), text);
        }
    }
}
