//! The `trireme` program. Everything is in the library beside it.

use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let arguments = std::env::args_os().collect();
    match trireme_cli::run(arguments, environment, Path::new("."), &mut std::io::stdout()) {
        Ok(code) => code,
        Err(failure) => trireme_cli::report(&failure),
    }
}
