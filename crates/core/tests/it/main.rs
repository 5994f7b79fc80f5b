//! What `core` does, seen from outside.

mod vectors_data;
