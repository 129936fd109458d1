//! Signing and checking the tokens that authorise a download.
//!
//! Called by the edge machine (sign) and by the control and peer machines (verify). The signature covers
//! [`encode`]'s bytes, which are written out below so that another implementation can produce them.

use std::net::IpAddr;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use peerbed_contract::{ContentId, Guid, SignedToken, Token};

use crate::Time;

/// Distinguishes these signatures from any other use of the same key.
const DOMAIN: &[u8] = b"peerbed token 2\0";

/// Why a token was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The checker's own public key is not a point of the curve.
    #[error("the verification key is not an ed25519 public key")]
    Key,
    /// The signature does not have 64 bytes.
    #[error("the token for `{content}` has a signature of {length} bytes, 64 are expected")]
    Length {
        /// What the token is for.
        content: ContentId,
        /// Bytes found.
        length: usize,
    },
    /// The signature is not the edge's over this token.
    #[error("the token for `{content}` was not signed by the edge")]
    Signature {
        /// What the token is for.
        content: ContentId,
    },
    /// The token is no longer valid.
    #[error("the token for `{content}` expired at {expires} ns, it is {now} ns now")]
    Expired {
        /// What the token is for.
        content: ContentId,
        /// When it expired, nanoseconds since the start of the run.
        expires: Time,
        /// When it was checked, nanoseconds since the start of the run.
        now: Time,
    },
    /// Another installation shows it.
    #[error("the token for `{content}` was granted to another installation")]
    Holder {
        /// What the token is for.
        content: ContentId,
    },
    /// It is shown from elsewhere.
    #[error("the token for `{content}` was granted to the address {granted}, it is shown from {seen}")]
    Address {
        /// What the token is for.
        content: ContentId,
        /// The address that it was granted to.
        granted: IpAddr,
        /// The address of the connection.
        seen: IpAddr,
    },
}

impl TokenError {
    /// Whether the same installation may do better with a new authorisation.
    pub fn is_stale(&self) -> bool {
        matches!(self, TokenError::Expired { .. } | TokenError::Address { .. })
    }
}

/// Who shows a token, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bearer {
    /// The installation that it says it is.
    pub guid: Guid,
    /// The remote address of its connection.
    pub address: IpAddr,
}

/// What is signed: the 16 bytes of `peerbed token 2` and a zero byte, the GUID's 16 bytes, the length of the content's name
/// (one byte) and the name, one byte 4 or 6 and the 4 or 16 bytes of the address, one byte 0 or 1 for `peers_allowed`, then `expires` and `nonce` as 8 bytes each, big endian.
///
/// No two different tokens have the same encoding.
pub fn encode(token: &Token) -> Vec<u8> {
    let content = token.content.as_str().as_bytes();
    let mut bytes = Vec::with_capacity(DOMAIN.len() + 16 + 1 + content.len() + 17 + 1 + 16);
    bytes.extend_from_slice(DOMAIN);
    bytes.extend_from_slice(token.guid.as_bytes());
    bytes.push(content.len() as u8); // a name has at most 63 bytes
    bytes.extend_from_slice(content);
    match token.address.to_canonical() {
        IpAddr::V4(address) => {
            bytes.push(4);
            bytes.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            bytes.push(6);
            bytes.extend_from_slice(&address.octets());
        }
    }
    bytes.push(u8::from(token.peers_allowed));
    bytes.extend_from_slice(&token.expires.to_be_bytes());
    bytes.extend_from_slice(&token.nonce.to_be_bytes());
    bytes
}

/// Signs a token with the edge's secret, the 32-byte ed25519 seed.
pub fn sign(secret: &[u8; 32], token: Token) -> SignedToken {
    let signature = SigningKey::from_bytes(secret).sign(&encode(&token)).to_bytes().to_vec();
    SignedToken { token, signature }
}

/// The public key that belongs to a secret.
pub fn public_key(secret: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(secret).verifying_key().to_bytes()
}

/// Gives the token inside if it was signed with the secret of `public` and is valid at `now`.
pub fn verify<'a>(public: &[u8; 32], signed: &'a SignedToken, now: Time) -> Result<&'a Token, TokenError> {
    let token = &signed.token;
    let content = || token.content.clone();
    let key = VerifyingKey::from_bytes(public).map_err(|_| TokenError::Key)?;
    let signature = Signature::from_slice(&signed.signature)
        .map_err(|_| TokenError::Length { content: content(), length: signed.signature.len() })?;
    key.verify_strict(&encode(token), &signature).map_err(|_| TokenError::Signature { content: content() })?;
    if now >= token.expires {
        return Err(TokenError::Expired { content: content(), expires: token.expires, now });
    }
    Ok(token)
}

/// Gives the token inside if it is good and `bearer` is who it was granted to, at the place that it was granted to.
///
/// Ports do not count: behind an address translation each connection has another.
pub fn admit<'a>(
    public: &[u8; 32],
    signed: &'a SignedToken,
    bearer: Bearer,
    now: Time,
) -> Result<&'a Token, TokenError> {
    let token = verify(public, signed, now)?;
    if token.guid != bearer.guid {
        return Err(TokenError::Holder { content: token.content.clone() });
    }
    let (granted, seen) = (token.address.to_canonical(), bearer.address.to_canonical());
    if granted != seen {
        return Err(TokenError::Address { content: token.content.clone(), granted, seen });
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use peerbed_contract::Guid;

    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    fn token() -> Token {
        Token {
            guid: Guid::from_bytes([0xab; 16]),
            content: "patch".parse().unwrap(),
            address: [10, 1, 2, 3].into(),
            peers_allowed: true,
            expires: 1_000,
            nonce: 42,
        }
    }

    #[test]
    fn a_signed_token_is_accepted_until_it_expires() {
        let signed = sign(&SECRET, token());
        let public = public_key(&SECRET);
        assert_eq!(verify(&public, &signed, 999), Ok(&token()));
        assert_eq!(
            verify(&public, &signed, 1_000),
            Err(TokenError::Expired { content: token().content, expires: 1_000, now: 1_000 })
        );
    }

    #[test]
    fn any_changed_field_breaks_the_signature() {
        let public = public_key(&SECRET);
        let changes: [fn(&mut Token); 7] = [
            |token| token.guid = Guid::from_bytes([0xac; 16]),
            |token| token.content = "patcg".parse().unwrap(),
            |token| token.address = [10, 1, 2, 4].into(),
            |token| token.address = "2001:db8::1".parse().unwrap(),
            |token| token.peers_allowed = false,
            |token| token.expires += 1,
            |token| token.nonce += 1,
        ];
        for change in changes {
            let mut signed = sign(&SECRET, token());
            change(&mut signed.token);
            assert_eq!(
                verify(&public, &signed, 0),
                Err(TokenError::Signature { content: signed.token.content.clone() })
            );
        }
    }

    #[test]
    fn another_key_and_a_short_signature_are_refused() {
        let mut signed = sign(&SECRET, token());
        let content = token().content;
        assert_eq!(verify(&public_key(&[8; 32]), &signed, 0), Err(TokenError::Signature { content: content.clone() }));
        signed.signature.pop();
        assert_eq!(verify(&public_key(&SECRET), &signed, 0), Err(TokenError::Length { content, length: 63 }));
    }

    #[test]
    fn a_token_is_good_for_its_bearer_at_its_address_alone() {
        let signed = sign(&SECRET, token());
        let public = public_key(&SECRET);
        let bearer = Bearer { guid: token().guid, address: token().address };
        assert_eq!(admit(&public, &signed, bearer, 0), Ok(&token()));
        // The same address as an IPv6 socket sees it.
        let mapped = Bearer { address: "::ffff:10.1.2.3".parse().unwrap(), ..bearer };
        assert_eq!(admit(&public, &signed, mapped, 0), Ok(&token()));
        let (content, granted) = (token().content, token().address);
        let seen = [10, 1, 2, 4].into();
        let replayed = admit(&public, &signed, Bearer { address: seen, ..bearer }, 0).unwrap_err();
        assert_eq!(replayed, TokenError::Address { content: content.clone(), granted, seen });
        let foreign = Bearer { guid: Guid::from_bytes([1; 16]), ..bearer };
        let foreign = admit(&public, &signed, foreign, 0).unwrap_err();
        assert_eq!(foreign, TokenError::Holder { content });
        let expired = admit(&public, &signed, bearer, 1_000).unwrap_err();
        assert_eq!([replayed, foreign, expired].map(|error| error.is_stale()), [true, false, true]);
    }

    #[test]
    fn the_encoding_is_fixed() {
        let mut expected = b"peerbed token 2\0".to_vec();
        expected.extend([0xab; 16]);
        expected.extend(b"\x05patch\x04\x0a\x01\x02\x03\x01");
        expected.extend([0, 0, 0, 0, 0, 0, 0x03, 0xe8, 0, 0, 0, 0, 0, 0, 0, 42]);
        assert_eq!(encode(&token()), expected);
    }
}
