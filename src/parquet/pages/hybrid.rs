//! Parquet's hybrid of run lengths and bit packing: for levels, and for places in a dictionary.

/// Values are packed, and looked at, so many at a time.
const GROUP: usize = 8;
/// From this many groups of one value on it is told by its length; fewer are packed.
const LEAST_RUN: usize = 2;

/// Appends `values`, each below `2^width`.
pub(super) fn encode(values: &[u32], width: u8, out: &mut Vec<u8>) {
    let (groups, rest) = values.as_chunks::<GROUP>();
    let (mut packed, mut at) = (0, 0);
    while let Some(group) = groups.get(at) {
        let [value, ..] = *group;
        let run = groups[at..].iter().take_while(|group| is_flat(group, value)).count();
        if run >= LEAST_RUN {
            let (start, mut end) = (at * GROUP, (at + run) * GROUP);
            if at + run == groups.len() && rest.iter().all(|other| *other == value) {
                // Only the last run may end within a group.
                end = values.len();
            }
            pack(&values[packed..start], width, out);
            push_run(value, end - start, width, out);
            packed = end;
        }
        at += run.max(1);
    }
    pack(&values[packed..], width, out);
}

/// Whether a group is nothing but `value`.
fn is_flat(group: &[u32; GROUP], value: u32) -> bool {
    // Without an early end, so that all are compared together.
    group.iter().fold(0, |differs, other| differs | (other ^ value)) == 0
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
    let groups = values.len().div_ceil(GROUP);
    push_varint((groups << 1) | 1, out);
    out.reserve(groups * usize::from(width));
    let (whole, rest) = values.as_chunks::<GROUP>();
    for group in whole {
        pack_group(group, width, out);
    }
    if !rest.is_empty() {
        let mut group = [0; GROUP];
        group[..rest.len()].copy_from_slice(rest);
        pack_group(&group, width, out);
    }
}

/// Appends eight values, which take `width` bytes.
fn pack_group(group: &[u32; GROUP], width: u8, out: &mut Vec<u8>) {
    let (low, high) = group.split_at(GROUP / 2);
    if width <= 16 {
        // Four values fit into a register.
        let bits = |half: &[u32]| half.iter().rev().fold(0_u64, |bits, value| bits << width | u64::from(*value));
        let bits = u128::from(bits(low)) | u128::from(bits(high)) << (4 * width);
        return out.extend_from_slice(&bits.to_le_bytes()[..usize::from(width)]);
    }
    let (mut bits, mut filled) = (0_u64, 0_u8);
    for value in group {
        bits |= u64::from(*value) << filled;
        filled += width;
        if filled >= 32 {
            let [a, b, c, d, ..] = bits.to_le_bytes();
            out.extend_from_slice(&[a, b, c, d]);
            bits >>= 32;
            filled -= 32;
        }
    }
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
