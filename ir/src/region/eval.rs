//! The semantics of the region IR, executed.

use cranelift_entity::SecondaryMap;

use super::{Expr, Extent, IndexMode, Nest, Region, Statement, Value};
use crate::core::{BufferId, Diagnostics, EvalError, Ir, Limits, Memory, Scalar, Span, Steps};

impl Ir for Region {
    const NAME: &'static str = "region";
    const KEYWORD: &'static str = "region";

    fn name(&self) -> &str {
        &self.name
    }

    fn buffers(&self) -> &cranelift_entity::PrimaryMap<BufferId, crate::core::Buffer> {
        &self.buffers
    }

    fn verify(&self) -> Result<(), Diagnostics> {
        super::verify::verify(self)
    }

    fn execute(&self, memory: &mut Memory<'_>, limits: &Limits) -> Result<(), EvalError> {
        let mut steps = Steps::new(limits);
        for nest in &self.nests {
            let mut run = Run {
                nest,
                memory,
                values: SecondaryMap::with_capacity(nest.values.len()),
                indices: Vec::new(),
            };
            run.nest(&mut steps)?;
        }
        Ok(())
    }
}

/// An axis that is being counted.
struct Position {
    /// The statement that is the axis.
    statement: usize,
    axis: Value,
    next: i64,
    end: i64,
}

struct Run<'r, 'm> {
    nest: &'r Nest,
    memory: &'r mut Memory<'m>,
    /// `None`: a marked index.
    values: SecondaryMap<Value, Option<Scalar>>,
    /// Room for the indices of one access.
    indices: Vec<i64>,
}

impl Run<'_, '_> {
    fn nest(&mut self, steps: &mut Steps) -> Result<(), EvalError> {
        let nest = self.nest;
        // The axes being counted, outermost first.
        let mut positions: Vec<Position> = Vec::new();
        let mut statement = 0;
        loop {
            match nest.body.get(statement) {
                Some(Statement::Axis(axis, extent)) => {
                    let (next, end) = match extent {
                        Extent::Dense(size) => (0, i64::try_from(*size).unwrap_or(i64::MAX)),
                        Extent::Range(begin, end) => {
                            (self.index(*begin, *axis)?, self.index(*end, *axis)?)
                        }
                    };
                    positions.push(Position {
                        statement,
                        axis: *axis,
                        next,
                        end,
                    });
                }
                Some(Statement::Let(value, expr)) => {
                    steps.step()?;
                    self.values[*value] = self.expr(expr, self.span(*value))?;
                    statement += 1;
                    continue;
                }
                Some(Statement::Combine {
                    op,
                    buffer,
                    indices,
                    value,
                    span,
                }) => {
                    steps.step()?;
                    if self.point(indices, *span)? {
                        let value = self.scalar(*value, *span)?;
                        self.memory
                            .combine(*op, *buffer, &self.indices, value, *span)?;
                    }
                    statement += 1;
                    continue;
                }
                None => {}
            }
            // On to the next position of the innermost axis that has one.
            loop {
                let Some(innermost) = positions.last_mut() else {
                    return Ok(());
                };
                if innermost.next < innermost.end {
                    steps.step()?;
                    self.values[innermost.axis] = Some(Scalar::Index(innermost.next));
                    innermost.next += 1;
                    statement = innermost.statement + 1;
                    break;
                }
                positions.pop();
            }
        }
    }

    fn expr(&mut self, expr: &Expr, span: Span) -> Result<Option<Scalar>, EvalError> {
        match expr {
            Expr::Arith(arith) => arith
                .try_map(|v| self.scalar(*v, span))?
                .evaluate()
                .map(Some)
                .map_err(|error| EvalError::stuck(span, error)),
            Expr::Index {
                value,
                wrap,
                mode,
                lo,
                hi,
            } => {
                let scalar = self.scalar(*value, span)?;
                let Some(mut value) = scalar.as_integer() else {
                    return Err(EvalError::stuck(span, "the index is not an integer"));
                };
                if let Some(n) = wrap
                    && value < 0
                {
                    value += i128::from(*n);
                }
                let inside = i128::from(*lo) <= value && value <= i128::from(*hi);
                Ok(match mode {
                    // The bounds are 64 bits wide, so what lies between them is.
                    _ if inside => Some(Scalar::Index(value as i64)),
                    IndexMode::Clamp if value < i128::from(*lo) => Some(Scalar::Index(*lo)),
                    IndexMode::Clamp => Some(Scalar::Index(*hi)),
                    IndexMode::Fill | IndexMode::Drop => None,
                    IndexMode::Promise => {
                        return Err(EvalError::BrokenPromise {
                            value,
                            lo: *lo,
                            hi: *hi,
                            span,
                        });
                    }
                })
            }
            Expr::Read {
                buffer,
                indices,
                fill,
            } => {
                if self.point(indices, span)? {
                    self.memory.load(*buffer, &self.indices, span).map(Some)
                } else {
                    Ok(*fill)
                }
            }
        }
    }

    /// Takes the indices of an access; false if one of them is marked.
    fn point(&mut self, indices: &[Value], span: Span) -> Result<bool, EvalError> {
        self.indices.clear();
        for &index in indices {
            match self.values[index] {
                Some(Scalar::Index(index)) => self.indices.push(index),
                None => return Ok(false),
                Some(_) => return Err(EvalError::stuck(span, "an index of another type")),
            }
        }
        Ok(true)
    }

    fn index(&self, bound: Value, axis: Value) -> Result<i64, EvalError> {
        match self.values[bound] {
            Some(Scalar::Index(index)) => Ok(index),
            _ => Err(EvalError::stuck(
                self.span(axis),
                "a bound that is no index",
            )),
        }
    }

    fn scalar(&self, value: Value, span: Span) -> Result<Scalar, EvalError> {
        self.values[value].ok_or_else(|| EvalError::stuck(span, "a marked index is used"))
    }

    fn span(&self, value: Value) -> Span {
        self.nest
            .values
            .get(value)
            .map_or(Span::default(), |data| data.span)
    }
}

#[cfg(test)]
mod tests {
    use crate::core::{Array, EvalError, Ir, Limits};
    use crate::region::Region;

    fn run(text: &str, inputs: &[Array]) -> Result<Vec<Array>, EvalError> {
        let region: Region = text.parse().expect("parses");
        assert_eq!(region.to_string().parse(), Ok(region.clone()));
        region.evaluate(inputs, &Limits::default())
    }

    fn array<T: crate::core::Native>(dims: &[u64], elements: &[T]) -> Array {
        Array::from_elements(dims, elements).expect("the sizes agree")
    }

    fn bag(mode: &str) -> String {
        format!(
            "region @bag {{
              input %table: f32[3,2]
              input %ids: s32[2,2]
              output %out: f32[2,2] = 0.0
              nest (%b = 2, %l = 2, %d = 2) {{
                %id = read %ids[%b, %l]
                %row = index %id {mode}
                combine add %out[%b, %d], %x
              }}
            }}"
        )
    }

    #[test]
    fn each_index_mode_treats_outsiders_its_own_way() {
        let inputs = [
            array(&[3, 2], &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]),
            array(&[2, 2], &[0, -1, 7, 1]),
        ];
        let read = |mode: &str, fill: &str| {
            bag(mode).replace(
                "combine",
                &format!("%x = read %table[%row, %d] {fill}\n combine"),
            )
        };
        let out = |text: String| run(&text, &inputs).expect("runs")[0].elements::<f32>();
        assert_eq!(
            out(read("{clamp 0..2}", "")),
            Some(vec![2.0, 4.0, 8.0, 10.0])
        );
        assert_eq!(
            out(read("{wrap 3, clamp 0..2}", "")),
            Some(vec![6.0, 8.0, 8.0, 10.0])
        );
        assert_eq!(
            out(read("{fill 0..2}", "{fill 0.5}")),
            Some(vec![1.5, 2.5, 3.5, 4.5])
        );
        assert_eq!(
            run(&read("{promise 0..2}", ""), &inputs).map_err(|e| e.to_string()),
            Err("index -1 is outside 0..2, which was promised not to happen".to_owned())
        );
    }

    #[test]
    fn a_dropped_combine_does_nothing_and_the_last_replacement_stays() {
        let text = "region @set {
          input %at: u64[4]
          input %with: s8[4]
          input %old: s8[2]
          output %new: s8[2] = %old
          nest (%k = 4) {
            %a = read %at[%k]
            %i = index %a {drop 0..1}
            %v = read %with[%k]
            combine replace %new[%i], %v
          }
        }";
        let inputs = [
            array(&[4], &[1, u64::MAX, 1, 2]),
            array(&[4], &[1i8, 2, 3, 4]),
            array(&[2], &[8i8, 9]),
        ];
        let outputs = run(text, &inputs).expect("runs");
        assert_eq!(outputs, [array(&[2], &[8i8, 3])]);
    }

    #[test]
    fn a_range_axis_takes_its_bounds_from_earlier_values() {
        let text = "region @csr {
          input %offsets: s32[4]
          input %x: s64[5]
          output %out: s64[3] = 0
          nest (%b = 3) {
            %one = constant 1: index
            %b1 = add %b, %one
            %o0 = read %offsets[%b]
            %o1 = read %offsets[%b1]
            %begin = index %o0 {clamp 0..5}
            %end = index %o1 {clamp 0..5}
            axis %p = %begin..%end
            %v = read %x[%p]
            combine add %out[%b], %v
          }
        }";
        let inputs = [array(&[4], &[0, 2, 2, 5]), array(&[5], &[1i64, 2, 3, 4, 5])];
        let outputs = run(text, &inputs).expect("runs");
        assert_eq!(outputs, [array(&[3], &[3i64, 0, 12])]);
    }

    #[test]
    fn a_run_ends_at_the_limits() {
        let text = "region @long { output %o: s8[] = 0
          nest (%i = 9000000000000000000) { %c = constant 1: s8 combine add %o[], %c } }";
        let region: Region = text.parse().expect("parses");
        let limits = Limits {
            steps: 1000,
            bytes: 1,
        };
        let error = EvalError::Steps { limit: 1000 };
        assert_eq!(region.evaluate(&[], &limits), Err(error));
        let limits = Limits { bytes: 0, ..limits };
        let error = EvalError::Memory { limit: 0 };
        assert_eq!(region.evaluate(&[], &limits), Err(error));
    }

    #[test]
    fn an_element_that_nothing_wrote_is_not_given_back() {
        let text = "region @half { output %o: s8[2]
          nest () { %i = constant 1: index %c = constant 1: s8 combine replace %o[%i], %c } }";
        assert_eq!(
            run(text, &[]).map_err(|e| e.to_string()),
            Err("%o is read at element 0, which was never written".to_owned())
        );
    }
}
