//! A schema from what events look like.
//!
//! JSON's own types, and no guess beyond them: no string is taken for a number or a date; only the timestamp field is a timestamp.
//!
//! # Rules
//! * Whole numbers are `long`; beyond 64 bits `decimal(38,0)`; beyond 38 digits `string`, and such values stay in `_extra`.
//! * Any number with a fraction or exponent makes the column `double`; whole numbers that a double cannot hold stay in `_extra`.
//! * A field whose values are of different kinds is `string`; values that are no strings stay in `_extra`.
//! * A field seen only as null, an empty list or an empty object is left out, and so is one whose name is reserved, empty, or
//!   that of another field but for its case, or that makes types nest too deep. What is left out lands in `_extra`.
//! * Fields stand in the order in which they were first seen.

use std::collections::HashMap;

use super::{Field, MAX_DEPTH, Schema, Type, is_reserved, join};
use crate::record::json;

/// The greatest number of fields at one level; others are left out, as an object with so many is rather a map.
pub const MAX_FIELDS: usize = 1000;

/// A schema, and what it was inferred from.
#[derive(Debug, Clone, PartialEq)]
pub struct Inferred {
    /// The schema. The timestamp field is always in it, unless it was to be left out.
    pub schema: Schema,
    /// Records that were JSON objects.
    pub records_used: u64,
    /// Records that were not, and told nothing.
    pub records_skipped: u64,
    /// Paths of fields that were seen and left out.
    pub left_out: Vec<String>,
}

/// Infers the schema of `records`.
///
/// Fields named in `leave_out` (derived partition columns, whatever their case) are left out at the top level.
#[must_use]
pub fn infer<'a>(records: impl IntoIterator<Item = &'a [u8]>, timestamp_field: &str, leave_out: &[String]) -> Inferred {
    let mut top = Object::default();
    let (mut records_used, mut records_skipped) = (0, 0);
    for record in records {
        let text = str::from_utf8(record).unwrap_or_default().trim_ascii();
        if !json::nests_deeper(text, json::MAX_NESTING) && top.see(text) {
            records_used += 1;
        } else {
            records_skipped += 1;
        }
    }
    let mut left_out = Vec::new();
    let wanted = |name: &str| !is_reserved(name) && !leave_out.iter().any(|other| other.eq_ignore_ascii_case(name));
    // The timestamp field comes first where names collide: every row has one.
    if wanted(timestamp_field) && !timestamp_field.is_empty() {
        let twins = |name: &str| name != timestamp_field && name.to_lowercase() == timestamp_field.to_lowercase();
        top.names.iter().filter(|(name, _)| twins(name)).for_each(|(name, _)| left_out.push(name.clone()));
        top.names.retain(|(name, _)| !twins(name));
        match top.names.iter_mut().find(|(name, _)| name == timestamp_field) {
            Some((_, shape)) => *shape = Shape::Timestamp,
            None => top.names.push((timestamp_field.to_owned(), Shape::Timestamp)),
        }
    }
    left_out.extend(top.names.iter().filter(|(name, _)| !wanted(name)).map(|(name, _)| name.clone()));
    top.names.retain(|(name, _)| wanted(name));
    let fields = top.fields("", MAX_DEPTH, &mut left_out);
    Inferred { schema: Schema { fields }, records_used, records_skipped, left_out }
}

/// What the values of a field have had in common so far.
#[derive(Debug, Default)]
enum Shape {
    /// Nothing but null.
    #[default]
    Nothing,
    Boolean,
    Long,
    Decimal,
    Double,
    String,
    Timestamp,
    Object(Object),
    Array(Box<Shape>),
}

/// The fields of an object, in the order in which they were first seen.
#[derive(Debug, Default)]
struct Object {
    names: Vec<(String, Shape)>,
    places: HashMap<String, usize>,
    /// Fields beyond [`MAX_FIELDS`].
    beyond: bool,
}

impl Object {
    /// Takes in the object `text`; `false` if it is none.
    fn see(&mut self, text: &str) -> bool {
        let mut members = Vec::new();
        let add = |members: &mut Vec<_>, key, value| members.push((key, value));
        if json::members_quickly(text, &mut members, Vec::clear, add).is_err() {
            return false;
        }
        let names = self.names.iter().map(|(name, _)| &**name);
        if members.len() <= names.len() && members.iter().map(|(key, _)| &**key).eq(names.take(members.len())) {
            // As mostly: no key is new, or there twice.
            self.names.iter_mut().zip(members).for_each(|((_, shape), (_, value))| shape.see(value));
            return true;
        }
        json::keep_last(&mut members);
        for (key, value) in members {
            let place = match self.places.get(&*key) {
                Some(place) => *place,
                None if self.names.len() >= MAX_FIELDS => {
                    self.beyond = true;
                    continue;
                }
                None => {
                    self.places.insert(key.to_string(), self.names.len());
                    self.names.push((key.into_owned(), Shape::Nothing));
                    self.names.len() - 1
                }
            };
            if let Some((_, shape)) = self.names.get_mut(place) {
                shape.see(value);
            }
        }
        true
    }

    /// Returns the fields that have a type; `depth` levels remain.
    fn fields(self, path: &str, depth: usize, left_out: &mut Vec<String>) -> Vec<Field> {
        let mut fields: Vec<Field> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for (name, shape) in self.names {
            let path = join(path, &name);
            let kind = match shape.kind(&path, depth, left_out) {
                Some(kind) if !name.is_empty() && seen.insert(name.to_lowercase()) => kind,
                _ => {
                    left_out.push(path);
                    continue;
                }
            };
            fields.push(Field::new(name, kind));
        }
        if self.beyond {
            left_out.push(join(path, "…"));
        }
        fields
    }
}

impl Shape {
    /// Takes in the JSON value `text`.
    fn see(&mut self, text: &str) {
        match text.as_bytes().first() {
            Some(b'n') => {}
            Some(b'{') => {
                if let Self::Nothing = self {
                    *self = Self::Object(Object::default());
                }
                let taken = if let Self::Object(object) = self { object.see(text) } else { false };
                if !taken {
                    *self = Self::String;
                }
            }
            Some(b'[') => {
                if let Self::Nothing = self {
                    *self = Self::Array(Box::default());
                }
                let taken = if let Self::Array(element) = self {
                    json::elements(text, |value| element.see(value)).is_ok()
                } else {
                    false
                };
                if !taken {
                    *self = Self::String;
                }
            }
            Some(b't' | b'f') => self.meet(Self::Boolean),
            Some(b'"') => self.meet(Self::String),
            _ => self.meet(number(text)),
        }
    }

    /// Makes room for values of one more plain kind.
    fn meet(&mut self, other: Self) {
        let merged = match (&*self, other) {
            (Self::Nothing, other) => other,
            (Self::Boolean, Self::Boolean) => Self::Boolean,
            (Self::Long, Self::Long) => Self::Long,
            (Self::Long | Self::Decimal, Self::Long | Self::Decimal) => Self::Decimal,
            (Self::Long | Self::Decimal | Self::Double, Self::Long | Self::Decimal | Self::Double) => Self::Double,
            _ => Self::String,
        };
        *self = merged;
    }

    fn kind(self, path: &str, depth: usize, left_out: &mut Vec<String>) -> Option<Type> {
        let depth = depth.checked_sub(1)?;
        match self {
            Self::Nothing => None,
            Self::Boolean => Some(Type::Boolean),
            Self::Long => Some(Type::Long),
            Self::Decimal => Some(Type::Decimal { precision: 38, scale: 0 }),
            Self::Double => Some(Type::Double),
            Self::String => Some(Type::String),
            Self::Timestamp => Some(Type::Timestamp),
            Self::Object(object) => {
                let fields = object.fields(path, depth, left_out);
                (!fields.is_empty()).then_some(Type::Struct(fields))
            }
            Self::Array(element) => {
                let element = element.kind(&join(path, "element"), depth, left_out)?;
                Some(Type::Array(Box::new(element)))
            }
        }
    }
}

/// Returns what the JSON number `text` is.
fn number(text: &str) -> Shape {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        Shape::Double
    } else if text.parse::<i64>().is_ok() {
        Shape::Long
    } else if digits.len() <= 38 {
        Shape::Decimal
    } else {
        Shape::String
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inferred(records: &[&str]) -> Inferred {
        infer(records.iter().map(|record| record.as_bytes()), "at", &["year".into()])
    }

    fn kinds(records: &[&str]) -> Vec<(String, Type)> {
        inferred(records).schema.fields().iter().map(|field| (field.name.clone(), field.kind.clone())).collect()
    }

    fn kind(values: &[&str]) -> Option<Type> {
        let records: Vec<String> = values.iter().map(|value| format!(r#"{{"a":{value}}}"#)).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        kinds(&records).into_iter().find(|(name, _)| name == "a").map(|(_, kind)| kind)
    }

    #[test]
    fn fields_stand_in_the_order_in_which_they_were_first_seen() {
        let fields = kinds(&[r#"{"b":null,"a":1,"at":"x"}"#, r#"{"c":"2026-01-01","b":true}"#]);
        let expected = [("b", Type::Boolean), ("a", Type::Long), ("at", Type::Timestamp), ("c", Type::String)];
        assert_eq!(fields, expected.map(|(name, kind)| (name.to_owned(), kind)));
    }

    #[test]
    fn numbers_become_the_narrowest_type_that_keeps_them() {
        let decimal = Type::Decimal { precision: 38, scale: 0 };
        assert_eq!(kind(&["1", "-9223372036854775808"]), Some(Type::Long));
        assert_eq!(kind(&["1", "9223372036854775808"]), Some(decimal));
        assert_eq!(kind(&["1", "1.0"]), Some(Type::Double));
        assert_eq!(kind(&["1e3"]), Some(Type::Double));
        assert_eq!(kind(&[&"9".repeat(39)]), Some(Type::String));
    }

    #[test]
    fn values_of_different_kinds_make_a_string() {
        assert_eq!(kind(&["1", "\"1\""]), Some(Type::String));
        assert_eq!(kind(&["true", "1"]), Some(Type::String));
        assert_eq!(kind(&["{\"b\":1}", "[1]"]), Some(Type::String));
        assert_eq!(kind(&["[1]", "1", "[2]"]), Some(Type::String));
        assert_eq!(kind(&["\"x\"", "{\"b\":1}", "null"]), Some(Type::String));
    }

    #[test]
    fn objects_and_lists_are_merged() {
        let b = Type::Struct(vec![Field::new("b", Type::Long), Field::new("c", Type::Array(Box::new(Type::Double)))]);
        assert_eq!(kind(&[r#"{"b":1,"c":[]}"#, r#"{"c":[1,2.5],"d":null}"#]), Some(b.clone()));
        assert_eq!(kind(&[r#"[{"b":1},{"c":[0.5]}]"#]), Some(Type::Array(Box::new(b))));
    }

    #[test]
    fn what_cannot_be_a_column_is_left_out() {
        for empty in ["null", "[]", "{}", "[[],null]", "[{}]", r#"{"b":null}"#] {
            assert_eq!(kind(&[empty]), None, "{empty}");
        }
        let seen = inferred(&[
            r#"{"Year":1,"_extra":1,"_KAFKA_offset":2,"x":1,"X":2,"":3,"AT":1,"n":null,"s":{"b":1,"B":2}}"#,
        ]);
        let names: Vec<_> = seen.schema.fields().iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["x", "s", "at"]);
        assert_eq!(seen.left_out, ["AT", "Year", "_extra", "_KAFKA_offset", "X", "", "n", "s.B"]);
        assert_eq!(Schema::from_json(&seen.schema.to_json()).unwrap(), seen.schema);
    }

    #[test]
    fn bad_records_tell_nothing() {
        let seen = inferred(&["", "[1]", r#"{"a":1"#, r#"{"a":"x"}"#, "{} x", "\u{feff}{}"]);
        assert_eq!((seen.records_used, seen.records_skipped), (1, 5));
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(inferred(&[&deep]).records_skipped, 1);
    }

    #[test]
    fn types_that_would_nest_too_deep_are_left_out() {
        let nested = |levels| format!(r#"{{"a":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert_eq!(inferred(&[&nested(MAX_DEPTH - 1)]).left_out, [""; 0]);
        assert_eq!(inferred(&[&nested(MAX_DEPTH)]).left_out, ["a"]);
    }
}
