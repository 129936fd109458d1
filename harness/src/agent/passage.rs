//! Carries descriptors from a thread that has a table of its own to the agent's other threads: a descriptor is a number in
//! one table, so it means nothing, or something else, in another.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    cmsg_space,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, Shutdown, SocketFlags, SocketType, recvmsg, sendmsg, shutdown, socketpair,
    },
};

/// So many descriptors go together.
const TOGETHER: usize = 2;

/// Where they go in. To be used by the thread with its own table.
pub(super) struct Entrance(OwnedFd);

/// Where they come out. When it is dropped, nothing can be sent any more, and who waits to send goes on.
pub(super) struct Exit(OwnedFd);

/// A passage.
pub(super) fn open() -> io::Result<(Entrance, Exit)> {
    let (entrance, exit) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((Entrance(entrance), Exit(exit)))
}

impl Entrance {
    /// Send the pair on; the other side has its own copies then. Waits when very many are under way.
    pub(super) fn send(&self, pair: [BorrowedFd<'_>; TOGETHER]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(TOGETHER))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&pair)), "the space is made for them");
        sendmsg(&self.0, &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

impl Exit {
    /// The next pair, which must have been sent.
    pub(super) fn receive(&self) -> io::Result<[OwnedFd; TOGETHER]> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(TOGETHER))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        recvmsg(&self.0, &mut [IoSliceMut::new(&mut [0])], &mut control, flags)?;
        let received = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors.collect::<Vec<_>>()),
            _ => None,
        });
        let pair = received.and_then(|descriptors| descriptors.try_into().ok());
        pair.ok_or_else(|| io::Error::other("the limit of descriptors is reached: raise it (`ulimit -n`)"))
    }
}

impl Drop for Exit {
    fn drop(&mut self) {
        // Closing would not do: the other table has a copy. The socket is connected, so this cannot fail.
        let _ = shutdown(self.0.as_fd(), Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read, thread};

    use rustix::pipe::pipe;

    use super::*;
    use crate::agent::sys;

    #[test]
    fn descriptors_come_out_in_another_table() {
        let (entrance, exit) = open().unwrap();
        let sent = thread::spawn(move || {
            sys::own_descriptors().unwrap();
            for word in [b"one", b"two"] {
                let (reader, writer) = pipe().unwrap();
                rustix::io::write(&writer, word).unwrap();
                entrance.send([reader.as_fd(), writer.as_fd()]).unwrap();
            }
            // Files of this thread mean nothing to the others, whatever their numbers.
            let mut own = Vec::new();
            own.resize_with(100, || File::open("/dev/null").unwrap());
        });
        sent.join().unwrap();
        for word in ["one", "two"] {
            let [reader, writer] = exit.receive().unwrap();
            drop(writer);
            let mut text = String::new();
            File::from(reader).read_to_string(&mut text).unwrap();
            assert_eq!(text, word);
        }
        assert_eq!(exit.receive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn nobody_waits_for_an_exit_that_is_gone() {
        let (entrance, exit) = open().unwrap();
        let sender = thread::spawn(move || {
            sys::own_descriptors().unwrap();
            let nothing = File::open("/dev/null").unwrap();
            // Far more than fit.
            (0..1_000_000).find_map(|_| entrance.send([nothing.as_fd(), nothing.as_fd()]).err()).unwrap()
        });
        // Wait until it has begun: then the first pair is there.
        while exit.receive().is_err() {
            thread::yield_now();
        }
        drop(exit);
        assert_eq!(sender.join().unwrap().kind(), io::ErrorKind::BrokenPipe);
    }
}
