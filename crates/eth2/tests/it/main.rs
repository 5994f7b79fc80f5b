//! What `eth2` does, seen from outside.

#[cfg(test)]
mod build;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod roots;
#[cfg(test)]
mod vectors;
