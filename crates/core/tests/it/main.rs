//! What `core` does, seen from outside.

#[cfg(test)]
mod consensus;
#[cfg(test)]
mod fakes;
#[cfg(test)]
mod priority;
#[cfg(test)]
mod real_clients;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod vectors_consensus;
#[cfg(test)]
mod vectors_data;
#[cfg(test)]
mod vectors_priority;
#[cfg(test)]
mod vectors_workflow;
#[cfg(test)]
mod workflow;
