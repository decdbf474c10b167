//! Hive folders.
