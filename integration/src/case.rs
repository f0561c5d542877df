//! A case folder: its description and its files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hlo2dae_hlo::{Literal, Module};
use miette::{Context, IntoDiagnostic, Result, miette};
use serde::Deserialize;

use crate::fill::{self, Fill};
use crate::stage::{STAGES, Stage};
use crate::workspace;

/// The name of the file that a [`Spec`] is read from.
pub const SPEC: &str = "case.toml";

/// The name of the file that a framework printed.
pub const INPUT: &str = "00-input.hlo";

/// What `case.toml` says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// One sentence on what the case shows.
    pub about: String,
    /// Where random arguments start.
    pub seed: u64,
    /// How far the framework's own results may be from the reference's.
    pub tolerance: Tolerance,
    /// Which stage files the folder holds.
    pub goldens: Goldens,
    /// The entry computation's parameters, in order.
    #[serde(default, rename = "argument")]
    pub arguments: Vec<Argument>,
    /// Further sets of arguments, each saying only what differs.
    #[serde(default)]
    pub inputs: BTreeMap<String, BTreeMap<String, Fill>>,
    /// What must be found, where the case says so.
    #[serde(default)]
    pub expect: Option<Expectation>,
}

/// One argument of the model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    /// A name for messages and for [`Spec::inputs`].
    pub name: String,
    /// Its elements.
    pub fill: Fill,
}

/// How far one implementation's results may be from another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tolerance {
    /// Not at all: every bit agrees, but for the payload of NaNs.
    Exact,
    /// As far as another order of summation takes it.
    Reassociated,
    /// As far as another order of summation and one more rounding to the result's element type take it.
    Rounded,
}

/// Which stage files a folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goldens {
    /// All of them: the case is small enough to be read.
    All,
    /// Those that stay readable for a large model ([`Stage::summary`]).
    Summary,
}

/// What a search of the model must find.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The embedding operations of the model.
    pub regions: Vec<ExpectedRegion>,
}

/// One embedding operation of a model, as whoever wrote the model would say.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedRegion {
    /// The name of the operation, such as `embedding_bag`.
    pub kind: String,
    /// How many operations the entry stands for.
    #[serde(default = "one")]
    pub count: u64,
    /// Everything that touches the table.
    pub access: Vec<Access>,
}

fn one() -> u64 {
    1
}

/// An instruction that touches a table; `computation/instruction` in `case.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "String")]
pub struct Access {
    /// `computation/instruction`.
    pub path: String,
    /// At how many places of the inlined model it stands: more than one in a computation that is called more than once.
    pub places: u64,
}

impl From<String> for Access {
    fn from(path: String) -> Self {
        Access { path, places: 1 }
    }
}

/// A case folder.
#[derive(Clone, Debug)]
pub struct Case {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// Its description.
    pub spec: Spec,
}

impl Case {
    /// Reads the description in `folder`.
    pub fn load(folder: &Path) -> Result<Case> {
        let path = folder.join(SPEC);
        let spec: Spec = toml::from_str(&workspace::read(&path)?)
            .into_diagnostic()
            .wrap_err_with(|| format!("{} is malformed", workspace::display(&path)))?;
        for (set, fills) in &spec.inputs {
            for name in fills.keys() {
                if !spec.arguments.iter().any(|a| a.name == *name) {
                    return Err(miette!(
                        "{}: inputs `{set}` fill an argument `{name}` that is not declared",
                        workspace::display(&path)
                    ));
                }
            }
        }
        Ok(Case {
            name: workspace::file_name(folder),
            folder: folder.to_path_buf(),
            spec,
        })
    }

    /// All case folders, sorted by name.
    pub fn all() -> Result<Vec<PathBuf>> {
        workspace::entries(&workspace::root().join("integration/cases"))
    }

    /// The stage files that the folder has to hold.
    pub fn stages(&self) -> impl Iterator<Item = &'static Stage> + '_ {
        STAGES
            .iter()
            .filter(|stage| self.spec.goldens == Goldens::All || stage.summary)
    }

    /// The text of one of the folder's files.
    pub fn text(&self, file: &str) -> Result<String> {
        workspace::read(&self.folder.join(file))
    }

    /// Names of the sets of arguments, the one that `case.toml` declares first.
    pub fn input_sets(&self) -> impl Iterator<Item = &str> {
        std::iter::once(DECLARED).chain(self.spec.inputs.keys().map(String::as_str))
    }

    /// The model's arguments: the set called `set`, random ones drawn from `seed`.
    pub fn arguments(&self, module: &Module, set: &str, seed: u64) -> Result<Vec<Literal>> {
        let parameters = &module.entry().parameters;
        if parameters.len() != self.spec.arguments.len() {
            return Err(miette!(
                "the model has {} parameters, {SPEC} describes {}",
                parameters.len(),
                self.spec.arguments.len()
            ));
        }
        let overridden = self.spec.inputs.get(set);
        parameters
            .iter()
            .zip(&self.spec.arguments)
            .enumerate()
            .map(|(number, (&parameter, argument))| {
                let fill = overridden
                    .and_then(|fills| fills.get(&argument.name))
                    .unwrap_or(&argument.fill);
                let shape = module.instructions[parameter]
                    .array()
                    .ok_or_else(|| miette!("parameter {number} is not an array"))?;
                fill::literal(fill, shape, seed, number as u64)
                    .wrap_err_with(|| format!("argument `{}` of inputs `{set}`", argument.name))
            })
            .collect()
    }

    /// Files of the folder that nothing lists.
    pub fn orphans(&self) -> Result<Vec<String>> {
        Ok(workspace::entries(&self.folder)?
            .iter()
            .map(|path| workspace::file_name(path))
            .filter(|name| {
                name != SPEC && name != INPUT && !self.stages().any(|stage| stage.file == name)
            })
            .collect())
    }
}

/// The name of the set of arguments that `case.toml` declares with the arguments themselves.
pub const DECLARED: &str = "declared";
