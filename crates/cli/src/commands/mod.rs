//! One file per command: its settings from raw flags, all problems together, and what it does.

pub mod combine;
pub mod completion;
pub mod create_cluster;
pub mod create_enr;
#[cfg(feature = "devnet")]
pub mod devnet;
pub mod enr;
pub mod inspect;
pub mod man;
pub mod relay;
pub mod run;
pub mod simnet;
pub mod verify;
pub mod version;

use std::{collections::BTreeSet, path::Path};

use anyhow::Context as _;
use trireme_keys::IdentityKey;

/// Name of the identity key in a data folder.
pub const KEY_FILE: &str = "charon-enr-private-key";

/// The flags that somebody set, wherever: not those that have their default.
pub type Given = BTreeSet<String>;

/// One sentence per flag that is set although nothing is built behind it yet.
pub(crate) fn not_built_yet(given: &Given, flags: &[(&str, &str)]) -> Vec<String> {
    let of = |(flag, instead): &(&str, &str)| format!("--{flag} has no effect yet: {instead}");
    flags.iter().filter(|(flag, _)| given.contains(*flag)).map(of).collect()
}

/// Reads an identity key; the error says which file and what to do.
pub(crate) fn read_key(path: &Path) -> anyhow::Result<IdentityKey> {
    let text = zeroize::Zeroizing::new(
        std::fs::read_to_string(path).with_context(|| format!("the identity key {} cannot be read", path.display()))?,
    );
    IdentityKey::from_file_text(&text).with_context(|| format!("the identity key {} is of no use", path.display()))
}

/// Writes a new identity key, readable by its owner alone, and the folder around it if needed.
pub(crate) fn write_new_key(path: &Path) -> anyhow::Result<IdentityKey> {
    let key = IdentityKey::generate(random);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    }
    write_new(path, 0o600, key.to_file_text().as_bytes())?;
    Ok(key)
}

/// Writes a file that must not be there yet, with these permission bits, and waits until it is on disk.
pub(crate) fn write_new(path: &Path, mode: u32, content: &[u8]) -> anyhow::Result<()> {
    let file = write_new_soon(path, mode, content)?;
    file.sync_all()
        .with_context(|| format!("the file {} cannot be written", path.display()))
}

/// As [`write_new`], but the system may take its time: for files that can be made again.
pub(crate) fn write_new_soon(path: &Path, mode: u32, content: &[u8]) -> anyhow::Result<std::fs::File> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options
        .open(path)
        .with_context(|| format!("the file {} cannot be made", path.display()))?;
    file.write_all(content)
        .with_context(|| format!("the file {} cannot be written", path.display()))?;
    Ok(file)
}

/// Randomness of the operating system.
pub(crate) fn random(bytes: &mut [u8]) {
    use rand::Rng as _;
    rand::rng().fill_bytes(bytes);
}
