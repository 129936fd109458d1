//! A directory for what is of no use afterwards, gone with its owner.

use anyhow::Context;
use tempfile::TempDir;

/// Makes one for this purpose, in the system's directory for temporary files.
pub(crate) fn make(purpose: &str) -> anyhow::Result<TempDir> {
    let parent = std::env::temp_dir();
    let made = tempfile::Builder::new().prefix(&format!("peerbed-{purpose}-")).tempdir_in(&parent);
    made.with_context(|| format!("cannot make a directory in {}; TMPDIR may name another", parent.display()))
}
