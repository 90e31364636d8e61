//! Bytes → metric data, as tolerant as job-archive.md 3 asks for: keys in any case, unknown keys and scopes ignored,
//! `null` for anything, ids as numbers, metrics that are no objects (the file-system tree) left out.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

use super::{JobData, JobMetric, Scopes, Series, SeriesStatistics, StatsSeries};
use crate::{scope::MetricScope, unit::Unit};

/// A document that is not metric data, with line and column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not metric data of a job: {0}")]
pub struct JobDataError(String);

impl JobData {
    /// Reads a `data.json`. `null` is a job without data; what follows the first JSON value is ignored.
    ///
    /// # Errors
    /// Not JSON, or a member of a wrong type.
    pub fn from_json(document: &[u8]) -> Result<Self, JobDataError> {
        let text = String::from_utf8_lossy(document);
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        Self::deserialize(&mut deserializer).map_err(|error| JobDataError(error.to_string()))
    }
}

impl<'de> Deserialize<'de> for JobData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members: Option<BTreeMap<String, ScopesOrNot>> = Option::deserialize(deserializer)?;
        let metrics = members
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, scopes)| Some((name, scopes.0?)))
            .collect();
        Ok(Self { metrics })
    }
}

/// The scopes of a metric, or nothing if the member is not an object.
struct ScopesOrNot(Option<Scopes>);

impl<'de> Deserialize<'de> for ScopesOrNot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Option<Scopes>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the scopes of a metric")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut scopes = Scopes::new();
                while let Some(name) = map.next_key::<String>()? {
                    match name.parse::<MetricScope>() {
                        Ok(scope) => {
                            if let Some(metric) = map.next_value()? {
                                scopes.insert(scope, metric);
                            }
                        }
                        Err(_) => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Some(scopes))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(None)
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
        }
        deserializer.deserialize_any(Any).map(Self)
    }
}

/// A struct whose members are matched in any case.
trait Members: Default {
    const NAME: &'static str;

    /// Reads the value of one member; `key` is in lower case.
    fn member<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

struct MembersVisitor<T>(PhantomData<T>);

impl<'de, T: Members> Visitor<'de> for MembersVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::NAME)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut out = T::default();
        while let Some(mut key) = map.next_key::<String>()? {
            key.make_ascii_lowercase();
            out.member(&key, &mut map)?;
        }
        Ok(out)
    }
}

/// The value of a member, the default for `null`.
fn value<'de, A: MapAccess<'de>, T: Deserialize<'de> + Default>(map: &mut A) -> Result<T, A::Error> {
    Ok(map.next_value::<Option<T>>()?.unwrap_or_default())
}

fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

macro_rules! members {
    ($($type:ident),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_map(MembersVisitor(PhantomData))
            }
        }
    )*};
}

members!(JobMetric, Series, SeriesStatistics, StatsSeries);

impl Members for JobMetric {
    const NAME: &'static str = "the data of a metric at a scope";

    fn member<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "statisticsseries" => self.statistics_series = map.next_value()?,
            "unit" => self.unit = unit(&map.next_value()?),
            "series" => self.series = value(map)?,
            "timestep" => self.timestep = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Members for Series {
    const NAME: &'static str = "a series";

    fn member<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "hostname" => self.hostname = value(map)?,
            "id" => {
                self.id = match map.next_value()? {
                    Value::String(id) => Some(id),
                    Value::Number(id) => Some(id.to_string()),
                    _ => None,
                }
            }
            "statistics" => self.statistics = value(map)?,
            "data" => self.data = value::<_, Samples>(map)?.0,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Members for SeriesStatistics {
    const NAME: &'static str = "statistics of a series";

    fn member<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "min" => self.min = value(map)?,
            "avg" => self.avg = value(map)?,
            "max" => self.max = value(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Members for StatsSeries {
    const NAME: &'static str = "statistics over the series";

    fn member<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "percentiles" => {
                let found: BTreeMap<String, Samples> = value(map)?;
                self.percentiles = found
                    .into_iter()
                    .filter_map(|(percent, values)| Some((percent.parse().ok()?, values.0)))
                    .collect();
            }
            "mean" => self.mean = value::<_, Samples>(map)?.0,
            "median" => self.median = value::<_, Samples>(map)?.0,
            "min" => self.min = value::<_, Samples>(map)?.0,
            "max" => self.max = value::<_, Samples>(map)?.0,
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// A unit as an object; a bare text (archives before version 1) is its base.
fn unit(value: &Value) -> Unit {
    match value {
        Value::Object(members) => {
            let text = |key: &str| {
                let found = members.iter().rfind(|(name, _)| name.eq_ignore_ascii_case(key));
                found.and_then(|(_, value)| value.as_str()).unwrap_or_default()
            };
            Unit::new(text("base"), text("prefix"))
        }
        Value::String(base) => Unit::new(base.clone(), ""),
        _ => Unit::default(),
    }
}

/// Numbers, with not-a-number for `null`.
#[derive(Default)]
struct Samples(Vec<f64>);

impl<'de> Deserialize<'de> for Samples {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = Vec<f64>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of numbers and nulls")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut out = Vec::new();
                while let Some(sample) = seq.next_element::<Option<f64>>()? {
                    out.push(sample.unwrap_or(f64::NAN));
                }
                Ok(out)
            }
        }
        deserializer.deserialize_seq(Numbers).map(Self)
    }
}
