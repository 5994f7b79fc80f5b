//! What the operating system lets this process have.
//!
//! Guarantees: after [`raise_open_files`] the process may open as many files and sockets as the system lets it at all
//! (VC-120); a system that refuses is told of and no reason to stop.
//! Not here: limits of our own (docs/structure.md lists them).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How far threads that compute stand behind the others: a third of the time when all want the same core.
const BEHIND: i32 = 5;

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

/// Puts the calling thread behind those that wait for a message, a timer or the disk. A batch of signatures keeps a core for
/// milliseconds; without this a vote of consensus, or a decided value on its way to the disk, waits as long at each step.
#[cfg(target_os = "linux")]
pub(crate) fn step_back() {
    // On Linux it is the thread's, as long as nobody else sets the process's.
    if let Err(error) = rustix::process::nice(BEHIND) {
        tracing::debug!(%error, "Threads that compute run beside the others");
    }
}

/// Elsewhere the priority is the whole process's.
#[cfg(not(target_os = "linux"))]
pub(crate) fn step_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_steps_back_leaves_the_others_where_they_are() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let before = priority();
        let stepped = std::thread::spawn(move || {
            step_back();
            priority()
        });
        assert_eq!(stepped.join().unwrap(), (before + BEHIND).min(19));
        assert_eq!(priority(), before);
    }

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
