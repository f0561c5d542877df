//! What all frames of an evaluation share.

use std::sync::Arc;

use cranelift_entity::SecondaryMap;
use hashbrown::HashMap;

use super::limits::Meter;
use super::random;
use super::{EvalOptions, Observer};
use crate::module::{ComputationId, InstructionId, Module};
use crate::opcode::Opcode;

/// An evaluation, whichever computation it is in.
pub(super) struct Context<'o> {
    pub(super) module: &'o Module,
    pub(super) meter: Meter<'o>,
    pub(super) observer: &'o mut dyn Observer,
    /// Where an instruction stands in its computation; known once its lifetimes are.
    pub(super) positions: SecondaryMap<InstructionId, u32>,
    /// The counter from which `rng` and `rng-get-and-update-state` take numbers.
    pub(super) random: u128,
    /// Applied computations that are being evaluated inside one another.
    pub(super) nesting: usize,
    lifetimes: HashMap<ComputationId, Arc<Lifetimes>>,
}

/// When the values of a computation die, by position of the instruction.
pub(super) struct Lifetimes {
    /// The last instruction that uses each value; the computation's end for the root.
    pub(super) last_use: Vec<usize>,
    /// `get-tuple-element`s that may move the element out of its tuple: nobody else needs it.
    pub(super) moves: Vec<bool>,
}

impl<'o> Context<'o> {
    pub(super) fn new(
        module: &'o Module,
        options: &'o EvalOptions,
        observer: &'o mut dyn Observer,
    ) -> Self {
        Context {
            module,
            meter: Meter::new(options),
            observer,
            positions: SecondaryMap::new(),
            random: random::INITIAL_STATE,
            nesting: 0,
            lifetimes: HashMap::new(),
        }
    }

    /// When the values of `computation` die.
    pub(super) fn lifetimes(&mut self, computation: ComputationId) -> Arc<Lifetimes> {
        if let Some(lifetimes) = self.lifetimes.get(&computation) {
            return lifetimes.clone();
        }
        let lifetimes = Arc::new(self.compute_lifetimes(computation));
        self.lifetimes.insert(computation, lifetimes.clone());
        lifetimes
    }

    fn compute_lifetimes(&mut self, computation: ComputationId) -> Lifetimes {
        let computation = &self.module.computations[computation];
        let instructions = &computation.instructions;
        for (position, &id) in instructions.iter().enumerate() {
            self.positions[id] = position as u32;
        }
        let root = self.positions[computation.root] as usize;
        let mut last_use: Vec<usize> = (0..instructions.len()).collect();
        // Values that are used by something other than a get-tuple-element.
        let mut whole = vec![false; instructions.len()];
        let mut last_get: HashMap<(usize, i64), usize> = HashMap::new();
        for (position, &id) in instructions.iter().enumerate() {
            let instruction = &self.module.instructions[id];
            for &operand in &instruction.operands {
                let operand = self.positions[operand] as usize;
                let Some(last) = last_use.get_mut(operand) else {
                    continue;
                };
                *last = position;
                if instruction.opcode == Opcode::GetTupleElement {
                    let index = instruction.integer("index").unwrap_or(-1);
                    last_get.insert((operand, index), position);
                } else {
                    whole[operand] = true;
                }
            }
        }
        if let (Some(last), Some(whole)) = (last_use.get_mut(root), whole.get_mut(root)) {
            *last = instructions.len();
            *whole = true;
        }
        let mut moves = vec![false; instructions.len()];
        for ((tuple, _), get) in last_get {
            moves[get] = !whole[tuple];
        }
        Lifetimes { last_use, moves }
    }
}
