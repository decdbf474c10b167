//! Turns a Kafka topic of JSON events into partitioned Parquet files, exactly once.

pub mod engine;
pub mod generate;
pub mod http;
pub mod metrics;
pub mod parquet;
pub mod store;
