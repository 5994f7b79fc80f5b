//! The client against HTTP servers: good ones, bad ones, and recorded ones.

#[cfg(test)]
mod bad;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod vectors;
