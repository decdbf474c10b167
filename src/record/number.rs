//! JSON numbers to the last digit.
//!
//! The text of a number is taken as it stands; nothing passes through floating point on its way to an exact column.

/// A number as `sign · mantissa · 10^exponent`, the mantissa without trailing zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    mantissa: i128,
    exponent: i64,
}

impl Decimal {
    /// Reads a number in JSON's syntax (leading zeros allowed); `None` if it is none or has more than 38 digits that count.
    ///
    /// An exponent beyond all reason is held at a bound that no column reaches.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (number, power) = match unsigned.split_once(['e', 'E']) {
            Some((number, power)) => (number, read_power(power)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match number.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (number, ""),
        };
        if whole.is_empty() {
            return None;
        }
        let (mut mantissa, mut zeros) = (0_i128, 0_u32);
        for byte in whole.bytes().chain(fraction.bytes()) {
            match byte {
                b'0' => zeros += u32::from(mantissa != 0),
                b'1'..=b'9' => {
                    let shift = 10_i128.checked_pow(zeros + 1)?;
                    mantissa = mantissa.checked_mul(shift)?.checked_add(i128::from(byte - b'0'))?;
                    zeros = 0;
                }
                _ => return None,
            }
        }
        let exponent = power - i64::try_from(fraction.len()).ok()? + i64::from(zeros);
        Some(Self { mantissa: if negative { -mantissa } else { mantissa }, exponent })
    }

    /// Returns the number times `10^scale` if that is a whole number below `10^precision`, sign aside.
    pub(crate) fn scaled(self, precision: u8, scale: u8) -> Option<i128> {
        if self.mantissa == 0 {
            return Some(0);
        }
        let shift = u32::try_from(self.exponent + i64::from(scale)).ok()?;
        let scaled = self.mantissa.checked_mul(10_i128.checked_pow(shift)?)?;
        let bound = 10_u128.checked_pow(u32::from(precision))?;
        (scaled.unsigned_abs() < bound).then_some(scaled)
    }

    /// Returns the greatest whole number at most this number times `10^power`; `None` if it is too great for 128 bits.
    pub(crate) fn floor_scaled(self, power: i32) -> Option<i128> {
        if self.mantissa == 0 {
            return Some(0);
        }
        let shift = self.exponent + i64::from(power);
        let factor = u32::try_from(shift.unsigned_abs()).ok().and_then(|digits| 10_i128.checked_pow(digits));
        match factor {
            Some(factor) if shift >= 0 => self.mantissa.checked_mul(factor),
            Some(factor) => Some(self.mantissa.div_euclid(factor)),
            None if shift >= 0 => None,
            None => Some(if self.mantissa < 0 { -1 } else { 0 }),
        }
    }
}

/// Reads the power behind an `e`, held within a billion either way.
fn read_power(text: &str) -> Option<i64> {
    const BOUND: i64 = 1_000_000_000;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse().unwrap_or(BOUND).min(BOUND);
    Some(if text.starts_with('-') { -size } else { size })
}

/// Returns the nearest 64-bit floating point number of a JSON number.
///
/// `None` if it is too great, or written as a whole number that floating point cannot hold to the last digit.
pub(crate) fn double(text: &str) -> Option<f64> {
    let value: f64 = numeric(text)?.parse().ok()?;
    (value.is_finite() && (text.len() < 16 || keeps_whole(text, value))).then_some(value)
}

/// Returns the nearest 32-bit floating point number of a JSON number, under the rules of [`double`].
pub(crate) fn float(text: &str) -> Option<f32> {
    let value: f32 = numeric(text)?.parse().ok()?;
    (value.is_finite() && (text.len() < 8 || keeps_whole(text, f64::from(value)))).then_some(value)
}

/// Returns `text` if it begins as a JSON number does, which keeps `inf` and `nan` out.
pub(crate) fn numeric(text: &str) -> Option<&str> {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit()).then_some(text)
}

/// Whether `value` is exactly what `text` says, if `text` is written as a whole number.
fn keeps_whole(text: &str, value: f64) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.bytes().all(|byte| byte.is_ascii_digit()) || format!("{:.0}", value.abs()) == digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(text: &str, precision: u8, scale: u8) -> Option<i128> {
        Decimal::parse(text)?.scaled(precision, scale)
    }

    #[test]
    fn decimals_are_exact_or_do_not_fit() {
        assert_eq!(scaled("0.1", 5, 0), None);
        assert_eq!(scaled("12.340", 4, 2), Some(1234));
        assert_eq!(scaled("12.345", 4, 2), None);
        assert_eq!(scaled("-1.5e3", 4, 0), Some(-1500));
        assert_eq!(scaled("1e4", 4, 0), None);
        assert_eq!(scaled("-0.00", 1, 0), Some(0));
        assert_eq!(scaled("0e999999999999999999999", 1, 0), Some(0));
        assert_eq!(scaled("1e999999999999999999999", 38, 0), None);
    }

    #[test]
    fn thirty_eight_digits_survive_and_thirty_nine_do_not_fit() {
        let digits = "99999999999999999999999999999999999999";
        assert_eq!(scaled(digits, 38, 0), Some(99_999_999_999_999_999_999_999_999_999_999_999_999));
        assert_eq!(scaled(&format!("{digits}9"), 38, 0), None);
        assert_eq!(scaled(&format!("{digits}.000"), 38, 0).map(|n| n.to_string()).as_deref(), Some(digits));
        assert_eq!(scaled(&format!("0.{digits}"), 38, 38).map(|n| n.to_string()).as_deref(), Some(digits));
    }

    #[test]
    fn a_number_of_a_million_zeros_is_quick_and_exact() {
        let text = format!("1{}", "0".repeat(1_000_000));
        assert_eq!(scaled(&text, 38, 0), None);
        assert_eq!(scaled(&format!("{text}e-1000000"), 38, 0), Some(1));
    }

    #[test]
    fn whole_numbers_that_floating_point_would_change_do_not_fit_it() {
        assert_eq!(double("9007199254740992"), Some(9_007_199_254_740_992.0));
        assert_eq!(double("9007199254740993"), None);
        assert_eq!(double("-9007199254740993"), None);
        assert_eq!(double("0.1000000000000000055511151231257827"), Some(0.1));
        assert_eq!(double("1e400"), None);
        assert_eq!(float("16777217"), None);
        assert_eq!(float("1e39"), None);
        assert_eq!(float("0.1"), Some(0.1));
    }
}
