//! The links between ASes while a timeline is followed: what each is, and what keeps it cut.

use std::collections::BTreeSet;

use peerbed_link::LinkSpec;

use crate::{
    diagnostic::{Report, Spanned},
    plan::NewLink,
    resolve::layout::Layout,
};

/// All links.
pub(super) struct Ways<'a> {
    layout: &'a Layout,
    /// What each is when nothing cuts it.
    specs: Vec<(LinkSpec, LinkSpec)>,
    /// Those that were cut by name.
    cut: BTreeSet<usize>,
    /// Sets of ASes (by index) that are cut off from all others.
    partitions: Vec<BTreeSet<usize>>,
}

impl<'a> Ways<'a> {
    pub(super) fn new(layout: &'a Layout) -> Self {
        let specs = layout.links.iter().map(|link| (link.forward, link.backward)).collect();
        Self { layout, specs, cut: BTreeSet::new(), partitions: Vec::new() }
    }

    /// The link of this name or its reverse, and whether it is its reverse. What does not exist is in the report.
    pub(super) fn find(&self, text: &Spanned<String>, report: &mut Report) -> Option<(usize, bool)> {
        let links = &self.layout.links;
        // A link has one name, but whoever names its ends the other way round means no other.
        let turned = text.value.split_once('~').map(|(a, b)| format!("{b}~{a}"));
        let index = links.iter().position(|link| link.name == text.value || Some(&link.name) == turned.as_ref());
        if index.is_none() {
            report.dangling("link", &text.value, text.span, links.iter().map(|link| link.name.as_str()));
        }
        index.map(|index| (index, links[index].name != text.value))
    }

    pub(super) fn name(&self, index: usize) -> &'a str {
        &self.layout.links[index].name
    }

    pub(super) fn spec(&self, index: usize) -> (LinkSpec, LinkSpec) {
        self.specs[index]
    }

    pub(super) fn set(&mut self, index: usize, spec: (LinkSpec, LinkSpec)) -> NewLink {
        self.specs[index] = spec;
        self.now(index)
    }

    /// Cuts a link, or heals it; none if that was done.
    pub(super) fn cut(&mut self, index: usize, cut: bool) -> Option<NewLink> {
        let new = if cut { self.cut.insert(index) } else { self.cut.remove(&index) };
        new.then(|| self.now(index))
    }

    /// Cuts these ASes off from all others. None if they are already.
    pub(super) fn part(&mut self, ases: BTreeSet<usize>) -> Option<Vec<NewLink>> {
        if self.partitions.contains(&ases) {
            return None;
        }
        let crossing = self.crossing(&ases);
        self.partitions.push(ases);
        Some(crossing.into_iter().map(|index| self.now(index)).collect())
    }

    /// Ends the partition of exactly these ASes. None if there is none.
    pub(super) fn heal(&mut self, ases: &BTreeSet<usize>) -> Option<Vec<NewLink>> {
        let position = self.partitions.iter().position(|other| other == ases)?;
        self.partitions.remove(position);
        Some(self.crossing(ases).into_iter().map(|index| self.now(index)).collect())
    }

    /// Ends every partition. None if there is none.
    pub(super) fn heal_all(&mut self) -> Option<Vec<NewLink>> {
        let healed: BTreeSet<usize> = self.partitions.iter().flat_map(|ases| self.crossing(ases)).collect();
        let any = !std::mem::take(&mut self.partitions).is_empty();
        any.then(|| healed.into_iter().map(|index| self.now(index)).collect())
    }

    /// The partitions, for people.
    pub(super) fn partitions(&self) -> String {
        let name = |index: &usize| self.layout.ases[*index].name.as_str();
        let sets = self.partitions.iter().map(|ases| ases.iter().map(name).collect::<Vec<_>>().join(", "));
        let sets: Vec<String> = sets.map(|ases| format!("[{ases}]")).collect();
        if sets.is_empty() { "none".to_owned() } else { sets.join(", ") }
    }

    /// Links with one end among these ASes.
    fn crossing(&self, ases: &BTreeSet<usize>) -> Vec<usize> {
        let inside = |number| ases.iter().any(|index| self.layout.ases[*index].number == number);
        let links = self.layout.links.iter().enumerate();
        links.filter(|(_, link)| inside(link.a) != inside(link.b)).map(|(index, _)| index).collect()
    }

    /// The link as it is now.
    fn now(&self, index: usize) -> NewLink {
        let parted = self.partitions.iter().any(|ases| self.crossing(ases).contains(&index));
        let (mut forward, mut backward) = self.specs[index];
        if parted || self.cut.contains(&index) {
            (forward, backward) = (forward.cut(), backward.cut());
        }
        NewLink { link: index as u32, name: self.layout.links[index].name.clone(), forward, backward }
    }
}
