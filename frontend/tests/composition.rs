//! Index maps compose: random gathers, views, reductions and scatters, as the reference computes them.

mod support;

use std::fmt::Write;

use proptest::prelude::*;
use support::{arguments, check, search};

/// Decisions, one after the other; 0 once they run out, so that fewer decisions make smaller modules.
struct Choices<'a>(std::slice::Iter<'a, u16>);

impl Choices<'_> {
    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.0.next().map_or(0, |&x| usize::from(x) % n.max(1))
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Some of `0..n`, ascending.
    fn subset(&mut self, n: usize) -> Vec<usize> {
        (0..n).filter(|_| self.flag()).collect()
    }

    fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut rest: Vec<usize> = (0..n).collect();
        (0..n)
            .map(|_| rest.remove(self.below(rest.len())))
            .collect()
    }
}

fn list(items: &[usize]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

/// The text of a module under construction, and the value that the next operation takes.
struct Builder {
    body: String,
    value: String,
    dims: Vec<usize>,
    names: usize,
}

impl Builder {
    fn emit(&mut self, dims: Vec<usize>, operation: &str) {
        self.names += 1;
        self.value = format!("v{}", self.names);
        writeln!(
            self.body,
            "  {} = s32[{}] {operation}",
            self.value,
            list(&dims)
        )
        .expect("a string");
        self.dims = dims;
    }

    /// A view of the value.
    fn view(&mut self, choices: &mut Choices) {
        let (value, dims) = (self.value.clone(), self.dims.clone());
        let rank = dims.len();
        match choices.below(6) {
            0 => {
                let permutation = choices.permutation(rank);
                let moved = permutation.iter().map(|&d| dims[d]).collect();
                self.emit(
                    moved,
                    &format!("transpose({value}), dimensions={{{}}}", list(&permutation)),
                );
            }
            1 if rank > 1 => {
                // Join two neighbours.
                let d = choices.below(rank - 1);
                let mut joined = dims.clone();
                joined.splice(d..d + 2, [dims[d] * dims[d + 1]]);
                self.emit(joined, &format!("reshape({value})"));
            }
            2 if rank > 0 => {
                // Cut one in two.
                let d = choices.below(rank);
                let factors: Vec<_> = (1..=dims[d])
                    .filter(|f| dims[d].is_multiple_of(*f))
                    .collect();
                let f = factors[choices.below(factors.len())];
                let mut cut = dims.clone();
                cut.splice(d..=d, [f, dims[d] / f]);
                self.emit(cut, &format!("reshape({value})"));
            }
            3 if rank > 0 => {
                let mut sizes = Vec::new();
                let mut slices = Vec::new();
                for &n in &dims {
                    let start = choices.below(n);
                    let stride = 1 + choices.below(2);
                    let limit = start + 1 + choices.below(n - start);
                    slices.push(format!("[{start}:{limit}:{stride}]"));
                    sizes.push((limit - start).div_ceil(stride));
                }
                self.emit(
                    sizes,
                    &format!("slice({value}), slice={{{}}}", slices.join(", ")),
                );
            }
            4 if rank < 4 => {
                let at = choices.below(rank + 1);
                let mut wide = dims.clone();
                wide.insert(at, 1 + choices.below(3));
                let kept: Vec<_> = (0..=rank).filter(|&d| d != at).collect();
                self.emit(
                    wide,
                    &format!("broadcast({value}), dimensions={{{}}}", list(&kept)),
                );
            }
            5 => {
                let mirrored = choices.subset(rank);
                self.emit(
                    dims,
                    &format!("reverse({value}), dimensions={{{}}}", list(&mirrored)),
                );
            }
            _ => {}
        }
    }

    /// A gather with random dimension numbers; the operand and the indices are parameters.
    fn gather(&mut self, choices: &mut Choices, parameters: &mut String) {
        let rank = 1 + choices.below(3);
        let mut operand: Vec<usize> = (0..rank).map(|_| 2 + choices.below(5)).collect();
        let batch: Vec<usize> = (0..1 + choices.below(2))
            .map(|_| 2 + choices.below(3))
            .collect();
        let batching =
            (rank > 1 && choices.flag()).then(|| (choices.below(rank), choices.below(batch.len())));
        if let Some((o, i)) = batching {
            operand[o] = batch[i];
        }
        let is_batching = |d: &usize| batching.is_some_and(|(o, _)| o == *d);
        let mut mapped: Vec<usize> = choices
            .permutation(rank)
            .into_iter()
            .filter(|d| !is_batching(d))
            .collect();
        mapped.truncate(1 + choices.below(2));
        let implicit = mapped.len() == 1 && choices.flag();
        let vector_dim = if implicit {
            batch.len()
        } else {
            choices.below(batch.len() + 1)
        };
        let mut indices = batch.clone();
        if !implicit {
            indices.insert(vector_dim, mapped.len());
        }
        let mut sizes: Vec<usize> = operand
            .iter()
            .map(|&n| {
                if choices.flag() {
                    n
                } else {
                    1 + choices.below(n)
                }
            })
            .collect();
        if let Some((o, _)) = batching {
            sizes[o] = 1;
        }
        let collapsed: Vec<usize> = (0..rank)
            .filter(|d| !is_batching(d) && sizes[*d] == 1 && choices.flag())
            .collect();
        let windows: Vec<usize> = (0..rank)
            .filter(|d| !is_batching(d) && !collapsed.contains(d))
            .map(|d| sizes[d])
            .collect();
        let result_rank = batch.len() + windows.len();
        let mut offsets: Vec<usize> = choices.permutation(result_rank);
        offsets.truncate(windows.len());
        offsets.sort_unstable();
        let (mut b, mut w) = (batch.iter(), windows.iter());
        let result = (0..result_rank)
            .map(|d| {
                if offsets.contains(&d) {
                    w.next()
                } else {
                    b.next()
                }
            })
            .map(|n| *n.expect("as many sizes as dimensions"))
            .collect();
        write!(
            parameters,
            "  table = s32[{}] parameter(0)\n  ids = s32[{}] parameter(1)\n",
            list(&operand),
            list(&indices)
        )
        .expect("a string");
        self.value = "ids".to_string();
        self.dims = indices;
        self.normalise(choices);
        let ids = self.value.clone();
        let (ob, ib) = match batching {
            // The dimension of the indices, the component's counted.
            Some((o, i)) => {
                let i = i + usize::from(!implicit && i >= vector_dim);
                (vec![o], vec![i])
            }
            None => (vec![], vec![]),
        };
        self.emit(
            result,
            &format!(
                "gather(table, {ids}), offset_dims={{{}}}, collapsed_slice_dims={{{}}}, start_index_map={{{}}}, \
                 operand_batching_dims={{{}}}, start_indices_batching_dims={{{}}}, index_vector_dim={vector_dim}, slice_sizes={{{}}}",
                list(&offsets),
                list(&collapsed),
                list(&mapped),
                list(&ob),
                list(&ib),
                list(&sizes)
            ),
        );
    }

    fn splat(&mut self, value: i64) -> String {
        let dims = self.dims.clone();
        let (kept, name) = (self.value.clone(), format!("k{}", self.names));
        writeln!(self.body, "  {name} = s32[] constant({value})").expect("a string");
        self.emit(dims, &format!("broadcast({name}), dimensions={{}}"));
        std::mem::replace(&mut self.value, kept)
    }

    /// Index arithmetic: wrap, clamp, remainder, or none.
    fn normalise(&mut self, choices: &mut Choices) {
        let dims = self.dims.clone();
        let ids = self.value.clone();
        match choices.below(4) {
            1 => {
                let (zero, n) = (self.splat(0), choices.below(7) as i64);
                let size = self.splat(n);
                let test = format!("test{}", self.names);
                writeln!(
                    self.body,
                    "  {test} = pred[{}] compare({ids}, {zero}), direction=LT",
                    list(&dims)
                )
                .expect("a string");
                self.emit(dims.clone(), &format!("add({ids}, {size})"));
                let wrapped = self.value.clone();
                self.emit(dims, &format!("select({test}, {wrapped}, {ids})"));
            }
            2 => {
                let (lo, hi) = (choices.below(4) as i64 - 1, choices.below(6) as i64);
                let (lo, hi) = (self.splat(lo), self.splat(hi));
                self.emit(dims, &format!("clamp({lo}, {ids}, {hi})"));
            }
            3 => {
                let n = 1 + choices.below(5) as i64;
                let size = self.splat(n);
                self.emit(dims, &format!("remainder({ids}, {size})"));
            }
            _ => {}
        }
    }

    /// A reduce or a scatter of the value, or neither.
    fn sink(&mut self, choices: &mut Choices, parameters: &mut String) {
        let (value, dims) = (self.value.clone(), self.dims.clone());
        let op = ["add", "max"][choices.below(2)];
        match choices.below(3) {
            1 => {
                let over = choices.subset(dims.len());
                let kept = (0..dims.len())
                    .filter(|d| !over.contains(d))
                    .map(|d| dims[d])
                    .collect();
                self.body.push_str("  init = s32[] constant(1)\n");
                self.emit(
                    kept,
                    &format!(
                        "reduce({value}, init), dimensions={{{}}}, to_apply={op}",
                        list(&over)
                    ),
                );
            }
            2 if !dims.is_empty() => {
                let segments = 1 + choices.below(4);
                let mut result = dims.clone();
                result[0] = segments;
                writeln!(parameters, "  segments = s32[{}] parameter(2)", dims[0])
                    .expect("a string");
                self.body.push_str("  init = s32[] constant(3)\n");
                self.emit(result.clone(), "broadcast(init), dimensions={}");
                let start = self.value.clone();
                let windows: Vec<usize> = (1..dims.len()).collect();
                self.emit(
                    result,
                    &format!(
                        "scatter({start}, segments, {value}), update_window_dims={{{}}}, inserted_window_dims={{0}}, \
                         scatter_dims_to_operand_dims={{0}}, index_vector_dim=1, to_apply={op}",
                        list(&windows)
                    ),
                );
            }
            _ => {}
        }
    }
}

fn module(choices: &[u16]) -> String {
    let mut choices = Choices(choices.iter());
    let mut parameters = String::new();
    let mut builder = Builder {
        body: String::new(),
        value: String::new(),
        dims: Vec::new(),
        names: 0,
    };
    builder.gather(&mut choices, &mut parameters);
    for _ in 0..choices.below(4) {
        builder.view(&mut choices);
    }
    builder.sink(&mut choices, &mut parameters);
    let Builder {
        body, value, dims, ..
    } = builder;
    let combiner = |name: &str, op: &str| {
        format!(
            "{name} {{\n  a = s32[] parameter(0)\n  b = s32[] parameter(1)\n  ROOT c = s32[] {op}(a, b)\n}}\n\n"
        )
    };
    format!(
        "HloModule random\n\n{}{}ENTRY main {{\n{parameters}{body}  ROOT out = (s32[{}]) tuple({value})\n}}\n",
        combiner("add", "add"),
        combiner("max", "maximum"),
        list(&dims)
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn random_compositions_agree_with_the_reference(choices in prop::collection::vec(any::<u16>(), 0..80)) {
        let text = module(&choices);
        let (module, matches) = search(&text);
        prop_assert!(matches.regions.len() + matches.misses.len() >= 1);
        for seed in 1..3 {
            let arguments = arguments(&module, seed, -6, 9);
            if let Err(problem) = check(&module, &matches, &arguments) {
                return Err(TestCaseError::fail(format!("{problem}\n{text}")));
            }
        }
    }
}

#[test]
fn most_random_modules_give_a_region() {
    let mut numbers = support::Numbers::new(7);
    let found = (0..200)
        .filter(|_| {
            let choices: Vec<u16> = (0..80).map(|_| numbers.next() as u16).collect();
            !search(&module(&choices)).1.regions.is_empty()
        })
        .count();
    assert!(found > 100, "{found} of 200");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_wrong_number_anywhere_is_no_panic(
        choices in prop::collection::vec(any::<u16>(), 20..80),
        at in any::<prop::sample::Index>(),
        number in prop_oneof![Just(0i64), Just(-1), Just(i64::MAX), Just(i64::MIN), Just(1 << 40), 0i64..9],
    ) {
        let text = module(&choices);
        // Numbers inside brackets and braces: sizes, dimensions, slices, constants.
        let starts: Vec<usize> = text
            .char_indices()
            .filter(|&(k, c)| {
                c.is_ascii_digit() && text[..k].ends_with(['[', '{', ',', ':', '=', '('])
            })
            .map(|(k, _)| k)
            .collect();
        let start = starts[at.index(starts.len())];
        let rest = text[start..].trim_start_matches(|c: char| c.is_ascii_digit());
        let altered = format!("{}{number}{rest}", &text[..start]);
        if let Ok(module) = hlo2dae_hlo::parse_module(&altered) {
            // Whether it is searched or refused, it comes back.
            let _ = hlo2dae_frontend::find_regions(&module, &hlo2dae_frontend::Options::default());
        }
    }
}
