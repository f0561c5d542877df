//! Holds every engine against the reference evaluator, region by region.
//!
//! The whole module is evaluated once. While that runs, the values that a region reads and the values that
//! it replaces are kept: they are the inputs and the expected outputs of every engine. A region
//! in the body of a loop is checked on its first iteration.
//!
//! Integers and `bool` must agree bit for bit. For floats the tolerance follows from what the
//! region computes, see [`Tolerance`]; NaN equals NaN, infinities must agree.

use hlo2dae_frontend::{Match, ValueRef};
use hlo2dae_hlo::eval::{EvalOptions, Observer, evaluate};
use hlo2dae_hlo::{ComputationId, InstructionId, Literal, Module, PrimitiveType};
use hlo2dae_ir::core::{Arith, Array, CombineOp, ElementType, Scalar, ScalarType};
use hlo2dae_ir::passes::{MAX_LEVEL, Options};
use hlo2dae_ir::region::{Expr, Region, Statement};
use serde::Serialize;

use crate::compile::{Compilation, Compiled};
use crate::engine::Engine;
use crate::error::Error;

/// How far an engine's floats may be from the reference's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tolerance {
    /// Bit for bit: values are moved, compared and counted, not computed.
    Exact,
    /// A few units in the last place: functions such as `exp` may be rounded differently.
    Rounded,
    /// Floats are added up in another order, or in another width, than the reference does.
    Reassociated,
}

/// One engine's answer for one region.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Name of the region.
    pub region: String,
    /// Name of the engine.
    pub engine: &'static str,
    /// Level that the program was compiled at.
    pub level: u8,
    /// Largest difference of an element.
    pub max_abs_error: f64,
    /// Largest difference of an element, in terms of the larger of the two.
    pub max_rel_error: f64,
    /// What is allowed.
    pub tolerance: Tolerance,
    /// Whether every element is within it.
    pub ok: bool,
    /// Why not, when the engine failed or gave something else than an array of that shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A region's inputs and what it has to make of them.
#[derive(Clone, Debug)]
pub struct Sample {
    /// In the order of the region's inputs.
    pub inputs: Vec<Array>,
    /// In the order of the region's outputs.
    pub outputs: Vec<Array>,
}

/// Each region's sample, from one evaluation of the module; `None` for a region that was not reached.
pub fn sample(
    compilation: &Compilation,
    arguments: &[Literal],
) -> Result<Vec<Option<Sample>>, Error> {
    let module = &compilation.module;
    let mut capture = Capture {
        module,
        wanted: compilation
            .regions
            .iter()
            .map(|compiled| Wanted::new(&compiled.found))
            .collect(),
    };
    evaluate(module, arguments, &EvalOptions::default(), &mut capture)?;
    capture.wanted.into_iter().map(Wanted::finish).collect()
}

/// Checks every engine at every level on the sample of every region that has one; the passes are told `options`. `progress` is
/// called before each check.
pub fn check(
    compilation: &Compilation,
    samples: &[Option<Sample>],
    options: &Options,
    mut progress: impl FnMut(&Compiled, Engine, u8),
) -> Vec<Check> {
    let mut checks = Vec::new();
    for (compiled, sample) in compilation.regions.iter().zip(samples) {
        let Some(sample) = sample else { continue };
        for level in 0..=MAX_LEVEL {
            let ladder = compiled.ladder.at(level, options);
            for engine in Engine::at(level) {
                progress(compiled, engine, level);
                let found = ladder
                    .as_ref()
                    .map_err(ToString::to_string)
                    .and_then(|ladder| {
                        let found = engine.run(ladder, &sample.inputs);
                        found.map_err(|error| error.to_string())
                    });
                checks.push(check_one(compiled, engine, level, sample, found));
            }
        }
    }
    checks
}

fn check_one(
    compiled: &Compiled,
    engine: Engine,
    level: u8,
    sample: &Sample,
    found: Result<Vec<Array>, String>,
) -> Check {
    let tolerance = Tolerance::of(&compiled.found.region);
    let mut difference = Difference {
        within: true,
        ..Difference::default()
    };
    let problem = match found {
        Ok(found) => {
            sample
                .outputs
                .iter()
                .zip(&found)
                .for_each(|(e, f)| difference.add(e, f, tolerance));
            (found.len() != sample.outputs.len())
                .then(|| format!("{} outputs, expected {}", found.len(), sample.outputs.len()))
                .or(difference.problem)
        }
        Err(error) => Some(error),
    };
    Check {
        region: compiled.found.region.name.clone(),
        engine: engine.name(),
        level,
        max_abs_error: difference.max_abs,
        max_rel_error: difference.max_rel,
        tolerance,
        ok: difference.within && problem.is_none(),
        problem,
    }
}

impl Tolerance {
    /// The spelling in reports.
    pub fn name(self) -> &'static str {
        match self {
            Tolerance::Exact => "exact",
            Tolerance::Rounded => "rounded",
            Tolerance::Reassociated => "reassociated",
        }
    }

    /// What the operations of a region allow.
    pub fn of(region: &Region) -> Tolerance {
        let is_float =
            |ty: ScalarType| matches!(ty, ScalarType::Element(element) if element.is_float());
        let mut tolerance = Tolerance::Exact;
        for nest in &region.nests {
            for statement in &nest.body {
                match statement {
                    Statement::Combine { op, buffer, .. }
                        if region.buffers[*buffer].element.is_float() =>
                    {
                        if matches!(op, CombineOp::Add | CombineOp::Sub | CombineOp::Mul) {
                            return Tolerance::Reassociated;
                        }
                    }
                    Statement::Let(result, Expr::Arith(arith))
                        if is_float(nest.values[*result].ty) =>
                    {
                        match arith {
                            Arith::Unary(..) | Arith::Binary(..) | Arith::Convert(..) => {
                                tolerance = Tolerance::Rounded
                            }
                            Arith::Constant(_) | Arith::Compare(..) | Arith::Select(..) => {}
                        }
                    }
                    Statement::Combine { .. } | Statement::Let(..) | Statement::Axis(..) => {}
                }
            }
        }
        tolerance
    }

    /// Allowed difference of two elements, in terms of the magnitude that went into them.
    fn relative(self, element: ElementType) -> f64 {
        let epsilon = match element {
            ElementType::F64 => f64::EPSILON,
            ElementType::F32 => f64::from(f32::EPSILON),
            ElementType::F16 => half::f16::EPSILON.to_f64(),
            ElementType::BF16 => half::bf16::EPSILON.to_f64(),
            _ => return 0.0,
        };
        match self {
            Tolerance::Exact => 0.0,
            Tolerance::Rounded => 8.0 * epsilon,
            Tolerance::Reassociated => 128.0 * epsilon,
        }
    }
}

#[derive(Default)]
struct Difference {
    max_abs: f64,
    max_rel: f64,
    within: bool,
    problem: Option<String>,
}

impl Difference {
    fn add(&mut self, expected: &Array, found: &Array, tolerance: Tolerance) {
        if expected.element != found.element || expected.dims != found.dims {
            self.problem = Some(format!("an output is {found:?}, expected {expected:?}"));
            return;
        }
        let element = expected.element;
        if tolerance == Tolerance::Exact || !element.is_float() {
            // Two NaNs need not have the same bits, everything else must.
            self.within &= expected.data == found.data
                || element.is_float()
                    && pairs(expected, found)
                        .all(|(e, f)| e.to_bits() == f.to_bits() || e.is_nan() && f.is_nan());
        }
        // A sum may cancel: its error is held against the largest magnitude in the array.
        let scale = pairs(expected, expected)
            .map(|(e, _)| e.abs())
            .filter(|e| e.is_finite())
            .fold(0.0, f64::max);
        let allowed = tolerance.relative(element) * scale.max(f64::MIN_POSITIVE);
        for (e, f) in pairs(expected, found) {
            if e == f || e.is_nan() && f.is_nan() {
                continue;
            }
            let error = if e.is_finite() && f.is_finite() {
                (e - f).abs()
            } else {
                f64::INFINITY
            };
            self.max_abs = self.max_abs.max(error);
            self.max_rel = self.max_rel.max(error / e.abs().max(f.abs()));
            self.within &= error <= allowed;
        }
    }
}

/// The elements of two arrays of one type, side by side, as `f64`.
fn pairs<'a>(a: &'a Array, b: &'a Array) -> impl Iterator<Item = (f64, f64)> + 'a {
    let size = a.element.bytes();
    let real = move |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let scalar = Scalar::from_bits(ScalarType::Element(a.element), u64::from_le_bytes(word));
        f64::from_bits(scalar.convert(ScalarType::Element(ElementType::F64)).bits())
    };
    a.data
        .chunks_exact(size)
        .map(real)
        .zip(b.data.chunks_exact(size).map(real))
}

/// The values of one region that have been seen so far.
struct Wanted {
    computation: ComputationId,
    inputs: Vec<(ValueRef, Option<Literal>)>,
    outputs: Vec<(ValueRef, Option<Literal>)>,
}

impl Wanted {
    fn new(found: &Match) -> Wanted {
        let unseen =
            |values: &[ValueRef]| values.iter().map(|value| (value.clone(), None)).collect();
        Wanted {
            computation: found.computation,
            inputs: unseen(&found.inputs),
            outputs: unseen(&found.outputs),
        }
    }

    fn complete(&self) -> bool {
        self.inputs
            .iter()
            .chain(&self.outputs)
            .all(|(_, seen)| seen.is_some())
    }

    fn finish(self) -> Result<Option<Sample>, Error> {
        if !self.complete() {
            return Ok(None);
        }
        let arrays = |values: Vec<(ValueRef, Option<Literal>)>| -> Result<Vec<Array>, Error> {
            values
                .into_iter()
                .filter_map(|(_, seen)| seen)
                .map(|literal| to_array(&literal))
                .collect()
        };
        Ok(Some(Sample {
            inputs: arrays(self.inputs)?,
            outputs: arrays(self.outputs)?,
        }))
    }
}

struct Capture<'a> {
    module: &'a Module,
    wanted: Vec<Wanted>,
}

impl Observer for Capture<'_> {
    fn value(&mut self, call_path: &[InstructionId], instruction: InstructionId, value: &Literal) {
        for wanted in self.wanted.iter_mut().filter(|wanted| !wanted.complete()) {
            let places = wanted.inputs.iter_mut().chain(&mut wanted.outputs);
            for (place, seen) in places.filter(|(place, _)| place.instruction == instruction) {
                if stands_at(
                    self.module,
                    call_path,
                    instruction,
                    place,
                    wanted.computation,
                ) {
                    *seen = Some(value.clone());
                }
            }
        }
    }
}

/// Whether `call_path` ends in the calls of `place`, counted from `computation`.
fn stands_at(
    module: &Module,
    call_path: &[InstructionId],
    instruction: InstructionId,
    place: &ValueRef,
    computation: ComputationId,
) -> bool {
    let Some(outer) = call_path.strip_suffix(place.call_path.as_slice()) else {
        return false;
    };
    let first = place.call_path.first().copied().unwrap_or(instruction);
    module.instructions[first].parent == computation
        && (computation != module.entry || outer.is_empty())
}

/// A literal as an array of the IRs.
pub fn to_array(literal: &Literal) -> Result<Array, Error> {
    let Literal::Array { shape, data } = literal else {
        return Err(Error::bug(
            "a region reads or writes something that is not an array",
        ));
    };
    let element = element_type(shape.element)
        .ok_or_else(|| Error::bug(format!("a region reads or writes {}", shape.element)))?;
    let dims = shape.dims.iter().map(|&d| d.max(0) as u64).collect();
    Ok(Array {
        element,
        dims,
        data: data.to_vec(),
    })
}

/// The IRs' name of an HLO element type; `None` for those that they do not have.
pub fn element_type(element: PrimitiveType) -> Option<ElementType> {
    match element {
        PrimitiveType::Pred => Some(ElementType::Bool),
        other => ElementType::from_name(other.name()),
    }
}
