//! What the operating system lets this process have.
//!
//! Guarantees: afterwards the process may open as many files and sockets as the system lets it at all (VC-120); a system
//! that refuses is told of and no reason to stop.
//! Not here: limits of our own (docs/structure.md lists them).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one: each peer, validator client and beacon node costs some, and the
/// usual 1,024 is for programs that wait with `select`.
pub(crate) fn raise_open_files() {
    let before = getrlimit(Resource::Nofile);
    if before.current == before.maximum {
        return;
    }
    let wanted = Rlimit {
        current: before.maximum,
        ..before
    };
    match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => tracing::debug!(
            before = before.current,
            now = before.maximum,
            "The limit of open files was raised"
        ),
        Err(error) => tracing::warn!(
            %error, limit = before.current,
            "The limit of open files could not be raised; with many peers and clients it may be too low"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vc_120_limit_of_open_files_is_the_hard_one_afterwards() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let lower = maximum.map_or(1 << 16, |most| most - 1);
        let current = Some(lower);
        setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
        assert_eq!(getrlimit(Resource::Nofile).current, current);
        raise_open_files();
        assert_eq!(
            getrlimit(Resource::Nofile),
            Rlimit {
                current: maximum,
                maximum
            }
        );
    }
}
