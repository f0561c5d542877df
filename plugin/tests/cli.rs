//! The command line as its users meet it: what it prints, and how it ends.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot start its command has failed"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const DONE: Option<i32> = Some(0);
const BAD_INPUT: Option<i32> = Some(2);

/// Stages whose text is read back.
const STAGES: &[&str] = &[
    "hlo",
    "regions",
    "scf",
    "slc",
    "slcv",
    "dlc",
    "rewritten-hlo",
];

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../integration/cases")
        .join(name)
        .join("00-input.hlo")
}

fn hlo2dae(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hlo2dae"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A command that has seen enough closes its end.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The message of a command that must refuse its input.
fn refused(arguments: &[&str], input: &[u8]) -> String {
    let output = hlo2dae(arguments, input);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), BAD_INPUT, "{message}");
    assert!(!message.contains("panicked"), "{message}");
    message
}

/// What a command prints that must succeed.
fn done(arguments: &[&str], input: &[u8]) -> String {
    let output = hlo2dae(arguments, input);
    assert_eq!(output.status.code(), DONE, "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn report_does_the_whole_job() {
    let report = done(&["report", case("tf_bag_reduce").to_str().unwrap()], b"");
    for part in [
        "region @embedding_bag: embedding_bag",
        "emulator ok",
        "48 tokens, 144 operands",
    ] {
        assert!(report.contains(part), "{part} is not in\n{report}");
    }
}

#[test]
fn the_readme_shows_what_is_printed() {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md"))
            .unwrap();
    let model = case("tf_bag_reduce");
    let model = model.to_str().unwrap();
    for arguments in [
        &["report", model] as &[&str],
        &["compile", model, "--emit", "regions"],
        &["compile", model],
    ] {
        let printed = done(arguments, b"");
        assert!(
            readme.contains(printed.trim_end()),
            "README.md does not show {arguments:?}:\n{printed}"
        );
    }
}

#[test]
fn every_stage_is_read_back_unchanged() {
    for name in [
        "tf_bag_reduce",
        "jax_bag_segment_mean",
        "jax_gather_fill",
        "dlrm26_jax",
    ] {
        for stage in STAGES {
            for level in ["-O0", "-O4"] {
                let model = case(name);
                let model = model.to_str().unwrap();
                let printed = done(&["compile", model, level, "--emit", stage], b"");
                assert_eq!(
                    done(&["fmt", "-"], printed.as_bytes()),
                    printed,
                    "{name} {stage}"
                );
            }
        }
    }
}

/// The passes of a level, as `hlo2dae passes` lists them.
fn passes_of(level: &str) -> String {
    let listed = done(&["passes"], b"");
    let lines = listed.lines().skip_while(|line| *line != level).skip(1);
    let lines = lines.take_while(|line| line.starts_with(' '));
    let names: Vec<&str> = lines.filter_map(|l| l.split_whitespace().next()).collect();
    names.join(",")
}

#[test]
fn a_level_is_the_passes_that_are_listed_for_it() {
    let model = case("jax_segment_ops");
    let model = model.to_str().unwrap();
    let streams = done(&["compile", model, "--emit", "slc"], b"");
    let loops = done(&["compile", model, "--emit", "scf"], b"");
    for level in ["1", "2", "3", "4"] {
        let passes = passes_of(&format!("O{level}"));
        let whole = done(&["compile", model, "-O", level, "--emit", "slcv"], b"");
        assert_ne!(whole, streams);
        for text in [&streams, &loops] {
            let found = done(&["opt", "-", "--passes", &passes], text.as_bytes());
            assert_eq!(found, whole, "O{level}");
        }
        let decoupled = done(&["opt", "-", "--to", "dlc"], whole.as_bytes());
        assert_eq!(decoupled, done(&["compile", model, "-O", level], b""));
    }
}

#[test]
fn opt_shows_the_program_after_each_pass() {
    let model = case("tf_bag_reduce");
    let streams = done(&["compile", model.to_str().unwrap(), "--emit", "slc"], b"");
    let arguments = ["opt", "-", "--passes", "simplify,vectorise", "--lanes", "4"];
    let plain = hlo2dae(&arguments, streams.as_bytes());
    let shown = [&arguments[..], &["--print-after", "--verify-each"]].concat();
    let shown = hlo2dae(&shown, streams.as_bytes());
    assert_eq!(shown.stdout, plain.stdout);
    assert!(text(&plain.stdout).contains("slcv.for<4>"));
    let trace = text(&shown.stderr);
    assert!(trace.starts_with("// after simplify\nslc.func"), "{trace}");
    let last = trace.split("// after vectorise\n").nth(1).unwrap();
    assert_eq!(last.trim_end(), text(&plain.stdout).trim_end());
}

#[test]
fn what_opt_cannot_do_is_said() {
    let bag = done(&["compile", case("tf_bag_reduce").to_str().unwrap()], b"");
    let unknown = refused(&["opt", "-", "--passes", "vectorize"], bag.as_bytes());
    assert!(unknown.contains("it has no slc"), "{unknown}");
    let slc = "slc.func @f {\n}\n".as_bytes();
    let unknown = refused(&["opt", "-", "--passes", "vectorize"], slc);
    assert!(unknown.contains("no pass `vectorize`"), "{unknown}");
    assert!(unknown.contains("vectorise"), "{unknown}");
    let lanes = refused(&["opt", "-", "--passes", "vectorise", "--lanes", "1"], slc);
    assert!(lanes.contains("from 2 to 64 lanes"), "{lanes}");
    let told = refused(&["opt", "-", "--passes", "fill_lanes{wide=4}"], slc);
    assert!(told.contains("no parameter `wide`"), "{told}");
    assert!(told.contains("it has lanes"), "{told}");
    let told = refused(&["opt", "-", "--passes", "fill_lanes{lanes=0}"], slc);
    assert!(told.contains("expected a number from 1 to 1024"), "{told}");
    refused(&["opt", "-"], slc);
}

#[test]
fn passes_are_told_what_to_do() {
    let path = case("tf_bag_reduce");
    let model = path.to_str().unwrap();
    let slc = done(&["compile", model, "--emit", "slc"], b"");
    let opt = |passes: &str, more: &[&str]| {
        let command = [&["opt", "-", "--passes", passes], more].concat();
        done(&command, slc.as_bytes())
    };
    let told = opt(
        "split_cores{cores=2}, vectorise{lanes=4} ,fill_lanes{lanes=2},prefetch{distance=3}",
        &[],
    );
    for part in ["cores 2 {", "slcv.for<4>", "lanes 2 prefetch 3 {"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // The machine says what nobody else does.
    assert!(opt("split_cores", &["--machine", "tmu8"]).contains(" cores 4 {"));
    assert!(!opt("split_cores", &[]).contains("cores"));
    assert!(opt("fill_lanes", &["--machine", "small"]).contains(" lanes 2 {"));
    assert!(opt("read_hints{reuse=5}", &[]).contains("reuse = 5"));
    let level = ["compile", model, "-O", "4", "--emit", "slcv"];
    assert!(!done(&level, b"").contains("reuse"));
    let kept = [&level[..], &["--reuse", "7"]].concat();
    assert!(done(&kept, b"").contains("reuse = 7"));
    let listed = done(&["passes"], b"");
    assert!(
        listed.contains(
            "{reuse=N}: rows read last that the access unit keeps, 1 to 1024; none if not said"
        ),
        "{listed}"
    );
}

#[test]
fn levels_and_machines_are_taken_wherever_programs_run() {
    let path = case("tf_bag_reduce");
    let model = path.to_str().unwrap();
    let streams = |more: &[&str]| {
        let report = done(&[&["report", model], more].concat(), b"");
        let (_, streams) = report.split_once("\nstreams at ").unwrap();
        streams.lines().take(2).collect::<Vec<_>>().join("")
    };
    assert!(streams(&[]).starts_with("O0: "));
    assert!(streams(&[]).contains("48 tokens, 144 operands"));
    // A row for each look-up, and a token more for each bag.
    let rows = streams(&["-O", "3"]);
    assert!(
        rows.starts_with("O3: ") && rows.contains("16 tokens, 12 operands"),
        "{rows}"
    );
    // Positions of bags are sent where several cores share them.
    let cores = streams(&["-O", "4", "--machine", "tmu8"]);
    assert!(cores.contains("16 tokens, 16 operands"), "{cores}");
    for machine in ["small", "tmu8"] {
        let verified = done(&["verify", model, "--machine", machine], b"");
        assert!(verified.ends_with("18 checks, 0 failed\n"), "{verified}");
        refused(&["verify", model, "--machine", "none"], b"");
    }
}

#[test]
fn machines_are_listed_and_taken_as_files() {
    let listed = done(&["machines"], b"");
    let names: Vec<&str> = listed
        .lines()
        .filter_map(|l| l.split_whitespace().next())
        .collect();
    assert_eq!(names, ["tmu", "tmu8", "small"]);
    assert!(listed.contains("8 cores of 8 lanes, 4 layers"), "{listed}");
    let tmu = done(&["machines", "tmu"], b"");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("machine.toml");
    let file = file.to_str().unwrap();
    let model = case("tf_bag_reduce");
    let compile = [
        "compile",
        model.to_str().unwrap(),
        "--emit",
        "tmu",
        "--machine",
    ];
    fn with<'a>(compile: &[&'a str], machine: &'a str) -> Vec<&'a str> {
        [compile, &[machine]].concat()
    }
    let with = |machine| with(&compile, machine);
    let changed = |from: &str, to: &str| {
        assert!(tmu.contains(from), "{from}");
        std::fs::write(file, tmu.replace(from, to)).unwrap();
    };

    assert!(done(&with("small"), b"").starts_with("access @embedding_bag for @small {"));
    changed("layers = 4", "layers = 1");
    let split = done(&with(file), b"");
    assert_eq!(
        (
            split.matches(" at host").count(),
            split.matches(" at layer 0 ").count()
        ),
        (2, 1)
    );

    changed("queue_bytes = 2048", "queue_bytes = 8");
    let message = refused(&with(file), b"");
    for part in [
        "queue bytes of a lane: the machine has 8",
        "stream less at a time",
    ] {
        assert!(message.contains(part), "{message}");
    }
    changed("lanes = 8", "lanes = 0");
    assert!(refused(&with(file), b"").contains("lanes is 0, expected at least 1"));
    changed("lanes = 8", "lanes = many");
    assert!(refused(&with(file), b"").contains("machine.toml:7:9"));
    assert!(refused(&with("big"), b"").contains("machines: tmu, tmu8, small"));
    assert!(refused(&["machines", "big"], b"").contains("machines: tmu, tmu8, small"));
}

#[test]
fn the_emulator_tells_its_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counts.json");
    let model = case("tf_bag_reduce");
    let run = |engine: &'static str, level: &'static str| {
        let (model, file) = (model.to_str().unwrap(), file.to_str().unwrap());
        ["run", model, "--engine", engine, level, "--stats", file].map(str::to_owned)
    };
    let counts = |level| -> serde_json::Value {
        let arguments = run("emulator", level);
        done(&arguments.each_ref().map(String::as_str), b"");
        serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap()
    };
    // Four bags of three rows of four elements.
    let scalar = &counts("-O0")[0];
    assert_eq!(scalar["region"], "embedding_bag");
    assert_eq!(
        [&scalar["calls"], &scalar["tokens"], &scalar["operands"]],
        [1, 48, 144]
    );
    let rows = &counts("-O3")[0];
    assert_eq!(
        [&rows["tokens"], &rows["operands"], &rows["operand_bytes"]],
        [16, 12, 192]
    );
    let table = rows["buffers"].as_array().unwrap().iter();
    let read: u64 = table.filter_map(|b| b["streamed"].as_u64()).sum();
    assert_eq!(read, 12 * 4 + 12);
    let arguments = run("dlc", "-O0");
    let message = refused(&arguments.each_ref().map(String::as_str), b"");
    assert!(message.contains("--engine emulator"), "{message}");
}

#[test]
fn a_drawing_has_every_region() {
    let drawing = done(
        &[
            "compile",
            case("dlrm26_jax").to_str().unwrap(),
            "--emit",
            "dot",
        ],
        b"",
    );
    assert_eq!(drawing.matches("subgraph cluster_").count(), 26);
    assert_eq!(drawing.matches('{').count(), drawing.matches('}').count());
}

#[test]
fn all_stages_go_into_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stages");
    done(
        &[
            "compile",
            case("tf_gather").to_str().unwrap(),
            "--emit",
            "all",
            "-o",
            path.to_str().unwrap(),
        ],
        b"",
    );
    for file in [
        "10-graph.hlo",
        "20-regions.region",
        "60-decoupled.dlc",
        "75-stream.txt",
    ] {
        assert!(path.join(file).exists(), "{file}");
    }
}

#[test]
fn tools_get_json() {
    let model = case("jax_bag_segment_mean");
    let explanation: serde_json::Value = serde_json::from_str(&done(
        &["explain", model.to_str().unwrap(), "--format", "json"],
        b"",
    ))
    .unwrap();
    assert_eq!(explanation["regions"][0]["kind"], "embedding_bag");
    assert_eq!(explanation["regions"][0]["pooling"], "mean");
    assert_eq!(
        explanation["regions"][0]["tables"][0]["shape"],
        serde_json::json!([10, 4])
    );
    let verification: serde_json::Value = serde_json::from_str(&done(
        &["verify", model.to_str().unwrap(), "--format", "json"],
        b"",
    ))
    .unwrap();
    assert_eq!(verification["ok"], true);
    let checks = verification["checks"].as_array().unwrap();
    let decoupled = checks.iter().filter(|check| check["engine"] == "dlc");
    let levels: Vec<_> = decoupled.map(|check| check["level"].as_u64()).collect();
    assert_eq!(levels, [Some(0), Some(1), Some(2), Some(3), Some(4)]);
}

#[test]
fn results_come_and_go_as_npz() {
    let folder = tempfile::tempdir().unwrap();
    let [reference, emulator] = ["reference", "emulator"].map(|engine| {
        let path = folder.path().join(format!("{engine}.npz"));
        let model = case("jax_gather_int64");
        let arguments = [
            "run",
            model.to_str().unwrap(),
            "--engine",
            engine,
            "--outputs",
            path.to_str().unwrap(),
        ];
        assert!(done(&arguments, b"").starts_with("out0 "));
        std::fs::read(path).unwrap()
    });
    assert!(!reference.is_empty());
    assert_eq!(reference, emulator);
}

#[test]
fn bad_texts_are_refused_with_a_place() {
    assert!(refused(&["report", "-"], b"").contains("standard input"));
    let noise: Vec<u8> = (0..4096u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    refused(&["report", "-"], &noise);
    refused(&["report", "-"], &[b'{'; 100_000]);
    let wrong_shape =
        "HloModule m\n\nENTRY e {\n  a = f32[4] parameter(0)\n  ROOT b = f32[5] negate(a)\n}\n";
    let message = refused(&["report", "-"], wrong_shape.as_bytes());
    assert!(
        message.contains("standard input:5") && message.contains("f32[4]"),
        "{message}"
    );
    let misspelled = wrong_shape
        .replace("negate", "negatte")
        .replace("f32[5]", "f32[4]");
    let message = refused(&["report", "-"], misspelled.as_bytes());
    assert!(message.contains("negate"), "{message}");
}

#[test]
fn a_truncated_dump_is_refused_wherever_it_ends() {
    let whole = std::fs::read(case("jax_bag_segment_mean")).unwrap();
    for cut in (0..whole.len()).step_by(whole.len() / 40) {
        let output = hlo2dae(&["report", "-"], &whole[..cut]);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), BAD_INPUT, "cut at {cut}: {message}");
        assert!(!message.contains("panicked"), "{message}");
    }
}

#[test]
fn a_large_dump_is_compiled() {
    let mut large = String::from(
        "HloModule large\n\nENTRY e {\n  table = f32[1000,8] parameter(0)\n  ids = s32[16] parameter(1)\n  x0 = f32[16,8] gather(table, ids), offset_dims={1}, collapsed_slice_dims={0}, start_index_map={0}, index_vector_dim=1, slice_sizes={1,8}\n",
    );
    for n in 1..20_000 {
        large += &format!(
            "  x{n} = f32[16,8] negate(x{}), metadata={{op_name=\"layer_{n}\" source_file=\"model.py\" source_line={n}}}\n",
            n - 1
        );
    }
    large += "  ROOT r = f32[16,8] copy(x19999)\n}\n";
    assert!(done(&["explain", "-"], large.as_bytes()).contains("1 region"));
}

#[test]
fn bad_usage_says_what_there_is() {
    let model = case("tf_gather");
    let model = model.to_str().unwrap();
    assert!(refused(&["compile", model, "--emit", "asm"], b"").contains("stages: hlo"));
    assert!(refused(&["run", model, "--engine", "gpu"], b"").contains("engines:"));
    assert!(refused(&["report", "no-such-file.hlo"], b"").contains("no-such-file.hlo"));
    assert!(
        refused(
            &[
                "run",
                model,
                "--engine",
                "dlc",
                "--inputs",
                "no-such-file.npz"
            ],
            b""
        )
        .contains("no-such-file.npz")
    );
    refused(&["frobnicate"], b"");
}
