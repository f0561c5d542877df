//! What is done to the elements of a row before they are added.

/// What is done to a row's elements first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Post {
    /// Nothing.
    Plain,
    /// `s * x`.
    Scale,
    /// `s * x + b`.
    ScaleBias,
    /// `(x + b) * s`.
    BiasScale,
    /// Steps one after the other, each of them rounded.
    Chain([Option<Step>; LONGEST]),
}

/// Steps of the longest chain.
pub(crate) const LONGEST: usize = 4;

/// A step of a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub op: StepOp,
    pub by: By,
}

/// What a step does to an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepOp {
    Mul,
    Div,
    Add,
}

/// The other operand of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum By {
    Constant(f32),
    /// The lookup's [`super::Lookups::scale`].
    Scale,
    /// The lookup's [`super::Lookups::bias`].
    Bias,
}

impl Post {
    /// Whether it reads `scale`, and `bias`.
    pub fn reads(self) -> (bool, bool) {
        match self {
            Post::Plain => (false, false),
            Post::Scale => (true, false),
            Post::ScaleBias | Post::BiasScale => (true, true),
            Post::Chain(steps) => {
                let by = |by: By| steps.iter().flatten().any(|step| step.by == by);
                (by(By::Scale), by(By::Bias))
            }
        }
    }
}
