//! The semantics of the SCF IR, executed.

use cranelift_entity::{PrimaryMap, SecondaryMap};

use super::{Block, Bound, Expr, Func, Statement, Value};
use crate::core::{
    Buffer, BufferId, Diagnostics, EvalError, Ir, Limits, Memory, Scalar, Span, Steps,
};

impl Ir for Func {
    const NAME: &'static str = "scf";
    const KEYWORD: &'static str = "scf.func";

    fn name(&self) -> &str {
        &self.name
    }

    fn buffers(&self) -> &PrimaryMap<BufferId, Buffer> {
        &self.buffers
    }

    fn verify(&self) -> Result<(), Diagnostics> {
        super::verify::verify(self)
    }

    fn execute(&self, memory: &mut Memory<'_>, limits: &Limits) -> Result<(), EvalError> {
        let mut run = Run {
            func: self,
            memory,
            values: SecondaryMap::with_default(Scalar::Index(0)),
            indices: Vec::new(),
        };
        run.run(&mut Steps::new(limits))
    }
}

/// A block that is being run.
struct Frame {
    block: Block,
    /// The statement that comes next.
    next: usize,
    /// What happens at the end of the block.
    repeat: Option<Repeat>,
}

/// A loop that is being counted.
struct Repeat {
    position: Value,
    /// `None` when the next position is no 64-bit number, thus not below any end.
    next: Option<i64>,
    end: i64,
    step: i64,
}

struct Run<'r, 'm> {
    func: &'r Func,
    memory: &'r mut Memory<'m>,
    values: SecondaryMap<Value, Scalar>,
    /// Room for the indices of one access.
    indices: Vec<i64>,
}

impl Run<'_, '_> {
    fn run(&mut self, steps: &mut Steps) -> Result<(), EvalError> {
        let func = self.func;
        let mut frames = vec![Frame {
            block: func.body,
            next: 0,
            repeat: None,
        }];
        while let Some(frame) = frames.last_mut() {
            let Some(statement) = func.statements(frame.block).get(frame.next) else {
                match &mut frame.repeat {
                    Some(Repeat {
                        position,
                        next: next @ Some(_),
                        end,
                        step,
                    }) if *next < Some(*end) => {
                        steps.step()?;
                        let at = next.unwrap_or_default();
                        self.values[*position] = Scalar::Index(at);
                        *next = at.checked_add(*step);
                        frame.next = 0;
                    }
                    _ => {
                        frames.pop();
                    }
                }
                continue;
            };
            frame.next += 1;
            steps.step()?;
            match statement {
                Statement::Let(value, expr) => {
                    self.values[*value] = self.expr(expr, *value)?;
                }
                Statement::Store {
                    value,
                    buffer,
                    indices,
                    span,
                } => {
                    self.point(indices, *span)?;
                    let value = self.values[*value];
                    self.memory.store(*buffer, &self.indices, value, *span)?;
                }
                Statement::For {
                    position,
                    begin,
                    end,
                    step,
                    body,
                } => {
                    let span = func.span_of(*position);
                    let repeat = Repeat {
                        position: *position,
                        next: Some(self.bound(*begin, span)?),
                        end: self.bound(*end, span)?,
                        step: *step,
                    };
                    // At its end, where the loop decides whether there is a first iteration.
                    frames.push(Frame {
                        block: *body,
                        next: func.statements(*body).len(),
                        repeat: Some(repeat),
                    });
                }
                Statement::If {
                    condition,
                    on_true,
                    on_false,
                    span,
                } => {
                    let block = match self.values[*condition] {
                        Scalar::Bool(true) => Some(*on_true),
                        Scalar::Bool(false) => *on_false,
                        _ => return Err(EvalError::stuck(*span, "a condition that is not bool")),
                    };
                    frames.extend(block.map(|block| Frame {
                        block,
                        next: 0,
                        repeat: None,
                    }));
                }
            }
        }
        Ok(())
    }

    fn expr(&mut self, expr: &Expr, result: Value) -> Result<Scalar, EvalError> {
        let span = self.func.span_of(result);
        match expr {
            Expr::Arith(arith) => arith
                .map(|v| self.values[*v])
                .evaluate()
                .map_err(|error| EvalError::stuck(span, error)),
            Expr::Load { buffer, indices } => {
                self.point(indices, span)?;
                self.memory.load(*buffer, &self.indices, span)
            }
        }
    }

    /// Takes the indices of an access.
    fn point(&mut self, indices: &[Value], span: Span) -> Result<(), EvalError> {
        self.indices.clear();
        for &index in indices {
            self.indices.push(self.index(index, span)?);
        }
        Ok(())
    }

    fn bound(&self, bound: Bound, span: Span) -> Result<i64, EvalError> {
        match bound {
            Bound::Constant(n) => Ok(n),
            Bound::Value(value) => self.index(value, span),
        }
    }

    fn index(&self, value: Value, span: Span) -> Result<i64, EvalError> {
        match self.values[value] {
            Scalar::Index(index) => Ok(index),
            _ => Err(EvalError::stuck(span, "an index of another type")),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::core::{Array, EvalError, Ir, Limits};
    use crate::scf::Func;

    fn run(text: &str, inputs: &[Array]) -> Result<Vec<Array>, EvalError> {
        let func: Func = text.parse().expect("parses");
        assert_eq!(func.to_string().parse(), Ok(func.clone()));
        func.evaluate(inputs, &Limits::default())
    }

    fn longs(elements: &[i64]) -> Array {
        Array::from_elements(&[elements.len() as u64], elements).expect("the sizes agree")
    }

    #[test]
    fn loops_step_nest_and_stand_side_by_side() {
        let text = "scf.func @loops {
          output %o: s64[4] = 0
          scf.for %i = 0 to 4 step 3 {
            scf.for %j = %i to 4 step 1 { %k = convert %j to s64 store %k, %o[%i] }
            scf.for %j = 3 to 0 step 1 { %k = convert %j to s64 store %k, %o[%i] }
          }
          scf.for %i = 1 to 3 step 9223372036854775807 { %k = convert %i to s64 store %k, %o[%i] }
        }";
        assert_eq!(run(text, &[]), Ok(vec![longs(&[3, 1, 0, 3])]));
    }

    #[test]
    fn one_branch_runs() {
        let text = "scf.func @branches {
          input %x: s64[3]
          output %o: s64[3] = 0
          scf.for %i = 0 to 3 step 1 {
            %v = load %x[%i]
            %zero = constant 0: s64
            %neg = lt %v, %zero
            scf.if %neg { %w = neg %v store %w, %o[%i] } else {
              %big = constant 5: s64
              %is = gt %v, %big
              scf.if %is { store %big, %o[%i] }
            }
          }
        }";
        assert_eq!(
            run(text, &[longs(&[-3, 4, 9])]),
            Ok(vec![longs(&[3, 0, 5])])
        );
    }

    #[test]
    fn an_access_outside_the_buffer_is_an_error() {
        let text =
            "scf.func @out { output %o: s64[3] = 0 %i = constant -1: index %v = load %o[%i] }";
        assert_eq!(
            run(text, &[]).map_err(|e| e.to_string()),
            Err("[-1] is outside %o, which has dimensions [3]".to_owned())
        );
    }

    #[test]
    fn deep_nests_take_no_stack() {
        let depth = 30_000;
        let mut text = "scf.func @deep { output %o: s64[1] = 0 ".to_owned();
        for i in 0..depth {
            text += &format!("scf.for %i{i} = 0 to 1 step 1 {{\n");
        }
        text += "%v = constant 7: s64 store %v, %o[%i0]\n";
        text += &"}".repeat(depth + 1);
        let func: Func = text.parse().expect("parses");
        let outputs = func.evaluate(&[], &Limits::default());
        assert_eq!(outputs, Ok(vec![longs(&[7])]));
        assert_eq!(func, func.clone());
    }
}
