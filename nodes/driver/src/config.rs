//! Reading and checking a node's configuration file.

mod locate;

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use peerbed_contract::{ContentId, ControlConfig, EdgeConfig, NodeConfig, Object, PeerConfig, Role, RoleConfig};
use peerbed_proto::SECONDARY_MAX;

/// The largest configuration that is read, in bytes: that of a peer with every download of the largest experiment is
/// smaller.
const MAX_BYTES: u64 = 64 << 20;

/// What is wrong with a configuration, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a configuration.
    #[error("{}:{line}:{column}: `{key}`: {reason}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The path of keys to the value.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// A value is impossible.
    #[error("{}:{line}: `{key}`: {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The line of the value, from 1.
        line: usize,
        /// The path of keys to the value.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

/// Reads the configuration of a node of role `role`.
pub fn load(path: &Path, role: Role) -> Result<NodeConfig, ConfigError> {
    let text = read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    parse(path, &text, role)
}

/// Reads a regular file, or one to which a link leads, and never waits, as for the other end of a pipe.
fn read(path: &Path) -> io::Result<String> {
    let refused = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    // Looked at before the opening too, which is an act of its own for some devices.
    if !std::fs::metadata(path)?.is_file() {
        return refused("it is not a regular file".to_owned());
    }
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return refused("it is not a regular file".to_owned());
    }
    let mut text = String::new();
    // A size that it does not have (files of /proc) must not deceive.
    if about.len() > MAX_BYTES || file.take(MAX_BYTES + 1).read_to_string(&mut text)? as u64 > MAX_BYTES {
        return refused(format!("it is too large: at most {MAX_BYTES} bytes are read"));
    }
    Ok(text)
}

/// Reads the configuration in `text`; `path` is only named in errors.
pub fn parse(path: &Path, text: &str, role: Role) -> Result<NodeConfig, ConfigError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let config: NodeConfig = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let key = error.path().to_string();
        let source = error.into_inner();
        let (line, column) = (source.line(), source.column());
        // serde_json ends its message with the place, which stands at the front here.
        let reason = source.to_string();
        let reason = reason.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&reason).to_owned();
        ConfigError::Parse { path: path.to_owned(), line, column, key, reason }
    })?;
    let located = |(key, reason): Wrong| ConfigError::Value {
        path: path.to_owned(),
        line: locate::line(text, &key),
        key,
        reason,
    };
    deserializer.end().map_err(|error| located((".".to_owned(), error.to_string())))?;
    check(&config, role).map_err(located)?;
    Ok(config)
}

/// The key and the reason.
type Wrong = (String, String);

fn wrong(key: impl Into<String>, reason: impl Into<String>) -> Wrong {
    (key.into(), reason.into())
}

fn check(config: &NodeConfig, role: Role) -> Result<(), Wrong> {
    let found = config.role.role();
    if found != role {
        return Err(wrong("role", format!("this program is the {role}, the file is for the {found}")));
    }
    match &config.role {
        RoleConfig::Edge(edge) => check_edge(edge),
        RoleConfig::Control(control) => check_control(control),
        RoleConfig::Peer(peer) => check_peer(peer),
    }
}

fn check_edge(edge: &EdgeConfig) -> Result<(), Wrong> {
    check_objects(&edge.objects, "role.edge.objects").map(drop)
}

fn check_control(control: &ControlConfig) -> Result<(), Wrong> {
    let diversity = control.selection.diversity;
    if !(0.0..=1.0).contains(&diversity) {
        return Err(wrong("role.control.selection.diversity", format!("{diversity} is not a share from 0 to 1")));
    }
    for (index, entry) in control.directory.iter().enumerate() {
        if entry.prefix.length > 32 {
            let reason = format!("{} is not a prefix length from 0 to 32", entry.prefix.length);
            return Err(wrong(format!("role.control.directory[{index}].prefix.length"), reason));
        }
    }
    Ok(())
}

fn check_peer(peer: &PeerConfig) -> Result<(), Wrong> {
    let known = check_objects(&peer.objects, "role.peer.objects")?;
    if peer.edges.is_empty() {
        return Err(wrong("role.peer.edges", "a peer needs at least one edge"));
    }
    let unknown = |content: &ContentId| format!("`{content}` is not among the objects");
    for (index, content) in peer.holds.iter().enumerate() {
        if !known.contains(content) {
            return Err(wrong(format!("role.peer.holds[{index}]"), unknown(content)));
        }
    }
    for (index, step) in peer.script.iter().enumerate() {
        if !known.contains(&step.content) {
            return Err(wrong(format!("role.peer.script[{index}].content"), unknown(&step.content)));
        }
    }
    if peer.secondary.len() > SECONDARY_MAX {
        return Err(wrong("role.peer.secondary", format!("at most {SECONDARY_MAX} earlier starts are remembered")));
    }
    if peer.uploads.rate_bps == Some(0) {
        return Err(wrong("role.peer.uploads.rate_bps", "0 bits a second: switch `enabled` off instead"));
    }
    Ok(())
}

fn check_objects<'a>(objects: &'a [Object], key: &str) -> Result<BTreeSet<&'a ContentId>, Wrong> {
    let mut known = BTreeSet::new();
    for (index, object) in objects.iter().enumerate() {
        let at = |field: &str| format!("{key}[{index}].{field}");
        if object.size == 0 {
            return Err(wrong(at("size"), format!("`{}` has no bytes", object.id)));
        }
        if object.piece_length == 0 || object.size.div_ceil(object.piece_length.into()) > u64::from(u32::MAX) {
            let reason = format!("`{}` cannot be cut into pieces of {} bytes", object.id, object.piece_length);
            return Err(wrong(at("piece_length"), reason));
        }
        if !known.insert(&object.id) {
            return Err(wrong(at("id"), format!("`{}` is there twice", object.id)));
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests;
