//! Random schedules of whole instances: `n` processes, at most `f` of them villains, a network that loses, delays and
//! reorders until it calms down.
//!
//! After every schedule: no two honest processes have decided differently; what was decided was proposed; every honest
//! process has decided, once. A failure prints the seed, the cast and the trace of events.
//!
//! `SIM_SCHEDULES=1000000` sets how many schedules `up_to_a_million_mixed_casts_agree` runs, `SIM_SEED=…` makes it run one seed and print
//! its trace. Villains sign only for themselves: the world seals votes, and nobody else can make a seal.

#[cfg(test)]
mod cast;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod mixed;
#[cfg(test)]
mod villains;
#[cfg(test)]
mod world;
