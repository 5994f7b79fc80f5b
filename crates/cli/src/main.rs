//! The `trireme` program. Everything is in the library beside it.

use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    // A value that is no text is not left out: it would be as if the variable were not set.
    let environment =
        std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.to_string_lossy().into())));
    let arguments = std::env::args_os().collect();
    match trireme_cli::run(arguments, environment, Path::new("."), &mut std::io::stdout()) {
        Ok(code) => code,
        Err(failure) => trireme_cli::report(&failure),
    }
}
