//! Log lines on standard error: in the reference's form with systemd priorities, or as JSON
//! (config-and-cli.md 10.1).
//!
//! Write with the macros of `tracing`, and with [`critical!`](crate::critical) for the level above error. In the
//! reference's form our lines show the message and, unless the message has it, the cause in a field `error`; so a message must be
//! readable without its other fields. Lines of libraries show all their fields. The level can be changed while the process runs ([`Level`], [`Control`]).

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};

mod line;

use crate::clock::Clock;
pub use crate::config::observability::LogFormat;
use crate::telemetry::Telemetry;
use line::Lines;

/// Target of [`critical!`](crate::critical) lines.
pub const CRITICAL: &str = "cc_critical";

/// Writes a line of level critical: the process cannot do what it is for.
#[macro_export]
macro_rules! critical {
    ($($argument:tt)+) => {
        $crate::logging::tracing::error!(target: $crate::logging::CRITICAL, $($argument)+)
    };
}

#[doc(hidden)]
pub use tracing;

/// From which level on lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Everything.
    Debug,
    /// What happened.
    Info,
    /// What should not have happened.
    Warn,
    /// What failed.
    Error,
    /// What ends the process or its purpose.
    Critical,
}

impl Level {
    /// The level of that name in `-loglevel`; `None` for an unknown one.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" => Self::Warn,
            "err" | "fatal" => Self::Error,
            "crit" => Self::Critical,
            _ => return None,
        })
    }

    fn from_number(number: u8) -> Self {
        let levels = [Self::Debug, Self::Info, Self::Warn, Self::Error];
        levels.into_iter().find(|level| *level as u8 == number).unwrap_or(Self::Critical)
    }

    fn of(metadata: &Metadata<'_>) -> Self {
        match *metadata.level() {
            _ if metadata.target() == CRITICAL => Self::Critical,
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }

    /// The prefix of the reference's form.
    fn prefix(self) -> &'static str {
        match self {
            Self::Debug => "<7>[DEBUG]    ",
            Self::Info => "<6>[INFO]     ",
            Self::Warn => "<4>[WARNING]  ",
            Self::Error => "<3>[ERROR]    ",
            Self::Critical => "<2>[CRITICAL] ",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// Changes the level while the process runs.
#[derive(Clone)]
pub struct Control(Arc<AtomicU8>);

impl Control {
    fn new(level: Level) -> Self {
        Self(Arc::new(AtomicU8::new(level as u8)))
    }

    /// The present level.
    pub fn level(&self) -> Level {
        Level::from_number(self.0.load(Ordering::Relaxed))
    }

    /// Sets the level for the whole process, from now on.
    pub fn set(&self, level: Level) {
        self.0.store(level as u8, Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Control").field(&self.level()).finish()
    }
}

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Form of a line.
    pub format: LogFormat,
    /// Whether the reference's form has the local date and time (`-logdate`); JSON always has it.
    pub date: bool,
}

/// Where lines go; whole lines with their line end.
pub trait Sink: Send + Sync + 'static {
    /// Takes one line.
    fn line(&self, line: &str);
}

/// Standard error.
#[derive(Clone, Copy, Debug)]
pub struct Stderr;

impl Sink for Stderr {
    fn line(&self, line: &str) {
        // There is nobody to tell.
        let _written = std::io::stderr().lock().write_all(line.as_bytes()).is_ok();
    }
}

/// Makes the subscriber of a process: lines to `sink`, and spans to the receiver of traces if there is one.
pub fn subscriber(
    level: Level,
    options: Options,
    clock: Clock,
    telemetry: Option<&Telemetry>,
    sink: impl Sink,
) -> (impl Subscriber + Send + Sync + for<'a> LookupSpan<'a> + 'static, Control) {
    let control = Control::new(level);
    let lines = Lines::new(options, clock, sink, telemetry.is_some());
    let spans = telemetry.map(|telemetry| telemetry.layer().with_filter(Spans));
    let subscriber = Registry::default().with(spans).with(lines.with_filter(Threshold(control.clone())));
    (subscriber, control)
}

/// Lets lines of the set level through; of libraries only warnings and worse, except the database's statements,
/// because theirs may show headers, and nobody reads them.
struct Threshold(Control);

impl Threshold {
    fn lets(&self, metadata: &Metadata<'_>) -> bool {
        let level = Level::of(metadata);
        let ours = metadata.target().starts_with("cc_");
        let statements = metadata.target().starts_with("sqlx");
        metadata.is_event() && level >= self.0.level() && (ours || statements || level >= Level::Warn)
    }
}

impl<S> Filter<S> for Threshold {
    fn enabled(&self, metadata: &Metadata<'_>, _context: &Context<'_, S>) -> bool {
        self.lets(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Cached until `Control::set` rebuilds the cache.
        if self.lets(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.0.level() {
            Level::Debug => LevelFilter::DEBUG,
            Level::Info => LevelFilter::INFO,
            Level::Warn => LevelFilter::WARN,
            Level::Error | Level::Critical => LevelFilter::ERROR,
        })
    }
}

/// Traces have our spans of level info and above, and nothing of libraries: the exporter would trace itself.
struct Spans;

impl Spans {
    fn lets(metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("cc_") && *metadata.level() <= tracing::Level::INFO
    }
}

impl<S> Filter<S> for Spans {
    fn enabled(&self, metadata: &Metadata<'_>, _context: &Context<'_, S>) -> bool {
        Self::lets(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::lets(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }
}

#[cfg(test)]
mod tests;
