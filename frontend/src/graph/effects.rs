//! What must stay even if nothing uses its value.

use hashbrown::HashSet;

use hlo2dae_hlo::{AttributeValue, ComputationId, InstructionId, Module, Opcode};

/// The computations of a module that do something besides giving a value.
pub(crate) struct Effects(HashSet<ComputationId>);

impl Effects {
    /// Looks at every computation, called ones first.
    pub(crate) fn of(module: &Module) -> Self {
        let mut effects = Effects(HashSet::new());
        // A computation is called only by later ones; where the text has another order, again until nothing changes.
        loop {
            let before = effects.0.len();
            for (id, computation) in &module.computations {
                let mut instructions = computation.instructions.iter();
                if !effects.0.contains(&id) && instructions.any(|&i| effects.has(module, i)) {
                    effects.0.insert(id);
                }
            }
            if effects.0.len() == before {
                return effects;
            }
        }
    }

    /// Whether an instruction does something besides giving a value.
    pub(crate) fn has(&self, module: &Module, id: InstructionId) -> bool {
        let instruction = &module.instructions[id];
        match instruction.opcode {
            Opcode::Outfeed
            | Opcode::Infeed
            | Opcode::Send
            | Opcode::SendDone
            | Opcode::Recv
            | Opcode::RecvDone
            | Opcode::AsyncStart
            | Opcode::RngGetAndUpdateState => true,
            Opcode::CustomCall => matches!(
                instruction.attribute("custom_call_has_side_effect"),
                Some(AttributeValue::Bool(true))
            ),
            _ => instruction
                .called_computations()
                .any(|callee| self.0.contains(&callee)),
        }
    }
}
