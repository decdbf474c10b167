//! Entropy codes of the Zstandard format for what sequences consist of (RFC 8878, 4.1): finite states, of which each says what comes next.
//!
//! What is decoded first is encoded last. A symbol has several states, the more the more often it is there; a step from the state of the
//! symbol behind it to one of its own takes as many bits as tell these apart.

use super::bits::Bits;

/// How many symbols there may be: kinds of lengths and distances.
const SYMBOLS: usize = 53;
/// How many states there are, as a power of two. The format knows 5 to 8 for all symbols.
const STATES_LOG: u32 = 6;
const STATES: u32 = 1 << STATES_LOG;
const LEAST_LOG: u32 = 5;

/// A code for symbols.
#[derive(Debug)]
pub(super) enum Code {
    /// There is one symbol, which takes no bits.
    One(u8),
    /// There are several.
    Several(Box<States>),
}

/// The states of symbols.
#[derive(Debug)]
pub(super) struct States {
    symbols: [Symbol; SYMBOLS],
    /// The numbers of the states, those of a symbol side by side.
    states: [u32; index(STATES)],
}

/// The states of one symbol.
#[derive(Debug, Clone, Copy, Default)]
struct Symbol {
    /// How many there are.
    share: u32,
    /// Where they begin.
    start: u32,
}

const fn index(number: u32) -> usize {
    number as usize
}

impl Code {
    /// Returns the code for these symbols, which are there so often; `None` if there is none.
    pub(super) fn of(symbols: impl Iterator<Item = (u8, u32)>) -> Option<Self> {
        let mut counts = [0_u32; SYMBOLS];
        for (symbol, count) in symbols {
            *counts.get_mut(usize::from(symbol))? += count;
        }
        let first = counts.iter().position(|count| *count > 0)?;
        let total = counts.iter().sum::<u32>();
        match counts[first] == total {
            true => u8::try_from(first).ok().map(Self::One),
            false => Some(Self::Several(Box::new(States::new(shares(&counts, total))))),
        }
    }

    /// Returns how the format names a code of this kind.
    pub(super) const fn mode(&self) -> u8 {
        match self {
            Self::One(_) => 1,
            Self::Several(_) => 2,
        }
    }

    /// Appends what tells a decoder the code.
    pub(super) fn describe(&self, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::One(symbol) => {
                out.push(*symbol);
                Some(())
            }
            Self::Several(states) => states.describe(out),
        }
    }

    /// Returns the state with which the last symbol is told.
    pub(super) fn last(&self, symbol: u8) -> State<'_> {
        match self {
            Self::One(_) => State { states: None, state: 0 },
            Self::Several(states) => State { states: Some(states), state: states.first(symbol) },
        }
    }
}

/// Returns how many states each symbol has.
fn shares(counts: &[u32; SYMBOLS], total: u32) -> [u32; SYMBOLS] {
    let share = |count: u32| match count {
        0 => 0,
        _ => ((count * STATES + total / 2) / total).max(1),
    };
    let mut shares = counts.map(share);
    // What is missing, or too much, is a small part of the largest share.
    loop {
        let sum = shares.iter().sum::<u32>();
        let Some(largest) = shares.iter_mut().max() else { return shares };
        match sum.cmp(&STATES) {
            std::cmp::Ordering::Less => *largest += 1,
            std::cmp::Ordering::Equal => return shares,
            std::cmp::Ordering::Greater => *largest -= 1,
        }
    }
}

impl States {
    fn new(shares: [u32; SYMBOLS]) -> Self {
        let mut symbols = [Symbol::default(); SYMBOLS];
        let mut start = 0;
        for (symbol, share) in symbols.iter_mut().zip(shares) {
            *symbol = Symbol { share, start };
            start += share;
        }
        // The format spreads the states of each symbol over all of them.
        let (mut at, mut owners) = (0, [0; index(STATES)]);
        for (symbol, share) in shares.iter().enumerate() {
            for _ in 0..*share {
                owners[index(at)] = symbol;
                at = (at + STATES / 2 + STATES / 8 + 3) % STATES;
            }
        }
        let (mut states, mut next) = ([0; index(STATES)], symbols.map(|symbol| symbol.start));
        for (number, symbol) in (STATES..).zip(owners) {
            states[index(next[symbol])] = number;
            next[symbol] += 1;
        }
        Self { symbols, states }
    }

    fn describe(&self, out: &mut Vec<u8>) -> Option<()> {
        let mut bits = Bits::behind(out, 4 + SYMBOLS * 16);
        bits.add(u64::from(STATES_LOG - LEAST_LOG), 4);
        // What may still come decides how many bits a share takes.
        let (mut left, mut threshold, mut width) = (STATES + 1, STATES, STATES_LOG + 1);
        let mut symbols = self.symbols.iter().map(|symbol| symbol.share).peekable();
        while left > 1
            && let Some(share) = symbols.next()
        {
            let most = 2 * threshold - 1 - left;
            left -= share;
            let told = share + 1;
            let (told, width_of_it) = match told {
                told if told < most => (told, width - 1),
                told if told >= threshold => (told + most, width),
                told => (told, width),
            };
            bits.add(u64::from(told), width_of_it);
            bits.flush();
            while left < threshold {
                width -= 1;
                threshold /= 2;
            }
            if share == 0 {
                // How many more have none, up to three at a time.
                let mut more = 0;
                while symbols.next_if_eq(&0).is_some() {
                    more += 1;
                    if more == 3 {
                        bits.add(more, 2);
                        bits.flush();
                        more = 0;
                    }
                }
                bits.add(more, 2);
            }
        }
        bits.fill()
    }

    fn symbol(&self, symbol: u8) -> Symbol {
        self.symbols.get(usize::from(symbol)).copied().unwrap_or_default()
    }

    fn first(&self, symbol: u8) -> u32 {
        self.states.get(index(self.symbol(symbol).start)).copied().unwrap_or(0)
    }

    /// Returns the state of `symbol` from which `state` is reached, and how many of the lowest bits of that tell it from others: no more
    /// than there are for all states.
    #[inline]
    fn before(&self, state: u32, symbol: u8) -> (u32, u32) {
        let Symbol { share, start } = self.symbol(symbol);
        // So many that what is left of the state is from the share to less than twice as much.
        let most = STATES_LOG - share.max(1).ilog2();
        let bits = most - u32::from(state < share << most);
        let place = start + (state >> bits) - share;
        (self.states.get(index(place)).copied().unwrap_or(0), bits)
    }
}

/// The state of a code after a symbol.
#[derive(Debug)]
pub(super) struct State<'a> {
    states: Option<&'a States>,
    state: u32,
}

impl State<'_> {
    /// Encodes the symbol before.
    #[inline]
    pub(super) fn add(&mut self, symbol: u8, bits: &mut Bits<'_>) {
        if let Some(states) = self.states {
            let (before, count) = states.before(self.state, symbol);
            bits.add(u64::from(self.state & ((1 << count) - 1)), count);
            self.state = before;
        }
    }

    /// Tells the decoder in which state to begin.
    pub(super) fn end(self, bits: &mut Bits<'_>) {
        if self.states.is_some() {
            bits.add(u64::from(self.state - STATES), STATES_LOG);
        }
    }
}
