//! Tests of the crate from outside: vectors from other implementations, and clusters of our own making.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod created;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod folders;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod verdicts;
