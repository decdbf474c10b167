//! Columns: one source for Spark's schema JSON, for Arrow, and for the decoder.
//!
//! A [`Schema`] names the fields that events may have. Every column is nullable whatever the schema says, since a value
//! that is absent or does not fit leaves a null behind. Case-insensitive readers must be able to tell columns apart, so
//! names that differ by case alone are refused, and so are the names of the columns that this program adds.

pub mod infer;
mod spark;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, Fields, Schema as ArrowSchema, SchemaRef, TimeUnit};
use thiserror::Error;

pub use crate::names::{EXTRA, KAFKA_OFFSET, KAFKA_PARTITION, KAFKA_TIMESTAMP};

/// The names of the columns that this program adds; no field of a schema may have one.
pub const RESERVED: [&str; 4] = [EXTRA, KAFKA_PARTITION, KAFKA_OFFSET, KAFKA_TIMESTAMP];
/// How deep types may nest: a plain column counts 1.
pub const MAX_DEPTH: usize = 64;

/// Whether `name` belongs to a column that this program adds (readers may ignore case, so this does too).
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

/// The fields that events may have, in the order of their columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    fields: Vec<Field>,
}

/// One field of a [`Schema`] or of a struct in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The JSON key and the name of the column.
    pub name: String,
    /// What its values are.
    pub kind: Type,
    /// What the schema file says; kept, though every column is nullable.
    pub nullable: bool,
    /// Whatever the schema file says about the field; kept as it is.
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

impl Field {
    /// Returns a nullable field without metadata.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: Type) -> Self {
        Self { name: name.into(), kind, nullable: true, metadata: serde_json::Map::new() }
    }
}

/// The type of a field, by Spark's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// Unicode text.
    String,
    /// `true` or `false`.
    Boolean,
    /// 8-bit signed integer.
    Byte,
    /// 16-bit signed integer.
    Short,
    /// 32-bit signed integer.
    Integer,
    /// 64-bit signed integer.
    Long,
    /// 32-bit floating point.
    Float,
    /// 64-bit floating point.
    Double,
    /// Exact decimal of `precision` digits (1 to 38), `scale` of them behind the point.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits behind the point, at most `precision`.
        scale: u8,
    },
    /// A day, written `YYYY-MM-DD`.
    Date,
    /// Microseconds since the Unix epoch, UTC.
    Timestamp,
    /// Bytes, written in base64.
    Binary,
    /// An object with known fields.
    Struct(Vec<Field>),
    /// A list of one type.
    Array(Box<Type>),
    /// An object with any keys and values of one type.
    Map(Box<Type>),
}

impl Type {
    /// Returns the Arrow type of the column. Lists and maps use the names that the Parquet format prescribes.
    #[must_use]
    pub fn arrow(&self) -> DataType {
        match self {
            Self::String => DataType::Utf8,
            Self::Boolean => DataType::Boolean,
            Self::Byte => DataType::Int8,
            Self::Short => DataType::Int16,
            Self::Integer => DataType::Int32,
            Self::Long => DataType::Int64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal { precision, scale } => {
                DataType::Decimal128(*precision, i8::try_from(*scale).unwrap_or(i8::MAX))
            }
            Self::Date => DataType::Date32,
            Self::Timestamp => timestamp(),
            Self::Binary => DataType::Binary,
            Self::Struct(fields) => DataType::Struct(arrow_fields(fields)),
            Self::Array(element) => DataType::List(Arc::new(ArrowField::new("element", element.arrow(), true))),
            Self::Map(value) => {
                let entry = Fields::from(vec![
                    ArrowField::new("key", DataType::Utf8, false),
                    ArrowField::new("value", value.arrow(), true),
                ]);
                DataType::Map(Arc::new(ArrowField::new("key_value", DataType::Struct(entry), false)), false)
            }
        }
    }

    /// Whether values have one exact text, so that they may name a partition. Floating point numbers do not.
    #[must_use]
    pub fn is_partition_type(&self) -> bool {
        match self {
            Self::String
            | Self::Boolean
            | Self::Byte
            | Self::Short
            | Self::Integer
            | Self::Long
            | Self::Decimal { .. }
            | Self::Date
            | Self::Timestamp => true,
            Self::Float | Self::Double | Self::Binary | Self::Struct(_) | Self::Array(_) | Self::Map(_) => false,
        }
    }
}

/// Returns the Arrow type of every time column.
pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn arrow_fields(fields: &[Field]) -> Fields {
    fields.iter().map(|field| ArrowField::new(&field.name, field.kind.arrow(), true)).collect()
}

/// Why a schema is refused. `path` names the field, `(top)` the schema itself.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The text is no JSON.
    #[error("the schema is not JSON")]
    Json(#[source] serde_json::Error),
    /// The JSON is not what Spark writes.
    #[error("{path}: {problem}")]
    Shape {
        /// The field.
        path: String,
        /// What is wrong there.
        problem: String,
    },
    /// There is no such type.
    #[error(
        "{path}: unknown type `{name}`; known are string, boolean, byte, short, integer, long, float, double, \
         decimal(precision,scale), date, timestamp, binary, struct, array, map"
    )]
    UnknownType {
        /// The field.
        path: String,
        /// What stands where a type should.
        name: String,
    },
    /// The name belongs to a column that this program adds.
    #[error("{path}: the name is taken by a column that is added to every row")]
    Reserved {
        /// The field.
        path: String,
    },
    /// Two fields have names that differ by case at most.
    #[error("{path}: another field has this name, upper and lower case aside")]
    Duplicate {
        /// The second of the two.
        path: String,
    },
}

impl SchemaError {
    fn shape(path: &str, problem: impl Into<String>) -> Self {
        Self::Shape { path: if path.is_empty() { "(top)".into() } else { path.into() }, problem: problem.into() }
    }
}

impl Schema {
    /// Returns a schema of `fields`.
    ///
    /// # Errors
    /// Refuses what [`SchemaError`] names: no fields, empty, reserved or repeated names, bad precision, deep nesting.
    pub fn new(fields: Vec<Field>) -> Result<Self, SchemaError> {
        if let Some(field) = fields.iter().find(|field| is_reserved(&field.name)) {
            return Err(SchemaError::Reserved { path: field.name.clone() });
        }
        check_fields(&fields, "", MAX_DEPTH)?;
        Ok(Self { fields })
    }

    /// Reads a schema in the JSON form of Spark's `StructType`.
    ///
    /// # Errors
    /// Says which field is wrong, and how.
    pub fn from_json(text: &str) -> Result<Self, SchemaError> {
        Self::new(spark::parse(text)?)
    }

    /// Returns the schema in the JSON form of Spark's `StructType`, indented.
    #[must_use]
    pub fn to_json(&self) -> String {
        spark::print(&self.fields)
    }

    /// Returns the fields, in the order of their columns.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Returns the place of the field with exactly this name.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Returns the Arrow schema of the fields alone, all nullable.
    #[must_use]
    pub fn columns(&self) -> SchemaRef {
        Arc::new(ArrowSchema::new(arrow_fields(&self.fields)))
    }

    /// Returns the Arrow schema of rows in memory: the fields, `_extra`, `_kafka_offset` (never null), `_kafka_timestamp`.
    ///
    /// `_kafka_partition` is the same for all rows of a lane, and so is not among them.
    #[must_use]
    pub fn entry_columns(&self) -> SchemaRef {
        let mut columns: Vec<_> = arrow_fields(&self.fields).iter().cloned().collect();
        columns.push(Arc::new(ArrowField::new(EXTRA, DataType::Utf8, true)));
        columns.push(Arc::new(ArrowField::new(KAFKA_OFFSET, DataType::Int64, false)));
        columns.push(Arc::new(ArrowField::new(KAFKA_TIMESTAMP, timestamp(), true)));
        Arc::new(ArrowSchema::new(columns))
    }
}

/// Refuses names that readers cannot tell apart, and types that no column can hold. `depth` levels remain.
fn check_fields(fields: &[Field], path: &str, depth: usize) -> Result<(), SchemaError> {
    if fields.is_empty() {
        return Err(SchemaError::shape(path, "a struct needs at least one field"));
    }
    let mut seen = HashSet::new();
    for field in fields {
        let path = join(path, &field.name);
        if field.name.is_empty() {
            return Err(SchemaError::shape(&path, "a field has an empty name"));
        }
        if !seen.insert(field.name.to_lowercase()) {
            return Err(SchemaError::Duplicate { path });
        }
        check_type(&field.kind, &path, depth)?;
    }
    Ok(())
}

fn check_type(kind: &Type, path: &str, depth: usize) -> Result<(), SchemaError> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(SchemaError::shape(path, format!("types nest deeper than {MAX_DEPTH}")));
    };
    match kind {
        Type::Decimal { precision, scale } if *precision == 0 || *precision > 38 || scale > precision => {
            let problem = format!("decimal({precision},{scale}) needs 1 to 38 digits, and no more behind the point");
            Err(SchemaError::shape(path, problem))
        }
        Type::Struct(fields) => check_fields(fields, path, depth),
        Type::Array(element) => check_type(element, &join(path, "element"), depth),
        Type::Map(value) => check_type(value, &join(path, "value"), depth),
        Type::String
        | Type::Boolean
        | Type::Byte
        | Type::Short
        | Type::Integer
        | Type::Long
        | Type::Float
        | Type::Double
        | Type::Decimal { .. }
        | Type::Date
        | Type::Timestamp
        | Type::Binary => Ok(()),
    }
}

/// Returns the path of `name` inside `path`.
fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_of_an_entry_are_the_fields_and_then_where_the_row_came_from() {
        let schema = Schema::new(vec![Field::new("id", Type::Long)]).unwrap();
        let columns = schema.entry_columns();
        let shown: Vec<_> = columns.fields().iter().map(|f| (f.name().as_str(), f.is_nullable())).collect();
        assert_eq!(shown, [("id", true), ("_extra", true), ("_kafka_offset", false), ("_kafka_timestamp", true)]);
    }

    #[test]
    fn names_of_added_columns_are_refused_whatever_their_case() {
        let error = Schema::new(vec![Field::new("_Kafka_Offset", Type::Long)]).unwrap_err();
        assert!(matches!(error, SchemaError::Reserved { path } if path == "_Kafka_Offset"));
    }

    #[test]
    fn names_that_differ_by_case_alone_are_refused_at_every_level() {
        let twins = vec![Field::new("a", Type::Long), Field::new("A", Type::Long)];
        assert_eq!(
            Schema::new(vec![Field::new("s", Type::Struct(twins))]).unwrap_err().to_string(),
            "s.A: another field has this name, upper and lower case aside"
        );
    }

    #[test]
    fn types_nest_no_deeper_than_the_limit() {
        let nested = |levels| (1..levels).fold(Type::Long, |kind, _| Type::Array(Box::new(kind)));
        assert!(Schema::new(vec![Field::new("a", nested(MAX_DEPTH))]).is_ok());
        assert!(Schema::new(vec![Field::new("a", nested(MAX_DEPTH + 1))]).is_err());
    }
}
