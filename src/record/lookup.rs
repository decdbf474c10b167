//! From a key to the place of its field.

use std::collections::HashMap;

/// The names of the fields of a record or struct, and where each is.
#[derive(Debug, Clone)]
pub(crate) struct Lookup {
    names: Vec<Box<str>>,
    places: HashMap<Box<str>, usize>,
}

impl Lookup {
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<Box<str>> = names.map(Box::from).collect();
        let places = names.iter().cloned().enumerate().map(|(place, name)| (name, place)).collect();
        Self { names, places }
    }

    /// Returns the place of `key`; `expected` is tried first, since most events have their keys in the same order.
    pub(crate) fn find(&self, key: &str, expected: usize) -> Option<usize> {
        match self.names.get(expected) {
            Some(name) if **name == *key => Some(expected),
            _ => self.places.get(key).copied(),
        }
    }

    pub(crate) fn name(&self, place: usize) -> &str {
        self.names.get(place).map_or("", |name| name)
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}
