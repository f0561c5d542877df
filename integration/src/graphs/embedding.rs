//! What models do with look-ups: rows filled, weighted, scored, pooled and summed by segment.

use hlo2dae_hlo::PrimitiveType::{self, *};

use super::arithmetic::combiners;
use super::build::{Builder, Precision, Value, list};

/// Element types of tables, the usual ones more often.
const TABLES: [PrimitiveType; 12] = [F32, F32, F32, F32, F64, F16, BF16, S8, U8, S32, S64, C64];

impl Builder {
    /// Rows of a table and what becomes of them.
    pub(super) fn embedding(&mut self) {
        let (element, width, rank) = (self.pick(&TABLES), self.size(), 1 + self.below(2));
        let batch = self.sizes(rank);
        let Some((mut rows, indices)) = self.rows(element, &batch, width) else {
            return;
        };
        if self.once_in(3) {
            rows = self.filled(&rows, &indices);
        }
        if self.once_in(4) {
            let wide = self.pick(&[F32, F64, S32, C64]);
            rows = self.converted(&rows, wide);
        }
        if self.once_in(3) {
            let weights = self.made(rows.element, &batch);
            let kept: Vec<usize> = (0..rank).collect();
            let text = format!("broadcast($0), dimensions={{{}}}", list(&kept));
            let weights = self.emit_like(&[&weights], &rows.dims, &text);
            rows = self.product(&rows, &weights).unwrap_or(rows);
        }
        if self.once_in(3)
            && let Some((others, _)) = self.rows(rows.element, &batch, width)
        {
            rows = self.product(&rows, &others).unwrap_or(rows);
        }
        match self.below(5) {
            0 | 1 => {
                let over = self.below(rank + 1);
                self.reduced(&rows, &[over]);
            }
            2 | 3 => {
                let groups = 1 + self.below(6);
                let dims = [groups, width];
                let operand = match self.rng.bool() {
                    true => self.zeros(rows.element, &dims),
                    false => self.made(rows.element, &dims),
                };
                let operation = self.pick(combiners(rows.element));
                self.segments(&rows, &operand, operation);
            }
            _ => {}
        }
    }

    /// The rows, where the index is no larger than some number; another number elsewhere.
    fn filled(&mut self, rows: &Value, indices: &Value) -> Value {
        let last = self.below(8).to_string();
        let last = self.splat(indices.element, &indices.dims, &last);
        let test = "compare($0, $1), direction=LE";
        let exact = Precision::Exact(4);
        let inside = self.emit(Pred, &indices.dims, exact, &[indices, &last], test);
        let kept: Vec<usize> = (0..indices.dims.len()).collect();
        let text = format!("broadcast($0), dimensions={{{}}}", list(&kept));
        let inside = self.emit_like(&[&inside], &rows.dims, &text);
        let filler = self.leaf(rows.element, &[]);
        let filler = self.emit_like(&[&filler], &rows.dims, "broadcast($0), dimensions={}");
        self.emit_like(&[rows, &inside, &filler], &rows.dims, "select($1, $0, $2)")
    }

    /// Zero everywhere.
    pub(super) fn zeros(&mut self, element: PrimitiveType, dims: &[usize]) -> Value {
        let zero = match element {
            C64 | C128 => "(0, 0)",
            _ => "0",
        };
        self.splat(element, dims, zero)
    }
}
