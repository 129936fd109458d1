//! `providers`, and how a group's peers come to upload: a share of them, or as their installer left it.

use std::sync::Arc;

use crate::{
    diagnostic::{Report, Spanned},
    experiment::{Uploads, workload::Names},
    plan::Setting,
    read::Fields,
    shape::users::PROVIDER,
    yaml::Node,
};

/// What a provider decided.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Provider {
    pub(crate) name: String,
    /// Whether peers may distribute its content.
    pub(crate) peers: bool,
    /// Whether its installer leaves uploads on.
    pub(crate) uploads: bool,
}

impl Provider {
    /// Reads the map; those that cannot be read are in the report and have the defaults.
    pub(crate) fn decode_all(node: &Node, report: &mut Report) -> Vec<Self> {
        let list = report.named(node, "providers").unwrap_or_default();
        let read = |(name, node): (Spanned<String>, &Arc<Node>)| {
            let mut provider = Self { name: name.value, peers: true, uploads: true };
            if node.is_null() {
                return provider;
            }
            let Some(fields) = report.map(node, &PROVIDER) else { return provider };
            let peers = fields.get("peers").map(|node| report.word(node, &[("allowed", true), ("forbidden", false)]));
            let uploads = fields.get("uploads").map(|node| report.word(node, &[("on", true), ("off", false)]));
            provider.peers = peers.flatten().unwrap_or(true);
            provider.uploads = uploads.flatten().unwrap_or(true);
            provider
        };
        list.into_iter().map(read).collect()
    }

    /// Every value by its path.
    pub(crate) fn parameters(&self) -> [(String, Setting); 2] {
        let words = |yes: &str, no: &str, set| Setting::Text(if set { yes } else { no }.to_owned());
        let path = |key| format!("providers.{}.{key}", self.name);
        [
            (path("peers"), words("allowed", "forbidden", self.peers)),
            (path("uploads"), words("on", "off", self.uploads)),
        ]
    }
}

impl Uploads {
    /// Reads the keys of a group of so many peers.
    pub(crate) fn decode(fields: &Fields<'_>, peers: u32, providers: &[Provider], report: &mut Report) -> Option<Self> {
        let of_peers = |share: f64| (share * f64::from(peers)).round() as u32;
        let share =
            |key, report: &mut Report| fields.get(key).map(|node| report.share(node).map(|s| of_peers(s.get())));
        let (uploads, switched) = (share("uploads", report), share("switched", report));
        let Some(installer) = fields.get("installer") else {
            if switched.is_some() {
                let finding = report.error(fields.span_of("switched"), "`switched` has no meaning without `installer`");
                finding.help("say with whose installer they came, or write `uploads: 31%`");
                return None;
            }
            return uploads.map_or(Some(Self::Share(peers)), |count| count.map(Self::Share));
        };
        if uploads.is_some() {
            let message = "`uploads` and `installer` both say how many upload";
            report.error(fields.span_of("uploads"), message).help(
                "with `installer` the provider's default holds and `switched` says how many users changed it; remove one",
            );
            return None;
        }
        let names = Names::new("provider", providers.iter().map(|one| one.name.as_str()).collect(), false);
        let name = report.name(installer, 63)?;
        let index = names.find(&name.value, name.span, report)?;
        Some(Self::Installed { on: providers[index].uploads, switched: switched.unwrap_or(Some(0))? })
    }

    /// Who of the group uploads, by a choice of so many under a name.
    pub(crate) fn drawn(self, choose: impl Fn(&str, u32) -> Vec<bool>) -> Vec<bool> {
        match self {
            Self::Share(count) => choose("uploads", count),
            Self::Installed { on, switched } => choose("switched", switched).into_iter().map(|one| one != on).collect(),
        }
    }

    /// The same for another number of peers.
    pub(crate) fn scaled(self, count: impl Fn(u32) -> u32, peers: u32) -> Self {
        match self {
            Self::Share(uploading) => Self::Share(count(uploading).max(uploading.min(1)).min(peers)),
            Self::Installed { on, switched } => Self::Installed { on, switched: count(switched).min(peers) },
        }
    }
}
