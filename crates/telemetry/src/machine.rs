//! The machine that a node runs on, as a monitoring service wants to know it (VC-113): processor, memory, disk, network.
//!
//! Guarantees: figures are the kernel's own, read when they are asked for; what a system does not tell is left out.
//! Not here: the figures of this process (`metrics`), where they are sent (`push`).

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Map, Value};

/// Clock ticks per second in `/proc/stat`; the kernel's ABI fixes 100 for user space.
const TICKS: u64 = 100;
/// Devices in `/proc/diskstats` that are made of others, or of memory.
const NO_DISKS: [&str; 5] = ["loop", "ram", "zram", "dm-", "md"];

/// The fields of an object `system` that can be had. `disk` is a path on the disk that matters.
#[must_use]
pub fn figures(disk: &Path) -> Map<String, Value> {
    let read = |file: &str| fs::read_to_string(Path::new("/proc").join(file)).unwrap_or_default();
    let mut all = Vec::new();
    all.extend(processors(&read("cpuinfo")));
    all.extend(processor_times(&read("stat")));
    all.extend(memory(&read("meminfo")));
    all.extend(disk_traffic(&read("diskstats")));
    all.extend(network(&read("net/dev")));
    all.extend(room(disk));
    let mut out: Map<String, Value> = all.into_iter().map(|(name, n)| (name.to_owned(), n.into())).collect();
    let os = match std::env::consts::OS {
        "linux" => "lin",
        "windows" => "win",
        "macos" => "mac",
        _ => "unk",
    };
    out.insert("misc_os".to_owned(), os.into());
    out
}

type Figure = (&'static str, u64);

/// Threads are what the kernel calls processors; those of one core have its number and its socket's.
fn processors(cpuinfo: &str) -> Vec<Figure> {
    let value = |line: &str, name: &str| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    };
    let (mut threads, mut cores, mut socket) = (0_u64, BTreeSet::new(), String::new());
    for line in cpuinfo.lines() {
        if value(line, "processor").is_some() {
            threads = threads.saturating_add(1);
        } else if let Some(id) = value(line, "physical id") {
            socket = id;
        } else if let Some(id) = value(line, "core id") {
            cores.insert((socket.clone(), id));
        }
    }
    if threads == 0 {
        return Vec::new();
    }
    let cores = u64::try_from(cores.len()).ok().filter(|n| *n > 0).unwrap_or(threads);
    vec![("cpu_cores", cores), ("cpu_threads", threads)]
}

fn processor_times(stat: &str) -> Vec<Figure> {
    let mut out = Vec::new();
    for line in stat.lines() {
        if let Some(boot) = line.strip_prefix("btime ").and_then(|n| n.trim().parse().ok()) {
            out.push(("misc_node_boot_ts_seconds", boot));
        }
        let Some(times) = line.strip_prefix("cpu ") else {
            continue;
        };
        let seconds: Vec<u64> = numbers(times)
            .map(|ticks| ticks.checked_div(TICKS).unwrap_or_default())
            .collect();
        // user, nice, system, idle, iowait
        if let [user, nice, system, idle, waiting, ..] = seconds[..] {
            out.extend([
                ("cpu_node_user_seconds_total", user.saturating_add(nice)),
                ("cpu_node_system_seconds_total", system),
                ("cpu_node_idle_seconds_total", idle),
                ("cpu_node_iowait_seconds_total", waiting),
            ]);
        }
    }
    out
}

fn memory(meminfo: &str) -> Vec<Figure> {
    const NAMES: [(&str, &str); 4] = [
        ("MemTotal:", "memory_node_bytes_total"),
        ("MemFree:", "memory_node_bytes_free"),
        ("Cached:", "memory_node_bytes_cached"),
        ("Buffers:", "memory_node_bytes_buffers"),
    ];
    let figure = |(theirs, ours): (&str, &'static str)| {
        let line = meminfo.lines().find_map(|l| l.strip_prefix(theirs))?;
        Some((ours, numbers(line).next()?.saturating_mul(1024)))
    };
    NAMES.into_iter().filter_map(figure).collect()
}

/// All disks together, without their partitions: a name that continues an earlier one with digits is one of its parts.
fn disk_traffic(diskstats: &str) -> Vec<Figure> {
    let (mut reads, mut writes, mut busy) = (0_u64, 0_u64, 0_u64);
    let mut disks: Vec<&str> = Vec::new();
    for line in diskstats.lines() {
        let mut words = line.split_whitespace().skip(2);
        let Some(name) = words.next() else { continue };
        let is_part = disks.iter().any(|disk| {
            let rest = name.strip_prefix(disk).unwrap_or_default();
            let number = rest.strip_prefix('p').unwrap_or(rest);
            !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        });
        if is_part || NO_DISKS.iter().any(|other| name.starts_with(other)) {
            continue;
        }
        let figures: Vec<u64> = words.map(|word| word.parse().unwrap_or_default()).collect();
        // reads, merged, sectors, ms reading, writes, merged, sectors, ms writing, under way, ms busy
        if let [read, _, _, _, written, _, _, _, _, ms, ..] = figures[..] {
            disks.push(name);
            reads = reads.saturating_add(read);
            writes = writes.saturating_add(written);
            busy = busy.saturating_add(ms);
        }
    }
    if disks.is_empty() {
        return Vec::new();
    }
    let seconds = busy.checked_div(1_000).unwrap_or_default();
    vec![
        ("disk_node_reads_total", reads),
        ("disk_node_writes_total", writes),
        ("disk_node_io_seconds", seconds),
    ]
}

/// All interfaces but the one to ourselves.
fn network(dev: &str) -> Vec<Figure> {
    let (mut received, mut sent, mut found) = (0_u64, 0_u64, false);
    for line in dev.lines() {
        let Some((name, figures)) = line.split_once(':') else {
            continue;
        };
        let figures: Vec<u64> = numbers(figures).collect();
        // Bytes received, and behind seven other figures bytes sent.
        if let ([got, _, _, _, _, _, _, _, gave, ..], false) = (&figures[..], name.trim() == "lo") {
            found = true;
            received = received.saturating_add(*got);
            sent = sent.saturating_add(*gave);
        }
    }
    if !found {
        return Vec::new();
    }
    vec![
        ("network_node_bytes_total_receive", received),
        ("network_node_bytes_total_transmit", sent),
    ]
}

fn room(disk: &Path) -> Vec<Figure> {
    let Ok(of) = rustix::fs::statvfs(disk) else {
        return Vec::new();
    };
    vec![
        ("disk_node_bytes_total", of.f_blocks.saturating_mul(of.f_frsize)),
        ("disk_node_bytes_free", of.f_bavail.saturating_mul(of.f_frsize)),
    ]
}

fn numbers(text: &str) -> impl Iterator<Item = u64> {
    text.split_whitespace().map_while(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_one_core_are_counted_as_one_core() {
        let one = |n: u8, core: u8| format!("processor\t: {n}\nphysical id\t: 0\ncore id\t\t: {core}\n\n");
        let text = [one(0, 0), one(1, 1), one(2, 0), one(3, 1)].concat();
        assert_eq!(processors(&text), [("cpu_cores", 2), ("cpu_threads", 4)]);
        assert_eq!(processors("processor : 0\n"), [("cpu_cores", 1), ("cpu_threads", 1)]);
        assert_eq!(processors(""), []);
    }

    #[test]
    fn times_are_seconds() {
        let text = "cpu  1000 200 300 4000 500 0 0\ncpu0 1 1 1 1 1\nbtime 1700000000\n";
        assert_eq!(
            processor_times(text),
            [
                ("cpu_node_user_seconds_total", 12),
                ("cpu_node_system_seconds_total", 3),
                ("cpu_node_idle_seconds_total", 40),
                ("cpu_node_iowait_seconds_total", 5),
                ("misc_node_boot_ts_seconds", 1_700_000_000)
            ]
        );
    }

    #[test]
    fn disks_are_counted_without_their_parts_and_networks_without_ourselves() {
        let text = "   8 0 sda 10 0 0 0 20 0 0 0 0 3000 0\n   8 1 sda1 9 0 0 0 9 0 0 0 0 9 0\n\
            259 0 nvme0n1 1 0 0 0 2 0 0 0 0 1500 0\n 259 1 nvme0n1p1 9 0 0 0 9 0 0 0 0 9 0\n 7 0 loop0 9 0 0 0 9 0 0 0 0 9 0\n";
        assert_eq!(
            disk_traffic(text),
            [
                ("disk_node_reads_total", 11),
                ("disk_node_writes_total", 22),
                ("disk_node_io_seconds", 4)
            ]
        );
        let text = "Inter-|   Receive\n face |bytes\n    lo: 7 0 0 0 0 0 0 0 7 0\n  eth0: 100 1 0 0 0 0 0 0 50 0\n eth1:1 1 0 0 0 0 0 0 2 0\n";
        assert_eq!(
            network(text),
            [
                ("network_node_bytes_total_receive", 101),
                ("network_node_bytes_total_transmit", 52)
            ]
        );
    }

    #[test]
    fn nonsense_is_left_out() {
        for text in ["", "cpu x", "cpu 1", "MemTotal:", "a b c", ":", "lo:"] {
            assert_eq!(processor_times(text), []);
            assert_eq!(memory(text), []);
            assert_eq!(disk_traffic(text), []);
            assert_eq!(network(text), []);
        }
        assert_eq!(room(Path::new("/nowhere/at/all")), []);
    }
}
