//! The client against HTTP servers: good ones, bad ones, and recorded ones.

#[cfg(test)]
mod bad;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod lies;
#[cfg(test)]
mod recipients;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod versions;
