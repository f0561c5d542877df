//! The classes of embedding operations that are measured, as the HLO that frameworks print for them.

use crate::hlo::Hlo;

/// One operation at one size.
pub struct Class {
    /// What the table calls it.
    pub name: String,
    /// The module.
    pub text: String,
    /// What the integers of an input are, by its name; an input of floats has no entry.
    pub ids: Vec<(&'static str, Ids)>,
    /// What memory has to do for it at least.
    pub work: Vec<Work>,
    /// Whether results are memory that the system has just given, as large ones of a framework are.
    pub fresh: bool,
    /// Whether results hold already what `into` holds, so that it is updated in place.
    pub in_place: bool,
    /// A point of the scaling curves: the curve, and where on it.
    pub point: Option<(&'static str, u64)>,
}

/// How integers are drawn.
#[derive(Clone, Copy)]
pub enum Ids {
    /// Any below.
    Below(usize),
    /// The same in order.
    Sorted(usize),
}

/// A part of what memory has to do; rows in bytes.
#[derive(Clone, Copy)]
pub enum Work {
    /// Rows loaded in random order, of one table after the other.
    Load {
        tables: usize,
        rows: usize,
        row: usize,
        lookups: usize,
    },
    /// Rows of a table loaded in random order, and stored one behind the other.
    Copy {
        rows: usize,
        row: usize,
        lookups: usize,
    },
    /// Rows read one behind the other, and added to rows of a table in random order.
    Add {
        rows: usize,
        row: usize,
        lookups: usize,
    },
    /// Bytes read from the first to the last.
    Read { bytes: usize },
    /// Bytes set to zero, in memory that the system has just given.
    Zero { bytes: usize },
}

impl Work {
    /// Bytes that go between a core and memory.
    pub fn bytes(self) -> usize {
        match self {
            Work::Load {
                tables,
                row,
                lookups,
                ..
            } => tables * row * lookups,
            Work::Copy { row, lookups, .. } => 2 * row * lookups,
            Work::Add { row, lookups, .. } => 3 * row * lookups,
            Work::Read { bytes } | Work::Zero { bytes } => bytes,
        }
    }
}

impl Hlo {
    fn class(
        &self,
        name: impl Into<String>,
        results: &[(String, String)],
        ids: Vec<(&'static str, Ids)>,
        work: Vec<Work>,
    ) -> Class {
        Class {
            name: name.into(),
            text: self.text(results),
            ids,
            work,
            fresh: false,
            in_place: false,
            point: None,
        }
    }
}

fn result(name: &str, ty: String) -> [(String, String); 1] {
    [(name.to_owned(), ty)]
}

/// Bags of `pooling` rows of a table, added up.
pub fn bag(
    name: impl Into<String>,
    (rows, size): (usize, usize),
    (bags, pooling): (usize, usize),
) -> Class {
    bag_of(name, "f32", 4, (rows, size), (bags, pooling), false)
}

/// The same with a factor for each lookup.
fn weighted_bag(name: &str, table: (usize, usize), bags: (usize, usize)) -> Class {
    bag_of(name, "f32", 4, table, bags, true)
}

fn bag_of(
    name: impl Into<String>,
    element: &str,
    width: usize,
    (rows, size): (usize, usize),
    (bags, pooling): (usize, usize),
    weighted: bool,
) -> Class {
    let mut hlo = Hlo::default();
    hlo.parameter("table", &format!("{element}[{rows},{size}]"));
    hlo.parameter("ids", &format!("s32[{bags},{pooling}]"));
    let dims = format!("{bags},{pooling}");
    hlo.gather(
        "found",
        element,
        ("table", rows, Some(size)),
        ("ids", &dims),
    );
    let mut x = "found";
    let wide = format!("f32[{bags},{pooling},{size}]");
    if element != "f32" {
        hlo.line(&format!("converted = {wide} convert({x})"));
        x = "converted";
    }
    if weighted {
        hlo.parameter("weights", &format!("f32[{dims}]"));
        hlo.line(&format!(
            "spread = {wide} broadcast(weights), dimensions={{0,1}}"
        ));
        hlo.line(&format!("scaled = {wide} multiply({x}, spread)"));
        x = "scaled";
    }
    hlo.line("zero = f32[] constant(0)");
    hlo.line(&format!(
        "out = f32[{bags},{size}] reduce({x}, zero), dimensions={{1}}, to_apply=add"
    ));
    hlo.class(
        name,
        &result("out", format!("f32[{bags},{size}]")),
        vec![("ids", Ids::Below(rows))],
        vec![Work::Load {
            tables: 1,
            rows,
            row: size * width,
            lookups: bags * pooling,
        }],
    )
}

/// Bags over rows of eight bits, each with its scale and its zero point.
fn rowwise_bag(name: &str, (rows, size): (usize, usize), (bags, pooling): (usize, usize)) -> Class {
    let mut hlo = Hlo::default();
    let dims = format!("{bags},{pooling}");
    let wide = format!("f32[{dims},{size}]");
    hlo.parameter("table", &format!("s8[{rows},{size}]"));
    hlo.parameter("scale", &format!("f32[{rows}]"));
    hlo.parameter("shift", &format!("f32[{rows}]"));
    hlo.parameter("ids", &format!("s32[{dims}]"));
    hlo.gather("found", "s8", ("table", rows, Some(size)), ("ids", &dims));
    hlo.gather("s", "f32", ("scale", rows, None), ("ids", &dims));
    hlo.gather("z", "f32", ("shift", rows, None), ("ids", &dims));
    hlo.line(&format!("x = {wide} convert(found)"));
    hlo.line(&format!("s_wide = {wide} broadcast(s), dimensions={{0,1}}"));
    hlo.line(&format!("z_wide = {wide} broadcast(z), dimensions={{0,1}}"));
    hlo.line(&format!("scaled = {wide} multiply(x, s_wide)"));
    hlo.line(&format!("shifted = {wide} add(scaled, z_wide)"));
    hlo.line("zero = f32[] constant(0)");
    hlo.line(&format!(
        "out = f32[{bags},{size}] reduce(shifted, zero), dimensions={{1}}, to_apply=add"
    ));
    let load = |row: usize| Work::Load {
        tables: 1,
        rows,
        row,
        lookups: bags * pooling,
    };
    hlo.class(
        name,
        &result("out", format!("f32[{bags},{size}]")),
        vec![("ids", Ids::Below(rows))],
        vec![load(size), load(4), load(4)],
    )
}

/// A bag over each of many tables: the sparse part of a DLRM.
fn tables(
    name: &str,
    tables: usize,
    (rows, size): (usize, usize),
    (bags, pooling): (usize, usize),
) -> Class {
    let mut hlo = Hlo::default();
    hlo.line("zero = f32[] constant(0)");
    hlo.parameter("ids", &format!("s32[{tables},{bags},{pooling}]"));
    let mut results = Vec::new();
    for t in 0..tables {
        let dims = format!("{bags},{pooling}");
        hlo.parameter(&format!("table{t}"), &format!("f32[{rows},{size}]"));
        hlo.line(&format!(
            "slice{t} = s32[1,{dims}] slice(ids), slice={{[{t}:{}], [0:{bags}], [0:{pooling}]}}",
            t + 1
        ));
        hlo.line(&format!("ids{t} = s32[{dims}] reshape(slice{t})"));
        hlo.gather(
            &format!("found{t}"),
            "f32",
            (&format!("table{t}"), rows, Some(size)),
            (&format!("ids{t}"), &dims),
        );
        let ty = format!("f32[{bags},{size}]");
        hlo.line(&format!(
            "out{t} = {ty} reduce(found{t}, zero), dimensions={{1}}, to_apply=add"
        ));
        results.push((format!("out{t}"), ty));
    }
    hlo.class(
        name,
        &results,
        vec![("ids", Ids::Below(rows))],
        vec![Work::Load {
            tables,
            rows,
            row: size * 4,
            lookups: bags * pooling,
        }],
    )
}

/// Rows of a table.
fn gather(name: impl Into<String>, (rows, size): (usize, usize), lookups: usize) -> Class {
    let mut hlo = Hlo::default();
    hlo.parameter("table", &format!("f32[{rows},{size}]"));
    hlo.parameter("ids", &format!("s32[{lookups}]"));
    hlo.gather(
        "out",
        "f32",
        ("table", rows, Some(size)),
        ("ids", &lookups.to_string()),
    );
    hlo.class(
        name,
        &result("out", format!("f32[{lookups},{size}]")),
        vec![("ids", Ids::Below(rows))],
        vec![Work::Copy {
            rows,
            row: size * 4,
            lookups,
        }],
    )
}

/// What rows are added to.
#[derive(Clone, Copy, PartialEq)]
enum Target {
    /// Zeros: a dense gradient.
    Zeros,
    /// A table, of which the result is a new copy.
    Copy,
    /// A table that is given away, and updated in place.
    Table,
    /// The same, by zeros that the rows are added to, as in a step of gradient descent.
    Descent,
}

/// Rows added to rows of a table, or to zeros.
fn scatter(
    name: &str,
    (rows, size): (usize, usize),
    lookups: usize,
    into: Target,
    ids: Ids,
) -> Class {
    let mut hlo = Hlo::default();
    let ty = format!("f32[{rows},{size}]");
    match into {
        Target::Zeros => hlo.zeros("into", &format!("{rows},{size}")),
        Target::Copy | Target::Table | Target::Descent => hlo.parameter("into", &ty),
    }
    hlo.parameter("x", &format!("f32[{lookups},{size}]"));
    hlo.parameter("ids", &format!("s32[{lookups}]"));
    if into == Target::Descent {
        hlo.zeros("zeros", &format!("{rows},{size}"));
        hlo.scatter("sums", ("zeros", rows, size), "ids", "x", lookups);
        hlo.line(&format!("out = {ty} subtract(into, sums)"));
    } else {
        hlo.scatter("out", ("into", rows, size), "ids", "x", lookups);
    }
    let bytes = rows * size * 4;
    let large = bytes >= 32 << 20;
    let mut work = vec![match ids {
        Ids::Below(_) => Work::Add {
            rows,
            row: size * 4,
            lookups,
        },
        Ids::Sorted(_) => Work::Read {
            bytes: lookups * size * 4,
        },
    }];
    match into {
        Target::Zeros if large => work.push(Work::Zero { bytes }),
        Target::Zeros | Target::Table | Target::Descent => {}
        Target::Copy => work.push(Work::Copy {
            rows,
            row: size * 4,
            lookups: rows,
        }),
    }
    let in_place = matches!(into, Target::Table | Target::Descent);
    Class {
        fresh: large && !in_place,
        in_place,
        ..hlo.class(name, &result("out", ty), vec![("ids", ids)], work)
    }
}

/// A sparse matrix in coordinates, ordered by row, times a dense one.
fn spmm(name: &str, nodes: usize, degree: usize, size: usize) -> Class {
    let edges = nodes * degree;
    let mut hlo = Hlo::default();
    hlo.parameter("x", &format!("f32[{nodes},{size}]"));
    hlo.parameter("values", &format!("f32[{edges}]"));
    hlo.parameter("src", &format!("s32[{edges}]"));
    hlo.parameter("dst", &format!("s32[{edges}]"));
    hlo.gather(
        "found",
        "f32",
        ("x", nodes, Some(size)),
        ("src", &edges.to_string()),
    );
    hlo.line(&format!(
        "wide = f32[{edges},{size}] broadcast(values), dimensions={{0}}"
    ));
    hlo.line(&format!(
        "scaled = f32[{edges},{size}] multiply(found, wide)"
    ));
    hlo.zeros("into", &format!("{nodes},{size}"));
    hlo.scatter("out", ("into", nodes, size), "dst", "scaled", edges);
    hlo.class(
        name,
        &result("out", format!("f32[{nodes},{size}]")),
        vec![("src", Ids::Below(nodes)), ("dst", Ids::Sorted(nodes))],
        edges_work(nodes, edges, size),
    )
}

/// Rows of all sources of edges, the edges, and a row for each node.
fn edges_work(nodes: usize, edges: usize, size: usize) -> Vec<Work> {
    vec![
        Work::Load {
            tables: 1,
            rows: nodes,
            row: size * 4,
            lookups: edges,
        },
        Work::Read { bytes: edges * 12 },
        Work::Zero {
            bytes: nodes * size * 4,
        },
    ]
}

/// A layer of graph attention, as JAX prints it, at 1e5 nodes of degree 16 with 64 features.
fn attention(name: &str) -> Class {
    let (nodes, edges, size) = (100_000, 1_600_000, 64);
    let mut work = edges_work(nodes, edges, size);
    // Three passes over the edges, the first two of which need scores alone.
    work.extend([
        Work::Read { bytes: edges * 8 },
        Work::Read { bytes: edges * 8 },
    ]);
    Class {
        name: name.to_owned(),
        text: include_str!("attention.hlo").to_owned(),
        ids: vec![("src", Ids::Below(nodes)), ("dst", Ids::Sorted(nodes))],
        work,
        fresh: false,
        in_place: false,
        point: None,
    }
}

/// Scores of triples: `score` is `TransE` (a distance) or `DistMult` (a product).
fn triples(name: &str, distance: bool, entities: usize, count: usize, size: usize) -> Class {
    let relations = 1000;
    let mut hlo = Hlo::default();
    hlo.parameter("entities", &format!("f32[{entities},{size}]"));
    hlo.parameter("relations", &format!("f32[{relations},{size}]"));
    let ty = format!("f32[{count},{size}]");
    for ids in ["head", "tail", "relation"] {
        hlo.parameter(ids, &format!("s32[{count}]"));
    }
    let dims = count.to_string();
    for (rows, ids) in [("h", "head"), ("t", "tail")] {
        hlo.gather(
            rows,
            "f32",
            ("entities", entities, Some(size)),
            (ids, &dims),
        );
    }
    hlo.gather(
        "r",
        "f32",
        ("relations", relations, Some(size)),
        ("relation", &dims),
    );
    let steps = if distance {
        [
            "moved = {} add(h, r)",
            "off = {} subtract(moved, t)",
            "each = {} abs(off)",
        ]
        .as_slice()
    } else {
        ["hr = {} multiply(h, r)", "each = {} multiply(hr, t)"].as_slice()
    };
    for step in steps {
        hlo.line(&step.replace("{}", &ty));
    }
    hlo.line("zero = f32[] constant(0)");
    hlo.line(&format!(
        "out = f32[{count}] reduce(each, zero), dimensions={{1}}, to_apply=add"
    ));
    let load = |rows: usize, lookups: usize| Work::Load {
        tables: 1,
        rows,
        row: size * 4,
        lookups,
    };
    hlo.class(
        name,
        &result("out", format!("f32[{count}]")),
        vec![
            ("head", Ids::Below(entities)),
            ("tail", Ids::Below(entities)),
            ("relation", Ids::Below(relations)),
        ],
        vec![load(entities, 2 * count), load(relations, count)],
    )
}

/// All classes. What `peers.py` measures too has its title, so that its table finds the limit here.
pub fn classes() -> Vec<Class> {
    const M: usize = 1_000_000;
    const LOOKUPS: usize = 1 << 17;
    vec![
        bag("bag 1e6 x 64, 2048 x 64", (M, 64), (2048, 64)),
        weighted_bag("weighted bag 1e6 x 64, 2048 x 64", (M, 64), (2048, 64)),
        bag("bag 1e6 x 128, 1024 x 32", (M, 128), (1024, 32)),
        weighted_bag("weighted bag 1e6 x 128, 1024 x 32", (M, 128), (1024, 32)),
        bag("bag 4e6 x 32, 512 x 80", (4 * M, 32), (512, 80)),
        weighted_bag("weighted bag 4e6 x 32, 512 x 80", (4 * M, 32), (512, 80)),
        bag("bag 1e4 x 64 (cache), 2048 x 64", (10_000, 64), (2048, 64)),
        bag("bag 1e5 x 256, 512 x 40", (100_000, 256), (512, 40)),
        bag_of(
            "bf16 bag 1e6 x 64, 2048 x 64",
            "bf16",
            2,
            (M, 64),
            (2048, 64),
            false,
        ),
        bag_of(
            "f16 bag 1e6 x 64, 2048 x 64",
            "f16",
            2,
            (M, 64),
            (2048, 64),
            false,
        ),
        bag_of(
            "int8 bag 1e6 x 64, weighted, 2048 x 64",
            "s8",
            1,
            (M, 64),
            (2048, 64),
            true,
        ),
        rowwise_bag(
            "int8 bag 1e6 x 64 with scale and bias, 2048 x 64",
            (M, 64),
            (2048, 64),
        ),
        tables("26 bags 1e5 x 64, 512 x 20", 26, (100_000, 64), (512, 20)),
        bag("bag 1e6 x 32, 8192 x 1", (M, 32), (8192, 1)),
        bag("bag 1e6 x 64, 16 x 8", (M, 64), (16, 8)),
        bag("bag 1e4 x 64, 8 x 4", (10_000, 64), (8, 4)),
        bag("bag 1e3 x 64, 1 x 4", (1000, 64), (1, 4)),
        gather("gather 131072 x 64 of 1e6", (M, 64), LOOKUPS),
        gather("gather 16 x 64 of 1e6", (M, 64), 16),
        scatter(
            "scatter-add 131072 x 64 into zeros 1e6",
            (M, 64),
            LOOKUPS,
            Target::Zeros,
            Ids::Below(M),
        ),
        scatter(
            "scatter-add 131072 x 64 into 1e6, a copy",
            (M, 64),
            LOOKUPS,
            Target::Copy,
            Ids::Below(M),
        ),
        scatter(
            "scatter-add 131072 x 64 into 1e6, in place",
            (M, 64),
            LOOKUPS,
            Target::Table,
            Ids::Below(M),
        ),
        scatter(
            "gradient descent 131072 x 64 of 1e6",
            (M, 64),
            LOOKUPS,
            Target::Descent,
            Ids::Below(M),
        ),
        scatter(
            "scatter-add 131072 x 64 into 1e4, in place",
            (10_000, 64),
            LOOKUPS,
            Target::Table,
            Ids::Below(10_000),
        ),
        scatter(
            "scatter-add 131072 x 64 into zeros 1e4",
            (10_000, 64),
            LOOKUPS,
            Target::Zeros,
            Ids::Below(10_000),
        ),
        scatter(
            "segment sum 131072 x 64 into 2048, sorted",
            (2048, 64),
            LOOKUPS,
            Target::Zeros,
            Ids::Sorted(2048),
        ),
        scatter(
            "segment sum 131072 x 64 into 2048, unsorted",
            (2048, 64),
            LOOKUPS,
            Target::Zeros,
            Ids::Below(2048),
        ),
        spmm("SpMM 1e5 nodes, degree 16, 64 features", 100_000, 16, 64),
        spmm("SpMM 1e5 nodes, degree 16, 128 features", 100_000, 16, 128),
        attention("GAT layer 1e5 nodes, degree 16, 64 features"),
        triples("TransE 65536 triples x 128", true, M, 1 << 16, 128),
        triples("DistMult 65536 triples x 128", false, M, 1 << 16, 128),
    ]
}

/// The points of the scaling curves.
pub fn scaling() -> Vec<Class> {
    let point =
        |curve: &'static str, x: usize, table: (usize, usize), bags: (usize, usize)| Class {
            point: Some((curve, x as u64)),
            ..bag(format!("{curve} {x}"), table, bags)
        };
    let mut points = Vec::new();
    for x in [1, 3, 4, 16, 31, 64, 100, 128, 256, 1000, 1024] {
        points.push(point("dimension", x, (100_000, x), (1024, 32)));
    }
    for x in [0, 1, 2, 8, 32, 128, 1000, 10_000] {
        points.push(point(
            "pooling",
            x,
            (1_000_000, 64),
            ((1 << 16) / x.max(8), x),
        ));
    }
    for x in [1, 2, 16, 128, 1024, 8192] {
        points.push(point("bags", x, (1_000_000, 64), (x, 32)));
    }
    for x in [1, 10, 100, 1000, 10_000, 100_000, 1_000_000] {
        points.push(point("pooling of one bag", x, (1_000_000, 64), (1, x)));
    }
    for x in [1000, 10_000, 100_000, 1_000_000, 10_000_000] {
        points.push(point("rows of the table", x, (x, 32), (1024, 64)));
    }
    points
}
