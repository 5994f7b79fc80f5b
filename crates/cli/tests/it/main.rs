//! The command line from outside.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod combine;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod completion;
#[cfg(test)]
mod create_cluster;
#[cfg(test)]
mod create_dkg;
#[cfg(test)]
mod help;
#[cfg(test)]
mod key_files;
#[cfg(test)]
mod keymanagers;
#[cfg(test)]
mod precedence;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod scraped;
#[cfg(test)]
mod secrets;
#[cfg(feature = "devnet")]
#[cfg(test)]
mod simnet;
#[cfg(test)]
mod splitting;

#[cfg(test)]
mod verify;
#[cfg(test)]
mod wallets;

#[cfg(test)]
mod call {
    //! Runs a command in this process.

    use std::{collections::BTreeMap, path::Path};

    use trireme_cli::Failure;

    /// What `trireme <arguments>` writes to standard output.
    pub(crate) fn trireme(arguments: &[&str], environment: &[(&str, &str)], folder: &Path) -> Result<String, Failure> {
        let arguments = std::iter::once("trireme")
            .chain(arguments.iter().copied())
            .map(Into::into)
            .collect();
        let environment: BTreeMap<String, String> = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let mut out = Vec::new();
        trireme_cli::run(arguments, environment.into_iter(), folder, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    /// The reason why the command is refused.
    pub(crate) fn refused(arguments: &[&str], folder: &Path) -> String {
        trireme(arguments, &[], folder)
            .map(|out| panic!("should be refused, but: {out}"))
            .unwrap_or_else(|e| e.to_string())
    }
}
