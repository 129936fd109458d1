//! Programs that tests start: as nodes, or as a harness that is to be killed. They are this test program again, told by
//! the environment which one to be.

use std::{
    fs,
    io::{BufRead, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::PathBuf,
    time::{Duration, Instant},
};

use peerbed::{engine::EndsChoice, runtime::Deployment};
use peerbed_contract::{Event, EventKind, NodeConfig, Role};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, ipproto, recv, sendto, socket, sockopt};

use crate::support;

/// Not a test: the way in for the programs.
#[test]
#[ignore = "a helper that other tests start"]
fn helper() {
    match std::env::var("HELPER").as_deref() {
        Ok("echo") => echo(),
        Ok("caller") => caller(),
        Ok("harness") => harness(),
        other => panic!("no helper {other:?}"),
    }
}

/// Print past the test framework's capture, which `--nocapture` does not lift for every thread.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

fn config() -> NodeConfig {
    serde_json::from_slice(&fs::read(std::env::var("CONFIG").unwrap()).unwrap()).unwrap()
}

fn ready(config: &NodeConfig) {
    let event = Event {
        node: config.name.clone(),
        t: 0,
        kind: EventKind::Ready { role: Role::Control, listen: (config.address, 7).into(), version: "0".to_owned() },
    };
    say("");
    say(&serde_json::to_string(&event).unwrap());
}

/// Gives back what it gets, on TCP port 7.
fn echo() {
    let config = config();
    let listener = TcpListener::bind((config.address, 7)).unwrap();
    ready(&config);
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut text = Vec::new();
        stream.read_to_end(&mut text).unwrap();
        stream.write_all(&text).unwrap();
    }
}

/// Does what its input says: `ping ADDRESS`, `tcp ADDRESS BYTES`.
fn caller() {
    ready(&config());
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["ping", to] => say(&format!("rtt_us {}", ping(to.parse().unwrap()).as_micros())),
            ["tcp", to, bytes] => {
                let text: Vec<u8> = (0..bytes.parse::<usize>().unwrap()).map(|n| (n % 251) as u8).collect();
                let mut stream = TcpStream::connect((to.parse::<Ipv4Addr>().unwrap(), 7)).unwrap();
                let back = stream.try_clone().unwrap();
                let writer = std::thread::spawn({
                    let text = text.clone();
                    move || {
                        stream.write_all(&text).unwrap();
                        stream.shutdown(std::net::Shutdown::Write).unwrap();
                        congestion_control(&stream)
                    }
                });
                let mut got = Vec::new();
                { back }.read_to_end(&mut got).unwrap();
                let algorithm = writer.join().unwrap();
                say(&format!("echoed {} {algorithm}", if got == text { "well" } else { "badly" }));
            }
            _ => panic!("cannot {line}"),
        }
    }
}

fn congestion_control(stream: &TcpStream) -> String {
    sockopt::tcp_congestion(stream).unwrap()
}

/// The time of one ICMP echo.
fn ping(to: Ipv4Addr) -> Duration {
    let socket: OwnedFd = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).unwrap();
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(Duration::from_secs(5))).unwrap();
    // Echo request 1 of identifier 1: type 8, code 0, checksum, identifier, number.
    let request = [8, 0, 0xf7, 0xfd, 0, 1, 0, 1];
    let began = Instant::now();
    let to_socket = std::net::SocketAddrV4::new(to, 0);
    sendto(&socket, &request, SendFlags::empty(), &to_socket).unwrap();
    loop {
        let mut packet = [0; 128];
        let (length, _) = recv(&socket, &mut packet[..], RecvFlags::empty()).unwrap();
        // The IP header is in front; type 0 is the reply.
        if length >= 28 && packet[12..16] == to.octets() && packet[20] == 0 {
            return began.elapsed();
        }
    }
}

/// A harness that brings up twenty idle nodes, telling each step, and then samples until it is killed.
fn harness() {
    let directory = PathBuf::from(std::env::var_os("DIRECTORY").unwrap());
    let ends = if std::env::var_os("PACKET").is_some() { EndsChoice::Packet } else { EndsChoice::Auto };
    let plan = support::plan(vec![support::idle(); 20]);
    support::block_on(async {
        say("step begin");
        let mut progress = |progress| say(&format!("step {progress:?}"));
        let (deployment, _notices) = support::up_with(ends, &plan, &directory, &mut progress).await.unwrap();
        say("step up");
        loop {
            deployment.sample().await.unwrap();
            say("step sampled");
        }
    });
}
