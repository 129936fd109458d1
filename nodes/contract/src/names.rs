//! The names of things: autonomous systems, nodes, content, installations.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty or longer than 63 characters.
    #[error("a name has 1 to 63 characters, `{0}` has {len}", len = .0.chars().count())]
    Length(String),
    /// The text has a character outside `a-z A-Z 0-9 . _ -`, or does not begin with a letter or digit.
    #[error("`{0}` may only have letters, digits, `.`, `_` and `-`, and begins with a letter or digit")]
    Character(String),
    /// Not 32 hexadecimal digits.
    #[error("`{0}` is not a GUID: 32 hexadecimal digits are expected")]
    Guid(String),
    /// Not a number from 1 to 4294967295.
    #[error("`{0}` is not an AS number: 1 to 4294967295 is expected")]
    AsNumber(String),
}

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() || text.len() > 63 {
        return Err(NameError::Length(text.to_owned()));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !text.chars().all(good) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(NameError::Character(text.to_owned()));
    }
    Ok(())
}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                check(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text_name! {
    /// The name of a node, unique in a plan: `edge-0`, `control-0`, `x-homes-17`.
    NodeName
}
text_name! {
    /// The identity of a content object, unique in an experiment: `patch`.
    ContentId
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An HTTP server that has every object and guarantees every download.
    Edge,
    /// The control plane: logins, registered copies, answers to peer queries.
    Control,
    /// A client that downloads from edges and peers and may upload to peers.
    Peer,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Role::Edge => "edge",
            Role::Control => "control",
            Role::Peer => "peer",
        })
    }
}

/// The number of an autonomous system, 1 to 2³²−1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct AsNumber(u32);

impl AsNumber {
    /// The plain number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for AsNumber {
    type Error = NameError;
    fn try_from(number: u32) -> Result<Self, NameError> {
        if number == 0 {
            return Err(NameError::AsNumber(number.to_string()));
        }
        Ok(Self(number))
    }
}

impl From<AsNumber> for u32 {
    fn from(number: AsNumber) -> Self {
        number.0
    }
}

impl fmt::Display for AsNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.0)
    }
}

/// The identity of one installation of the client; 32 hexadecimal digits as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Guid([u8; 16]);

impl Guid {
    /// A GUID of these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Guid {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        crate::object::hex_array(text).map(Self).ok_or_else(|| NameError::Guid(text.to_owned()))
    }
}

impl TryFrom<String> for Guid {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Guid> for String {
    fn from(guid: Guid) -> Self {
        guid.to_string()
    }
}
