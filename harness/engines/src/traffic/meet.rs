//! Two hosts behind address translation that try to reach each other: both dial from the port at which they listen, having
//! learned from a third how they look from outside.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use super::any;

/// A SYN that is dropped is sent again after one second, and after three.
const PATIENCE: Duration = Duration::from_millis(4500);
const GREETING: &[u8] = b"good day";

/// A TCP socket at the port of all programs, which others may have too.
fn socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&any().into())?;
    Ok(socket)
}

fn listener() -> io::Result<TcpListener> {
    let socket = socket()?;
    socket.listen(64)?;
    Ok(socket.into())
}

/// Tell everybody who connects from where, and keep the connections, until killed.
pub(super) fn mirror() -> io::Result<()> {
    let listener = listener()?;
    println!("ready");
    let mut open = Vec::new();
    loop {
        let (mut stream, from) = listener.accept()?;
        writeln!(stream, "{from}")?;
        open.push(stream);
    }
}

/// Ask the mirror, print the address that it sees, read another's from standard input, and try to meet it: `met` or `alone`.
pub(super) fn meet(mirror: SocketAddr) -> io::Result<()> {
    let listener = listener()?;
    let seen = socket()?;
    seen.connect(&mirror.into())?;
    let mut text = Vec::new();
    let mut seen: TcpStream = seen.into();
    while text.last() != Some(&b'\n') {
        let mut byte = [0];
        seen.read_exact(&mut byte)?;
        text.push(byte[0]);
    }
    print!("{}", String::from_utf8_lossy(&text));
    io::stdout().flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let other: SocketAddr = line.trim().parse().map_err(io::Error::other)?;

    let (say, met) = channel();
    let told = say.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            greet(stream, &told);
        }
    });
    thread::spawn(move || {
        let begun = Instant::now();
        // A refused connection (the other does not listen yet) may be tried again.
        while begun.elapsed() < PATIENCE {
            let Ok(socket) = socket() else { return };
            if socket.connect_timeout(&other.into(), PATIENCE).is_ok() {
                return greet(socket.into(), &say);
            }
        }
    });
    let word = match met.recv_timeout(PATIENCE) {
        Ok(()) => "met",
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => "alone",
    };
    println!("{word}");
    // Until then the other may still be reading.
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Bytes go both ways.
fn greet(mut stream: TcpStream, met: &Sender<()>) {
    let met = met.clone();
    thread::spawn(move || {
        let mut heard = [0; GREETING.len()];
        if stream.write_all(GREETING).is_ok() && stream.read_exact(&mut heard).is_ok() && heard == GREETING {
            // Nobody listens any more if another connection was first.
            let _ = met.send(());
            // The connection stays until the program ends.
            let _ = stream.read(&mut heard);
        }
    });
}
