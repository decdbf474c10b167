//! Partition values and the folders that are named after them.
pub mod hive;
