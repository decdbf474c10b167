//! Partition values of rows, and the folders that are named after them.
//!
//! `year`, `month`, `day` and `hour` are derived from the event time in UTC; any other partition column is a field of the
//! schema with one exact text for each value.

mod buckets;
pub mod hive;

use thiserror::Error;

pub use buckets::Buckets;

pub use crate::names::DERIVED;

use crate::schema::{Schema, Type};

/// The longest name of a partition column, encoded, in bytes: leaves room for values.
const MAX_COLUMN_BYTES: usize = 128;

/// Where a partition value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Year,
    Month,
    Day,
    Hour,
    /// The field of the schema in this place.
    Field(usize),
}

/// The partition columns, outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionBy {
    names: Vec<String>,
    sources: Vec<Source>,
}

/// Why partition columns are refused.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartitionError {
    /// There are none.
    #[error("at least one partition column is needed")]
    None,
    /// A column is named twice (readers may ignore case).
    #[error("partition column `{name}` is named twice")]
    Repeated {
        /// The column.
        name: String,
    },
    /// No field has this name.
    #[error("there is no column `{name}` to partition by; there are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// What may be named instead.
        known: String,
    },
    /// The values of the field have no one exact text.
    #[error("column `{name}` has a type that cannot name a folder; there are {known}")]
    NotScalar {
        /// The column.
        name: String,
        /// What may be named instead.
        known: String,
    },
    /// A derived column has the name of a field: readers would see two.
    #[error("`{name}` is derived from the event time, yet the schema has a field `{field}`")]
    Ambiguous {
        /// The derived column.
        name: String,
        /// The field.
        field: String,
    },
    /// The name leaves no room for values.
    #[error("the name of partition column `{name}` is too long for a folder")]
    TooLong {
        /// The column.
        name: String,
    },
}

impl PartitionBy {
    /// Checks the names of partition columns against `schema`.
    ///
    /// # Errors
    /// Says which name is wrong, and which are possible.
    pub fn parse(names: &[String], schema: &Schema) -> Result<Self, PartitionError> {
        if names.is_empty() {
            return Err(PartitionError::None);
        }
        let mut sources = Vec::new();
        for (place, name) in names.iter().enumerate() {
            let twice = names.iter().take(place).any(|before| before.to_lowercase() == name.to_lowercase());
            if twice {
                return Err(PartitionError::Repeated { name: name.clone() });
            }
            if hive::encode(name).len() > MAX_COLUMN_BYTES {
                return Err(PartitionError::TooLong { name: name.clone() });
            }
            sources.push(source(name, schema)?);
        }
        Ok(Self { names: names.to_vec(), sources })
    }

    /// Returns the names, outermost first.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the places of the fields of the schema that are partition columns, and so are not repeated inside the files.
    pub fn fields(&self) -> impl Iterator<Item = usize> + '_ {
        self.sources.iter().filter_map(|source| match source {
            Source::Field(place) => Some(*place),
            Source::Year | Source::Month | Source::Day | Source::Hour => None,
        })
    }

    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }
}

fn source(name: &str, schema: &Schema) -> Result<Source, PartitionError> {
    let derived = match name {
        "year" => Some(Source::Year),
        "month" => Some(Source::Month),
        "day" => Some(Source::Day),
        "hour" => Some(Source::Hour),
        _ => None,
    };
    if let Some(derived) = derived {
        return match schema.fields().iter().find(|field| field.name.eq_ignore_ascii_case(name)) {
            Some(field) => Err(PartitionError::Ambiguous { name: name.to_owned(), field: field.name.clone() }),
            None => Ok(derived),
        };
    }
    let place =
        schema.index_of(name).ok_or_else(|| PartitionError::Unknown { name: name.to_owned(), known: known(schema) })?;
    match schema.fields().get(place).map(|field| &field.kind).is_some_and(Type::is_partition_type) {
        true => Ok(Source::Field(place)),
        false => Err(PartitionError::NotScalar { name: name.to_owned(), known: known(schema) }),
    }
}

/// Returns the names that may be partition columns.
fn known(schema: &Schema) -> String {
    let scalars = schema.fields().iter().filter(|field| field.kind.is_partition_type());
    let names: Vec<&str> = DERIVED.into_iter().chain(scalars.map(|field| field.name.as_str())).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Field;

    fn parse(names: &[&str], fields: &[(&str, Type)]) -> Result<PartitionBy, PartitionError> {
        let fields = fields.iter().map(|(name, kind)| Field::new(*name, kind.clone())).collect();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        PartitionBy::parse(&names, &Schema::new(fields).unwrap())
    }

    #[test]
    fn derived_columns_and_fields_are_told_apart() {
        let by = parse(&["year", "path", "hour"], &[("id", Type::Long), ("path", Type::String)]).unwrap();
        assert_eq!(by.sources(), [Source::Year, Source::Field(1), Source::Hour]);
        assert_eq!(by.fields().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_wrong_column_is_refused_with_those_that_would_do() {
        let fields = [("id", Type::Long), ("price", Type::Double), ("path", Type::String)];
        assert_eq!(
            parse(&["pth"], &fields).unwrap_err().to_string(),
            "there is no column `pth` to partition by; there are year, month, day, hour, id, path"
        );
        assert!(matches!(parse(&["price"], &fields), Err(PartitionError::NotScalar { .. })));
        assert!(matches!(parse(&["day", "day"], &fields), Err(PartitionError::Repeated { .. })));
        assert!(matches!(parse(&["day"], &[("Day", Type::Long)]), Err(PartitionError::Ambiguous { .. })));
        assert_eq!(parse(&[], &fields), Err(PartitionError::None));
        let long = "é".repeat(70);
        assert!(matches!(parse(&[&long], &[(&long, Type::Long)]), Err(PartitionError::TooLong { .. })));
    }
}
