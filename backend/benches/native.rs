//! The native engine against what the machine's memory gives, on random data.
//!
//! `cargo bench -p hlo2dae-backend --bench native [-- FILTER]`
//!
//! The limit is measured in the same run, beside each class: rows of the same size, out of a table of the same size, as many of them, loaded
//! by a plain loop with the best prefetch distances that are found. Of interleaved rounds the best one counts: what else the machine
//! does only makes them slower.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and may fail"
)]

use std::hint::black_box;
use std::time::Instant;

use hlo2dae_backend::native::kernels::{limit, pages};
use hlo2dae_backend::native::prefetch::Prefetch;
use hlo2dae_backend::native::{Caller, Isa, Options, Plan, Pool, Threads};
use hlo2dae_ir::core::{Array, ElementType, Role};
use hlo2dae_ir::lower::{region_to_scf, scf_to_slc, slc_to_dlc};
use hlo2dae_ir::region::Region;

const ROUNDS: usize = 15;

/// One class of embedding operations at one size.
struct Class {
    name: &'static str,
    /// The region.
    text: String,
    /// Below which the integers of each input stay, in the order of the inputs; floats have none.
    below: Vec<u64>,
    /// Sorted inputs, by number.
    sorted: Vec<usize>,
    /// The table whose rows are looked up: rows, elements of a row, lookups.
    rows: (usize, usize, usize),
    /// Bytes written beside.
    written: usize,
}

fn bag(
    name: &'static str,
    element: &str,
    (rows, size): (usize, usize),
    (bags, pooling): (usize, usize),
    weighted: bool,
) -> Class {
    let weights = if weighted {
        format!("  input %w: f32[{bags},{pooling}]\n")
    } else {
        String::new()
    };
    let wide = if element == "f32" { "%x" } else { "%wide" };
    let convert = if element == "f32" {
        ""
    } else {
        "    %wide = convert %x to f32\n"
    };
    let (scale, value) = if weighted {
        (
            format!("    %s = read %w[%b, %l]\n    %y = mul {wide}, %s\n"),
            "%y",
        )
    } else {
        (String::new(), wide)
    };
    Class {
        name,
        text: format!(
            "region @embedding_bag {{
  input %ids: s32[{bags},{pooling}]
  input %table: {element}[{rows},{size}]
{weights}  output %out: f32[{bags},{size}] = 0.0
  nest (%b = {bags}, %l = {pooling}, %d = {size}) {{
    %id = read %ids[%b, %l]
    %row = index %id {{clamp 0..{last}}}
    %x = read %table[%row, %d]
{convert}{scale}    combine add %out[%b, %d], {value}
  }}
}}
",
            last = rows - 1
        ),
        below: vec![rows as u64],
        sorted: vec![],
        rows: (rows, size * bytes(element) / 4, bags * pooling),
        written: 0,
    }
}

fn bytes(element: &str) -> usize {
    ElementType::from_name(element).unwrap().bytes()
}

fn gather(name: &'static str, (rows, size): (usize, usize), lookups: usize) -> Class {
    Class {
        name,
        text: format!(
            "region @gather {{
  input %ids: s32[{lookups}]
  input %table: f32[{rows},{size}]
  output %out: f32[{lookups},{size}]
  nest (%k = {lookups}, %d = {size}) {{
    %id = read %ids[%k]
    %row = index %id {{clamp 0..{last}}}
    %x = read %table[%row, %d]
    combine replace %out[%k, %d], %x
  }}
}}
",
            last = rows - 1
        ),
        below: vec![rows as u64],
        sorted: vec![],
        rows: (rows, size, lookups),
        written: lookups * size * 4,
    }
}

/// Rows added into `rows` rows; of a copy of an input if `update`.
fn scatter(
    name: &'static str,
    (rows, size): (usize, usize),
    lookups: usize,
    sorted: bool,
    update: bool,
) -> Class {
    let table = if update {
        format!("  input %table: f32[{rows},{size}]\n")
    } else {
        String::new()
    };
    let init = if update { "%table" } else { "0.0" };
    Class {
        name,
        text: format!(
            "region @segment_reduce {{
  input %ids: s32[{lookups}]
  input %x: f32[{lookups},{size}]
{table}  output %out: f32[{rows},{size}] = {init}
  nest (%k = {lookups}, %d = {size}) {{
    %id = read %ids[%k]
    %row = index %id {{drop 0..{last}}}
    %v = read %x[%k, %d]
    combine add %out[%row, %d], %v
  }}
}}
",
            last = rows - 1
        ),
        below: vec![rows as u64],
        sorted: if sorted { vec![0] } else { vec![] },
        rows: (rows, size, lookups),
        written: rows * size * 4,
    }
}

fn spmm(name: &'static str, nodes: usize, degree: usize, size: usize) -> Class {
    let edges = nodes * degree;
    Class {
        name,
        text: format!(
            "region @spmm {{
  input %dst: s32[{edges}]
  input %src: s32[{edges}]
  input %val: f32[{edges}]
  input %x: f32[{nodes},{size}]
  output %out: f32[{nodes},{size}] = 0.0
  nest (%k = {edges}, %d = {size}) {{
    %to = read %dst[%k]
    %row = index %to {{drop 0..{last}}}
    %from = read %src[%k]
    %col = index %from {{clamp 0..{last}}}
    %v = read %val[%k]
    %f = read %x[%col, %d]
    %y = mul %v, %f
    combine add %out[%row, %d], %y
  }}
}}
",
            last = nodes - 1
        ),
        below: vec![nodes as u64, nodes as u64],
        sorted: vec![0],
        rows: (nodes, size, edges),
        written: 0,
    }
}

fn triples(name: &'static str, entities: usize, triples: usize, size: usize) -> Class {
    Class {
        name,
        text: format!(
            "region @kg_lookup {{
  input %h: s32[{triples}]
  input %r: s32[{triples}]
  input %t: s32[{triples}]
  input %ent: f32[{entities},{size}]
  input %rel: f32[1000,{size}]
  output %out: f32[{triples}] = 0.0
  nest (%k = {triples}, %d = {size}) {{
    %a = read %h[%k]
    %ai = index %a {{clamp 0..{last}}}
    %b = read %r[%k]
    %bi = index %b {{clamp 0..999}}
    %c = read %t[%k]
    %ci = index %c {{clamp 0..{last}}}
    %x = read %ent[%ai, %d]
    %y = read %rel[%bi, %d]
    %z = read %ent[%ci, %d]
    %s = add %x, %y
    %e = sub %s, %z
    %q = abs %e
    combine add %out[%k], %q
  }}
}}
",
            last = entities - 1
        ),
        below: vec![entities as u64, 1000, entities as u64],
        sorted: vec![],
        rows: (entities, size, 2 * triples),
        written: 0,
    }
}

fn classes() -> Vec<Class> {
    vec![
        bag(
            "bag 1e6x64, 2048 x 64",
            "f32",
            (1_000_000, 64),
            (2048, 64),
            false,
        ),
        bag(
            "bag 1e6x64, 2048 x 64, weighted",
            "f32",
            (1_000_000, 64),
            (2048, 64),
            true,
        ),
        bag(
            "bag 1e6x128, 1024 x 32",
            "f32",
            (1_000_000, 128),
            (1024, 32),
            false,
        ),
        bag(
            "bag 4e6x32, 512 x 80",
            "f32",
            (4_000_000, 32),
            (512, 80),
            false,
        ),
        bag(
            "bag 1e4x64, 2048 x 64",
            "f32",
            (10_000, 64),
            (2048, 64),
            false,
        ),
        bag(
            "bag 1e6x32, 8192 x 1",
            "f32",
            (1_000_000, 32),
            (8192, 1),
            false,
        ),
        bag(
            "bag 1e5x256, 512 x 40",
            "f32",
            (100_000, 256),
            (512, 40),
            false,
        ),
        bag(
            "bag 1e6x64 bf16, 2048 x 64",
            "bf16",
            (1_000_000, 64),
            (2048, 64),
            false,
        ),
        bag(
            "bag 1e6x64 f16, 2048 x 64",
            "f16",
            (1_000_000, 64),
            (2048, 64),
            false,
        ),
        bag(
            "bag 1e6x64 s8, 2048 x 64, weighted",
            "s8",
            (1_000_000, 64),
            (2048, 64),
            true,
        ),
        bag(
            "bag 1e6x16, 2048 x 64",
            "f32",
            (1_000_000, 16),
            (2048, 64),
            false,
        ),
        bag(
            "bag 1e6x100, 1024 x 64",
            "f32",
            (1_000_000, 100),
            (1024, 64),
            false,
        ),
        bag(
            "bag 1e5x1000, 256 x 40",
            "f32",
            (100_000, 1000),
            (256, 40),
            false,
        ),
        bag(
            "bag 1e6x1, 2048 x 64",
            "f32",
            (1_000_000, 1),
            (2048, 64),
            false,
        ),
        bag(
            "bag 1e6x64, 1 x 131072",
            "f32",
            (1_000_000, 64),
            (1, 131_072),
            false,
        ),
        gather("gather 128k x 64", (1_000_000, 64), 131_072),
        scatter(
            "scatter-add 128k x 64 into 1e6, zeroed",
            (1_000_000, 64),
            131_072,
            false,
            false,
        ),
        scatter(
            "scatter-add 128k x 64 into 1e4, zeroed",
            (10_000, 64),
            131_072,
            false,
            false,
        ),
        scatter(
            "segment sum 128k x 64 into 2048, sorted",
            (2048, 64),
            131_072,
            true,
            false,
        ),
        scatter(
            "segment sum 128k x 64 into 2048, unsorted",
            (2048, 64),
            131_072,
            false,
            false,
        ),
        spmm("spmm 1e5, degree 16, 64 features", 100_000, 16, 64),
        spmm("spmm 1e5, degree 16, 128 features", 100_000, 16, 128),
        triples("TransE 64k x 128", 100_000, 65_536, 128),
    ]
}

/// Random bytes of an input.
fn input(
    random: &mut fastrand::Rng,
    element: ElementType,
    n: usize,
    below: u64,
    sorted: bool,
) -> Vec<u8> {
    match element {
        ElementType::S32 => {
            let mut ids: Vec<i32> = (0..n).map(|_| random.u64(0..below) as i32).collect();
            if sorted {
                ids.sort_unstable();
            }
            ids.iter().flat_map(|id| id.to_le_bytes()).collect()
        }
        ElementType::F32 => (0..n).flat_map(|_| random.f32().to_le_bytes()).collect(),
        ElementType::BF16 | ElementType::F16 => (0..n)
            .flat_map(|_| random.u16(0..0x3c00).to_le_bytes())
            .collect(),
        _ => (0..n * element.bytes()).map(|_| random.u8(..)).collect(),
    }
}

fn best_of(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

fn timed(f: impl FnOnce()) -> f64 {
    let start = Instant::now();
    f();
    start.elapsed().as_secs_f64() * 1e3
}

/// The rows of a class, loaded by `threads` threads with one plan.
fn load(threads: usize, table: &[f32], order: &[u32], size: usize, prefetch: Prefetch) {
    let part = order.len().div_ceil(threads);
    Threads::new(Some(threads)).run(threads, &|task| {
        let rows = order
            .get(task * part..((task + 1) * part).min(order.len()))
            .unwrap_or(&[]);
        black_box(limit::random(Isa::best(), table, rows, size, prefetch));
    });
}

fn measure(class: &Class) {
    let region: Region = class.text.parse().unwrap();
    let scf = region_to_scf(&region).unwrap();
    let program = slc_to_dlc(&scf_to_slc(&scf).unwrap()).unwrap();
    let plan = Plan::new(&program).unwrap();
    let inputs: Vec<_> = program
        .buffers
        .values()
        .filter(|b| b.role == Role::Input)
        .collect();
    let outputs: Vec<_> = program
        .buffers
        .values()
        .filter(|b| matches!(b.role, Role::Output(_)))
        .collect();
    let mut random = fastrand::Rng::with_seed(1);
    let mut below = class.below.iter();
    let arrays: Vec<Vec<u8>> = inputs
        .iter()
        .enumerate()
        .map(|(n, buffer)| {
            let count = buffer.element_count().unwrap() as usize;
            let below = match buffer.element {
                ElementType::S32 => *below.next().unwrap(),
                _ => 1,
            };
            input(
                &mut random,
                buffer.element,
                count,
                below,
                class.sorted.contains(&n),
            )
        })
        .collect();
    for array in &arrays {
        pages::collapse(array);
    }
    let arrays: Vec<&[u8]> = arrays.iter().map(Vec::as_slice).collect();
    let sizes: Vec<usize> = outputs
        .iter()
        .map(|b| Array::byte_size(b.element, &b.dims).unwrap())
        .collect();
    let (rows, size, lookups) = class.rows;
    let size = size.max(1);
    let table: Vec<f32> = vec![1.0; rows * size];
    pages::collapse(bytes_of(&table));
    let order: Vec<u32> = (0..lookups).map(|_| random.u32(0..rows as u32)).collect();
    let plans: Vec<Prefetch> = [
        (0, 0),
        (0, 8),
        (0, 16),
        (16, 0),
        (32, 0),
        (48, 0),
        (64, 0),
        (64, 8),
        (32, 8),
    ]
    .into_iter()
    .map(|(l2, l1)| Prefetch { l2, l1 })
    .collect();
    for threads in [1, 2] {
        let (mut ours, mut best) = (Vec::new(), Vec::new());
        let mut limits = vec![Vec::new(); plans.len()];
        let mut kept: Vec<Vec<u8>> = sizes.iter().map(|&size| vec![0; size]).collect();
        for _ in 0..ROUNDS {
            // A framework takes large results from the system anew.
            if class.written > 32 << 20 {
                kept.clear();
                kept = sizes.iter().map(|&size| vec![0; size]).collect();
            }
            let mut outputs: Vec<&mut [u8]> = kept.iter_mut().map(Vec::as_mut_slice).collect();
            ours.push(timed(|| {
                let pool = Threads::new(Some(threads));
                let caller: &dyn Pool = if threads == 1 { &Caller } else { &pool };
                plan.run(&arrays, &mut outputs, caller, &Options::default())
                    .unwrap();
            }));
            for (plan, times) in plans.iter().zip(&mut limits) {
                times.push(timed(|| load(threads, &table, &order, size, *plan)));
            }
        }
        for times in &mut limits {
            best.push(best_of(times));
        }
        let (at, limit) = best
            .iter()
            .copied()
            .enumerate()
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap();
        let ours = best_of(&ours);
        let rate = (lookups * size * 4) as f64 / ours / 1e6;
        println!(
            "| {} | {threads} | {ours:.3} | {limit:.3} | {:.2} | {rate:.1} | {}/{} |",
            class.name,
            limit / ours,
            plans[at].l2,
            plans[at].l1,
        );
    }
}

fn bytes_of(table: &[f32]) -> &[u8] {
    bytemuck::cast_slice(table)
}

fn main() {
    let filter: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    println!(
        "{} threads at most, {}",
        Threads::default().threads(),
        Isa::best().name()
    );
    println!("| class | threads | ms | limit, ms | of the limit | GB/s | best distances |");
    println!("|---|---|---|---|---|---|---|");
    for class in classes() {
        if filter.is_empty() || filter.iter().any(|f| class.name.contains(f.as_str())) {
            measure(&class);
        }
    }
}
