//! What the machine itself was doing: one [`HostSample`] a second for the record, and [`Machine`], what it is, for the
//! manifest. Both only read files of `/proc`; the run loop calls the first, the results writer the second. And its clock.

use std::{fs, io};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// `CLOCK_MONOTONIC` now, nanoseconds: the clock that nodes share.
pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Why the machine could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A file of `/proc` could not be read.
    #[error("{file} cannot be read: {source}")]
    Read {
        /// Which.
        file: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file of `/proc` does not have what it has on Linux.
    #[error("{file} has no usable `{field}`")]
    Field {
        /// Which file.
        file: &'static str,
        /// What was looked for.
        field: &'static str,
    },
}

const STAT: &str = "/proc/stat";
const MEMINFO: &str = "/proc/meminfo";
const LOADAVG: &str = "/proc/loadavg";
const CPUINFO: &str = "/proc/cpuinfo";

/// The host at one moment. Times and stalls count from boot on; the differences of two samples are what was used between
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HostSample {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub at_ns: u64,
    /// Processor time of all cores together.
    pub cpu: CpuTimes,
    /// Memory that could be given out without swapping, bytes.
    pub memory_available_bytes: u64,
    /// Mean number of runnable tasks over the last minute.
    pub load_1m: f64,
    /// Tasks that run or wait for a processor at this moment.
    pub runnable: u32,
    /// Cores that are online, hardware threads counted.
    pub cores: u32,
    /// `CLOCK_REALTIME` less `CLOCK_MONOTONIC`: it changes when the machine's clock is set.
    pub wall_offset_ns: i64,
    /// `CLOCK_BOOTTIME` less `CLOCK_MONOTONIC`: it grows while the machine sleeps.
    pub boot_offset_ns: i64,
    /// Pressure stall information; none where the kernel does not keep it.
    pub pressure: Option<Pressure>,
}

/// Processor time by kind in milliseconds, summed over all cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CpuTimes {
    /// In user space, niced or not.
    pub user_ms: u64,
    /// In the kernel.
    pub system_ms: u64,
    /// In interrupts and soft interrupts (where packets are handled).
    pub interrupt_ms: u64,
    /// Idle, waiting for disks included.
    pub idle_ms: u64,
    /// Taken away by the hypervisor.
    pub steal_ms: u64,
}

impl CpuTimes {
    /// All of it.
    pub fn total_ms(&self) -> u64 {
        self.user_ms + self.system_ms + self.interrupt_ms + self.idle_ms + self.steal_ms
    }
}

/// Time in which at least one task waited for a resource, microseconds since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pressure {
    /// For a processor.
    pub cpu_us: u64,
    /// For memory.
    pub memory_us: u64,
    /// For disks.
    pub io_us: u64,
}

impl HostSample {
    /// Reads the host now.
    pub fn read() -> Result<Self, HostError> {
        let now = clock(ClockId::Monotonic);
        let (wall, boot) = (clock(ClockId::Realtime), clock(ClockId::Boottime));
        let stat = read(STAT)?;
        let ticks = rustix::param::clock_ticks_per_second();
        Ok(Self {
            at_ns: now as u64,
            wall_offset_ns: wall - now,
            boot_offset_ns: boot - now,
            cpu: parse_cpu(&stat, ticks).ok_or(HostError::Field { file: STAT, field: "cpu" })?,
            runnable: parse_runnable(&stat).ok_or(HostError::Field { file: STAT, field: "procs_running" })?,
            cores: stat.lines().filter(|line| is_core(line)).count() as u32,
            memory_available_bytes: parse_meminfo(&read(MEMINFO)?, "MemAvailable")
                .ok_or(HostError::Field { file: MEMINFO, field: "MemAvailable" })?,
            load_1m: parse_load(&read(LOADAVG)?).ok_or(HostError::Field { file: LOADAVG, field: "load" })?,
            pressure: read_pressure(),
        })
    }
}

/// What the machine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The kernel's release, `6.12.0-…`.
    pub kernel: String,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// The processor's name; on machines whose kernel gives none, its implementer and part numbers.
    pub cpu_model: String,
    /// Cores that are online, hardware threads counted.
    pub cores: u32,
    /// All its memory, bytes.
    pub memory_bytes: u64,
}

impl Machine {
    /// Reads what the machine is.
    pub fn read() -> Result<Self, HostError> {
        let name = rustix::system::uname();
        let cpuinfo = read(CPUINFO)?;
        Ok(Self {
            kernel: name.release().to_string_lossy().into_owned(),
            architecture: name.machine().to_string_lossy().into_owned(),
            cpu_model: parse_cpu_model(&cpuinfo).ok_or(HostError::Field { file: CPUINFO, field: "model name" })?,
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count() as u32,
            memory_bytes: parse_meminfo(&read(MEMINFO)?, "MemTotal")
                .ok_or(HostError::Field { file: MEMINFO, field: "MemTotal" })?,
        })
    }
}

fn read(file: &'static str) -> Result<String, HostError> {
    fs::read_to_string(file).map_err(|source| HostError::Read { file, source })
}

/// The kernel may be built or booted without pressure stall information; that is no error.
fn read_pressure() -> Option<Pressure> {
    let total = |name: &str| parse_pressure(&fs::read_to_string(format!("/proc/pressure/{name}")).ok()?);
    Some(Pressure { cpu_us: total("cpu")?, memory_us: total("memory")?, io_us: total("io")? })
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal in clock ticks. Guest time is
/// already part of user time.
fn parse_cpu(stat: &str, ticks_per_second: u64) -> Option<CpuTimes> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    let ms = |at: usize| ticks.get(at).map(|count| count * 1000 / ticks_per_second.max(1));
    Some(CpuTimes {
        user_ms: ms(0)? + ms(1)?,
        system_ms: ms(2)?,
        idle_ms: ms(3)? + ms(4)?,
        interrupt_ms: ms(5)? + ms(6)?,
        steal_ms: ms(7)?,
    })
}

fn clock(which: ClockId) -> i64 {
    let time = clock_gettime(which);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

fn parse_runnable(stat: &str) -> Option<u32> {
    stat.lines().find_map(|line| line.strip_prefix("procs_running "))?.trim().parse().ok()
}

/// Whether a line of `/proc/stat` is about one core.
fn is_core(line: &str) -> bool {
    line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

fn parse_meminfo(meminfo: &str, field: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn parse_load(loadavg: &str) -> Option<f64> {
    loadavg.split_whitespace().next()?.parse().ok().filter(|load: &f64| load.is_finite())
}

fn parse_pressure(text: &str) -> Option<u64> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    some.split_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()
}

fn parse_cpu_model(cpuinfo: &str) -> Option<String> {
    let field = |name: &str| {
        cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    // arm64 kernels print numbers instead of a name.
    field("model name")
        .or_else(|| Some(format!("implementer {} part {}", field("CPU implementer")?, field("CPU part")?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_summed_by_kind() {
        let stat = "cpu  100 20 30 400 50 6 7 80 90 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n";
        let cpu = parse_cpu(stat, 100).expect("a whole line");
        let expected = CpuTimes { user_ms: 1200, system_ms: 300, interrupt_ms: 130, idle_ms: 4500, steal_ms: 800 };
        assert_eq!(cpu, expected);
        assert_eq!(cpu.total_ms(), 6930);
        let stat = format!("{stat}cpu1 0\ncpufreq 1\nprocs_running 7\n");
        assert_eq!(parse_runnable(&stat), Some(7));
        assert_eq!(stat.lines().filter(|line| is_core(line)).count(), 2);
        assert_eq!(parse_runnable("procs_running many\n"), None);
        assert_eq!(parse_cpu("cpu  1 2 3", 100), None);
        assert_eq!(parse_cpu("intr 5", 100), None);
    }

    #[test]
    fn memory_load_and_pressure_are_read_and_damaged_lines_refused() {
        assert_eq!(parse_meminfo("MemTotal:  16 kB\nMemAvailable:   3 kB\n", "MemAvailable"), Some(3072));
        assert_eq!(parse_meminfo("MemTotal:  16 kB\n", "MemAvailable"), None);
        assert_eq!(parse_load("0.42 0.26 0.34 1/90 11493\n"), Some(0.42));
        assert_eq!(parse_load("nan 1 2"), None);
        assert_eq!(
            parse_pressure("some avg10=0.00 avg60=0.07 avg300=0.55 total=23018398\nfull total=1"),
            Some(23_018_398)
        );
        assert_eq!(parse_pressure("full avg10=0.00 total=1"), None);
    }

    #[test]
    fn a_processor_has_a_name_on_every_architecture() {
        assert_eq!(parse_cpu_model("processor\t: 0\nmodel name\t: Fast One\n"), Some("Fast One".into()));
        let arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n";
        assert_eq!(parse_cpu_model(arm), Some("implementer 0x41 part 0xd0c".into()));
        assert_eq!(parse_cpu_model("processor : 0\n"), None);
    }

    #[test]
    fn this_host_can_be_read_and_its_counters_do_not_go_back() {
        let first = HostSample::read().expect("Linux");
        let second = HostSample::read().expect("Linux");
        assert!(second.at_ns >= first.at_ns && second.cpu.total_ms() >= first.cpu.total_ms());
        let machine = Machine::read().expect("Linux");
        assert!(machine.cores >= 1 && machine.memory_bytes > second.memory_available_bytes / 2);
    }
}
