//! What the tests of the emulator share.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use hlo2dae_backend::{Artifact, Machine, compile};
use hlo2dae_ir::core::{Array, ElementType, Ir, Limits};
use hlo2dae_ir::dlc::Program;
use hlo2dae_sim::{Config, Emulator, Schedule, Stats, StreamText};

/// Queues of so many tokens and operands.
pub fn config(control: usize, data: usize, schedule: Schedule) -> Config {
    Config {
        tokens: NonZeroUsize::new(control).unwrap(),
        chunks: NonZeroUsize::new(data).unwrap(),
        chunk_bytes: NonZeroU64::MIN,
        schedule,
        ..Config::default()
    }
}

pub fn schedules() -> [Schedule; 5] {
    let alternate = |access, execute| Schedule::Alternate {
        access: NonZeroU32::new(access).unwrap(),
        execute: NonZeroU32::new(execute).unwrap(),
    };
    [
        Schedule::RunAhead,
        alternate(1, 1),
        alternate(7, 1),
        alternate(1, 50),
        Schedule::Shuffled(1),
    ]
}

/// For the machine that programs are compiled for if nothing else is said, of as many cores as any program asks for.
pub fn compiled(program: &Program) -> Artifact {
    let machine = Machine {
        cores: 64,
        ..Machine::default()
    };
    compile(program, &machine).unwrap()
}

/// Outputs, counts and stream text of a run.
pub fn run(artifact: &Artifact, config: Config, inputs: &[Array]) -> (Vec<Array>, Stats, String) {
    let emulator = Emulator::load(&artifact.encode(), config).unwrap();
    let mut text = StreamText::new(&artifact.name, u64::MAX);
    let (traced, stats) = emulator.run_traced(inputs, &mut text).unwrap();
    assert_eq!(
        emulator.run(inputs).unwrap(),
        (traced.clone(), stats.clone())
    );
    (traced, stats, text.finish())
}

/// What the evaluator gives, which the emulator has to give for every capacity and schedule; the counts and stream text of
/// the runs, all the same.
pub fn check(program: &Program, inputs: &[Array]) -> (Vec<Array>, Stats, String) {
    let expected = program.evaluate(inputs, &Limits::default()).unwrap();
    let artifact = compiled(program);
    let first = run(&artifact, Config::default(), inputs);
    assert_eq!(first.0, expected, "{}", program.name);
    for (control, data) in [(1, 1), (1, 2), (2, 1), (3, 7), (usize::MAX, usize::MAX)] {
        for schedule in schedules() {
            let found = run(&artifact, config(control, data, schedule), inputs);
            let name = &program.name;
            assert_eq!(found, first, "{name} {control} {data} {schedule:?}");
        }
    }
    for (chunks, bytes) in [(1, 8), (1, 64), (2, 64), (3, 100)] {
        let config = Config {
            chunk_bytes: NonZeroU64::new(bytes).unwrap(),
            ..config(2, chunks, Schedule::Shuffled(2))
        };
        let found = run(&artifact, config, inputs);
        assert_eq!(found, first, "{} {chunks} chunks of {bytes}", program.name);
    }
    first
}

/// An array for each input: positions in a list that begin at 0 and rise to `lookups` for names that say so, other integers
/// below `rows`, and floats that no two places share.
#[allow(dead_code, reason = "not every test makes its inputs like this")]
pub fn inputs(program: &Program, lookups: u64, rows: u64) -> Vec<Array> {
    let declared = program.buffers.values().filter(|b| !b.is_written());
    declared
        .enumerate()
        .map(|(seed, buffer)| {
            let count: u64 = buffer.dims.iter().product();
            let starts = ["offsets", "pointers"].contains(&buffer.name.as_str());
            match buffer.element {
                ElementType::S32 => {
                    let value = |n: u64| match starts {
                        // Squares: bags of different sizes, the first ones empty.
                        true => n * n * lookups / ((count - 1) * (count - 1)),
                        false => (n * 7 + seed as u64 * 3 + n / 5) % rows,
                    };
                    let elements: Vec<i32> = (0..count).map(|n| value(n) as i32).collect();
                    Array::from_elements(&buffer.dims, &elements).unwrap()
                }
                ElementType::F32 => {
                    let value = |n: u64| ((n * 37 + seed as u64 * 11) % 101) as f32 * 0.37 - 17.0;
                    let elements: Vec<f32> = (0..count).map(value).collect();
                    Array::from_elements(&buffer.dims, &elements).unwrap()
                }
                other => unreachable!("no test has an input of {other}"),
            }
        })
        .collect()
}
