//! Where the Docker engine is: as Docker's own command line finds it, from the environment and its contexts.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::regular::{self, ReadError};

/// Where Docker listens unless told otherwise.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// The port of an engine that is named without one.
const DEFAULT_PORT: &str = "2375";

/// The address of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// `host:port`, without TLS.
    Tcp(String),
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix://{}", path.display()),
            Endpoint::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// Why no address could be made out.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The address is of a kind that is not served.
    #[error(
        "{from} names the engine `{address}`, which Peerbed cannot use: {why}; it needs an engine on this machine: set \
         DOCKER_HOST=unix:///PATH/docker.sock"
    )]
    Unusable {
        /// Who said so.
        from: String,
        /// The address.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no such context.
    #[error("{from} names the Docker context `{name}`, which is not in {directory}: `docker context ls` lists them",
        directory = .directory.display())]
    NoContext {
        /// Who said so.
        from: String,
        /// Its name.
        name: String,
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// The context says nothing of an engine.
    #[error("the Docker context `{name}` has no Docker endpoint in {file}: use another (`docker context use`)",
        file = .file.display())]
    NoEndpoint {
        /// Its name.
        name: String,
        /// Its file.
        file: PathBuf,
    },
    /// A file of Docker's configuration cannot be read.
    #[error(
        "{path}: {source}; mend it (`docker context ls` shows whether Docker can read it), or set \
         DOCKER_HOST=unix:///PATH/docker.sock",
        path = .path.display()
    )]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
}

/// What decides.
struct Surroundings<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    /// The directory of Docker's configuration.
    configuration: PathBuf,
}

/// The engine's address, and who named it.
pub(super) fn find() -> Result<(Endpoint, String), EndpointError> {
    // An empty variable is as good as none, as for Docker.
    let variable = |name: &str| {
        // What is not text is no address either, and is refused as such.
        env::var_os(name).map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
    };
    let home = || PathBuf::from(variable("HOME").unwrap_or_default()).join(".docker");
    let configuration = variable("DOCKER_CONFIG").map_or_else(home, PathBuf::from);
    choose(&Surroundings { variable: &variable, configuration })
}

/// In this order: `DOCKER_HOST`, `DOCKER_CONTEXT`, the configuration's current context, the default.
fn choose(around: &Surroundings<'_>) -> Result<(Endpoint, String), EndpointError> {
    let variable = around.variable;
    if let Some(host) = variable("DOCKER_HOST") {
        let from = "DOCKER_HOST".to_owned();
        let tls = variable("DOCKER_TLS_VERIFY").is_some();
        return Ok((parse(&host, &from, tls)?, from));
    }
    let (name, from) = if let Some(name) = variable("DOCKER_CONTEXT") {
        (Some(name), "DOCKER_CONTEXT".to_owned())
    } else {
        let file = around.configuration.join("config.json");
        (current_context(&file)?, file.display().to_string())
    };
    match name.filter(|name| name != "default") {
        Some(name) => {
            let endpoint = context(&around.configuration.join("contexts"), &name, &from)?;
            Ok((endpoint, format!("the Docker context `{name}`")))
        }
        None => Ok((Endpoint::Unix(PathBuf::from(DEFAULT_SOCKET)), "the default".to_owned())),
    }
}

fn parse(address: &str, from: &str, tls: bool) -> Result<Endpoint, EndpointError> {
    let shown = address.escape_debug().to_string();
    let unusable = |why| EndpointError::Unusable { from: from.to_owned(), address: shown.clone(), why };
    match address.split_once("://") {
        Some(("unix", path)) if Path::new(path).is_absolute() => Ok(Endpoint::Unix(PathBuf::from(path))),
        Some(("unix", _)) => Err(unusable("the path of its socket is not absolute")),
        Some(("tcp" | "http", _)) if tls => Err(unusable("TLS is not supported")),
        Some(("tcp" | "http", host)) if host.contains('@') => Err(EndpointError::Unusable {
            from: from.to_owned(),
            // What is before it may be a password.
            address: format!("tcp://…@{}", host.rsplit('@').next().unwrap_or_default()),
            why: "it names a user, and Docker's protocol has none",
        }),
        Some(("tcp" | "http", host)) => {
            let host = host.trim_end_matches('/');
            let (name, port) = host.rsplit_once(':').unwrap_or((host, DEFAULT_PORT));
            let complete = !name.is_empty() && port.parse::<u16>().is_ok();
            if complete {
                Ok(Endpoint::Tcp(format!("{name}:{port}")))
            } else {
                Err(unusable("it is not tcp://HOST:PORT"))
            }
        }
        Some(("https", _)) => Err(unusable("TLS is not supported")),
        Some(("ssh", _)) => Err(unusable("it is on another machine")),
        _ => Err(unusable("it is neither unix:// nor tcp://")),
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, EndpointError> {
    /// They are of a few lines.
    const MOST_BYTES: u64 = 1 << 20;
    let absent = |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    match regular::read(path, MOST_BYTES) {
        Ok(text) => Ok(Some(text)),
        Err(ReadError::Io(error)) if absent(&error) => Ok(None),
        Err(error) => Err(EndpointError::File { path: path.to_owned(), source: io::Error::other(error.to_string()) }),
    }
}

fn decode<'a, T: Deserialize<'a>>(path: &Path, text: &'a [u8]) -> Result<T, EndpointError> {
    serde_json::from_slice(text).map_err(|error| EndpointError::File { path: path.to_owned(), source: error.into() })
}

/// What the configuration names as the current context.
fn current_context(file: &Path) -> Result<Option<String>, EndpointError> {
    #[derive(Deserialize)]
    struct Configuration {
        #[serde(rename = "currentContext")]
        current: Option<String>,
    }
    let Some(text) = read(file)? else { return Ok(None) };
    Ok(decode::<Configuration>(file, &text)?.current.filter(|name| !name.is_empty()))
}

/// The engine of a context. The directories are named by hashes of the contexts' names; the names are inside.
fn context(contexts: &Path, name: &str, from: &str) -> Result<Endpoint, EndpointError> {
    #[derive(Deserialize)]
    struct Context {
        #[serde(rename = "Name")]
        name: String,
        #[serde(rename = "Endpoints", default)]
        endpoints: Option<Endpoints>,
    }
    #[derive(Deserialize)]
    struct Endpoints {
        docker: Option<Docker>,
    }
    #[derive(Deserialize)]
    struct Docker {
        #[serde(rename = "Host", default)]
        host: String,
    }
    let directory = contexts.join("meta");
    for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
        let file = entry.path().join("meta.json");
        let Some(text) = read(&file)? else { continue };
        let found: Context = decode(&file, &text)?;
        if found.name == name {
            let host = found.endpoints.and_then(|endpoints| endpoints.docker).map(|docker| docker.host);
            let host = host
                .filter(|host| !host.is_empty())
                .ok_or_else(|| EndpointError::NoEndpoint { name: name.to_owned(), file: file.clone() })?;
            let tls = contexts.join("tls").join(entry.file_name()).join("docker").is_dir();
            return parse(&host, &format!("the Docker context `{name}`"), tls);
        }
    }
    Err(EndpointError::NoContext { from: from.to_owned(), name: name.escape_debug().to_string(), directory })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found with these variables and this directory of Docker's configuration.
    fn found(variables: &[(&str, &str)], configuration: &Path) -> Result<String, String> {
        let variable =
            |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        let around = Surroundings { variable: &variable, configuration: configuration.to_owned() };
        choose(&around).map(|(endpoint, from)| format!("{endpoint} by {from}")).map_err(|error| error.to_string())
    }

    fn with_context(name: &str, host: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let meta = directory.path().join("contexts/meta/0123abcd");
        fs::create_dir_all(&meta).unwrap();
        let text = format!(r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#);
        fs::write(meta.join("meta.json"), text).unwrap();
        directory
    }

    #[test]
    fn the_environment_comes_first() {
        let directory = with_context("rootless", "unix:///run/user/7/docker.sock");
        fs::write(directory.path().join("config.json"), r#"{"auths":{},"currentContext":"rootless"}"#).unwrap();
        let found = |variables: &[(&str, &str)]| found(variables, directory.path()).unwrap();
        assert_eq!(found(&[]), "unix:///run/user/7/docker.sock by the Docker context `rootless`");
        assert_eq!(found(&[("DOCKER_CONTEXT", "default")]), "unix:///var/run/docker.sock by the default");
        let host = ("DOCKER_HOST", "tcp://localhost:2375");
        assert_eq!(found(&[host, ("DOCKER_CONTEXT", "rootless")]), "tcp://localhost:2375 by DOCKER_HOST");
        assert_eq!(found(&[("DOCKER_HOST", "tcp://10.0.0.1")]), "tcp://10.0.0.1:2375 by DOCKER_HOST");
        assert_eq!(found(&[("DOCKER_HOST", "unix:///x.sock")]), "unix:///x.sock by DOCKER_HOST");
    }

    #[test]
    fn nothing_said_means_the_default() {
        let directory = tempfile::tempdir().unwrap();
        let default = Ok("unix:///var/run/docker.sock by the default".to_owned());
        assert_eq!(found(&[], directory.path()), default);
        fs::write(directory.path().join("config.json"), "{}").unwrap();
        assert_eq!(found(&[], directory.path()), default);
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        let directory = with_context("far", "ssh://me@there");
        let why = |variables: &[(&str, &str)]| found(variables, directory.path()).unwrap_err();
        for (host, because) in [
            ("ssh://a@b", "another machine"),
            ("https://a:1", "TLS"),
            ("docker.sock", "neither"),
            ("unix://docker.sock", "not absolute"),
            ("tcp://localhost:", "HOST:PORT"),
            ("tcp://:2375", "HOST:PORT"),
            ("tcp://a:99999", "HOST:PORT"),
        ] {
            let said = why(&[("DOCKER_HOST", host)]);
            assert!(said.contains(because) && said.contains(host) && said.contains("DOCKER_HOST"), "{said}");
        }
        assert!(why(&[("DOCKER_HOST", "tcp://a:1"), ("DOCKER_TLS_VERIFY", "1")]).contains("TLS"));
        assert!(why(&[("DOCKER_CONTEXT", "far")]).contains("another machine"));
        let said = why(&[("DOCKER_HOST", "tcp://user:secret@there:1")]);
        assert!(said.contains("names a user") && !said.contains("secret"), "{said}");
        let said = why(&[("DOCKER_HOST", "unix://\x1b[31m\nx")]);
        assert!(said.contains("not absolute") && !said.contains('\x1b') && !said.contains('\n'), "{said}");
        let said = why(&[("DOCKER_CONTEXT", "nowhere")]);
        assert!(said.contains("`nowhere`") && said.contains("docker context ls"), "{said}");
        fs::write(directory.path().join("config.json"), "{").unwrap();
        assert!(why(&[]).contains("config.json"));
    }

    #[test]
    fn a_context_of_something_else_is_named() {
        let directory = with_context("kubernetes", "");
        let said = found(&[("DOCKER_CONTEXT", "kubernetes")], directory.path()).unwrap_err();
        assert!(said.contains("`kubernetes` has no Docker endpoint") && said.contains("meta.json"), "{said}");
    }

    #[test]
    fn a_context_with_keys_is_one_with_tls() {
        let directory = with_context("safe", "tcp://10.0.0.1:2376");
        let found = |directory: &Path| found(&[("DOCKER_CONTEXT", "safe")], directory);
        assert!(found(directory.path()).is_ok());
        fs::create_dir_all(directory.path().join("contexts/tls/0123abcd/docker")).unwrap();
        assert!(found(directory.path()).unwrap_err().contains("TLS"));
    }
}
