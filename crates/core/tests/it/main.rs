//! What `core` does, seen from outside.

mod fakes;
mod vectors_data;
mod vectors_workflow;
mod workflow;
