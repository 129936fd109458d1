//! The experiments and topologies that the project ships: all of them read, resolve and plan, and say what they are for.

#![expect(clippy::disallowed_methods, reason = "tests read the documentation")]

mod common;

use std::{fs, time::Duration};

use common::{peers, resolve, root, shipped, text};
use peerbed_contract::Role;
use peerbed_model::{
    Act, Diagnostic, Experiment, ExperimentFile, NewLink, Source, TopologyFile, experiment_name, schema,
};
use serde_json::Value;

#[test]
fn every_experiment_plans_every_arm_of_every_repeat() {
    for name in shipped("experiments") {
        let experiment = resolve(&name);
        for repeat in 0..experiment.repeats() {
            for arm in experiment.arms() {
                let plan = experiment.plan(arm, repeat, None).unwrap();
                assert!(plan.downloads() > 0, "{name} {arm}");
                assert_eq!((plan.experiment.as_str(), plan.arm.as_str(), plan.repeat), (name.as_str(), arm, repeat));
            }
        }
        // The design's own example asks for more than its forty peers can want; it says so, and nothing else does.
        let warned: Vec<&str> = experiment.warnings().iter().map(Diagnostic::message).collect();
        let expected: &[&str] = match name.as_str() {
            "hybrid-speed" => &["about 45 downloads are asked for in 90s, but only 32 are possible"],
            _ => &[],
        };
        assert_eq!(warned, expected, "{name}");
    }
}

#[test]
fn quick_is_small_and_whole() {
    let quick = resolve("quick");
    assert_eq!(quick.arms().collect::<Vec<_>>(), ["edge-only", "hybrid"]);
    // Both arms must end within a minute, set-up included, even if neither ends before its time.
    assert!(quick.duration() <= Duration::from_secs(25));
    let plan = quick.plan("hybrid", 0, None).unwrap();
    let count = |role| plan.nodes.iter().filter(|node| node.role == role).count();
    let edges = plan.nodes.iter().filter(|node| node.role == Role::Edge);
    let places: std::collections::BTreeSet<_> = edges.map(|node| node.config.as_number).collect();
    assert!(plan.as_names.len() >= 3);
    assert!(plan.localities.keys().eq(plan.as_names.keys()));
    for node in &plan.nodes {
        assert_eq!(plan.localities[&node.config.as_number].region, node.config.region, "{}", node.name);
    }
    assert_eq!((count(Role::Edge), places.len(), count(Role::Control)), (2, 2, 1));
    assert!(count(Role::Peer) >= 24);
    assert!((20..=40).contains(&plan.downloads()));
    assert!(peers(&plan).flat_map(|(_, peer)| &peer.script).any(|step| !step.user.is_empty()), "nobody is impatient");
    let last = peers(&plan).flat_map(|(_, peer)| &peer.script).map(|step| step.at_ns).max().unwrap();
    assert!(Duration::from_nanos(last) + Duration::from_secs(6) < plan.duration, "no time for the last download");
}

/// Headings of a page, as links name them: lower case, without punctuation, a hyphen for each space.
fn anchors(page: &str) -> Vec<String> {
    let mut fenced = false;
    let mut anchors: Vec<String> = Vec::new();
    for line in page.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let hashes = line.bytes().take_while(|byte| *byte == b'#').count();
        let Some(title) = line[hashes..].strip_prefix(' ').filter(|_| hashes > 0 && !fenced) else { continue };
        let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let before = anchors.iter().filter(|known| **known == anchor).count();
        anchors.push(if before > 0 { format!("{anchor}-{before}") } else { anchor });
    }
    anchors
}

#[test]
fn links_of_the_documentation_lead_to_files_and_headings() {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let decisions = fs::read_dir(root().join("docs/decisions")).unwrap().map(|entry| entry.unwrap().path());
    let pages: Vec<_> =
        docs.chain(decisions).chain(["README.md", "CHANGELOG.md"].map(|name| root().join(name))).collect();
    let mut checked = 0;
    let mut dead = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")) {
            checked += 1;
            let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
            let file = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let leads = match anchor {
                None => file.exists(),
                Some(anchor) => fs::read_to_string(&file).is_ok_and(|text| anchors(&text).iter().any(|a| a == anchor)),
            };
            if !leads {
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(checked > 100, "{checked} links");
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn the_design_example_says_what_it_means() {
    let plan = resolve("hybrid-speed").plan("hybrid", 0, None).unwrap();
    assert_eq!(peers(&plan).filter(|(_, peer)| peer.uploads.enabled).count(), 12); // 31 % of 40, rounded
    assert_eq!(peers(&plan).filter(|(_, peer)| !peer.holds.is_empty()).count(), 8);
    assert!(peers(&plan).all(|(_, peer)| peer.uploads.rate_bps == Some(4_000_000))); // 80 % of 5mbit
    assert!(matches!(&plan.timeline[0].act, Act::Kill { nodes } if nodes[0].as_str() == "control-0"));
    let Act::SetLink(NewLink { link, name, forward, backward }) = &plan.timeline[1].act else {
        panic!("{:?}", plan.timeline)
    };
    assert_eq!((name.as_str(), &plan.fabric.links[*link as usize].name), ("isp-x~transit", name));
    let old = &plan.fabric.links[*link as usize];
    assert_ne!(forward.bandwidth, old.forward.bandwidth);
    assert_eq!(
        (forward.bandwidth, forward.delay, backward.delay),
        (backward.bandwidth, old.forward.delay, old.backward.delay)
    );
    assert_eq!(plan.expect[0].metric, "peer_efficiency.bytes");
    assert_eq!(plan.expect[0].bound.at_least, Some(0.5));
}

/// The keys of every map of `file` are among the schema's, and the schema's required keys are there.
fn conforms(schema: &Value, root: &Value, file: &Value, path: &str) {
    // What an arm sets may be anything here; it is read in its place.
    if schema.as_object().is_some_and(serde_json::Map::is_empty) {
        return;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(&reference[1..]).unwrap_or_else(|| panic!("{reference} leads nowhere"));
        return conforms(target, root, file, path);
    }
    if let Some(forms) = schema["anyOf"].as_array() {
        let fits = |form: &&Value| {
            let form = form["$ref"].as_str().map_or(*form, |reference| root.pointer(&reference[1..]).unwrap());
            match form["type"].as_str() {
                Some("object") => file.is_object(),
                Some("array") => file.is_array(),
                _ => !file.is_object() && !file.is_array(),
            }
        };
        let form = forms.iter().find(fits).unwrap_or_else(|| panic!("{path}: no form fits"));
        return conforms(form, root, file, path);
    }
    if schema.as_object().is_some_and(serde_json::Map::is_empty) {
        return; // whatever belongs where an override puts it
    }
    match file {
        Value::Object(map) => {
            for (key, value) in map {
                let known = schema["properties"].get(key).or_else(|| schema.get("additionalProperties"));
                let known = known.filter(|schema| !schema.is_boolean());
                conforms(
                    known.unwrap_or_else(|| panic!("{path}: unknown key {key}")),
                    root,
                    value,
                    &format!("{path}.{key}"),
                );
            }
            for key in schema["required"].as_array().into_iter().flatten() {
                assert!(map.contains_key(key.as_str().unwrap()), "{path}: no {key}");
            }
        }
        Value::Array(items) => items.iter().for_each(|item| conforms(&schema["items"], root, item, path)),
        _ => {}
    }
}

#[test]
fn every_file_conforms_to_its_schema() {
    for (kind, schema) in [("experiments", schema::experiment()), ("topologies", schema::topology())] {
        for name in shipped(kind) {
            let file: Value = serde_yaml::from_str(&text(kind, &name)).unwrap();
            conforms(&schema, &schema, &file, &name);
        }
    }
}

#[test]
fn the_documentation_has_the_keys_of_the_schema() {
    for (file, title, tables) in [
        ("docs/experiment-format.md", "experiment", schema::experiment_tables()),
        ("docs/experiment-format.md", "topology", schema::topology_tables()),
        ("docs/nightly.md", "suite", schema::suite_tables()),
    ] {
        let path = root().join(file);
        let mut text = fs::read_to_string(&path).unwrap();
        let (begin, end) = (format!("<!-- keys: {title} -->\n"), format!("<!-- end of keys: {title} -->\n"));
        let start = text.find(&begin).expect("the marker is there") + begin.len();
        let stop = text.find(&end).expect("the marker is there");
        if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
            text.replace_range(start..stop, &format!("\n{}\n\n", tables.trim()));
            fs::write(&path, &text).unwrap();
            continue;
        }
        assert!(
            text[start..stop].trim() == tables.trim(),
            "the tables of {title} files in {file} are not those of the schema; this writes them anew: \
             UPDATE_DOCS=1 cargo test -p peerbed-model --test shipped"
        );
    }
}

#[test]
fn the_examples_of_the_documentation_are_read() {
    let text = fs::read_to_string(root().join("docs/experiment-format.md")).unwrap();
    let mut blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap().as_bytes().to_vec());
    let experiment = Source::from_bytes("the first example", blocks.next().unwrap()).unwrap();
    let topology = Source::from_bytes("the second example", blocks.next().unwrap()).unwrap();
    let experiment = ExperimentFile::parse(experiment).unwrap_or_else(|wrong| panic!("{wrong}"));
    let topology = TopologyFile::parse(topology).unwrap_or_else(|wrong| panic!("{wrong}"));
    let read = Experiment::resolve(experiment_name("example").unwrap(), experiment, topology);
    read.unwrap_or_else(|wrong| panic!("{wrong}"));
}
