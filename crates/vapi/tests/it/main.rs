//! Integration tests of the validator API over HTTP.

mod bad_input;
mod connections;
mod fixture;
mod requests;
mod upstream;
mod vectors;
