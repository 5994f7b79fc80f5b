//! `trireme enr`.

use std::{io::Write, path::Path};

use trireme_keys::{Enr, EnrAddress};

use super::{KEY_FILE, read_key};
use crate::values::Problems;

/// Writes the ENR of the identity key in the data folder.
///
/// # Errors
/// If there is no key, or it is of no use.
pub fn run(flags: &crate::flags::EnrFlags, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut problems = Problems::default();
    let verbose = problems.bool("verbose", &flags.verbose);
    problems.finish(())?;
    let path = Path::new(&flags.data_dir).join(KEY_FILE);
    if !path.exists() {
        anyhow::bail!(
            "private key not found at {}; make one with `trireme create enr`",
            path.display()
        );
    }
    let enr = Enr::create(&read_key(&path)?, EnrAddress::default());
    writeln!(out, "{enr}")?;
    if verbose {
        writeln!(out, "\n***************** Decoded ENR **********************")?;
        writeln!(out, "secp256k1 pubkey: 0x{}", enr.public_key())?;
        writeln!(out, "signature: 0x{}", hex::encode(enr.signature()))?;
        writeln!(out, "****************************************************")?;
    }
    Ok(())
}
