//! The client against edges that answer as they like.

use peerbed_contract::Guid;
use peerbed_proto::ConnId;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::{JoinHandle, LocalSet},
};

use super::*;

const CONN: ConnId = ConnId(2);

struct Pair {
    link: Rc<Link>,
    inbox: Rc<Inbox>,
    task: JoinHandle<()>,
    edge: TcpStream,
}

impl Pair {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (edge, _) = listener.accept().await.unwrap();
        let (link, inbox) = (Rc::new(Link::new(CONN)), Rc::new(Inbox::default()));
        let task = tokio::task::spawn_local(run(stream, address, Rc::clone(&link), Rc::clone(&inbox)));
        Self { link, inbox, task, edge }
    }

    fn fetch(&self, request: u32, offset: u64, bytes: u32) {
        let content = "patch".parse().unwrap();
        assert!(self.link.order(Order::Fetch { request: RequestId(request), content, offset, bytes }));
    }

    fn authorize(&self) {
        let guid = Guid::from_bytes([1; 16]);
        assert!(self.link.order(Order::Authorize { content: "patch".parse().unwrap(), guid }));
    }

    /// What the edge reads until it has `requests` of them.
    async fn heard(&mut self, requests: usize) -> String {
        let mut text = String::new();
        while text.matches("\r\n\r\n").count() < requests {
            let mut buffer = [0; 1000];
            let length = self.edge.read(&mut buffer).await.unwrap();
            assert_ne!(length, 0);
            text += std::str::from_utf8(&buffer[..length]).unwrap();
        }
        text
    }

    async fn answer(&mut self, text: &str) {
        self.edge.write_all(text.as_bytes()).await.unwrap();
    }

    /// The inputs after the edge has closed.
    async fn rest(mut self) -> Vec<Input> {
        self.edge.shutdown().await.unwrap();
        self.task.await.unwrap();
        std::iter::from_fn(|| self.inbox.try_pop()).collect()
    }
}

fn partial(offset: u64, body: &str) -> String {
    let last = offset + body.len() as u64 - 1;
    let length = body.len();
    format!("HTTP/1.1 206 OK\r\ncontent-range: bytes {offset}-{last}/100\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn piece(request: u32, body: &str) -> [Input; 2] {
    let request = RequestId(request);
    [
        Input::PieceData { conn: CONN, request, bytes: body.len() as u32 },
        Input::PieceEnd { conn: CONN, request, hash: *blake3::hash(body.as_bytes()).as_bytes() },
    ]
}

fn refused(request: u32, status: u16, retry_after: Option<u64>) -> Input {
    Input::EdgeRefused { conn: CONN, request: RequestId(request), status: Some(status), retry_after }
}

fn closed(clean: bool) -> Input {
    Input::Closed { conn: CONN, clean }
}

async fn on_one_thread(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn requests_are_written_at_once_and_answered_in_order() {
    on_one_thread(async {
        let mut pair = Pair::new().await;
        pair.fetch(1, 10, 3);
        pair.fetch(2, 13, 4);
        let heard = pair.heard(2).await;
        let host = pair.edge.local_addr().unwrap();
        assert_eq!(
            heard,
            format!(
                "GET /objects/patch HTTP/1.1\r\nhost: {host}\r\nrange: bytes=10-12\r\n\r\n\
                 GET /objects/patch HTTP/1.1\r\nhost: {host}\r\nrange: bytes=13-16\r\n\r\n"
            )
        );
        pair.answer(&(partial(10, "abc") + &partial(13, "wxyz"))).await;
        let expected = [piece(1, "abc").to_vec(), piece(2, "wxyz").to_vec(), vec![closed(true)]].concat();
        assert_eq!(pair.rest().await, expected);
    })
    .await;
}

#[tokio::test]
async fn refusals_are_told_and_the_connection_goes_on() {
    on_one_thread(async {
        let mut pair = Pair::new().await;
        (1..=5).for_each(|request| pair.fetch(request, 0, 3));
        pair.heard(5).await;
        pair.answer("HTTP/1.1 503 Busy\r\nretry-after: 2\r\ncontent-length: 5\r\n\r\nlater").await;
        pair.answer(&partial(7, "abc")).await; // another range than was asked for
        pair.answer(&partial(0, "abcd")).await; // a longer one
        pair.answer("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").await; // the whole object, which has three bytes
        pair.answer("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabcd").await; // an object that is not as was believed
        let expected = [
            vec![refused(1, 503, Some(2_000_000_000)), refused(2, 206, None), refused(3, 206, None)],
            piece(4, "abc").to_vec(),
            vec![refused(5, 200, None), closed(true)],
        ];
        assert_eq!(pair.rest().await, expected.concat());
    })
    .await;
}

#[tokio::test]
async fn an_authorisation_must_be_whole_and_about_what_was_asked() {
    on_one_thread(async {
        let hash = "A".repeat(43);
        let manifest = |content: &str, pieces: &str| {
            format!(
                "{{\"content\":\"{content}\",\"provider\":\"A\",\"size\":10,\"piece_length\":10,\
                 \"pieces\":[{pieces}],\"peers_allowed\":true}}"
            )
        };
        let token = "{\"token\":{\"guid\":\"01010101010101010101010101010101\",\"content\":\"patch\",\
                     \"address\":\"127.0.0.1\",\"peers_allowed\":true,\"expires\":1,\"nonce\":1},\"signature\":[]}";
        let quoted = format!("\"{hash}\"");
        for (status, body, expected) in [
            (200, format!("{{\"token\":{token},\"manifest\":{}}}", manifest("patch", &quoted)), None),
            (200, format!("{{\"token\":{token},\"manifest\":{}}}", manifest("film", &quoted)), Some("about `film`")),
            (200, format!("{{\"token\":{token},\"manifest\":{}}}", manifest("patch", "")), Some("need 1 hashes")),
            (200, "hello".to_owned(), Some("expected value")),
            (403, "not you".to_owned(), Some("HTTP status 403: not you")),
            (503, "not now".to_owned(), Some("HTTP status 503: not now")),
        ] {
            let mut pair = Pair::new().await;
            pair.authorize();
            assert!(pair.heard(1).await.starts_with("GET /objects/patch/authorize?guid=01010101"));
            pair.answer(&format!(
                "HTTP/1.1 {status} X\r\nretry-after: 3\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
            let rest = pair.rest().await;
            let [Input::Authorized { conn: CONN, result }, Input::Closed { clean: true, .. }] = rest.as_slice() else {
                panic!("{rest:?}");
            };
            match (result, expected) {
                (Ok(_), None) => {}
                (Err(refusal), Some(expected)) => {
                    assert!(refusal.reason.contains(expected), "{refusal:?}");
                    let (said, waits) = if status == 200 { (None, None) } else { (Some(status), Some(3_000_000_000)) };
                    assert_eq!((refusal.status, refusal.retry_after), (said, waits));
                }
                _ => panic!("{body}: {result:?}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_has_come_of_an_answer_is_told() {
    on_one_thread(async {
        let mut pair = Pair::new().await;
        pair.authorize();
        pair.heard(1).await;
        for part in ["HTTP/1.1 403 X\r\ncontent-length: 9\r\n\r\nnot", " fo"] {
            pair.answer(part).await;
            assert_eq!(pair.inbox.pop().await, Input::AnswerData { conn: CONN });
        }
        pair.answer("r u").await;
        assert!(matches!(&pair.rest().await[..], [Input::Authorized { result: Err(_), .. }, Input::Closed { .. }]));
    })
    .await;
}

#[tokio::test]
async fn what_ends_or_begins_out_of_order_is_broken() {
    on_one_thread(async {
        for (answer, data) in [
            ("", 0),
            ("HTTP/1.1 206 OK\r\ncontent-ra", 0),
            ("HTTP/1.1 206 OK\r\ncontent-range: bytes 0-2/9\r\ncontent-length: 3\r\n\r\nab", 2),
            ("HTTP/1.1 206 OK\r\ncontent-range: bytes 0-2/9\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc", 0),
            ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nabc", 0),
            ("nonsense\r\n\r\n", 0),
        ] {
            let mut pair = Pair::new().await;
            pair.fetch(1, 0, 3);
            pair.heard(1).await;
            pair.answer(answer).await;
            let rest = pair.rest().await;
            assert_eq!(rest.last(), Some(&closed(false)), "{answer}");
            let came = |input: &Input| if let Input::PieceData { bytes, .. } = input { *bytes } else { 0 };
            assert_eq!(rest.iter().map(came).sum::<u32>(), data, "{answer}");
        }
        let mut pair = Pair::new().await;
        pair.answer(&partial(0, "abc")).await; // nobody asked
        assert_eq!(pair.rest().await, [closed(false)]);
    })
    .await;
}

#[tokio::test]
async fn a_close_with_an_answer_under_way_is_a_reset() {
    on_one_thread(async {
        for (answer, reset) in [(partial(0, "abc"), false), (partial(0, "abc")[..40].to_owned(), true)] {
            let mut pair = Pair::new().await;
            pair.fetch(1, 0, 3);
            pair.heard(1).await;
            pair.answer(&answer).await;
            if !reset {
                while !matches!(pair.inbox.pop().await, Input::PieceEnd { .. }) {}
            }
            pair.link.close();
            pair.task.await.unwrap();
            let ended = pair.edge.read(&mut [0; 10]).await;
            assert_eq!(
                ended.map_err(|error| error.kind()),
                if reset { Err(io::ErrorKind::ConnectionReset) } else { Ok(0) }
            );
            assert_eq!(pair.inbox.try_pop(), None, "no input follows a close");
        }
    })
    .await;
}
