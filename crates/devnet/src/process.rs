//! Child processes that never outlive us, and what they cost.
//!
//! Guarantees: a child is killed when its [`Child`] is dropped, and by a watchdog process if we die without running
//! any destructor (the watchdog reads our pipe and acts at its end). Children are in process groups of their own, so
//! that Ctrl-C reaches only us.
//! Not here: what to start (`cluster`).

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::config::DevnetError;

/// Kills what is still there when we are gone.
#[derive(Debug, Clone)]
pub(crate) struct Watchdog {
    pipe: Arc<Mutex<std::process::Child>>,
}

/// Reads `+PID` and `-PID` lines; at the end of input kills those that were not taken back.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
alive=' '
while read -r line; do
    pid="${line#?}"
    case "$line" in
        +*) alive="$alive$pid " ;;
        -*) alive="${alive%% $pid *} ${alive#* $pid }" ;;
    esac
done
for pid in $alive; do kill -9 "$pid" 2>/dev/null; done
"#;

impl Watchdog {
    /// Starts it.
    pub(crate) fn start() -> Result<Self, DevnetError> {
        use std::os::unix::process::CommandExt as _;

        let child = std::process::Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(DevnetError::io("starting /bin/sh to watch over the children"))?;
        Ok(Self {
            pipe: Arc::new(Mutex::new(child)),
        })
    }

    fn tell(&self, line: &str) {
        let mut child = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipe) = child.stdin.as_mut() {
            // If the watchdog is gone, the children still end with us in every orderly case.
            let _ = pipe.write_all(line.as_bytes());
        }
    }

    fn watch(&self, pid: u32) {
        self.tell(&format!("+{pid}\n"));
    }

    fn release(&self, pid: u32) {
        self.tell(&format!("-{pid}\n"));
    }
}

/// What to start.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// For messages: `node2`, `relay`.
    pub(crate) name: String,
    /// The binary.
    pub(crate) binary: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Working folder.
    pub(crate) folder: PathBuf,
    /// Where stdout and stderr go; appended to.
    pub(crate) log: PathBuf,
}

/// A running child.
#[derive(Debug)]
pub(crate) struct Child {
    process: tokio::process::Child,
    pid: u32,
    watchdog: Watchdog,
}

impl Program {
    /// Starts it.
    pub(crate) fn start(&self, watchdog: &Watchdog) -> Result<Child, DevnetError> {
        let failed = |reason: std::io::Error| DevnetError::Child {
            what: self.name.clone(),
            reason: format!("{} cannot be started: {reason}", self.binary.display()),
            log: self.log.clone(),
        };
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(failed)?;
        let both = log.try_clone().map_err(failed)?;
        let process = tokio::process::Command::new(&self.binary)
            .args(&self.args)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(both)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let pid = process.id().unwrap_or_default();
        watchdog.watch(pid);
        Ok(Child {
            process,
            pid,
            watchdog: watchdog.clone(),
        })
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, watchdog: &Watchdog) -> Result<(), DevnetError> {
        let mut child = self.start(watchdog)?;
        let status = child
            .process
            .wait()
            .await
            .map_err(DevnetError::io(format!("waiting for {}", self.name)))?;
        if status.success() {
            return Ok(());
        }
        Err(DevnetError::Child {
            what: self.name.clone(),
            reason: format!("it ended with {status}: {}", tail(&self.log)),
            log: self.log.clone(),
        })
    }
}

impl Child {
    /// SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(&mut self) {
        // An error means that it is gone already.
        let _ = self.process.kill().await;
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.process.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// What it has cost so far; `None` once it is gone.
    pub(crate) fn cost(&self) -> Option<Cost> {
        Cost::of(self.pid)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The process is killed by tokio (`kill_on_drop`) right after this; until then its id cannot be anybody else's.
        let _ = self.process.start_kill();
        self.watchdog.release(self.pid);
    }
}

/// What a process has used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cost {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// High water of resident memory.
    pub(crate) max_rss_kib: u64,
}

impl Cost {
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(Self {
            cpu: cpu_of(&stat)?,
            max_rss_kib: max_rss_of(&status)?,
        })
    }
}

/// Linux counts CPU time for programs in hundredths of a second (`USER_HZ`), whatever the kernel's own tick.
fn cpu_of(stat: &str) -> Option<Duration> {
    // The name in parentheses may hold blanks; user and system time are the 12th and 13th field after it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis(user.saturating_add(system).saturating_mul(10)))
}

fn max_rss_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The last lines of a log, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    const BYTES: i64 = 2000;
    let read = || {
        let mut file = File::open(log)?;
        if file.metadata()?.len() > BYTES.unsigned_abs() {
            file.seek(SeekFrom::End(-BYTES))?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().filter(|l| !l.trim().is_empty()).take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_a_name_with_blanks_and_parentheses() {
        let stat = "12 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 9 0 100 1000 200";
        assert_eq!(cpu_of(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_of("nonsense"), None);
    }

    #[test]
    fn memory_is_the_high_water_mark() {
        assert_eq!(
            max_rss_of("Name:\tx\nVmHWM:\t  123456 kB\nVmRSS:\t 1 kB\n"),
            Some(123_456)
        );
        assert_eq!(max_rss_of("Name:\tx\n"), None);
    }

    #[test]
    fn a_living_process_has_a_cost_and_a_dead_one_has_none() {
        assert!(Cost::of(std::process::id()).unwrap().max_rss_kib > 0);
        assert_eq!(Cost::of(u32::MAX), None);
    }

    #[tokio::test]
    async fn the_watchdog_kills_what_was_not_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let sleeper = Program {
            name: "sleeper".to_owned(),
            binary: "/bin/sleep".into(),
            args: vec!["600".to_owned()],
            folder: folder.path().to_owned(),
            log: folder.path().join("log"),
        };
        let watchdog = Watchdog::start().unwrap();
        let mut kept = sleeper.start(&watchdog).unwrap();
        let mut released = sleeper.start(&watchdog).unwrap();
        watchdog.release(released.pid);
        // What happens when we die: the pipe is closed.
        drop(watchdog.pipe.lock().unwrap().stdin.take());
        assert_eq!(kept.process.wait().await.unwrap().to_string(), "signal: 9 (SIGKILL)");
        assert_eq!(released.ended(), None);
        released.kill().await;
    }
}
