//! Several regions in one call: 26 bags of one model become 26 nests of one program.
//!
//! Before:
//! ```text
//! a = f32[8,4] custom-call(table_a, ids_a), ...       program "region @embedding_bag   { ... nest ... }"
//! b = f32[8,6] custom-call(table_b, ids_b), ...       program "region @embedding_bag_2 { ... nest ... }"
//! ```
//! After:
//! ```text
//! both = (f32[8,4], f32[8,6]) custom-call(table_a, ids_a, table_b, ids_b), ...
//!                                                     program "region @embedding_bag_batch { ... nest ... nest ... }"
//! a = f32[8,4] get-tuple-element(both), index=0
//! b = f32[8,6] get-tuple-element(both), index=1
//! ```
//!
//! Regions go into one call if they are in one computation and on one *step*. The step of an instruction is the number of regions, and
//! of instructions that XLA spends time on one after the other (products, sorts, loops ...), on the longest way to it. No way leads
//! from one member to another, since that other one would be on a later step: whatever is batched, no call waits for
//! itself. And no member waits long for what only another one takes.
//!
//! A result that takes the place of an argument keeps to itself: another member that reads the argument would have it copied first.
//!
//! An array that several members take is passed once. `docs/cost.md` says when a call of several is worth it; [`Options`] has the bounds.

use hashbrown::{HashMap, HashSet};
use hlo2dae_hlo::{ComputationId, Instruction, Module, Opcode};
use hlo2dae_ir::core::{Buffer, BufferId, ElementType, Init, Role};
use hlo2dae_ir::region::{Expr, Region, Statement};

use super::flat::{Flat, Item, ItemId};
use super::{Call, Options};
use crate::matches::{Match, ValueRef};
use crate::names::Names;

/// Puts calls together.
pub(super) struct Batcher<'a> {
    module: &'a Module,
    regions: &'a [Match],
    options: &'a Options,
    /// Computations with an instruction that is a step of its own.
    slow: HashSet<ComputationId>,
    /// Of programs.
    names: Names,
}

impl<'a> Batcher<'a> {
    pub(super) fn new(module: &'a Module, regions: &'a [Match], options: &'a Options) -> Self {
        let mut names = Names::default();
        for found in regions {
            names.fresh(&found.region.name);
        }
        Batcher {
            module,
            regions,
            options,
            slow: slow_computations(module),
            names,
        }
    }

    /// The calls with those that stand on one step put together; `order` is one of `flat`, which is what `calls` leave of a computation.
    pub(super) fn batched(&mut self, calls: Vec<Call>, flat: &Flat, order: &[ItemId]) -> Vec<Call> {
        if !self.options.batch {
            return calls;
        }
        let steps = self.steps(flat, order);
        let mut groups: Vec<(Group, Vec<Call>)> = Vec::new();
        // Of each step, the group that has room.
        let mut open: HashMap<usize, usize> = HashMap::new();
        for (call, item) in calls.into_iter().zip(&flat.calls) {
            let alone = Group::of(&call);
            let step = steps.get(item).filter(|_| alone.size.fits(self.options));
            let joined = step
                .and_then(|step| groups.get_mut(*open.get(step)?))
                .filter(|(group, _)| group.takes(&alone, self.options));
            match joined {
                Some((group, members)) => {
                    group.add(alone);
                    members.push(call);
                }
                None => {
                    open.extend(step.map(|&step| (step, groups.len())));
                    groups.push((alone, vec![call]));
                }
            }
        }
        let together = groups
            .into_iter()
            .filter_map(|(_, mut calls)| match calls.len() {
                0 | 1 => calls.pop(),
                _ => merged(self.name(&calls), calls),
            });
        together.collect()
    }

    /// A name for the program of several calls: what they all are, if they are the same.
    fn name(&mut self, calls: &[Call]) -> String {
        let mut kinds = calls
            .iter()
            .flat_map(|call| &call.members)
            .filter_map(|&number| Some(self.regions.get(number)?.kind.name()));
        self.names.fresh(&match kinds.next() {
            Some(first) if kinds.all(|kind| kind == first) => format!("{first}_batch"),
            _ => "batch".to_owned(),
        })
    }

    /// The step of each item.
    fn steps(&self, flat: &Flat, order: &[ItemId]) -> HashMap<ItemId, usize> {
        let mut steps = HashMap::new();
        // The step of what uses an item and nothing later.
        let mut after: HashMap<ItemId, usize> = HashMap::new();
        for &item in order {
            let used = flat.used(item);
            let before = used.iter().filter_map(|used| after.get(used));
            let step = before.copied().max().unwrap_or(0);
            let is_slow = match &flat.items[item] {
                Item::Original(value) => {
                    is_slow(&self.module.instructions[value.instruction], &self.slow)
                }
                Item::Custom(_) => true,
                Item::Result(..) | Item::Element(..) => false,
            };
            steps.insert(item, step);
            after.insert(item, step + usize::from(is_slow));
        }
        steps
    }
}

/// What decides who joins a call.
struct Group {
    size: Size,
    /// All arguments.
    arguments: HashSet<ValueRef>,
    /// Those whose place a result takes.
    updated: HashSet<ValueRef>,
}

impl Group {
    fn of(call: &Call) -> Group {
        let places = call.region.in_place().into_iter().flatten();
        Group {
            size: Size::of(&call.region),
            arguments: call.inputs.iter().cloned().collect(),
            updated: places
                .filter_map(|place| call.inputs.get(place).cloned())
                .collect(),
        }
    }

    fn takes(&self, other: &Group, options: &Options) -> bool {
        self.size.with(other.size).fits(options)
            && self.updated.is_disjoint(&other.arguments)
            && self.arguments.is_disjoint(&other.updated)
    }

    fn add(&mut self, other: Group) {
        self.size = self.size.with(other.size);
        self.arguments.extend(other.arguments);
        self.updated.extend(other.updated);
    }
}

/// What bounds a call of several regions.
#[derive(Clone, Copy)]
struct Size {
    arrays: usize,
    result_bytes: u64,
}

impl Size {
    fn of(region: &Region) -> Size {
        let passed = |buffer: &&Buffer| !matches!(buffer.role, Role::Temp(_));
        let bytes = |buffer: &Buffer| match buffer.role {
            Role::Output(_) => buffer
                .element_count()
                .and_then(|count| count.checked_mul(buffer.element.bytes() as u64))
                .unwrap_or(u64::MAX),
            Role::Input | Role::Temp(_) => 0,
        };
        let buffers = region.buffers.values();
        Size {
            arrays: buffers.clone().filter(passed).count(),
            result_bytes: buffers.map(bytes).fold(0, u64::saturating_add),
        }
    }

    fn with(self, other: Size) -> Size {
        Size {
            arrays: self.arrays.saturating_add(other.arrays),
            result_bytes: self.result_bytes.saturating_add(other.result_bytes),
        }
    }

    fn fits(self, options: &Options) -> bool {
        self.arrays <= options.max_arrays && self.result_bytes <= options.max_result_bytes
    }
}

/// The computations with an instruction that is a step of its own.
fn slow_computations(module: &Module) -> HashSet<ComputationId> {
    let mut slow = HashSet::new();
    // A computation is called only by later ones; where the text has another order, again until nothing changes.
    loop {
        let before = slow.len();
        for (id, computation) in &module.computations {
            let mut instructions = computation.instructions.iter();
            if instructions.any(|&id| is_slow(&module.instructions[id], &slow)) {
                slow.insert(id);
            }
        }
        if slow.len() == before {
            return slow;
        }
    }
}

/// Whether XLA spends time on an instruction by itself, rather than in a pass over memory that it makes in any case.
fn is_slow(instruction: &Instruction, slow: &HashSet<ComputationId>) -> bool {
    use Opcode as O;
    let by_itself = matches!(
        instruction.opcode,
        O::AllGather
            | O::AllGatherDone
            | O::AllReduce
            | O::AllReduceDone
            | O::AllToAll
            | O::AsyncDone
            | O::Cholesky
            | O::CollectiveBroadcast
            | O::CollectivePermute
            | O::CollectivePermuteDone
            | O::Conditional
            | O::Convolution
            | O::CustomCall
            | O::Dot
            | O::Fft
            | O::Infeed
            | O::RaggedAllToAll
            | O::RaggedDot
            | O::RecvDone
            | O::ReduceScatter
            | O::ReduceWindow
            | O::ScaledDot
            | O::Scan
            | O::Scatter
            | O::SelectAndScatter
            | O::Sort
            | O::Topk
            | O::TriangularSolve
            | O::While
    );
    by_itself
        || instruction
            .called_computations()
            .any(|callee| slow.contains(&callee))
}

/// What makes two arrays of programs one.
type Passed = (ValueRef, ElementType, Vec<u64>, bool);

/// One call that does what several do; none of none.
fn merged(name: String, calls: Vec<Call>) -> Option<Call> {
    let computation = calls.first()?.computation;
    let mut call = Call {
        members: Vec::new(),
        region: Region {
            name,
            buffers: Default::default(),
            nests: Vec::new(),
        },
        computation,
        inputs: Vec::new(),
        outputs: Vec::new(),
        instructions: Vec::new(),
    };
    let mut names = Names::default();
    let mut known: HashMap<Passed, BufferId> = HashMap::new();
    // Of each call, its buffers by their numbers there.
    let mut moved: Vec<HashMap<BufferId, BufferId>> = Vec::new();
    for part in &calls {
        let mut places = HashMap::new();
        let mut inputs = part.inputs.iter();
        for (id, buffer) in &part.region.buffers {
            let mut buffer = buffer.clone();
            let place = match &mut buffer.role {
                Role::Input => {
                    let value = inputs.next()?;
                    let Buffer {
                        element,
                        dims,
                        sorted,
                        ..
                    } = &buffer;
                    let passed = (value.clone(), *element, dims.clone(), *sorted);
                    *known.entry(passed).or_insert_with(|| {
                        call.inputs.push(value.clone());
                        buffer.name = names.fresh(&buffer.name);
                        call.region.buffers.push(buffer)
                    })
                }
                Role::Output(init) | Role::Temp(init) => {
                    if let Init::Copy(from) = init {
                        *from = *places.get(from)?;
                    }
                    buffer.name = names.fresh(&buffer.name);
                    call.region.buffers.push(buffer)
                }
            };
            places.insert(id, place);
        }
        moved.push(places);
    }
    for (part, places) in calls.into_iter().zip(moved) {
        for mut nest in part.region.nests {
            // A nest has names of its own, which are not those of buffers.
            let mut names = names.clone();
            for value in nest.values.values_mut() {
                value.name = names.fresh(&value.name);
            }
            for statement in &mut nest.body {
                match statement {
                    Statement::Let(_, Expr::Read { buffer, .. })
                    | Statement::Combine { buffer, .. } => *buffer = *places.get(buffer)?,
                    Statement::Axis(..)
                    | Statement::Let(_, Expr::Arith(_) | Expr::Index { .. }) => {}
                }
            }
            call.region.nests.push(nest);
        }
        call.members.extend(part.members);
        call.outputs.extend(part.outputs);
        call.instructions.extend(part.instructions);
    }
    Some(call)
}
