//! What of a node's configuration is policy, and so may become another while the node runs.

use serde::{Deserialize, Serialize};

use crate::{
    CachePolicy, ControlLimits, Courtesy, EdgeLimits, EdgeMode, PeerConfig, Place, ReAddPolicy, Requery, Selection,
};

/// The whole policy of a node, by its role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodePolicy {
    /// Of an edge.
    Edge(EdgePolicy),
    /// Of a node of the control plane.
    Control(ControlPolicy),
    /// Of a peer.
    Peer(PeerPolicy),
}

/// The policy of an edge: the keys of [`EdgeConfig`](crate::EdgeConfig).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgePolicy {
    /// [`EdgeConfig::token_lifetime_ns`](crate::EdgeConfig::token_lifetime_ns).
    pub token_lifetime_ns: u64,
    /// [`EdgeConfig::limits`](crate::EdgeConfig::limits).
    pub limits: EdgeLimits,
}

/// The policy of a node of the control plane: the keys of [`ControlConfig`](crate::ControlConfig).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlPolicy {
    /// [`ControlConfig::selection`](crate::ControlConfig::selection).
    pub selection: Selection,
    /// [`ControlConfig::readd`](crate::ControlConfig::readd).
    pub readd: ReAddPolicy,
    /// [`ControlConfig::limits`](crate::ControlConfig::limits).
    pub limits: ControlLimits,
}

/// The policy of a peer: the keys of [`PeerConfig`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerPolicy {
    /// [`PeerConfig::uploads`], without the user's setting.
    pub uploads: UploadLimits,
    /// [`PeerConfig::courtesy`].
    pub courtesy: Courtesy,
    /// [`PeerConfig::cache`].
    pub cache: CachePolicy,
    /// [`PeerConfig::edge_mode`].
    pub edge_mode: EdgeMode,
    /// [`PeerConfig::edge_target_bps`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge_target_bps: Option<u64>,
    /// [`PeerConfig::both_sides`].
    pub both_sides: bool,
    /// [`PeerConfig::max_sources`].
    pub max_sources: u32,
    /// [`PeerConfig::requery`].
    pub requery: Requery,
}

/// The limits of a peer's uploads: the keys of [`UploadPolicy`](crate::UploadPolicy).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadLimits {
    /// [`UploadPolicy::per_copy`](crate::UploadPolicy::per_copy).
    pub per_copy: u32,
    /// [`UploadPolicy::connections`](crate::UploadPolicy::connections).
    pub connections: u32,
    /// [`UploadPolicy::waiting`](crate::UploadPolicy::waiting).
    pub waiting: u32,
    /// [`UploadPolicy::rate_bps`](crate::UploadPolicy::rate_bps).
    pub rate_bps: Option<u64>,
    /// [`UploadPolicy::connection_rate_bps`](crate::UploadPolicy::connection_rate_bps).
    pub connection_rate_bps: Option<u64>,
}

impl PeerPolicy {
    /// The same in another place.
    pub fn put(&mut self, place: &Place) {
        self.uploads.rate_bps = place.rate_bps;
        self.courtesy = place.courtesy;
        self.edge_target_bps = place.edge_target_bps;
    }
}

impl PeerConfig {
    /// What of it is policy.
    pub fn policy(&self) -> PeerPolicy {
        let uploads = &self.uploads;
        PeerPolicy {
            uploads: UploadLimits {
                per_copy: uploads.per_copy,
                connections: uploads.connections,
                waiting: uploads.waiting,
                rate_bps: uploads.rate_bps,
                connection_rate_bps: uploads.connection_rate_bps,
            },
            courtesy: self.courtesy,
            cache: self.cache,
            edge_mode: self.edge_mode,
            edge_target_bps: self.edge_target_bps,
            both_sides: self.both_sides,
            max_sources: self.max_sources,
            requery: self.requery,
        }
    }

    /// Has this policy from now on; the user's setting stays as it is.
    pub fn set_policy(&mut self, policy: PeerPolicy) {
        let PeerPolicy { uploads, courtesy, cache, edge_mode, edge_target_bps, both_sides, max_sources, requery } =
            policy;
        let UploadLimits { per_copy, connections, waiting, rate_bps, connection_rate_bps } = uploads;
        (self.uploads.per_copy, self.uploads.connections, self.uploads.waiting) = (per_copy, connections, waiting);
        (self.uploads.rate_bps, self.uploads.connection_rate_bps) = (rate_bps, connection_rate_bps);
        (self.courtesy, self.cache) = (courtesy, cache);
        (self.edge_mode, self.edge_target_bps) = (edge_mode, edge_target_bps);
        (self.both_sides, self.max_sources, self.requery) = (both_sides, max_sources, requery);
    }
}
