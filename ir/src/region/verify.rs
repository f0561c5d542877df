//! The rules of the region IR.
//!
//! 1. Names can be read back, and are distinct: the buffers', and in each nest the values'.
//! 2. Buffers can be allocated; `{sorted}` stands on an input that has an axis; an initial value has the buffer's
//!    type, or is an input of the same type and dimensions.
//! 3. Every value is defined once, before it is used.
//! 4. A value has the type that its definition gives; axes and `index` are `index`, `index` takes an
//!    integer element, operations take their operands.
//! 5. A dense extent, a `wrap` and the bounds of a range are `index` values; the bounds of `clamp` have a value between them.
//! 6. An access gives one `index` for each dimension of a buffer that exists. A combine goes to an
//!    output or temporary and its combiner takes the value.
//! 7. An index that may be marked is used by nothing but reads (`fill`) or combines (`drop`), as an index whose bounds lie
//!    in the dimension. A read has a fill value, of the element type, exactly if one of its indices may be marked.
//! 8. No axis stands behind a combine.
//! 9. A buffer that a nest combines into is not read in that nest.

use cranelift_entity::EntitySet;
use hashbrown::HashSet;

use super::{Expr, Extent, IndexMode, Nest, Region, Statement, Value};
use crate::core::check::Checker;
use crate::core::{
    Buffer, BufferId, Diagnostics, Ir as _, Problem, ScalarType, Span, TypeError, ValueData,
};

/// Checks all rules.
pub(super) fn verify(region: &Region) -> Result<(), Diagnostics> {
    let mut checker = Checker::new(Region::NAME, &region.buffers);
    let names = checker.program_names(1, &region.name);
    checker.buffers(2);
    for nest in &region.nests {
        let mut verifier = Verifier {
            checker: &mut checker,
            nest,
            names: names.clone(),
            defined: EntitySet::new(),
            marks: MarkTable::new(),
        };
        verifier.nest();
    }
    checker.finish()
}

/// The bounds of an index that may be marked.
#[derive(Clone, Copy)]
struct Mark {
    mode: IndexMode,
    lo: i64,
    hi: i64,
}

type MarkTable = cranelift_entity::SecondaryMap<Value, Option<Mark>>;

struct Verifier<'c, 'a> {
    checker: &'c mut Checker<'a>,
    nest: &'a Nest,
    names: HashSet<&'a str>,
    defined: EntitySet<Value>,
    marks: MarkTable,
}

impl<'a> Verifier<'_, 'a> {
    fn nest(&mut self) {
        let mut combined: HashSet<BufferId> = HashSet::new();
        let mut reads: Vec<(BufferId, Span)> = Vec::new();
        for statement in &self.nest.body {
            match statement {
                Statement::Axis(axis, extent) => {
                    let span = self.span(*axis);
                    if !combined.is_empty() {
                        let sentence =
                            format!("axis %{} stands behind a combine", self.nest.name_of(*axis));
                        self.checker.broken(8, span, sentence);
                    }
                    match extent {
                        Extent::Dense(size) => self.fits(*size, "extent", span),
                        Extent::Range(begin, end) => {
                            for bound in [begin, end] {
                                if let Some(data) = self.used(*bound, span) {
                                    self.checker.has_type(5, data, ScalarType::Index, span);
                                }
                            }
                        }
                    }
                    self.define(*axis, Some(ScalarType::Index));
                }
                Statement::Let(value, expr) => {
                    if let Expr::Read { buffer, .. } = expr {
                        reads.push((*buffer, self.span(*value)));
                    }
                    let ty = self.expr(*value, expr);
                    self.define(*value, ty);
                }
                Statement::Combine {
                    op,
                    buffer,
                    indices,
                    value,
                    span,
                } => {
                    combined.insert(*buffer);
                    let declared = self.checker.write(6, *buffer, indices.len(), *span);
                    self.indices(IndexMode::Drop, declared, indices, *span);
                    if let Some(data) = self.used(*value, *span)
                        && let Some(declared) = declared
                        && let Err(error) = op.check(declared.element, data.ty)
                    {
                        self.checker.report(6, *span, Problem::Operands(error));
                    }
                }
            }
        }
        for (buffer, span) in reads {
            if combined.contains(&buffer)
                && let Some(declared) = self.checker.buffer(9, buffer, span)
            {
                let sentence = format!("%{} is combined into in this nest", declared.name);
                self.checker.broken(9, span, sentence);
            }
        }
    }

    /// Checks a definition and gives its type, if the operands let it have one.
    fn expr(&mut self, result: Value, expr: &Expr) -> Option<ScalarType> {
        let span = self.span(result);
        match expr {
            Expr::Arith(arith) => {
                let types = arith.try_map(|v| self.used(*v, span).map(|data| data.ty).ok_or(()));
                match types.ok()?.result_type() {
                    Ok(ty) => Some(ty),
                    Err(error) => {
                        self.checker.report(4, span, Problem::Operands(error));
                        None
                    }
                }
            }
            Expr::Index {
                value,
                wrap,
                mode,
                lo,
                hi,
            } => {
                if let Some(data) = self.used(*value, span)
                    && !matches!(data.ty, ScalarType::Element(element) if element.is_integer())
                {
                    let problem = Problem::Operands(TypeError::Unary {
                        op: "index",
                        operand: data.ty,
                    });
                    self.checker.report(4, span, problem);
                }
                if let Some(wrap) = wrap {
                    self.fits(*wrap, "wrap", span);
                }
                match mode {
                    IndexMode::Clamp if lo > hi => {
                        let sentence = format!("no value lies between {lo} and {hi}");
                        self.checker.broken(5, span, sentence);
                    }
                    IndexMode::Clamp | IndexMode::Promise => {}
                    IndexMode::Fill | IndexMode::Drop => {
                        self.marks[result] = Some(Mark {
                            mode: *mode,
                            lo: *lo,
                            hi: *hi,
                        });
                    }
                }
                Some(ScalarType::Index)
            }
            Expr::Read {
                buffer,
                indices,
                fill,
            } => {
                let declared = self.checker.access(6, *buffer, indices.len(), span);
                let marked = self.indices(IndexMode::Fill, declared, indices, span);
                match fill {
                    None if marked => {
                        let sentence = "an index may be marked, but there is no fill value";
                        self.checker.broken(7, span, sentence);
                    }
                    Some(_) if !marked => {
                        let sentence = "there is a fill value, but no index can be marked";
                        self.checker.broken(7, span, sentence);
                    }
                    Some(fill) => {
                        if let Some(declared) = declared
                            && fill.ty() != declared.element.into()
                        {
                            let sentence = format!(
                                "the fill value has type {}, not {}",
                                fill.ty(),
                                declared.element
                            );
                            self.checker.broken(7, span, sentence);
                        }
                    }
                    None => {}
                }
                Some(ScalarType::Element(declared?.element))
            }
        }
    }

    /// Checks the indices of an access that indices of mode `mode` are for; whether one may be marked.
    fn indices(
        &mut self,
        mode: IndexMode,
        declared: Option<&Buffer>,
        indices: &[Value],
        span: Span,
    ) -> bool {
        let mut marked = false;
        for (axis, &index) in indices.iter().enumerate() {
            let Some(data) = self.visible(index, span) else {
                continue;
            };
            self.checker.has_type(6, data, ScalarType::Index, span);
            let Some(mark) = self.marks[index] else {
                continue;
            };
            if mark.mode != mode {
                self.misused(index, span);
                continue;
            }
            marked = true;
            // Where there is no value between the bounds, every index is marked.
            if let Some(&size) = declared.and_then(|declared| declared.dims.get(axis))
                && mark.lo <= mark.hi
                && (mark.lo < 0 || u64::try_from(mark.hi).is_ok_and(|hi| hi >= size))
            {
                let sentence = format!(
                    "%{} may be {}..{}, but the dimension is 0..{}",
                    data.name,
                    mark.lo,
                    mark.hi,
                    i128::from(size) - 1
                );
                self.checker.broken(7, span, sentence);
            }
        }
        marked
    }

    /// A value used where no index may be marked.
    fn used(&mut self, value: Value, span: Span) -> Option<&'a ValueData> {
        let data = self.visible(value, span)?;
        if self.marks[value].is_some() {
            self.misused(value, span);
        }
        Some(data)
    }

    fn misused(&mut self, value: Value, span: Span) {
        let name = self.nest.name_of(value);
        let allowed = match self.marks[value].map(|mark| mark.mode) {
            Some(IndexMode::Drop) => "an index of a combine",
            _ => "an index of a read",
        };
        let sentence = format!("%{name} may be marked, so it can only be {allowed}");
        self.checker.broken(7, span, sentence);
    }

    /// A value that is defined here.
    fn visible(&mut self, value: Value, span: Span) -> Option<&'a ValueData> {
        let Some(data) = self.nest.values.get(value) else {
            self.checker
                .report(3, span, Problem::Dangling(format!("%{value}")));
            return None;
        };
        if !self.defined.contains(value) {
            self.checker
                .report(3, span, Problem::NotDefined(data.name.clone()));
        }
        Some(data)
    }

    fn define(&mut self, value: Value, ty: Option<ScalarType>) {
        let Some(data) = self.nest.values.get(value) else {
            let problem = Problem::Dangling(format!("%{value}"));
            self.checker.report(3, Span::default(), problem);
            return;
        };
        self.checker.name(1, &data.name, data.span);
        let again = !self.defined.insert(value);
        if !self.names.insert(&data.name) {
            let rule = if again { 3 } else { 1 };
            let problem = Problem::DuplicateName(data.name.clone());
            self.checker.report(rule, data.span, problem);
        }
        if let Some(ty) = ty {
            self.checker.has_type(4, data, ty, data.span);
        }
    }

    fn fits(&mut self, size: u64, what: &str, span: Span) {
        if i64::try_from(size).is_err() {
            let sentence = format!("the {what} {size} is not an index");
            self.checker.broken(5, span, sentence);
        }
    }

    fn span(&self, value: Value) -> Span {
        self.nest
            .values
            .get(value)
            .map_or(Span::default(), |data| data.span)
    }
}
