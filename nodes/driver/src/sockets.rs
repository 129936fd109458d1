//! Opening and closing of TCP sockets, with the options that every node uses.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::Interest,
    net::{TcpListener, TcpSocket, TcpStream},
};

/// A dial that was not answered for so long has failed.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_secs(15);

/// At most about so many bytes wait unsent in the kernel for each connection, so that what a machine orders next (a
/// cancellation, another piece) is not far behind.
const UNSENT_LIMIT: u32 = 128 * 1024;

const BACKLOG: u32 = 1024;

fn socket(address: IpAddr) -> io::Result<TcpSocket> {
    if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

/// Listens at `address`; port 0 takes a free one. With `shared`, connections may be dialled from the same port.
pub(crate) fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = socket(address.ip())?;
    socket.set_reuseaddr(true)?;
    if shared {
        socket.set_reuseport(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Connects from `local` to `to`; from port 0: from any free one, else from that at which a shared listener is.
pub(crate) async fn dial(local: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket(local.ip())?;
    if local.port() != 0 {
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
    }
    socket.bind(local)?;
    let stream = tokio::time::timeout(DIAL_TIMEOUT, socket.connect(to)).await??;
    tune(&stream)?;
    Ok(stream)
}

/// Sets the options of an open connection.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_LIMIT)
}

/// Everything that had come was read: the stream is readable again when more comes, not before.
pub(crate) fn drained(stream: &TcpStream) {
    // To say that a read would block is how the runtime is told.
    let would_block = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
    let _ = stream.try_io(Interest::READABLE, would_block);
}

/// Makes the coming close a reset, which tells the remote that bytes were lost.
pub(crate) fn reset_on_close(stream: &TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "a connection is closed without a reset");
    }
}

/// Raises the soft limit of open files to the hard one: an edge serves every peer of a run.
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files stays low");
        }
    }
}
