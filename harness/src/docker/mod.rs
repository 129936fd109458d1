//! Docker: everything that is said to an engine is said here.
//!
//! `endpoint` finds the engine, `error` says what it refused and tries again what failed for a moment, `body` renders
//! containers as values, `image` makes images, `container` starts containers and speaks with them, `events` hears what
//! becomes of them, `sweep` removes what is left. `marks` are the names and labels by which all of it is told apart.

mod body;
mod container;
mod endpoint;
mod error;
mod events;
mod image;
mod marks;
mod sweep;

use std::{
    io,
    os::unix::{fs::FileTypeExt, net::UnixStream},
    path::Path,
    time::Duration,
};

use bollard::API_DEFAULT_VERSION;
use serde::{Deserialize, Serialize};

pub use self::{
    body::{AgentBody, AgentOrders, AgentTask, Limits, NodeBody},
    container::{Attached, Beside, BesideControl, Heard, Piece, Voice},
    endpoint::{Endpoint, EndpointError},
    error::{DockerError, repeated},
    events::{Events, Happened, What},
    image::{Foreign, GATE, OWN_PROGRAM, Program, this_program},
    marks::RunId,
    sweep::Made,
};

/// The oldest API that has everything needed: Engine 20.10.
pub const OLDEST_API: (usize, usize) = (1, 41);
/// How long an engine may take to do something, seconds.
const PATIENCE: u64 = 120;
/// How long it may take to say who it is.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// An engine that answers.
#[derive(Debug, Clone)]
pub struct Engine {
    api: bollard::Docker,
    endpoint: Endpoint,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The engine's version, for example `20.10.24`.
    pub version: String,
    /// The version of the API that is spoken.
    pub api: String,
    /// It runs without root's rights.
    pub rootless: bool,
    /// `1` or `2`.
    pub cgroup: String,
    /// It can limit the memory of a container.
    pub limits_memory: bool,
    /// It can limit the number of processes of a container.
    pub limits_pids: bool,
    /// What its containers run on: `linux`.
    pub system: String,
}

impl Engine {
    /// The engine that the environment names, or Docker's contexts, or the default.
    pub async fn find() -> Result<Self, DockerError> {
        let (endpoint, from) = endpoint::find()?;
        Self::connect(endpoint, &from).await
    }

    /// The engine at this address, which `from` named.
    pub async fn connect(endpoint: Endpoint, from: &str) -> Result<Self, DockerError> {
        let unreachable = |reason: String, remedy: String| DockerError::Unreachable {
            endpoint: endpoint.to_string(),
            from: from.to_owned(),
            reason,
            remedy,
        };
        if let Endpoint::Unix(path) = &endpoint
            && let Err(error) = UnixStream::connect(path)
        {
            return Err(unreachable(error.to_string(), remedy(path, &error)));
        }
        let connected = match &endpoint {
            Endpoint::Unix(path) => {
                bollard::Docker::connect_with_unix(&path.display().to_string(), PATIENCE, API_DEFAULT_VERSION)
            }
            Endpoint::Tcp(address) => {
                bollard::Docker::connect_with_http(&format!("tcp://{address}"), PATIENCE, API_DEFAULT_VERSION)
            }
        };
        let negotiated = match connected {
            Ok(api) => tokio::time::timeout(ANSWERS_WITHIN, api.negotiate_version()).await,
            Err(error) => Ok(Err(error)),
        };
        let remedy = || "see whether an engine listens there: `docker version` shows what Docker finds".to_owned();
        match negotiated {
            Ok(Ok(api)) => Ok(Self { api, endpoint }),
            Ok(Err(error)) => Err(unreachable(error::reason(&error), remedy())),
            Err(_) => Err(unreachable(format!("nothing was said within {ANSWERS_WITHIN:?}"), remedy())),
        }
    }

    /// Its address.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether it speaks an API that is new enough.
    pub fn is_new_enough(&self) -> bool {
        let version = self.api.client_version();
        (version.major_version, version.minor_version) >= OLDEST_API
    }

    /// What it says of itself.
    pub async fn about(&self) -> Result<About, DockerError> {
        let info = tokio::time::timeout(ANSWERS_WITHIN, error::ask("tell about itself", || self.api.info()));
        let info = info.await.map_err(|_| DockerError::Refused {
            what: "tell about itself".to_owned(),
            reason: format!("nothing was said within {ANSWERS_WITHIN:?}"),
            status: None,
        })??;
        if info.server_version.as_ref().is_none_or(String::is_empty) {
            return Err(DockerError::Refused {
                what: "tell about itself".to_owned(),
                reason: format!("what answers at {} is not a Docker engine", self.endpoint),
                status: None,
            });
        }
        let rootless = info.security_options.iter().flatten().any(|option| option.contains("name=rootless"));
        Ok(About {
            version: info.server_version.unwrap_or_default(),
            api: self.api.client_version().to_string(),
            rootless,
            // Engines that do not know of a second version have the first.
            cgroup: info.cgroup_version.map_or_else(|| "1".to_owned(), |version| version.to_string()),
            limits_memory: info.memory_limit.unwrap_or(false),
            limits_pids: info.pids_limit.unwrap_or(false),
            system: info.os_type.unwrap_or_default(),
        })
    }
}

/// What to do when a socket cannot be spoken to.
fn remedy(path: &Path, error: &io::Error) -> String {
    let is_socket = std::fs::metadata(path).is_ok_and(|about| about.file_type().is_socket());
    match error.kind() {
        io::ErrorKind::ConnectionRefused if !is_socket => "it is no socket: name that of an engine".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "your user may not use it: `sudo usermod -aG docker $USER` and log in again, or set DOCKER_HOST to an \
             engine of your own"
                .to_owned()
        }
        _ => rootless_socket().map_or_else(
            || "start it (`sudo systemctl start docker`), or install it, or set DOCKER_HOST".to_owned(),
            |socket| format!("there is a socket of a rootless engine: `export DOCKER_HOST=unix://{socket}`"),
        ),
    }
}

/// Where a rootless engine of this user listens, if there is something.
fn rootless_socket() -> Option<String> {
    let directory = std::env::var("XDG_RUNTIME_DIR").ok()?;
    let socket = Path::new(&directory).join("docker.sock");
    socket.exists().then(|| socket.display().to_string())
}
