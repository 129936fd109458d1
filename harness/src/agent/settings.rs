//! Writes the settings (sysctls) of nodes' network namespaces.
//!
//! They have no other door than files below `/proc/sys`. The kernel remembers the files of every namespace under the same
//! names and walks through all of them to find one, so that the thousandth namespace would take many times as long as the
//! first. Each instance of procfs remembers its own: a new one every few namespaces keeps the cost of each the same.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen},
};

/// A setting could not be written.
#[derive(Debug, thiserror::Error)]
#[error("node {node}: /proc/{path}: {source}")]
pub(super) struct SettingError {
    /// Whose.
    node: String,
    /// Which.
    path: &'static str,
    /// What the kernel said.
    source: io::Error,
}

type Setting = (&'static str, &'static str);

/// No IPv6: nothing uses it, and its link-local traffic and duplicate address detection would cost set-up time.
const NO_IPV6: [Setting; 2] =
    [("sys/net/ipv6/conf/default/disable_ipv6", "1"), ("sys/net/ipv6/conf/all/disable_ipv6", "1")];
/// Room for a long fat link; and who dials from the port at which it listens, through a NAT, may dial the same remote again
/// although their last connection has just ended.
const TCP: [Setting; 3] = [
    ("sys/net/ipv4/tcp_rmem", "4096 131072 67108864"),
    ("sys/net/ipv4/tcp_wmem", "4096 16384 67108864"),
    ("sys/net/ipv4/tcp_tw_reuse", "1"),
];

/// Packets go through, whichever device answers come by, and nobody is told of a better way.
const FORWARDING: [Setting; 5] = [
    ("sys/net/ipv4/ip_forward", "1"),
    ("sys/net/ipv4/conf/all/rp_filter", "0"),
    ("sys/net/ipv4/conf/default/rp_filter", "0"),
    ("sys/net/ipv4/conf/all/send_redirects", "0"),
    ("sys/net/ipv4/conf/default/send_redirects", "0"),
];

/// After so many namespaces another instance of procfs is used.
const NAMESPACES_AN_INSTANCE: u32 = 32;

/// The writer of settings.
#[derive(Debug)]
pub(super) struct Settings {
    proc: OwnedFd,
    written: u32,
}

impl Settings {
    /// One that has written nothing yet.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { proc: instance()?, written: 0 })
    }

    /// Write a node's settings in the calling thread's network namespace.
    pub(super) fn node(&mut self, node: &str) -> Result<(), SettingError> {
        self.count(node)?;
        self.write(node, NO_IPV6.iter().chain(&TCP))
    }

    /// Write those of a router.
    pub(super) fn router(&mut self, name: &str) -> Result<(), SettingError> {
        self.count(name)?;
        self.write(name, NO_IPV6.iter().chain(&FORWARDING))
    }

    /// One more namespace is to be written to.
    fn count(&mut self, node: &str) -> Result<(), SettingError> {
        if self.written == NAMESPACES_AN_INSTANCE {
            self.proc = instance().map_err(|source| SettingError { node: node.to_owned(), path: "", source })?;
            self.written = 0;
        }
        self.written += 1;
        Ok(())
    }

    /// Write those of the agent's own namespace.
    pub(super) fn own(&mut self, name: &str) -> Result<(), SettingError> {
        self.write(name, &NO_IPV6)
    }

    /// Settings of IPv6 are for kernels that have it.
    fn write(&self, node: &str, settings: impl IntoIterator<Item = &'static Setting>) -> Result<(), SettingError> {
        let open = |path: &str| openat(&self.proc, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        for &(path, value) in settings {
            let written = match open(path) {
                Err(rustix::io::Errno::NOENT) if path.starts_with("sys/net/ipv6") => continue,
                file => file.and_then(|file| rustix::io::write(file.as_fd(), value.as_bytes())),
            };
            written.map_err(|error| SettingError { node: node.to_owned(), path, source: error.into() })?;
        }
        Ok(())
    }
}

/// An instance of procfs that is mounted nowhere, or, where a sandbox forbids another, the one at `/proc`.
fn instance() -> io::Result<OwnedFd> {
    let own = || {
        let filesystem = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&filesystem)?;
        fsmount(&filesystem, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
    };
    let shared = |_| openat(CWD, "/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    Ok(own().or_else(shared)?)
}
