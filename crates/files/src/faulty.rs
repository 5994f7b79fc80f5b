//! A file system that stops in the middle, as a process that is killed or a machine that loses power.
