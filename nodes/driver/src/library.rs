//! The objects that a node knows: the generators' keys, and at an edge their piece hashes.

use std::{collections::BTreeMap, rc::Rc, time::Instant};

use peerbed_contract::{ContentId, Manifest, Object, PieceHash, SignedToken, content};
use tokio::sync::OnceCell;

/// Objects of up to so many bytes together are hashed while the edge waits for its first requests; others when somebody
/// asks for them.
const EAGER_BYTES: u64 = 1 << 30;

/// All objects of a node.
#[derive(Debug)]
pub(crate) struct Library {
    shelves: BTreeMap<ContentId, Shelf>,
}

#[derive(Debug)]
struct Shelf {
    object: Object,
    /// The manifest as JSON.
    manifest: OnceCell<String>,
}

impl Library {
    /// A library of these objects.
    pub(crate) fn new(objects: &[Object]) -> Rc<Self> {
        let shelf = |object: &Object| Shelf { object: object.clone(), manifest: OnceCell::new() };
        Rc::new(Self { shelves: objects.iter().map(|object| (object.id.clone(), shelf(object))).collect() })
    }

    /// The object, if it is known.
    pub(crate) fn object(&self, content: &ContentId) -> Option<&Object> {
        self.shelves.get(content).map(|shelf| &shelf.object)
    }

    /// The manifest as JSON, together with the token `granted` if there is one; nothing if the object is not known.
    pub(crate) async fn manifest_json(&self, content: &ContentId, granted: Option<&SignedToken>) -> Option<String> {
        let Shelf { object, manifest } = self.shelves.get(content)?;
        let manifest = manifest.get_or_init(|| hash_apart(object.clone())).await;
        Some(match granted {
            None => manifest.clone(),
            Some(token) => {
                let token =
                    serde_json::to_string(token).expect("a token has only strings, numbers and lists of numbers");
                format!("{{\"token\":{token},\"manifest\":{manifest}}}")
            }
        })
    }

    /// Hashes the first objects, one after the other.
    pub(crate) async fn prepare(&self) {
        let mut total = 0;
        for (content, shelf) in &self.shelves {
            total += shelf.object.size;
            if total > EAGER_BYTES {
                break;
            }
            self.manifest_json(content, None).await;
        }
    }
}

/// Hashes on the thread for blocking work; there is one, so objects are hashed one at a time.
async fn hash_apart(object: Object) -> String {
    let hashing = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        let manifest = manifest(&object);
        tracing::info!(content = %object.id, bytes = object.size, elapsed = ?begun.elapsed(), "hashed an object");
        serde_json::to_string(&manifest).expect("a manifest has only strings, numbers and flags")
    });
    hashing.await.expect("hashing does not panic")
}

/// The manifest of an object, with the hash of every piece.
pub fn manifest(object: &Object) -> Manifest {
    let mut buffer = vec![0; (object.piece_length as usize).min(64 * 1024)];
    let pieces = (0..object.piece_count()).map(|index| {
        let (mut offset, length) = object.piece_range(index);
        let mut left = length as usize;
        let mut hasher = blake3::Hasher::new();
        while left > 0 {
            let chunk = &mut buffer[..left.min(64 * 1024)];
            content::fill(object.key, offset, chunk);
            hasher.update(chunk);
            offset += chunk.len() as u64;
            left -= chunk.len();
        }
        PieceHash(*hasher.finalize().as_bytes())
    });
    Manifest {
        content: object.id.clone(),
        provider: object.provider.clone(),
        size: object.size,
        piece_length: object.piece_length,
        pieces: pieces.collect(),
        peers_allowed: object.peers_allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_has_the_hash_of_every_piece() {
        let object = Object {
            id: "patch".parse().unwrap(),
            provider: "A".to_owned(),
            size: 300_001,
            piece_length: 100_000,
            key: 9,
            peers_allowed: true,
        };
        let mut whole = vec![0; 300_001];
        content::fill(9, 0, &mut whole);
        let expected: Vec<_> = whole.chunks(100_000).map(|piece| PieceHash(*blake3::hash(piece).as_bytes())).collect();
        let manifest = manifest(&object);
        assert_eq!(manifest.pieces, expected);
        assert_eq!(manifest.pieces.len(), 4);
        manifest.checked().unwrap();
    }
}
