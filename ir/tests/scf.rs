//! SCF as text: invalid programs with their diagnostics in `tests/scf/errors`. Valid ones stand beside
//! the regions that they are made of, in `tests/region`.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/texts.rs"]
mod texts;

use hlo2dae_ir::core::{Ir, Problem, ScalarType, Span, ValueData};
use hlo2dae_ir::scf::{Block, Bound, Builder, Func, Statement};

#[test]
fn programs_print_as_they_were_written() {
    for path in texts::files(&texts::folder("region"), "scf") {
        let text = texts::program(&path);
        let func: Func = text.parse().unwrap();
        func.verify().unwrap();
        assert_eq!(func.to_string(), text, "{}", path.display());
    }
}

#[test]
fn invalid_programs_are_told_what_is_wrong() {
    let folder = texts::folder("scf/errors");
    texts::assert_closed(&folder, &["scf", "txt"]);
    for path in texts::files(&folder, "scf") {
        let text = texts::program(&path);
        let rendered = match text.parse::<Func>() {
            Ok(func) => texts::render(func.verify().unwrap_err(), &path, &text),
            Err(error) => texts::render(error, &path, &text),
        };
        texts::compare(&path, "txt", &rendered);
    }
}

#[test]
fn blocks_in_a_circle_are_found_and_end_no_walk_late() {
    let mut builder = Builder::new("circle", Default::default());
    let bounds = (Bound::Constant(0), Bound::Constant(1), 1);
    builder.open_for("i", bounds, Span::default());
    let mut func = builder.finish();
    let name = |name: &str| ValueData {
        name: name.to_owned(),
        ty: ScalarType::Index,
        span: Span::default(),
    };
    let for_loop = |position, body| Statement::For {
        position,
        begin: Bound::Constant(0),
        end: Bound::Constant(1),
        step: 1,
        body,
    };
    // A loop that is its own body, one that is nowhere, and one whose body does not exist.
    let (j, k) = (func.values.push(name("j")), func.values.push(name("k")));
    let own = Block::from_u32(1);
    func.blocks[own].push(for_loop(j, own));
    let lost = func.blocks.next_key();
    func.blocks.push(vec![for_loop(k, lost)]);
    let ghost = Block::from_u32(4_000_000_000);
    let l = func.values.push(name("l"));
    func.blocks[func.body].push(for_loop(l, ghost));

    let errors = func.verify().unwrap_err().errors;
    let problems: Vec<_> = errors
        .into_iter()
        .map(|e| (e.rule.number, e.problem))
        .collect();
    assert_eq!(
        problems,
        [
            (3, Problem::Dangling(ghost.to_string())),
            (3, Problem::Broken(format!("{own} is the body of 2 things"))),
            (
                3,
                Problem::Broken(format!("{lost} is not part of the function's body"))
            ),
        ]
    );
    assert_eq!(func.to_string().matches("scf.for").count(), 3);
}
