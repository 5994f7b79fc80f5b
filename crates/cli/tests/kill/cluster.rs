//! The processes: made, started and killed as an operator would, with what the test needs to know of their files.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::{Child, Command};
use trireme_cluster::Lock;
use trireme_eth2::BlsPubkey;
use trireme_keys::Keystore;
use trireme_tbls::SecretKey;

const BINARY: &str = env!("CARGO_BIN_EXE_trireme");

/// Reads `+PID` and `-PID`; when the test is gone, however it went, kills those that were not taken back.
const WATCHDOG: &str = r#"
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

/// The cluster's folder and the processes in it.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    lock: Lock,
    relay: [SocketAddr; 2],
    nodes: Vec<[SocketAddr; 3]>,
    beacon: String,
    watchdog: std::process::Child,
    running: BTreeMap<String, Child>,
}

impl Cluster {
    /// Makes the files of a cluster of `seats` operators and `validators` validators; nothing runs yet.
    pub(crate) async fn create(seats: usize, threshold: usize, validators: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("trireme-kill-").tempdir().unwrap();
        // A copy, so that a build during the run changes nothing.
        let binary = folder.path().join("trireme");
        fs::copy(BINARY, &binary).unwrap();
        let target = folder.path().join("cluster");
        let address = "0x4242424242424242424242424242424242424242";
        let made = Command::new(&binary)
            .args(["create", "cluster", "--insecure-keys", "--name=kill", "--network=hoodi"])
            .arg(format!("--cluster-dir={}", target.display()))
            .arg(format!("--nodes={seats}"))
            .arg(format!("--threshold={threshold}"))
            .arg(format!("--num-validators={validators}"))
            .arg(format!("--fee-recipient-addresses={address}"))
            .arg(format!("--withdrawal-addresses={address}"))
            .current_dir(folder.path())
            .output()
            .await
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let lock = Lock::from_json(&fs::read(target.join("node0/cluster-lock.json")).unwrap()).unwrap();
        let watchdog = std::process::Command::new("/bin/sh")
            .args(["-c", WATCHDOG])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // All are held until all are known, so that none is given twice.
        let held: Vec<TcpListener> = (0..seats * 3 + 2)
            .map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap())
            .collect();
        let ports: Vec<SocketAddr> = held.iter().map(|l| l.local_addr().unwrap()).collect();
        let (relay, nodes) = ports.split_at(2);
        Self {
            folder,
            lock,
            relay: [relay[0], relay[1]],
            nodes: nodes.chunks(3).map(|c| [c[0], c[1], c[2]]).collect(),
            beacon: String::new(),
            watchdog,
            running: BTreeMap::new(),
        }
    }

    /// The beacon node that the nodes will use.
    pub(crate) fn use_beacon(&mut self, url: String) {
        self.beacon = url;
    }

    /// The folder of an operator, counted from 0.
    pub(crate) fn seat(&self, seat: usize) -> PathBuf {
        self.folder.path().join(format!("cluster/node{seat}"))
    }

    /// Group keys in the order of the lock.
    pub(crate) fn validators(&self) -> Vec<BlsPubkey> {
        let key = |k: &[u8]| BlsPubkey::from_slice(k).unwrap();
        self.lock.validators.iter().map(|v| key(&v.public_key)).collect()
    }

    /// An operator's share keys by the group key that they are of.
    pub(crate) fn share_keys(&self, seat: usize) -> BTreeMap<BlsPubkey, SecretKey> {
        let is_keystore = |path: &PathBuf| path.extension().is_some_and(|e| e == "json");
        let files = fs::read_dir(self.seat(seat).join("validator_keys")).unwrap();
        let shares = files.map(|f| f.unwrap().path()).filter(is_keystore).map(|f| open(&f));
        let by_group = |key: SecretKey| {
            let share = key.public_key().to_bytes();
            let mut all = self.lock.validators.iter();
            let validator = all.find(|v| v.public_shares[seat] == share).unwrap();
            (BlsPubkey::from_slice(&validator.public_key).unwrap(), key)
        };
        shares.map(by_group).collect()
    }

    /// A node's validator API.
    pub(crate) fn validator_api(&self, node: usize) -> String {
        format!("http://{}", self.nodes[node][0])
    }

    /// Whether the node takes part.
    pub(crate) fn readiness(&self, node: usize) -> String {
        format!("http://{}/readyz", self.nodes[node][1])
    }

    /// Where the relay tells its addresses.
    pub(crate) fn relay_url(&self) -> String {
        format!("http://{}", self.relay[0])
    }

    pub(crate) fn start_relay(&mut self) {
        let args = vec![
            "relay".to_owned(),
            format!("--data-dir={}", self.folder.path().join("relay").display()),
            format!("--http-address={}", self.relay[0]),
            format!("--p2p-tcp-address={}", self.relay[1]),
            "--p2p-relays=".to_owned(),
            "--p2p-external-ip=127.0.0.1".to_owned(),
            "--p2p-advertise-private-addresses".to_owned(),
            "--log-color=disable".to_owned(),
        ];
        self.start("relay".to_owned(), self.folder.path().to_owned(), &args);
    }

    pub(crate) fn start_node(&mut self, node: usize) {
        let [api, monitoring, p2p] = self.nodes[node];
        let args = vec![
            "run".to_owned(),
            "--private-key-file=charon-enr-private-key".to_owned(),
            "--lock-file=cluster-lock.json".to_owned(),
            format!("--beacon-node-endpoints={}", self.beacon),
            format!("--validator-api-address={api}"),
            format!("--monitoring-address={monitoring}"),
            format!("--p2p-tcp-address={p2p}"),
            format!("--p2p-relays={}", self.relay_url()),
            "--p2p-external-ip=127.0.0.1".to_owned(),
            "--log-format=logfmt".to_owned(),
            "--log-color=disable".to_owned(),
        ];
        self.start(format!("node{node}"), self.seat(node), &args);
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    fn start(&mut self, name: String, folder: PathBuf, args: &[String]) {
        let log = File::options().create(true).append(true).open(self.log(&name)).unwrap();
        let child = Command::new(self.folder.path().join("trireme"))
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.tell_watchdog('+', &child);
        self.running.insert(name, child);
    }

    /// SIGKILL, and waits until the process is gone.
    pub(crate) async fn kill(&mut self, node: usize) {
        let mut child = self.running.remove(&format!("node{node}")).unwrap();
        assert_eq!(
            child.try_wait().unwrap(),
            None,
            "node{node} ended by itself: {}",
            self.tail(&format!("node{node}"))
        );
        self.tell_watchdog('-', &child);
        child.kill().await.unwrap();
    }

    fn tell_watchdog(&mut self, what: char, child: &Child) {
        let pipe = self.watchdog.stdin.as_mut().unwrap();
        writeln!(pipe, "{what}{}", child.id().unwrap()).unwrap();
    }

    /// Fails if a process is gone that nobody killed.
    pub(crate) fn check_alive(&mut self) {
        let ended = |(name, child): (&String, &mut Child)| Some((name.clone(), child.try_wait().unwrap()?));
        let gone = self.running.iter_mut().find_map(ended);
        if let Some((name, status)) = gone {
            panic!("{name} ended by itself with {status}: {}", self.tail(&name));
        }
    }

    /// The end of a process's log.
    pub(crate) fn tail(&self, name: &str) -> String {
        let text = fs::read(self.log(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Lines of all nodes' logs that speak of a panic.
    pub(crate) fn panics(&self) -> Vec<String> {
        let read = |n| fs::read(self.log(&format!("node{n}"))).unwrap_or_default();
        let lines = |n| -> Vec<String> {
            let text = String::from_utf8_lossy(&read(n)).into_owned();
            text.lines()
                .filter(|l| l.contains("panicked"))
                .map(str::to_owned)
                .collect()
        };
        (0..self.nodes.len()).flat_map(lines).collect()
    }

    /// Leaves the folder with all logs in place, for whoever looks for the reason of a failure.
    pub(crate) fn keep(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Children are killed when they are dropped; the watchdog ends with its pipe and kills them again at worst.
        self.running.clear();
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

fn open(file: &Path) -> SecretKey {
    let keystore = Keystore::from_json(&fs::read(file).unwrap()).unwrap();
    let secret = keystore
        .decrypt(&fs::read(file.with_extension("txt")).unwrap())
        .unwrap();
    SecretKey::from_bytes(&secret).unwrap()
}

/// Asks until the answer is a success; how long that may take is the caller's affair.
pub(crate) async fn until_answered(client: &reqwest::Client, url: &str) {
    while !client.get(url).send().await.is_ok_and(|a| a.status().is_success()) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
