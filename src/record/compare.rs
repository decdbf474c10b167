//! Short texts compared without a call.

/// Whether two texts are equal. For short ones calling `memcmp` takes longer than comparing.
#[inline]
pub(super) fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if let (Some(head), Some(tail)) = (words::<8>(a, b), last_words::<8>(a, b)) {
        // The two overlap in texts of less than sixteen bytes.
        return head && tail && (a.len() <= 16 || a[8..a.len() - 8] == b[8..b.len() - 8]);
    }
    match (words::<4>(a, b), last_words::<4>(a, b)) {
        (Some(head), Some(tail)) => head && tail,
        _ => a.iter().zip(b).all(|(a, b)| a == b),
    }
}

/// Whether the first `N` bytes are equal; `None` if there are fewer.
#[inline]
fn words<const N: usize>(a: &[u8], b: &[u8]) -> Option<bool> {
    Some(a.first_chunk::<N>()? == b.first_chunk::<N>()?)
}

/// Whether the last `N` bytes are equal; `None` if there are fewer.
#[inline]
fn last_words<const N: usize>(a: &[u8], b: &[u8]) -> Option<bool> {
    Some(a.last_chunk::<N>()? == b.last_chunk::<N>()?)
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
