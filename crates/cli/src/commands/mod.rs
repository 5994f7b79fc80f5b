//! One file per command: its settings from raw flags, all problems together, and what it does.

pub mod combine;
pub mod completion;
pub mod create_cluster;
pub mod create_dkg;
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
use trireme_files::Disk;
use trireme_keys::IdentityKey;

/// Name of the identity key in a data folder.
pub const KEY_FILE: &str = "charon-enr-private-key";
/// Largest identity key file that is read, in bytes.
const MAX_KEY_FILE: u64 = 4 << 10;

/// The flags that somebody set, wherever: not those that have their default.
pub type Given = BTreeSet<String>;

/// One sentence per flag that is set although nothing is built behind it yet.
pub(crate) fn not_built_yet(given: &Given, flags: &[(&str, &str)]) -> Vec<String> {
    let of = |(flag, instead): &(&str, &str)| format!("--{flag} has no effect yet: {instead}");
    flags.iter().filter(|(flag, _)| given.contains(*flag)).map(of).collect()
}

/// Reads an identity key; the error says which file and what to do.
pub(crate) fn read_key(path: &Path) -> anyhow::Result<IdentityKey> {
    let wrong = || format!("the identity key {} cannot be read", path.display());
    let bytes = trireme_files::read_secret(&Disk, path, MAX_KEY_FILE).with_context(wrong)?;
    let text = std::str::from_utf8(&bytes).with_context(wrong)?;
    IdentityKey::from_file_text(text).with_context(|| format!("the identity key {} is of no use", path.display()))
}

/// Writes a new identity key, readable by its owner alone, and the folder around it if needed.
pub(crate) fn write_new_key(path: &Path) -> anyhow::Result<IdentityKey> {
    let key = IdentityKey::generate(random);
    if let Some(folder) = path.parent() {
        trireme_files::create_folder_all(&Disk, folder, 0o755)?;
    }
    trireme_files::write_new(&Disk, path, 0o600, key.to_file_text().as_bytes())?;
    Ok(key)
}

/// Waits for a question to another machine, where nothing else is to be done meanwhile.
pub(crate) fn blocking<T>(question: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(question))
}

/// Randomness of the operating system.
pub(crate) fn random(bytes: &mut [u8]) {
    use rand::Rng as _;
    rand::rng().fill_bytes(bytes);
}
