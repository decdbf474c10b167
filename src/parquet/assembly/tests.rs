//! Sentences about assembling.
