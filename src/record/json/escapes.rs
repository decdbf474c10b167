//! What a JSON string with escapes says, with one allocation: serde_json would grow two buffers for it.
//!
//! Events from Python have an escape for every letter beyond ASCII, so this is no rare path.

/// Returns what the inside of a sound JSON string says, or `None` if it says half a surrogate pair.
pub(super) fn unescape(inside: &str) -> Option<String> {
    let mut out = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((before, escape)) = rest.split_once('\\') {
        out.push_str(before);
        let (char, behind) = read(escape)?;
        out.push(char);
        rest = behind;
    }
    out.push_str(rest);
    Some(out)
}

/// Reads one escape, behind its backslash; returns its character and what follows.
fn read(escape: &str) -> Option<(char, &str)> {
    let (kind, rest) = escape.split_at_checked(1)?;
    let char = match kind {
        "\"" => '"',
        "\\" => '\\',
        "/" => '/',
        "b" => '\u{8}',
        "f" => '\u{c}',
        "n" => '\n',
        "r" => '\r',
        "t" => '\t',
        "u" => return unicode(rest),
        _ => return None,
    };
    Some((char, rest))
}

/// Reads the digits of `\uXXXX`, and the second half of the pair if it is the first of one.
fn unicode(digits: &str) -> Option<(char, &str)> {
    let (first, rest) = unit(digits)?;
    if let Some(char) = char::from_u32(u32::from(first)) {
        return Some((char, rest));
    }
    let (second, rest) = unit(rest.strip_prefix("\\u")?)?;
    let char = char::decode_utf16([first, second]).next()?.ok()?;
    Some((char, rest))
}

fn unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    Some((is_hex.then(|| u16::from_str_radix(digits, 16).ok())??, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_escape_is_read() {
        let inside = r#"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 end"#;
        assert_eq!(unescape(inside).as_deref(), Some("\"\\/\u{8}\u{c}\n\r\té😀 end"));
    }

    #[test]
    fn half_a_pair_says_nothing() {
        for half in [r"\ud83d", r"\ude00", r"\ud83d\ud83d", r"\ud83dx", r"\ud83d\n", r"\ud83d\u0041", r"\u+041", r"\"] {
            assert_eq!(unescape(half), None, "{half}");
        }
    }

    proptest! {
        #[test]
        fn it_says_what_serde_json_reads(inside in r#"([a-zé"]|\\["\\/bfnrt]|\\u[dD][89a-fA-F][0-9a-f]{2}|\\u[0-9a-fA-F]{4}){0,12}"#) {
            let inside = inside.replace('"', "\\\"").replace("\\\\\"", "\\\"");
            let expected: Option<String> = serde_json::from_str(&format!("\"{inside}\"")).ok();
            if serde_json::from_str::<&serde_json::value::RawValue>(&format!("\"{inside}\"")).is_ok() {
                prop_assert_eq!(unescape(&inside), expected);
            }
        }
    }
}
