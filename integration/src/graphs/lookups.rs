//! Gathers and scatters, with any dimension numbers.

use hlo2dae_hlo::PrimitiveType;

use super::arithmetic::combiners;
use super::build::{Builder, INDICES, Precision, Value, list};

/// Where indices go: what a gather and a scatter have in common.
struct Addressing {
    /// Dimensions of the array that are shared with dimensions of the indices, in pairs.
    batching: Vec<(usize, usize)>,
    /// Dimensions of the array that the components of an index stand for, in the components' order.
    mapped: Vec<usize>,
    /// Size of the window in each dimension of the array.
    window: Vec<usize>,
    /// Dimensions of size one that the window leaves out.
    dropped: Vec<usize>,
    /// Dimensions of the indices without the components.
    batch: Vec<usize>,
    /// Which dimension of the indices holds the components.
    vector_dim: usize,
    /// The indices.
    indices: Value,
    /// Whether they are known to be ascending.
    sorted: bool,
}

impl Addressing {
    /// Sizes of the window's dimensions that stay.
    fn offsets(&self) -> Vec<usize> {
        let batched = |d: &usize| self.batching.iter().any(|(o, _)| o == d);
        (0..self.window.len())
            .filter(|d| !batched(d) && !self.dropped.contains(d))
            .map(|d| self.window[d])
            .collect()
    }

    fn pairs(&self) -> (String, String) {
        let (operand, indices): (Vec<usize>, Vec<usize>) = self.batching.iter().copied().unzip();
        (list(&operand), list(&indices))
    }
}

impl Builder {
    /// A gather or a scatter.
    pub(super) fn lookup(&mut self) {
        match self.below(5) {
            0 => self.gather(),
            1 => self.scatter(),
            _ => self.embedding(),
        }
    }

    /// An array to look up in or to update: one that is there, or a new one.
    fn table(&mut self) -> Value {
        let found = match self.once_in(3) {
            true => self.any_that(|v| (1..=4).contains(&v.dims.len())),
            false => None,
        };
        found.unwrap_or_else(|| {
            let (element, rank) = (self.element(), 1 + self.below(3));
            let dims = self.sizes(rank);
            self.leaf(element, &dims)
        })
    }

    /// Indices into an array of these dimensions.
    fn addressing(&mut self, dims: &[usize]) -> Addressing {
        let rank = dims.len();
        let mut order = self.permutation(rank);
        let batched = if rank > 1 && self.once_in(3) {
            1 + self.below(rank.min(2))
        } else {
            0
        };
        let shared: Vec<usize> = order.drain(..batched.min(rank)).collect();
        let components = match self.once_in(20) {
            true => 0,
            false => (1 + self.below(2)).min(order.len()),
        };
        let mapped: Vec<usize> = order[..components].to_vec();
        // Dimensions of the indices: those that are shared among others, in any order.
        let others = self.below(3);
        let mut batch: Vec<(usize, Option<usize>)> =
            shared.iter().map(|&d| (dims[d], Some(d))).collect();
        for _ in 0..others {
            batch.push((self.size(), None));
        }
        self.rng.shuffle(&mut batch);
        let implicit = mapped.len() == 1 && self.rng.bool();
        let vector_dim = if implicit {
            batch.len()
        } else {
            self.below(batch.len() + 1)
        };
        let mut batching: Vec<(usize, usize)> = batch
            .iter()
            .enumerate()
            .filter_map(|(k, &(_, shared))| {
                Some((shared?, k + usize::from(!implicit && k >= vector_dim)))
            })
            .collect();
        batching.sort_unstable();
        let window: Vec<usize> = (0..rank)
            .map(|d| match dims[d] {
                _ if shared.contains(&d) => 1.min(dims[d]),
                n if n > 0 && mapped.contains(&d) => {
                    if self.rng.bool() {
                        1
                    } else {
                        1 + self.below(n)
                    }
                }
                n if self.once_in(4) => self.below(n + 1),
                n => n,
            })
            .collect();
        let dropped = (0..rank)
            .filter(|d| !shared.contains(d) && window[*d] == 1 && !self.once_in(4))
            .collect();
        let batch: Vec<usize> = batch.into_iter().map(|(n, _)| n).collect();
        let mut sizes = batch.clone();
        if !implicit {
            sizes.insert(vector_dim, mapped.len());
        }
        let limit = mapped.iter().map(|&d| dims[d]).max().unwrap_or(1);
        let (indices, sorted) =
            self.index_array(&sizes, limit, mapped.len() == 1 && sizes.len() == 1);
        Addressing {
            batching,
            mapped,
            window,
            dropped,
            batch,
            vector_dim,
            indices,
            sorted,
        }
    }

    /// Indices: new ones or some that are there, as they are or put in order as frameworks do.
    fn index_array(&mut self, sizes: &[usize], limit: usize, may_be_sorted: bool) -> (Value, bool) {
        if may_be_sorted && self.once_in(4) {
            return (self.sorted(sizes, limit), true);
        }
        let found = match self.once_in(4) {
            true => self.any_that(|v| INDICES.contains(&v.element)),
            false => None,
        };
        let indices = match found {
            Some(value) => self.fitted(&value, sizes),
            None => self.indices(sizes, limit),
        };
        (self.normalised(indices, limit), false)
    }

    /// Ascending indices.
    fn sorted(&mut self, sizes: &[usize], limit: usize) -> Value {
        let element = self.pick(&INDICES);
        let count: usize = sizes.iter().product();
        let mut elements: Vec<i64> = (0..count)
            .map(|_| self.rng.i64(0..limit as i64 + 2))
            .collect();
        elements.sort_unstable();
        let elements = elements
            .into_iter()
            .map(crate::fill::Number::Integer)
            .collect();
        self.parameter(element, sizes, elements)
    }

    /// Index arithmetic: negative ones counted from the end, bounds, a remainder, or none.
    fn normalised(&mut self, indices: Value, limit: usize) -> Value {
        let Value { element, dims, .. } = &indices;
        let (element, dims) = (*element, dims.clone());
        // What does not fit the type would be another number.
        let limit = limit.min(100).to_string();
        match self.below(6) {
            0 if element.is_signed_integer() => {
                let (zero, size) = (
                    self.splat(element, &dims, "0"),
                    self.splat(element, &dims, &limit),
                );
                let test = "compare($0, $1), direction=LT";
                let negative = self.emit(
                    PrimitiveType::Pred,
                    &dims,
                    Precision::Exact(4),
                    &[&indices, &zero],
                    test,
                );
                let wrapped = self.emit_like(&[&indices, &size], &dims, "add($0, $1)");
                self.emit(
                    element,
                    &dims,
                    Precision::Exact(4),
                    &[&negative, &wrapped, &indices],
                    "select($0, $1, $2)",
                )
            }
            1 => {
                let (low, high) = (
                    self.splat(element, &dims, "0"),
                    self.splat(element, &dims, &limit),
                );
                self.emit(
                    element,
                    &dims,
                    Precision::Exact(4),
                    &[&low, &indices, &high],
                    "clamp($0, $1, $2)",
                )
            }
            2 if limit != "0" => {
                let size = self.splat(element, &dims, &limit);
                self.emit_like(&[&indices, &size], &dims, "remainder($0, $1)")
            }
            3 => {
                let wide = self.pick(&[PrimitiveType::S32, PrimitiveType::S64]);
                self.converted(&indices, wide)
            }
            _ => indices,
        }
    }

    fn gather(&mut self) {
        let table = self.table();
        let addressing = self.addressing(&table.dims);
        let rank = addressing.batch.len() + addressing.offsets().len();
        let places = self.permutation(rank);
        self.gather_from(&table, &addressing, &places);
    }

    /// The first of `places` are the dimensions of the result that lie in the window.
    fn gather_from(
        &mut self,
        table: &Value,
        addressing: &Addressing,
        places: &[usize],
    ) -> Option<Value> {
        let offsets = addressing.offsets();
        let rank = addressing.batch.len() + offsets.len();
        let mut offset_dims: Vec<usize> = places.iter().copied().take(offsets.len()).collect();
        offset_dims.sort_unstable();
        let (mut batch, mut window) = (addressing.batch.iter(), offsets.iter());
        let result: Vec<usize> = (0..rank)
            .filter_map(|d| match offset_dims.contains(&d) {
                true => window.next(),
                false => batch.next(),
            })
            .copied()
            .collect();
        if !Self::fits(&result) {
            return None;
        }
        let (operand_batching, indices_batching) = addressing.pairs();
        let text = format!(
            "gather($0, $1), offset_dims={{{}}}, collapsed_slice_dims={{{}}}, start_index_map={{{}}}, \
             operand_batching_dims={{{operand_batching}}}, start_indices_batching_dims={{{indices_batching}}}, \
             index_vector_dim={}, slice_sizes={{{}}}{}",
            list(&offset_dims),
            list(&addressing.dropped),
            list(&addressing.mapped),
            addressing.vector_dim,
            list(&addressing.window),
            if addressing.sorted {
                ", indices_are_sorted=true"
            } else {
                ""
            },
        );
        Some(self.emit_like(&[table, &addressing.indices], &result, &text))
    }

    /// Whole rows of a new table, looked up at `batch`; the row is the last dimension.
    pub(super) fn rows(
        &mut self,
        element: PrimitiveType,
        batch: &[usize],
        width: usize,
    ) -> Option<(Value, Value)> {
        let rows = 1 + self.below(8);
        let table = self.leaf(element, &[rows, width]);
        let (indices, sorted) = self.index_array(batch, rows, batch.len() == 1);
        let addressing = Addressing {
            batching: Vec::new(),
            mapped: vec![0],
            window: vec![1, width],
            dropped: vec![0],
            vector_dim: batch.len(),
            batch: batch.to_vec(),
            indices: indices.clone(),
            sorted,
        };
        let rows = self.gather_from(&table, &addressing, &[batch.len()])?;
        Some((rows, indices))
    }

    /// Whole rows combined into those of an array, at places for each of the rows' other dimensions.
    pub(super) fn segments(&mut self, rows: &Value, operand: &Value, operation: &str) {
        let Some((_, batch)) = rows.dims.split_last() else {
            return;
        };
        let (groups, count) = (operand.dims[0], batch.iter().product());
        let Some(precision) = Self::updated(operation, operand, rows, count) else {
            return;
        };
        let (segments, sorted) = self.index_array(batch, groups, batch.len() == 1);
        let combiner = self.combiner(operation, operand.element);
        let rank = batch.len();
        let text = format!(
            "scatter($0, $1, $2), update_window_dims={{{rank}}}, inserted_window_dims={{0}}, \
             scatter_dims_to_operand_dims={{0}}, index_vector_dim={rank}, indices_are_sorted={sorted}, to_apply={combiner}",
        );
        let operands = [operand, &segments, rows];
        self.emit(operand.element, &operand.dims, precision, &operands, &text);
    }

    fn scatter(&mut self) {
        let table = self.table();
        let addressing = self.addressing(&table.dims);
        if addressing.mapped.is_empty() {
            // XLA loses updates whose indices have no components.
            return;
        }
        let offsets = addressing.offsets();
        let rank = addressing.batch.len() + offsets.len();
        let mut window_dims = self.permutation(rank);
        window_dims.truncate(offsets.len());
        window_dims.sort_unstable();
        let (mut batch, mut window) = (addressing.batch.iter(), offsets.iter());
        let dims: Vec<usize> = (0..rank)
            .filter_map(|d| match window_dims.contains(&d) {
                true => window.next(),
                false => batch.next(),
            })
            .copied()
            .collect();
        if !Self::fits(&dims) {
            return;
        }
        let places: usize = addressing.batch.iter().product();
        // XLA itself is wrong about two operands that are the same array.
        let count = if self.once_in(6) { 2 } else { 1 };
        let (mut operands, mut updates, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        let mut precisions = Vec::new();
        for number in 0..count {
            let operand = match number {
                0 => table.clone(),
                _ => {
                    // XLA takes floats of one type only.
                    let element = match self.element() {
                        other if other.is_float() && table.element.is_float() => table.element,
                        other => other,
                    };
                    self.leaf(element, &table.dims)
                }
            };
            let operand = match self.once_in(3) && count == 1 {
                true => self.zeros(operand.element, &table.dims),
                false => operand,
            };
            let update = self.made(operand.element, &dims);
            let mut operation = self.pick(combiners(operand.element));
            if self.once_in(3) {
                operation = "replace";
            }
            if self.once_in(12) && operation == "add" {
                operation = "subtract";
            }
            let Some(precision) = Self::updated(operation, &operand, &update, places) else {
                return;
            };
            parts.push((operation, operand.element));
            operands.push(operand);
            updates.push(update);
            precisions.push(precision);
        }
        let combiner = self.tuple_combiner(&parts);
        let (operand_batching, indices_batching) = addressing.pairs();
        let names = |first: usize| {
            let names: Vec<String> = (first..first + count).map(|k| format!("${k}")).collect();
            names.join(", ")
        };
        let text = format!(
            "scatter({}, ${count}, {}), update_window_dims={{{}}}, inserted_window_dims={{{}}}, \
             scatter_dims_to_operand_dims={{{}}}, input_batching_dims={{{operand_batching}}}, \
             scatter_indices_batching_dims={{{indices_batching}}}, index_vector_dim={}{}, to_apply={combiner}",
            names(0),
            names(count + 1),
            list(&window_dims),
            list(&addressing.dropped),
            list(&addressing.mapped),
            addressing.vector_dim,
            if addressing.sorted {
                ", indices_are_sorted=true"
            } else {
                ""
            },
        );
        let all: Vec<&Value> = operands
            .iter()
            .chain([&addressing.indices])
            .chain(&updates)
            .collect();
        if let ([operand], [precision]) = (operands.as_slice(), precisions.as_slice()) {
            self.emit(operand.element, &table.dims, *precision, &all, &text);
        } else {
            let results = operands
                .iter()
                .zip(precisions)
                .map(|(operand, precision)| Value {
                    precision,
                    ..operand.clone()
                });
            self.emit_tuple(&results.collect::<Vec<_>>(), &all, &text);
        }
    }
}
