//! A place in the network where a peer may be, and what of its configuration depends on where it is.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Courtesy, NodeConfig, RoleConfig};
use crate::AsNumber;

/// What a peer that changes its address is told of its new place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The address that it has there; its port stays.
    pub address: IpAddr,
    /// The AS of that address.
    pub as_number: AsNumber,
    /// The region of the AS.
    pub region: String,
    /// The local network that it shares there with others, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lan: Option<String>,
    /// The connection nodes of the control plane in the order of preference there.
    pub control: Vec<SocketAddr>,
    /// The edges in the order of preference there.
    pub edges: Vec<SocketAddr>,
    /// The most that it uploads over the link there, as [`UploadPolicy::rate_bps`](crate::UploadPolicy::rate_bps).
    pub rate_bps: Option<u64>,
    /// How its uploads give way on that link.
    pub courtesy: Courtesy,
    /// As [`PeerConfig::edge_target_bps`](crate::PeerConfig::edge_target_bps), on that link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge_target_bps: Option<u64>,
}

impl NodeConfig {
    /// Puts a node in another place: with this configuration it is started there.
    pub fn put(&mut self, place: &Place) {
        self.address = place.address;
        self.as_number = place.as_number;
        self.region.clone_from(&place.region);
        if let RoleConfig::Peer(peer) = &mut self.role {
            peer.lan.clone_from(&place.lan);
            peer.control.clone_from(&place.control);
            peer.edges.clone_from(&place.edges);
            peer.uploads.rate_bps = place.rate_bps;
            peer.courtesy = place.courtesy;
            peer.edge_target_bps = place.edge_target_bps;
        }
    }
}
