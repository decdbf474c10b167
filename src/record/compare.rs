//! Short texts compared without a call.

/// Whether two texts are equal. For short ones calling `memcmp` takes longer than comparing.
#[inline]
pub(super) fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && match a.len() {
            16.. => {
                // (Slices of arrays would be compared by `memcmp`.)
                let mut wholes = a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0);
                wholes.all(|(a, b)| a == b) && a.last_chunk::<16>() == b.last_chunk::<16>()
            }
            8..16 => a.first_chunk::<8>() == b.first_chunk::<8>() && a.last_chunk::<8>() == b.last_chunk::<8>(),
            4..8 => a.first_chunk::<4>() == b.first_chunk::<4>() && a.last_chunk::<4>() == b.last_chunk::<4>(),
            0..4 => a.iter().zip(b).all(|(a, b)| a == b),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_differ_in_one_byte_are_not_equal() {
        let text: Vec<u8> = (0..40).collect();
        for length in 0..text.len() {
            let same = text[..length].to_vec();
            assert!(equal(&text[..length], &same));
            assert!(!equal(&text[..length], &text[..length + 1]));
            for at in 0..length {
                let mut other = same.clone();
                other[at] ^= 1;
                assert!(!equal(&text[..length], &other), "byte {at} of {length}");
            }
        }
    }
}
