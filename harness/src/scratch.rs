//! A directory for what is of no use afterwards, gone with its owner.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::say::complain;

/// The directory.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one for this purpose, in the system's directory for temporary files.
    pub(crate) fn make(purpose: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("peerbed-{purpose}-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            complain(format_args!("cannot remove {}: {error}", self.0.display()));
        }
    }
}
