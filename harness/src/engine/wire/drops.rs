//! How many packets were lost between a node's kernel and the engine, at one port.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{End, Port, sys};

/// Where one port's losses can be read.
#[derive(Debug)]
pub(super) enum Drops {
    /// A packet socket forgets what it has told, so what it told is summed up.
    Socket(AtomicU64),
    /// The statistics of the namespace that a TUN device is in.
    Device(Mutex<OwnedFd>),
    /// Nowhere.
    Untold,
}

impl Drops {
    /// Those of a port, and its descriptor.
    pub(super) fn of(port: Port) -> (OwnedFd, Self) {
        let drops = match (port.end, port.statistics) {
            (End::Packet, _) => Drops::Socket(AtomicU64::new(0)),
            (End::Tun, Some(statistics)) => Drops::Device(Mutex::new(statistics)),
            (End::Tun, None) => Drops::Untold,
        };
        (port.fd, drops)
    }

    /// The device, which counts on, is in the namespace with these statistics now.
    pub(super) fn moved(&self, to: OwnedFd) {
        if let Drops::Device(statistics) = self {
            *statistics.lock().unwrap_or_else(PoisonError::into_inner) = to;
        }
    }

    /// Packets lost since the port was made.
    pub(super) fn read(&self, port: &OwnedFd) -> io::Result<u64> {
        match self {
            Drops::Socket(sum) => {
                let more = u64::from(sys::packet_drops(port.as_fd())?);
                Ok(sum.fetch_add(more, Ordering::Relaxed) + more)
            }
            Drops::Device(statistics) => {
                let mut text = [0; 4096];
                let statistics = statistics.lock().unwrap_or_else(PoisonError::into_inner);
                let length = rustix::io::pread(&*statistics, &mut text, 0)?;
                sent_drops(&String::from_utf8_lossy(&text[..length]))
            }
            Drops::Untold => Ok(0),
        }
    }
}

/// The sum of `drop` under `Transmit` over all devices in `/proc/net/dev` but the loopback device.
fn sent_drops(text: &str) -> io::Result<u64> {
    // `eth0:` bytes packets errs drop fifo frame compressed multicast, then bytes packets errs drop …
    const DROP: usize = 8 + 3;
    let devices = text.lines().filter_map(|line| line.split_once(':'));
    let counted = devices.filter(|(name, _)| name.trim() != "lo").map(|(name, counts)| {
        let word = counts.split_whitespace().nth(DROP);
        word.and_then(|word| word.parse::<u64>().ok())
            .ok_or_else(|| io::Error::other(format!("the counts of device {} are not understood", name.trim())))
    });
    counted.sum()
}

#[cfg(test)]
mod tests {
    use super::sent_drops;

    const TEXT: &str = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       2    0    7    0     0          0         0      100       2    0    9    0     0       0          0
  eth0: 1234567    8901    1    2    3     4          5         6  7654321    1098    7   42    8     9      10         11
";

    #[test]
    fn drops_are_read_from_the_right_place() {
        assert_eq!(sent_drops(TEXT).unwrap(), 42);
        assert_eq!(sent_drops("").unwrap(), 0);
        assert!(sent_drops("  eth0: 1 2 3").unwrap_err().to_string().contains("eth0"));
    }
}
