//! Products, convolutions, transforms, normalisations, random numbers, the largest values.

use super::attributes::raw;
use super::constant;
use super::error::Reason;
use super::function::{Op, Printer, Value};
use super::operation::{flag, integer_of, integers_of, numbered, padding, reversal, window, word};
use super::text::{integer, integers, joined, list, types};
use crate::attribute::{AttributeValue, WindowDim};
use crate::literal::Literal;
use crate::module::{Instruction, InstructionId};
use crate::shape::PrimitiveType;

/// What each algorithm of `dot` means: types of the factors, of the sum, components, operations, imprecise sums.
/// `any_f8` takes the type of an operand of 8 bits; of others it means `f8E5M2`.
const ALGORITHMS: [(&str, &str, &str, u32, u32, bool); 13] = [
    ("dot_any_f8_any_f8_f32", "any_f8", "f32", 1, 1, false),
    (
        "dot_any_f8_any_f8_f32_fast_accum",
        "any_f8",
        "f32",
        1,
        1,
        true,
    ),
    ("dot_f16_f16_f16", "f16", "f16", 1, 1, false),
    ("dot_f16_f16_f32", "f16", "f32", 1, 1, false),
    ("dot_bf16_bf16_bf16", "bf16", "bf16", 1, 1, false),
    ("dot_bf16_bf16_f32", "bf16", "f32", 1, 1, false),
    ("dot_bf16_bf16_f32_x3", "bf16", "f32", 1, 3, false),
    ("dot_bf16_bf16_f32_x6", "bf16", "f32", 1, 6, false),
    ("dot_bf16_bf16_f32_x9", "bf16", "f32", 1, 9, false),
    ("dot_tf32_tf32_f32", "tf32", "f32", 1, 1, false),
    ("dot_tf32_tf32_f32_x3", "tf32", "f32", 1, 3, false),
    ("dot_f32_f32_f32", "f32", "f32", 1, 1, false),
    ("dot_f64_f64_f64", "f64", "f64", 1, 1, false),
];

impl Printer<'_> {
    pub(super) fn dot(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let dims = instruction.dot_dims();
        let dims = dims.ok_or(Reason::Missing("lhs_contracting_dims"))?;
        let numbers = format!(
            "#stablehlo.dot<lhs_batching_dimensions = {}, rhs_batching_dimensions = {}, lhs_contracting_dimensions = {}, rhs_contracting_dimensions = {}>",
            list(&dims.lhs_batch),
            list(&dims.rhs_batch),
            list(&dims.lhs_contracting),
            list(&dims.rhs_contracting)
        );
        let mut op = self
            .with_all(id, "stablehlo.dot_general")?
            .attribute("dot_dimension_numbers", numbers);
        if let Some(precision) = precision(instruction, "stablehlo")? {
            op = op.attribute("precision_config", precision);
        }
        match word(instruction, "algorithm") {
            Ok("unset") | Err(_) => Ok(op),
            Ok(algorithm) => {
                let element = |operand: usize| {
                    let operand = instruction.operands.get(operand)?;
                    self.module.instructions[*operand]
                        .array()
                        .map(|a| a.element)
                };
                Ok(op.attribute(
                    "algorithm",
                    dot_algorithm(algorithm, [element(0), element(1)])?,
                ))
            }
        }
    }

    pub(super) fn ragged_dot(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let lists = [
            ("lhs_batching_dimensions", "lhs_batch_dims"),
            ("rhs_batching_dimensions", "rhs_batch_dims"),
            ("lhs_contracting_dimensions", "lhs_contracting_dims"),
            ("rhs_contracting_dimensions", "rhs_contracting_dims"),
            ("lhs_ragged_dimensions", "lhs_ragged_dims"),
            ("rhs_group_dimensions", "rhs_group_dims"),
        ];
        let lists =
            lists.map(|(key, name)| (key, instruction.integers(name).unwrap_or_default().to_vec()));
        let lists = lists.each_ref().map(|(key, values)| (*key, values));
        let numbers = numbered(&lists);
        let mut op = self.with_all(id, "chlo.ragged_dot")?.attribute(
            "ragged_dot_dimension_numbers",
            format!("#chlo.ragged_dot<{}>", numbers.trim_end_matches(", ")),
        );
        if let Some(precision) = precision(instruction, "chlo")? {
            op = op.attribute("precision_config", precision);
        }
        Ok(op)
    }

    pub(super) fn convolution(&mut self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        if instruction.attribute("sparsity_config").is_some() {
            return Err(Reason::NoAttribute("sparsity_config".into()));
        }
        let window = window(instruction);
        let sizes = |of: fn(&WindowDim) -> i64| integers(window.iter().map(of));
        let count = |name: &str| integer(instruction.integer(name).unwrap_or(1));
        let mut op = self
            .op(id, "stablehlo.convolution")
            .results(types(&instruction.shape)?);
        for value in self.factors(id)? {
            op = op.operands([value]);
        }
        op = op
            .attribute("batch_group_count", count("batch_group_count"))
            .attribute("dimension_numbers", convolution_dims(instruction)?)
            .attribute("feature_group_count", count("feature_group_count"))
            .attribute("lhs_dilation", sizes(|dim| dim.base_dilation))
            .attribute("padding", padding(window))
            .attribute("rhs_dilation", sizes(|dim| dim.window_dilation))
            .attribute("window_reversal", reversal(window))
            .attribute("window_strides", sizes(|dim| dim.stride));
        if let Some(precision) = precision(instruction, "stablehlo")? {
            op = op.attribute("precision_config", precision);
        }
        Ok(op)
    }

    /// Both operands of a convolution, which must be of one type: the one that holds all values of the other.
    fn factors(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        let operands = &self.module.instructions[id].operands;
        let elements: Vec<PrimitiveType> = operands
            .iter()
            .filter_map(|&operand| Some(self.module.instructions[operand].array()?.element))
            .collect();
        let holds = |wide: &PrimitiveType| elements.iter().all(|&narrow| widens(narrow, *wide));
        let Some(&element) = elements.iter().find(|wide| holds(wide)) else {
            return Err(Reason::form("operands of one type", joined(&elements)));
        };
        (0..operands.len())
            .map(|operand| self.converted(id, operand, element))
            .collect()
    }

    pub(super) fn fft(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let kind = word(instruction, "fft_type")?;
        let length = integers_of(instruction, "fft_length")?;
        Ok(self
            .with_all(id, "stablehlo.fft")?
            .attribute("fft_length", integers(length.iter().copied()))
            .attribute("fft_type", format!("#stablehlo<fft_type {kind}>")))
    }

    pub(super) fn triangular_solve(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let transpose = word(instruction, "transpose_a").unwrap_or("NO_TRANSPOSE");
        let truth = |name: &str| flag(instruction, name).to_string();
        Ok(self
            .with_all(id, "stablehlo.triangular_solve")?
            .attribute("left_side", truth("left_side"))
            .attribute("lower", truth("lower"))
            .attribute("transpose_a", format!("#stablehlo<transpose {transpose}>"))
            .attribute("unit_diagonal", truth("unit_diagonal")))
    }

    pub(super) fn batch_norm(&self, id: InstructionId, name: &str) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let epsilon = match instruction.attribute("epsilon") {
            Some(AttributeValue::Float(epsilon)) => *epsilon,
            _ => return Err(Reason::Missing("epsilon")),
        };
        let feature = integer_of(instruction, "feature_index")?;
        Ok(self
            .with_all(id, name)?
            .attribute("epsilon", constant::single(epsilon))
            .attribute("feature_index", integer(feature)))
    }

    pub(super) fn rng(&mut self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let Some(array) = instruction.array() else {
            return Err(Reason::form("an array", instruction.shape.to_string()));
        };
        let distribution = match word(instruction, "distribution")? {
            "rng_normal" => "NORMAL",
            _ => "UNIFORM",
        };
        let dims = Literal::from_elements([array.rank() as i64], &array.dims);
        let dims = dims.map_err(|_| Reason::Missing("dimensions"))?;
        let dims = self.constant_leaf("dims", &dims, Vec::new())?;
        Ok(self
            .with_all(id, "stablehlo.rng")?
            .operands([dims])
            .attribute(
                "rng_distribution",
                format!("#stablehlo<rng_distribution {distribution}>"),
            ))
    }

    /// The new state and the bits; HLO may leave the state out.
    pub(super) fn rng_bit_generator(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        let instruction = &self.module.instructions[id];
        let algorithm = match word(instruction, "algorithm")? {
            "rng_three_fry" => "THREE_FRY",
            "rng_philox" => "PHILOX",
            _ => "DEFAULT",
        };
        let state = self.operand(id, 0)?;
        let is_alone = instruction.array().is_some();
        let op = self
            .op(id, "stablehlo.rng_bit_generator")
            .attribute(
                "rng_algorithm",
                format!("#stablehlo<rng_algorithm {algorithm}>"),
            )
            .results(is_alone.then(|| state.of.clone()))
            .results(types(&instruction.shape)?)
            .operands([state]);
        let values = self.emit(&instruction.name, op);
        Ok(values.into_iter().skip(usize::from(is_alone)).collect())
    }

    /// The largest values; the smallest are the largest in the reversed order of values, which negation gives floats and
    /// complement gives integers.
    pub(super) fn topk(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        let instruction = &self.module.instructions[id];
        let k = integer_of(instruction, "k")?;
        let mut value = self.operand(id, 0)?;
        let operand = instruction.operands.first();
        let array = operand.and_then(|&operand| self.module.instructions[operand].array());
        let reverse = match array {
            Some(array) if array.element.is_float() => "stablehlo.negate",
            _ => "stablehlo.not",
        };
        let largest = flag(instruction, "largest");
        let reversed = |value: Value| {
            let of = value.of.clone();
            Op::new(reverse).operands([value]).results([of])
        };
        if !largest {
            value = self.emit_one("reversed", reversed(value))?;
        }
        let op = self
            .op(id, "chlo.top_k")
            .operands([value])
            .attribute("k", integer(k))
            .results(types(&instruction.shape)?);
        let mut results = self.emit(&instruction.name, op);
        if !largest && let Some(values) = results.first_mut() {
            *values = self.emit_one(&instruction.name, reversed(values.clone()))?;
        }
        Ok(results)
    }
}

/// Whether every value of `narrow` is one of `wide`.
fn widens(narrow: PrimitiveType, wide: PrimitiveType) -> bool {
    use PrimitiveType as P;
    match (narrow, wide) {
        _ if narrow == wide => true,
        (P::Pred, _) => wide.is_integer() || matches!(wide, P::F16 | P::BF16 | P::F32 | P::F64),
        (P::F16 | P::BF16, P::F32 | P::F64) | (P::F32, P::F64) => true,
        // As many bits as the significand has.
        (_, P::BF16) => narrow.is_integer() && narrow.bits() <= 8,
        (_, P::F16) => narrow.is_integer() && narrow.bits() <= 11,
        (_, P::F32) => narrow.is_integer() && narrow.bits() <= 24,
        (_, P::F64) => narrow.is_integer() && narrow.bits() <= 53,
        _ => {
            let sign = |element: PrimitiveType| element.is_signed_integer();
            narrow.is_integer()
                && wide.is_integer()
                && narrow.bits() < wide.bits()
                && (sign(wide) || !sign(narrow))
        }
    }
}

/// `precision_config` of a product in a dialect.
fn precision(instruction: &Instruction, dialect: &str) -> Result<Option<String>, Reason> {
    let Some(text) = raw(&instruction.attributes, "operand_precision") else {
        return Ok(None);
    };
    let words = text.trim_matches(['{', '}']).split(',').map(str::trim);
    let words: Result<Vec<String>, Reason> = words
        .filter(|word| !word.is_empty())
        .map(|word| match word {
            "default" | "high" | "highest" => {
                Ok(format!("#{dialect}<precision {}>", word.to_uppercase()))
            }
            other => Err(Reason::NoAttribute(format!("operand_precision {other}"))),
        })
        .collect();
    Ok(Some(list(words?)))
}

fn dot_algorithm(name: &str, operands: [Option<PrimitiveType>; 2]) -> Result<String, Reason> {
    let known = ALGORITHMS.iter().find(|row| row.0 == name);
    let Some(&(_, factor, sum, components, operations, imprecise)) = known else {
        return Err(Reason::NoAttribute(format!("algorithm {name}")));
    };
    let factor = |operand: Option<PrimitiveType>| match (factor, operand) {
        ("any_f8", Some(element)) if element.is_float() && element.bits() == 8 => {
            super::text::element_type(element)
        }
        ("any_f8", _) => Ok("f8E5M2"),
        _ => Ok(factor),
    };
    Ok(format!(
        "#stablehlo.dot_algorithm<lhs_precision_type = {}, rhs_precision_type = {}, accumulation_type = {sum}, lhs_component_count = {components}, rhs_component_count = {components}, num_primitive_operations = {operations}, allow_imprecise_accumulation = {imprecise}>",
        factor(operands[0])?,
        factor(operands[1])?
    ))
}

/// `#stablehlo.conv<[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]>`.
fn convolution_dims(instruction: &Instruction) -> Result<String, Reason> {
    let Some(AttributeValue::ConvolutionDims(dims)) = instruction.attribute("dim_labels") else {
        return Err(Reason::Missing("dim_labels"));
    };
    let group = |rank: usize, roles: [(Option<i64>, &str); 2], spatial: &[i64]| {
        let labels: Option<Vec<String>> = (0..rank as i64)
            .map(|dim| {
                let role = roles.iter().find(|role| role.0 == Some(dim));
                let number = spatial.iter().position(|&s| s == dim);
                role.map(|role| role.1.to_owned())
                    .or(number.map(|number| number.to_string()))
            })
            .collect();
        labels
            .map(list)
            .ok_or_else(|| Reason::form("dimensions with known parts", "`?`"))
    };
    let [input, kernel, output] = dims.ranks;
    Ok(format!(
        "#stablehlo.conv<{}x{}->{}>",
        group(
            input,
            [(dims.input_batch, "b"), (dims.input_feature, "f")],
            &dims.input_spatial
        )?,
        group(
            kernel,
            [
                (dims.kernel_input_feature, "i"),
                (dims.kernel_output_feature, "o")
            ],
            &dims.kernel_spatial
        )?,
        group(
            output,
            [(dims.output_batch, "b"), (dims.output_feature, "f")],
            &dims.output_spatial
        )?
    ))
}
