//! SCF programs drawn at random that can be decoupled, for property tests.
//!
//! Every store folds a number into `%state` or into an element of another buffer in a way that depends on the
//! order, so that programs that do the same things in another order give other results.

use std::fmt::Write as _;

use hlo2dae_ir::core::Array;

/// Numbers to make choices with; zeros when they run out, so that fewer numbers make smaller programs.
struct Choices<'a>(std::slice::Iter<'a, u32>);

impl Choices<'_> {
    fn below(&mut self, n: usize) -> usize {
        self.0.next().map_or(0, |&v| v as usize % n)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ty {
    Index,
    S32,
    F32,
    Bool,
}

/// A visible value; `free` if it depends on no written memory and stands under no guard of the execute unit.
#[derive(Clone)]
struct Visible {
    name: String,
    ty: Ty,
    free: bool,
}

struct Generator<'a> {
    choices: Choices<'a>,
    text: String,
    visible: Vec<Visible>,
    next: usize,
    statements: usize,
}

/// The text of a program made of these choices, and inputs for it.
pub fn program(choices: &[u32]) -> (String, Vec<Array>) {
    let mut generator = Generator {
        choices: Choices(choices.iter()),
        text: "scf.func @random {
  input %table: f32[4,3]
  input %ids: s32[5]
  output %out: f32[4] = 1.0
  output %state: s32[] = 1
  temp %cells: s32[3] = 2
"
        .to_owned(),
        visible: Vec::new(),
        next: 0,
        statements: 0,
    };
    generator.block(0, false, true);
    generator.text.push_str("}\n");
    let table: Vec<f32> = (0..12).map(|n| n as f32 * 0.5 - 2.0).collect();
    let ids: Vec<i32> = (0..5)
        .map(|_| generator.choices.below(9) as i32 - 2)
        .collect();
    let inputs = vec![
        Array::from_elements(&[4, 3], &table).unwrap(),
        Array::from_elements(&[5], &ids).unwrap(),
    ];
    (generator.text, inputs)
}

impl Generator<'_> {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").unwrap();
    }

    fn define(&mut self, ty: Ty, free: bool, expr: std::fmt::Arguments<'_>) -> Visible {
        let name = format!("%v{}", self.next);
        self.next += 1;
        self.line(format_args!("{name} = {expr}"));
        let value = Visible { name, ty, free };
        self.visible.push(value.clone());
        value
    }

    fn pick(&mut self, ty: Ty, only_free: bool) -> Option<Visible> {
        let fitting: Vec<usize> = (0..self.visible.len())
            .filter(|&i| self.visible[i].ty == ty && (self.visible[i].free || !only_free))
            .collect();
        let at = self.choices.below(fitting.len().max(1));
        fitting.get(at).map(|&i| self.visible[i].clone())
    }

    fn value(&mut self, ty: Ty) -> Visible {
        match self.pick(ty, false) {
            Some(value) => value,
            None => {
                let constant = match ty {
                    Ty::Index => "constant 2: index",
                    Ty::S32 => "constant 3: s32",
                    Ty::F32 => "constant 0.5: f32",
                    Ty::Bool => "constant true: bool",
                };
                self.define(ty, true, format_args!("{constant}"))
            }
        }
    }

    /// An index that lies in `0..size`.
    fn inside(&mut self, size: usize) -> Visible {
        let at = self.value(Ty::Index);
        let size = self.define(Ty::Index, true, format_args!("constant {size}: index"));
        let free = at.free;
        let rem = self.define(
            Ty::Index,
            free,
            format_args!("rem {}, {}", at.name, size.name),
        );
        self.define(Ty::Index, free, format_args!("abs {}", rem.name))
    }

    /// A block, inside `depth` others; `loops` may stand in it.
    fn block(&mut self, depth: usize, guarded: bool, loops: bool) {
        let outside = self.visible.len();
        for _ in 0..1 + self.choices.below(6) {
            if self.statements == 60 {
                break;
            }
            self.statements += 1;
            match self.choices.below(10) {
                0..=2 if loops && depth < 4 => self.traversal(depth, guarded),
                3 if depth < 5 => self.guard(depth, guarded, loops),
                4 | 5 => self.load(guarded),
                6 | 7 => self.arithmetic(),
                _ => self.store(),
            }
        }
        self.store();
        self.visible.truncate(outside);
    }

    fn traversal(&mut self, depth: usize, guarded: bool) {
        let mut bound = |constant: &str| {
            let picked = match self.choices.below(2) {
                0 => None,
                _ => self.pick(Ty::Index, true),
            };
            // Bounds of any size would make runs of any length.
            match picked {
                None => constant.to_owned(),
                Some(value) => {
                    let five = self.define(Ty::Index, true, format_args!("constant 5: index"));
                    let expr = format!("rem {}, {}", value.name, five.name);
                    self.define(Ty::Index, true, format_args!("{expr}")).name
                }
            }
        };
        let (begin, end) = (bound("-1"), bound("2"));
        let step = 1 + self.choices.below(3);
        let position = format!("%i{}", self.next);
        self.next += 1;
        self.line(format_args!(
            "scf.for {position} = {begin} to {end} step {step} {{"
        ));
        self.visible.push(Visible {
            name: position,
            ty: Ty::Index,
            free: true,
        });
        self.block(depth + 1, guarded, true);
        self.visible.pop();
        self.line(format_args!("}}"));
    }

    fn guard(&mut self, depth: usize, guarded: bool, loops: bool) {
        let around_loops = loops && !guarded && self.choices.below(2) == 1;
        let picked = match self.pick(Ty::Bool, around_loops) {
            Some(condition) => condition,
            None => self.define(Ty::Bool, true, format_args!("constant true: bool")),
        };
        // Only with a loop inside is it the access unit's; a guard without one may be either's.
        self.line(format_args!("scf.if {} {{", picked.name));
        let inside = |generator: &mut Self| {
            if around_loops {
                generator.traversal(depth + 1, false);
            }
            generator.block(depth + 1, !around_loops, around_loops);
        };
        let outside = self.visible.len();
        inside(self);
        self.visible.truncate(outside);
        if self.choices.below(2) == 1 {
            self.line(format_args!("}} else {{"));
            inside(self);
            self.visible.truncate(outside);
        }
        self.line(format_args!("}}"));
    }

    fn load(&mut self, guarded: bool) {
        match self.choices.below(4) {
            0 => {
                let at = self.inside(5);
                let free = at.free && !guarded;
                self.define(Ty::S32, free, format_args!("load %ids[{}]", at.name));
            }
            1 => {
                let (row, column) = (self.inside(4), self.inside(3));
                let free = row.free && column.free && !guarded;
                let expr = format!("load %table[{}, {}]", row.name, column.name);
                self.define(Ty::F32, free, format_args!("{expr}"));
            }
            2 => {
                let at = self.inside(4);
                self.define(Ty::F32, false, format_args!("load %out[{}]", at.name));
            }
            _ => {
                let at = self.inside(3);
                self.define(Ty::S32, false, format_args!("load %cells[{}]", at.name));
            }
        }
    }

    fn arithmetic(&mut self) {
        let ty = [Ty::Index, Ty::S32, Ty::F32, Ty::Bool][self.choices.below(4)];
        let (a, b) = (self.value(ty), self.value(ty));
        let both = a.free && b.free;
        let choice = self.choices.below(5);
        match (choice, ty) {
            (0, _) => {
                let op = ["add", "mul", "min", "max"][self.choices.below(4)];
                self.define(ty, both, format_args!("{op} {}, {}", a.name, b.name));
            }
            (1, _) => {
                let op = ["lt", "eq", "ge"][self.choices.below(3)];
                let expr = format!("{op} {}, {}", a.name, b.name);
                self.define(Ty::Bool, both, format_args!("{expr}"));
            }
            (2, _) => {
                let condition = self.value(Ty::Bool);
                let free = both && condition.free;
                let expr = format!("select {}, {}, {}", condition.name, a.name, b.name);
                self.define(ty, free, format_args!("{expr}"));
            }
            (_, _) => {
                let (to, name) = [(Ty::Index, "index"), (Ty::S32, "s32"), (Ty::F32, "f32")]
                    [self.choices.below(3)];
                self.define(to, a.free, format_args!("convert {} to {name}", a.name));
            }
        }
    }

    /// Folds a value into a buffer.
    fn store(&mut self) {
        let ty = [Ty::Index, Ty::S32, Ty::F32, Ty::Bool][self.choices.below(4)];
        let value = self.value(ty);
        let (buffer, element) = match self.choices.below(3) {
            0 => (format!("%out[{}]", self.inside(4).name), Ty::F32),
            1 => (format!("%cells[{}]", self.inside(3).name), Ty::S32),
            _ => ("%state[]".to_owned(), Ty::S32),
        };
        let (name, factor) = match element {
            Ty::F32 => ("f32", "constant 0.75: f32"),
            Ty::S32 | Ty::Index | Ty::Bool => ("s32", "constant 31: s32"),
        };
        let old = self.define(element, false, format_args!("load {buffer}"));
        let factor = self.define(element, true, format_args!("{factor}"));
        let scaled = format!("mul {}, {}", old.name, factor.name);
        let scaled = self.define(element, false, format_args!("{scaled}"));
        let term = format!("convert {} to {name}", value.name);
        let term = self.define(element, value.free, format_args!("{term}"));
        let new = format!("add {}, {}", scaled.name, term.name);
        let new = self.define(element, false, format_args!("{new}"));
        self.line(format_args!("store {}, {buffer}", new.name));
    }
}
