//! Tests of the test tools themselves.

mod kinds;
