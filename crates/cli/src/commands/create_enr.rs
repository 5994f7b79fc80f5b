//! `trireme create enr`.

use std::{io::Write, path::PathBuf};

use serde_json::json;
use trireme_keys::{Enr, EnrAddress};

use super::{KEY_FILE, write_new_key};
use crate::{
    flags::CreateEnrFlags,
    output::{Output, write_json},
    values::Problems,
};

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateEnrConfig {
    key_file: PathBuf,
    output: Output,
}

/// Reads the flags.
///
/// # Errors
/// All problems together.
pub fn config(flags: &CreateEnrFlags) -> Result<CreateEnrConfig, Problems> {
    let mut problems = Problems::default();
    let config = CreateEnrConfig {
        key_file: PathBuf::from(&flags.data_dir).join(KEY_FILE),
        output: problems.or_default("output", flags.output.output.parse()),
    };
    problems.finish(config)
}

/// Makes the identity key and writes its path and ENR.
///
/// # Errors
/// If there is a key already, or it cannot be written.
pub fn run(config: &CreateEnrConfig, out: &mut dyn Write) -> anyhow::Result<()> {
    let path = &config.key_file;
    if path.exists() {
        anyhow::bail!(
            "charon-enr-private-key already exists at {}; it is kept. `trireme enr` shows its ENR",
            path.display()
        );
    }
    let key = write_new_key(path)?;
    let enr = Enr::create(&key, EnrAddress::default());
    if config.output == Output::Json {
        let facts = json!({
            "enr": enr.to_string(),
            "private_key_file": path.display().to_string(),
        });
        return Ok(write_json(out, &facts)?);
    }
    writeln!(out, "Created ENR private key: {}", path.display())?;
    writeln!(out, "{enr}")?;
    writeln!(
        out,
        "\n***************** WARNING: back up this key **********************"
    )?;
    writeln!(
        out,
        " Without {} this node cannot take part in its cluster,",
        path.display()
    )?;
    writeln!(out, " and nobody can make the key again.")?;
    writeln!(
        out,
        "******************************************************************"
    )?;
    Ok(())
}
