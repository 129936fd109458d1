//! The arrows between crates point one way: contract ← link ← model ← harness; contract ← proto ← driver ← nodes.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{CargoOpt, DependencyKind, MetadataCommand};

/// Every crate of the workspace with the workspace crates that it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("peerbed-contract", &[]),
    ("peerbed-link", &["peerbed-contract"]),
    ("peerbed-model", &["peerbed-contract", "peerbed-link"]),
    ("peerbed-proto", &["peerbed-contract"]),
    ("peerbed-driver", &["peerbed-contract", "peerbed-proto"]),
    ("peerbed-edge", &["peerbed-contract", "peerbed-proto", "peerbed-driver"]),
    ("peerbed-control", &["peerbed-contract", "peerbed-proto", "peerbed-driver"]),
    ("peerbed-peer", &["peerbed-contract", "peerbed-proto", "peerbed-driver"]),
    ("peerbed-stats", &[]),
    ("peerbed", &["peerbed-contract", "peerbed-link", "peerbed-model", "peerbed-stats"]),
    // Tests of the harness alone.
    ("peerbed-engines", &["peerbed-contract", "peerbed-link", "peerbed"]),
    ("peerbed-pages", &["peerbed"]),
];

/// Crates without sockets, clock, entropy or an async runtime, whatever features are on.
const PURE: &[&str] = &["peerbed-contract", "peerbed-link", "peerbed-model", "peerbed-proto", "peerbed-stats"];
const IMPURE: &[&str] = &["tokio", "mio", "hyper", "rustix", "libc", "nix", "getrandom", "reqwest", "socket2"];

fn direct() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .expect("cargo metadata reads the workspace");
    let normal = |package: &cargo_metadata::Package| {
        let kinds = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
        kinds.map(|d| d.name.clone()).collect()
    };
    metadata.packages.iter().map(|package| (package.name.to_string(), normal(package))).collect()
}

#[test]
fn arrows_point_one_way() {
    let direct = direct();
    let listed: BTreeSet<_> = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(listed, direct.keys().cloned().collect(), "every crate of the workspace is listed, and no other");
    for (name, allowed) in ALLOWED {
        let ours = direct[*name].iter().filter(|d| d.starts_with("peerbed"));
        let wrong: Vec<_> = ours.filter(|d| !allowed.contains(&d.as_str())).collect();
        assert!(wrong.is_empty(), "{name} may not depend on {wrong:?}");
    }
}

#[test]
fn pure_crates_stay_pure() {
    let direct = direct();
    for name in PURE {
        let wrong: Vec<_> = direct[*name].iter().filter(|d| IMPURE.contains(&d.as_str())).collect();
        assert!(wrong.is_empty(), "{name} is pure and may not depend on {wrong:?}");
        let manifest_dir = format!(
            "{}/../{}",
            env!("CARGO_MANIFEST_DIR"),
            match *name {
                "peerbed-contract" => "nodes/contract",
                "peerbed-proto" => "nodes/proto",
                "peerbed-link" => "harness/link",
                _ => "harness/model",
            }
        );
        let clippy =
            std::fs::read_to_string(format!("{manifest_dir}/clippy.toml")).expect("a pure crate has clippy.toml");
        assert!(clippy.contains("std::time::Instant::now"), "{name}: clippy.toml forbids the clock");
    }
}
