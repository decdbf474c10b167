//! One JSON value into one column: does it fit, and what of it must be kept elsewhere?

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::column::{Array, Column, Map, Struct};
use super::json;
use super::number::{Decimal, double, float};
use super::timestamp::{TimestampParser, parse_date};

/// What became of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// The column holds all of it.
    Whole,
    /// The column holds what its type knows; the rest is this JSON text.
    Beside(String),
    /// It does not fit. The column may hold a part of a row, which the caller must cut off.
    Misfit,
}

impl Fit {
    const fn of(fits: bool) -> Self {
        if fits { Self::Whole } else { Self::Misfit }
    }
}

/// JSON text to be kept, under a key.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    /// Where the value began in the record: kept values stay in the order of appearance.
    pub(super) position: usize,
    pub(super) key: Cow<'a, str>,
    pub(super) text: Cow<'a, str>,
}

/// Returns `kept` as one JSON object.
pub(super) fn object_text(mut kept: Vec<Kept<'_>>) -> String {
    kept.sort_by_key(|kept| kept.position);
    let mut out = String::from("{");
    for (place, Kept { key, text, .. }) in kept.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        json::push_string(&mut out, key);
        out.push(':');
        out.push_str(text);
    }
    out.push('}');
    out
}

/// Adds the JSON value `raw` to `column` as one row.
pub(super) fn put(column: &mut Column, raw: &str, times: &TimestampParser) -> Fit {
    if raw == "null" {
        column.push_null();
        return Fit::Whole;
    }
    match column {
        Column::Text(texts) => Fit::of(json::string(raw).is_some_and(|text| texts.push(text.as_bytes()))),
        Column::String(texts) => Fit::of(json::string(raw).is_some_and(|text| texts.push(text.as_bytes()))),
        Column::Binary(inner) => {
            let bytes = json::string(raw).and_then(|text| STANDARD.decode(text.as_bytes()).ok());
            Fit::of(bytes.is_some_and(|bytes| inner.push(&bytes)))
        }
        Column::Boolean(inner) => push(raw.parse().ok(), |value| inner.push(value)),
        Column::Byte(inner) => push(raw.parse().ok(), |value| inner.push(value)),
        Column::Short(inner) => push(raw.parse().ok(), |value| inner.push(value)),
        Column::Integer(inner) => push(raw.parse().ok(), |value| inner.push(value)),
        Column::Long(inner) => push(raw.parse().ok(), |value| inner.push(value)),
        Column::Float(inner) => push(float(raw), |value| inner.push(value)),
        Column::Double(inner) => push(double(raw), |value| inner.push(value)),
        Column::Decimal(inner, precision, scale) => {
            let value = Decimal::parse(raw).and_then(|value| value.scaled(*precision, *scale));
            push(value, |value| inner.push(value))
        }
        Column::Date(inner) => push(json::string(raw).and_then(|text| parse_date(&text)), |value| inner.push(value)),
        Column::Timestamp(inner) => push(times.parse_json(raw).ok(), |time| inner.push(time.0)),
        Column::Struct(inner) => put_struct(inner, raw, times),
        Column::Array(inner) => put_array(inner, raw, times),
        Column::Map(inner) => put_map(inner, raw, times),
    }
}

fn push<T>(value: Option<T>, push: impl FnOnce(T)) -> Fit {
    Fit::of(value.map(push).is_some())
}

fn put_struct(column: &mut Struct, raw: &str, times: &TimestampParser) -> Fit {
    let mut slots = vec![None; column.lookup.len()];
    let (mut unknown, mut expected) = (Vec::new(), 0);
    let read = json::members(raw, |key, value| match column.lookup.find(&key, expected) {
        Some(place) => {
            expected = place + 1;
            if let Some(slot) = slots.get_mut(place) {
                *slot = Some(value);
            }
        }
        None => unknown.push((key, value)),
    });
    if read.is_err() {
        return Fit::Misfit;
    }
    column.end_row(); // Should a child misfit, the caller cuts this off again.
    let mut kept = Vec::new();
    for (place, (child, slot)) in column.children.iter_mut().zip(slots).enumerate() {
        let Some(value) = slot else {
            child.push_null();
            continue;
        };
        match put(child, value, times) {
            Fit::Whole => {}
            Fit::Misfit => return Fit::Misfit,
            Fit::Beside(text) => kept.push(Kept {
                position: value.as_ptr().addr(),
                key: Cow::Borrowed(column.lookup.name(place)),
                text: Cow::Owned(text),
            }),
        }
    }
    json::keep_last(&mut unknown);
    kept.extend(unknown.into_iter().map(|(key, value)| Kept {
        position: value.as_ptr().addr(),
        key,
        text: Cow::Borrowed(value),
    }));
    beside(kept)
}

fn put_array(column: &mut Array, raw: &str, times: &TimestampParser) -> Fit {
    let mut values = Vec::new();
    if json::elements(raw, |value| values.push(value)).is_err() {
        return Fit::Misfit;
    }
    let mut kept = Vec::new();
    for (place, value) in values.iter().enumerate() {
        match put(&mut column.element, value, times) {
            Fit::Whole => {}
            Fit::Misfit => return Fit::Misfit,
            Fit::Beside(text) => kept.push((place, text)),
        }
    }
    if !column.end_row() {
        return Fit::Misfit;
    }
    if kept.is_empty() {
        return Fit::Whole;
    }
    let mut elements = vec!["null"; values.len()];
    for (place, text) in &kept {
        if let Some(element) = elements.get_mut(*place) {
            *element = text;
        }
    }
    Fit::Beside(format!("[{}]", elements.join(",")))
}

fn put_map(column: &mut Map, raw: &str, times: &TimestampParser) -> Fit {
    let mut entries = Vec::new();
    if json::members(raw, |key, value| entries.push((key, value))).is_err() {
        return Fit::Misfit;
    }
    json::keep_last(&mut entries);
    let mut kept = Vec::new();
    for (key, value) in entries {
        if !column.keys.push(key.as_bytes()) {
            return Fit::Misfit;
        }
        match put(&mut column.values, value, times) {
            Fit::Whole => {}
            Fit::Misfit => return Fit::Misfit,
            Fit::Beside(text) => kept.push(Kept { position: value.as_ptr().addr(), key, text: Cow::Owned(text) }),
        }
    }
    if column.end_row() { beside(kept) } else { Fit::Misfit }
}

fn beside(kept: Vec<Kept<'_>>) -> Fit {
    if kept.is_empty() { Fit::Whole } else { Fit::Beside(object_text(kept)) }
}
