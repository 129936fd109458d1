//! The experiments that the project ships, each at its small scale: what they expect is so, and the runs can be believed.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::program::{alone, bin_dir, checkout, json, measure_at_most, nothing_is_left, peerbed, said};

/// One test for each, so that what failed has a name.
macro_rules! at_small_scale {
    ($($test:ident: $name:literal,)*) => {
        /// Those that are run here.
        const RUN: &[&str] = &[$($name),*];
        $(
            #[test]
            fn $test() {
                run($name);
            }
        )*
    };
}

at_small_scale! {
    ablations: "ablations",
    attackers: "attackers",
    churn: "churn",
    control_plane_loss: "control-plane-loss",
    corrupt_uploaders: "corrupt-uploaders",
    edge_outage: "edge-outage",
    edge_overload: "edge-overload",
    efficiency_by_peers_returned: "efficiency-by-peers-returned",
    flash_crowd: "flash-crowd",
    inflated_reports: "inflated-reports",
    nat_mix: "nat-mix",
    offload: "offload",
    partition: "partition",
    provider_policy: "provider-policy",
    registry_wipe: "registry-wipe",
    selection: "selection",
    upload_cap: "upload-cap",
}

/// Runs every arm of the scale `ci`; again, at most twice, where the machine was overloaded, and for no other reason.
fn run(name: &str) {
    let _alone = alone();
    let results = tempfile::tempdir().expect("a temporary directory");
    let dir = results.path().to_str().expect("a UTF-8 path");
    let args = ["run", name, "--scale", "ci", "--json", "--calibrate", "never", "--results", dir];
    let output = measure_at_most(3, || peerbed(&args));
    nothing_is_left(&bin_dir(), 5);
    assert!(output.status.success(), "{name}: {}", said(&output));
    let summary = json(&output);
    let arms = summary["arms"].as_object().expect("arms");
    assert!(!arms.is_empty(), "{summary:#}");
    for (arm, figures) in arms {
        assert_eq!(figures["valid"], true, "{name} {arm}: {summary:#}");
    }
    let expectations = summary["expectations"].as_array().expect("a list");
    for expectation in expectations {
        assert_eq!(expectation["met"], true, "{name}: {expectation:#}");
    }
    let manifest = results.path().join(name).join("latest/manifest.json");
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).expect("a manifest")).expect("it is JSON");
    for arm in arms.keys() {
        assert!(expectations.iter().any(|one| one["arm"] == arm.as_str()), "{name} expects nothing of {arm}");
        assert_eq!(manifest["parameters"][arm]["scale"], "ci", "{manifest:#}");
    }
}

#[test]
fn every_experiment_with_a_small_scale_is_run_here() {
    let dir = std::fs::read_dir(checkout().join("experiments")).expect("there are experiments");
    let files = dir.map(|entry| entry.expect("it can be listed").path());
    let small = files.filter(|path| path.extension().is_some_and(|end| end == "yaml")).filter(|path| {
        let text = std::fs::read_to_string(path).expect("it can be read");
        text.lines().any(|line| line == "  ci:")
    });
    let small: BTreeSet<String> =
        small.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    assert_eq!(small, RUN.iter().map(ToString::to_string).collect());
}
