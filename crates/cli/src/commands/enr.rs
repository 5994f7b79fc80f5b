//! `trireme enr`.

use std::{io::Write, path::PathBuf};

use serde_json::json;
use trireme_keys::{Enr, EnrAddress};

use super::{KEY_FILE, read_key};
use crate::{
    flags::EnrFlags,
    output::{Output, write_json},
    values::Problems,
};

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrConfig {
    key_file: PathBuf,
    verbose: bool,
    output: Output,
}

/// Reads the flags.
///
/// # Errors
/// All problems together.
pub fn config(flags: &EnrFlags) -> Result<EnrConfig, Problems> {
    let mut problems = Problems::default();
    let config = EnrConfig {
        key_file: PathBuf::from(&flags.data_dir).join(KEY_FILE),
        verbose: problems.bool("verbose", &flags.verbose),
        output: problems.or_default("output", flags.output.output.parse()),
    };
    problems.finish(config)
}

/// Writes the ENR of the identity key in the data folder.
///
/// # Errors
/// If there is no key, or it is of no use.
pub fn run(config: &EnrConfig, out: &mut dyn Write) -> anyhow::Result<()> {
    let path = &config.key_file;
    if !path.exists() {
        anyhow::bail!(
            "private key not found at {}; make one with `trireme create enr`",
            path.display()
        );
    }
    let enr = Enr::create(&read_key(path)?, EnrAddress::default());
    if config.output == Output::Json {
        let facts = json!({
            "enr": enr.to_string(),
            "private_key_file": path.display().to_string(),
            "secp256k1_pubkey": format!("0x{}", enr.public_key()),
            "signature": format!("0x{}", hex::encode(enr.signature())),
        });
        return Ok(write_json(out, &facts)?);
    }
    writeln!(out, "{enr}")?;
    if config.verbose {
        writeln!(out, "\n***************** Decoded ENR **********************")?;
        writeln!(out, "secp256k1 pubkey: 0x{}", enr.public_key())?;
        writeln!(out, "signature: 0x{}", hex::encode(enr.signature()))?;
        writeln!(out, "****************************************************")?;
    }
    Ok(())
}
