//! How large things may be. Generous for every experiment that one machine can carry, and far below what would exhaust it.

use std::time::Duration;

/// Hosts of one run, infrastructure included.
pub(crate) const NODES: u64 = 20_000;
/// Downloads of one run.
pub(crate) const DOWNLOADS: u64 = 200_000;
/// ASes of one topology.
pub(crate) const ASES: usize = 512;
/// Links of one topology.
pub(crate) const LINKS: usize = 16 * ASES;
/// People of one AS, a weight.
pub(crate) const POPULATION: u64 = 10_000_000_000;
/// Traces of one topology.
pub(crate) const TRACES: usize = 64;
/// Content objects of one experiment.
pub(crate) const CONTENTS: usize = 1_000;
/// Groups of one experiment.
pub(crate) const GROUPS: usize = 256;
/// Copies held at the start, over all groups.
pub(crate) const COPIES: u64 = 1_000_000;
/// Arms of one experiment, those of its matrix included.
pub(crate) const ARMS: usize = 64;
/// Paths of one matrix.
pub(crate) const PATHS: usize = 16;
/// Scales of one experiment; every arm is checked at each.
pub(crate) const SCALES: usize = 8;
/// Repeats of one experiment.
pub(crate) const REPEATS: u64 = 1_000;
/// Pairs after which a comparison is looked at. Fewer than six cannot show anything with an error of 5 %: the sign-flip test's
/// smallest p is `2 / 2ⁿ`.
pub(crate) const PAIRS: (u64, u64) = (6, 500);
/// Planned looks of a comparison.
pub(crate) const LOOKS: usize = 5;
/// Metrics that a comparison names.
pub(crate) const COMPARED: usize = 32;
/// Actions of a timeline.
pub(crate) const ACTIONS: usize = 1_000;
/// Workloads of one experiment.
pub(crate) const WORKLOADS: usize = 16;
/// Acts of users and machines beside downloads, expected of a run.
pub(crate) const HABITS: f64 = 500_000.0;
/// Moves of peers, expected of a run.
pub(crate) const MOVES: f64 = 20_000.0;
/// Places that one pattern of moves has.
pub(crate) const PLACES: usize = 16;
/// Links crossed on all routes between ASes with hosts, together.
pub(crate) const HOPS: usize = 2_000_000;
/// Bytes of one object: 1 byte to 1 TiB.
pub(crate) const SIZE: (u64, u64) = (1, 1 << 40);
/// Bytes of one piece: 16 KiB to 4 MiB.
pub(crate) const PIECE: (u64, u64) = (16 << 10, 4 << 20);
/// Pieces of one object; its manifest has 32 bytes for each.
pub(crate) const PIECES: u64 = 262_144;
/// Bytes of the name of a container image, its registry and its tag or digest included.
pub(crate) const IMAGE: usize = 255;
/// Memory of one container: 8 MiB, a little more than the least that engines take, to 64 GiB.
pub(crate) const MEMORY: (u64, u64) = (8 << 20, 64 << 30);
/// Processes and threads of one container: at most what kernels number by default.
pub(crate) const PIDS: (u64, u64) = (1, 32_768);
/// Length of a run.
pub(crate) const DURATION: (Duration, Duration) = (Duration::from_millis(100), Duration::from_hours(24));
/// One-way delay of a link.
pub(crate) const DELAY: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(10));
/// What may wait in front of a link, in time.
pub(crate) const QUEUE_TIME: (Duration, Duration) = (Duration::from_millis(1), Duration::from_mins(1));
/// What may wait in front of a link, in bytes: at least one full-size packet.
pub(crate) const QUEUE_BYTES: (u64, u64) = (1_500, 1 << 30);
/// The largest seed: whole numbers up to here survive every reader of JSON.
pub const SEED: u64 = (1 << 53) - 1;
/// How many times inflated reports are true.
pub(crate) const INFLATE: (u64, u64) = (2, 1_000);
/// Messages a second of one peer's flood.
pub(crate) const FLOOD: (u64, u64) = (1, 10_000);
