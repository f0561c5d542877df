//! Random modules: gathers, scatters and what stands around them.
//!
//! A number determines a [`Graph`]: a few gathers, scatters, dynamic slices and dots with any dimension numbers, among views,
//! arithmetic, reductions, calls, fusions, conditionals and loops, over all element types, with duplicate indices, indices outside of
//! the table, empty dimensions, infinities and NaN. [`module`] puts several graphs side by side into one module, since a compiler
//! takes hardly longer for it than for one.
//!
//! What two implementations may give differently is not generated: no comparison, truncation or index looks at a value that was rounded
//! (`build::Precision`), no sum of rounded values cancels.

mod arithmetic;
mod build;
mod compare;
mod control;
mod embedding;
mod lookups;
mod views;

use std::fmt::Write;

use hlo2dae_hlo::{ArrayShape, Literal};
use miette::{Result, WrapErr};

use self::build::Builder;
pub use self::compare::difference;
use crate::fill::{self, Fill, Number};

/// More operations than any graph has.
pub const MAX_STEPS: usize = 100;

/// A part of a module that shares nothing with the others.
#[derive(Clone, Debug)]
pub struct Graph {
    /// What it was made from.
    pub number: u64,
    /// Text of the computations that it calls.
    computations: String,
    /// Its parameters, with their elements.
    parameters: Vec<Parameter>,
    /// Text of its instructions in the entry.
    body: String,
    /// The types and names of what it gives.
    pub results: Vec<(String, String)>,
}

/// A parameter of the entry.
#[derive(Clone, Debug)]
struct Parameter {
    name: String,
    shape: ArrayShape,
    elements: Vec<Number>,
}

impl Graph {
    /// The graph of that number.
    pub fn new(number: u64) -> Graph {
        Graph::begun(number, MAX_STEPS)
    }

    /// What the graph of that number is after so many operations.
    pub fn begun(number: u64, steps: usize) -> Graph {
        let mut builder = Builder::new(number, steps);
        builder.grow();
        builder.finish()
    }

    /// Whether it has the operations of another.
    pub fn is_same(&self, other: &Graph) -> bool {
        (&self.computations, &self.body) == (&other.computations, &other.body)
    }

    /// Its arguments.
    pub fn arguments(&self) -> Result<Vec<Literal>> {
        let literal = |parameter: &Parameter| {
            let fill = Fill::Values(parameter.elements.clone());
            fill::literal(&fill, &parameter.shape, 0, 0)
                .wrap_err_with(|| format!("parameter {}", parameter.name))
        };
        self.parameters.iter().map(literal).collect()
    }
}

/// A module of graphs; its result is a tuple of all of theirs, in order.
pub fn module(name: &str, graphs: &[Graph]) -> String {
    let mut text = format!("HloModule {name}\n\n");
    for graph in graphs {
        text.push_str(&graph.computations);
    }
    text.push_str("ENTRY main {\n");
    let parameters = graphs.iter().flat_map(|graph| &graph.parameters);
    for (number, Parameter { name, shape, .. }) in parameters.enumerate() {
        let _ = writeln!(text, "  {name} = {shape} parameter({number})");
    }
    for graph in graphs {
        text.push_str(&graph.body);
    }
    let (types, names): (Vec<_>, Vec<_>) = graphs
        .iter()
        .flat_map(|graph| graph.results.clone())
        .unzip();
    let (types, names) = (types.join(", "), names.join(", "));
    let _ = writeln!(text, "  ROOT out = ({types}) tuple({names})\n}}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use hlo2dae_hlo::{parse_module, verify};

    #[test]
    fn a_number_determines_a_graph() {
        for number in 0..20 {
            let [a, b] = [0, 0].map(|_| module("m", &[Graph::new(number)]));
            assert_eq!(a, b);
        }
    }

    #[test]
    fn every_graph_is_a_module_with_arguments() {
        for number in 0..500 {
            let graph = Graph::new(number);
            let text = module("m", std::slice::from_ref(&graph));
            let parsed = parse_module(&text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
            verify(&parsed).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
            let arguments = graph.arguments().unwrap();
            assert_eq!(arguments.len(), parsed.entry().parameters.len());
        }
    }
}
