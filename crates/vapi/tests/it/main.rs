//! Integration tests of the validator API over HTTP.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod error_rows;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod real_clients;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod standing;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod upstream;
#[cfg(test)]
mod vectors;
