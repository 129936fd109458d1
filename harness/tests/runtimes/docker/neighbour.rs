//! What is not Peerbed's, started by somebody else by other means: a stock HTTP server from an image without a gate.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use peerbed::{docker::Endpoint, engine::EndsChoice, runtime::Deployment};
use testcontainers::{GenericImage, ImageExt, core::IntoContainerPort, runners::AsyncRunner};

use super::Docker;
use crate::{
    bed::{Bed, Up},
    helper::say,
    support::{idle, plan},
};

/// What the server has.
const PAGE: &str = "it goes on\n";
/// Where it listens.
const PORT: u16 = 8000;

/// The helper that starts the server, by testcontainers, and keeps it until its input ends.
pub(crate) async fn main() {
    let arguments: Vec<String> = std::env::args().skip(3).collect();
    let [image, engine, version, socket] = &arguments[..] else { panic!("{arguments:?}") };
    let (name, tag) = image.split_once(':').unwrap();
    let engine: Endpoint = serde_json::from_str(engine).unwrap();
    let (listener, version) = (UnixListener::bind(socket).unwrap(), version.clone());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            relay(client.unwrap(), &engine, &version);
        }
    });
    let serve = format!("mkdir /www; printf '{PAGE}' > /www/index.html; exec httpd -f -p {PORT} -h /www");
    let server =
        GenericImage::new(name, tag).with_exposed_port(PORT.tcp()).with_cmd(["sh", "-c", &serve]).with_user("0:0");
    let server = server.start().await.unwrap();
    say(&format!("{} {}", server.id(), server.get_host_port_ipv4(PORT).await.unwrap()));
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    server.rm().await.unwrap();
}

/// Pass on what a client of the engine says. The client names the newest version that it knows, and engines refuse what is
/// newer than they are: it is made the version that was agreed upon.
fn relay(client: UnixStream, engine: &Endpoint, version: &str) {
    let Endpoint::Unix(path) = engine else { panic!("only for engines with a socket") };
    let server = UnixStream::connect(path).unwrap();
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let version = format!("/v{version}/");
    std::thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        // One whose end is gone has nothing more to say.
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if to.write_all(&with_version(&bytes[..count], &version)).is_err() {
                return;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let (mut from, mut to) = (server, client);
    std::thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
}

/// The bytes of a request with this version in its first line, if they have one.
fn with_version(bytes: &[u8], version: &str) -> Vec<u8> {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let words: Vec<&[u8]> = line.splitn(3, |byte| *byte == b' ').collect();
    let [method, path, protocol] = words[..] else { return bytes.to_vec() };
    let Some(rest) = path.strip_prefix(b"/v1.").filter(|_| protocol.starts_with(b"HTTP/")) else {
        return bytes.to_vec();
    };
    let after = rest.iter().position(|byte| *byte == b'/').map_or(rest, |at| &rest[at + 1..]);
    [method, b" ", version.as_bytes(), after, &bytes[method.len() + 1 + path.len()..]].concat()
}

/// The server, as long as this lives.
struct Neighbour {
    helper: Child,
    id: String,
    port: u16,
}

impl Neighbour {
    fn begin(bed: &Docker, directory: &Path) -> Self {
        let socket = directory.join("engine.sock");
        let endpoint = serde_json::to_string(bed.runtime.engine().endpoint()).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["helper", "neighbour", &bed.image, &endpoint, &bed.runtime.about().api]).arg(&socket);
        command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
        let mut helper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(helper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (id, port) = line.trim().split_once(' ').unwrap_or_else(|| panic!("the server does not begin: `{line}`"));
        Self { id: id.to_owned(), port: port.parse().unwrap(), helper }
    }

    /// The page, fetched as anybody would.
    fn page(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}")).1.to_owned()
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // Its input ends, and it removes the server.
        drop(self.helper.stdin.take());
        let ended = self.helper.wait();
        assert!(std::thread::panicking() || ended.unwrap().success(), "the server was not removed");
    }
}

pub(super) async fn containers_of_others_are_left_alone() {
    let (bed, directory) = (Docker::new(EndsChoice::Auto).await, tempfile::tempdir().unwrap());
    let neighbour = Neighbour::begin(&bed, directory.path());
    let about = async |bed: &Docker| {
        let container = bed.look.inspect(&neighbour.id).await.expect("it is there");
        let state = container.state.unwrap();
        (state.pid, state.started_at, container.restart_count, container.network_settings)
    };
    let before = about(&bed).await;
    assert!(before.0.is_some_and(|pid| pid > 0), "it runs");
    // Whoever listens a moment after the start is waited for.
    while TcpStream::connect(("127.0.0.1", neighbour.port)).is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(neighbour.page(), PAGE);
    let up = Up::on(bed, &plan(vec![idle(); 2])).await;
    assert_eq!(neighbour.page(), PAGE, "while a network stands");
    let standing = up.standing().await;
    up.deployment.down().await.unwrap();
    up.assert_gone(standing).await;
    up.bed.runtime.engine().sweep().await.unwrap();
    assert_eq!(neighbour.page(), PAGE, "after a network, and after a sweep");
    assert_eq!(about(&up.bed).await, before, "it was not touched");
}
