//! One framed connection against a remote that does as it likes.

use std::time::Duration;

use peerbed_proto::ConnId;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket},
    task::{JoinHandle, LocalSet},
};

use super::*;
use crate::{
    codec,
    conn::{Expected, Order, PartOrder},
};

const CONN: ConnId = ConnId(1);

struct Pair {
    link: Rc<Link>,
    inbox: Rc<Inbox>,
    task: JoinHandle<()>,
    remote: TcpStream,
}

impl Pair {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        let remote = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        remote.set_nodelay(true).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        sockets::tune(&stream).unwrap();
        let (link, inbox) = (Rc::new(Link::new(CONN)), Rc::new(Inbox::default()));
        let task = tokio::task::spawn_local(run(stream, Rc::clone(&link), Rc::clone(&inbox)));
        Self { link, inbox, task, remote }
    }

    fn expect(&self, request: u32, bytes: u32) {
        self.link.expected.borrow_mut().insert(RequestId(request), Expected::new(bytes));
    }

    async fn tell(&mut self, wire: &[u8]) {
        self.remote.write_all(wire).await.unwrap();
    }

    /// The inputs up to the end of the connection, with byte counts of one request joined.
    async fn inputs(&self) -> Vec<Input> {
        let mut inputs = Vec::new();
        loop {
            let next = tokio::time::timeout(Duration::from_secs(10), self.inbox.pop()).await;
            let input = next.expect("the connection ends");
            match (inputs.last_mut(), &input) {
                (
                    Some(Input::PieceData { request, bytes, .. }),
                    Input::PieceData { request: same, bytes: more, .. },
                ) if request == same => *bytes += more,
                _ => inputs.push(input),
            }
            if matches!(inputs.last(), Some(Input::Closed { .. })) {
                return inputs;
            }
        }
    }

    /// What the remote reads to the end, message by message.
    async fn read_all(mut self) -> (Vec<Message>, Vec<u8>) {
        let mut wire = Vec::new();
        self.remote.read_to_end(&mut wire).await.unwrap();
        drop(self.remote);
        self.task.await.unwrap();
        let (mut messages, mut content) = (Vec::new(), Vec::new());
        let (mut decoder, mut input) = (Decoder::default(), wire.as_slice());
        while let Some(decoded) = decoder.next(&mut input).unwrap() {
            match decoded {
                Decoded::Message(message) => messages.push(message),
                Decoded::Content { bytes, .. } => content.extend_from_slice(bytes),
            }
        }
        assert!(decoder.at_boundary());
        (messages, content)
    }
}

fn frame(message: &Message) -> Vec<u8> {
    let mut wire = Vec::new();
    codec::encode(message, &mut wire).unwrap();
    wire
}

fn part(request: u32, content: &[u8]) -> Vec<u8> {
    let mut wire = frame(&Message::Part { request: RequestId(request), bytes: content.len() as u32 });
    wire.extend_from_slice(content);
    wire
}

fn data(request: u32, bytes: u32) -> Input {
    Input::PieceData { conn: CONN, request: RequestId(request), bytes }
}

fn end(request: u32, content: &[u8]) -> Input {
    Input::PieceEnd { conn: CONN, request: RequestId(request), hash: *blake3::hash(content).as_bytes() }
}

fn closed(clean: bool) -> Input {
    Input::Closed { conn: CONN, clean }
}

async fn on_one_thread(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn interleaved_pieces_are_hashed_apart() {
    on_one_thread(async {
        let mut pair = Pair::new().await;
        pair.expect(1, 5);
        pair.expect(2, 4);
        let wire = [part(1, b"abc"), part(2, b"wx"), frame(&Message::Bye), part(1, b"de"), part(2, b"yz")].concat();
        pair.tell(&wire).await;
        pair.remote.shutdown().await.unwrap();
        let bye = Input::Message { conn: CONN, message: Message::Bye };
        let expected =
            [data(1, 3), data(2, 2), bye, data(1, 2), end(1, b"abcde"), data(2, 2), end(2, b"wxyz"), closed(true)];
        assert_eq!(pair.inputs().await, expected);
    })
    .await;
}

#[tokio::test]
async fn content_that_is_not_due_breaks_the_connection() {
    on_one_thread(async {
        let cancelled = || Input::Message { conn: CONN, message: Message::Cancelled { request: RequestId(1) } };
        let cancel = frame(&Message::Cancelled { request: RequestId(1) });
        for (wire, expected) in [
            (part(7, b"x"), vec![]),
            (part(1, b"abcdef"), vec![]),
            ([part(1, b"abcde"), part(1, b"f")].concat(), vec![data(1, 5), end(1, b"abcde")]),
            ([part(1, b"abc"), cancel, part(1, b"de")].concat(), vec![data(1, 3), cancelled()]),
        ] {
            let mut pair = Pair::new().await;
            pair.expect(1, 5);
            pair.tell(&wire).await;
            let mut all = expected;
            all.push(Input::Garbled { conn: CONN });
            all.push(closed(false));
            assert_eq!(pair.inputs().await, all);
        }
    })
    .await;
}

#[tokio::test]
async fn an_end_inside_a_frame_or_a_part_is_not_clean() {
    on_one_thread(async {
        for wire in [&[0, 0][..], &[0, 0, 0, 3, 12], &part(1, b"abc")[..9]] {
            let mut pair = Pair::new().await;
            pair.expect(1, 5);
            pair.tell(wire).await;
            pair.remote.shutdown().await.unwrap();
            assert_eq!(pair.inputs().await.last(), Some(&closed(false)), "{wire:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_ordered_before_the_close_arrives_whatever_the_remote_still_sends() {
    on_one_thread(async {
        let mut pair = Pair::new().await;
        // More than the remote's receive buffer holds, so that most of it waits on this side.
        for piece in 0..100_000 {
            assert!(pair.link.order(Order::Frame(frame(&Message::Have { piece }))));
        }
        let order = PartOrder { request: RequestId(9), key: 3, offset: 11, bytes: 65_536, corrupt: false };
        assert!(pair.link.order(Order::Part(order)));
        assert!(pair.link.order(Order::Frame(frame(&Message::Bye))));
        pair.link.close();
        // Unread and meaningless, it must not make the close a reset.
        pair.tell(&vec![0xff; 100_000]).await;
        pair.remote.shutdown().await.unwrap();
        let inbox = Rc::clone(&pair.inbox);
        let (messages, content) = pair.read_all().await;
        assert_eq!(messages.len(), 100_001);
        assert_eq!(messages.last(), Some(&Message::Bye));
        let mut expected = vec![0; 65_536];
        peerbed_contract::content::fill(3, 11, &mut expected);
        assert!(content == expected);
        let sent = Input::PieceSent { conn: CONN, request: RequestId(9), bytes: 65_536 };
        assert_eq!(inbox.try_pop(), Some(sent));
        assert_eq!(inbox.try_pop(), Some(Input::Writable { conn: CONN }));
        assert_eq!(inbox.try_pop(), None, "no input follows a close");
    })
    .await;
}

#[tokio::test]
async fn a_remote_that_reads_slowly_and_keeps_talking_gets_all_of_it() {
    on_one_thread(async {
        let mut pair = Pair::new().await;
        // It fits into the buffers of the system, so that nothing is left to write soon after the close.
        for piece in 0..30_000 {
            assert!(pair.link.order(Order::Frame(frame(&Message::Have { piece }))));
        }
        pair.link.close();
        let (mut wire, mut buffer) = (Vec::new(), [0; 1000]);
        loop {
            let length = pair.remote.read(&mut buffer).await.unwrap();
            if length == 0 {
                break;
            }
            wire.extend_from_slice(&buffer[..length]);
            // To a socket that was closed, this would bring a reset and the loss of what was not read yet.
            pair.tell(b"and another thing").await;
        }
        assert!(wire.ends_with(&frame(&Message::Have { piece: 29_999 })), "{} bytes came", wire.len());
        drop(pair.remote);
        pair.task.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_remote_that_does_not_read_is_noticed_and_an_abort_is_at_once() {
    on_one_thread(async {
        let pair = Pair::new().await;
        let mut ordered = 0;
        while pair.link.order(Order::Frame(vec![0; 60_000])) {
            ordered += 1;
        }
        assert!((100..200).contains(&ordered), "{ordered} frames of 60 kB");
        pair.link.abort();
        assert_eq!(pair.inputs().await, [closed(false)]);
        pair.task.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_part_in_small_packets_is_read_in_steps() {
    on_one_thread(async {
        let content = vec![7; 60 * 1024];
        let mut pair = Pair::new().await;
        pair.expect(1, content.len() as u32);
        let mut reads = 0;
        for packet in part(1, &content).chunks(1024) {
            pair.tell(packet).await;
            let soon = Duration::from_millis(5);
            while let Ok(input) = tokio::time::timeout(soon, pair.inbox.pop()).await {
                reads += u32::from(matches!(input, Input::PieceData { .. }));
                if input == end(1, &content) {
                    // Whole steps, the rest, and what a slow machine left for longer than the patience.
                    assert!((4..20).contains(&reads), "{reads} reads of 60 packets");
                    return;
                }
            }
        }
        panic!("the last byte was not read at once");
    })
    .await;
}

#[tokio::test]
async fn what_has_come_is_told_although_no_more_comes() {
    on_one_thread(async {
        let content = vec![7; 60 * 1024];
        let mut pair = Pair::new().await;
        pair.expect(1, content.len() as u32);
        let wire = part(1, &content);
        let (mut told, mut cut) = (0, 0);
        // The first bytes are read at once; those after them are fewer than a step.
        for until in [2000, 3000, 3001, wire.len()] {
            pair.tell(&wire[cut..until]).await;
            cut = until;
            while told < (until - (wire.len() - content.len())) as u32 {
                let next = tokio::time::timeout(Duration::from_secs(10), pair.inbox.pop()).await;
                match next.expect("what came is told") {
                    Input::PieceData { bytes, .. } => told += bytes,
                    input => panic!("{input:?}"),
                }
            }
        }
        assert_eq!(pair.inbox.pop().await, end(1, &content));
    })
    .await;
}
