//! What an installation remembers over the end of its process: a small file beside its configuration. Read by the command
//! line before the start, written by the loop.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use peerbed_contract::{Guid, NodeConfig, RoleConfig};
use peerbed_proto::SECONDARY_MAX;
use serde::{Deserialize, Serialize};

/// The largest file that is read, in bytes; what is written is far smaller.
const MAX_BYTES: u64 = 4096;

/// What the file says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    secondary: Vec<Guid>,
}

/// Where a node keeps what it remembers.
#[derive(Debug)]
pub(crate) struct Memory(PathBuf);

impl Memory {
    /// That of the node whose configuration is `config`.
    pub(crate) fn beside(config: &Path) -> Self {
        Self(config.with_extension("memory.json"))
    }

    /// Puts what was remembered in the place of what the configuration says of earlier starts. A file that cannot be read is
    /// as good as none: an installation may lose its memory.
    pub(crate) fn recall(&self, config: &mut NodeConfig) {
        let RoleConfig::Peer(peer) = &mut config.role else { return };
        let read = || -> io::Result<Remembered> {
            if fs::metadata(&self.0)?.len() > MAX_BYTES {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            Ok(serde_json::from_slice(&fs::read(&self.0)?)?)
        };
        match read() {
            Ok(remembered) if remembered.secondary.len() <= SECONDARY_MAX => peer.secondary = remembered.secondary,
            Ok(_) => tracing::warn!(file = %self.0.display(), "the memory is too long and was left out"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(file = %self.0.display(), %error, "the memory cannot be read"),
        }
    }

    /// Keeps it, whole or not at all.
    pub(crate) fn keep(&self, secondary: Vec<Guid>) {
        let beside = self.0.with_extension("writing");
        let text = serde_json::to_vec(&Remembered { secondary }).expect("plain values");
        let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, &self.0));
        if let Err(error) = written {
            tracing::info!(file = %self.0.display(), %error, "nothing is remembered over a restart");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_remembers_over_the_end_of_its_process_and_survives_a_spoilt_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("peer.json");
        let config = r#"{"name": "p", "as_number": 1, "region": "r", "address": "10.0.0.1", "seed": 1, "role": {"peer": {
            "guid": "000102030405060708090a0b0c0d0e0f", "secondary": ["ffffffffffffffffffffffffffffffff"], "port": 1,
            "control": [], "edges": ["10.0.0.1:80"], "verify_key": KEY, "uploads": {"enabled": true, "per_copy": 5,
            "connections": 8, "waiting": 0, "rate_bps": null}, "edge_mode": "backstop", "max_sources": 8, "objects": [], "holds": [],
            "storage": "synthetic", "script": []}}}"#;
        let config = config.replace("KEY", &format!("{:?}", [0_u8; 32]));
        let recalled = || {
            let mut config: NodeConfig = serde_json::from_str(&config).unwrap();
            Memory::beside(&path).recall(&mut config);
            let RoleConfig::Peer(peer) = config.role else { unreachable!() };
            peer.secondary
        };
        let configured = [Guid::from_bytes([255; 16])];
        assert_eq!(recalled(), configured);
        let kept = vec![Guid::from_bytes([2; 16]), Guid::from_bytes([1; 16])];
        Memory::beside(&path).keep(kept.clone());
        assert_eq!(recalled(), kept);
        for spoilt in ["{}", "nonsense", &"x".repeat(5000)] {
            fs::write(directory.path().join("peer.memory.json"), spoilt).unwrap();
            assert_eq!(recalled(), configured);
        }
        Memory::beside(&path).keep(vec![Guid::from_bytes([3; 16]); SECONDARY_MAX + 1]);
        assert_eq!(recalled(), configured);
    }
}
