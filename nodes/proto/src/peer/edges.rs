//! The edge of a download: which one is used, what happens when it fails, and the authorisation that it gives.

use peerbed_contract::{EdgeMode, Manifest, SignedToken, TerminalStatus};
use rand::RngExt;

use super::{
    PeerMachine,
    download::{EdgePlan, Grant},
    link::{Kind, Link, Phase},
    params::{REFUSALS_PER_EDGE, SECOND},
};
use crate::{ConnId, Output, Purpose, Refusal, Time};

/// A token is renewed when it is valid for less than this, or than half of what it was valid for when it came.
const RENEW_BEFORE: Time = 2 * SECOND;
/// The longest authorisation that makes a download wait longer for its first piece.
const LOADED_LAST: Time = SECOND;
/// So many peers are a crowd: they are likely to have a piece sooner than a loaded edge gives one.
pub(super) const CROWD: usize = 8;

impl EdgePlan {
    /// A connection is gone.
    pub(super) fn forget(&mut self, conn: ConnId) {
        if self.current == Some(conn) {
            self.current = None;
            self.asking = None;
        }
        if self.dialling == Some(conn) {
            self.dialling = None;
        }
    }
}

impl PeerMachine {
    /// Dials an edge when none is in use, or when a better one than that in use may be tried again.
    pub(super) fn keep_edge(&mut self, now: Time, number: u32) {
        let Some(download) = self.downloads.get(&number).filter(|download| download.is_active()) else { return };
        if download.edges.dialling.is_some() {
            return;
        }
        let Some(best) = download.edges.best(now) else { return };
        let current = download.edges.current.and_then(|conn| self.links.get(&conn));
        if let Some(Kind::Edge(current)) = current.map(|link| link.kind)
            && current <= best
        {
            return self.keep_grant(now, number);
        }
        let Some(&to) = self.config.edges.get(best) else { return };
        let content = download.content().clone();
        let conn = self.next_conn();
        let mut link = Link::new(to, Kind::Edge(best), Phase::Dialling, now, &self.config.constants.defences);
        link.content = Some(content);
        link.download = Some(number);
        self.links.insert(conn, link);
        if let Some(download) = self.downloads.get_mut(&number) {
            download.edges.dialling = Some(conn);
            download.links.insert(conn);
        }
        self.out.push_back(Output::Dial { conn, to, purpose: Purpose::Edge, from_listener: false });
    }

    /// An edge connection opened: it becomes the one in use.
    pub(super) fn edge_connected(&mut self, now: Time, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.pull.saw_rtt(now.saturating_sub(link.since));
        link.enter(Phase::Open, now);
        link.source = true;
        let Some(download) = link.download.and_then(|number| self.downloads.get_mut(&number)) else { return };
        let number = download.number;
        download.edges.dialling = None;
        download.edges.asking = None;
        download.stir = true;
        if let Some(old) = download.edges.current.replace(conn) {
            self.leave(now, old);
        }
        self.keep_grant(now, number);
    }

    /// Asks the edge in use for a token, if there is none that stays valid.
    fn keep_grant(&mut self, now: Time, number: u32) {
        let Some(download) = self.downloads.get_mut(&number) else { return };
        let wanted = download.edges.renew.is_some_and(|at| at <= now);
        let lasts = |grant: &Grant| grant.valid(now + RENEW_BEFORE.min(grant.lifetime / 2)).is_some();
        let valid = !wanted && download.grant.as_ref().is_some_and(lasts);
        let Some(conn) = download.edges.current.filter(|_| !valid && download.edges.asking.is_none()) else { return };
        download.edges.asking = Some(now);
        let content = download.content().clone();
        self.out.push_back(Output::Authorize { conn, content, guid: self.me.guid });
    }

    /// Somebody refused the token because it has expired or is another address's: a new one is asked for, after a while
    /// that grows with every refusal until the control plane takes one.
    pub(super) fn renew_grant(&mut self, now: Time, number: u32) {
        let Some(download) = self.downloads.get_mut(&number) else { return };
        if download.edges.renew.is_none() {
            let wait = download.edges.renewals.failed(&mut self.rng);
            download.edges.renew = Some(now + wait);
        }
    }

    /// A part of an edge's answer came: it is slow, not dead.
    pub(super) fn answer_data(&mut self, now: Time, conn: ConnId) {
        if let Some(link) = self.links.get_mut(&conn) {
            link.pull.heard = now;
        }
    }

    /// An edge answered the wish for a token.
    pub(super) fn authorized(&mut self, now: Time, conn: ConnId, result: Result<(Manifest, SignedToken), Refusal>) {
        let Some(link) = self.links.get(&conn) else { return };
        let Kind::Edge(index) = link.kind else { return };
        let (remote, rtt) = (link.remote, link.pull.rtt.unwrap_or(0));
        let Some(download) = link.download.and_then(|number| self.downloads.get_mut(&number)) else { return };
        let number = download.number;
        let mut asked = None;
        if download.edges.current == Some(conn) {
            asked = download.edges.asking.take();
        }
        if download.is_over() {
            return;
        }
        let granted = result.and_then(|(manifest, token)| {
            check_grant(now, manifest, token, download, self.me.guid).map_err(|reason| Refusal {
                status: None,
                retry_after: None,
                reason,
            })
        });
        match granted {
            Ok(grant) => {
                if download.grant.replace(grant).is_none() {
                    let waited = asked.map_or(0, |asked| now.saturating_sub(asked + rtt));
                    self.spare_edge(now, number, waited);
                }
                let Some(download) = self.downloads.get_mut(&number) else { return };
                download.stir = true;
                if download.edges.renew.take().is_some() {
                    download.swarm.next_query = now;
                }
                self.offer_begun(number);
                self.keep_swarm(now, number);
            }
            Err(Refusal { status, retry_after, reason }) => {
                self.edge_gone(now, conn, index, retry_after);
                self.leave(now, conn);
                if status.is_none_or(is_final) {
                    self.count_refusal(now, number, format!("{remote} did not authorise it: {reason}"));
                }
            }
        }
    }

    /// A first piece is not asked at once of an edge that took long to authorise, since a crowd may be beginning: by chance
    /// some ask soon, up to twice as long after it others, and those to whom peers give a piece meanwhile need not.
    fn spare_edge(&mut self, now: Time, number: u32, waited: Time) {
        let fills = matches!(self.config.edge_mode, EdgeMode::Backstop | EdgeMode::Deficit);
        let Some(download) = self.downloads.get_mut(&number).filter(|download| download.peers_allowed()) else {
            return;
        };
        if fills && waited >= self.config.constants.waits.loaded_ns && self.control.up().is_some() {
            download.edges.spared = Some(now + self.rng.random_range(0..=2 * waited.min(LOADED_LAST)));
        }
    }

    /// Registers what is being downloaded, so that others who begin at the same moment find each other before anybody
    /// has a piece.
    pub(super) fn offer_begun(&mut self, number: u32) {
        let Some(download) = self.downloads.get(&number).filter(|download| download.peers_allowed()) else { return };
        let content = download.content().clone();
        if self.config.edge_mode != EdgeMode::Only && self.uploader.offers(&content) {
            let whole = self.uploader.is_whole(&content);
            self.control_offer(&content, whole);
        }
    }

    /// The edge in use, or the one being dialled, is of no more use: another is tried, this one after a while again.
    /// What it was asked for is asked elsewhere, though it may still come.
    pub(super) fn edge_gone(&mut self, now: Time, conn: ConnId, index: usize, wait: Option<Time>) {
        let Some(link) = self.links.get(&conn) else { return };
        let Some(number) = link.download else { return };
        let remote = link.remote;
        let Some(download) = self.downloads.get_mut(&number) else { return };
        download.edges.failed(index, now, wait, &mut self.rng);
        download.edges.forget(conn);
        download.stir = true;
        let tell = download.is_active() && wait != Some(0);
        if tell {
            self.notice(format!("download {number}: edge {remote} failed, looking for another"));
        }
        self.call_off(conn);
        self.keep_edge(now, number);
    }

    /// An edge refused for good; too many of these in a row, over all edges, and the download has failed, unless peers
    /// still give.
    pub(super) fn count_refusal(&mut self, now: Time, number: u32, reason: String) {
        let Some(download) = self.downloads.get_mut(&number) else { return };
        download.edges.refusals += 1;
        let hopeless = download.edges.refusals >= REFUSALS_PER_EDGE * download.edges.states.len() as u32;
        if hopeless && !download.is_over() && !self.has_peers(number) {
            self.fail_download(now, number, reason);
        }
    }

    /// A download cannot go on.
    pub(super) fn fail_download(&mut self, now: Time, number: u32, reason: String) {
        if let Some(download) = self.downloads.get_mut(&number) {
            download.failure = Some(reason);
        }
        self.end_download(now, number, TerminalStatus::Failed);
    }
}

/// Whether a status is an edge's last word: what a request did wrong will stay wrong; what ails the server may pass.
pub(super) fn is_final(status: u16) -> bool {
    (400..500).contains(&status) && status != 429 && status != 408
}

/// Accepts what an edge granted if it is for this download and agrees with what is known of the object.
fn check_grant(
    now: Time,
    manifest: Manifest,
    token: SignedToken,
    download: &super::download::Download,
    guid: peerbed_contract::Guid,
) -> Result<Grant, String> {
    let object = &download.object;
    let manifest = manifest.checked().map_err(|error| error.to_string())?;
    if manifest.content != object.id || manifest.size != object.size || manifest.piece_length != object.piece_length {
        return Err(format!("its manifest is not that of `{}`", object.id));
    }
    if let Some(old) = &download.grant
        && old.manifest.pieces != manifest.pieces
    {
        return Err(format!("its manifest of `{}` has other hashes than before", object.id));
    }
    if token.token.content != object.id || token.token.guid != guid {
        return Err("its token is for something else".to_owned());
    }
    let lifetime = token.token.expires.saturating_sub(now);
    Ok(Grant { manifest, token: Some(token), lifetime })
}
