//! Random regions with inputs for them.
//!
//! A region is built from a list of numbers, each of which decides one question; a list that has
//! run out answers 0, the simplest choice. So shorter lists and smaller numbers make simpler regions, and
//! proptest shrinks a failure to something readable.
//!
//! Buffers are declared as accesses need them, with dimensions that hold every index that may
//! come, so that runs end without errors. What a lowering cannot know to be inside is made too:
//! sums of indices, and indices that are outside exactly when another one is marked.

#![allow(dead_code, reason = "each test program uses its part")]

use hlo2dae_ir::core::text::Names;
use hlo2dae_ir::core::{
    Arith, Array, BinaryOp, Buffer, BufferId, CombineOp, CompareOp, ElementType, Init, Role,
    Scalar, ScalarType, Span, UnaryOp, ValueData,
};
use hlo2dae_ir::region::{Expr, Extent, IndexMode, Nest, Region, Statement, Value};

/// A region and one array for each of its inputs.
#[derive(Debug)]
pub struct Case {
    pub region: Region,
    pub inputs: Vec<Array>,
}

/// The answers to the questions.
struct Choices<'c>(Box<dyn Iterator<Item = &'c u16> + 'c>);

impl Choices<'_> {
    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % n.max(1)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len())).copied()
    }

    fn element(&mut self) -> ElementType {
        self.pick(ElementType::ALL).expect("there are some")
    }

    fn integer_element(&mut self) -> ElementType {
        let integers: Vec<_> = ElementType::ALL
            .iter()
            .filter(|e| e.is_integer())
            .copied()
            .collect();
        self.pick(&integers).expect("there are some")
    }

    /// Small values mostly, else the extremes and what is special about floats.
    fn scalar(&mut self, ty: ScalarType) -> Scalar {
        let small = [
            0.0,
            1.0,
            2.0,
            3.0,
            5.0,
            7.0,
            -1.0,
            -2.0,
            1.5,
            -0.0,
            f64::NAN,
            1e9,
            -1e9,
        ];
        let (least, most) = Scalar::range(ty);
        match self.below(16) {
            14 => least,
            15 => most,
            n => Scalar::F64(small.get(n).copied().unwrap_or(4.0)).convert(ty),
        }
    }
}

/// What is known of a value of the nest that is being made.
#[derive(Clone, Copy)]
struct Known {
    value: Value,
    ty: ScalarType,
    /// Of an unmarked `index` that can be an address: its smallest and largest value.
    bounds: Option<(i64, i64)>,
    /// Of an index that may be marked.
    mark: Option<(IndexMode, i64, i64)>,
    /// The element that an index without wrap was made of.
    of: Option<Value>,
}

struct Generator<'c> {
    choices: Choices<'c>,
    region: Region,
    names: Names,
    /// The values that the caller promised an input to have.
    promises: Vec<(BufferId, (i64, i64))>,
}

struct NestGenerator {
    nest: Nest,
    known: Vec<Known>,
    combined: Vec<BufferId>,
    read: Vec<BufferId>,
}

/// The region that `choices` decide, and the inputs that `data`, over and over, decide.
pub fn case(choices: &[u16], data: &[u16]) -> Case {
    let mut generator = Generator {
        choices: Choices(Box::new(choices.iter())),
        region: Region {
            name: "random".to_owned(),
            buffers: Default::default(),
            nests: Vec::new(),
        },
        names: Names::default(),
        promises: Vec::new(),
    };
    for _ in 0..=generator.choices.below(2) {
        generator.nest();
    }
    let inputs = filled(&generator.region, &generator.promises, data);
    Case {
        region: generator.region,
        inputs,
    }
}

/// Arrays for the inputs of a region; the numbers are used over and over.
pub fn inputs(region: &Region, data: &[u16]) -> Vec<Array> {
    filled(region, &[], data)
}

fn filled(region: &Region, promises: &[(BufferId, (i64, i64))], data: &[u16]) -> Vec<Array> {
    let mut data = Choices(Box::new(data.iter().cycle()));
    let mut inputs = Vec::new();
    for (id, buffer) in &region.buffers {
        if buffer.role != Role::Input {
            continue;
        }
        let promise = promises.iter().find(|(promised, _)| *promised == id);
        let count = buffer.element_count().expect("small");
        let scalars: Vec<_> = (0..count)
            .map(|_| match promise {
                Some((_, (lo, hi))) => {
                    let span = (hi - lo + 1) as usize;
                    let value = lo + data.below(span) as i64;
                    Scalar::Index(value).convert(buffer.element.into())
                }
                None => data.scalar(buffer.element.into()),
            })
            .collect();
        let array = Array::from_scalars(buffer.element, &buffer.dims, scalars);
        inputs.push(array.expect("the sizes agree"));
    }
    inputs
}

/// Whether two results are the same; one NaN is as good as another.
pub fn same(a: &[Array], b: &[Array]) -> bool {
    let nan = |v: Scalar| v.ty().is_float() && CompareOp::Ne.apply(v, v) == Ok(true);
    let same = |a: &Array, b: &Array| {
        let mut pairs = a.scalars().zip(b.scalars());
        (a.element, &a.dims) == (b.element, &b.dims)
            && pairs.all(|(a, b)| a == b || (nan(a) && nan(b)))
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

impl Generator<'_> {
    fn nest(&mut self) {
        let mut nest = NestGenerator {
            nest: Nest::default(),
            known: Vec::new(),
            combined: Vec::new(),
            read: Vec::new(),
        };
        for _ in 0..self.choices.below(5) {
            for _ in 0..self.choices.below(5) {
                self.statement(&mut nest);
            }
            self.axis(&mut nest);
        }
        for _ in 0..self.choices.below(12) {
            self.statement(&mut nest);
        }
        for _ in 0..=self.choices.below(3) {
            self.combine(&mut nest);
        }
        self.region.nests.push(nest.nest);
    }

    fn define(&mut self, nest: &mut NestGenerator, known: Known) -> Value {
        // Names of one nest may come again in the next, but not those of buffers.
        let wish = ["x", "id", "row", "d", "out.0", "a-b"];
        let wish = self.choices.pick(&wish).expect("there are some");
        let value = nest.nest.values.push(ValueData {
            name: self.names.fresh(wish),
            ty: known.ty,
            span: Span::default(),
        });
        nest.known.push(Known { value, ..known });
        value
    }

    fn axis(&mut self, nest: &mut NestGenerator) {
        let bounded: Vec<_> = nest
            .known
            .iter()
            .filter(|k| k.bounds.is_some())
            .copied()
            .collect();
        let range = self.choices.below(3) == 1;
        let (extent, bounds) = match (
            range,
            self.choices.pick(&bounded),
            self.choices.pick(&bounded),
        ) {
            (true, Some(begin), Some(end)) => {
                let (lo, hi) = (
                    begin.bounds.expect("bounded").0,
                    end.bounds.expect("bounded").1,
                );
                (Extent::Range(begin.value, end.value), (lo, hi - 1))
            }
            _ => {
                let size = [2, 1, 3, 2, 4, 0][self.choices.below(6)];
                (Extent::Dense(size), (0, size as i64 - 1))
            }
        };
        let axis = self.define(nest, unmarked(ScalarType::Index, Some(bounds)));
        nest.nest.body.push(Statement::Axis(axis, extent));
    }

    fn statement(&mut self, nest: &mut NestGenerator) {
        match self.choices.below(6) {
            0 | 1 => self.read(nest),
            2 | 3 => self.index(nest),
            4 => self.constant(nest),
            _ => self.arith(nest),
        }
    }

    fn constant(&mut self, nest: &mut NestGenerator) {
        let (scalar, bounds) = if self.choices.below(2) == 0 {
            let n = self.choices.below(4) as i64;
            (Scalar::Index(n), Some((n, n)))
        } else {
            let ty = ScalarType::Element(self.choices.element());
            (self.choices.scalar(ty), None)
        };
        let value = self.define(nest, unmarked(scalar.ty(), bounds));
        let expr = Expr::Arith(Arith::Constant(scalar));
        nest.nest.body.push(Statement::Let(value, expr));
    }

    fn index(&mut self, nest: &mut NestGenerator) {
        let integers: Vec<_> = nest
            .known
            .iter()
            .filter(|k| matches!(k.ty, ScalarType::Element(e) if e.is_integer()))
            .copied()
            .collect();
        let mode = match self.choices.below(7) {
            0 | 1 => IndexMode::Fill,
            2 | 3 => IndexMode::Drop,
            4 | 5 => IndexMode::Clamp,
            _ => IndexMode::Promise,
        };
        let lo =
            [0, 1, 0, 0, -1][self
                .choices
                .below(if mode == IndexMode::Promise { 2 } else { 5 })];
        let lo = if mode == IndexMode::Clamp {
            lo.max(0)
        } else {
            lo
        };
        let hi = lo + self.choices.below(4) as i64;
        let (lo, hi) = match mode {
            // Bounds without a value between them mark everything.
            IndexMode::Fill | IndexMode::Drop if lo < 0 => (3, 2),
            IndexMode::Fill | IndexMode::Drop | IndexMode::Clamp | IndexMode::Promise => (lo, hi),
        };
        let element = if mode == IndexMode::Promise {
            // Of an input of its own, which is filled accordingly.
            let ty = self.choices.integer_element();
            let buffer = self.declare("promised", ty, Vec::new(), Role::Input);
            self.promises.push((buffer, (lo, hi)));
            let value = self.define(nest, unmarked(ty.into(), None));
            let expr = Expr::Read {
                buffer,
                indices: Vec::new(),
                fill: None,
            };
            nest.nest.body.push(Statement::Let(value, expr));
            value
        } else {
            match self.choices.pick(&integers) {
                Some(known) => known.value,
                None => return self.read(nest),
            }
        };
        let wrap = [None, Some(3), Some(0)][self.choices.below(3)];
        let marks = matches!(mode, IndexMode::Fill | IndexMode::Drop);
        let known = Known {
            mark: marks.then_some((mode, lo, hi)),
            of: wrap.is_none().then_some(element),
            ..unmarked(ScalarType::Index, (!marks).then_some((lo, hi)))
        };
        let value = self.define(nest, known);
        let expr = Expr::Index {
            value: element,
            wrap,
            mode,
            lo,
            hi,
        };
        nest.nest.body.push(Statement::Let(value, expr));
    }

    /// Indices for an access, the largest value of each, and whether one may be marked.
    fn indices(&mut self, nest: &mut NestGenerator, mode: IndexMode) -> (Vec<(Value, i64)>, bool) {
        let fits = |k: &&Known| match k.mark {
            Some((marked, ..)) => marked == mode,
            None => k.bounds.is_some(),
        };
        let usable: Vec<_> = nest.known.iter().filter(fits).copied().collect();
        let markable: Vec<_> = usable
            .iter()
            .filter(|k| k.mark.is_some())
            .copied()
            .collect();
        let mut indices = Vec::new();
        let mut marked = false;
        for _ in 0..self.choices.below(4) {
            let from = match self.choices.below(2) {
                0 if !markable.is_empty() => &markable,
                _ => &usable,
            };
            let Some(known) = self.choices.pick(from) else {
                break;
            };
            match (known.bounds, known.mark) {
                (_, Some((_, _, hi))) => {
                    marked = true;
                    indices.push((known.value, hi));
                    if let Some(element) = known.of
                        && mode == IndexMode::Fill
                        && self.choices.below(3) == 1
                    {
                        // Outside when the other one is marked, and only then.
                        let same = self.define(nest, unmarked(ScalarType::Index, None));
                        let expr = Expr::Arith(Arith::Convert(element, ScalarType::Index));
                        nest.nest.body.push(Statement::Let(same, expr));
                        indices.push((same, hi));
                    }
                }
                (Some((_, hi)), None) => indices.push((known.value, hi)),
                (None, None) => {}
            }
        }
        (indices, marked)
    }

    fn read(&mut self, nest: &mut NestGenerator) {
        let (indices, marked) = self.indices(nest, IndexMode::Fill);
        let fits = |buffer: &Buffer| {
            let dims = &buffer.dims;
            dims.len() == indices.len()
                && dims
                    .iter()
                    .zip(&indices)
                    .all(|(&d, (_, hi))| *hi < d as i64)
        };
        let existing: Vec<_> = self
            .region
            .buffers
            .iter()
            .filter(|(id, buffer)| fits(buffer) && !nest.combined.contains(id))
            .map(|(id, _)| id)
            .collect();
        let existing = self
            .choices
            .pick(&existing)
            .filter(|_| self.choices.below(2) == 1);
        let buffer = existing.unwrap_or_else(|| {
            let element = match self.choices.below(2) {
                0 => self.choices.integer_element(),
                _ => self.choices.element(),
            };
            let dims = self.dims(&indices);
            self.declare("in", element, dims, Role::Input)
        });
        nest.read.push(buffer);
        let ty = ScalarType::Element(self.region.buffers[buffer].element);
        let fill = marked.then(|| self.choices.scalar(ty));
        let value = self.define(nest, unmarked(ty, None));
        let expr = Expr::Read {
            buffer,
            indices: indices.into_iter().map(|(value, _)| value).collect(),
            fill,
        };
        nest.nest.body.push(Statement::Let(value, expr));
    }

    fn arith(&mut self, nest: &mut NestGenerator) {
        let operands: Vec<_> = nest
            .known
            .iter()
            .filter(|k| k.mark.is_none())
            .copied()
            .collect();
        let Some(a) = self.choices.pick(&operands) else {
            return self.constant(nest);
        };
        let alike: Vec<_> = operands.iter().filter(|k| k.ty == a.ty).copied().collect();
        let b = self
            .choices
            .pick(&alike)
            .expect("at least the first operand");
        let conditions: Vec<_> = operands
            .iter()
            .filter(|k| k.ty.is_bool())
            .copied()
            .collect();
        let mut bounds = None;
        let arith = match self.choices.below(5) {
            0 => {
                let op = self.choices.pick(BinaryOp::ALL).expect("there are some");
                if let (BinaryOp::Add, Some(a), Some(b)) = (op, a.bounds, b.bounds) {
                    bounds = Some((a.0 + b.0, a.1 + b.1)).filter(|(_, hi)| *hi < 8);
                }
                Arith::Binary(op, a.value, b.value)
            }
            1 => {
                let op = self.choices.pick(UnaryOp::ALL).expect("there are some");
                Arith::Unary(op, a.value)
            }
            2 => {
                let op = self.choices.pick(CompareOp::ALL).expect("there are some");
                Arith::Compare(op, a.value, b.value)
            }
            3 if !conditions.is_empty() => {
                let condition = self.choices.pick(&conditions).expect("not empty");
                Arith::Select(condition.value, a.value, b.value)
            }
            _ => Arith::Convert(a.value, self.choices.element().into()),
        };
        let types = arith.map(|v| nest.nest.values[*v].ty);
        let Ok(ty) = types.result_type() else {
            return self.constant(nest);
        };
        let value = self.define(nest, unmarked(ty, bounds));
        nest.nest
            .body
            .push(Statement::Let(value, Expr::Arith(arith)));
    }

    fn combine(&mut self, nest: &mut NestGenerator) {
        let elements: Vec<_> = nest
            .known
            .iter()
            .filter(|k| matches!(k.ty, ScalarType::Element(_)))
            .copied()
            .collect();
        let Some(known) = self.choices.pick(&elements) else {
            self.read(nest);
            return self.combine(nest);
        };
        let ScalarType::Element(element) = known.ty else {
            unreachable!("only elements were picked")
        };
        let ops: Vec<_> = CombineOp::ALL
            .iter()
            .filter(|op| op.check(element, known.ty).is_ok())
            .copied()
            .collect();
        let op = self.choices.pick(&ops).expect("`replace` takes everything");
        let (indices, _) = self.indices(nest, IndexMode::Drop);
        let dims = self.dims(&indices);
        let init = match self.choices.below(3) {
            0 => Init::Splat(self.choices.scalar(element.into())),
            1 => Init::Splat(Scalar::zero(element.into())),
            _ => Init::Copy(self.declare("old", element, dims.clone(), Role::Input)),
        };
        let role = match self.choices.below(4) {
            3 => Role::Temp(init),
            _ => Role::Output(init),
        };
        let again = nest.combined.iter().copied().find(|&buffer| {
            let buffer = &self.region.buffers[buffer];
            buffer.dims == dims && buffer.element == element
        });
        let buffer = again.unwrap_or_else(|| self.declare("out", element, dims, role));
        nest.combined.push(buffer);
        nest.nest.body.push(Statement::Combine {
            op,
            buffer,
            indices: indices.into_iter().map(|(value, _)| value).collect(),
            value: known.value,
            span: Span::default(),
        });
    }

    /// Dimensions that hold these indices, sometimes with room to spare.
    fn dims(&mut self, indices: &[(Value, i64)]) -> Vec<u64> {
        let spare = |choices: &mut Choices<'_>| u64::from(choices.below(4) == 3);
        indices
            .iter()
            .map(|(_, hi)| u64::try_from(hi + 1).unwrap_or(0) + spare(&mut self.choices))
            .collect()
    }

    fn declare(
        &mut self,
        wish: &str,
        element: ElementType,
        dims: Vec<u64>,
        role: Role,
    ) -> BufferId {
        self.region.buffers.push(Buffer {
            name: self.names.fresh(wish),
            element,
            dims,
            role,
            sorted: false,
            span: Span::default(),
        })
    }
}

fn unmarked(ty: ScalarType, bounds: Option<(i64, i64)>) -> Known {
    Known {
        value: Value::from_u32(0),
        ty,
        bounds,
        mark: None,
        of: None,
    }
}
