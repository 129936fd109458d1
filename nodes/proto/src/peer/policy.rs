//! Another policy while the peer runs. It holds for every decision from then on; what was decided before stays, but where the
//! new policy forbids it altogether: copies that were given out often enough are withdrawn, copies that are too old or too many
//! are evicted, and under the mode `only` running downloads let go of their peers.

use peerbed_contract::{EdgeMode, NodePolicy, Order, PeerPolicy};

use super::PeerMachine;
use crate::{ConnId, Time};

impl PeerMachine {
    /// The harness orders something.
    pub(super) fn order(&mut self, now: Time, order: Order) {
        match order {
            Order::Policy(policy) => match *policy {
                NodePolicy::Peer(policy) => self.take_policy(now, policy),
                NodePolicy::Edge(_) | NodePolicy::Control(_) => {
                    self.notice("a peer has no use for the policy of another role".to_owned());
                }
            },
            Order::Move(place) => self.move_to(now, *place),
            Order::Wipe | Order::Outage { .. } => {
                self.notice(format!("a peer has no use for the order `{}`", order.word()));
            }
        }
    }

    fn take_policy(&mut self, now: Time, policy: PeerPolicy) {
        let was = self.config.edge_mode;
        self.config.set_policy(policy);
        if self.config.misbehaviour.ignore_caps {
            self.config.max_sources = u32::MAX;
        }
        self.uploader.set(&self.config.uploads, &self.config.courtesy, &self.config.misbehaviour);
        for link in self.links.values_mut() {
            link.push.bucket = None;
        }
        self.cache.set(self.config.cache);
        self.settle_offers();
        let running: Vec<u32> = self.downloads.keys().copied().collect();
        for number in running {
            self.follow_policy(now, number, was);
        }
    }

    /// Offers what may be given out now and withdraws what may not.
    fn settle_offers(&mut self) {
        for content in self.control_offered() {
            if !self.uploader.offers(&content) {
                self.control_withdraw(&content);
            }
        }
        self.offer_all();
    }

    /// A download that has begun before goes on by the new policy.
    fn follow_policy(&mut self, now: Time, number: u32, was: EdgeMode) {
        let (mode, target, every) = (self.config.edge_mode, self.config.edge_target_bps, self.config.requery.every_ns);
        let Some(download) = self.downloads.get_mut(&number).filter(|download| !download.is_over()) else { return };
        download.share.set_rule(now, mode, target);
        download.swarm.next_query = download.swarm.next_query.min(now.saturating_add(every));
        download.stir = true;
        match (was == EdgeMode::Only, mode == EdgeMode::Only) {
            (false, true) => {
                let peers = download.links.iter().copied();
                let peers = peers.filter(|conn| self.links.get(conn).is_some_and(|link| !link.is_edge()));
                for conn in peers.collect::<Vec<ConnId>>() {
                    self.detach(now, conn, true);
                }
            }
            (true, false) if download.is_active() => {
                self.attach_kept(number);
                self.keep_swarm(now, number);
            }
            _ => {}
        }
    }
}
