//! Passes: from SLC to SLC, each keeping what a program means, to the bit.
//!
//! A pass is a file: what it does, when that is legal, and a program before and after it, which a test holds it to.
//! [`PASSES`] lists them, [`pipeline`] says which ones a level runs and why, [`run`] runs some: it verifies the
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
//! At O4 a bag, too, is stored once, not once for each look-up, and reads say whether they come again.

mod accumulate;
mod align_queues;
mod bufferise;
mod hoist;
mod keep_rows;
mod merge_callbacks;
mod merge_rows;
mod read_hints;
mod rewrite;
mod simplify;
mod store_streams;
mod vectorise;

use miette::Diagnostic;
use thiserror::Error;

use crate::core::{Diagnostics, Ir as _, LANES};
use crate::slc::Func;

/// What passes can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Lanes of a vector, one of [`LANES`].
    pub lanes: u32,
    /// The longest row that travels as one operand, in bytes.
    pub row_bytes: u64,
    /// So many rows that were read last are kept in the access unit.
    pub reuse: Option<u32>,
    /// Whether the program is verified after each pass, not only after the last.
    pub verify_each: bool,
}

impl Default for Options {
    /// 8 lanes, and rows of 64 KiB.
    fn default() -> Self {
        Options {
            lanes: 8,
            row_bytes: 64 << 10,
            reuse: None,
            verify_each: false,
        }
    }
}

/// A pass.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// What the command line calls it.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    run: fn(&mut Func, &Options),
}

/// All passes.
pub static PASSES: &[Pass] = &[
    Pass {
        name: "simplify",
        summary: "drops what nothing uses, computes constants and what is invariant once",
        run: simplify::run,
    },
    Pass {
        name: "vectorise",
        summary: "innermost loops take a vector of positions at a time",
        run: vectorise::run,
    },
    Pass {
        name: "bufferise",
        summary: "the vectors of one look-up travel as one row",
        run: bufferise::run,
    },
    Pass {
        name: "merge_callbacks",
        summary: "callbacks between which nothing happens become one",
        run: merge_callbacks::run,
    },
    Pass {
        name: "align_queues",
        summary: "the execute unit counts positions itself",
        run: align_queues::run,
    },
    Pass {
        name: "accumulate",
        summary: "an element that a bag adds to is stored once for the bag",
        run: accumulate::run,
    },
    Pass {
        name: "store_streams",
        summary: "the access unit writes what is only moved",
        run: store_streams::run,
    },
    Pass {
        name: "merge_rows",
        summary: "a row that one look-up streams twice is read once",
        run: merge_rows::run,
    },
    Pass {
        name: "keep_rows",
        summary: "a row that is the same all over a loop is sent once",
        run: keep_rows::run,
    },
    Pass {
        name: "hoist",
        summary: "the execute unit computes what does not change before its loops",
        run: hoist::run,
    },
    Pass {
        name: "read_hints",
        summary: "reads that come again stay near, others pass by",
        run: read_hints::run,
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

/// Runs passes, in order; `after` sees the program after each.
pub fn run<'n>(
    names: impl IntoIterator<Item = &'n str>,
    func: &Func,
    options: &Options,
    mut after: impl FnMut(&Pass, &Func),
) -> Result<Func, PassError> {
    let passes: Vec<&Pass> = names.into_iter().map(find).collect::<Result<_, _>>()?;
    if !LANES.contains(&options.lanes) {
        let lanes = options.lanes;
        return Err(PassError::Lanes { lanes });
    }
    func.verify()?;
    let mut current = func.clone();
    for pass in &passes {
        pass.apply(&mut current, options);
        if options.verify_each {
            pass.check(&current)?;
        }
        after(pass, &current);
    }
    if !options.verify_each && current.verify().is_err() {
        // Which one was it?
        let mut again = func.clone();
        for pass in passes {
            pass.apply(&mut again, options);
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

fn find(name: &str) -> Result<&'static Pass, PassError> {
    let found = PASSES.iter().find(|pass| pass.name == name);
    found.ok_or_else(|| PassError::Unknown {
        name: name.to_owned(),
    })
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
