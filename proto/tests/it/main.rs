//! Tests against files: generated code and vectors.

mod generated_is_current;
mod vectors;
