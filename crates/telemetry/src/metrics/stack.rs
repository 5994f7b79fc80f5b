//! The other programs of an operator's stack and how they were started, read from a `/proc` on each scrape; for whoever
//! helps the operator from afar.
//!
//! Guarantees: only programs of the list below are shown; an option whose name says that its value is secret loses its
//! value, a URL its user, password and query; texts and their number are bounded. Whatever cannot be read is left out.
//! Not here: what the options mean. Unless the operator names a `/proc`, nothing is read.

use std::{
    collections::BTreeSet,
    fmt, fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};

use crate::redact::scrubbed;

/// Programs by what their file is called. Some run inside an interpreter, so the next arguments are looked at, too.
const COMPONENTS: [&str; 22] = [
    "beacon-chain",
    "besu",
    "caplin",
    "commit-boost",
    "erigon",
    "ethrex",
    "geth",
    "grandine",
    "lighthouse",
    "lodestar",
    "mev-boost",
    "nethermind",
    "nimbus_beacon_node",
    "nimbus_validator_client",
    "prysmctl",
    "reth",
    "teku",
    "validator",
    "vero",
    "vouch",
    "web3signer",
    "dirk",
];
/// Arguments in which a program's name is looked for: an interpreter, its options, a script.
const LEADING: usize = 4;
/// Programs that are shown.
const MANY: usize = 32;
/// Bytes read of a command line.
const LONGEST: u64 = 16 * 1024;
/// Characters shown of it.
const SHOWN: usize = 2_048;
/// Parts of an option's name that make its value a secret.
const SECRET: [&str; 8] = ["pass", "secret", "token", "key", "jwt", "auth", "header", "credential"];
/// In place of what is not shown.
const HIDDEN: &str = "…";

/// `component`, `cli_parameters`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Program {
    component: String,
    cli_parameters: String,
}

/// Collects the programs of the stack.
#[derive(Debug)]
pub struct StackMetrics {
    proc: PathBuf,
}

impl StackMetrics {
    /// With the host's `/proc`, which in a container stands elsewhere.
    #[must_use]
    pub fn new(proc: impl Into<PathBuf>) -> Self {
        Self { proc: proc.into() }
    }

    /// Puts `app_validator_stack_params` into a registry.
    pub fn register(self, registry: &mut Registry) {
        registry.register_collector(Box::new(self));
    }
}

impl Collector for StackMetrics {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Constant 1 for each program of the stack with its command line";
        let mut family = to.encode_descriptor("app_validator_stack_params", help, None, MetricType::Gauge)?;
        for program in programs(&self.proc) {
            ConstGauge::new(1_i64).encode(family.encode_family(&program)?)?;
        }
        Ok(())
    }
}

/// The known programs that run now; two that were started in the same way are one.
fn programs(proc: &Path) -> BTreeSet<Program> {
    let Ok(entries) = fs::read_dir(proc) else {
        return BTreeSet::new();
    };
    let processes = entries.flatten().filter(|entry| {
        let name = entry.file_name();
        name.to_str().is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
    });
    let lines = processes.filter_map(|entry| command_line(&entry.path().join("cmdline")));
    lines.filter_map(|line| program(&line)).take(MANY).collect()
}

/// Its arguments; a kernel's thread has none.
fn command_line(file: &Path) -> Option<Vec<String>> {
    let mut bytes = Vec::new();
    fs::File::open(file).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
    let arguments = bytes.split(|b| *b == 0).filter(|a| !a.is_empty());
    let arguments: Vec<_> = arguments.map(|a| String::from_utf8_lossy(a).into_owned()).collect();
    (!arguments.is_empty()).then_some(arguments)
}

fn program(arguments: &[String]) -> Option<Program> {
    let named = arguments.iter().take(LEADING).enumerate().find_map(|(at, argument)| {
        let file = argument.rsplit(['/', '\\']).next()?;
        let component = COMPONENTS.iter().find(|name| is_called(file, name))?;
        Some((at, *component))
    });
    let (at, component) = named?;
    let parameters = shown(arguments.get(at.saturating_add(1)..)?);
    Some(Program {
        component: component.to_owned(),
        cli_parameters: parameters.chars().take(SHOWN).collect(),
    })
}

/// `lodestar`, `lodestar.js`, `teku-25.9.3.jar`, `beacon-chain-v7.1.6-linux-amd64`
fn is_called(file: &str, name: &str) -> bool {
    let file = file.to_ascii_lowercase();
    let Some(rest) = file.strip_prefix(name) else {
        return false;
    };
    let mut rest = rest.chars();
    match rest.next() {
        None | Some('.') => true,
        Some('-') => rest.next().is_some_and(|c| c.is_ascii_digit() || c == 'v'),
        Some(_) => false,
    }
}

/// The parameters as one line, without what is secret.
fn shown(arguments: &[String]) -> String {
    let mut out: Vec<String> = Vec::with_capacity(arguments.len());
    let mut hide_next = false;
    for argument in arguments {
        let is_option = argument.starts_with('-');
        let halves = argument.split_once('=').filter(|_| is_option);
        let (name, value) = halves.map_or((&**argument, None), |(name, value)| (name, Some(value)));
        out.push(match value {
            _ if hide_next && !is_option => HIDDEN.to_owned(),
            Some(_) if is_secret(name) => format!("{name}={HIDDEN}"),
            Some(_) | None => scrubbed(argument).into_owned(),
        });
        hide_next = is_option && value.is_none() && is_secret(name);
    }
    out.join(" ")
}

fn is_secret(option: &str) -> bool {
    let option = option.to_ascii_lowercase();
    SECRET.iter().any(|part| option.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program_of(line: &[&str]) -> Option<(String, String)> {
        let arguments: Vec<String> = line.iter().map(|a| (*a).to_owned()).collect();
        program(&arguments).map(|p| (p.component, p.cli_parameters))
    }

    #[test]
    fn known_programs_are_found_by_their_files_name_also_inside_an_interpreter_and_others_are_not() {
        for (line, component, parameters) in [
            (&["/usr/bin/geth", "--http"][..], "geth", "--http"),
            (
                &["node", "--max-old-space-size=8192", "/usr/app/lodestar.js", "validator"],
                "lodestar",
                "validator",
            ),
            (&["java", "-jar", "/opt/teku-25.9.3.jar", "vc"], "teku", "vc"),
            (&["./beacon-chain-v7.1.6-linux-amd64"], "beacon-chain", ""),
            (
                &["/nimbus/nimbus_validator_client", "--graffiti=a b"],
                "nimbus_validator_client",
                "--graffiti=a b",
            ),
        ] {
            let found = program_of(line);
            assert_eq!(found, Some((component.to_owned(), parameters.to_owned())), "{line:?}");
        }
        for line in [
            &["bash", "-c", "sleep 5"][..],
            &["/usr/bin/gethostname"],
            &["vim", "a", "b", "c", "geth"],
            &["validator-exporter"],
        ] {
            assert_eq!(program_of(line), None, "{line:?}");
        }
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        let (_, parameters) = program_of(&[
            "lighthouse",
            "vc",
            "--http-token-path=/a/SECRET",
            "--wallet-password-file",
            "/b/SECRET",
            "--beacon-nodes",
            "http://user:SECRET@bn:5052/x?apikey=SECRET,http://other:5052",
            "--keymanager-token",
            "--http",
        ])
        .unwrap();
        assert_eq!(
            parameters,
            "vc --http-token-path=… --wallet-password-file … --beacon-nodes http://bn:5052/x,http://other:5052 \
             --keymanager-token --http"
        );
    }

    #[test]
    fn every_program_that_runs_is_a_series_and_what_cannot_be_read_is_none() {
        let proc = tempfile::tempdir().unwrap();
        let process = |pid: &str, line: &[u8]| {
            let folder = proc.path().join(pid);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("cmdline"), line).unwrap();
        };
        process("1", b"/sbin/init\0");
        process("20", b"");
        process("30", b"geth\0--datadir\0/data\0");
        process("31", b"geth\0--datadir\0/data\0");
        process("32", [b"reth\0".to_vec(), vec![b'x'; 100_000]].concat().as_slice());
        process("self", b"besu\0");
        fs::create_dir(proc.path().join("40")).unwrap();
        let mut registry = Registry::default();
        StackMetrics::new(proc.path()).register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let series: Vec<_> = text.lines().filter(|l| !l.starts_with('#')).collect();
        let [geth, reth] = series[..] else { panic!("{text}") };
        assert_eq!(
            geth,
            r#"app_validator_stack_params{component="geth",cli_parameters="--datadir /data"} 1"#
        );
        assert!(
            reth.contains(r#"component="reth""#) && reth.len() < SHOWN + 100,
            "{reth}"
        );
        assert!(programs(Path::new("/no/such/folder")).is_empty());
    }
}
