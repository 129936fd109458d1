//! Which answer belongs to which HTTP request. Called by the edge machine.

use std::{collections::BTreeMap, fmt::Write};

use peerbed_contract::{ContentId, Guid, Object};

use super::range::{self, Wanted};
use crate::{HttpReply, HttpRequest};

/// What is to be done about a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Answer with this.
    Reply(HttpReply),
    /// Grant a download.
    Authorize {
        /// Of what.
        content: ContentId,
        /// To whom.
        guid: Guid,
    },
}

/// Finds the answer to `request`.
pub(super) fn route(request: &HttpRequest, objects: &BTreeMap<ContentId, Object>) -> Route {
    let refuse = |refusal| Route::Reply(refusal);
    let path = request.path.as_str();
    if path == "/" {
        return refuse(if reads(request) { listing(objects) } else { method_not_allowed(request, "GET, HEAD") });
    }
    let Some(rest) = path.strip_prefix("/objects/") else {
        return refuse(not_found(path, "try / for a list of the objects"));
    };
    let (id, action) = rest.split_once('/').map_or((rest, None), |(id, action)| (id, Some(action)));
    let Some((content, object)) = id.parse().ok().and_then(|id: ContentId| objects.get_key_value(&id)) else {
        return refuse(not_found(path, "this edge has no such object; / lists them"));
    };
    match action {
        None if reads(request) => refuse(object_reply(request, object)),
        Some("manifest") if reads(request) => {
            refuse(HttpReply::Manifest { headers: Vec::new(), content: content.clone(), token: None })
        }
        None | Some("manifest") => refuse(method_not_allowed(request, "GET, HEAD")),
        Some("authorize") if matches!(request.method.as_str(), "GET" | "POST") => match guid(&request.query) {
            Ok(guid) => Route::Authorize { content: content.clone(), guid },
            Err(reason) => refuse(text(400, Vec::new(), format!("{reason}\n"))),
        },
        Some("authorize") => refuse(method_not_allowed(request, "GET, POST")),
        Some(_) => refuse(not_found(path, "an object has /manifest and /authorize")),
    }
}

fn reads(request: &HttpRequest) -> bool {
    matches!(request.method.as_str(), "GET" | "HEAD")
}

/// The strong entity tag of an object: its bytes are a function of its key and size.
pub(super) fn etag(object: &Object) -> String {
    format!("\"{:016x}-{:x}\"", object.key, object.size)
}

fn object_reply(request: &HttpRequest, object: &Object) -> HttpReply {
    let etag = etag(object);
    let size = object.size;
    let head_only = request.method == "HEAD";
    // RFC 9110 defines ranges for GET alone.
    let range = request.range.as_deref().filter(|_| !head_only && range::holds(request.if_range.as_deref(), &etag));
    let (status, offset, bytes) = match range.map_or(Wanted::Whole, |header| range::parse(header, size)) {
        Wanted::Whole => (200, 0, size),
        Wanted::Part { offset, bytes } => (206, offset, bytes),
        Wanted::Unsatisfiable => {
            let headers = vec![("content-range", format!("bytes */{size}")), ("accept-ranges", "bytes".to_owned())];
            return text(416, headers, format!("`{}` has {size} bytes, none of them in that range\n", object.id));
        }
    };
    let mut headers = vec![
        ("content-type", "application/octet-stream".to_owned()),
        ("accept-ranges", "bytes".to_owned()),
        ("etag", etag),
    ];
    if status == 206 {
        headers.push(("content-range", format!("bytes {offset}-{}/{size}", offset + bytes - 1)));
    }
    HttpReply::Object { status, headers, content: object.id.clone(), offset, bytes, head_only }
}

/// The value of `guid` in a query.
fn guid(query: &str) -> Result<Guid, String> {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("guid="))
        .ok_or("an authorisation needs ?guid= and 32 hexadecimal digits")?;
    value.parse().map_err(|error: peerbed_contract::NameError| error.to_string())
}

fn listing(objects: &BTreeMap<ContentId, Object>) -> HttpReply {
    let mut body = String::from("Objects of this edge: path, bytes, bytes of a piece, provider, peers allowed.\n");
    for object in objects.values() {
        let Object { id, provider, size, piece_length, peers_allowed, .. } = object;
        writeln!(body, "/objects/{id} {size} {piece_length} {provider} {peers_allowed}")
            .expect("writing to a string does not fail");
    }
    text(200, Vec::new(), body)
}

fn not_found(path: &str, hint: &str) -> HttpReply {
    text(404, Vec::new(), format!("nothing is at {path}: {hint}\n"))
}

fn method_not_allowed(request: &HttpRequest, allowed: &str) -> HttpReply {
    let body = format!("{} is not possible on {}, only {allowed}\n", request.method, request.path);
    text(405, vec![("allow", allowed.to_owned())], body)
}

fn text(status: u16, mut headers: Vec<(&'static str, String)>, body: String) -> HttpReply {
    headers.push(("content-type", "text/plain; charset=utf-8".to_owned()));
    HttpReply::Text { status, headers, body }
}
