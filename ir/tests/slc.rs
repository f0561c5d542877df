//! SLC as text: programs in `tests/slc`, invalid ones with their diagnostics in `tests/slc/errors`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/documentation.rs"]
mod documentation;
#[path = "support/texts.rs"]
mod texts;

use hlo2dae_ir::core::{Array, EvalError, Ir, Limits};
use hlo2dae_ir::lower::slc_to_dlc;
use hlo2dae_ir::slc;
use proptest::prelude::*;

fn read(name: &str) -> slc::Func {
    texts::program(&texts::folder("slc").join(name))
        .parse()
        .unwrap()
}

#[test]
fn programs_print_as_they_were_written() {
    for path in texts::files(&texts::folder("slc"), "slc") {
        let text = texts::program(&path);
        let func: slc::Func = text.parse().unwrap();
        func.verify().unwrap();
        assert_eq!(func.to_string(), text, "{}", path.display());
    }
}

#[test]
fn the_documented_program_is_valid() {
    let documented = documentation::programs("slc/mod.rs", "slc.func");
    assert_eq!(documented.len(), 1);
    let func: slc::Func = documented[0].parse().unwrap();
    func.verify().unwrap();
    assert_eq!(func.to_string(), documented[0]);
}

#[test]
fn events_happen_in_the_order_of_the_text() {
    let func = read("event_order.slc");
    let log = [
        100, 200, -1, 1, 3, 300, // no position of %b
        100, 10, 200, 9, 11, 13, 300, //
        400,
    ];
    let mut expected = [-1; 24];
    expected[..log.len()].copy_from_slice(&log);
    let expected = [Array::from_elements(&[24], &expected).unwrap()];
    let limits = Limits::default();
    assert_eq!(func.evaluate(&[], &limits).unwrap(), expected);
    let decoupled = slc_to_dlc(&func).unwrap();
    assert_eq!(decoupled.evaluate(&[], &limits).unwrap(), expected);
}

#[test]
fn errors_are_rendered_at_their_places() {
    let folder = texts::folder("slc/errors");
    texts::assert_closed(&folder, &["slc", "txt"]);
    for path in texts::files(&folder, "slc") {
        let text = texts::program(&path);
        let rendered = match text.parse::<slc::Func>() {
            Ok(func) => texts::render(func.verify().unwrap_err(), &path, &text),
            Err(error) => texts::render(error, &path, &text),
        };
        texts::compare(&path, "txt", &rendered);
    }
}

#[test]
fn a_callback_knows_nothing_of_the_one_before() {
    let path = texts::folder("slc/errors").join("value_of_another_callback.slc");
    assert!(texts::program(&path).parse::<slc::Func>().is_err());
}

#[test]
fn an_access_outside_its_buffer_is_an_error_at_its_place() {
    let text = "slc.func @f {
  input %x: f32[8]
  slc.for %i = 0 to 9 step 1 {
    %e = slc.mem_stream %x[%i]
  }
}
";
    let func: slc::Func = text.parse().unwrap();
    let x = Array::from_elements(&[8], &[0f32; 8]).unwrap();
    let error = func.evaluate(&[x], &Limits::default()).unwrap_err();
    let EvalError::OutOfBounds { indices, span, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(indices, [8]);
    assert_eq!(&text[span.range()], "%e = slc.mem_stream %x[%i]");
}

#[test]
fn an_endless_program_meets_the_limit() {
    let text = "slc.func @f {\n  slc.for %i = 0 to 9223372036854775807 step 1 {\n  }\n}\n";
    let func: slc::Func = text.parse().unwrap();
    let limits = Limits {
        steps: 1000,
        ..Limits::default()
    };
    let error = func.evaluate(&[], &limits).unwrap_err();
    assert_eq!(error, EvalError::Steps { limit: 1000 });
}

#[test]
fn the_last_position_does_not_overflow() {
    let text = "slc.func @f {
  output %n: s32[] = 0
  slc.for %i = 9223372036854775800 to 9223372036854775807 step 5 {
    slc.callback {
      %old = load %n[]
      %one = constant 1: s32
      %new = add %old, %one
      store %new, %n[]
    }
  }
}
";
    let func: slc::Func = text.parse().unwrap();
    let two = Array::from_elements(&[], &[2i32]).unwrap();
    assert_eq!(func.evaluate(&[], &Limits::default()).unwrap(), [two]);
}

#[test]
fn deep_nesting_is_an_error() {
    let mut text = "slc.func @f {".to_owned();
    for i in 0..100_000 {
        text += &format!("slc.for %i{i} = 0 to 1 step 1 {{");
    }
    assert!(text.parse::<slc::Func>().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_damaged_text_never_panics(
        file in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        length in 0usize..30,
        with in "[%{}\\[\\]0-9a-z ,:=.-]{0,6}",
    ) {
        let mut paths = texts::files(&texts::folder("slc"), "slc");
        paths.extend(texts::files(&texts::folder("lower"), "slc"));
        let mut text = texts::program(&paths[file.index(paths.len())]);
        let start = from.index(text.len() + 1);
        let end = (start + length).min(text.len());
        text.replace_range(start..end, &with);
        if let Ok(func) = text.parse::<slc::Func>() {
            let limits = Limits { steps: 1000, bytes: 1 << 16 };
            let read: slc::Func = func.to_string().parse().unwrap();
            prop_assert_eq!(&read, &func);
            let _ = func.evaluate(&[], &limits);
            if let Ok(decoupled) = slc_to_dlc(&func) {
                decoupled.verify().unwrap();
            }
        }
    }
}
