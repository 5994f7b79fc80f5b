//! Use of the processor, memory and files, read from `/proc` on each scrape, under the names that dashboards plot.
//!
//! Names that begin with `go_` are kept for those dashboards: `go_goroutines` is the number of live tasks, the heap
//! figures are the resident private memory. Without `/proc` (outside Linux) the process figures are left out.

use std::{fmt, fs};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge, histogram::Histogram},
    registry::Registry,
};

/// Clock ticks per second in `/proc/self/stat`; the kernel's ABI fixes 100 for user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// Collects the figures of this process.
pub struct ProcessMetrics {
    tasks: Box<dyn Fn() -> usize + Send + Sync>,
}

impl fmt::Debug for ProcessMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProcessMetrics")
    }
}

impl ProcessMetrics {
    /// With a function that tells how many tasks live.
    #[must_use]
    pub fn new(tasks: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        Self { tasks: Box::new(tasks) }
    }

    /// Puts the figures into a registry.
    pub fn register(self, registry: &mut Registry) {
        registry.register(
            "go_gc_duration_seconds",
            "Always 0: there is no garbage collector, but dashboards ask",
            Histogram::new(std::iter::empty()),
        );
        registry.register_collector(Box::new(self));
    }
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        gauge(&mut to, "go_goroutines", "Live asynchronous tasks", (self.tasks)())?;
        if let Some(seen) = Seen::read() {
            let cpu = ConstCounter::new(seen.cpu_seconds);
            let help = "Processor time of user and system in seconds";
            cpu.encode(to.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?)?;
            gauge(
                &mut to,
                "process_resident_memory_bytes",
                "Resident memory",
                seen.resident_bytes,
            )?;
            gauge(
                &mut to,
                "process_virtual_memory_bytes",
                "Virtual memory",
                seen.virtual_bytes,
            )?;
            gauge(
                &mut to,
                "go_memstats_alloc_bytes",
                "Resident memory that is not shared",
                seen.private_bytes,
            )?;
            gauge(
                &mut to,
                "go_memstats_heap_inuse_bytes",
                "Resident memory that is not shared",
                seen.private_bytes,
            )?;
            gauge(&mut to, "process_open_fds", "Open file descriptors", seen.open_files)?;
            gauge(
                &mut to,
                "process_max_fds",
                "Largest number of open file descriptors",
                seen.max_files,
            )?;
            let start = ConstGauge::new(seen.start_seconds);
            let help = "Start of the process, Unix seconds";
            start.encode(to.encode_descriptor("process_start_time_seconds", help, None, start.metric_type())?)?;
        }
        Ok(())
    }
}

fn gauge(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: impl TryInto<i64>) -> fmt::Result {
    let gauge = ConstGauge::new(value.try_into().unwrap_or(i64::MAX));
    gauge.encode(to.encode_descriptor(name, help, None, gauge.metric_type())?)
}

/// What `/proc` says.
struct Seen {
    cpu_seconds: f64,
    start_seconds: f64,
    resident_bytes: u64,
    private_bytes: u64,
    virtual_bytes: u64,
    open_files: usize,
    max_files: u64,
}

impl Seen {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The program's name, in parentheses, may hold anything; what follows is numbers. proc(5) counts from 1 and
        // calls the first of them field 3.
        let numbers: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |field: usize| numbers.get(field.checked_sub(3)?)?.parse::<f64>().ok();
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot: f64 = boot
            .lines()
            .find_map(|l| l.strip_prefix("btime "))?
            .trim()
            .parse()
            .ok()?;
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(name))?;
            Some(
                line.split_whitespace()
                    .next()?
                    .parse::<u64>()
                    .ok()?
                    .saturating_mul(1024),
            )
        };
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        let files = limits.lines().find_map(|l| l.strip_prefix("Max open files"))?;
        Some(Self {
            cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND,
            start_seconds: boot + ticks(22)? / TICKS_PER_SECOND,
            resident_bytes: kib("VmRSS:")?,
            private_bytes: kib("RssAnon:")?,
            virtual_bytes: kib("VmSize:")?,
            open_files: fs::read_dir("/proc/self/fd").ok()?.count(),
            max_files: files.split_whitespace().next()?.parse().unwrap_or(u64::MAX),
        })
    }
}
