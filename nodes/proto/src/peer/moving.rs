//! Another address: the host is in another place of the network, in the same AS or another, and its process goes on.
//!
//! Nothing can be said on the connections of the old address any more, so they are dropped, and their far ends hear nothing.
//! Everything else stays: what is held and what was downloaded, the user's state, and the secondary GUID, for a move is no
//! start. The peer logs in from where it is, which registers its copies there, and each download asks for a token of the new
//! address before it goes back to peers.

use std::net::SocketAddr;

use peerbed_contract::{EventKind, Place};

use super::{PeerMachine, Stage};
use crate::{ConnId, Output, Time};

impl PeerMachine {
    pub(super) fn move_to(&mut self, now: Time, place: Place) {
        if matches!(self.stage, Stage::Stopping { .. } | Stage::Finished) {
            return; // It parts from everybody already.
        }
        let running = self.stage == Stage::Running;
        if running {
            self.stand_still(now);
            self.leave_control();
        }
        let open: Vec<ConnId> = self.links.keys().copied().collect();
        for conn in open {
            self.close(now, conn, false);
        }
        let Place { address, as_number, region, lan, control, edges, rate_bps, courtesy, edge_target_bps } = place;
        self.me.listen = SocketAddr::new(address, self.me.listen.port());
        self.me.as_number = as_number;
        self.me.region.clone_from(&region);
        self.prefer_control(control.clone());
        (self.config.lan, self.config.control, self.config.edges) = (lan, control, edges);
        (self.config.uploads.rate_bps, self.config.courtesy) = (rate_bps, courtesy);
        self.config.edge_target_bps = edge_target_bps;
        self.uploader.set(&self.config.uploads, &self.config.courtesy, &self.config.misbehaviour);
        self.out.push_back(Output::Listen { at: self.me.listen });
        self.event(EventKind::Moved { address, as_number, region });
        for download in self.downloads.values_mut() {
            download.moved(now, &self.config);
        }
        if running {
            self.return_to_control(now);
            self.go_on(now);
        }
    }
}
