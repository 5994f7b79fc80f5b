//! Writes every wrong lock into a folder, so that another program can be held against the same list:
//! `cargo run -p trireme-testutil --features mutations --example mutants -- FOLDER`.
//!
//! Each stands in `FOLDER/<version>/<number>/node0/cluster-lock.json`, beside an empty `validator_keys`; `expected` beside
//! `node0` says which check fails first and what was done.

#![expect(clippy::print_stderr, reason = "a program for the command line")]

use std::{fs, io, path::PathBuf, process::ExitCode};

use trireme_cluster::{Order, Version};
use trireme_testutil::mutations::{MUTATIONS, Signed};

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("give a folder");
        return ExitCode::FAILURE;
    };
    match write(&PathBuf::from(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &std::path::Path) -> io::Result<()> {
    for version in Version::ALL {
        let right = Signed::new(version);
        for (number, mutation) in MUTATIONS.iter().enumerate() {
            if !mutation.reaches(version, Order::HashesFirst) {
                continue;
            }
            let here = folder.join(version.as_str()).join(format!("{number:02}"));
            fs::create_dir_all(here.join("node0/validator_keys"))?;
            fs::write(here.join("node0/cluster-lock.json"), mutation.apply(&right).lock_json())?;
            fs::write(
                here.join("expected"),
                format!("{:?}: {}\n", mutation.stage, mutation.name),
            )?;
        }
    }
    Ok(())
}
