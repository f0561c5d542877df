//! Regions grow from lookups through producers and consumers.
//!
//! # Growth
//!
//! 1. Accepted gathers *feed* what is computed from their rows by views and arithmetic.
//! 2. A *sink* combines fed values: a reduce, a scatter, or a dot whose other operand has no free
//!    dimension. Sinks and the gathers that feed them form clusters: a gather that feeds several
//!    sinks joins them.
//! 3. A cluster grows sink by sink, as long as it stays convex and pays. A sink that would close a
//!    cycle takes what is materialised anyway as an input instead. The sinks that are left over grow another region,
//!    which may read what the first gives.
//! 4. Behind a sink follows its *epilogue*: division by a count, scaling by what is constant along
//!    the row, the conversion back, the selects that guard them. The count, if a combine of its
//!    own, comes along.
//! 5. Where a scatter writes few of its rows, it has no epilogue. If its sums, scaled perhaps, are for nothing but to be added to an array,
//!    they are added to it in the region.
//! 6. Scatters and loops that no gather feeds, then gathers that feed no sink, become regions of their own; a
//!    gather takes the select that fills it, with the views between them. A loop is one only if it looks something up.
//!
//! The result of a counted loop is a sink like a reduce; what a round computes is part of its region, since nothing outside
//! has it.
//!
//! What pays is decided by the model of `docs/cost.md`, whose numbers [`crate::traffic`] computes.

mod cost;
mod epilogue;
mod feed;
mod update;

use hashbrown::{HashMap, HashSet};
use std::collections::BTreeSet;

use hlo2dae_hlo::Opcode;
use hlo2dae_ir::region::{Expr as RegionExpr, Region, Statement, Value};

use crate::candidates::Candidates;
use crate::classify::operands;
use crate::compose::Composer;
use crate::extract::{Extracted, Plan, constant_of, extract};
use crate::graph::{Graph, NodeId, Role};
use crate::index_map::Expr;
use crate::legality::Dependences;
use crate::miss::MissReason;
use crate::op_maps::{Map, Maps};
use crate::pull::Puller;

/// A grown region.
pub(crate) struct Grown {
    pub(crate) plan: Plan,
    pub(crate) extracted: Extracted,
    /// The gathers and scatters that it covers.
    pub(crate) accesses: Vec<NodeId>,
    /// All that it alone computes, ascending.
    pub(crate) owned: Vec<NodeId>,
}

/// What an operand is to its user.
enum Part {
    /// Rows are taken from it.
    Table,
    /// It says where.
    Indices,
    /// What an accumulator holds at first.
    Initial,
    /// Anything else.
    Data,
}

/// A set of nodes that is becoming a region.
#[derive(Clone, Default)]
struct Growing {
    plan: Plan,
    /// Nodes that the region alone computes: lookups, what they feed, combines, epilogues.
    owned: BTreeSet<NodeId>,
    inputs: Vec<NodeId>,
}

impl Growing {
    /// Whether there is no room for more than a few nodes.
    fn is_full(&self, max_region: usize) -> bool {
        self.plan.inline.len() + self.plan.combines.len() + 8 > max_region
    }

    fn members(&self) -> HashSet<NodeId> {
        self.plan
            .inline
            .iter()
            .chain(&self.plan.combines)
            .copied()
            .collect()
    }
}

/// Grows the regions of one graph.
pub(crate) struct Grower<'a, 'm> {
    graph: &'a Graph<'m>,
    maps: &'a Maps,
    dependences: Dependences,
    max_region: usize,
    gathers: HashSet<NodeId>,
    scatters: HashSet<NodeId>,
    fed: HashSet<NodeId>,
    /// Accesses that a region covers, and combines that one accumulates.
    claimed: HashSet<NodeId>,
    /// What regions give.
    given: HashSet<NodeId>,
    refused: HashMap<NodeId, MissReason>,
    grown: Vec<Grown>,
}

impl<'a, 'm> Grower<'a, 'm> {
    /// Grows all regions. Every candidate is then in one of them or among the refused.
    pub(crate) fn run(
        graph: &'a Graph<'m>,
        maps: &'a Maps,
        candidates: Candidates,
        max_region: usize,
    ) -> (Vec<Grown>, Vec<(NodeId, MissReason)>) {
        let mut grower = Grower {
            graph,
            maps,
            dependences: Dependences::of(graph),
            max_region,
            gathers: candidates.gathers.iter().copied().collect(),
            scatters: candidates.scatters.iter().copied().collect(),
            fed: HashSet::new(),
            claimed: HashSet::new(),
            given: HashSet::new(),
            refused: candidates.refused.into_iter().collect(),
            grown: Vec::new(),
        };
        grower.feed();
        for cluster in grower.clusters() {
            grower.grow_cluster(cluster);
        }
        for &scatter in &candidates.scatters {
            if !grower.claimed.contains(&scatter) {
                grower.grow_scatter(scatter);
            }
        }
        for &result in &candidates.loops {
            if !grower.claimed.contains(&result) {
                grower.grow_loop(result);
            }
        }
        for &gather in &candidates.gathers {
            let is_outside = graph.nodes[gather].within.is_none();
            if is_outside && !grower.claimed.contains(&gather) {
                grower.grow_gather(gather);
            }
        }
        let mut refused: Vec<_> = grower
            .refused
            .into_iter()
            .filter(|(node, _)| !grower.claimed.contains(node))
            .collect();
        refused.sort_unstable_by_key(|&(node, _)| node);
        (grower.grown, refused)
    }

    fn puller(&self) -> Puller<'_, 'm> {
        Puller {
            graph: self.graph,
            maps: self.maps,
            fed: &self.fed,
        }
    }

    fn operands(&self, node: NodeId) -> &'a [NodeId] {
        &self.graph.nodes[node].operands
    }

    /// The fed nodes that a sink's data is computed from, gathers included; `stop` are left out.
    fn closure(&self, sink: NodeId, stop: impl Fn(NodeId) -> bool) -> Option<BTreeSet<NodeId>> {
        let mut closure = BTreeSet::new();
        let mut stack: Vec<NodeId> = self.sink_data(sink)?.to_vec();
        while let Some(node) = stack.pop() {
            if !self.fed.contains(&node) || stop(node) || !closure.insert(node) {
                continue;
            }
            if closure.len() > self.max_region {
                return None;
            }
            if !self.gathers.contains(&node) {
                stack.extend(self.operands(node));
            }
        }
        closure
            .iter()
            .any(|node| self.gathers.contains(node))
            .then_some(closure)
    }

    /// Sinks that share gathers, each cluster ascending.
    fn clusters(&self) -> Vec<Vec<NodeId>> {
        let mut sets = petgraph::unionfind::UnionFind::<usize>::new(self.graph.len());
        let index = |node: NodeId| node.as_u32() as usize;
        let mut sinks = Vec::new();
        for sink in self.graph.nodes.keys() {
            if !self.graph.is_live[sink] {
                continue;
            }
            if let Some(closure) = self.closure(sink, |_| false) {
                sinks.push(sink);
                for node in closure {
                    if self.gathers.contains(&node) {
                        sets.union(index(sink), index(node));
                    }
                }
            }
        }
        let mut clusters: Vec<Vec<NodeId>> = Vec::new();
        let mut places: HashMap<usize, usize> = HashMap::new();
        for sink in sinks {
            let place = *places.entry(sets.find(index(sink))).or_insert_with(|| {
                clusters.push(Vec::new());
                clusters.len() - 1
            });
            clusters[place].push(sink);
        }
        clusters
    }

    /// Grows regions from sinks that share gathers, each of as many sinks as go together.
    fn grow_cluster(&mut self, sinks: Vec<NodeId>) {
        let mut sinks = self.paying(sinks);
        loop {
            let mut growing = Growing::default();
            let mut left = Vec::new();
            for &sink in &sinks {
                match self.with_sink_of(&growing, sink, &sinks) {
                    Some(next) => growing = next,
                    None => left.push(sink),
                }
            }
            if growing.owned.is_empty() {
                return;
            }
            for sink in growing.plan.combines.clone() {
                growing = self.with_end(growing, sink);
            }
            self.accept(growing);
            sinks = left;
        }
    }

    /// The region with one more of a cluster's sinks.
    fn with_sink_of(
        &mut self,
        growing: &Growing,
        sink: NodeId,
        sinks: &[NodeId],
    ) -> Option<Growing> {
        if growing.is_full(self.max_region) || self.claimed.contains(&sink) {
            return None;
        }
        let whole = |_: NodeId| false;
        if let Some(next) = self.with_sink(growing, sink, whole) {
            return Some(next);
        }
        // What others use anyway is materialised: take it as an input.
        let members: HashSet<_> = self
            .closure(sink, whole)
            .into_iter()
            .flatten()
            .chain(sinks.iter().copied())
            .collect();
        let graph = self.graph;
        self.with_sink(growing, sink, |node| graph.escapes(node, &members))
    }

    /// The region with one more sink, if it stays legal. Fed nodes for which `stop` holds become
    /// inputs.
    fn with_sink(
        &mut self,
        growing: &Growing,
        sink: NodeId,
        stop: impl Fn(NodeId) -> bool,
    ) -> Option<Growing> {
        // Another region may have a gather already; if it gives the rows, they are there to be read.
        let is_there = |node: NodeId| stop(node) || self.given.contains(&node);
        let closure = self.closure(sink, |node| {
            is_there(node) && !growing.owned.contains(&node)
        })?;
        if closure.iter().any(|node| self.claimed.contains(node)) {
            return None;
        }
        let mut next = growing.clone();
        next.owned.extend(&closure);
        next.owned.insert(sink);
        next.plan.inline.extend(&closure);
        next.plan.combines.insert(sink);
        self.complete(&mut next).then_some(next)
    }

    /// Takes in cheap producers and works out inputs and outputs; whether the result is legal.
    fn complete(&mut self, growing: &mut Growing) -> bool {
        // What nothing outside has comes along whole.
        for node in growing.plan.combines.clone() {
            if self.maps.is(node, |map| matches!(map, Map::Rounds(..))) {
                let round = self.graph.round(node);
                let computed = round
                    .iter()
                    .copied()
                    .filter(|&node| self.graph.nodes[node].role != Role::State);
                growing.plan.inline.extend(computed.clone());
                growing.owned.extend(computed);
            }
        }
        let owned = growing.owned.clone();
        // Data goes from the last member to the first, so that a producer's users are known.
        for &node in owned.iter().rev() {
            let operands = self.operands(node);
            let combines = growing.plan.combines.contains(&node);
            let part = |k: usize| match self.maps.get(node) {
                Ok(Map::Gather(_)) if self.gathers.contains(&node) && k == 0 => Part::Table,
                Ok(Map::Gather(_)) if self.gathers.contains(&node) => Part::Indices,
                Ok(Map::DynamicSlice) if k == 0 => Part::Table,
                Ok(Map::DynamicSlice) => Part::Indices,
                Ok(Map::Scatter(..)) if k == 0 => Part::Initial,
                Ok(Map::Scatter(..)) if k == 1 => Part::Indices,
                Ok(Map::Rounds(..)) if k == 0 => Part::Initial,
                Ok(Map::Binary(_)) if combines => Part::Initial,
                Ok(Map::Rounds(..)) if k < 3 => Part::Indices,
                Ok(Map::SparseDense) if k == 3 => Part::Table,
                Ok(Map::SparseDense) if k > 0 => Part::Indices,
                _ => Part::Data,
            };
            for (k, &operand) in operands.iter().enumerate() {
                if growing.owned.contains(&operand) {
                    continue;
                }
                let Plan {
                    inline, combines, ..
                } = &mut growing.plan;
                match part(k) {
                    Part::Table => self.puller().table(operand, inline),
                    Part::Indices => self.puller().indices(operand, inline),
                    Part::Initial => {}
                    Part::Data => self.puller().data(operand, combines, inline),
                }
            }
        }
        let members = growing.members();
        if members.len() > self.max_region {
            return false;
        }
        let outputs: Vec<NodeId> = growing
            .owned
            .iter()
            .copied()
            .filter(|&node| self.graph.escapes(node, &members))
            .collect();
        let mut inputs: Vec<NodeId> = members
            .iter()
            .flat_map(|&node| self.operands(node))
            .filter(|operand| !members.contains(*operand))
            .copied()
            .filter(|&operand| self.graph.nodes[operand].role != Role::State)
            .collect();
        inputs.sort_unstable();
        inputs.dedup();
        // Values within a loop have no name outside it.
        if inputs
            .iter()
            .any(|&input| self.graph.nodes[input].within.is_some())
        {
            return false;
        }
        growing.plan.outputs = outputs.iter().copied().collect();
        growing.inputs = inputs;
        self.dependences.is_convex(&growing.inputs, &outputs)
    }

    /// A scatter of values that no lookup feeds.
    fn grow_scatter(&mut self, scatter: NodeId) {
        let mut growing = Growing::default();
        growing.owned.insert(scatter);
        growing.plan.combines.insert(scatter);
        if !self.complete(&mut growing) {
            self.refused.insert(scatter, MissReason::NotConvex);
            return;
        }
        let starts_constant = self
            .operands(scatter)
            .first()
            .is_some_and(|&operand| constant_of(self.graph, self.maps, operand).is_some());
        if starts_constant {
            growing = self.with_end(growing, scatter);
        }
        self.accept(growing);
    }

    /// The result of a loop that no lookup outside it feeds, if its rounds look something up.
    fn grow_loop(&mut self, result: NodeId) {
        let mut growing = Growing::default();
        growing.owned.insert(result);
        growing.plan.combines.insert(result);
        if !self.complete(&mut growing) {
            return;
        }
        let looks_up = extract(self.graph, self.maps, &growing.plan, "region")
            .is_ok_and(|extracted| looks_up(&extracted.region));
        if looks_up {
            self.accept(growing);
        }
    }

    /// A gather that feeds no sink, with the select that fills it.
    fn grow_gather(&mut self, gather: NodeId) {
        let mut growing = Growing::default();
        growing.owned.insert(gather);
        growing.plan.inline.insert(gather);
        if !self.complete(&mut growing) {
            self.refused.insert(gather, MissReason::NotConvex);
            return;
        }
        if let Some(filled) = self.with_fill(&growing, gather) {
            growing = filled;
        }
        self.accept(growing);
    }

    /// The gather with its only user, views left aside, if that selects between the row and a constant by nothing
    /// but whether the index is inside.
    fn with_fill(&mut self, growing: &Growing, gather: NodeId) -> Option<Growing> {
        let mut next = growing.clone();
        let mut at = gather;
        let select = loop {
            let &[user] = self.graph.users[at].as_slice() else {
                return None;
            };
            if self.graph.is_result[at] {
                return None;
            }
            next.owned.insert(user);
            next.plan.inline.insert(user);
            if self.graph.opcode(user) == Opcode::Select {
                break user;
            }
            let is_same_size = self.graph.elements(user) == self.graph.elements(at);
            if !(is_same_size && self.maps.is(user, Map::is_view)) {
                return None;
            }
            at = user;
        };
        let condition = *self.operands(select).first()?;
        self.puller().indices(condition, &mut next.plan.inline);
        if !self.complete(&mut next) {
            return None;
        }
        let mut composer = Composer::new(self.graph, self.maps, &next.plan.inline);
        let o: Vec<_> = self
            .graph
            .array(select)?
            .dims
            .iter()
            .map(|&n| composer.arena.axis(n as u64).1)
            .collect();
        let value = composer.element(select, &o).ok()?;
        let is_read = matches!(composer.arena.expr(value), Expr::Read(read) if read.fill.is_some());
        is_read.then_some(next)
    }

    /// Whether a node of a round accesses a window at a place that is read, rather than counted.
    fn looks_up_in_round(&self, node: NodeId) -> bool {
        let starts = match self.graph.opcode(node) {
            Opcode::DynamicSlice => 1,
            Opcode::DynamicUpdateSlice => 2,
            _ => return false,
        };
        let mut stack: Vec<NodeId> = self.operands(node).iter().skip(starts).copied().collect();
        while let Some(at) = stack.pop() {
            if matches!(self.maps.get(at), Ok(Map::DynamicSlice | Map::Gather(_))) {
                return true;
            }
            if self.graph.nodes[at].within.is_some() && stack.len() < self.max_region {
                stack.extend(self.operands(at));
            }
        }
        false
    }

    /// Makes a region of what has grown, or refuses its accesses.
    fn accept(&mut self, growing: Growing) {
        let is_access = |node: &NodeId| {
            let within = self.graph.nodes[*node].within.is_some();
            self.gathers.contains(node)
                || self.scatters.contains(node)
                || (within && self.looks_up_in_round(*node))
        };
        let accesses: Vec<NodeId> = growing.owned.iter().copied().filter(is_access).collect();
        let extracted = match extract(self.graph, self.maps, &growing.plan, "region") {
            Ok(extracted) => extracted,
            Err(refusal) => {
                let reason = MissReason::NoMap {
                    opcode: self.graph.opcode(refusal.node),
                    why: refusal.why.0,
                };
                for access in accesses {
                    self.refused.insert(access, reason.clone());
                }
                return;
            }
        };
        let outputs: Vec<_> = growing.plan.outputs.iter().copied().collect();
        self.dependences.contract(&growing.inputs, &outputs);
        self.claimed.extend(&accesses);
        self.claimed.extend(&growing.plan.combines);
        self.given.extend(&growing.plan.outputs);
        self.grown.push(Grown {
            plan: growing.plan,
            extracted,
            accesses,
            owned: growing.owned.into_iter().collect(),
        });
    }
}

/// Whether a region has an index that is read, rather than counted.
fn looks_up(region: &Region) -> bool {
    region.nests.iter().any(|nest| {
        let mut read: HashSet<Value> = HashSet::new();
        nest.body.iter().any(|statement| match statement {
            Statement::Let(value, RegionExpr::Read { .. }) => {
                read.insert(*value);
                false
            }
            Statement::Let(value, RegionExpr::Index { value: of, .. }) if read.contains(of) => {
                read.insert(*value);
                true
            }
            Statement::Let(value, RegionExpr::Arith(arith)) => {
                if operands(arith).iter().any(|operand| read.contains(operand)) {
                    read.insert(*value);
                }
                false
            }
            Statement::Let(..) | Statement::Axis(..) | Statement::Combine { .. } => false,
        })
    })
}
