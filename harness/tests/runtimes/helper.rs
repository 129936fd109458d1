//! Programs that tests start: this test program again, told by its arguments which one to be.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddrV4},
    path::PathBuf,
};

use peerbed::{engine::EndsChoice, runtime::Deployment};
use rustix::{io::Errno, net};

use crate::{
    bed::Bed,
    docker::{Docker, neighbour},
    namespaces::Namespaces,
    support::{idle, plan},
};

/// Be what the arguments say.
pub(crate) async fn main() {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["harness", bed, ends, nodes, directory] => {
            let ends = if ends == "packet" { EndsChoice::Packet } else { EndsChoice::Auto };
            let (nodes, directory) = (nodes.parse().unwrap(), PathBuf::from(directory));
            match bed {
                Namespaces::NAME => harness::<Namespaces>(ends, nodes, directory).await,
                Docker::NAME => harness::<Docker>(ends, nodes, directory).await,
                other => panic!("no bed {other}"),
            }
        }
        ["congestion-control", to] => say(&congestion_control(to.parse().unwrap())),
        ["neighbour", ..] => neighbour::main().await,
        _ => panic!("no helper {arguments:?}"),
    }
}

/// What the kernel chose for a connection to this node.
fn congestion_control(to: Ipv4Addr) -> String {
    let socket = net::socket(net::AddressFamily::INET, net::SocketType::STREAM, None).unwrap();
    // Nobody listens there, but by then the route was looked up, and the route says it.
    assert_eq!(net::connect(&socket, &SocketAddrV4::new(to, 9)), Err(Errno::CONNREFUSED));
    net::sockopt::tcp_congestion(&socket).unwrap()
}

/// Print a line and pass it on at once.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// A harness that brings up idle nodes, telling each step, and then samples until it is killed.
async fn harness<B: Bed>(ends: EndsChoice, nodes: usize, directory: PathBuf) {
    let bed = B::new(ends).await;
    say("step begin");
    let mut progress = |progress| say(&format!("step {progress:?}"));
    let (deployment, _notices) = bed.up(&plan(vec![idle(); nodes]), &directory, &mut progress).await.unwrap();
    say("step up");
    loop {
        deployment.sample().await.unwrap();
        say("step sampled");
    }
}
