//! Turns a Kafka topic of JSON events into partitioned Parquet files, exactly once.

pub mod config;
pub mod engine;
pub mod generate;
pub mod kafka;
pub mod parquet;
pub mod partition;
pub mod record;
pub mod schema;
pub mod store;
