//! Passes: from SLC to SLC, each keeping what a program means, to the bit.
//!
//! A pass is a file: what it does, when that is legal, and a program before and after it, which a test holds it to.
//! [`PASSES`] lists them and what they can be told, [`pipeline`] says which ones a level runs and why, [`run`] runs some: it verifies the
//! program before the first and after the last.
//!
//! | level | tokens | operands |
//! |---|---|---|
//! | O0 | one for each element | its scalars |
//! | O1 | one for each vector | its vector and scalars |
//! | O2 | one for each look-up | a row and the scalars |
//! | O3 | one for each look-up, and for each step of what is counted | a row |
//! | O4 | the same; none for what is only moved; one for what look-ups share | the same; each row once |
//!
//! At O4 a bag, too, is stored once, not once for each look-up, reads say whether they come again, look-ups wait side by side, and the
//! cores of the machine share the outermost loop: then the positions that they share are sent, since a core cannot count them.

mod accumulate;
mod align_queues;
mod bufferise;
mod fill_lanes;
mod hoist;
mod keep_rows;
mod lookups;
mod merge_callbacks;
mod merge_rows;
mod options;
mod prefetch;
mod read_hints;
mod rewrite;
mod simplify;
mod split_cores;
mod store_streams;
mod vectorise;

use miette::Diagnostic;
use thiserror::Error;

use crate::core::{Diagnostics, Ir as _, LANES};
use crate::slc::Func;

pub use options::{Options, Parameter, Resources, split};

/// A pass.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// What the command line calls it.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// What it can be told.
    pub parameters: &'static [Parameter],
    run: fn(&mut Func, &Options),
}

/// All passes.
pub static PASSES: &[Pass] = &[
    Pass {
        name: "simplify",
        summary: "drops what nothing uses, computes constants and what is invariant once",
        parameters: &[],
        run: simplify::run,
    },
    Pass {
        name: "vectorise",
        summary: "innermost loops take a vector of positions at a time",
        parameters: options::VECTOR,
        run: vectorise::run,
    },
    Pass {
        name: "bufferise",
        summary: "the vectors of one look-up travel as one row",
        parameters: options::ROWS,
        run: bufferise::run,
    },
    Pass {
        name: "merge_callbacks",
        summary: "callbacks between which nothing happens become one",
        parameters: &[],
        run: merge_callbacks::run,
    },
    Pass {
        name: "align_queues",
        summary: "the execute unit counts positions itself",
        parameters: &[],
        run: align_queues::run,
    },
    Pass {
        name: "accumulate",
        summary: "an element that a bag adds to is stored once for the bag",
        parameters: &[],
        run: accumulate::run,
    },
    Pass {
        name: "store_streams",
        summary: "the access unit writes what is only moved",
        parameters: &[],
        run: store_streams::run,
    },
    Pass {
        name: "merge_rows",
        summary: "a row that one look-up streams twice is read once",
        parameters: &[],
        run: merge_rows::run,
    },
    Pass {
        name: "keep_rows",
        summary: "a row that is the same all over a loop is sent once",
        parameters: &[],
        run: keep_rows::run,
    },
    Pass {
        name: "hoist",
        summary: "the execute unit computes what does not change before its loops",
        parameters: &[],
        run: hoist::run,
    },
    Pass {
        name: "read_hints",
        summary: "reads that come again stay near, others pass by",
        parameters: options::WINDOW,
        run: read_hints::run,
    },
    Pass {
        name: "split_cores",
        summary: "cores share the positions of an outermost loop",
        parameters: options::CORES,
        run: split_cores::run,
    },
    Pass {
        name: "fill_lanes",
        summary: "as many look-ups are in flight as the lanes hold",
        parameters: options::IN_FLIGHT,
        run: fill_lanes::run,
    },
    Pass {
        name: "prefetch",
        summary: "reads run ahead of the look-ups, as far as requests can be outstanding",
        parameters: options::DISTANCE,
        run: prefetch::run,
    },
];

/// A pass of a pipeline.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Name of the pass.
    pub pass: &'static str,
    /// Why it runs here.
    pub reason: &'static str,
}

const fn step(pass: &'static str, reason: &'static str) -> Step {
    Step { pass, reason }
}

const O1: &[Step] = &[
    step(
        "simplify",
        "what is invariant stands outside the loops that become vectors",
    ),
    step("vectorise", "one token for each vector"),
    step(
        "simplify",
        "vectors of one value are made where the value is",
    ),
];

const O2: &[Step] = &[
    O1[0],
    O1[1],
    O1[2],
    step("bufferise", "one token for each look-up"),
    step("merge_callbacks", "loops of one look-up share its token"),
    step("simplify", "operands that nothing takes any more"),
];

const O3: &[Step] = &[
    O2[0],
    O2[1],
    O2[2],
    O2[3],
    O2[4],
    O2[5],
    step("align_queues", "no index is in the data queue"),
    step("simplify", "streams that nothing takes any more"),
];

const O4: &[Step] = &[
    O1[0],
    step(
        "split_cores",
        "before anything is counted or kept in a temporary, which would tie positions together",
    ),
    step(
        "accumulate",
        "while every loop is scalar: what it adds becomes vectors and rows like the rest",
    ),
    O1[1],
    O1[2],
    step(
        "store_streams",
        "before rows are made of what needs no token at all",
    ),
    O2[3],
    O2[4],
    step("merge_rows", "callbacks that are one take a row once"),
    O2[5],
    step(
        "keep_rows",
        "what the look-ups of a bag share is sent before them",
    ),
    O3[6],
    step("hoist", "the loops of the execute unit are all there"),
    O3[7],
    step("read_hints", "the reads are those that stay"),
    step("fill_lanes", "what a look-up holds in queues is known"),
    step("prefetch", "what a look-up asks for is known"),
];

/// The highest level.
pub const MAX_LEVEL: u8 = 4;

/// The passes of a level, in order; `None` for a level that there is not.
pub fn pipeline(level: u8) -> Option<&'static [Step]> {
    match level {
        0 => Some(&[]),
        1 => Some(O1),
        2 => Some(O2),
        3 => Some(O3),
        4 => Some(O4),
        _ => None,
    }
}

/// A pass that did not run.
#[derive(Clone, Debug, PartialEq, Eq, Error, Diagnostic)]
pub enum PassError {
    /// The program is not valid: your input.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(#[from] Diagnostics),
    /// Your input.
    #[error("there is no pass `{name}`")]
    #[diagnostic(help("there are {}", names()))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// Your input.
    #[error("`{text}` does not end: expected `}}`")]
    #[diagnostic(help("a pass is told something as `pass{{name=number}}`"))]
    Braces {
        /// What was asked for.
        text: String,
    },
    /// Your input.
    #[error("the pass `{pass}` has no parameter `{name}`")]
    #[diagnostic(help("{}", parameters(pass)))]
    Parameter {
        /// The pass.
        pass: &'static str,
        /// What was asked for.
        name: String,
    },
    /// Your input.
    #[error("`{pass}{{{parameter}}}` is `{value}`, expected a number from {least} to {most}")]
    Value {
        /// The pass.
        pass: &'static str,
        /// Its parameter.
        parameter: &'static str,
        /// What was asked for.
        value: String,
        /// The least that it can be.
        least: u32,
        /// The most that it can be.
        most: u32,
    },
    /// Your input.
    #[error("there is no level {level}: levels are 0 to {MAX_LEVEL}")]
    Level {
        /// What was asked for.
        level: u8,
    },
    /// Your input.
    #[error("a vector has from {} to {} lanes, not {lanes}", LANES.start(), LANES.end())]
    Lanes {
        /// What was asked for.
        lanes: u32,
    },
    /// A pass made a program that is not valid: our bug.
    #[error("the pass `{pass}` broke @{program}")]
    Broken {
        /// The pass.
        pass: &'static str,
        /// Name of the program.
        program: String,
        /// How.
        #[related]
        errors: Vec<Diagnostics>,
    },
}

fn names() -> String {
    let names: Vec<&str> = PASSES.iter().map(|pass| pass.name).collect();
    names.join(", ")
}

fn parameters(pass: &str) -> String {
    let pass = PASSES.iter().find(|known| known.name == pass);
    let parameters = pass.map_or(&[][..], |pass| pass.parameters);
    match parameters {
        [] => "it has none".to_owned(),
        all => {
            let names: Vec<&str> = all.iter().map(|parameter| parameter.name).collect();
            format!("it has {}", names.join(", "))
        }
    }
}

/// Runs passes, in order, each a name with or without parameters, as in `vectorise{lanes=4}`; `after` sees the program after each.
pub fn run<'n>(
    names: impl IntoIterator<Item = &'n str>,
    func: &Func,
    options: &Options,
    mut after: impl FnMut(&Pass, &Func),
) -> Result<Func, PassError> {
    let passes = names.into_iter().map(|name| options::find(name, options));
    let passes: Vec<(&Pass, Options)> = passes.collect::<Result<_, _>>()?;
    if !LANES.contains(&options.lanes) {
        let lanes = options.lanes;
        return Err(PassError::Lanes { lanes });
    }
    func.verify()?;
    let mut current = func.clone();
    for (pass, told) in &passes {
        pass.apply(&mut current, told);
        if options.verify_each {
            pass.check(&current)?;
        }
        after(pass, &current);
    }
    if !options.verify_each && current.verify().is_err() {
        // Which one was it?
        let mut again = func.clone();
        for (pass, told) in passes {
            pass.apply(&mut again, &told);
            pass.check(&again)?;
        }
    }
    Ok(current)
}

/// Runs the passes of a level.
pub fn optimise(level: u8, func: &Func, options: &Options) -> Result<Func, PassError> {
    let steps = pipeline(level).ok_or(PassError::Level { level })?;
    run(steps.iter().map(|step| step.pass), func, options, |_, _| ())
}

impl Pass {
    fn apply(&self, func: &mut Func, options: &Options) {
        (self.run)(func, options);
        rewrite::normalise(func);
    }

    fn check(&self, func: &Func) -> Result<(), PassError> {
        func.verify().map_err(|errors| PassError::Broken {
            pass: self.name,
            program: func.name.clone(),
            errors: vec![errors],
        })
    }
}
