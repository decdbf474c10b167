//! The JSON form of Spark's `StructType`, as Delta tables store it too.

use std::fmt;

use serde_json::{Map, Value, json};

use super::{Field, MAX_DEPTH, SchemaError, Type, join};

impl fmt::Display for Type {
    /// Writes Spark's name; of a type that holds others, the outermost alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = json_type(self);
        f.write_str(json.as_str().or_else(|| json.get("type")?.as_str()).unwrap_or_default())
    }
}

/// Reads the fields of a `StructType`.
pub(super) fn parse(text: &str) -> Result<Vec<Field>, SchemaError> {
    let value: Value = serde_json::from_str(text).map_err(SchemaError::Json)?;
    match value.get("type").and_then(Value::as_str) {
        Some("struct") => fields(&value, "", MAX_DEPTH),
        Some(other) => Err(SchemaError::shape("", format!("a schema is a struct, this is `{other}`"))),
        None => Err(SchemaError::shape("", r#"a schema begins with {"type":"struct","fields":[…]}"#)),
    }
}

/// Returns the indented JSON of a `StructType` of `fields`.
pub(super) fn print(fields: &[Field]) -> String {
    format!("{:#}", json_struct(fields))
}

fn fields(value: &Value, path: &str, depth: usize) -> Result<Vec<Field>, SchemaError> {
    let Some(list) = value.get("fields").and_then(Value::as_array) else {
        return Err(SchemaError::shape(path, "a struct needs `fields`, a list"));
    };
    list.iter().enumerate().map(|(place, value)| field(value, path, place, depth)).collect()
}

fn field(value: &Value, path: &str, place: usize, depth: usize) -> Result<Field, SchemaError> {
    let Some(name) = value.get("name").and_then(Value::as_str) else {
        let path = join(path, &format!("fields[{place}]"));
        return Err(SchemaError::shape(&path, "a field needs a `name`, a string"));
    };
    let path = join(path, name);
    let Some(kind) = value.get("type") else {
        return Err(SchemaError::shape(&path, "a field needs a `type`"));
    };
    let nullable = match value.get("nullable") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(nullable)) => *nullable,
        Some(other) => return Err(SchemaError::shape(&path, format!("`nullable` is true or false, not {other}"))),
    };
    let metadata = match value.get("metadata") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(metadata)) => metadata.clone(),
        Some(other) => return Err(SchemaError::shape(&path, format!("`metadata` is an object, not {other}"))),
    };
    Ok(Field { name: name.to_owned(), kind: parse_type(kind, &path, depth)?, nullable, metadata })
}

fn parse_type(value: &Value, path: &str, depth: usize) -> Result<Type, SchemaError> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(SchemaError::shape(path, format!("types nest deeper than {MAX_DEPTH}")));
    };
    if let Value::String(name) = value {
        return parse_name(name, path);
    }
    match value.get("type").and_then(Value::as_str) {
        Some("struct") => Ok(Type::Struct(fields(value, path, depth)?)),
        Some("array") => {
            let Some(element) = value.get("elementType") else {
                return Err(SchemaError::shape(path, "an array needs an `elementType`"));
            };
            Ok(Type::Array(Box::new(parse_type(element, &join(path, "element"), depth)?)))
        }
        Some("map") => {
            if value.get("keyType").and_then(Value::as_str) != Some("string") {
                return Err(SchemaError::shape(path, "the `keyType` of a map is `string`, since JSON has no other"));
            }
            let Some(kind) = value.get("valueType") else {
                return Err(SchemaError::shape(path, "a map needs a `valueType`"));
            };
            Ok(Type::Map(Box::new(parse_type(kind, &join(path, "value"), depth)?)))
        }
        Some(other) => Err(SchemaError::UnknownType { path: path.to_owned(), name: other.to_owned() }),
        None => Err(SchemaError::UnknownType { path: path.to_owned(), name: value.to_string() }),
    }
}

fn parse_name(name: &str, path: &str) -> Result<Type, SchemaError> {
    Ok(match name {
        "string" => Type::String,
        "boolean" => Type::Boolean,
        "byte" => Type::Byte,
        "short" => Type::Short,
        "integer" => Type::Integer,
        "long" => Type::Long,
        "float" => Type::Float,
        "double" => Type::Double,
        "decimal" => Type::Decimal { precision: 10, scale: 0 },
        "date" => Type::Date,
        "timestamp" => Type::Timestamp,
        "binary" => Type::Binary,
        other => parse_decimal(other)
            .ok_or_else(|| SchemaError::UnknownType { path: path.to_owned(), name: other.to_owned() })?,
    })
}

/// Reads `decimal(precision,scale)` and `decimal(precision)`.
fn parse_decimal(name: &str) -> Option<Type> {
    let inside = name.strip_prefix("decimal(")?.strip_suffix(')')?;
    let (precision, scale) = inside.split_once(',').unwrap_or((inside, "0"));
    Some(Type::Decimal { precision: precision.trim().parse().ok()?, scale: scale.trim().parse().ok()? })
}

fn json_struct(fields: &[Field]) -> Value {
    let fields: Vec<Value> = fields
        .iter()
        .map(|field| {
            json!({
                "name": field.name,
                "type": json_type(&field.kind),
                "nullable": field.nullable,
                "metadata": field.metadata,
            })
        })
        .collect();
    json!({ "type": "struct", "fields": fields })
}

fn json_type(kind: &Type) -> Value {
    match kind {
        Type::String => "string".into(),
        Type::Boolean => "boolean".into(),
        Type::Byte => "byte".into(),
        Type::Short => "short".into(),
        Type::Integer => "integer".into(),
        Type::Long => "long".into(),
        Type::Float => "float".into(),
        Type::Double => "double".into(),
        Type::Decimal { precision, scale } => format!("decimal({precision},{scale})").into(),
        Type::Date => "date".into(),
        Type::Timestamp => "timestamp".into(),
        Type::Binary => "binary".into(),
        Type::Struct(fields) => json_struct(fields),
        Type::Array(element) => {
            json!({ "type": "array", "elementType": json_type(element), "containsNull": true })
        }
        Type::Map(value) => {
            json!({ "type": "map", "keyType": "string", "valueType": json_type(value), "valueContainsNull": true })
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::schema::{Schema, Type};

    fn one(kind: &str) -> String {
        format!(r#"{{"type":"struct","fields":[{{"name":"a","type":{kind},"nullable":true,"metadata":{{}}}}]}}"#)
    }

    fn refusal(kind: &str) -> String {
        Schema::from_json(&one(kind)).unwrap_err().to_string()
    }

    #[test]
    fn a_schema_survives_its_json() {
        let text = r#"{"type":"struct","fields":[
            {"name":"id","type":"long","nullable":false,"metadata":{"comment":"key"}},
            {"name":"price","type":"decimal(38,18)","nullable":true,"metadata":{}},
            {"name":"at","type":"timestamp"},
            {"name":"tags","type":{"type":"array","elementType":"string","containsNull":true}},
            {"name":"user","type":{"type":"struct","fields":[{"name":"zip","type":"short"}]}},
            {"name":"any","type":{"type":"map","keyType":"string","valueType":"double","valueContainsNull":true}}]}"#;
        let schema = Schema::from_json(text).unwrap();
        assert_eq!(schema.fields()[1].kind, Type::Decimal { precision: 38, scale: 18 });
        assert!(!schema.fields()[0].nullable && schema.fields()[2].nullable);
        assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema);
        assert!(schema.to_json().contains("\"comment\": \"key\""));
    }

    #[test]
    fn an_unknown_type_is_named_with_its_path_and_those_known() {
        let text = one(r#"{"type":"array","elementType":"varchar(10)"}"#);
        let error = Schema::from_json(&text).unwrap_err().to_string();
        assert!(error.starts_with("a.element: unknown type `varchar(10)`; known are string, boolean"), "{error}");
    }

    #[test]
    fn what_no_column_can_hold_is_refused() {
        assert!(refusal(r#""decimal(39,0)""#).starts_with("a: decimal(39,0) needs"));
        assert!(refusal(r#""decimal(5,6)""#).starts_with("a: decimal(5,6) needs"));
        assert_eq!(refusal(r#"{"type":"struct","fields":[]}"#), "a: a struct needs at least one field");
        assert!(refusal(r#"{"type":"map","keyType":"long","valueType":"long"}"#).starts_with("a: the `keyType`"));
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        assert_eq!(Schema::from_json("{").unwrap_err().to_string(), "the schema is not JSON");
        assert!(Schema::from_json("[]").unwrap_err().to_string().starts_with("(top): "));
        assert!(Schema::from_json(r#"{"type":"struct"}"#).unwrap_err().to_string().contains("needs `fields`"));
    }
}
