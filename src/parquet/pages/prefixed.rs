//! Texts compared by their first eight bytes first, as one number: most differ there.

/// A text, and the number for its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Prefixed<'a> {
    prefix: u64,
    text: &'a [u8],
}

impl<'a> Prefixed<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { prefix: prefix_of(text), text }
    }
}

/// Returns the number for the first bytes of a text: a text with a lesser number is less.
#[inline]
fn prefix_of(text: &[u8]) -> u64 {
    if let Some(first) = text.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    // Zeros behind a short text are below every other byte; texts that differ in them alone are compared whole.
    let mut prefix = [0; 8];
    prefix[..text.len()].copy_from_slice(text);
    u64::from_be_bytes(prefix)
}

/// The least and the greatest of some texts. Most are neither, as their first bytes tell.
#[derive(Debug)]
pub(super) struct Extremes<'a> {
    min_prefix: u64,
    max_prefix: u64,
    found: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> Extremes<'a> {
    pub(super) const fn new() -> Self {
        Self { min_prefix: u64::MAX, max_prefix: 0, found: None }
    }

    #[inline]
    pub(super) fn add(&mut self, text: &'a [u8]) {
        let prefix = prefix_of(text);
        // (Pairs that are compared and moved go through memory, and wait for it.)
        if prefix <= self.min_prefix || prefix >= self.max_prefix {
            self.compare(text);
        }
    }

    fn compare(&mut self, text: &'a [u8]) {
        let (min, max) = self.found.map_or((text, text), |(min, max)| (min.min(text), max.max(text)));
        (self.min_prefix, self.max_prefix) = (prefix_of(min), prefix_of(max));
        self.found = Some((min, max));
    }

    /// Returns both, if there was a text.
    pub(super) const fn found(&self) -> Option<(&'a [u8], &'a [u8])> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(prop_oneof![Just(0), Just(b'a'), Just(u8::MAX)], 0..12),
            prop::collection::vec(any::<u8>(), 0..20),
        ]
    }

    proptest! {
        #[test]
        fn texts_stand_in_their_own_order(a in text(), b in text()) {
            prop_assert_eq!(Prefixed::new(&a).cmp(&Prefixed::new(&b)), a.cmp(&b));
        }

        #[test]
        fn the_least_and_the_greatest_are_found(texts in prop::collection::vec(text(), 0..30)) {
            let mut extremes = Extremes::new();
            texts.iter().for_each(|text| extremes.add(text));
            let least = texts.iter().min().map(Vec::as_slice);
            prop_assert_eq!(extremes.found(), least.zip(texts.iter().max().map(Vec::as_slice)));
        }
    }
}
