//! The request's JSON into its parts, in one pass: requests name tens of thousands of components.
//!
//! As lenient as the reference's decoder: keys match in any case, unknown ones are ignored, `null` leaves the default, a wrong type is
//! an error that names the key.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::request::{Query, Request};

/// Why a value has the wrong type, in our words.
type Wrong = RefCell<Option<String>>;

/// Reads the first JSON value of `json`; what follows is ignored.
pub(super) fn request(json: &[u8]) -> Result<Request, String> {
    if json.trim_ascii().is_empty() {
        return Err("the request has no body: a JSON object is expected".to_owned());
    }
    let (mut request, wrong) = (Request::default(), Wrong::default());
    let whole = Object { target: &mut request, place: Place { key: "request", wrong: &wrong } };
    let read = whole.deserialize(&mut serde_json::Deserializer::from_slice(json));
    match read {
        Ok(()) => Ok(request),
        Err(error) => Err(wrong.take().unwrap_or_else(|| format!("the request is not JSON: {error}"))),
    }
}

/// Which key a value belongs to, and where to say that it is wrong.
#[derive(Clone, Copy)]
struct Place<'a> {
    key: &'static str,
    wrong: &'a Wrong,
}

impl Place<'_> {
    #[cold]
    fn fail<E: Error>(self, expected: &str, found: &str) -> E {
        self.wrong.replace(Some(format!("{}: expected {expected}, found {found}", self.key)));
        E::custom("wrong type")
    }
}

/// An object whose keys are known.
trait Keys {
    /// Its keys.
    const KEYS: &'static [&'static str];

    /// Takes the value of one of them.
    fn take<'de, A: MapAccess<'de>>(&mut self, place: Place<'_>, values: &mut A) -> Result<(), A::Error>;
}

impl Keys for Request {
    const KEYS: &'static [&'static str] =
        &["cluster", "from", "to", "with-stats", "with-data", "with-padding", "for-all-nodes", "queries"];

    fn take<'de, A: MapAccess<'de>>(&mut self, place: Place<'_>, values: &mut A) -> Result<(), A::Error> {
        match place.key {
            "cluster" => set(&mut self.cluster, values.next_value_seed(text(place))?),
            "from" => set(&mut self.from, values.next_value_seed(integer(place))?),
            "to" => set(&mut self.to, values.next_value_seed(integer(place))?),
            "with-stats" => set(&mut self.with_stats, values.next_value_seed(flag(place))?),
            "with-data" => set(&mut self.with_data, values.next_value_seed(flag(place))?),
            "with-padding" => set(&mut self.with_padding, values.next_value_seed(flag(place))?),
            "for-all-nodes" => self.for_all_nodes = values.next_value_seed(List::<String>::new(place))?,
            _ => self.queries = values.next_value_seed(List::<Query>::new(place))?.unwrap_or_default(),
        }
        Ok(())
    }
}

impl Keys for Query {
    const KEYS: &'static [&'static str] =
        &["metric", "host", "resolution", "aggreg", "type", "type-ids", "subtype", "subtype-ids", "scale-by"];

    fn take<'de, A: MapAccess<'de>>(&mut self, place: Place<'_>, values: &mut A) -> Result<(), A::Error> {
        match place.key {
            "metric" => set(&mut self.metric, values.next_value_seed(text(place))?),
            "host" => set(&mut self.host, values.next_value_seed(text(place))?),
            "resolution" => set(&mut self.resolution, values.next_value_seed(integer(place))?),
            "aggreg" => set(&mut self.aggregate, values.next_value_seed(flag(place))?),
            "type" => self.kind = values.next_value_seed(text(place))?,
            "type-ids" => self.ids = values.next_value_seed(List::<String>::new(place))?.unwrap_or_default(),
            "subtype" => self.sub_kind = values.next_value_seed(text(place))?,
            "subtype-ids" => {
                self.sub_ids = values.next_value_seed(List::<String>::new(place))?.unwrap_or_default();
            }
            _ => set(&mut self.scale, values.next_value_seed(number(place))?),
        }
        Ok(())
    }
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

/// Fills an object; `null` has no keys.
struct Object<'a, T> {
    target: &'a mut T,
    place: Place<'a>,
}

impl<'de, T: Keys> DeserializeSeed<'de> for Object<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The types that are wrong for a visitor.
macro_rules! refuse {
    ($expected:expr; $($method:ident($($type:ty)?) $found:literal)*) => { $(
        fn $method<E: Error>(self $(, _: $type)?) -> Result<Self::Value, E> {
            Err(self.place.fail($expected, $found))
        }
    )* };
}

impl<'de, T: Keys> Visitor<'de> for Object<'_, T> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(key) = entries.next_key_seed(Name(T::KEYS))? {
            match key {
                Some(key) => self.target.take(Place { key, ..self.place }, &mut entries)?,
                None => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.place.fail("an object", "a list"))
    }

    refuse! { "an object";
        visit_bool(bool) "a truth value"
        visit_i64(i64) "a number of another kind"
        visit_u64(u64) "a number of another kind"
        visit_f64(f64) "a number of another kind"
        visit_str(&str) "a text"
    }
}

/// A key, as one of those known.
struct Name(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|known| known.eq_ignore_ascii_case(key)))
    }
}

/// A value that is neither list nor object.
enum Plain<'a> {
    Flag(bool),
    Integer(i64),
    Number(f64),
    Text(&'a str),
}

/// Reads such a value; `None`: `null`.
struct Scalar<'a, T> {
    place: Place<'a>,
    expected: &'static str,
    convert: fn(&Plain<'_>) -> Option<T>,
}

fn text(place: Place<'_>) -> Scalar<'_, String> {
    let convert = |plain: &Plain<'_>| match plain {
        Plain::Text(text) => Some((*text).to_owned()),
        _ => None,
    };
    Scalar { place, expected: "a text", convert }
}

fn integer(place: Place<'_>) -> Scalar<'_, i64> {
    let convert = |plain: &Plain<'_>| match plain {
        Plain::Integer(integer) => Some(*integer),
        _ => None,
    };
    Scalar { place, expected: "an integer of 64 bits", convert }
}

fn number(place: Place<'_>) -> Scalar<'_, f64> {
    #[expect(clippy::cast_precision_loss, reason = "as in the reference")]
    let convert = |plain: &Plain<'_>| match plain {
        Plain::Integer(integer) => Some(*integer as f64),
        Plain::Number(number) => Some(*number),
        _ => None,
    };
    Scalar { place, expected: "a number", convert }
}

fn flag(place: Place<'_>) -> Scalar<'_, bool> {
    let convert = |plain: &Plain<'_>| match plain {
        Plain::Flag(flag) => Some(*flag),
        _ => None,
    };
    Scalar { place, expected: "true or false", convert }
}

impl<T> Scalar<'_, T> {
    fn take<E: Error>(self, plain: &Plain<'_>) -> Result<Option<T>, E> {
        let found = match plain {
            Plain::Flag(_) => "a truth value",
            Plain::Integer(_) | Plain::Number(_) => "a number of another kind",
            Plain::Text(_) => "a text",
        };
        match (self.convert)(plain) {
            Some(value) => Ok(Some(value)),
            None => Err(self.place.fail(self.expected, found)),
        }
    }
}

impl<'de, T> DeserializeSeed<'de> for Scalar<'_, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T> Visitor<'de> for Scalar<'_, T> {
    type Value = Option<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.expected)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        self.take(&Plain::Flag(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        self.take(&Plain::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        #[expect(clippy::cast_precision_loss, reason = "as in the reference")]
        let plain = i64::try_from(value).map_or(Plain::Number(value as f64), Plain::Integer);
        self.take(&plain)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        self.take(&Plain::Number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        self.take(&Plain::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(self.place.fail(self.expected, "a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(self.place.fail(self.expected, "an object"))
    }
}

/// What lists are made of.
trait Element: Sized {
    /// The next element; `None`: there are no more.
    fn next<'de, A: SeqAccess<'de>>(place: Place<'_>, list: &mut A) -> Result<Option<Self>, A::Error>;
}

impl Element for String {
    fn next<'de, A: SeqAccess<'de>>(place: Place<'_>, list: &mut A) -> Result<Option<Self>, A::Error> {
        Ok(list.next_element_seed(text(place))?.map(Option::unwrap_or_default))
    }
}

impl Element for Query {
    fn next<'de, A: SeqAccess<'de>>(place: Place<'_>, list: &mut A) -> Result<Option<Self>, A::Error> {
        let mut query = Self::default();
        let found = list.next_element_seed(Object { target: &mut query, place })?;
        Ok(found.map(|()| query))
    }
}

/// Reads a list; `None`: `null`.
struct List<'a, T> {
    place: Place<'a>,
    elements: Vec<T>,
}

impl<'a, T> List<'a, T> {
    fn new(place: Place<'a>) -> Self {
        Self { place, elements: Vec::new() }
    }
}

impl<'de, T: Element> DeserializeSeed<'de> for List<'_, T> {
    type Value = Option<Vec<T>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Element> Visitor<'de> for List<'_, T> {
    type Value = Option<Vec<T>>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self::Value, A::Error> {
        while let Some(element) = T::next(self.place, &mut list)? {
            self.elements.push(element);
        }
        Ok(Some(self.elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(self.place.fail("a list", "an object"))
    }

    refuse! { "a list";
        visit_bool(bool) "a truth value"
        visit_i64(i64) "a number of another kind"
        visit_u64(u64) "a number of another kind"
        visit_f64(f64) "a number of another kind"
        visit_str(&str) "a text"
    }
}
