//! An experiment joined with its topology: everything is checked, nothing is drawn yet.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::{
    diagnostic::{Diagnostics, Report, Span, Spanned},
    experiment::{
        Body, Group, Head, Policy,
        arms::{self, ArmTree},
        claims, compare,
        decode::{Decoded, decode},
        expect::{self, Expected, Which},
        matrix,
        scale::Scale,
        scales::{self, ScaleTree},
    },
    files::{EXPERIMENT_FILE, ExperimentFile, TopologyFile},
    limits,
    plan::{Comparison, Coordinates, Plan},
    read::{did_you_mean, listed},
    source::{ExperimentName, Source},
    topology::{self, Topology, trace::TraceFiles},
    yaml::{Node, Value, shorten},
};

mod build;
mod demand;
mod homes;
mod layout;
mod moves;
mod policies;
pub(crate) mod seeds;
mod timeline;
mod users;
mod vanish;
mod whereabouts;

use layout::Layout;
use timeline::Step;

/// An experiment of which every arm can be planned.
#[derive(Debug, Clone)]
pub struct Experiment {
    name: ExperimentName,
    head: Head,
    arms: Vec<Arm>,
    /// Which of its scales it is; none: as it is written.
    scale: Option<String>,
    scales: Vec<Scaled>,
    warnings: Diagnostics,
    source: Source,
    arms_span: Span,
    scales_span: Span,
}

/// One of its scales, resolved.
#[derive(Debug, Clone)]
struct Scaled {
    name: String,
    head: Head,
    arms: Vec<Arm>,
}

/// One arm, resolved.
#[derive(Debug, Clone)]
struct Arm {
    name: String,
    /// Which of `arms` it comes from, where a matrix made several of it.
    base: Option<String>,
    matrix: Coordinates,
    /// Paths and values that the arm itself sets.
    sets: Vec<(String, String)>,
    body: Body,
    layout: Arc<Layout>,
    timeline: Vec<Step>,
    expect: Vec<Expected>,
}

impl Experiment {
    /// Joins both files; says everything that is wrong with either, for any arm.
    pub fn resolve(
        name: ExperimentName,
        experiment: ExperimentFile,
        topology: TopologyFile,
    ) -> Result<Self, Diagnostics> {
        Self::resolve_scaled(name, experiment, topology, Scale::ONE)
    }

    /// The same with so many times the peers and downloads; the topology stays as it is.
    pub fn resolve_scaled(
        name: ExperimentName,
        experiment: ExperimentFile,
        topology: TopologyFile,
        scale: Scale,
    ) -> Result<Self, Diagnostics> {
        let ExperimentFile { source, root, .. } = experiment;
        let TopologyFile { source: topology_source, root: topology, traces } = topology;
        let mut files = vec![source.clone(), topology_source];
        files.extend_from_slice(traces.sources());
        let mut report = Report::new(files);
        let base = ArmTree::base(&root, &topology);
        let mut layouts = Layouts { known: Vec::new(), traces };

        let (head, arms) = read_all(&base, scale, Wanted::ALL, &mut layouts, &mut report);
        let written: Vec<String> = arms.iter().map(|arm| arm.name.clone()).collect();
        let paths: Vec<String> = arms.first().map_or_else(Vec::new, |arm| arm.matrix.paths());
        let mut resolved = Vec::new();
        if let Some(node) = root.get("scales").filter(|_| scale == Scale::ONE) {
            let names: Vec<&str> = root.get("arms").map_or_else(Vec::new, |node| node.keys().collect());
            for ScaleTree { tree, arms, expects } in scales::apply(node, (&root, &topology), &names, &mut report) {
                let mut own = report.beside();
                let wanted = Wanted { arms: arms.as_deref(), expects, written: (&written, &paths) };
                let (head, arms) = read_all(&tree, scale, wanted, &mut layouts, &mut own);
                vanish::compared(&arms, &tree, &mut own);
                report.absorb(own, &format!("at scale `{}`", tree.name.value));
                resolved.extend(head.map(|head| Scaled { name: tree.name.value, head, arms }));
            }
        }
        let swept = |arms: &[Arm]| arms.iter().any(|arm| !arm.matrix.is_empty());
        if report.errors() == 0 && !swept(&arms) && !resolved.iter().any(|scaled| swept(&scaled.arms)) {
            vanish::nothing_swept(&root, &mut report);
        }
        let span_of = |key| root.get(key).map_or(root.span, |node| node.span);
        let arms_span = if root.get("arms").is_some() { span_of("arms") } else { span_of("matrix") };
        let scales_span = span_of("scales");
        let failed = report.errors() > 0;
        let warnings = report.into_diagnostics();
        match head {
            Some(head) if !failed => {
                let (scale, scales) = (None, resolved);
                Ok(Self { name, head, arms, scale, scales, warnings, source, arms_span, scales_span })
            }
            _ => Err(warnings),
        }
    }

    /// The same experiment at one of the scales that its file names.
    pub fn at_scale(self, scale: &str) -> Result<Self, Diagnostics> {
        let names: Vec<String> = self.scales.iter().map(|scaled| scaled.name.clone()).collect();
        let found = self.scales.into_iter().find(|scaled| scaled.name == scale);
        let Some(Scaled { name, head, arms }) = found else {
            let mut report = Report::new(vec![self.source.clone()]);
            let known = || names.iter().map(String::as_str);
            let message = format!("no scale named `{}`{}", shorten(scale), did_you_mean(scale, known()));
            let help = match names.len() {
                0 => "the experiment has no `scales`; leave `--scale` out".to_owned(),
                _ => format!("there are: {}", listed(known())),
            };
            report.error(self.scales_span, message).help(help);
            return Err(report.into_diagnostics());
        };
        Ok(Self { head, arms, scale: Some(name), scales: Vec::new(), ..self })
    }

    /// Which of its scales it is; none: as it is written.
    pub fn scale(&self) -> Option<&str> {
        self.scale.as_deref()
    }

    /// The names of its scales, in the order of the file.
    pub fn scales(&self) -> impl ExactSizeIterator<Item = &str> {
        self.scales.iter().map(|scaled| scaled.name.as_str())
    }

    /// Its name.
    pub fn name(&self) -> &ExperimentName {
        &self.name
    }

    /// The question it asks.
    pub fn question(&self) -> &str {
        &self.head.question
    }

    /// How versions are compared by it, as far as its file says it.
    pub fn comparison(&self) -> &Comparison {
        &self.head.comparison
    }

    /// The names of its arms, in the order of the file.
    pub fn arms(&self) -> impl ExactSizeIterator<Item = &str> {
        self.arms.iter().map(|arm| arm.name.as_str())
    }

    /// The arms that a name means: the one that is called so, or those that a matrix made of it.
    pub fn arms_called(&self, name: &str) -> Vec<&str> {
        self.arms.iter().filter(|arm| arm.which().is(name)).map(|arm| arm.name.as_str()).collect()
    }

    /// How many runs of each arm.
    pub fn repeats(&self) -> u32 {
        self.head.repeats
    }

    /// The file's seed; that of a repeat is in its plan.
    pub fn seed(&self) -> u64 {
        self.head.seed
    }

    /// How long a run of an arm lasts at most; arms may differ, this is the longest.
    pub fn duration(&self) -> Duration {
        self.arms.iter().map(|arm| arm.body.duration).max().unwrap_or_default()
    }

    /// What is allowed but perhaps not meant.
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    /// The plan of one arm of one repeat, counted from 0. `seed` takes the place of the file's; the repeat's seed is
    /// derived from it all the same. There may be more repeats than the file wants. Refused is only an arm that does not
    /// exist.
    pub fn plan(&self, arm: &str, repeat: u32, seed: Option<u64>) -> Result<Plan, Diagnostics> {
        let mut report = Report::new(vec![self.source.clone()]);
        let Some(found) = self.arms.iter().find(|known| known.name == arm) else {
            let message = format!("no arm named `{arm}`{}", did_you_mean(arm, self.arms()));
            let names: Vec<&str> = self.arms().collect();
            report.error(self.arms_span, message).help(format!("there are: {}", names.join(", ")));
            return Err(report.into_diagnostics());
        };
        Ok(build::plan(self, found, repeat, seeds::repeat_seed(seed.unwrap_or(self.head.seed), repeat)))
    }
}

impl ArmTree {
    /// The files without any override.
    pub(crate) fn base(experiment: &Arc<Node>, topology: &Arc<Node>) -> Self {
        let name = Spanned { value: String::new(), span: Span::new(EXPERIMENT_FILE, 0, 0) };
        let (experiment, topology) = (Arc::clone(experiment), Arc::clone(topology));
        let (sets, matrix) = (Vec::new(), Coordinates::default());
        Self { name, base: None, matrix, sets, varied: false, experiment, topology }
    }

    fn which(&self) -> Which<'_> {
        Which { name: &self.name.value, base: self.base.as_deref(), matrix: &self.matrix }
    }
}

impl Arm {
    /// The same arm under another name.
    fn renamed(&self, tree: &ArmTree, expected: &[Expected]) -> Self {
        let expect = expected.iter().filter(|one| one.concerns(&tree.which())).cloned().collect();
        Self { name: tree.name.value.clone(), expect, ..self.clone() }
    }

    fn which(&self) -> Which<'_> {
        Which { name: &self.name, base: self.base.as_deref(), matrix: &self.matrix }
    }
}

/// What one arm's trees say.
struct Read {
    head: Head,
    arm: Arm,
}

/// Layouts made so far (arms that differ in policy alone share one), and what they are made from beside the trees.
struct Layouts {
    known: Vec<Known>,
    traces: TraceFiles,
}

/// A layout and what it was made from.
struct Known {
    topology: Topology,
    groups: Vec<Group>,
    visited: BTreeSet<usize>,
    layout: Arc<Layout>,
}

impl Layouts {
    fn get(
        &mut self,
        topology: &Topology,
        groups: &[Group],
        visited: BTreeSet<usize>,
        span: Span,
        report: &mut Report,
    ) -> Option<Arc<Layout>> {
        let same = |known: &&Known| known.topology == *topology && known.groups == groups && known.visited == visited;
        if let Some(Known { layout, .. }) = self.known.iter().find(same) {
            return Some(Arc::clone(layout));
        }
        let layout = Arc::new(Layout::new(topology, groups, &visited, span, report)?);
        let (topology, groups) = (topology.clone(), groups.to_vec());
        self.known.push(Known { topology, groups, visited, layout: Arc::clone(&layout) });
        Some(layout)
    }
}

/// Which arms a scale has.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    /// Their names, or of what they come from; none: all.
    arms: Option<&'a [Spanned<String>]>,
    /// Bounds speak of no others.
    expects: bool,
    /// Else also of the arms, and the paths of the matrix, that the file has as it stands.
    written: (&'a [String], &'a [String]),
}

impl Wanted<'_> {
    const ALL: Wanted<'static> = Wanted { arms: None, expects: false, written: (&[], &[]) };
}

/// Reads and checks the trees as they stand, and every arm of them that is wanted.
fn read_all(
    base: &ArmTree,
    scale: Scale,
    wanted: Wanted<'_>,
    layouts: &mut Layouts,
    report: &mut Report,
) -> (Option<Head>, Vec<Arm>) {
    let ArmTree { experiment: root, topology, .. } = base;
    // The files as they stand come first; an arm then says only what it adds.
    let read = read_arm(base, scale, &[], layouts, report);
    let (arms_node, matrix) = (root.get("arms"), root.get("matrix"));
    let mut trees = match arms_node {
        Some(node) => arms::apply(node, root, topology, report),
        None => matrix.iter().map(|_| ArmTree::base(root, topology)).collect(),
    };
    if let Some(node) = matrix {
        trees = matrix::cross(node, trees, arms_node.map(|node| &**node), report);
    }
    let names = speakable(&trees);
    let all_trees = trees.clone();
    if let Some(wanted) = wanted.arms {
        trees.retain(|tree| wanted.iter().any(|wanted| tree.which().is(&wanted.value)));
        let dangling = wanted.iter().filter(|wanted| !names.is_empty() && !names.contains(&wanted.value));
        for wanted in dangling {
            report.dangling("arm", &wanted.value, wanted.span, names.iter().map(String::as_str));
        }
    }
    let alone = wanted.arms.is_some() && wanted.expects;
    let names = if alone { speakable(&trees) } else { names };
    let also = wanted.written.0.iter().filter(|_| !alone);
    let speak_of: Vec<&str> = names.iter().chain(also).map(String::as_str).collect();
    // Those of a matrix that is wrong are known all the same.
    let unreadable = matrix.is_some_and(|node| !matches!(node.value, Value::Map(_)));
    let written = wanted.written.1.iter().map(String::as_str);
    let paths: Vec<&str> = matrix.iter().flat_map(|node| node.keys()).chain(written).collect();
    let known = expect::Known { arms: &speak_of, paths: (!unreadable).then_some(&paths) };
    let expected = root.get("expect").map_or_else(Vec::new, |node| expect::decode(node, known, report));
    let claims = root.get("claims").map_or_else(Vec::new, |node| claims::decode(node, known, report));
    let comparison = root.get("compare").map(|node| compare::decode(node, known, report)).unwrap_or_default();
    if report.errors() == 0 {
        vanish::judged(base, (&all_trees, &trees), &expected, report);
        // Claims name the arms that a scale leaves out themselves.
        if !base.varied {
            let which: Vec<Which<'_>> = trees.iter().map(ArmTree::which).collect();
            let tests = expected.iter().chain(claims.iter().flat_map(claims::Claim::tests));
            tests.for_each(|test| test.check_trend(&which, report));
        }
    }
    let mut arms = Vec::new();
    for tree in &trees {
        let arm = if tree.varied {
            let mut own = report.beside();
            let arm = read_arm(tree, scale, &expected, layouts, &mut own);
            let at = if base.varied { format!(" at scale `{}`", base.name.value) } else { String::new() };
            report.absorb(own, &format!("in arm `{}`{at}", tree.name.value));
            arm
        } else {
            read.as_ref().map(|read| Read { head: read.head.clone(), arm: read.arm.renamed(tree, &expected) })
        };
        arms.extend(arm.map(|read| read.arm));
    }
    (read.map(|read| Head { claims, comparison, ..read.head }), arms)
}

/// What arms may be called: what they are, and those that a matrix made several of.
fn speakable(trees: &[ArmTree]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for tree in trees {
        let base = tree.base.as_ref().filter(|base| !names.contains(base)).cloned();
        names.extend(base);
        names.push(tree.name.value.clone());
    }
    names
}

/// Reads and checks one arm.
fn read_arm(
    tree: &ArmTree,
    scale: Scale,
    expected: &[Expected],
    layouts: &mut Layouts,
    report: &mut Report,
) -> Option<Read> {
    let topology::decode::Decoded { topology, names } = Topology::decode(&tree.topology, &layouts.traces, report);
    let Decoded { fields, head, duration, places, mut groups, mut body } = decode(&tree.experiment, report)?;
    if let Some(groups) = &mut groups {
        scale.groups(groups);
    }
    if let Some(body) = &mut body {
        scale.groups(&mut body.groups);
        scale.workloads(&mut body.workloads);
    }
    let before = report.errors();
    let mut places = places;
    places.extend(homes::destinations(groups.as_deref().unwrap_or_default()));
    homes::check_places(names.as_deref(), topology.as_ref(), &places, report);
    let layout = match (&topology, &groups) {
        (Some(topology), Some(groups)) if report.errors() == before => {
            let visited = fields.get("timeline").map_or_else(BTreeSet::new, |node| timeline::visited(node, topology));
            layouts.get(topology, groups, visited, fields.span_of("groups"), report)
        }
        _ => None,
    };
    let end = duration.unwrap_or(limits::DURATION.1);
    let timeline = fields.get("timeline").map_or_else(Vec::new, |node| {
        let policy = body.as_ref().map_or_else(Policy::documented, |body| body.policy);
        timeline::decode(node, end, layout.as_deref(), groups.as_deref().unwrap_or_default(), &policy, report)
    });
    let body = body?;
    let arrivals = layout.as_deref().map_or_else(Vec::new, |layout| timeline::arrivals(&timeline, layout));
    demand::check(&body, &arrivals, fields.span_of("workload"), report);
    let expect = expected.iter().filter(|one| one.concerns(&tree.which())).cloned().collect();
    let (name, base, matrix) = (tree.name.value.clone(), tree.base.clone(), tree.matrix.clone());
    let sets = tree.sets.clone();
    Some(Read { head: head?, arm: Arm { name, base, matrix, sets, body, layout: layout?, timeline, expect } })
}
