//! Operations that move elements.

use super::build::{Builder, Value, list, shape};
use hlo2dae_hlo::PrimitiveType;

impl Builder {
    /// A view of a value.
    pub(super) fn view(&mut self) {
        let value = self.any();
        let (dims, rank) = (value.dims.clone(), value.dims.len());
        match self.below(10) {
            0 => {
                let permutation = self.permutation(rank);
                let moved: Vec<usize> = permutation.iter().map(|&d| dims[d]).collect();
                let text = format!("transpose($0), dimensions={{{}}}", list(&permutation));
                self.emit_like(&[&value], &moved, &text);
            }
            1 | 2 => {
                let other = self.reshaped(&dims);
                self.emit_like(&[&value], &other, "reshape($0)");
            }
            3 => {
                let (mut sizes, mut slices) = (Vec::new(), Vec::new());
                for &n in &dims {
                    let start = self.below(n + 1);
                    let limit = start + self.below(n - start + 1);
                    let stride = 1 + self.below(3);
                    slices.push(format!("[{start}:{limit}:{stride}]"));
                    sizes.push((limit - start).div_ceil(stride));
                }
                let text = format!("slice($0), slice={{{}}}", slices.join(", "));
                self.emit_like(&[&value], &sizes, &text);
            }
            4 => {
                let mut wide = dims.clone();
                let at = self.below(rank + 1);
                wide.insert(at, self.size());
                if Self::fits(&wide) {
                    let kept: Vec<usize> = (0..=rank).filter(|&d| d != at).collect();
                    let text = format!("broadcast($0), dimensions={{{}}}", list(&kept));
                    self.emit_like(&[&value], &wide, &text);
                }
            }
            5 => {
                let mirrored = self.subset(rank);
                let text = format!("reverse($0), dimensions={{{}}}", list(&mirrored));
                self.emit_like(&[&value], &dims, &text);
            }
            6 => self.pad(&value),
            7 => self.concatenate(&value),
            // StableHLO has no dynamic slices of scalars.
            8 | 9 if rank == 0 => {}
            8 => {
                let sizes: Vec<usize> = dims.iter().map(|&n| self.below(n + 1)).collect();
                let (starts, names) = self.starts(&dims);
                let text = format!(
                    "dynamic-slice($0{names}), dynamic_slice_sizes={{{}}}",
                    list(&sizes)
                );
                let operands: Vec<&Value> = std::iter::once(&value).chain(&starts).collect();
                self.emit_like(&operands, &sizes, &text);
            }
            _ => {
                let sizes: Vec<usize> = dims.iter().map(|&n| self.below(n + 1)).collect();
                // XLA writes in place even where the update is read from the array that it goes into.
                let update = self.leaf(value.element, &sizes);
                let (starts, names) = self.starts_from(&dims, 2);
                let text = format!("dynamic-update-slice($0, $1{names})");
                let operands: Vec<&Value> = [&value, &update].into_iter().chain(&starts).collect();
                let precision = value.precision.worse(update.precision);
                self.emit(value.element, &dims, precision, &operands, &text);
            }
        }
    }

    /// One scalar index for each dimension, and how they follow the operand.
    fn starts(&mut self, dims: &[usize]) -> (Vec<Value>, String) {
        self.starts_from(dims, 1)
    }

    fn starts_from(&mut self, dims: &[usize], first: usize) -> (Vec<Value>, String) {
        let element = self.pick(&super::build::INDICES);
        let starts: Vec<Value> = dims
            .iter()
            .map(|&n| {
                let start = self.indices(&[], n);
                self.converted(&start, element)
            })
            .collect();
        let names = (0..starts.len()).map(|k| format!(", ${}", k + first));
        (starts, names.collect())
    }

    /// Other dimensions for as many elements.
    fn reshaped(&mut self, dims: &[usize]) -> Vec<usize> {
        let mut left: usize = dims.iter().product();
        if left == 0 {
            let mut dims = dims.to_vec();
            self.rng.shuffle(&mut dims);
            return dims;
        }
        let mut other = Vec::new();
        while left > 1 && other.len() < 4 {
            let factors: Vec<usize> = (1..=left).filter(|f| left.is_multiple_of(*f)).collect();
            let factor = self.pick(&factors);
            other.push(factor);
            left /= factor;
        }
        if left > 1 || self.once_in(4) {
            other.push(left);
        }
        other
    }

    fn pad(&mut self, value: &Value) {
        let filler = self.made(value.element, &[]);
        let (mut sizes, mut padding) = (Vec::new(), Vec::new());
        for &n in &value.dims {
            let interior = self.below(2) * self.below(3);
            let spread = n + n.saturating_sub(1) * interior;
            let mut side = || match self.below(4) {
                0 => -(self.below(spread / 2 + 1) as i64),
                1 => self.below(3) as i64,
                _ => 0,
            };
            let (low, high) = (side(), side());
            sizes.push((spread as i64 + low + high).max(0) as usize);
            padding.push(format!("{low}_{high}_{interior}"));
        }
        if !value.dims.is_empty() && Self::fits(&sizes) {
            let text = format!("pad($0, $1), padding={}", padding.join("x"));
            let precision = value.precision.worse(filler.precision);
            self.emit(value.element, &sizes, precision, &[value, &filler], &text);
        }
    }

    fn concatenate(&mut self, value: &Value) {
        if value.dims.is_empty() {
            return;
        }
        let at = self.below(value.dims.len());
        let mut dims = value.dims.clone();
        dims[at] = self.size();
        let other = self.made(value.element, &dims);
        dims[at] += value.dims[at];
        if Self::fits(&dims) {
            let text = format!("concatenate($0, $1), dimensions={{{at}}}");
            let precision = value.precision.worse(other.precision);
            self.emit(value.element, &dims, precision, &[value, &other], &text);
        }
    }

    /// A value of the given type: one that is there, made to fit, or a new one.
    pub(super) fn made(&mut self, element: PrimitiveType, dims: &[usize]) -> Value {
        if self.once_in(3) {
            return self.leaf(element, dims);
        }
        match self.any_that(|value| value.is_exact() || value.element == element) {
            Some(value) => {
                let value = self.converted(&value, element);
                self.fitted(&value, dims)
            }
            None => self.leaf(element, dims),
        }
    }

    /// The elements of a value in another shape: cut off, or repeated as often as needed.
    pub(super) fn fitted(&mut self, value: &Value, dims: &[usize]) -> Value {
        if value.dims == dims {
            return value.clone();
        }
        let (have, want) = (value.count(), dims.iter().product::<usize>());
        if have == 0 && want > 0 {
            return self.leaf(value.element, dims);
        }
        let mut flat = self.emit_like(&[value], &[have], "reshape($0)");
        if have < want {
            let times = want.div_ceil(have);
            flat = self.emit_like(&[&flat], &[times, have], "broadcast($0), dimensions={1}");
            flat = self.emit_like(&[&flat], &[times * have], "reshape($0)");
        }
        if flat.count() > want {
            let text = format!("slice($0), slice={{[0:{want}]}}");
            flat = self.emit_like(&[&flat], &[want], &text);
        }
        self.emit_like(&[&flat], dims, "reshape($0)")
    }

    /// The same number everywhere.
    pub(super) fn splat(&mut self, element: PrimitiveType, dims: &[usize], number: &str) -> Value {
        let exact = super::build::Precision::Exact(10);
        let scalar = self.emit(element, &[], exact, &[], &format!("constant({number})"));
        match dims {
            [] => scalar,
            _ => self.emit_like(&[&scalar], dims, "broadcast($0), dimensions={}"),
        }
    }

    /// The types of several values, as of a tuple.
    pub(super) fn tuple_type<'a>(values: impl IntoIterator<Item = &'a Value>) -> String {
        let types: Vec<String> = values
            .into_iter()
            .map(|v| shape(v.element, &v.dims))
            .collect();
        format!("({})", types.join(", "))
    }
}
