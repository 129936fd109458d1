//! Metrics of downloads.

use super::{Definition, higher, lower, neither};

pub(super) const DEFINITIONS: &[Definition] = &[
    neither("downloads.planned", "1", "downloads in the scripts of the plan"),
    neither("downloads.started", "1", "downloads that a user asked for"),
    neither("downloads.lost", "1", "started downloads without a record, because their node was killed"),
    higher("downloads.completed", "1", "every piece received and verified"),
    lower("downloads.paused", "1", "paused by the user and never resumed"),
    lower("downloads.aborted", "1", "given up by the user"),
    lower("downloads.failed", "1", "not delivered by the system"),
    lower("downloads.unfinished", "1", "cut off by the end of the run"),
    lower("offline_rate", "share", "downloads whose machine was away meanwhile (key `sessions` of a group) / started"),
    neither(
        "moved_rate",
        "share",
        "downloads whose peer changed its address meanwhile (`moves` of a group, `move` of the timeline) / started",
    ),
    lower("failure_rate", "share", "failed / started"),
    higher(
        "speed_mbps",
        "Mbit/s",
        "average speed of each completed download: used content bytes / active time (pauses and the time that its \
         machine was away excluded)",
    ),
    higher(
        "speed_wall_mbps",
        "Mbit/s",
        "the same over the time from the request to the end, pauses and absence included",
    ),
    higher(
        "speed_ranked_mbps",
        "Mbit/s",
        "as `speed_mbps`, with failed and unfinished downloads as 0, so that giving up on the slow ones is no gain; \
         what users ended stays out",
    ),
    lower("startup_ms", "ms", "from the request to the first content byte, of all downloads that got one"),
    lower("pause_rate", "share", "downloads paused by the user at least once before completion / started"),
    lower("pause_terminal_rate", "share", "of these, those never resumed / started"),
    lower("pause_resumed_rate", "share", "of these, the others / started"),
    lower(
        "stalled_rate",
        "share",
        "downloads with at least one stall (no byte for 2 s or more while active) / started",
    ),
    lower("stalls", "1", "all stalls"),
    higher(
        "peer_efficiency",
        "share",
        "bytes from peers / (bytes from peers + bytes from edges), over all downloads together: weighted by bytes",
    ),
    higher(
        "peer_efficiency_of_downloads",
        "share",
        "the same for each download that used any byte; its mean weighs each download the same",
    ),
    lower("bytes.edge", "B", "content bytes used that came from edges"),
    higher("bytes.peer", "B", "content bytes used that came from peers"),
    lower("bytes.wasted", "B", "content bytes received and not used: duplicates, failed hashes, bytes after an abort"),
    neither(
        "fluid_bound_s",
        "s",
        "of runs in which everybody downloads one object, begun within a second: the [fluid bound](#the-fluid-bound) \
         of the distribution time; nothing if the policy changes meanwhile",
    ),
    neither(
        "fluid_bound_first",
        "1",
        "from the first beginning to the first completion, against that bound; nothing if a download did not complete",
    ),
    lower("fluid_bound_last", "1", "the same for the last completion"),
    lower("rejected_pieces", "1", "pieces that failed their hash"),
    neither("copies_registered", "1", "copies of the content in the registry when a download first asked for peers"),
    neither("peers_returned", "1", "peers in the first answer to a download"),
];
