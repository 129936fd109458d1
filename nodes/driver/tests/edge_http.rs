//! An edge as an ordinary HTTP client sees it, and the bytes that it says it served.

mod support;

use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
};

use peerbed_contract::{Manifest, SignedToken, TransferRecord};
use reqwest::{Client, Method, Response, StatusCode, header};
use support::{Live, bytes, edge, object, transfers};

const SIZE: u64 = 1_000_003;

struct Edge {
    live: Live,
    client: Client,
}

impl Edge {
    fn start() -> Self {
        let live = Live::start(edge("127.0.0.1", &[object("patch", SIZE), object("film", 3 * SIZE)]));
        Self { live, client: Client::builder().no_proxy().build().unwrap() }
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(header::HeaderName, &str)]) -> Response {
        let url = format!("http://{}{path}", self.live.listen);
        let mut request = self.client.request(method, url);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.send().await.unwrap()
    }

    /// Closes the client's connections and stops the edge; what it served, without the address.
    fn stop(self) -> Vec<(String, u64, bool)> {
        drop(self.client);
        served(&transfers(&self.live.stop()))
    }
}

fn served(transfers: &[TransferRecord]) -> Vec<(String, u64, bool)> {
    let mut served: Vec<_> = transfers
        .iter()
        .map(|record| {
            assert_eq!((record.remote.to_string().as_str(), record.received), ("127.0.0.1", 0));
            (record.content.to_string(), record.sent, record.broken)
        })
        .collect();
    served.sort();
    served
}

fn value(response: &Response, name: &header::HeaderName) -> String {
    response.headers().get(name).unwrap_or_else(|| panic!("{name} is missing")).to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_whole_object() {
    let edge = Edge::start();
    let response = edge.ask(Method::GET, "/objects/patch", &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(value(&response, &header::CONTENT_LENGTH), SIZE.to_string());
    assert_eq!(value(&response, &header::ACCEPT_RANGES), "bytes");
    assert_eq!(value(&response, &header::CONTENT_TYPE), "application/octet-stream");
    value(&response, &header::DATE);
    assert!(response.bytes().await.unwrap() == bytes(&object("patch", SIZE)));
    assert_eq!(edge.stop(), [("patch".to_owned(), SIZE, false)]);
}

#[tokio::test]
async fn ranges_heads_and_refusals() {
    let edge = Edge::start();
    let whole = bytes(&object("patch", SIZE));
    let mut expected = 0;
    for (range, first, last) in
        [("bytes=0-0", 0, 0), ("bytes=65530-200001", 65_530, 200_001), ("bytes=-7", SIZE - 7, SIZE - 1)]
    {
        let response = edge.ask(Method::GET, "/objects/patch", &[(header::RANGE, range)]).await;
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(value(&response, &header::CONTENT_RANGE), format!("bytes {first}-{last}/{SIZE}"));
        assert!(response.bytes().await.unwrap() == whole[first as usize..=last as usize]);
        expected += last - first + 1;
    }
    let response = edge.ask(Method::GET, "/objects/patch", &[(header::RANGE, "bytes=1000003-")]).await;
    assert_eq!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(value(&response, &header::CONTENT_RANGE), format!("bytes */{SIZE}"));

    let response = edge.ask(Method::HEAD, "/objects/patch", &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(value(&response, &header::CONTENT_LENGTH), SIZE.to_string());
    let etag = value(&response, &header::ETAG);
    assert!(response.bytes().await.unwrap().is_empty());

    for (tag, status) in [(etag.as_str(), StatusCode::PARTIAL_CONTENT), ("\"other\"", StatusCode::OK)] {
        let headers = [(header::RANGE, "bytes=0-9"), (header::IF_RANGE, tag)];
        let response = edge.ask(Method::GET, "/objects/patch", &headers).await;
        assert_eq!(response.status(), status);
        expected += response.bytes().await.unwrap().len() as u64;
    }
    assert_eq!(edge.ask(Method::GET, "/objects/none", &[]).await.status(), StatusCode::NOT_FOUND);
    let response = edge.ask(Method::PUT, "/objects/patch", &[]).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(value(&response, &header::ALLOW), "GET, HEAD");
    assert_eq!(edge.ask(Method::GET, "/objects/patch/authorize", &[]).await.status(), StatusCode::BAD_REQUEST);
    let listing = edge.ask(Method::GET, "/", &[]).await.text().await.unwrap();
    assert!(listing.contains(&format!("/objects/patch {SIZE} 262144 A true\n")), "{listing}");

    // All on one connection, which keep-alive held open, and HEAD counts nothing.
    assert_eq!(edge.stop(), [("patch".to_owned(), expected, false)]);
}

/// What an authorisation's body holds.
#[derive(serde::Deserialize)]
struct Authorization {
    token: SignedToken,
    manifest: Manifest,
}

#[tokio::test]
async fn manifests_and_authorisations() {
    let edge = Edge::start();
    let response = edge.ask(Method::GET, "/objects/patch/manifest", &[]).await;
    assert_eq!(value(&response, &header::CONTENT_TYPE), "application/json");
    let manifest: Manifest = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(manifest, peerbed_driver::manifest(&object("patch", SIZE)));
    assert_eq!(manifest.pieces.len(), 4);

    let guid = "00112233445566778899aabbccddeeff";
    for method in [Method::GET, Method::POST] {
        let response = edge.ask(method, &format!("/objects/patch/authorize?guid={guid}"), &[]).await;
        let granted: Authorization = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(granted.manifest, manifest);
        let public = peerbed_proto::token::public_key(&support::SECRET);
        let token = peerbed_proto::token::verify(&public, &granted.token, 1).unwrap();
        assert_eq!((token.guid.to_string(), token.address), (guid.to_owned(), [127, 0, 0, 1].into()));
    }
    assert_eq!(edge.stop(), []);
}

#[tokio::test]
async fn several_clients_at_once() {
    let edge = Edge::start();
    let whole = bytes(&object("film", 3 * SIZE));
    let fetches: Vec<_> = (0..8).map(|_| edge.ask(Method::GET, "/objects/film", &[])).collect();
    for fetch in fetches {
        assert!(fetch.await.bytes().await.unwrap() == whole);
    }
    let served = edge.stop();
    assert_eq!(served.iter().map(|(_, sent, _)| sent).sum::<u64>(), 8 * 3 * SIZE);
    assert!(served.iter().all(|(_, _, broken)| !broken), "{served:?}");
}

fn raw(edge: &Live, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(edge.listen).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let edge = Live::start(edge("127.0.0.1", &[object("patch", SIZE)]));
    let mut requests = String::new();
    for first in 0..50 {
        let last = first + 9999;
        write!(requests, "GET /objects/patch HTTP/1.1\r\nhost: x\r\nrange: bytes={first}-{last}\r\n\r\n").unwrap();
    }
    let mut stream = raw(&edge, &requests);
    let whole = bytes(&object("patch", SIZE));
    for index in 0..50 {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let mut body = vec![0; 10_000];
        stream.read_exact(&mut body).unwrap();
        assert!(body == whole[index..index + 10_000], "the answer to request {index}");
    }
    drop(stream);
    assert_eq!(served(&transfers(&edge.stop())), [("patch".to_owned(), 500_000, false)]);
}

#[test]
fn a_client_that_leaves_in_the_middle_is_broken() {
    let mut edge = Live::start(edge("127.0.0.1", &[object("film", 500_000_000)]));
    let mut stream = raw(&edge, "GET /objects/film HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.read_exact(&mut vec![0; 100_000]).unwrap();
    drop(stream);
    let event = edge.wait_for(|kind| matches!(kind, peerbed_contract::EventKind::Transfer(_)));
    let transfers = transfers(&[event]);
    assert!(transfers[0].broken);
    assert!((100_000..500_000_000).contains(&transfers[0].sent), "{transfers:?}");
    assert_eq!(support::transfers(&edge.stop()), transfers, "told once");
}

#[test]
fn a_client_that_resets_after_the_last_byte_was_handed_over_is_broken() {
    let mut edge = Live::start(edge("127.0.0.1", &[object("patch", 50_000)]));
    let mut stream = raw(&edge, "GET /objects/patch HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.read_exact(&mut [0; 1000]).unwrap();
    // Unread bytes make the close a reset.
    drop(stream);
    edge.wait_for(
        |kind| matches!(kind, peerbed_contract::EventKind::Transfer(record) if record.broken && record.sent == 50_000),
    );
    edge.stop();
}

#[test]
fn garbage_is_answered_and_counted_as_nothing() {
    let edge = Live::start(edge("127.0.0.1", &[object("patch", 50_000)]));
    for garbage in ["\0\0\0\x05hello\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/7.1\r\n\r\n", "\r\n\r\n\r\n"] {
        let mut stream = raw(&edge, garbage);
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(transfers(&edge.stop()), []);
}

#[test]
fn a_stop_in_the_middle_of_a_body_is_told() {
    let edge = Live::start(edge("127.0.0.1", &[object("film", 500_000_000)]));
    let mut stream = raw(&edge, "GET /objects/film HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.read_exact(&mut vec![0; 1_000_000]).unwrap();
    let stopping = thread::spawn(move || edge.stop());
    let mut rest = Vec::new();
    // The body is cut; whether that is a reset or an early end is the system's choice.
    let _ = stream.read_to_end(&mut rest);
    let received = 1_000_000 + rest.len() as u64;
    let transfers = transfers(&stopping.join().unwrap());
    assert!(transfers.len() == 1 && transfers[0].broken, "{transfers:?}");
    // The head of the answer is among what was received.
    assert!(transfers[0].sent + 1000 >= received, "{received} received, {transfers:?}");
}
