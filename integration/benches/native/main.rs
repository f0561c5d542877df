//! The native engine against what the machine's memory gives, on random data.
//!
//! ```text
//! cargo bench -p hlo2dae-integration --bench native [-- [--quick] [--scaling] [--write] [FILTER ...]]
//! ```
//!
//! A class is a small HLO module at one size; its regions are found, put together in calls and lowered as those of any other module. The
//! limit is measured in the same rounds, beside the class: the same number of rows of the same size out of a table of
//! the same size, other rows every time, by plain loops that do nothing else, with the best prefetch plan; parts of the work are added up. Medians count.
//!
//! `--plans` shows what the limit takes with every prefetch plan, `--quick` measures for a tenth of the time, `--scaling` the curves
//! instead of the classes, and `--write` puts the table, the same as CSV, and a plot into `integration/benches/results`. A filter is a part of a name.
//! With `HLO2DAE_DETERMINISTIC` set in the environment, results are the same for any number of threads.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and may fail"
)]

mod array;
mod classes;
mod clock;
mod hlo;
mod limits;
mod plot;
mod report;

use std::collections::HashMap;
use std::path::Path;

use array::Bytes;
use classes::{Class, Ids};
use clock::{Times, timed};
use hlo2dae_backend::native::{Caller, Isa, Options, Plan, Pool, Threads};
use hlo2dae_frontend::{find_regions, outline};
use hlo2dae_hlo::parse_module;
use hlo2dae_ir::core::{Array, Buffer, ElementType, Role};
use hlo2dae_ir::lower::{region_to_scf, scf_to_slc, slc_to_dlc};
use limits::Limit;
use report::Row;

/// A call with its arrays.
struct Prepared {
    plan: Plan,
    /// What an output holds already has no array.
    inputs: Vec<Option<(String, usize)>>,
    outputs: Vec<usize>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let filter: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let seconds = if has("--quick") { 0.1 } else { 1.0 };
    let scaling = has("--scaling");
    let all = if scaling {
        classes::scaling()
    } else {
        classes::classes()
    };
    let chosen: Vec<Class> = all
        .into_iter()
        .filter(|class| filter.is_empty() || filter.iter().any(|f| class.name.contains(f.as_str())))
        .collect();
    let machine = format!("{}, {}, {}", machine(), Isa::best().name(), clock::today());
    println!("{machine}\n\n{}", report::head());
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for class in &chosen {
        match measure(class, seconds) {
            Ok(measured) => {
                for row in measured {
                    println!("{}", row.line());
                    if has("--plans") {
                        row.parts.iter().for_each(|part| println!("  {part}"));
                    }
                    rows.push(row);
                }
            }
            Err(why) => notes.push(format!("{}: {why}", class.name)),
        }
    }
    notes.iter().for_each(|note| println!("\n{note}"));
    if has("--write") {
        let name = if scaling { "scaling" } else { "native" };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
        std::fs::create_dir_all(&folder).unwrap();
        let given = arguments.iter().filter(|argument| *argument != "--bench");
        let given: Vec<&str> = given.map(String::as_str).collect();
        let command = "cargo bench -p hlo2dae-integration --bench native --";
        let lines = rows.iter().map(Row::line).collect::<Vec<_>>().join("\n");
        let notes: String = notes.iter().map(|note| format!("\n{note}\n")).collect();
        let text = format!(
            "`{command} {}`: {machine}\n\n{}\n{lines}\n{notes}",
            given.join(" "),
            report::head()
        );
        std::fs::write(folder.join(format!("{name}.md")), text).unwrap();
        let csv = report::csv(&machine, &rows);
        std::fs::write(folder.join(format!("{name}.csv")), csv).unwrap();
        let draw = if scaling {
            plot::scaling
        } else {
            plot::classes
        };
        draw(&folder.join(format!("{name}.svg")), &machine, &rows).unwrap();
    }
}

/// The CPU and its threads.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    format!(
        "{} (family {}, model {}), {} threads",
        field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        field("cpu family").unwrap_or_default(),
        field("model\t").unwrap_or_default(),
        Threads::default().threads(),
    )
}

/// Measures a class with one thread, and with two where there are two; or says why there is nothing to be measured.
fn measure(class: &Class, seconds: f64) -> Result<Vec<Row>, String> {
    let module = parse_module(&class.text).unwrap();
    let found = find_regions(&module, &hlo2dae_frontend::Options::default()).unwrap();
    if found.regions.is_empty() {
        let misses = found.misses.iter().map(|miss| miss.reason.to_string());
        let why = misses.collect::<Vec<_>>().join("; ");
        return Err(format!("no call, since it has no region. {why}"));
    }
    let mut random = fastrand::Rng::with_seed(1);
    let mut arrays: HashMap<(String, usize), Vec<Bytes>> = HashMap::new();
    let outlined = outline::calls(&module, &found.regions, &outline::Options::default()).unwrap();
    let calls: Vec<Prepared> = outlined
        .iter()
        .map(|call| {
            let streams = scf_to_slc(&region_to_scf(&call.region).unwrap()).unwrap();
            let program = slc_to_dlc(&streams).unwrap();
            let buffers = || program.buffers.values();
            let inputs: Vec<&Buffer> = buffers().filter(|b| b.role == Role::Input).collect();
            for buffer in &inputs {
                arrays
                    .entry(key(buffer))
                    .or_insert_with(|| sets(&mut random, class, buffer));
            }
            let outputs = buffers().filter(|b| matches!(b.role, Role::Output(_)));
            Prepared {
                plan: Plan::new(&program).unwrap(),
                inputs: inputs
                    .iter()
                    .map(|buffer| (!class.in_place || buffer.name != "into").then(|| key(buffer)))
                    .collect(),
                outputs: outputs.map(|buffer| key(buffer).1).collect(),
            }
        })
        .collect();
    for array in arrays.values().flatten() {
        array.collapse();
    }
    let mut limits: Vec<Limit> = class
        .work
        .iter()
        .map(|&work| Limit::new(work, &mut random))
        .collect();
    let cores = Threads::default().threads();
    let rows = [1, 2]
        .into_iter()
        .filter(|&threads| threads <= cores)
        .map(|threads| {
            let pool = Threads::new(Some(threads));
            let pool: &dyn Pool = if threads == 1 { &Caller } else { &pool };
            let mut ours = Times::default();
            limits.iter_mut().for_each(Limit::clear);
            let mut kept = results(&calls);
            if class.in_place {
                // A table, as the inputs are.
                kept.iter().flatten().for_each(Bytes::collapse);
            }
            let start = std::time::Instant::now();
            let (mut rounds, mut runs) = (0, 0);
            while rounds < 5 || (start.elapsed().as_secs_f64() < seconds && rounds < 200) {
                // As often as the limit: both find the caches, those of translations too, as they left them.
                for _ in 0..limits::RUNS {
                    if class.fresh {
                        drop(kept);
                        kept = results(&calls);
                    }
                    ours.push(timed(|| run(&calls, &arrays, runs, &mut kept, pool)));
                    runs += 1;
                }
                for limit in &mut limits {
                    limit.measure(threads);
                }
                rounds += 1;
            }
            Row {
                class: class.name.clone(),
                point: class.point,
                threads,
                calls: calls.len(),
                ours: ours.median().unwrap(),
                limit: limits.iter().map(Limit::best).sum(),
                bytes: class.work.iter().map(|work| work.bytes()).sum(),
                plans: limits.iter().map(Limit::plan).collect(),
                parts: limits.iter().map(Limit::all).collect(),
            }
        })
        .collect();
    Ok(rows)
}

/// Memory for the results of all calls, zeroed by the system when it is touched.
fn results(calls: &[Prepared]) -> Vec<Vec<Bytes>> {
    let outputs = calls.iter().map(|call| &call.outputs);
    outputs
        .map(|sizes| sizes.iter().map(|&size| Bytes::zeros(size)).collect())
        .collect()
}

fn run(
    calls: &[Prepared],
    arrays: &HashMap<(String, usize), Vec<Bytes>>,
    round: usize,
    results: &mut [Vec<Bytes>],
    pool: &dyn Pool,
) {
    for (call, results) in calls.iter().zip(results) {
        let inputs: Vec<&[u8]> = call
            .inputs
            .iter()
            .map(|key| {
                key.as_ref()
                    .map_or(&[][..], |key| arrays[key][round % arrays[key].len()].get())
            })
            .collect();
        let mut outputs: Vec<&mut [u8]> = results.iter_mut().map(Bytes::get_mut).collect();
        let options = Options {
            deterministic: std::env::var_os("HLO2DAE_DETERMINISTIC").is_some(),
            ..Options::default()
        };
        call.plan
            .run(&inputs, &mut outputs, pool, &options)
            .unwrap();
    }
}

/// What tells the arrays of inputs apart.
fn key(buffer: &Buffer) -> (String, usize) {
    let bytes = Array::byte_size(buffer.element, &buffer.dims).unwrap();
    (buffer.name.clone(), bytes)
}

/// The arrays of an input, which take turns: several of ids in no order, so that no cache holds what was looked up the time before.
fn sets(random: &mut fastrand::Rng, class: &Class, buffer: &Buffer) -> Vec<Bytes> {
    let ids = class
        .ids
        .iter()
        .find(|(name, _)| buffer.name.starts_with(name));
    let sets = match ids {
        Some((_, Ids::Below(_))) => {
            let bytes = class.work.iter().map(|work| work.bytes());
            limits::sets(bytes.max().unwrap_or(0))
        }
        Some((_, Ids::Sorted(_))) | None => 1,
    };
    (0..sets).map(|_| input(random, class, buffer)).collect()
}

/// Random bytes of an input.
fn input(random: &mut fastrand::Rng, class: &Class, buffer: &Buffer) -> Bytes {
    let n = buffer.element_count().unwrap() as usize;
    let len = n * buffer.element.bytes();
    match buffer.element {
        ElementType::S32 => {
            let ids = class
                .ids
                .iter()
                .find(|(name, _)| buffer.name.starts_with(name));
            let (_, ids) =
                ids.unwrap_or_else(|| panic!("{}: what is %{}?", class.name, buffer.name));
            let (below, sorted) = match *ids {
                Ids::Below(below) => (below, false),
                Ids::Sorted(below) => (below, true),
            };
            let mut values: Vec<i32> = (0..n).map(|_| random.i32(0..below as i32)).collect();
            if sorted {
                values.sort_unstable();
            }
            Bytes::of(values.iter().flat_map(|id| id.to_le_bytes()), len)
        }
        ElementType::F32 => Bytes::of((0..n).flat_map(|_| random.f32().to_le_bytes()), len),
        // Positive, and at most 1.
        ElementType::BF16 | ElementType::F16 => Bytes::of(
            (0..n).flat_map(|_| random.u16(0..0x3c00).to_le_bytes()),
            len,
        ),
        _ => Bytes::of((0..len).map(|_| random.u8(..)), len),
    }
}
