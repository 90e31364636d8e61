//! Scalars whose wire form differs from the library's: numeric ids, times with an offset, samples with gaps, and words from
//! closed lists (graphql-api.md 2).

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, InputValueError, InputValueResult, OutputType, Positioned, Scalar, ScalarType,
    ServerResult, Value, parser::types::Field, registry::Registry,
};
use cc_model::{job, scope};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::context::Viewing;

/// A database id on its way out: type `ID`, but a JSON number as existing clients expect it.
#[derive(Clone, Copy, Debug)]
pub(super) struct NumericId(pub(super) i64);

impl OutputType for NumericId {
    fn type_name() -> Cow<'static, str> {
        <async_graphql::ID as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <async_graphql::ID as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        Ok(Value::from(self.0))
    }
}

/// A database id on its way in: text or number.
pub(super) fn id(value: &async_graphql::ID) -> async_graphql::Result<i64> {
    value
        .parse()
        .map_err(|_| async_graphql::Error::new(format!("id {:?} is not a whole number", value.as_str())))
}

/// Several of them.
pub(super) fn ids(values: &[async_graphql::ID]) -> async_graphql::Result<Vec<i64>> {
    values.iter().map(id).collect()
}

/// Samples with two decimals; what was not measured is `null` although the list is declared non-null.
///
/// One value for a whole list: a future per sample would cost more than everything else in an answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(pub(super) Vec<f64>);

impl OutputType for Samples {
    fn type_name() -> Cow<'static, str> {
        "[NullableFloat!]".into()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <Vec<NullableFloat> as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        if let Some(viewing) = ctx.data_opt::<Viewing>() {
            let taken = viewing.take_values(self.0.len(), 1);
            taken.map_err(|error| ctx.set_error_path(error.into_server_error(field.pos)))?;
        }
        Ok(Value::List(self.0.iter().map(|&sample| rounded(sample)).collect()))
    }
}

/// Two decimals; `null` for what is no number.
fn rounded(sample: f64) -> Value {
    serde_json::Number::from_f64((sample * 100.0).round() / 100.0).map_or(Value::Null, Value::Number)
}

/// The element type of [`Samples`].
#[derive(Clone, Copy, Debug)]
pub(super) struct NullableFloat(f64);

#[Scalar(name = "NullableFloat")]
impl ScalarType for NullableFloat {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::Null => Ok(Self(f64::NAN)),
            Value::Number(number) => Ok(Self(number.as_f64().unwrap_or(f64::NAN))),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        rounded(self.0)
    }
}

/// A moment in Unix seconds; out with the server's offset from UTC, the zero time is `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) i64);

#[Scalar(name = "Time")]
impl ScalarType for Time {
    fn parse(value: Value) -> InputValueResult<Self> {
        let text = match value {
            Value::Null => return Ok(Self(0)),
            Value::String(text) => text,
            other => return Err(InputValueError::expected_type(other)),
        };
        if text.is_empty() {
            return Ok(Self(0));
        }
        let moment = text.parse::<Timestamp>().or_else(|_| {
            DateTime::strptime("%Y-%m-%d %H:%M:%S", &text)
                .and_then(|civil| civil.to_zoned(TimeZone::UTC))
                .map(|zoned| zoned.timestamp())
        });
        moment
            .map(|moment| Self(moment.as_second()))
            .map_err(|_| InputValueError::custom("time should be RFC3339Nano formatted string"))
    }

    fn to_value(&self) -> Value {
        if self.0 == 0 {
            return Value::Null;
        }
        let Ok(moment) = Timestamp::from_second(self.0) else { return Value::Null };
        let zoned = moment.to_zoned(TimeZone::system());
        let text = if zoned.offset().seconds() == 0 {
            zoned.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        } else {
            zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
        };
        Value::String(text)
    }
}

/// Any JSON value.
#[derive(Clone, Debug)]
pub(super) struct Any(pub(super) serde_json::Value);

#[Scalar(name = "Any")]
impl ScalarType for Any {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(value.into_json().unwrap_or_default()))
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}

/// The word of a literal (bare or quoted) or variable.
fn word(value: Value) -> Result<String, Value> {
    match value {
        Value::String(text) => Ok(text),
        Value::Enum(name) => Ok(name.to_string()),
        other => Err(other),
    }
}

/// A state of a job, from the closed list.
#[derive(Clone, Debug)]
pub(super) struct JobState(pub(super) String);

#[Scalar(name = "JobState")]
impl ScalarType for JobState {
    fn parse(value: Value) -> InputValueResult<Self> {
        let text = word(value).map_err(InputValueError::expected_type)?;
        if text.parse::<job::JobState>().is_err() {
            return Err(InputValueError::custom("SCHEMA/JOB > invalid job state"));
        }
        Ok(Self(text))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// A scope of metrics, from the closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MetricScope(pub(super) scope::MetricScope);

#[Scalar(name = "MetricScope")]
impl ScalarType for MetricScope {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Ok(text) = word(value) else {
            return Err(InputValueError::custom("SCHEMA/METRICS > enums must be strings"));
        };
        text.parse().map(Self).map_err(|_| {
            InputValueError::custom(format!("SCHEMA/METRICS > {text} is not a valid MetricScope"))
        })
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.as_str().to_owned())
    }
}

/// A node's state as the scheduler has it; unknown words match nothing.
#[derive(Clone, Debug)]
pub(super) struct SchedulerState(pub(super) String);

#[Scalar(name = "SchedulerState")]
impl ScalarType for SchedulerState {
    fn parse(value: Value) -> InputValueResult<Self> {
        word(value).map(Self).map_err(InputValueError::expected_type)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// Whether a node's samples arrive; unknown words match nothing.
#[derive(Clone, Debug)]
pub(super) struct MonitoringState(pub(super) String);

#[Scalar(name = "MonitoringState")]
impl ScalarType for MonitoringState {
    fn parse(value: Value) -> InputValueResult<Self> {
        word(value).map(Self).map_err(InputValueError::expected_type)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms_and_written_with_their_offset() {
        for text in ["2026-03-01T10:00:00Z", "2026-03-01T11:00:00+01:00", "2026-03-01 10:00:00"] {
            assert_eq!(Time::parse(Value::from(text)).unwrap(), Time(1_772_359_200), "{text}");
        }
        assert!(Time::parse(Value::from("yesterday")).is_err());
        assert_eq!(Time(0).to_value(), Value::Null);
        let Value::String(text) = Time(1_772_359_200).to_value() else { panic!("no text") };
        assert_eq!(text.parse::<Timestamp>().unwrap().as_second(), 1_772_359_200);
    }

    #[test]
    fn samples_have_two_decimals_and_gaps() {
        assert_eq!(rounded(1.0 / 3.0).to_string(), "0.33");
        assert_eq!(rounded(f64::NAN), Value::Null);
        assert_eq!(rounded(f64::INFINITY), Value::Null);
    }

    #[test]
    fn words_are_taken_bare_and_quoted_and_only_from_the_list() {
        let bare = Value::Enum(async_graphql::Name::new("running"));
        assert_eq!(JobState::parse(bare).unwrap().0, "running");
        assert_eq!(JobState::parse(Value::from("failed")).unwrap().0, "failed");
        assert!(JobState::parse(Value::from("stopped")).is_err());
        assert!(MetricScope::parse(Value::from("Node")).is_err());
        assert!(MetricScope::parse(Value::from(3)).is_err());
    }
}
