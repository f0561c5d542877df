//! Region to SCF: iteration spaces become loops, index modes and combines become arithmetic.
//!
//! Before:
//! ```text
//! nest (%b = 32, %l = 10, %d = 24) {
//!   %id = read %ids[%b, %l]
//!   %row = index %id {fill 0..999}
//!   %x = read %table[%row, %d] {fill nan}
//!   combine add %out[%b, %d], %x
//! }
//! ```
//! After:
//! ```text
//! %c_0 = constant 0: index
//! %c_999 = constant 999: index
//! %c_nan = constant nan: f32
//! scf.for %b = 0 to 32 step 1 {
//!   scf.for %l = 0 to 10 step 1 {
//!     %id = load %ids[%b, %l]
//!     %row_any = convert %id to index
//!     %row_ge = ge %row_any, %c_0
//!     %row_le = le %row_any, %c_999
//!     %row_inside = and %row_ge, %row_le
//!     %row_min = max %row_any, %c_0
//!     %row = min %row_min, %c_999
//!     scf.for %d = 0 to 24 step 1 {
//!       %x_any = load %table[%row, %d]
//!       %x = select %row_inside, %x_any, %c_nan
//!       %out_old = load %out[%b, %d]
//!       %out_new = add %out_old, %x
//!       store %out_new, %out[%b, %d]
//!     }
//!   }
//! }
//! ```
//!
//! * Each axis becomes a loop, in the order of the axes. Each value is computed in the outermost loop in which
//!   its operands are available; but a load that may lie outside its buffer does not leave
//!   a loop that may be empty.
//! * What the types and bounds already say is not computed: an unsigned id needs no lower bound.
//! * No marked index reaches memory: the address of a `fill` is clamped, a `drop` becomes `scf.if`.
//! * A `promise` is not checked.
//! * A nest that does nothing (no combine, or a dense axis of extent 0) is left out.

mod emit;

use cranelift_entity::packed_option::PackedOption;
use cranelift_entity::{PrimaryMap, SecondaryMap, entity_impl};
use hashbrown::HashMap;

use super::LowerError;
use crate::core::text::Names;
use crate::core::{
    Arith, BinaryOp, BufferId, CombineOp, CompareOp, ElementType, Init, Ir as _, Role, Scalar,
    ScalarType, Span, ValueData,
};
use crate::region::{self, Extent, IndexMode, Nest, Region};
use crate::scf::{self, Builder};

/// Lowers a region.
pub fn region_to_scf(region: &Region) -> Result<scf::Func, LowerError> {
    region.verify()?;
    let mut builder = Builder::new(&region.name, region.buffers.clone());
    // The names visible in the body of the function.
    let mut visible = Names::default();
    for buffer in region.buffers.values() {
        visible.fresh(&buffer.name);
    }
    for nest in &region.nests {
        let empty = |statement: &region::Statement| match statement {
            region::Statement::Axis(_, extent) => *extent == Extent::Dense(0),
            region::Statement::Let(..) | region::Statement::Combine { .. } => false,
        };
        if !nest.body.iter().any(empty) {
            let lowering = Lowering::new(region, nest, &visible);
            let done = lowering.lower(&mut builder, &mut visible);
            done.ok_or_else(|| LowerError::Lost {
                lowering: "region-to-scf",
                program: region.name.clone(),
            })?;
        }
    }
    Ok(builder.finish())
}

/// A value of the loop nest that is being made, before its place is known.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Temp(u32);
entity_impl!(Temp, "temp");

struct TempData {
    data: ValueData,
    def: Def,
    /// Number of loops around the definition.
    level: usize,
    /// Of an `index`: the smallest and the largest value that it can have, as far as that is known.
    bounds: (i64, i64),
}

const ANY: (i64, i64) = (i64::MIN, i64::MAX);

enum Def {
    /// The position of a loop that begins and ends here.
    Position(End, End),
    Arith(Arith<Temp>),
    Load(BufferId, Vec<Temp>),
}

/// An end of a loop.
#[derive(Clone, Copy)]
enum End {
    Constant(i64),
    Temp(Temp),
}

impl Def {
    fn operands(&self) -> Vec<Temp> {
        match self {
            Def::Position(begin, end) => [begin, end]
                .into_iter()
                .filter_map(|end| match end {
                    End::Constant(_) => None,
                    End::Temp(temp) => Some(*temp),
                })
                .collect(),
            Def::Arith(arith) => arith.operands().copied().collect(),
            Def::Load(_, indices) => indices.clone(),
        }
    }
}

/// When an index is inside its bounds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Always,
    Never,
    If(Temp),
}

/// A combine, in the innermost loop.
struct Update {
    op: CombineOp,
    buffer: BufferId,
    indices: Vec<Temp>,
    value: Temp,
    condition: Option<Temp>,
    span: Span,
}

struct Lowering<'r> {
    region: &'r Region,
    nest: &'r Nest,
    names: Names,
    /// In an order in which each is defined before it is used.
    temps: PrimaryMap<Temp, TempData>,
    /// What has become of the nest's values.
    values: SecondaryMap<region::Value, PackedOption<Temp>>,
    /// For an index that may be marked, when it is not.
    inside: SecondaryMap<region::Value, Option<Inside>>,
    constants: HashMap<(ScalarType, u64), Temp>,
    /// The loops, outermost first.
    axes: Vec<Temp>,
    updates: Vec<Update>,
}

impl<'r> Lowering<'r> {
    fn new(region: &'r Region, nest: &'r Nest, visible: &Names) -> Self {
        Lowering {
            region,
            nest,
            names: visible.clone(),
            temps: PrimaryMap::new(),
            values: SecondaryMap::new(),
            inside: SecondaryMap::new(),
            constants: HashMap::new(),
            axes: Vec::new(),
            updates: Vec::new(),
        }
    }

    /// `None` where the nest breaks a rule of the verifier.
    fn lower(mut self, builder: &mut Builder, visible: &mut Names) -> Option<()> {
        // The nest's own names come first, so that derived ones make way for them.
        let mut data = SecondaryMap::new();
        for (value, ValueData { name, ty, span }) in &self.nest.values {
            data[value] = Some(ValueData {
                name: self.names.fresh(name),
                ty: *ty,
                span: *span,
            });
        }
        for statement in &self.nest.body {
            match statement {
                region::Statement::Axis(axis, extent) => {
                    let data = data[*axis].take()?;
                    let axis_temp = self.axis(data, extent)?;
                    self.values[*axis] = axis_temp.into();
                }
                region::Statement::Let(value, expr) => {
                    let data = data[*value].take()?;
                    let temp = match expr {
                        region::Expr::Arith(arith) => {
                            let arith = arith.try_map(|v| self.values[*v].expand().ok_or(()));
                            self.arith(data, arith.ok()?)
                        }
                        region::Expr::Index {
                            value: element,
                            wrap,
                            mode,
                            lo,
                            hi,
                        } => {
                            let element = self.values[*element].expand()?;
                            let wrap = wrap.map_or(Some(0), |n| i64::try_from(n).ok())?;
                            let (temp, inside) =
                                self.index(data, element, wrap, *mode, (*lo, *hi))?;
                            self.inside[*value] = inside;
                            temp
                        }
                        region::Expr::Read {
                            buffer,
                            indices,
                            fill,
                        } => self.read(data, *buffer, indices, *fill)?,
                    };
                    self.values[*value] = temp.into();
                }
                region::Statement::Combine {
                    op,
                    buffer,
                    indices,
                    value,
                    span,
                } => {
                    let condition = match self.all_inside(indices, *span) {
                        Inside::Never => continue,
                        Inside::Always => None,
                        Inside::If(condition) => Some(condition),
                    };
                    let update = Update {
                        op: *op,
                        buffer: *buffer,
                        indices: self.mapped(indices)?,
                        value: self.values[*value].expand()?,
                        condition,
                        span: *span,
                    };
                    self.updates.push(update);
                }
            }
        }
        if self.updates.is_empty() {
            return Some(());
        }
        self.emit(builder, visible)
    }

    fn axis(&mut self, data: ValueData, extent: &Extent) -> Option<Temp> {
        let (begin, end, bounds) = match extent {
            Extent::Dense(size) => {
                let size = i64::try_from(*size).ok()?;
                (
                    End::Constant(0),
                    End::Constant(size),
                    (0, size.saturating_sub(1)),
                )
            }
            Extent::Range(begin, end) => {
                let begin = self.values[*begin].expand()?;
                let end = self.values[*end].expand()?;
                let (lo, hi) = (self.temps[begin].bounds.0, self.temps[end].bounds.1);
                (self.end(begin), self.end(end), (lo, hi.saturating_sub(1)))
            }
        };
        self.axes.push(self.temps.next_key());
        // An axis has its place, even where its bounds are available further out.
        Some(self.push(data, Def::Position(begin, end), self.axes.len(), bounds))
    }

    fn end(&self, temp: Temp) -> End {
        match self.temps[temp].def {
            Def::Arith(Arith::Constant(Scalar::Index(n))) => End::Constant(n),
            Def::Arith(_) | Def::Load(..) | Def::Position(..) => End::Temp(temp),
        }
    }

    /// The value of an index, and when it is inside if it may be marked.
    fn index(
        &mut self,
        data: ValueData,
        element: Temp,
        wrap: i64,
        mode: IndexMode,
        (lo, hi): (i64, i64),
    ) -> Option<(Temp, Option<Inside>)> {
        let ScalarType::Element(ty) = self.temps[element].data.ty else {
            return None;
        };
        let derived = |lowering: &mut Self, suffix: &str, ty: ScalarType, arith: Arith<Temp>| {
            let name = lowering.names.fresh(&format!("{}_{suffix}", data.name));
            let span = data.span;
            lowering.arith(ValueData { name, ty, span }, arith)
        };
        let index = ScalarType::Index;
        let mut at = element;
        if ty == ElementType::U64 && mode != IndexMode::Promise {
            // Beyond every bound as an element, negative as an index.
            let largest = self.constant(Scalar::U64(i64::MAX as u64));
            let arith = Arith::Binary(BinaryOp::Min, at, largest);
            at = derived(self, "saturated", ty.into(), arith);
        }
        at = derived(self, "any", index, Arith::Convert(at, index));
        let (mut least, mut most) = bounds_of(ty);
        if wrap > 0 && least < 0 {
            let zero = self.constant(Scalar::Index(0));
            let n = self.constant(Scalar::Index(wrap));
            let arith = Arith::Compare(CompareOp::Lt, at, zero);
            let negative = derived(self, "negative", ScalarType::BOOL, arith);
            let arith = Arith::Binary(BinaryOp::Add, at, n);
            let from_end = derived(self, "from_end", index, arith);
            at = derived(
                self,
                "wrapped",
                index,
                Arith::Select(negative, from_end, at),
            );
            least = least.saturating_add(wrap).min(0);
            most = most.max(wrap - 1);
        }
        let mut inside = None;
        if matches!(mode, IndexMode::Fill | IndexMode::Drop) {
            let mut tests = Vec::new();
            if least < lo {
                let lo = self.constant(Scalar::Index(lo));
                let arith = Arith::Compare(CompareOp::Ge, at, lo);
                tests.push(derived(self, "ge", ScalarType::BOOL, arith));
            }
            if most > hi {
                let hi = self.constant(Scalar::Index(hi));
                let arith = Arith::Compare(CompareOp::Le, at, hi);
                tests.push(derived(self, "le", ScalarType::BOOL, arith));
            }
            inside = Some(match *tests.as_slice() {
                _ if lo > hi => Inside::Never,
                [] => Inside::Always,
                [test] => Inside::If(test),
                [ge, le, ..] => {
                    let arith = Arith::Binary(BinaryOp::And, ge, le);
                    Inside::If(derived(self, "inside", ScalarType::BOOL, arith))
                }
            });
        }
        if matches!(mode, IndexMode::Clamp | IndexMode::Fill) && lo <= hi {
            if least < lo {
                let lo = self.constant(Scalar::Index(lo));
                at = derived(self, "max", index, Arith::Binary(BinaryOp::Max, at, lo));
            }
            if most > hi {
                let hi = self.constant(Scalar::Index(hi));
                at = derived(self, "min", index, Arith::Binary(BinaryOp::Min, at, hi));
            }
            (least, most) = (least.clamp(lo, hi), most.clamp(lo, hi));
        }
        let last = &mut self.temps[at];
        last.bounds = (least, most);
        last.data.name = data.name;
        Some((at, inside))
    }

    fn read(
        &mut self,
        data: ValueData,
        buffer: BufferId,
        indices: &[region::Value],
        fill: Option<Scalar>,
    ) -> Option<Temp> {
        let mut addresses = self.mapped(indices)?;
        let condition = match (self.all_inside(indices, data.span), fill) {
            (Inside::Never, Some(fill)) => return Some(self.arith(data, Arith::Constant(fill))),
            (Inside::If(condition), Some(fill)) => Some((condition, fill)),
            (Inside::Always | Inside::Never | Inside::If(_), _) => None,
        };
        let Some((condition, fill)) = condition else {
            return Some(self.load(data, buffer, addresses));
        };
        let declared = self.region.buffers.get(buffer)?;
        if declared.dims.contains(&0) {
            // No element could be read, so every index that comes here is marked.
            return Some(self.arith(data, Arith::Constant(fill)));
        }
        for (i, address) in addresses.iter_mut().enumerate() {
            // The other indices may be outside when one is marked.
            if !self.fits(*address, *declared.dims.get(i)?) {
                let zero = self.constant(Scalar::Index(0));
                let inside = ValueData {
                    name: self.names.fresh(&format!("{}_at", data.name)),
                    ty: ScalarType::Index,
                    span: data.span,
                };
                *address = self.arith(inside, Arith::Select(condition, *address, zero));
            }
        }
        let any = ValueData {
            name: self.names.fresh(&format!("{}_any", data.name)),
            ..data.clone()
        };
        let any = self.load(any, buffer, addresses);
        let fill = self.constant(fill);
        Some(self.arith(data, Arith::Select(condition, any, fill)))
    }

    /// A load, in the outermost loop in which it is safe.
    fn load(&mut self, data: ValueData, buffer: BufferId, addresses: Vec<Temp>) -> Temp {
        let safe = self.region.buffers.get(buffer).is_some_and(|declared| {
            let initialised = match &declared.role {
                Role::Input => true,
                Role::Output(init) | Role::Temp(init) => *init != Init::Undefined,
            };
            let mut fits = addresses.iter().zip(&declared.dims);
            initialised && fits.all(|(&address, &size)| self.fits(address, size))
        });
        // The statement stands in all loops so far; it stays in those that may be empty.
        let may_be_empty = |axis: &Temp| match self.temps[*axis].def {
            Def::Position(End::Constant(begin), End::Constant(end)) => begin >= end,
            Def::Position(..) | Def::Arith(_) | Def::Load(..) => true,
        };
        let level = match self.axes.iter().rposition(may_be_empty) {
            Some(innermost) if !safe => innermost + 1,
            _ => 0,
        };
        self.push(data, Def::Load(buffer, addresses), level, ANY)
    }

    /// Whether an index is known to be in a dimension.
    fn fits(&self, index: Temp, size: u64) -> bool {
        let (lo, hi) = self.temps[index].bounds;
        lo >= 0 && u64::try_from(hi).is_ok_and(|hi| hi < size)
    }

    /// When none of the indices is marked.
    fn all_inside(&mut self, indices: &[region::Value], span: Span) -> Inside {
        let mut all = Inside::Always;
        for index in indices {
            all = match (all, self.inside[*index]) {
                (Inside::Never, _) | (_, Some(Inside::Never)) => Inside::Never,
                (all, None | Some(Inside::Always)) => all,
                (Inside::Always, Some(one @ Inside::If(_))) => one,
                (Inside::If(a), Some(Inside::If(b))) if a == b => Inside::If(a),
                (Inside::If(a), Some(Inside::If(b))) => {
                    let data = ValueData {
                        name: self.names.fresh("inside"),
                        ty: ScalarType::BOOL,
                        span,
                    };
                    Inside::If(self.arith(data, Arith::Binary(BinaryOp::And, a, b)))
                }
            };
        }
        all
    }

    fn mapped(&self, values: &[region::Value]) -> Option<Vec<Temp>> {
        values.iter().map(|v| self.values[*v].expand()).collect()
    }

    fn constant(&mut self, scalar: Scalar) -> Temp {
        let key = (scalar.ty(), scalar.bits());
        if let Some(temp) = self.constants.get(&key) {
            return *temp;
        }
        let data = ValueData {
            name: self.names.fresh(&format!("c_{scalar}")),
            ty: scalar.ty(),
            span: Span::default(),
        };
        let temp = self.arith(data, Arith::Constant(scalar));
        self.constants.insert(key, temp);
        temp
    }

    fn arith(&mut self, data: ValueData, arith: Arith<Temp>) -> Temp {
        let bounds = match arith {
            Arith::Constant(Scalar::Index(n)) => (n, n),
            _ => ANY,
        };
        self.push(data, Def::Arith(arith), 0, bounds)
    }

    /// A definition in the outermost loop, but not above `level`, that sees its operands.
    fn push(&mut self, data: ValueData, def: Def, level: usize, bounds: (i64, i64)) -> Temp {
        let operands = def.operands();
        let operands = operands.iter().map(|&operand| self.temps[operand].level);
        self.temps.push(TempData {
            level: operands.max().unwrap_or(0).max(level),
            data,
            def,
            bounds,
        })
    }
}

/// The smallest and the largest `index` that the elements of an integer type become; `u64` saturated.
fn bounds_of(element: ElementType) -> (i64, i64) {
    let (lo, hi) = Scalar::range(element.into());
    let index = |v: Scalar| {
        let v = v.as_integer().unwrap_or_default();
        v.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    };
    (index(lo), index(hi))
}
