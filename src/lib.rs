//! Turns a Kafka topic of JSON events into partitioned Parquet files, exactly once.

pub mod engine;
pub mod partition;
pub mod record;
pub mod schema;
