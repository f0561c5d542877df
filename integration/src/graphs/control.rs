//! Calls, fusions, conditionals and loops around a few operations.

use std::fmt::Write;

use hlo2dae_hlo::PrimitiveType::{Pred, S32};

use super::build::{Builder, Precision, Scope, Value, shape};

/// Greatest nesting of computations.
const MAX_DEPTH: usize = 3;

impl Builder {
    /// A computation of its own and what runs it.
    pub(super) fn control(&mut self) {
        if self.scopes.len() >= MAX_DEPTH {
            return;
        }
        match self.below(6) {
            0..=2 => self.call(),
            3 | 4 => self.repeat(),
            _ => self.conditional(),
        }
    }

    /// The elements of an instruction that gives a tuple.
    pub(super) fn emit_tuple(
        &mut self,
        results: &[Value],
        operands: &[&Value],
        operation: &str,
    ) -> Vec<Value> {
        let name = self.fresh("t");
        let mut text = operation.to_owned();
        for (number, operand) in operands.iter().enumerate().rev() {
            text = text.replace(&format!("${number}"), &operand.name);
        }
        let kind = Self::tuple_type(results);
        let used = operands
            .iter()
            .map(|operand| operand.name.clone())
            .collect();
        self.append(&format!("  {name} = {kind} {text}\n"), used);
        let tuple = Value {
            name,
            element: S32,
            dims: Vec::new(),
            precision: Precision::Exact(4),
        };
        let element = |(k, result): (usize, &Value)| {
            let text = format!("get-tuple-element($0), index={k}");
            self.emit(
                result.element,
                &result.dims,
                result.precision,
                &[&tuple],
                &text,
            )
        };
        results.iter().enumerate().map(element).collect()
    }

    /// Grows a computation of its own around a look-up; gives the last of its values that `accept` takes.
    fn inner(&mut self, steps: usize, passed: &[Value]) -> Vec<Value> {
        self.scopes.push(Scope::default());
        let depth = self.scopes.len() - 1;
        let arrived = passed
            .iter()
            .map(|value| self.import(depth, value.clone()))
            .collect();
        for _ in 0..steps {
            self.step();
        }
        arrived
    }

    /// Values of the surrounding computation to pass in.
    fn passed(&mut self) -> Vec<Value> {
        (0..1 + self.below(2)).map(|_| self.any()).collect()
    }

    /// A call, or a fusion, which is a call to the compiler.
    fn call(&mut self) {
        let passed = self.passed();
        let steps = 1 + self.below(4);
        let arrived = self.inner(steps, &passed);
        let several = self.once_in(4);
        let last = self
            .any_that(|_| true)
            .unwrap_or_else(|| arrived[0].clone());
        let results = match several {
            true => vec![last.clone(), self.any()],
            false => vec![last],
        };
        let name = self.fresh("callee");
        let Some(Scope { body, imports, .. }) = self.scopes.pop() else {
            return;
        };
        let mut text = format!("{name} {{\n");
        for (k, (_, inside)) in imports.iter().enumerate() {
            let _ = writeln!(
                text,
                "  {} = {} parameter({k})",
                inside.name,
                shape(inside.element, &inside.dims)
            );
        }
        text.push_str(&body);
        let names: Vec<&str> = results.iter().map(|v| &*v.name).collect();
        let _ = match results.as_slice() {
            [result] => writeln!(
                text,
                "  ROOT {name}.out = {} copy({})\n}}\n",
                shape(result.element, &result.dims),
                result.name
            ),
            _ => writeln!(
                text,
                "  ROOT {name}.out = {} tuple({})\n}}\n",
                Self::tuple_type(&results),
                names.join(", ")
            ),
        };
        self.computations.push_str(&text);
        let outer: Vec<&Value> = imports.iter().map(|(outer, _)| outer).collect();
        let operands: Vec<String> = (0..outer.len()).map(|k| format!("${k}")).collect();
        let text = format!("call({}), to_apply={name}", operands.join(", "));
        match results.as_slice() {
            [result] => {
                self.emit(
                    result.element,
                    &result.dims,
                    result.precision,
                    &outer,
                    &text,
                );
            }
            _ => {
                self.emit_tuple(&results, &outer, &text);
            }
        }
    }

    /// One of two computations of the same type.
    fn conditional(&mut self) {
        let test = self.leaf(Pred, &[]);
        let passed = self.passed();
        let mut branches = Vec::new();
        let mut result: Option<Value> = None;
        for _ in 0..2 {
            let steps = 1 + self.below(3);
            let arrived = self.inner(steps, &passed);
            let last = self
                .any_that(|value| value.is_exact())
                .unwrap_or_else(|| arrived[0].clone());
            let root = match &result {
                Some(first) if last.is_exact() => {
                    let last = self.converted(&last, first.element);
                    self.fitted(&last, &first.dims)
                }
                Some(first) => self.leaf(first.element, &first.dims),
                None => last,
            };
            let precision = result
                .as_ref()
                .map_or(root.precision, |r| r.precision.worse(root.precision));
            result = Some(Value {
                precision,
                ..root.clone()
            });
            let name = self.fresh("branch");
            let Some(Scope { body, imports, .. }) = self.scopes.pop() else {
                return;
            };
            let (kind, outer) = self.packed(&imports, &[]);
            let state = format!("{name}.state");
            let mut text = format!("{name} {{\n  {state} = {kind} parameter(0)\n");
            Self::unpack(&mut text, &state, &imports, 0);
            text.push_str(&body);
            let root_shape = shape(root.element, &root.dims);
            let _ = writeln!(
                text,
                "  ROOT {name}.out = {root_shape} copy({})\n}}\n",
                root.name
            );
            self.computations.push_str(&text);
            branches.push((name, outer));
        }
        if let (Some(result), [(yes, first), (no, second)]) = (result, branches.as_slice()) {
            let text = format!(
                "conditional($0, {first}, {second}), true_computation={yes}, false_computation={no}"
            );
            self.emit(
                result.element,
                &result.dims,
                result.precision,
                &[&test],
                &text,
            );
        }
    }

    /// A tuple of what a computation takes, in the surrounding one: its type and its name.
    fn packed(&mut self, imports: &[(Value, Value)], before: &[Value]) -> (String, String) {
        let values: Vec<&Value> = before
            .iter()
            .chain(imports.iter().map(|(outer, _)| outer))
            .collect();
        let name = self.fresh("packed");
        let kind = Self::tuple_type(values.iter().copied());
        let names: Vec<String> = values.iter().map(|v| v.name.clone()).collect();
        self.append(
            &format!("  {name} = {kind} tuple({})\n", names.join(", ")),
            names,
        );
        (kind, name)
    }

    /// Instructions that take what is passed in out of its tuple.
    fn unpack(text: &mut String, state: &str, imports: &[(Value, Value)], first: usize) {
        for (k, (_, inside)) in imports.iter().enumerate() {
            let kind = shape(inside.element, &inside.dims);
            let _ = writeln!(
                text,
                "  {} = {kind} get-tuple-element({state}), index={}",
                inside.name,
                first + k
            );
        }
    }

    /// A loop that runs a few times and carries one array.
    fn repeat(&mut self) {
        let Some(carried) = self.any_that(|v| v.is_exact() && !v.element.is_float()) else {
            return;
        };
        let count = self.splat(S32, &[], "0");
        let steps = 1 + self.below(4);
        let arrived = self.inner(steps, &[count.clone(), carried.clone()]);
        let new = self
            .any_that(Value::is_exact)
            .unwrap_or_else(|| arrived[1].clone());
        let new = self.converted(&new, carried.element);
        let new = self.fitted(&new, &carried.dims);
        let (body_name, condition) = (self.fresh("body"), self.fresh("condition"));
        let Some(Scope { body, imports, .. }) = self.scopes.pop() else {
            return;
        };
        let (kind, start) = self.packed(&imports, &[]);
        let state = format!("{body_name}.state");
        let mut text = format!("{body_name} {{\n  {state} = {kind} parameter(0)\n");
        Self::unpack(&mut text, &state, &imports, 0);
        text.push_str(&body);
        let counter = &imports[0].1.name;
        let _ = writeln!(
            text,
            "  {body_name}.one = s32[] constant(1)\n  {body_name}.next = s32[] add({counter}, {body_name}.one)"
        );
        let mut names: Vec<&str> = imports.iter().map(|(_, inside)| &*inside.name).collect();
        let next = format!("{body_name}.next");
        (names[0], names[1]) = (&next, &new.name);
        let _ = writeln!(
            text,
            "  ROOT {body_name}.out = {kind} tuple({})\n}}\n",
            names.join(", ")
        );
        let trips = self.below(4);
        let _ = writeln!(
            text,
            "{condition} {{\n  {condition}.state = {kind} parameter(0)\n  {condition}.count = s32[] get-tuple-element({condition}.state), index=0\n  \
             {condition}.end = s32[] constant({trips})\n  ROOT {condition}.go = pred[] compare({condition}.count, {condition}.end), direction=LT\n}}\n"
        );
        self.computations.push_str(&text);
        let name = self.fresh("loop");
        let text =
            format!("  {name} = {kind} while({start}), condition={condition}, body={body_name}\n");
        self.append(&text, Vec::new());
        let result = Value {
            name,
            ..carried.clone()
        };
        self.emit(
            carried.element,
            &carried.dims,
            carried.precision,
            &[&result],
            "get-tuple-element($0), index=1",
        );
    }
}
