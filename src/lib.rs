//! Turns a Kafka topic of JSON events into partitioned Parquet files, exactly once.

pub mod app;
pub mod config;
pub mod demo;
pub mod engine;
pub mod error;
pub mod generate;
pub mod http;
pub mod infer;
pub mod kafka;
pub mod metrics;
pub mod parquet;
pub mod partition;
pub mod record;
pub mod schema;
pub mod store;
