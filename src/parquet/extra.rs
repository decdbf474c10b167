//! `_extra`: what no column and no folder name could hold, as the text of a JSON object.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

/// Returns `extra` with the partition values `kept` added, which the folder's name does not tell.
///
/// The text of what is there already stays as it is. A column that it names keeps what it says: that is the value which
/// did not even fit the column.
pub(super) fn with_values(extra: Option<&str>, kept: &[(&str, Option<&str>)]) -> Option<String> {
    let extra = extra.map(str::trim).filter(|text| !text.is_empty());
    let (body, known) = match extra {
        None => (String::new(), BTreeMap::new()),
        Some(text) => match (serde_json::from_str::<BTreeMap<String, IgnoredAny>>(text), inside(text)) {
            (Ok(known), Some(inside)) => (inside.to_owned(), known),
            // Not an object: nobody writes such a thing, and it is not lost either.
            _ => (format!("\"_extra\":{}", json(text)), BTreeMap::new()),
        },
    };
    let mut members = vec![body];
    for (column, value) in kept.iter().filter(|(column, _)| !known.contains_key(*column)) {
        members.push(format!("{}:{}", json(column), value.map_or_else(|| "null".to_owned(), json)));
    }
    members.retain(|member| !member.trim().is_empty());
    Some(format!("{{{}}}", members.join(",")))
}

/// Returns what stands between the braces of an object.
fn inside(object: &str) -> Option<&str> {
    object.strip_prefix('{')?.strip_suffix('}')
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_added_and_the_rest_stays_to_the_letter() {
        let kept = [("page_url_path", Some("/a\"b\n")), ("country", None)];
        let added = r#""page_url_path":"/a\"b\n","country":null}"#;
        assert_eq!(with_values(None, &kept), Some(format!("{{{added}")));
        assert_eq!(with_values(Some("{ }"), &kept), Some(format!("{{{added}")));
        assert_eq!(with_values(Some(r#"{"n": 1.10 }"#), &kept), Some(format!(r#"{{"n": 1.10 ,{added}"#)));
    }

    #[test]
    fn a_value_that_did_not_fit_its_column_is_not_overwritten() {
        let extra = r#"{"country":[1,2]}"#;
        assert_eq!(with_values(Some(extra), &[("country", None)]).as_deref(), Some(extra));
    }

    #[test]
    fn a_text_that_is_no_object_is_kept_as_a_text() {
        assert_eq!(with_values(Some("[1]"), &[("a", Some("b"))]).as_deref(), Some(r#"{"_extra":"[1]","a":"b"}"#));
    }
}
