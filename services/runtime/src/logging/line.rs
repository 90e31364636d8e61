//! One event as one line.

use std::error::Error;
use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::{Level, LogFormat, Options, Sink};
use crate::clock::Clock;
use crate::telemetry;

pub(super) struct Lines<K> {
    options: Options,
    clock: Clock,
    sink: K,
    traced: bool,
}

impl<K: Sink> Lines<K> {
    pub(super) fn new(options: Options, clock: Clock, sink: K, traced: bool) -> Self {
        Self { options, clock, sink, traced }
    }

    fn reference(&self, event: &Event<'_>, trace: Option<String>) -> String {
        let metadata = event.metadata();
        let level = Level::of(metadata);
        let mut line = level.prefix().to_owned();
        if self.options.date {
            let _written = write!(line, "{} ", self.clock.local().strftime("%Y/%m/%d %H:%M:%S")).is_ok();
        }
        if level > Level::Debug
            && let Some(file) = metadata.file().and_then(|file| file.rsplit('/').next())
        {
            let _written = write!(line, "{file}:{}: ", metadata.line().unwrap_or_default()).is_ok();
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        push_escaped(&mut line, &fields.message);
        if !metadata.target().starts_with("cc_") || fields.message.is_empty() {
            for (name, value) in fields.others {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                push_escaped(&mut line, &format!(" {name}={text}"));
            }
        } else if let Some(cause) = fields.untold_cause() {
            push_escaped(&mut line, &format!(": {cause}"));
        }
        if let Some(trace) = trace {
            let _written = write!(line, " trace_id={trace}").is_ok();
        }
        line.push('\n');
        line
    }

    fn json(&self, event: &Event<'_>, trace: Option<String>) -> String {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut object = Map::new();
        object.insert("time".to_owned(), self.clock.now().to_string().into());
        object.insert("level".to_owned(), Level::of(metadata).name().into());
        object.insert("target".to_owned(), metadata.target().into());
        object.insert("message".to_owned(), fields.message.into());
        object.extend(trace.map(|trace| ("trace_id".to_owned(), trace.into())));
        // A field cannot hide what we say ourselves.
        for (name, value) in fields.others {
            object.entry(name).or_insert(value);
        }
        let mut line = Value::Object(object).to_string();
        line.push('\n');
        line
    }
}

impl<K: Sink, S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines<K> {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let trace = if self.traced { telemetry::trace_id() } else { None };
        let line = match self.options.format {
            LogFormat::Reference => self.reference(event, trace),
            LogFormat::Json => self.json(event, trace),
        };
        self.sink.line(&line);
    }
}

/// A line stays a line, whatever a client put into a name.
fn push_escaped(line: &mut String, text: &str) {
    for character in text.chars() {
        if character.is_control() && character != '\t' {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
}

/// The fields of one event.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(String, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("message", other) => self.message = other.to_string(),
            // Lines that come from the `log` crate carry these besides.
            (name, _) if name.starts_with("log.") => {}
            (name, value) => self.others.push((name.to_owned(), value)),
        }
    }

    /// What the field `error` says, unless the message says it already.
    fn untold_cause(&self) -> Option<&str> {
        let cause =
            self.others.iter().find(|(name, _)| name == "error").and_then(|(_, value)| value.as_str())?;
        (!cause.is_empty() && !self.message.contains(cause)).then_some(cause)
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.add(field, crate::tasks::chain(value).into());
    }
}
