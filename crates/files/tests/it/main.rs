//! Files that hold keys, stopped anywhere.

#[cfg(test)]
mod keyfile;
#[cfg(test)]
mod staging;
