//! Rules 5, 6, 8 and 9, as both units have them: types of operands and results.

use hlo2dae_ir::core::check::Checker;
use hlo2dae_ir::core::compute::positions;
use hlo2dae_ir::core::{
    Access, Arith, Bound, Buffer, Compute, LANES, Problem, ScalarType, Span, Type,
};

use super::MAX_ROW;
use crate::isa::ValueId;
use crate::value::ValueData;

/// What can be used at a place.
pub(super) trait Visible<V> {
    /// The slot or register, if it can be used at `span`; else an error.
    fn used(&mut self, value: V, span: Span, checker: &mut Checker<'_>) -> Option<ValueData>;
}

/// Types of operands at one place.
pub(super) struct Operands<'a, 'c, S> {
    pub(super) visible: &'a mut S,
    pub(super) checker: &'a mut Checker<'c>,
    pub(super) span: Span,
}

impl<'c, S> Operands<'_, 'c, S> {
    /// Type of an operand that can be used.
    pub(super) fn ty<V: ValueId>(&mut self, value: V) -> Option<Type>
    where
        S: Visible<V>,
    {
        let data = self.visible.used(value, self.span, self.checker)?;
        Some(data.ty)
    }

    /// The operand has this type.
    pub(super) fn expect<V: ValueId>(&mut self, value: V, expected: Type)
    where
        S: Visible<V>,
    {
        if let Some(data) = self.visible.used(value, self.span, self.checker)
            && data.ty != expected
        {
            self.mismatch(&data, expected);
        }
    }

    /// The slot or register that gets a value of type `ty` has this type.
    pub(super) fn result(&mut self, data: Option<&ValueData>, ty: Option<Type>) {
        if let (Some(data), Some(ty)) = (data, ty)
            && data.ty != ty
        {
            self.mismatch(data, ty);
        }
    }

    fn mismatch(&mut self, data: &ValueData, expected: Type) {
        let problem = Problem::Type {
            name: data.name.clone(),
            expected: expected.to_string(),
            found: data.ty,
        };
        self.checker.report(8, self.span, problem);
    }

    /// Type of a result of arithmetic.
    pub(super) fn arith<V: ValueId>(&mut self, arith: &Arith<V>) -> Option<Type>
    where
        S: Visible<V>,
    {
        let types = arith.try_map(|&operand| self.ty(operand).ok_or(()));
        self.computed(Compute::Arith(types.ok()?))
    }

    /// Type of a vector of one value.
    pub(super) fn broadcast<V: ValueId>(&mut self, value: V, lanes: u32) -> Option<Type>
    where
        S: Visible<V>,
    {
        let value = self.ty(value)?;
        self.computed(Compute::Broadcast { value, lanes })
    }

    /// Type of a vector of positions.
    pub(super) fn sequence<V: ValueId>(&mut self, base: V, step: i64, lanes: u32) -> Option<Type>
    where
        S: Visible<V>,
    {
        let base = self.ty(base)?;
        self.computed(Compute::Lanes { base, step, lanes })
    }

    /// Type of a computation's result.
    pub(super) fn computed(&mut self, compute: Compute<Type>) -> Option<Type> {
        let ty = compute.result_type();
        ty.map_err(|error| {
            let problem = Problem::Operands(error);
            self.checker.report(8, self.span, problem);
        })
        .ok()
    }

    /// A number of lanes, and the mask over them.
    pub(super) fn lanes<V: ValueId>(&mut self, count: u32, mask: Option<V>)
    where
        S: Visible<V>,
    {
        self.lane_count(count);
        if let Some(mask) = mask {
            self.expect(mask, Type::Vector(ScalarType::BOOL, count));
        }
    }

    /// Rule 5 on a number of lanes.
    pub(super) fn lane_count(&mut self, count: u32) {
        if !LANES.contains(&count) {
            let (least, most) = (LANES.start(), LANES.end());
            let sentence = format!("{count} lanes, where {least} to {most} can be had");
            self.checker.broken(5, self.span, sentence);
        }
    }

    /// The buffer of an access, and the type of what is read or written.
    pub(super) fn access<V: ValueId>(&mut self, access: &Access<V>) -> Option<(&'c Buffer, Type)>
    where
        S: Visible<V>,
    {
        let count = access.lanes.as_ref().map(|lanes| lanes.count);
        if let Some(lanes) = &access.lanes {
            self.lanes(lanes.count, lanes.mask);
        }
        for &index in &access.indices {
            let vector = self.ty(index).and_then(Type::lanes);
            let lanes = count.filter(|_| vector.is_some());
            self.expect(index, Type::of(ScalarType::Index, lanes));
        }
        let buffer = self
            .checker
            .access(9, access.buffer, access.indices.len(), self.span)?;
        if count.is_some() && buffer.dims.is_empty() {
            let sentence = format!("%{} has no dimension for lanes", buffer.name);
            self.checker.broken(9, self.span, sentence);
        }
        Some((buffer, Type::of(buffer.element.into(), count)))
    }

    /// A bound of a loop.
    pub(super) fn bound<V: ValueId>(&mut self, bound: Bound<V>)
    where
        S: Visible<V>,
    {
        if let Bound::Value(value) = bound {
            self.expect(value, Type::INDEX);
        }
    }

    /// Step and lanes of a loop; its bounds, if they are constant.
    pub(super) fn steps(
        &mut self,
        step: i64,
        lanes: Option<u32>,
        masked: bool,
        constant: Option<(i64, i64)>,
    ) {
        if step < 1 {
            let sentence = format!("a step of {step}, where 1 is the least");
            self.checker.broken(5, self.span, sentence);
        }
        let Some(lanes) = lanes else {
            return;
        };
        self.lane_count(lanes);
        let full = |(lower, upper)| {
            u64::from(lanes) != 0 && positions(lower, upper, step).is_multiple_of(lanes.into())
        };
        if !masked && !constant.is_some_and(full) {
            let sentence =
                "a loop of lanes without mask, though its last positions may not fill them";
            self.checker.broken(5, self.span, sentence);
        }
    }

    /// A type that values can have.
    pub(super) fn valid(&mut self, ty: Type) {
        match ty {
            Type::Scalar(_) => {}
            Type::Vector(_, lanes) => self.lane_count(lanes),
            Type::Row(_, elements) => {
                if !(1..=MAX_ROW).contains(&elements) {
                    let sentence =
                        format!("a row of {elements} elements, where 1 to {MAX_ROW} can be had");
                    self.checker.broken(8, self.span, sentence);
                }
            }
        }
    }

    /// The type has scalars or lanes of them: it is no row.
    pub(super) fn not_a_row(&mut self, ty: Type) -> bool {
        let row = matches!(ty, Type::Row(..));
        if row {
            let sentence = "a row, where a scalar or vector is needed";
            self.checker.broken(8, self.span, sentence);
        }
        !row
    }
}
