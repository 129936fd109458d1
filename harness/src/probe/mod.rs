//! `peerbed probe`: small traffic sources and sinks that run inside nodes to measure a link. Hidden; used by `bench` and
//! by calibration.
//!
//! Each prints one line, a JSON object, when it is ready (`{"ready":true}`) where somebody waits for it, and one when it is
//! done. Sockets are plain and blocking: nothing but the link is to be measured.

pub(crate) mod field;
mod sys;

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

/// Which probe.
#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    #[command(subcommand)]
    probe: Probe,
}

#[derive(Debug, Subcommand)]
enum Probe {
    /// Accepts one TCP connection and counts what it reads in a window after `skip_ms`
    Sink {
        listen: SocketAddr,
        skip_ms: u64,
        for_ms: u64,
        /// So many bytes are read at once, so that the sink itself costs little
        #[arg(default_value_t = 1)]
        at_once: u32,
    },
    /// Connects and writes for so long
    Source {
        to: SocketAddr,
        for_ms: u64,
        /// At most so many bytes a second, spread evenly; 0: as many as TCP lets it
        #[arg(default_value_t = 0)]
        pace: u32,
    },
    /// Sends every datagram back, with how long it was kept
    Echo { listen: SocketAddr },
    /// Sends datagrams one after the other to an echo and measures the round trips
    Ping { to: SocketAddr, count: u32, interval_us: u64, wait_ms: u64 },
    /// Sends datagrams at a steady pace
    Blast { to: SocketAddr, count: u32, bytes: usize, per_second: u32 },
    /// Receives what a blast sends, and measures how long each datagram was under way; gives up after so long a silence
    Gauge { listen: SocketAddr, wait_ms: u64 },
}

/// What a probe says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// It listens.
    Ready,
    /// Payload bytes in a window.
    Window {
        /// Bytes.
        bytes: u64,
        /// The window's length between its first and last read.
        nanos: u64,
    },
    /// Round trips, sorted, nanoseconds; lost ones are absent.
    RoundTrips(Vec<u64>),
    /// What a blast sent, and how long it took.
    Sent {
        /// So many datagrams.
        datagrams: u64,
        /// From the first to the last.
        nanos: u64,
    },
    /// What came of a blast.
    Gauged(Gauged),
    /// It has nothing to say but that it is done.
    Done,
}

/// TCP payload of a 1500-byte packet with timestamps: what a flow's payload is of its rate.
pub(crate) const TCP_PAYLOAD: f64 = 1448.0 / 1500.0;

/// Empty datagrams that end a blast.
const LAST_WORDS: u32 = 10;
const BETWEEN_LAST_WORDS: Duration = Duration::from_millis(20);

/// What came of a blast, by the times at which the kernel got it; all zero if nothing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gauged {
    /// Datagrams that came.
    pub(crate) datagrams: u64,
    /// When the first came, nanoseconds since 1970.
    pub(crate) first_ns: u64,
    /// From the first to the last.
    pub(crate) nanos: u64,
    /// The shortest time under way, nanoseconds.
    pub(crate) least_ns: u64,
    /// The median.
    pub(crate) median_ns: u64,
    /// The longest.
    pub(crate) most_ns: u64,
}

fn say(report: &Report) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(report)?).context("standard output is closed")?;
    out.flush().context("standard output is closed")
}

/// Runs one probe to its end.
pub(crate) fn run(args: &ProbeArgs) -> anyhow::Result<ExitCode> {
    let ms = Duration::from_millis;
    match args.probe {
        Probe::Sink { listen, skip_ms, for_ms, at_once } => sink(listen, ms(skip_ms), ms(for_ms), at_once)?,
        Probe::Source { to, for_ms, pace } => source(to, ms(for_ms), pace)?,
        Probe::Echo { listen } => echo(listen)?,
        Probe::Ping { to, count, interval_us, wait_ms } => {
            ping(to, count, Duration::from_micros(interval_us), ms(wait_ms))?;
        }
        Probe::Blast { to, count, bytes, per_second } => blast(to, count, bytes, per_second)?,
        Probe::Gauge { listen, wait_ms } => gauge(listen, ms(wait_ms))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn sink(listen: SocketAddr, skip: Duration, window: Duration, at_once: u32) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    say(&Report::Ready)?;
    let (mut stream, _) = listener.accept().context("cannot accept")?;
    sys::wake_for(&stream, at_once).context("cannot choose how much is read at once")?;
    let mut buffer = vec![0; 1 << 20];
    let mut first_read: Option<Instant> = None;
    let mut span: Option<(Instant, Instant, u64)> = None;
    loop {
        let read = stream.read(&mut buffer).context("the connection broke")?;
        let now = Instant::now();
        let since = now - *first_read.get_or_insert(now);
        if read == 0 || since > skip + window {
            break;
        }
        if since < skip {
            continue;
        }
        // The first read of the window only sets its beginning: its bytes came before.
        span = Some(span.map_or((now, now, 0), |(from, _, bytes)| (from, now, bytes + read as u64)));
    }
    let (from, to, bytes) = span.context("nothing came in the window")?;
    say(&Report::Window { bytes, nanos: (to - from).as_nanos() as u64 })
}

fn source(to: SocketAddr, length: Duration, pace: u32) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(to).with_context(|| format!("cannot connect to {to}"))?;
    if pace > 0 {
        sys::pace(&stream, pace).context("cannot set the pace")?;
    }
    let block = vec![0; 256 << 10];
    let end = Instant::now() + length;
    while Instant::now() < end {
        match stream.write(&block) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => break,
            Err(error) => return Err(error).context("cannot write"),
        }
    }
    say(&Report::Done)
}

fn echo(listen: SocketAddr) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(listen).with_context(|| format!("cannot bind {listen}"))?;
    sys::stamp_arrivals(&socket).context("cannot ask for the times of arrival")?;
    say(&Report::Ready)?;
    let mut buffer = [0; 8];
    loop {
        let (length, at, from) = sys::receive_from(&socket, &mut buffer).context("cannot receive")?;
        // How long this process took to wake and to answer is not the link's doing. The clock may be set back meanwhile.
        let kept = now()?.saturating_sub(at).as_nanos() as u64;
        let answer = [&buffer[..length], &kept.to_be_bytes()].concat();
        socket.send_to(&answer, from).context("cannot send back")?;
    }
}

fn ping(to: SocketAddr, count: u32, interval: Duration, wait: Duration) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).context("cannot bind a socket")?;
    socket.connect(to).with_context(|| format!("cannot reach {to}"))?;
    // The kernel notes when an answer comes in: how long it then takes to wake this process is not the link's doing.
    sys::stamp_arrivals(&socket).context("cannot ask for the times of arrival")?;
    socket.set_read_timeout(Some(wait)).context("cannot set the time-out")?;
    let mut trips = Vec::with_capacity(count as usize);
    let mut buffer = [0; 64];
    let mut next = Instant::now();
    for sequence in 0..count {
        if let Some(wait) = next.checked_duration_since(Instant::now()) {
            std::thread::sleep(wait);
        }
        next = Instant::now() + interval;
        let sent = now()?;
        socket.send(&sequence.to_be_bytes()).context("cannot send")?;
        loop {
            match sys::receive(&socket, &mut buffer) {
                Ok((12, at)) if buffer[..4] == sequence.to_be_bytes() => {
                    let kept = u64::from_be_bytes(buffer[4..12].try_into().context("eight bytes")?);
                    // The clock may be set back meanwhile; such a trip is none.
                    let trip = at.checked_sub(sent).and_then(|trip| trip.checked_sub(Duration::from_nanos(kept)));
                    trips.extend(trip.map(|trip| trip.as_nanos() as u64));
                    break;
                }
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) => return Err(error).context("cannot receive"),
            }
        }
    }
    trips.sort_unstable();
    say(&Report::RoundTrips(trips))
}

fn blast(to: SocketAddr, count: u32, bytes: usize, per_second: u32) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).context("cannot bind a socket")?;
    socket.connect(to).with_context(|| format!("cannot reach {to}"))?;
    let mut payload = vec![0; bytes.max(size_of::<u64>())];
    let begin = Instant::now();
    for sent in 0..count {
        let due = begin + Duration::from_secs_f64(f64::from(sent) / f64::from(per_second));
        if let Some(wait) = due.checked_duration_since(Instant::now())
            && wait > Duration::from_micros(500)
        {
            std::thread::sleep(wait);
        }
        payload[..size_of::<u64>()].copy_from_slice(&(now()?.as_nanos() as u64).to_be_bytes());
        send(&socket, &payload)?;
    }
    let nanos = begin.elapsed().as_nanos() as u64;
    // The link may lose some of these or have no room for them.
    for _ in 0..LAST_WORDS {
        std::thread::sleep(BETWEEN_LAST_WORDS);
        if !send(&socket, &[])? {
            // It was heard.
            break;
        }
    }
    say(&Report::Sent { datagrams: u64::from(count), nanos })
}

/// Send; false if nobody listens any more, which was found out by something that was sent before.
fn send(socket: &UdpSocket, payload: &[u8]) -> anyhow::Result<bool> {
    match socket.send(payload) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(false),
        Err(error) => Err(error).context("cannot send"),
    }
}

/// The clock of the kernel's stamps, which all nodes of a machine share.
pub(crate) fn now() -> anyhow::Result<Duration> {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock is before 1970")
}

fn gauge(listen: SocketAddr, wait: Duration) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(listen).with_context(|| format!("cannot bind {listen}"))?;
    // What the link delivers must not be lost for want of room here while this process waits for a core.
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4 << 20).context("cannot enlarge the receive buffer")?;
    sys::stamp_arrivals(&socket).context("cannot ask for the times of arrival")?;
    socket.set_read_timeout(Some(wait)).context("cannot set the time-out")?;
    say(&Report::Ready)?;
    let mut buffer = [0; 2048];
    let mut trips: Vec<u64> = Vec::new();
    let mut span: Option<(Duration, Duration)> = None;
    loop {
        match sys::receive(&socket, &mut buffer) {
            Ok((length, at)) => {
                // The last word.
                let Some(sent) = buffer[..length].first_chunk() else { break };
                trips.push((at.as_nanos() as u64).saturating_sub(u64::from_be_bytes(*sent)));
                span = Some((span.map_or(at, |(first, _)| first), at));
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => return Err(error).context("cannot receive"),
        }
    }
    trips.sort_unstable();
    let trip = |index: usize| trips.get(index).copied().unwrap_or(0);
    let nanos = span.map_or(0, |(first, last)| last.saturating_sub(first).as_nanos() as u64);
    say(&Report::Gauged(Gauged {
        datagrams: trips.len() as u64,
        first_ns: span.map_or(0, |(first, _)| first.as_nanos() as u64),
        nanos,
        least_ns: trip(0),
        median_ns: trip(trips.len() / 2),
        most_ns: trip(trips.len().saturating_sub(1)),
    }))
}
