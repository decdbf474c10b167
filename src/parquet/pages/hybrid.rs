//! Parquet's hybrid of run lengths and bit packing: for levels, and for places in a dictionary.

/// From this many equal values on a run is told by its length; shorter ones are packed, eight values at a time.
const LEAST_RUN: usize = 16;

/// Appends `values`, each below `2^width`.
pub(super) fn encode(values: &[u32], width: u8, out: &mut Vec<u8>) {
    let (mut packed, mut at) = (0, 0);
    while let Some(&value) = values.get(at) {
        let run = values[at..].iter().take_while(|other| **other == value).count();
        // What is packed before a run must fill its groups of eight.
        let missing = (packed..at).len().next_multiple_of(8) - (packed..at).len();
        if run >= missing + LEAST_RUN {
            pack(&values[packed..at + missing], width, out);
            push_run(value, run - missing, width, out);
            packed = at + run;
        }
        at += run;
    }
    pack(&values[packed..], width, out);
}

/// Appends one run of `count` times `value`.
pub(super) fn push_run(value: u32, count: usize, width: u8, out: &mut Vec<u8>) {
    push_varint(count << 1, out);
    let bytes = value.to_le_bytes();
    out.extend_from_slice(bytes.get(..usize::from(width.div_ceil(8))).unwrap_or(&bytes));
}

/// Appends packed values; the last group of eight is filled with zeros.
fn pack(values: &[u32], width: u8, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    push_varint((values.len().div_ceil(8) << 1) | 1, out);
    let (mut bits, mut filled) = (0_u64, 0_u8);
    let zeros = values.len().next_multiple_of(8) - values.len();
    for value in values.iter().copied().chain(std::iter::repeat_n(0, zeros)) {
        bits |= u64::from(value) << filled;
        filled += width;
        if filled >= 32 {
            let [a, b, c, d, ..] = bits.to_le_bytes();
            out.extend_from_slice(&[a, b, c, d]);
            bits >>= 32;
            filled -= 32;
        }
    }
    // Eight values fill whole bytes.
    out.extend_from_slice(&bits.to_le_bytes()[..usize::from(filled / 8)]);
}

fn push_varint(mut number: usize, out: &mut Vec<u8>) {
    loop {
        let low = number.to_le_bytes()[0] & 0x7f;
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Returns the bits that numbers up to `greatest` take.
pub(super) fn width_of(greatest: usize) -> u8 {
    u8::try_from(usize::BITS - greatest.leading_zeros()).unwrap_or(32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(values: &[u32], width: u8) -> Vec<u8> {
        let mut out = Vec::new();
        encode(values, width, &mut out);
        out
    }

    /// Reads values back, by the words of the format.
    fn decoded(mut bytes: &[u8], width: u8, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while !bytes.is_empty() {
            let (mut header, mut shift) = (0_usize, 0);
            loop {
                let byte = bytes[0];
                bytes = &bytes[1..];
                header |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            if header & 1 == 0 {
                let (value, rest) = bytes.split_at(usize::from(width.div_ceil(8)));
                bytes = rest;
                let value = value.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
                values.extend(std::iter::repeat_n(value, header >> 1));
            } else {
                let (packed, rest) = bytes.split_at((header >> 1) * usize::from(width));
                bytes = rest;
                for i in 0..(header >> 1) * 8 {
                    let bit = |at: usize| u32::from(packed[at / 8] >> (at % 8) & 1);
                    let start = i * usize::from(width);
                    values.push((0..usize::from(width)).map(|b| bit(start + b) << b).sum());
                }
            }
        }
        values.truncate(count);
        values
    }

    #[test]
    fn the_example_of_the_format_is_packed_as_it_says() {
        assert_eq!(encoded(&[0, 1, 2, 3, 4, 5, 6, 7], 3), [3, 0b1000_1000, 0b1100_0110, 0b1111_1010]);
        assert_eq!(encoded(&[5; 100], 3), [200, 1, 5]);
        assert!(encoded(&[], 3).is_empty());
        assert_eq!((width_of(0), width_of(1), width_of(255), width_of(256)), (0, 1, 8, 9));
    }

    proptest! {
        #[test]
        fn values_come_back(runs in prop::collection::vec((0..2_000_000_u32, 1..40_usize), 0..20), narrow in any::<bool>()) {
            let values: Vec<u32> = runs.iter().flat_map(|(v, n)| std::iter::repeat_n(if narrow { v % 3 } else { *v }, *n)).collect();
            let width = width_of(values.iter().max().map_or(0, |greatest| *greatest as usize)).max(1);
            prop_assert_eq!(decoded(&encoded(&values, width), width, values.len()), values);
        }
    }
}
