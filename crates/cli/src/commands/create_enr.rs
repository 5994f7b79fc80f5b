//! `trireme create enr`.

use std::{io::Write, path::Path};

use trireme_keys::{Enr, EnrAddress};

use super::{KEY_FILE, write_new_key};

/// Makes the identity key and writes its path and ENR.
///
/// # Errors
/// If there is a key already, or it cannot be written.
pub fn run(flags: &crate::flags::CreateEnrFlags, out: &mut dyn Write) -> anyhow::Result<()> {
    let path = Path::new(&flags.data_dir).join(KEY_FILE);
    if path.exists() {
        anyhow::bail!(
            "charon-enr-private-key already exists at {}; it is kept. `trireme enr` shows its ENR",
            path.display()
        );
    }
    let key = write_new_key(&path)?;
    writeln!(out, "Created ENR private key: {}", path.display())?;
    writeln!(out, "{}", Enr::create(&key, EnrAddress::default()))?;
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
