//! The whole pipeline in one place: HLO text in, every stage out.
//!
//! The command line, the C ABI and the tests all call [`compile`]; a custom call, which carries a
//! program's text, calls [`Ladder::parse`].

use hlo2dae_backend::{Artifact, Machine};
use hlo2dae_frontend::{Call, Match, Matches, Miss, outline};
use hlo2dae_hlo::Module;
use hlo2dae_ir::Program;
use hlo2dae_ir::core::{Buffer, Ir, Role};
use hlo2dae_ir::lower::{region_to_scf, scf_to_slc, slc_to_dlc};
use hlo2dae_ir::passes::{self, Pass, PassError};
use hlo2dae_ir::{dlc, region, scf, slc};

use crate::error::Error;

/// What may be chosen about a compilation.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Limits of the search for regions.
    pub frontend: hlo2dae_frontend::Options,
    /// Which regions share a call where the module is rewritten.
    pub outline: outline::Options,
    /// Optimisation level, at most [`passes::MAX_LEVEL`].
    pub level: u8,
    /// What the passes are told.
    pub passes: passes::Options,
    /// The machine that artifacts are made for.
    pub machine: Machine,
}

/// A module with the regions found in it, each lowered all the way.
#[derive(Clone, Debug)]
pub struct Compilation {
    /// The module as read.
    pub module: Module,
    /// In the order of the module.
    pub regions: Vec<Compiled>,
    /// Candidates that stay with XLA, and why.
    pub misses: Vec<Miss>,
    /// Which regions share a call.
    pub outline: outline::Options,
}

/// A region: where it stands in the HLO, and its stages.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The region's place in the HLO, its kind and facts.
    pub found: Match,
    /// Its stages.
    pub ladder: Ladder,
}

/// One program at every stage from the one that it was given in down to the machine's programs.
#[derive(Clone, Debug)]
pub struct Ladder {
    /// What is looked up, by what, combined how; `None` when the program was given further down.
    pub region: Option<region::Region>,
    /// Loops, loads, stores; `None` when the program was given further down.
    pub scf: Option<scf::Func>,
    /// Streams and callbacks; `None` when the program was given as DLC.
    pub slc: Option<slc::Func>,
    /// The same after the passes of the level.
    pub optimised: Option<slc::Func>,
    /// The two programs and their queues, from the optimised streams.
    pub dlc: dlc::Program,
    /// The machine that its artifact is made for.
    pub machine: Machine,
}

/// Compiles HLO text: parse, verify, find regions, lower each.
///
/// # Errors
///
/// The text is not HLO, or HLO that means nothing; a limit is exceeded; a region that was found cannot be lowered (our limit
/// or our bug: a region that the compiler cannot finish is not silently left out).
pub fn compile(text: &str, options: &Options) -> Result<Compilation, Error> {
    let module = hlo2dae_hlo::parse_module(text)?;
    hlo2dae_hlo::verify(&module)?;
    let Matches { regions, misses } = hlo2dae_frontend::find_regions(&module, &options.frontend)?;
    let regions = regions
        .into_iter()
        .map(|found| {
            let ladder = Ladder::lower(found.region.clone().into())?;
            Ok(Compiled {
                ladder: ladder.with(options)?,
                found,
            })
        })
        .collect::<Result<_, Error>>()?;
    Ok(Compilation {
        module,
        regions,
        misses,
        outline: options.outline,
    })
}

impl Compilation {
    /// The custom calls that the regions become; each names its regions by their places in [`Compilation::regions`].
    pub fn calls(&self) -> Result<Vec<Call>, Error> {
        self.calls_by(&self.outline)
    }

    fn calls_by(&self, options: &outline::Options) -> Result<Vec<Call>, Error> {
        let regions = self.regions.iter();
        let regions: Vec<Match> = regions.map(|compiled| compiled.found.clone()).collect();
        Ok(hlo2dae_frontend::calls(&self.module, &regions, options)?)
    }

    /// The module with custom calls, which carry their programs' text, in the place of its regions.
    pub fn outlined(&self) -> Result<Module, Error> {
        Ok(hlo2dae_frontend::outline(&self.module, &self.calls()?)?)
    }

    /// The same with a call of its own for every region.
    pub fn outlined_apart(&self) -> Result<Module, Error> {
        let options = outline::Options {
            batch: false,
            ..self.outline
        };
        let calls = self.calls_by(&options)?;
        Ok(hlo2dae_frontend::outline(&self.module, &calls)?)
    }
}

impl Ladder {
    /// Reads a program of any IR and lowers it.
    pub fn parse(text: &str) -> Result<Ladder, Error> {
        Ladder::lower(text.parse()?)
    }

    /// Lowers a program of any IR through every stage below it, each verified, without any pass.
    pub fn lower(program: Program) -> Result<Ladder, Error> {
        let (mut given_region, mut given_scf, mut given_slc, mut given_dlc) =
            (None, None, None, None);
        match program {
            Program::Region(program) => given_region = Some(program),
            Program::Scf(program) => given_scf = Some(program),
            Program::Slc(program) => given_slc = Some(program),
            Program::Dlc(program) => given_dlc = Some(program),
        }
        let region = given_region.map(verified).transpose()?;
        let scf = next(given_scf, &region, region_to_scf)?;
        let slc = next(given_slc, &scf, scf_to_slc)?;
        let Some(dlc) = next(given_dlc, &slc, slc_to_dlc)? else {
            return Err(Error::bug("a program was given in no IR"));
        };
        Ok(Ladder {
            region,
            scf,
            optimised: slc.clone(),
            slc,
            dlc,
            machine: Machine::default(),
        })
    }

    /// The same program at the level and for the machine of the options.
    pub fn with(&self, options: &Options) -> Result<Ladder, Error> {
        let ladder = Ladder {
            machine: options.machine.clone(),
            ..self.clone()
        };
        ladder.at(options.level, &options.passes)
    }

    /// The same program at a level. Passes know the ladder's machine, whatever the options say of one.
    ///
    /// # Errors
    ///
    /// There is no such level, or the program was given as DLC, which the passes of any level but 0 come before.
    pub fn at(&self, level: u8, options: &passes::Options) -> Result<Ladder, Error> {
        let steps = passes::pipeline(level).ok_or(PassError::Level { level })?;
        if steps.is_empty() && self.slc == self.optimised {
            return Ok(self.clone());
        }
        self.through(steps.iter().map(|step| step.pass), options, |_, _| ())
    }

    /// The same program after these passes, in place of those of a level; `after` sees the program after each.
    pub fn through<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
        options: &passes::Options,
        after: impl FnMut(&Pass, &slc::Func),
    ) -> Result<Ladder, Error> {
        let options = passes::Options {
            resources: self.machine.resources(),
            ..*options
        };
        let optimised = passes::run(names, self.slc()?, &options, after)?;
        Ok(Ladder {
            region: self.region.clone(),
            scf: self.scf.clone(),
            slc: self.slc.clone(),
            dlc: verified(slc_to_dlc(&optimised)?)?,
            optimised: Some(optimised),
            machine: self.machine.clone(),
        })
    }

    /// What the machine runs.
    pub fn artifact(&self) -> Result<Artifact, Error> {
        Ok(hlo2dae_backend::compile(&self.dlc, &self.machine)?)
    }

    /// Name of the program, without `@`.
    pub fn name(&self) -> &str {
        &self.dlc.name
    }

    /// The region.
    ///
    /// # Errors
    ///
    /// This, and the three below: the program was given at a later stage.
    pub fn region(&self) -> Result<&region::Region, Error> {
        self.region.as_ref().ok_or_else(|| self.no_stage("region"))
    }

    /// The SCF function.
    pub fn scf(&self) -> Result<&scf::Func, Error> {
        self.scf.as_ref().ok_or_else(|| self.no_stage("scf"))
    }

    /// The SLC function.
    pub fn slc(&self) -> Result<&slc::Func, Error> {
        self.slc.as_ref().ok_or_else(|| self.no_stage("slc"))
    }

    /// The SLC function after the passes of the level.
    pub fn optimised(&self) -> Result<&slc::Func, Error> {
        self.optimised.as_ref().ok_or_else(|| self.no_stage("slc"))
    }

    fn no_stage(&self, wanted: &'static str) -> Error {
        let given = match (&self.scf, &self.slc) {
            (Some(_), _) => scf::Func::NAME,
            (None, Some(_)) => slc::Func::NAME,
            (None, None) => dlc::Program::NAME,
        };
        Error::NoStage { given, wanted }
    }

    /// The declarations of the buffers that the caller passes, then of those that he gets.
    pub fn signature(&self) -> (Vec<&Buffer>, Vec<&Buffer>) {
        let mut signature = (Vec::new(), Vec::new());
        for buffer in self.dlc.buffers.values() {
            match buffer.role {
                Role::Input => signature.0.push(buffer),
                Role::Output(_) => signature.1.push(buffer),
                Role::Temp(_) => {}
            }
        }
        signature
    }
}

/// The stage as given, or lowered from the stage above it.
fn next<From, To: Ir, E: Into<Error>>(
    given: Option<To>,
    above: &Option<From>,
    lower: impl Fn(&From) -> Result<To, E>,
) -> Result<Option<To>, Error> {
    let lowered = || {
        above
            .as_ref()
            .map(|above| lower(above).map_err(Into::into))
            .transpose()
    };
    given
        .map_or_else(lowered, |given| Ok(Some(given)))?
        .map(verified)
        .transpose()
}

fn verified<P: Ir>(program: P) -> Result<P, Error> {
    program.verify()?;
    Ok(program)
}
