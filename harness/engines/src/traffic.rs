//! What runs inside the nodes of the tests: small programs that send, receive and measure, over plain sockets.
//!
//! Each prints `ready` when others may begin, and its result as one line of numbers.

mod meet;

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

/// Where every program listens.
const PORT: u16 = 4000;
/// Bytes in hand at once.
const CHUNK: usize = 1 << 18;
/// The pattern repeats after this many words: no common segment size divides it.
const PERIOD: usize = 65_521;

fn any() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))
}

/// Run the program that the arguments name.
pub(crate) fn main(arguments: &[String]) -> io::Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().map_err(io::Error::other);
    let host = |text: &str| text.parse::<Ipv4Addr>().map(|ip| SocketAddr::from((ip, PORT))).map_err(io::Error::other);
    match words.as_slice() {
        ["sink", warm, span] => sink(Duration::from_millis(number(warm)?), Duration::from_millis(number(span)?)),
        ["source", to] => source(host(to)?),
        ["echo"] => echo(),
        ["ping", to, count, pause] => ping(host(to)?, number(count)?, Duration::from_micros(number(pause)?)),
        ["murmur", own, times] => murmur(host(own)?, number(times)?),
        ["count"] => count(),
        ["mirror"] => meet::mirror(),
        ["meet", mirror] => meet::meet(host(mirror)?),
        ["blast", to, count, bytes, segments, pause] => {
            let pause = Duration::from_micros(number(pause)?);
            blast(host(to)?, number(count)?, number(bytes)? as usize, number(segments)?, pause)
        }
        other => Err(io::Error::other(format!("no such program: {other:?}"))),
    }
}

/// The bytes that every TCP flow carries: words that count up, so that a byte at a wrong place is seen.
fn pattern() -> Vec<u8> {
    (0..PERIOD as u32).flat_map(u32::to_le_bytes).collect()
}

/// Send until the other side has had enough.
fn source(to: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(to)?;
    let pattern = pattern().repeat(CHUNK / PERIOD / 4 + 2);
    let mut at = 0;
    loop {
        match stream.write(&pattern[at..at + CHUNK]) {
            Ok(written) => at = (at + written) % (PERIOD * 4),
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => break,
            Err(error) => return Err(error),
        }
    }
    println!("sent");
    Ok(())
}

/// Receive one flow, check every byte, and count those of `span` after `warm`: `bytes nanoseconds`.
fn sink(warm: Duration, span: Duration) -> io::Result<()> {
    let listener = TcpListener::bind(any())?;
    println!("ready");
    let (mut stream, _) = listener.accept()?;
    let pattern = pattern().repeat(CHUNK / PERIOD / 4 + 2);
    let mut buffer = vec![0; CHUNK];
    let (start, mut at) = (Instant::now(), 0);
    let mut counted: Option<(Instant, u64)> = None;
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(io::Error::other("the flow ended too early"));
        }
        if buffer[..read] != pattern[at..at + read] {
            return Err(io::Error::other("wrong bytes"));
        }
        at = (at + read) % (PERIOD * 4);
        let now = Instant::now();
        match &mut counted {
            None if now - start >= warm => counted = Some((now, 0)),
            None => {}
            Some((since, bytes)) => {
                *bytes += read as u64;
                if now - *since >= span {
                    println!("{bytes} {}", (now - *since).as_nanos());
                    return Ok(());
                }
            }
        }
    }
}

/// Say something to oneself, by the own address, so often.
fn murmur(own: SocketAddr, times: u64) -> io::Result<()> {
    let socket = UdpSocket::bind(own)?;
    for number in 0..times {
        socket.send_to(&number.to_le_bytes(), own)?;
        let mut heard = [0; 8];
        let (length, from) = socket.recv_from(&mut heard)?;
        if (length, from, heard) != (8, own, number.to_le_bytes()) {
            return Err(io::Error::other(format!("{from} said {:?}", &heard[..length])));
        }
    }
    println!("heard");
    Ok(())
}

/// Send every datagram back, until killed.
fn echo() -> io::Result<()> {
    let socket = UdpSocket::bind(any())?;
    println!("ready");
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        socket.send_to(&buffer[..length], from)?;
    }
}

/// Round trips, one after the other: `answered minimum median maximum`, nanoseconds.
fn ping(to: SocketAddr, count: u64, pause: Duration) -> io::Result<()> {
    let socket = UdpSocket::bind(any())?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut times = vec![];
    for number in 0..count {
        let sent = Instant::now();
        socket.send(&number.to_le_bytes())?;
        let mut answer = [0; 8];
        match socket.recv(&mut answer) {
            Ok(_) if answer == number.to_le_bytes() => times.push(sent.elapsed().as_nanos()),
            Ok(_) => return Err(io::Error::other("the answer to another question")),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        std::thread::sleep(pause);
    }
    times.sort_unstable();
    let at = |index: usize| times.get(index).copied().unwrap_or(0);
    println!("{} {} {} {}", times.len(), at(0), at(times.len() / 2), at(times.len().saturating_sub(1)));
    Ok(())
}

/// Count good datagrams until a line comes on standard input: `good wrong`.
fn count() -> io::Result<()> {
    let socket = UdpSocket::bind(any())?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    println!("ready");
    let stop = std::thread::spawn(|| io::stdin().read_line(&mut String::new()));
    let (mut good, mut wrong) = (0_u64, 0_u64);
    let mut buffer = [0; 2048];
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) if datagram_is_good(&buffer[..length]) => good += 1,
            Ok(_) => wrong += 1,
            // Only when nothing is left may it stop.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if stop.is_finished() {
                    println!("{good} {wrong}");
                    return Ok(());
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn fill(datagram: &mut [u8], number: u32) {
    for (index, word) in datagram.chunks_mut(4).enumerate() {
        let value = number.wrapping_mul(2_654_435_761).wrapping_add(index as u32).to_le_bytes();
        word.copy_from_slice(&value[..word.len()]);
    }
}

fn datagram_is_good(datagram: &[u8]) -> bool {
    let words: Vec<u32> = datagram.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect();
    !words.is_empty() && words.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1))
}

/// Send `count` datagrams of `bytes` (a multiple of four), `segments` of them in one call, with a pause after each call.
fn blast(to: SocketAddr, count: u64, bytes: usize, segments: u64, pause: Duration) -> io::Result<()> {
    let socket = UdpSocket::bind(any())?;
    socket.connect(to)?;
    if segments > 1 {
        segment_sends(&socket, bytes)?;
    }
    let mut number = 0;
    while number < count {
        let batch = segments.min(count - number);
        let mut together = vec![0; bytes * batch as usize];
        for (index, datagram) in together.chunks_mut(bytes).enumerate() {
            fill(datagram, (number + index as u64) as u32);
        }
        socket.send(&together)?;
        number += batch;
        // Never to make up for lost time: that would overrun the buffers of a busy machine.
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    println!("sent");
    Ok(())
}

/// Let the kernel cut what one call sends into datagrams of this size (UDP segmentation offload).
#[expect(unsafe_code, reason = "UDP_SEGMENT has no safe wrapper")]
fn segment_sends(socket: &UdpSocket, bytes: usize) -> io::Result<()> {
    let size = bytes as libc::c_int;
    // SAFETY: the pointer and length describe `size`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            (&raw const size).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
