//! One connection of the edge's HTTP/1.1 server: requests go to the machine, its replies become responses.

use std::{
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Incoming},
    header::{CONTENT_TYPE, HeaderValue, RANGE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use peerbed_contract::{ContentId, content};
use peerbed_proto::{Endpoint, HttpReply, HttpRequest, Input};
use tokio::{net::TcpStream, sync::oneshot};

use super::{Link, watched::Watched};
use crate::{inbox::Inbox, library::Library};

/// Content is generated in chunks of so many bytes, and about so many wait in the server for the socket.
const CHUNK: usize = 64 * 1024;

type ReplyBody = Either<Full<Bytes>, Generated>;

/// Carries a connection until it ends, and says so unless the machine closed it.
pub(crate) async fn run(stream: TcpStream, from: Endpoint, link: Rc<Link>, inbox: Rc<Inbox>, library: Rc<Library>) {
    let server = Server { link: &link, inbox: &inbox, library: &library, from };
    let service = service_fn(|request| server.serve(request));
    let (stream, failed) = Watched::new(stream);
    let connection = http1::Builder::new().max_buf_size(CHUNK).serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = loop {
        tokio::select! {
            // Whether the machine has closed comes first: a connection that is polled once more sends more.
            biased;
            () = link.changed() => {
                // The machine has closed its account: a body is cut where it is, so that nobody receives bytes that were
                // not counted.
                if link.is_aborted() || (link.is_closing() && link.in_body.get()) {
                    return;
                }
                if link.is_closing() {
                    connection.as_mut().graceful_shutdown();
                }
            }
            ended = connection.as_mut() => break ended,
        }
    };
    if let Err(error) = &ended {
        tracing::debug!(conn = link.id.0, %error, "a client's connection broke");
    }
    if !link.is_closing() {
        inbox.push(Input::Closed { conn: link.id, clean: ended.is_ok() && !failed.get() });
    }
}

struct Server<'a> {
    link: &'a Rc<Link>,
    inbox: &'a Rc<Inbox>,
    library: &'a Library,
    from: Endpoint,
}

impl Server<'_> {
    async fn serve(&self, request: Request<Incoming>) -> Result<Response<ReplyBody>, Infallible> {
        let header = |name| {
            let value: Option<&HeaderValue> = request.headers().get(name);
            value.and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let request = HttpRequest {
            method: request.method().as_str().to_owned(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            range: header(RANGE),
            if_range: header(hyper::header::IF_RANGE),
        };
        self.inbox.room().await;
        let (sender, answer) = oneshot::channel();
        *self.link.reply.borrow_mut() = Some(sender);
        self.inbox.push(Input::Http { conn: self.link.id, from: self.from, request });
        Ok(match answer.await {
            Ok(reply) => self.response(reply).await,
            Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "this edge is stopping\n"),
        })
    }

    async fn response(&self, reply: HttpReply) -> Response<ReplyBody> {
        let (status, headers, body) = match reply {
            HttpReply::Text { status, headers, body } => (status, headers, Either::Left(Full::from(body))),
            HttpReply::Manifest { mut headers, content, token } => {
                let Some(body) = self.library.manifest_json(&content, token.as_ref()).await else {
                    return plain(StatusCode::INTERNAL_SERVER_ERROR, "this edge does not know its own object\n");
                };
                headers.push(("content-type", "application/json".to_owned()));
                (200, headers, Either::Left(Full::from(body)))
            }
            HttpReply::Object { status, headers, content, offset, bytes, head_only } => {
                let Some(object) = self.library.object(&content) else {
                    return plain(StatusCode::INTERNAL_SERVER_ERROR, "this edge does not know its own object\n");
                };
                // For HEAD the server sends the length of this body and never asks it for a byte.
                self.link.in_body.set(!head_only && bytes > 0);
                let body = Generated {
                    key: object.key,
                    offset,
                    left: bytes,
                    content,
                    link: Rc::clone(self.link),
                    to: self.from,
                    inbox: Rc::clone(self.inbox),
                };
                (status, headers, Either::Right(body))
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in headers {
            match HeaderValue::from_str(&value) {
                Ok(value) => drop(response.headers_mut().insert(name, value)),
                Err(error) => tracing::error!(name, value, %error, "a header of a reply cannot be sent"),
            }
        }
        response
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<ReplyBody> {
    let mut response = Response::new(Either::Left(Full::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Bytes of an object, generated as the connection takes them, and counted.
struct Generated {
    key: u64,
    offset: u64,
    left: u64,
    content: ContentId,
    link: Rc<Link>,
    to: Endpoint,
    inbox: Rc<Inbox>,
}

impl Body for Generated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = self.left.min(CHUNK as u64);
        let mut chunk = vec![0; length as usize];
        content::fill(self.key, self.offset, &mut chunk);
        self.offset += length;
        self.left -= length;
        self.link.in_body.set(self.left > 0);
        let (conn, to, content) = (self.link.id, self.to, self.content.clone());
        self.inbox.push(Input::HttpSent { conn, to, content, bytes: length });
        Poll::Ready(Some(Ok(Frame::data(chunk.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
