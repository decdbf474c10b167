//! A stream of bits, which is decoded from its end.

/// A stream that is being written: what is added last is decoded first.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    bits: u64,
    filled: u32,
    at: usize,
    out: &'a mut Vec<u8>,
}

impl<'a> Bits<'a> {
    /// Begins a stream behind `out`, for no more than `most` bits.
    pub(super) fn behind(out: &'a mut Vec<u8>, most: usize) -> Self {
        let at = out.len();
        out.resize(at + most.div_ceil(8) + 2 * size_of::<u64>(), 0);
        Self { bits: 0, filled: 0, at, out }
    }

    /// Adds a number of `count` bits. No more than 56 may be added between two flushes.
    #[inline]
    pub(super) const fn add(&mut self, number: u64, count: u32) {
        self.bits |= number << self.filled;
        self.filled += count;
    }

    /// Writes what has been added, but for the bits of the last byte.
    #[inline]
    pub(super) fn flush(&mut self) {
        if let Some(to) = self.out.get_mut(self.at..).and_then(|out| out.first_chunk_mut()) {
            *to = self.bits.to_le_bytes();
        }
        self.at += self.filled as usize / 8;
        self.bits >>= self.filled & !7;
        self.filled %= 8;
    }

    /// Ends with a whole byte; `None` if more was added than was announced.
    pub(super) fn fill(mut self) -> Option<()> {
        self.filled = self.filled.next_multiple_of(8);
        self.flush();
        let is_whole = self.at + size_of::<u64>() <= self.out.len();
        self.out.truncate(self.at);
        is_whole.then_some(())
    }

    /// Ends with the bit behind which a decoder begins; `None` if more was added than was announced.
    pub(super) fn end(mut self) -> Option<()> {
        self.flush();
        self.add(1, 1);
        self.fill()
    }
}
