//! Tests against files: generated code and vectors.

#[cfg(test)]
mod generated_is_current;
#[cfg(test)]
mod vectors;
