//! Large modules, as text.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use hlo2dae_hlo::{
    Attribute, AttributeValue, Computation, ComputationId, Instruction, InstructionId, Module,
    Opcode, Payload, Shape, Span, parse_module,
};

const TABLES: usize = 26;

/// A recommender: in every block, bags of several forms feed a dense layer, which feeds the next block; some bags stand in
/// fusions, some tables are updated.
pub(crate) fn made_up(instructions: usize) -> String {
    let mut fused = String::new();
    let mut entry = String::new();
    let mut count = 0;
    let mut layer = "dense".to_owned();
    let mut updated = Vec::new();
    for block in 0.. {
        if count >= instructions {
            break;
        }
        let table = |k: usize| format!("table.{}", (block * 3 + k) % TABLES);
        let b = block;
        // A lookup as JAX prints it: wrapped, and NaN outside; pooled by a reduce.
        let _ = write!(
            entry,
            "  below.{b} = pred[32,8] compare(ids, zeros), direction=LT
  wrapped.{b} = s32[32,8] add(ids, sizes)
  chosen.{b} = s32[32,8] select(below.{b}, wrapped.{b}, ids)
  starts.{b} = s32[32,8,1] reshape(chosen.{b})
  low.{b} = pred[32,8,1] compare(starts.{b}, firsts), direction=GE
  high.{b} = pred[32,8,1] compare(starts.{b}, lasts), direction=LE
  both.{b} = pred[32,8,1] and(low.{b}, high.{b})
  inside.{b} = pred[32,8] reduce(both.{b}, yes), dimensions={{2}}, to_apply=and
  mask.{b} = pred[32,8,16] broadcast(inside.{b}), dimensions={{0,1}}
  rows.{b} = f32[32,8,16] gather({}, starts.{b}), offset_dims={{2}}, collapsed_slice_dims={{0}}, start_index_map={{0}}, index_vector_dim=2, slice_sizes={{1,16}}
  filled.{b} = f32[32,8,16] select(mask.{b}, rows.{b}, nans)
  bag.{b} = f32[32,16] reduce(filled.{b}, zero), dimensions={{1}}, to_apply=add
",
            table(0)
        );
        // A weighted bag by segments, with its mean.
        let _ = write!(
            entry,
            "  flat.{b} = f32[256,16] gather({}, list), offset_dims={{1}}, collapsed_slice_dims={{0}}, start_index_map={{0}}, index_vector_dim=1, slice_sizes={{1,16}}
  weights.{b} = f32[256,16] broadcast(weight), dimensions={{0}}
  scaled.{b} = f32[256,16] multiply(flat.{b}, weights.{b})
  sums.{b} = f32[32,16] scatter(nothing, segments, scaled.{b}), update_window_dims={{1}}, inserted_window_dims={{0}}, scatter_dims_to_operand_dims={{0}}, index_vector_dim=1, to_apply=add
  counts.{b} = f32[32] scatter(nobody, segments, ones), update_window_dims={{}}, inserted_window_dims={{0}}, scatter_dims_to_operand_dims={{0}}, index_vector_dim=1, to_apply=add
  atleast.{b} = f32[32] maximum(counts.{b}, one)
  spread.{b} = f32[32,16] broadcast(atleast.{b}), dimensions={{0}}
  mean.{b} = f32[32,16] divide(sums.{b}, spread.{b})
",
            table(1)
        );
        // A bag as XLA fuses it.
        let _ = write!(
            fused,
            "fused.{b} {{
  table = f32[1000,16] parameter(0)
  ids = s32[32,8] parameter(1)
  zero = f32[] constant(0)
  starts = s32[256,1] bitcast(ids)
  rows = f32[256,1,16] gather(table, starts), offset_dims={{1,2}}, collapsed_slice_dims={{}}, start_index_map={{0}}, index_vector_dim=1, slice_sizes={{1,16}}
  bags = f32[32,8,16] bitcast(rows)
  ROOT bag = f32[32,16] reduce(bags, zero), dimensions={{1}}, to_apply=add
}}

"
        );
        let _ = write!(
            entry,
            "  fusion.{b} = f32[32,16] fusion({}, ids), kind=kLoop, calls=fused.{b}
  joined.{b} = f32[32,64] concatenate(bag.{b}, mean.{b}, fusion.{b}, {layer}), dimensions={{1}}
  product.{b} = f32[32,16] dot(joined.{b}, kernel), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}
  biases.{b} = f32[32,16] broadcast(bias), dimensions={{1}}
  shifted.{b} = f32[32,16] add(product.{b}, biases.{b})
  layer.{b} = f32[32,16] maximum(shifted.{b}, nothing)
  grads.{b} = f32[32,8,16] broadcast(layer.{b}), dimensions={{0,2}}
  steps.{b} = f32[256,16] reshape(grads.{b})
",
            table(2)
        );
        layer = format!("layer.{b}");
        count += 12 + 8 + 7 + 8;
        if block % 4 == 0 {
            let _ = writeln!(
                entry,
                "  update.{b} = f32[1000,16] scatter({}, list, steps.{b}), update_window_dims={{1}}, inserted_window_dims={{0}}, scatter_dims_to_operand_dims={{0}}, index_vector_dim=1, to_apply=add",
                table(0)
            );
            updated.push(format!("update.{b}"));
            count += 1;
        }
    }
    let tables: String = (0..TABLES)
        .map(|k| {
            format!(
                "  table.{k} = f32[1000,16] parameter({})\n",
                TABLE_PARAMETERS + k
            )
        })
        .collect();
    let results: String = updated.iter().map(|_| ", f32[1000,16]").collect();
    let updated: String = updated.iter().map(|name| format!(", {name}")).collect();
    format!(
        "HloModule made_up

add {{
  x = f32[] parameter(0)
  y = f32[] parameter(1)
  ROOT sum = f32[] add(x, y)
}}

and {{
  x = pred[] parameter(0)
  y = pred[] parameter(1)
  ROOT both = pred[] and(x, y)
}}

{fused}ENTRY main {{
  ids = s32[32,8] parameter(0)
  list = s32[256] parameter(1)
  segments = s32[256] parameter(2)
  weight = f32[256] parameter(3)
  dense = f32[32,16] parameter(4)
  kernel = f32[64,16] parameter(5)
  bias = f32[16] parameter(6)
{tables}  zero = f32[] constant(0)
  one.0 = f32[] constant(1)
  yes = pred[] constant(true)
  nothing.0 = f32[] constant(nan)
  none = s32[] constant(0)
  size = s32[] constant(1000)
  last = s32[] constant(999)
  zeros = s32[32,8] broadcast(none), dimensions={{}}
  sizes = s32[32,8] broadcast(size), dimensions={{}}
  firsts = s32[32,8,1] broadcast(none), dimensions={{}}
  lasts = s32[32,8,1] broadcast(last), dimensions={{}}
  nans = f32[32,8,16] broadcast(nothing.0), dimensions={{}}
  nothing = f32[32,16] broadcast(zero), dimensions={{}}
  nobody = f32[32] broadcast(zero), dimensions={{}}
  one = f32[32] broadcast(one.0), dimensions={{}}
  ones = f32[256] broadcast(one.0), dimensions={{}}
{entry}  ROOT out = (f32[32,16]{results}) tuple({layer}{updated})
}}
"
    )
}

/// The number of the first table among the parameters of [`made_up`].
const TABLE_PARAMETERS: usize = 7;

/// The dumps of `integration/cases`, each called by one entry computation, over and over.
pub(crate) fn dumps(instructions: usize) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../integration/cases");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("00-input.hlo"))
        .collect();
    paths.sort();
    let models: Vec<Module> = paths
        .iter()
        .map(|path| parse_module(&std::fs::read_to_string(path).unwrap()).unwrap())
        .collect();
    let mut all = Joined::new(models.first().unwrap());
    for (copy, model) in models.iter().cycle().enumerate() {
        if all.module.instructions.len() >= instructions {
            break;
        }
        all.append(copy, model);
    }
    all.finish().to_string()
}

/// A module whose entry calls the entries of others.
struct Joined {
    module: Module,
    /// The entries of the others.
    entries: Vec<ComputationId>,
}

impl Joined {
    fn new(like: &Module) -> Joined {
        let mut module = like.clone();
        module.name = "dumps".to_owned();
        module.attributes.clear();
        module.source_tables.clear();
        module.computations.clear();
        module.instructions.clear();
        Joined {
            module,
            entries: Vec::new(),
        }
    }

    /// Appends all computations of a model, under names of their own.
    fn append(&mut self, copy: usize, model: &Module) {
        let computations = self.module.computations.len() as u32;
        let instructions = self.module.instructions.len() as u32;
        let computation = |id: ComputationId| ComputationId::from_u32(id.as_u32() + computations);
        let moved = |id: InstructionId| InstructionId::from_u32(id.as_u32() + instructions);
        for instruction in model.instructions.values() {
            let mut instruction = instruction.clone();
            instruction.parent = computation(instruction.parent);
            instruction
                .operands
                .iter_mut()
                .for_each(|id| *id = moved(*id));
            instruction.attributes.retain(|a| a.name != "metadata");
            for Attribute { value, .. } in &mut instruction.attributes {
                match value {
                    AttributeValue::Computation(id) => *id = computation(*id),
                    AttributeValue::Computations(ids) => {
                        ids.iter_mut().for_each(|id| *id = computation(*id));
                    }
                    AttributeValue::Instructions(ids) => {
                        ids.iter_mut().for_each(|id| *id = moved(*id));
                    }
                    _ => {}
                }
            }
            self.module.instructions.push(instruction);
        }
        for body in model.computations.values() {
            let mut body = body.clone();
            body.name = format!("{}_{copy}", body.name).into();
            body.root = moved(body.root);
            body.instructions.iter_mut().for_each(|id| *id = moved(*id));
            body.parameters.iter_mut().for_each(|id| *id = moved(*id));
            self.module.computations.push(body);
        }
        self.entries.push(computation(model.entry));
    }

    /// Adds the entry: a call of each, with parameters of its own.
    fn finish(mut self) -> Module {
        let parent = self.module.computations.next_key();
        let mut body: Vec<InstructionId> = Vec::new();
        let mut parameters = Vec::new();
        let mut calls = Vec::new();
        let module = &mut self.module;
        let mut place = |module: &mut Module, name: String, shape, opcode, operands: Vec<_>| {
            let id = module.instructions.push(Instruction {
                name: name.into(),
                shape,
                opcode,
                operands: operands.into(),
                payload: Payload::None,
                attributes: Vec::new(),
                parent,
                span: Span::default(),
            });
            body.push(id);
            id
        };
        for (k, &entry) in self.entries.iter().enumerate() {
            let callee = module.computations[entry].clone();
            let mut operands = Vec::new();
            for parameter in callee.parameters {
                let shape = module.instructions[parameter].shape.clone();
                let number = parameters.len();
                let name = format!("argument.{number}");
                let id = place(module, name, shape, Opcode::Parameter, Vec::new());
                module.instructions[id].payload = Payload::Parameter(number as u64);
                parameters.push(id);
                operands.push(id);
            }
            let shape = module.instructions[callee.root].shape.clone();
            let call = place(module, format!("model.{k}"), shape, Opcode::Call, operands);
            module.instructions[call].attributes.push(Attribute {
                name: "to_apply",
                value: AttributeValue::Computation(entry),
                span: Span::default(),
            });
            calls.push(call);
        }
        let shapes = calls
            .iter()
            .map(|&call| (*module.instructions[call].shape).clone());
        let shape = Arc::new(Shape::Tuple(shapes.collect()));
        let root = place(module, "out".to_owned(), shape, Opcode::Tuple, calls);
        module.entry = module.computations.push(Computation {
            name: "main".into(),
            instructions: body,
            parameters,
            root,
            attributes: Vec::new(),
            span: Span::default(),
        });
        self.module
    }
}
