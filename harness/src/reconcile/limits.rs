//! Where a run stops being trustworthy: every limit with its reason. `docs/results.md` lists them, and a test compares.

/// Wire bytes of a kind are at least content bytes times this: a 1500-byte packet holds 20 bytes of IP, 20 of TCP and at
/// most 1460 of content. With TCP timestamps, which Linux uses, it holds 1448.
pub const OVERHEAD_MIN: f64 = 1500.0 / 1460.0;

/// Wire bytes of a kind are at most content bytes times this, beside the allowances below. 1500/1448 = 1.036 for headers
/// with timestamps; at worst one acknowledgement of 88 bytes with SACK blocks for each segment makes 1.097; the rest is for
/// segments that arrived twice and segments that were not full.
pub const OVERHEAD_MAX: f64 = 1.25;

/// Wire bytes that a started download may cost beside its content, for each kind: handshakes, tokens, refused connections.
pub const PER_DOWNLOAD_BYTES: u64 = 64 * 1024;

/// Wire bytes that a piece of a started download may cost on its way from an edge: its hash in the manifest, its HTTP
/// request and the headers of the answer.
pub const PER_EDGE_PIECE_BYTES: u64 = 1024;

/// Wire bytes that a piece of a started download may cost for each connection to a peer: to ask for it, and to tell that
/// it is here.
pub const PER_PEER_PIECE_BYTES: u64 = 256;

/// Wire bytes that an attacker may cause beside content, of each kind: what it sends that is no frame, and the connections that
/// are refused to it.
pub const PER_ATTACKER_BYTES: u64 = 1 << 20;

/// Beside what its delay holds, a downlink may still hold so many bytes when the last counters are read: two packets.
pub const UNDERWAY_PER_NODE_BYTES: u64 = 3000;

/// What an unlimited downlink may hold by its delay when the last counters are read: one full socket buffer.
pub const UNDERWAY_UNLIMITED_BYTES: u64 = 4 << 20;

/// At most this share of the packets that entered a link may have left it neither carried nor dropped nor lost. The `wire` engine
/// counts exactly; with `tc` two counters of the kernel are read one after the other.
pub const MISSING_SHARE_MAX: f64 = 0.001;

/// At most this share of all content bytes may belong to pairs that are set apart because a connection broke: what is
/// mostly set apart is not reconciled.
pub const BROKEN_SHARE_MAX: f64 = 0.5;

/// A second is marked when the 99th percentile of the engine's lateness in it is over this.
pub const LATE_P99_MAX_MS: f64 = 5.0;

/// A second is marked when a single packet was later than this in the engine: about what a TCP sender takes for a change of the
/// path.
pub const LATE_MAX_MAX_MS: f64 = 50.0;

/// A second is marked when the harness's own tick was later than this.
pub const TICK_LATE_MARK_MS: f64 = 100.0;

/// A second is marked when the processors were idle for less than the rest: whoever becomes runnable then waits.
pub const BUSY_MAX_PERCENT: f64 = 95.0;

/// A second is marked when for more than this share of it some task waited for a processor. Runs that keep their times reach
/// 60 % on two cores.
pub const PRESSURE_CPU_MAX_PERCENT: f64 = 85.0;

/// A second is marked when for more than this share of it some task waited for memory.
pub const PRESSURE_MEMORY_MAX_PERCENT: f64 = 10.0;

/// A second is marked when the hypervisor took more than this share of the processor time.
pub const STEAL_MARK_PERCENT: f64 = 20.0;

/// A second is marked when interrupts and soft interrupts took more than this share of the processor time.
pub const INTERRUPTS_MAX_PERCENT: f64 = 50.0;

/// A second is marked when at its end more than so many tasks were runnable for each core.
pub const RUNNABLE_PER_CORE_MAX: f64 = 8.0;

/// At most this share of the seconds in which packets were released may be marked. In a run of less than ten seconds a single
/// one is over it.
pub const MARKED_SECONDS_SHARE_MAX: f64 = 0.1;

/// Between two samples the wall clock may go so much faster or slower than the monotonic one: what time daemons do without a
/// step is at most a tenth of it.
pub const CLOCK_STEP_MAX_MS: f64 = 100.0;

/// The harness's own one-second tick may be at most so late.
pub const TICK_LATE_MAX_MS: f64 = 500.0;

/// At most this share of the processor time of the run may be taken by the hypervisor.
pub const STEAL_SHARE_MAX: f64 = 0.1;

/// Downloads that were to begin in the last so many milliseconds of a run need not have begun.
pub const START_GRACE_MS: u64 = 250;

/// So many reasons of one check are written out; the rest is only counted.
pub const REASONS_PER_CHECK: usize = 5;
