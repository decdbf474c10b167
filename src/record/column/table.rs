//! From a text to its key in a dictionary.
//!
//! A table of its own, since many texts are looked up at once: what their lookups touch in memory is fetched together, while a general
//! table would wait for each in turn.

use std::hash::{BuildHasher, Hasher as _};
use std::hint::black_box;

use foldhash::fast::RandomState;

use super::flat::Bytes;
use crate::record::compare::equal;

/// A table of as many slots or fewer stays in the processor's nearest cache: nothing is gained by fetching it first.
const NEAR: usize = 256;
/// How many slots a table begins with.
const FIRST_SLOTS: usize = 64;

/// The place of a text, found by its hash: slots are tried one after the other, and at least a quarter of them is free.
#[derive(Debug)]
pub(crate) struct Table {
    slots: Vec<Slot>,
    used: usize,
    // Keys do not depend on the hashes, which nobody outside can foresee.
    hasher: RandomState,
}

/// Where a text of the dictionary is, beside its key and a part of its hash: a lookup touches the fewest places in memory.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: u32,
    /// The key, plus 1; 0 in a free slot.
    key: u32,
    start: u32,
    length: u32,
}

impl Slot {
    #[inline]
    fn text(self, bytes: &[u8]) -> &[u8] {
        let start = index(self.start);
        bytes.get(start..start + index(self.length)).unwrap_or_default()
    }
}

impl Table {
    pub(in crate::record) fn new() -> Self {
        Self { slots: Vec::new(), used: 0, hasher: RandomState::default() }
    }

    #[inline]
    pub(in crate::record) fn hash(&self, text: &[u8]) -> u64 {
        // Texts of different lengths are told apart by the comparison.
        let mut hasher = self.hasher.build_hasher();
        hasher.write(text);
        hasher.finish()
    }

    /// Fetches what looking these hashes up will touch: all of it at once, since no look waits for another.
    #[inline]
    pub(super) fn touch(&self, hashes: &[u64], bytes: &[u8]) {
        if self.slots.len() <= NEAR {
            return;
        }
        let mut touched = 0;
        for hash in hashes {
            let slot = self.slots.get(self.first(*hash)).copied().unwrap_or_default();
            touched ^= bytes.get(index(slot.start)).copied().unwrap_or_default();
        }
        black_box(touched);
    }

    /// Returns the key of a text, if it is among `texts`.
    #[inline]
    pub(in crate::record) fn find(&self, hash: u64, text: &[u8], texts: &Bytes) -> Option<u32> {
        let short = short(hash);
        let mut at = self.first(hash);
        while let Some(slot) = self.slots.get(at).filter(|slot| slot.key != 0) {
            if slot.hash == short && equal(slot.text(texts.all()), text) {
                return Some(slot.key - 1);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        None
    }

    /// Returns the key of a text, which is the number of `texts` before if it is new; `None` if there is no room for it.
    #[inline]
    pub(super) fn intern(&mut self, hash: u64, text: &[u8], texts: &mut Bytes) -> Option<u32> {
        if let Some(key) = self.find(hash, text, texts) {
            return Some(key);
        }
        let key = u32::try_from(texts.len()).ok()?;
        self.add(hash, text, key, texts).then_some(key)
    }

    /// Adds a text that is not among `texts`, with this key; `false`, and nothing added, if there is no room for it.
    #[cold]
    pub(in crate::record) fn add(&mut self, hash: u64, text: &[u8], key: u32, texts: &mut Bytes) -> bool {
        let (start, length) = (u32::try_from(texts.all().len()), u32::try_from(text.len()));
        let (Some(key), Ok(start), Ok(length)) = (key.checked_add(1), start, length) else { return false };
        if !texts.push(text) {
            return false;
        }
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.grow(texts.all());
        }
        self.put(hash, Slot { hash: short(hash), key, start, length });
        self.used += 1;
        true
    }

    fn grow(&mut self, bytes: &[u8]) {
        let room = (self.slots.len() * 2).max(FIRST_SLOTS);
        let slots = std::mem::replace(&mut self.slots, vec![Slot::default(); room]);
        for slot in slots.into_iter().filter(|slot| slot.key != 0) {
            self.put(self.hash(slot.text(bytes)), slot);
        }
    }

    fn put(&mut self, hash: u64, new: Slot) {
        let mut at = self.first(hash);
        while self.slots.get(at).is_some_and(|slot| slot.key != 0) {
            at = (at + 1) & (self.slots.len() - 1);
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = new;
        }
    }

    /// Returns the slot that is tried first; any number while there is none.
    #[inline]
    fn first(&self, hash: u64) -> usize {
        // The lower half; the upper is kept in the slot.
        index(u32::try_from(hash & u64::from(u32::MAX)).unwrap_or(0)) & self.slots.len().wrapping_sub(1)
    }

    pub(in crate::record) const fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }
}

/// Returns the half of a hash that a slot keeps.
#[inline]
fn short(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(0)
}

#[inline]
fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_has_one_key_however_the_table_grows() {
        let (mut table, mut texts) = (Table::new(), Bytes::new());
        let text = |number: u32| format!("text {number}").into_bytes();
        for round in 0..3 {
            for number in 0..3 * u32::try_from(NEAR).unwrap() {
                let text = text(number);
                let hash = table.hash(&text);
                table.touch(&[hash], texts.all());
                assert_eq!(table.intern(hash, &text, &mut texts), Some(number), "round {round}");
            }
        }
    }

    #[test]
    fn texts_of_one_hash_are_told_apart() {
        let (mut table, mut texts) = (Table::new(), Bytes::new());
        for round in 0..2 {
            for (key, text) in [&b""[..], b"a", b"b", b"aa"].into_iter().enumerate() {
                assert_eq!(table.intern(7, text, &mut texts), u32::try_from(key).ok(), "round {round}");
            }
        }
    }
}
