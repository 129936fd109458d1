//! What a peer is told of its user and its machine beside downloads: the upload setting, the link's other use, presence.

use serde::{Deserialize, Serialize};

/// Something that the user or the machine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Habit {
    /// When, in nanoseconds since the start.
    pub at_ns: u64,
    /// What.
    pub act: HabitAct,
}

/// What the user or the machine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HabitAct {
    /// The user switches uploads on.
    UploadsOn,
    /// The user switches uploads off.
    UploadsOff,
    /// The user uses the link for something else.
    LinkBusy,
    /// The user no longer does.
    LinkIdle,
    /// The machine goes: nothing is sent or accepted until it is back.
    Offline {
        /// It is shut down: connections end in good order. Otherwise they are closed without a word.
        clean: bool,
    },
    /// It is back, and starts anew with what it held.
    Online {
        /// From an image of its disk that is older than this run: it no longer knows the secondary GUIDs drawn since.
        restored: bool,
    },
}

/// How uploads give way to other use of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Courtesy {
    /// The most that is uploaded while the user uses the link, in bits of content a second; 0: nothing, none: as ever.
    pub busy_rate_bps: Option<u64>,
    /// The same while a download of its own is active.
    pub downloading_rate_bps: Option<u64>,
    /// After the user's use the rate begins with a tenth of its cap and doubles each time so long has passed, in
    /// nanoseconds; 0: the whole rate at once.
    pub back_off_ns: u64,
}

impl Default for Courtesy {
    fn default() -> Self {
        Self { busy_rate_bps: Some(0), downloading_rate_bps: None, back_off_ns: 1_000_000_000 }
    }
}
