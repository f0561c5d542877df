//! Laws of parser and printer on generated modules and damaged texts.

use hlo2dae_hlo::{PrimitiveType, Shape, parse_module, parse_shape, verify};
use proptest::prelude::*;

/// One instruction of a generated computation: how it is made of earlier ones.
#[derive(Clone, Debug)]
enum Step {
    Parameter,
    Constant(f32),
    Unary(usize, usize),
    Binary(usize, usize, usize),
    Reduce(usize),
    Broadcast(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Parameter),
        any::<f32>().prop_map(Step::Constant),
        (any::<usize>(), 0..4usize).prop_map(|(a, op)| Step::Unary(a, op)),
        (any::<usize>(), any::<usize>(), 0..4usize).prop_map(|(a, b, op)| Step::Binary(a, b, op)),
        any::<usize>().prop_map(Step::Reduce),
        any::<usize>().prop_map(Step::Broadcast),
    ]
}

/// The text of a sound module: vectors `v` and scalars `s`, each step names what it uses.
fn module_text(steps: &[Step], root: usize, names: &[String]) -> String {
    let mut text = String::from(
        "HloModule generated\n\nadd {\n  a = f32[] parameter(0)\n  b = f32[] parameter(1)\n  \
         ROOT c = f32[] add(a, b)\n}\n\nENTRY main {\n",
    );
    let mut vectors = vec!["v".to_owned()];
    let mut scalars = vec!["s".to_owned()];
    let mut parameters = 2;
    let mut lines = vec![
        "v = f32[6] parameter(0)".to_owned(),
        "s = f32[] parameter(1)".to_owned(),
    ];
    for (i, step) in steps.iter().enumerate() {
        let name = format!("{}.{i}", names[i % names.len()]);
        let vector = |n: usize| &vectors[n % vectors.len()];
        let scalar = |n: usize| &scalars[n % scalars.len()];
        let (line, is_vector) = match step {
            Step::Parameter => {
                parameters += 1;
                (format!("f32[6] parameter({})", parameters - 1), true)
            }
            Step::Constant(value) if value.is_finite() => {
                (format!("f32[] constant({value:e})"), false)
            }
            Step::Constant(_) => ("f32[] constant(nan)".to_owned(), false),
            Step::Unary(a, op) => {
                let op = ["negate", "abs", "tanh", "copy"][*op];
                (format!("f32[6] {op}({})", vector(*a)), true)
            }
            Step::Binary(a, b, op) => {
                let op = ["add", "multiply", "maximum", "subtract"][*op];
                (format!("f32[6] {op}({}, {})", vector(*a), vector(*b)), true)
            }
            Step::Reduce(a) => (
                format!(
                    "f32[] reduce({}, {}), dimensions={{0}}, to_apply=add",
                    vector(*a),
                    scalar(*a)
                ),
                false,
            ),
            Step::Broadcast(a) => (
                format!("f32[6] broadcast({}), dimensions={{}}", scalar(*a)),
                true,
            ),
        };
        lines.push(format!("{name} = {line}"));
        if is_vector {
            vectors.push(name);
        } else {
            scalars.push(name);
        }
    }
    let root = root % lines.len();
    for (i, line) in lines.iter().enumerate() {
        text += if i == root { "  ROOT " } else { "  " };
        text += line;
        text += "\n";
    }
    text + "}\n"
}

fn name() -> impl Strategy<Value = String> {
    "[a-z_][a-zA-Z0-9_-]{0,6}".prop_filter("not a reserved word", |n| {
        !n.starts_with("__")
            && PrimitiveType::from_name(n).is_none()
            && ![
                "true", "false", "inf", "nan", "token", "opaque", "manual", "unknown",
            ]
            .contains(&n.as_str())
    })
}

fn generated() -> impl Strategy<Value = String> {
    (
        prop::collection::vec(step(), 0..30),
        any::<usize>(),
        prop::collection::vec(name(), 1..4),
    )
        .prop_map(|(steps, root, names)| module_text(&steps, root, &names))
}

fn shape() -> impl Strategy<Value = Shape> {
    let array = (
        prop::sample::select(PrimitiveType::ALL),
        prop::collection::vec((0..1000i64, any::<bool>()), 0..5),
    )
        .prop_map(|(element, dims)| {
            let text: Vec<String> = dims
                .iter()
                .map(|(size, dynamic)| format!("{}{size}", if *dynamic { "<=" } else { "" }))
                .collect();
            format!("{element}[{}]", text.join(","))
        });
    let leaf =
        prop_oneof![8 => array, 1 => Just("token[]".to_owned()), 1 => Just("opaque[]".to_owned())];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop::collection::vec(inner, 0..6).prop_map(|parts| format!("({})", parts.join(", ")))
    })
    .prop_filter_map("a shape", |text| parse_shape(&text).ok())
}

proptest! {
    #[test]
    fn sound_modules_survive_printing(text in generated()) {
        let module = parse_module(&text).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert!(verify(&module).is_ok());
        let printed = module.to_string();
        let again = parse_module(&printed).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(again.to_string(), printed);
        prop_assert!(again == module);
    }

    #[test]
    fn shapes_survive_printing(shape in shape()) {
        let again = parse_shape(&shape.to_string());
        prop_assert_eq!(again.ok(), Some(shape));
    }

    #[test]
    fn damaged_texts_are_answered(
        text in generated(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = text.into_bytes();
        for (place, byte) in damage {
            let at = place.index(bytes.len());
            match byte % 3 {
                0 => { bytes.remove(at); }
                1 => bytes.insert(at, byte),
                _ => bytes[at] = byte,
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(module) = parse_module(&text) {
            let _ = verify(&module);
            let printed = module.to_string();
            prop_assert!(parse_module(&printed).is_ok(), "{}", printed);
        }
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        let _ = parse_module(&text);
    }

    #[test]
    fn any_words_are_answered(words in prop::collection::vec(prop::sample::select(vec![
        "HloModule", "ENTRY", "ROOT", "m", "%x", "=", "f32[2]", "f32[]{:T(8)}", "(", ")", "{", "}",
        ",", "parameter(0)", "constant", "1", "-inf", "nan(0x7)", "add", "gather", "metadata={",
        "op_name=\"a\"", "sharding={", "devices=[2]<=[2]", "to_apply=", "calls={", "->", ":",
        "...", "/*", "*/", "//", "\n", "\"", "'", "window={size=2}", "#0", "negate-start", "token[]",
    ]), 0..60)) {
        let _ = parse_module(&words.join(" "));
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let depth = 100_000;
    for text in [
        format!(
            "ENTRY e {{ ROOT x = {}f32[]{} parameter(0) }}",
            "(".repeat(depth),
            ")".repeat(depth)
        ),
        format!(
            "ENTRY e {{ x = f32[] parameter(0) ROOT y = f32[] {}x{} }}",
            "negate(".repeat(depth),
            ")".repeat(depth)
        ),
        format!(
            "ENTRY e {{ x = f32[] parameter(0) {} }}",
            "y = f32[] call(x), to_apply={ x = f32[] parameter(0) ".repeat(depth)
        ),
        format!(
            "ENTRY e {{ ROOT x = f32[] constant({}1 }}",
            "{".repeat(depth)
        ),
        format!(
            "ENTRY e {{ ROOT x = f32[] custom-call(), custom_call_target=\"t\", literal={}",
            "(".repeat(depth)
        ),
        format!(
            "ENTRY e {{ ROOT x = f32[] parameter(0), origin={{{}",
            "(".repeat(depth)
        ),
        format!(
            "ENTRY e {{ ROOT x = f32[] parameter(0), sharding={}",
            "{".repeat(depth)
        ),
        format!(
            "ENTRY e {{ ROOT x = f32[] parameter(0), backend_config={}",
            "{".repeat(depth)
        ),
    ] {
        assert!(parse_module(&text).is_err());
    }
}

#[test]
fn an_array_of_many_dimensions_is_no_trouble() {
    let rank = 20_000;
    let text = format!(
        "ENTRY e {{ ROOT x = f32[{}] constant({}1{}) }}",
        vec!["1"; rank].join(","),
        "{".repeat(rank),
        "}".repeat(rank)
    );
    let module = parse_module(&text).map_err(|e| e.to_string());
    assert_eq!(
        module.map(|m| parse_module(&m.to_string()).is_ok()),
        Ok(true)
    );
}

/// Found by fuzzing: a shape that was read before is not taken for the beginning of another one.
#[test]
fn a_layout_belongs_to_its_shape_wherever_it_stands() {
    let text = "ENTRY e (x: f32[2,3]) -> f32[2,3] {
        x = f32[2,3] parameter(0)
        y = f32[2,3] {0,1} copy(x)
        z = f32[2,3]{ 0,1} copy(x)
        w = f32[2,3] /* a comment */ {0,1} copy(x)
        v = f32[2,3]{-1,0} copy(x)
        ROOT u = f32[2,3] copy(w)
    }";
    let module = parse_module(text).map_err(|e| e.to_string());
    let printed = module.map(|m| m.to_string()).unwrap_or_else(|e| e);
    for line in [
        "%y = f32[2,3]{0,1}",
        "%z = f32[2,3]{0,1}",
        "%w = f32[2,3]{0,1}",
        "%v = f32[2,3]{-1,0}",
        "%u = f32[2,3]{1,0}",
    ] {
        assert!(printed.contains(line), "{line}\n{printed}");
    }
}
