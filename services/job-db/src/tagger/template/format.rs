//! Values as Go shows them.

use std::fmt::Write as _;

use crate::tagger::expr::Value;

/// The verbs `%v %s %d %f %g %q %t %%` with sign, width and precision.
pub(super) fn printf(format: &str, arguments: &[Option<Value>]) -> Result<String, String> {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        if characters.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let (mut minus, mut plus, mut zero) = (false, false, false);
        while let Some(flag) = characters.next_if(|flag| "-+0 #".contains(*flag)) {
            minus |= flag == '-';
            plus |= flag == '+';
            zero |= flag == '0';
        }
        let mut digits = || {
            let mut found = None;
            while let Some(digit) = characters.peek().and_then(|digit| digit.to_digit(10)) {
                characters.next();
                found = Some((found.unwrap_or(0) * 10 + usize::try_from(digit).unwrap_or(0)).min(100));
            }
            found
        };
        let width = digits().unwrap_or(0);
        let precision = if characters.next_if_eq(&'.').is_some() {
            let mut found = 0;
            while let Some(digit) = characters.peek().and_then(|digit| digit.to_digit(10)) {
                characters.next();
                found = (found * 10 + usize::try_from(digit).unwrap_or(0)).min(100);
            }
            Some(found)
        } else {
            None
        };
        let verb = characters.next().ok_or("a % at the end of a format")?;
        let argument = arguments.next().ok_or("too few values for a format")?.clone().unwrap_or(Value::Nil);
        let number = argument.number();
        let mut piece = match (verb, &argument, number) {
            ('d', Value::Int(value), _) => value.to_string(),
            ('f' | 'F', Value::Float(_), Some(value)) if value.is_finite() => {
                format!("{value:.*}", precision.unwrap_or(6))
            }
            ('g', Value::Float(_), Some(value)) => match precision {
                Some(_) => return Err("%g with a precision is not supported".to_owned()),
                None => float(value),
            },
            ('s', Value::Text(text), _) => {
                precision.map_or_else(|| text.to_string(), |most| text.chars().take(most).collect())
            }
            ('q', Value::Text(text), _) => format!("{:?}", &**text),
            ('t', Value::Bool(value), _) => value.to_string(),
            ('v', value, _) => shown(value),
            ('f' | 'F', Value::Float(_), Some(value)) => float(value),
            (verb, value, _) => format!("%!{verb}({}={})", go_kind(value), shown(value)),
        };
        if plus && number.is_some_and(|number| number >= 0.0) {
            piece.insert(0, '+');
        }
        let missing = width.saturating_sub(piece.chars().count());
        let fill = if zero && !minus && number.is_some() { "0" } else { " " };
        let sign = usize::from(fill == "0" && piece.starts_with(['-', '+']));
        if minus {
            piece.push_str(&" ".repeat(missing));
        } else {
            piece.insert_str(sign, &fill.repeat(missing));
        }
        out.push_str(&piece);
    }
    match arguments.next() {
        None => Ok(out),
        Some(_) => Err("too many values for a format".to_owned()),
    }
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "<nil>",
        Value::Float(_) => "float64",
        other => other.kind(),
    }
}

/// A value as Go's `%v` shows it.
pub(crate) fn shown(value: &Value) -> String {
    let mut out = String::new();
    show(value, &mut out);
    out
}

fn show(value: &Value, out: &mut String) {
    // values are as deep as an expression or a parameter file makes them, which is bounded
    match value {
        Value::Nil => out.push_str("<nil>"),
        Value::Bool(value) => {
            let _ = write!(out, "{value}");
        }
        Value::Int(value) => {
            let _ = write!(out, "{value}");
        }
        Value::Float(value) => out.push_str(&float(*value)),
        Value::Text(text) => out.push_str(text),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                show(item, out);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push_str("map[");
            for (index, (key, item)) in map.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                show(item, out);
            }
            out.push(']');
        }
    }
}

/// Shortest decimal; with an exponent below −4 and from 21.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (-4..21).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}
