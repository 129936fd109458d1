//! One thread of the engine: it reads the ports of its nodes, carries packets through the stages of their routes, and
//! hands them to their destinations.
//!
//! The thread of a packet's source takes it to the first stage that holds it up, mostly the source's uplink; from there the
//! thread of its destination has it. A packet enters each stage at the moment at which it left the one before, not when
//! the thread got to it, so a late thread delays packets once and never more.

use std::{collections::VecDeque, mem, os::fd::AsFd, sync::Arc, time::Duration};

use peerbed_link::{Agenda, Frame, Moment, Piece, translate};
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    io::Errno,
};

use super::{
    WireError,
    clock::now,
    network::{NodeIndex, PipeIndex},
    patience::Patience,
    shared::{Message, Parcel, Shared},
};

/// The largest frame: headers and 64 KiB.
const LARGEST: usize = 65_536 + 64;
/// Frames from this size on keep the buffer they were read into; shorter ones are copied into one of their own size.
const KEEP: usize = 32_768;
/// How many buffers of the largest size a thread keeps for reuse.
const SPARE_BUFFERS: usize = 64;
/// Frames read from one port before others have their turn.
const READS_PER_PORT: usize = 16;
/// Packets released after each read, more than one so that a backlog shrinks while packets come in.
const RELEASES_PER_READ: usize = 4;
/// Packets released before ports are looked at again.
const RELEASES_PER_TURN: usize = 64;
/// A packet that passes a pipe in no time may be delivered by its source's thread, past its destination's, if no packet
/// before it was held up for so long: the other thread could still have that one.
const LATENESS_BOUND: Duration = Duration::from_secs(1);
/// The number by which epoll speaks of the inbox; others are nodes.
const BELL: u64 = u64::MAX;

/// One thread's state.
pub(super) struct Shard {
    shared: Arc<Shared>,
    me: usize,
    epoll: rustix::fd::OwnedFd,
    agenda: Agenda<Parcel>,
    patience: Patience,
    buffer: Vec<u8>,
    spare: Vec<Vec<u8>>,
    /// What became of the packet in hand, between two steps.
    pieces: Vec<Piece>,
    parts: VecDeque<(Moment, Parcel)>,
    messages: Vec<Message>,
}

impl Shard {
    /// Thread number `me`.
    pub(super) fn new(shared: Arc<Shared>, me: usize) -> Result<Self, WireError> {
        let failed = |what| move |error: Errno| WireError::Kernel { what, source: error.into() };
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed("make an epoll descriptor"))?;
        let bell = epoll::EventData::new_u64(BELL);
        epoll::add(&epoll, shared.inboxes[me].bell(), bell, epoll::EventFlags::IN).map_err(failed("watch an inbox"))?;
        for (mouth, index) in shared.mouths.iter().zip(0..) {
            if shared.thread_of(NodeIndex(index)) == me {
                let data = epoll::EventData::new_u64(u64::from(index));
                let watch = failed("watch a node's link end");
                epoll::add(&epoll, &mouth.fd, data, epoll::EventFlags::IN).map_err(watch)?;
            }
        }
        Ok(Self {
            shared,
            me,
            epoll,
            agenda: Agenda::default(),
            patience: Patience::new(now()),
            buffer: Vec::with_capacity(LARGEST),
            spare: Vec::new(),
            pieces: Vec::new(),
            parts: VecDeque::new(),
            messages: Vec::new(),
        })
    }

    /// Carry packets until the engine is stopped.
    pub(super) fn run(&mut self) -> Result<(), Errno> {
        let mut ready = Vec::with_capacity(256);
        while self.read_inbox() {
            self.release_due(RELEASES_PER_TURN);
            ready.clear();
            self.wait(&mut ready)?;
            for event in &ready {
                match event.data.u64() {
                    BELL => self.shared.inboxes[self.me].silence(),
                    host => self.read_port(host as usize),
                }
            }
        }
        Ok(())
    }

    /// Wait until a port or the inbox has something, or the next packet is due.
    fn wait(&mut self, ready: &mut Vec<epoll::Event>) -> Result<(), Errno> {
        let start = now();
        let mut time = self.patience.wait(start, self.agenda.next_due());
        if time != Some(0) && !self.shared.inboxes[self.me].may_sleep() {
            time = Some(0);
        }
        let time = time
            .map(|nanos| Timespec { tv_sec: (nanos / 1_000_000_000) as i64, tv_nsec: (nanos % 1_000_000_000) as i64 });
        match epoll::wait(&self.epoll, spare_capacity(ready), time.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Do what the inbox says; false when it says to stop.
    fn read_inbox(&mut self) -> bool {
        let mut goes_on = true;
        let mut messages = mem::take(&mut self.messages);
        self.shared.inboxes[self.me].take(&mut messages);
        for message in messages.drain(..) {
            match message {
                Message::Parcel(due, parcel) => self.agenda.push(due, parcel),
                Message::Retimed(pipe, retimed) => self.agenda.retime(|parcel| {
                    let (place, ticket) = parcel.place?;
                    if place == pipe { retimed.due(ticket) } else { None }
                }),
                Message::Stop => goes_on = false,
            }
        }
        self.messages = messages;
        goes_on
    }

    fn read_port(&mut self, host: usize) {
        for _ in 0..READS_PER_PORT {
            self.buffer.clear();
            let shared = Arc::clone(&self.shared);
            let mouth = &shared.mouths[host];
            match rustix::io::read(&mouth.fd, spare_capacity(&mut self.buffer)) {
                // Nothing more; or the device was taken down: packets come again when it is up.
                Ok(0) | Err(Errno::AGAIN | Errno::INTR | Errno::NETDOWN) => return,
                Ok(_) => self.take_in(shared.seats.place_of(host)),
                Err(error) => {
                    let name = shared.network.name(NodeIndex(host as u32));
                    shared.break_down(format!("the link end of node {name} cannot be read: {error}"));
                    // It would be reported again and again; the engine has said that it is broken.
                    let _ = epoll::delete(&self.epoll, mouth.fd.as_fd());
                    return;
                }
            }
            self.release_due(RELEASES_PER_READ);
        }
    }

    /// A frame was read into the buffer.
    fn take_in(&mut self, source: NodeIndex) {
        let arrived = now();
        let Ok(parsed) = Frame::parse(&self.buffer, self.shared.framing) else {
            return self.shared.record(self.me).strayed();
        };
        if self.shared.network.is_stale(source, parsed.source) {
            return self.shared.record(self.me).stale(parsed.train.segments());
        }
        let Some(mut parcel) = self.shared.address(source, parsed) else {
            return self.shared.record(self.me).strayed();
        };
        if let Some(mut nat) = self.shared.network.nat(source)
            && !translate::lets_out(&mut nat, arrived, &mut self.buffer, self.shared.framing)
        {
            self.shared.record(self.me).kept_inside(parcel.train.segments());
            return;
        }
        parcel.frame = if self.buffer.len() < KEEP {
            self.buffer.as_slice().to_vec()
        } else {
            let next = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(LARGEST));
            mem::replace(&mut self.buffer, next)
        };
        self.advance(arrived, parcel);
    }

    /// Take up to `most` packets that are due through their next stages.
    fn release_due(&mut self, most: usize) {
        for _ in 0..most {
            let Some((due, parcel)) = self.agenda.pop_due(now()) else { return };
            self.shared.release(parcel.frame.capacity());
            self.advance(due, parcel);
        }
    }

    /// A packet enters its next stage at `at`; it goes on at once through all that let it pass in no time, and waits for
    /// the others in the hands of its destination's thread.
    fn advance(&mut self, at: Moment, mut parcel: Parcel) {
        let shared = Arc::clone(&self.shared);
        let owner = shared.thread_of(parcel.destination);
        loop {
            let Some(pipe) = shared.network.stage(&parcel) else {
                return self.deliver(at, parcel);
            };
            let mut locked = shared.network.lock(pipe);
            self.pieces.clear();
            locked.offer(at, parcel.train, parcel.most, &mut self.pieces);
            parcel.stage += 1;
            let free = if owner == self.me {
                self.agenda.next_due().is_none_or(|next| next > at)
            } else {
                at > locked.held_until().plus(LATENESS_BOUND)
            };
            if free && passes(at, &parcel, &self.pieces) {
                continue;
            }
            let frame = divide(parcel, pipe, &self.pieces, &mut self.parts);
            if owner == self.me {
                drop(locked);
                while let Some((due, part)) = self.parts.pop_front() {
                    if self.reserve(&part) {
                        self.agenda.push(due, part);
                    }
                }
            } else {
                // The pipe stays locked so that news of a change cannot overtake the packets that it concerns.
                while let Some((due, part)) = self.parts.pop_front() {
                    if self.reserve(&part) {
                        shared.inboxes[owner].push(Message::Parcel(due, part));
                    }
                }
                drop(locked);
                shared.inboxes[owner].ring();
            }
            return self.recycle(frame);
        }
    }

    /// Make room for a packet that is to wait; if there is none, it is lost and counted.
    fn reserve(&self, parcel: &Parcel) -> bool {
        let room = self.shared.reserve(parcel.frame.capacity());
        if !room {
            self.shared.record(self.me).overran(u64::from(parcel.train.segments()));
        }
        room
    }

    /// Hand a packet to its destination's kernel.
    fn deliver(&mut self, due: Moment, mut parcel: Parcel) {
        let shared = &self.shared;
        let arrives = now();
        let late = arrives.since(due);
        let enters = shared
            .network
            .nat(parcel.destination)
            .is_none_or(|mut nat| translate::lets_in(&mut nat, arrives, &mut parcel.frame, shared.framing));
        if !enters {
            let mut record = shared.record(self.me);
            record.released(parcel.train.segments(), late);
            record.kept_outside(parcel.train.segments(), parcel.train.bytes());
            drop(record);
            return self.recycle(Some(parcel.frame));
        }
        let Some(host) = shared.seats.host_at(parcel.destination) else {
            let mut record = shared.record(self.me);
            record.released(parcel.train.segments(), late);
            record.missed(parcel.train.segments(), parcel.train.bytes());
            drop(record);
            return self.recycle(Some(parcel.frame));
        };
        let mouth = &shared.mouths[host];
        let written = rustix::io::write(&mouth.fd, &parcel.frame);
        let mut record = shared.record(self.me);
        record.released(parcel.train.segments(), late);
        match written {
            Ok(_) => {
                let heading = shared.network.heading(parcel.source, parcel.destination);
                record.delivered(heading, parcel.train.segments(), parcel.train.bytes());
            }
            Err(_) if mouth.is_moving() => {}
            // Its buffer is full or its device is down: the packet is lost where no link lost it.
            Err(_) => record.overran(u64::from(parcel.train.segments())),
        }
        drop(record);
        self.recycle(Some(parcel.frame));
    }

    fn recycle(&mut self, frame: Option<Vec<u8>>) {
        if let Some(frame) = frame
            && frame.capacity() >= LARGEST
            && self.spare.len() < SPARE_BUFFERS
        {
            self.spare.push(frame);
        }
    }
}

/// Whether a packet left its pipe whole and at once.
fn passes(at: Moment, parcel: &Parcel, pieces: &[Piece]) -> bool {
    matches!(pieces, [piece] if piece.due <= at && piece.segments.len() == parcel.train.segments() as usize)
}

/// Turn a packet into what a pipe left of it. Its frame is returned if it was cut or lost.
fn divide(
    mut parcel: Parcel,
    pipe: PipeIndex,
    pieces: &[Piece],
    parts: &mut VecDeque<(Moment, Parcel)>,
) -> Option<Vec<u8>> {
    for piece in pieces {
        let place = Some((pipe, piece.ticket));
        let Some(geometry) = parcel.geometry.filter(|_| piece.segments.len() < parcel.train.segments() as usize) else {
            parcel.place = place;
            parts.push_back((piece.due, parcel));
            return None;
        };
        let (frame, geometry) = geometry.cut(&parcel.frame, piece.segments.clone());
        let train = parcel.train.slice(piece.segments.clone());
        parts.push_back((piece.due, Parcel { frame, train, geometry, place, ..parcel }));
    }
    Some(parcel.frame)
}
