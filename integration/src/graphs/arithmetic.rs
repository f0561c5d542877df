//! Operations that compute: elementwise ones, reductions, products.

use hlo2dae_hlo::PrimitiveType::{self, *};

use super::build::{Builder, Precision, Value, list, shape};

/// Bits of an integer that a float holds without rounding; none for other types.
fn mantissa(element: PrimitiveType) -> u32 {
    match element {
        F64 | C128 => 53,
        F32 | C64 => 24,
        F16 => 11,
        BF16 => 8,
        _ => u32::MAX,
    }
}

/// Bits that it takes to count to `n`.
fn bits_of(n: usize) -> u32 {
    usize::BITS - n.leading_zeros()
}

impl Precision {
    /// What is known of a choice between two.
    pub(super) fn worse(self, other: Precision) -> Precision {
        match (self, other) {
            (Precision::Exact(a), Precision::Exact(b)) => Precision::Exact(a.max(b)),
            (Precision::Positive, Precision::Positive) => Precision::Positive,
            _ => Precision::Rounded,
        }
    }

    /// What is known of a number of `bits` bits that was computed from exact ones.
    fn computed(element: PrimitiveType, bits: u32) -> Precision {
        match bits <= mantissa(element) {
            true => Precision::Exact(if mantissa(element) == u32::MAX {
                4
            } else {
                bits
            }),
            false => Precision::Rounded,
        }
    }

    /// What is known of a combination of `count` numbers; `None` where rounding could be seen.
    fn combined(self, operation: &str, element: PrimitiveType, count: usize) -> Option<Precision> {
        match (self, operation) {
            (_, "minimum" | "maximum" | "replace") => Some(self),
            (Precision::Exact(bits), "add" | "subtract") => {
                Some(Precision::computed(element, bits + bits_of(count)))
            }
            (Precision::Exact(bits), "multiply") => {
                // A product that overflows on its way is NaN or zero, depending on the order.
                let all = u64::from(bits).saturating_mul(count as u64);
                let all = u32::try_from(all).unwrap_or(u32::MAX);
                (all <= mantissa(element)).then(|| Precision::computed(element, all))
            }
            (Precision::Exact(_), _) => Some(self),
            (Precision::Positive, "add") => Some(self),
            (Precision::Positive | Precision::Rounded, _) => None,
        }
    }
}

/// Whether numbers are complex.
fn is_complex(element: PrimitiveType) -> bool {
    matches!(element, C64 | C128)
}

/// What combines numbers, other than by taking one of them.
pub(super) fn combiners(element: PrimitiveType) -> &'static [&'static str] {
    match element {
        Pred => &["and", "or"],
        C64 | C128 => &["add", "multiply"],
        F16 | BF16 | F32 | F64 => &["add", "add", "add", "multiply", "minimum", "maximum"],
        _ => &[
            "add", "add", "multiply", "minimum", "maximum", "and", "or", "xor",
        ],
    }
}

impl Builder {
    /// An elementwise operation.
    pub(super) fn compute(&mut self) {
        let value = self.any();
        match self.below(6) {
            0 | 1 => self.unary(&value),
            2 | 3 => self.binary(&value),
            4 => {
                let element = self.element();
                if value.is_exact() {
                    self.converted(&value, element);
                }
            }
            _ => self.choice(&value),
        }
    }

    fn unary(&mut self, value: &Value) {
        let element = value.element;
        let exact = value.is_exact();
        let (operation, precision) = match element {
            Pred => ("not", value.precision),
            C64 | C128 => ("negate", value.precision),
            F16 | BF16 | F32 | F64 => match self.below(9) {
                0 => (
                    "negate",
                    if exact {
                        value.precision
                    } else {
                        Precision::Rounded
                    },
                ),
                1 => (
                    "abs",
                    if exact {
                        value.precision
                    } else {
                        Precision::Positive
                    },
                ),
                2 if exact => ("sign", value.precision),
                3 if exact => ("floor", value.precision),
                4 if exact => ("exponential", Precision::Positive),
                5 if exact => ("logistic", Precision::Positive),
                6 if exact => ("tanh", Precision::Rounded),
                7 if exact => ("cosine", Precision::Rounded),
                _ => return,
            },
            _ if element.is_signed_integer() => (
                self.pick(&["negate", "abs", "sign", "not", "popcnt"]),
                value.precision,
            ),
            _ => (
                self.pick(&["not", "popcnt", "count-leading-zeros"]),
                value.precision,
            ),
        };
        self.emit(
            element,
            &value.dims,
            precision,
            &[value],
            &format!("{operation}($0)"),
        );
    }

    fn binary(&mut self, value: &Value) {
        let other = self.made(value.element, &value.dims);
        let element = value.element;
        let operation = match element {
            Pred => self.pick(&["and", "or", "xor"]),
            C64 | C128 => self.pick(&["add", "subtract", "multiply"]),
            F16 | BF16 | F32 | F64 => self.pick(&[
                "add", "subtract", "multiply", "minimum", "maximum", "divide",
            ]),
            _ => self.pick(&[
                "add",
                "subtract",
                "multiply",
                "minimum",
                "maximum",
                "and",
                "or",
                "xor",
                "divide",
                "remainder",
                "shift-left",
                "shift-right-logical",
                "shift-right-arithmetic",
            ]),
        };
        let is_float = element.is_float() || is_complex(element);
        // XLA's compiler does not survive a quotient of constants whose divisor is zero.
        let other = match operation {
            "divide" | "remainder" if !is_float => self.leaf(element, &value.dims),
            _ => other,
        };
        let precision = match (operation, value.precision, other.precision) {
            ("minimum" | "maximum", a, b) => a.worse(b),
            (_, a, _) if !is_float => a,
            ("add" | "subtract", Precision::Exact(a), Precision::Exact(b)) => {
                Precision::computed(element, a.max(b) + 1)
            }
            ("multiply", Precision::Exact(a), Precision::Exact(b)) => {
                Precision::computed(element, a + b)
            }
            ("divide", Precision::Exact(_), Precision::Exact(_)) => {
                // A zero has a sign that two compilers need not keep: nothing is divided by one.
                let one = self.splat(element, &value.dims, "1");
                let size = self.emit_like(&[&other], &other.dims, "abs($0)");
                let divisor = self.emit_like(&[&size, &one], &other.dims, "maximum($0, $1)");
                let text = "divide($0, $1)";
                self.emit(
                    element,
                    &value.dims,
                    Precision::Rounded,
                    &[value, &divisor],
                    text,
                );
                return;
            }
            ("add" | "multiply", Precision::Positive, Precision::Positive) => Precision::Positive,
            ("multiply", Precision::Positive, Precision::Rounded)
            | ("multiply", Precision::Rounded, Precision::Positive) => Precision::Rounded,
            _ => return,
        };
        let text = format!("{operation}($0, $1)");
        self.emit(element, &value.dims, precision, &[value, &other], &text);
    }

    /// A comparison, a choice or a bound.
    fn choice(&mut self, value: &Value) {
        let other = self.made(value.element, &value.dims);
        let both_exact = value.is_exact() && other.is_exact();
        let precision = value.precision.worse(other.precision);
        let (element, dims) = (value.element, value.dims.clone());
        if self.once_in(3) && both_exact && !is_complex(element) {
            let (low, high) = (self.splat(element, &[], "0"), self.splat(element, &[], "1"));
            let bounds = [&low, value, &high];
            if element != Pred {
                self.emit(element, &dims, precision, &bounds, "clamp($0, $1, $2)");
            }
            return;
        }
        let test = if both_exact && !is_complex(element) && self.rng.bool() {
            let direction = self.pick(&["EQ", "NE", "LT", "LE", "GT", "GE"]);
            let text = format!("compare($0, $1), direction={direction}");
            self.emit(Pred, &dims, Precision::Exact(4), &[value, &other], &text)
        } else {
            self.made(Pred, &dims)
        };
        if self.rng.bool() {
            self.emit(
                element,
                &dims,
                precision,
                &[&test, value, &other],
                "select($0, $1, $2)",
            );
        }
    }

    /// The value in another type. It must be exact.
    pub(super) fn converted(&mut self, value: &Value, element: PrimitiveType) -> Value {
        if value.element == element {
            return value.clone();
        }
        // XLA makes a choice of a product with a Boolean, which zero times infinity is not; its complex numbers made of infinite
        // ones are NaN in part.
        let is_choice = value.element == Pred && !element.is_integer();
        if is_choice || value.element.is_float() && is_complex(element) {
            return self.leaf(element, &value.dims);
        }
        let mut value = value.clone();
        if is_complex(value.element) {
            let part = if value.element == C64 { F32 } else { F64 };
            value = self.emit(part, &value.dims, value.precision, &[&value], "real($0)");
            if part == element {
                return value;
            }
        }
        // An integer has as many bits as its type, but for those that are still as small as they were made.
        let bits = match value.precision {
            _ if value.element == Pred => 1,
            Precision::Exact(bits) if value.element.is_float() => bits,
            _ => value.element.bits(),
        };
        let precision = match element.is_float() || is_complex(element) {
            true => Precision::computed(element, bits),
            false => Precision::Exact(4),
        };
        self.emit(element, &value.dims, precision, &[&value], "convert($0)")
    }

    /// A reduction or a product.
    pub(super) fn combine(&mut self) {
        let value = self.any();
        match self.below(3) {
            0 => self.dot(&value),
            _ => self.reduce(&value),
        }
    }

    fn reduce(&mut self, value: &Value) {
        let over = self.subset(value.dims.len());
        self.reduced(value, &over);
    }

    /// A value reduced over some of its dimensions.
    pub(super) fn reduced(&mut self, value: &Value, over: &[usize]) {
        let kept: Vec<usize> = (0..value.dims.len())
            .filter(|d| !over.contains(d))
            .map(|d| value.dims[d])
            .collect();
        let count: usize = over.iter().map(|&d| value.dims[d]).product();
        let operation = self.pick(combiners(value.element));
        let (precision, element) = (value.precision, value.element);
        let Some(precision) = precision.combined(operation, element, count + 1) else {
            return;
        };
        // XLA leaves the start out where there is nothing to reduce, and takes it once for every 32 elements of many.
        let is_once = count <= 32 || !matches!(operation, "add" | "multiply" | "xor");
        let start = match self.below(3) {
            0 if value.is_exact() && count > 1 && is_once => self.leaf(element, &[]),
            _ => match operation {
                "add" | "or" | "xor" => self.zeros(element, &[]),
                "multiply" if is_complex(element) => self.splat(element, &[], "(1, 0)"),
                "multiply" => self.splat(element, &[], "1"),
                _ if count > 1 => self.leaf(element, &[]),
                _ => return,
            },
        };
        let combiner = self.combiner(operation, element);
        let text = format!(
            "reduce($0, $1), dimensions={{{}}}, to_apply={combiner}",
            list(over)
        );
        self.emit(element, &kept, precision, &[value, &start], &text);
    }

    /// The product of two values of one type, unless it would have to be rounded.
    pub(super) fn product(&mut self, a: &Value, b: &Value) -> Option<Value> {
        let (Precision::Exact(x), Precision::Exact(y)) = (a.precision, b.precision) else {
            return None;
        };
        let element = a.element;
        let precision = match element.is_float() || is_complex(element) {
            true => Precision::computed(element, x + y),
            false => a.precision,
        };
        let exact = matches!(precision, Precision::Exact(_)) && element != Pred;
        exact.then(|| self.emit(element, &a.dims, precision, &[a, b], "multiply($0, $1)"))
    }

    fn dot(&mut self, value: &Value) {
        let Precision::Exact(bits) = value.precision else {
            return;
        };
        let element = value.element;
        let rank = value.dims.len();
        if element == Pred {
            return;
        }
        let order = self.permutation(rank);
        let contracted = order[..self.below(rank.min(2) + 1)].to_vec();
        let batch =
            order[contracted.len()..][..self.below(2).min(rank - contracted.len())].to_vec();
        let free: Vec<usize> = (0..rank)
            .filter(|d| !contracted.contains(d) && !batch.contains(d))
            .collect();
        let own_rank = self.below(2);
        let own = self.sizes(own_rank);
        // The other factor: the shared dimensions and its own, in any order.
        let sizes: Vec<usize> = batch
            .iter()
            .chain(&contracted)
            .map(|&d| value.dims[d])
            .chain(own.iter().copied())
            .collect();
        let places = self.permutation(sizes.len());
        let mut dims = vec![0; sizes.len()];
        for (k, &place) in places.iter().enumerate() {
            dims[place] = sizes[k];
        }
        let other = self.leaf(element, &dims);
        let own_places: Vec<usize> = {
            let mut own = places[batch.len() + contracted.len()..].to_vec();
            own.sort_unstable();
            own
        };
        let result: Vec<usize> = batch
            .iter()
            .chain(&free)
            .map(|&d| value.dims[d])
            .chain(own_places.iter().map(|&d| dims[d]))
            .collect();
        if !Self::fits(&result) || !Self::fits(&dims) {
            return;
        }
        let count: usize = contracted.iter().map(|&d| value.dims[d]).product();
        let precision = match element.is_float() || is_complex(element) {
            true => Precision::computed(element, bits + 4 + bits_of(count)),
            false => value.precision,
        };
        let text = format!(
            "dot($0, $1), lhs_batch_dims={{{}}}, rhs_batch_dims={{{}}}, lhs_contracting_dims={{{}}}, rhs_contracting_dims={{{}}}",
            list(&batch),
            list(&places[..batch.len()]),
            list(&contracted),
            list(&places[batch.len()..][..contracted.len()])
        );
        self.emit(element, &result, precision, &[value, &other], &text);
    }

    /// A computation that combines one pair of numbers for each type, and what it gives of how many.
    pub(super) fn tuple_combiner(&mut self, parts: &[(&str, PrimitiveType)]) -> String {
        if let [(operation, element)] = parts {
            return self.combiner(operation, *element);
        }
        let name = self.fresh("combine");
        let n = parts.len();
        let mut text = format!("{name} {{\n");
        for (k, (_, element)) in parts.iter().enumerate() {
            text += &format!(
                "  a{k} = {element}[] parameter({k})\n  b{k} = {element}[] parameter({})\n",
                n + k
            );
        }
        for (k, (operation, element)) in parts.iter().enumerate() {
            text += &match *operation {
                "replace" => format!("  c{k} = {element}[] copy(b{k})\n"),
                operation => format!("  c{k} = {element}[] {operation}(a{k}, b{k})\n"),
            };
        }
        let types: Vec<String> = parts
            .iter()
            .map(|(_, element)| shape(*element, &[]))
            .collect();
        let names: Vec<String> = (0..n).map(|k| format!("c{k}")).collect();
        text += &format!(
            "  ROOT out = ({}) tuple({})\n}}\n\n",
            types.join(", "),
            names.join(", ")
        );
        self.computations.push_str(&text);
        name
    }

    /// What is known of numbers of `value` once up to `count` of `updates` are combined into each; `None` where rounding could
    /// be seen.
    pub(super) fn updated(
        operation: &str,
        value: &Value,
        updates: &Value,
        count: usize,
    ) -> Option<Precision> {
        let mixed = value.precision.worse(updates.precision);
        match operation {
            "replace" => Some(mixed),
            _ => mixed.combined(operation, value.element, count + 1),
        }
    }
}
