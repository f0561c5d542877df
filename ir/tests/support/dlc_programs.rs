//! Valid DLC programs drawn at random, for property tests here and of the emulated machine.
//!
//! Every case folds what it pops into one number, `%state`, in a way that depends on the order, so that
//! programs that do the same things in another order give other results.

use hlo2dae_ir::core::{
    Access as Place, Arith, Array, BinaryOp, Buffer, BufferId, CompareOp, Compute, ElementType,
    Init, LoopHints, ReadHints, Role, Scalar, ScalarType, Span, StreamExpr as Made, Type,
    ValueData,
};
use hlo2dae_ir::dlc::*;

const S64: ScalarType = ScalarType::Element(ElementType::S64);
const S32: ScalarType = ScalarType::Element(ElementType::S32);
const F32: ScalarType = ScalarType::Element(ElementType::F32);

/// Numbers to make choices with; zeros when they run out, so that fewer numbers make smaller programs.
struct Choices<'a>(std::slice::Iter<'a, u32>);

impl Choices<'_> {
    fn below(&mut self, n: usize) -> usize {
        self.0.next().map_or(0, |&v| v as usize % n)
    }
}

fn buffer(name: &str, element: ElementType, dims: &[u64], role: Role) -> Buffer {
    Buffer {
        name: name.to_owned(),
        element,
        dims: dims.to_vec(),
        role,
        sorted: false,
        span: Span::default(),
    }
}

/// A program made of these choices, and inputs for it.
pub fn program(choices: &[u32]) -> (Program, Vec<Array>) {
    let mut choices = Choices(choices.iter());
    let mut program = Program {
        name: "random".to_owned(),
        buffers: Default::default(),
        access: Access::default(),
        execute: Execute::default(),
    };
    let table = program
        .buffers
        .push(buffer("table", ElementType::F32, &[4, 3], Role::Input));
    let ids = program
        .buffers
        .push(buffer("ids", ElementType::S32, &[5], Role::Input));
    let zero = Init::Splat(Scalar::S64(0));
    let state = program
        .buffers
        .push(buffer("state", ElementType::S64, &[], Role::Output(zero)));
    let scratch = Init::Splat(Scalar::F32(1.0));
    let scratch = program.buffers.push(buffer(
        "scratch",
        ElementType::F32,
        &[4],
        Role::Temp(scratch),
    ));
    for _ in 0..1 + choices.below(5) {
        unit(&mut program.access, &mut choices, table, ids);
    }
    for tu in program.access.units.keys() {
        for event in Event::ALL {
            for _ in 0..choices.below(3) {
                callback(&mut program, &mut choices, tu, event, state, scratch);
            }
        }
    }
    let table: Vec<f32> = (0..12).map(|n| n as f32 * 0.5 - 2.0).collect();
    let ids: Vec<i32> = (0..5).map(|_| choices.below(4) as i32).collect();
    let inputs = vec![
        Array::from_elements(&[4, 3], &table).unwrap(),
        Array::from_elements(&[5], &ids).unwrap(),
    ];
    (program, inputs)
}

/// The streams that a use in `unit` sees.
fn visible(access: &Access, unit: Option<Tu>, ty: ScalarType) -> Vec<Stream> {
    let mut around = Vec::new();
    let mut next = unit;
    while let Some(tu) = next {
        around.push(tu);
        next = access.units[tu].parent;
    }
    let seen = |data: &StreamData| around.contains(&data.unit) && data.ty == ty.into();
    access
        .streams
        .iter()
        .filter(|(_, data)| seen(data))
        .map(|(stream, _)| stream)
        .collect()
}

fn alu(arith: Arith<Stream>) -> StreamExpr {
    StreamExpr::Made(Made::Compute(Compute::Arith(arith)))
}

fn read(buffer: BufferId, indices: Vec<Stream>) -> StreamExpr {
    StreamExpr::Made(Made::Mem {
        access: Place::element(buffer, indices),
        hints: ReadHints::default(),
    })
}

fn computed(arith: Arith<Value>) -> Expr {
    Expr::Compute(Compute::Arith(arith))
}

fn unit(access: &mut Access, choices: &mut Choices, table: BufferId, ids: BufferId) {
    let parent = match choices.below(access.units.len() + 1) {
        0 => None,
        n => access.units.keys().nth(n - 1),
    };
    let bounds = visible(access, parent, ScalarType::Index);
    let mut bound = |constant: i64| match choices.below(bounds.len() * 2 + 1) {
        n if n < bounds.len() => Bound::Value(bounds[n]),
        _ => Bound::Constant(constant),
    };
    let (begin, end) = (bound(0), bound(3));
    let tu = access.new_tu(TuData {
        name: format!("tu{}", access.units.len()),
        parent,
        begin,
        end,
        step: 1 + choices.below(2) as i64,
        lanes: None,
        hints: LoopHints::default(),
        span: Span::default(),
    });
    let push = |access: &mut Access, ty: ScalarType, expr| {
        access.stream(StreamData {
            name: format!("s{}", access.streams.len()),
            ty: ty.into(),
            unit: tu,
            expr,
            span: Span::default(),
        })
    };
    push(access, ScalarType::Index, StreamExpr::InductionVariable);
    for _ in 0..choices.below(5) {
        let indices = visible(access, Some(tu), ScalarType::Index);
        let floats = visible(access, Some(tu), F32);
        let integers = visible(access, Some(tu), S32);
        let mut pick = |from: &[Stream]| from.get(choices.below(from.len().max(1))).copied();
        let index = |n| alu(Arith::Constant(Scalar::Index(n)));
        let (Some(a), Some(b)) = (pick(&indices), pick(&indices)) else {
            continue;
        };
        let (x, id) = (pick(&floats), pick(&integers));
        let clamped = |access: &mut Access, size: i64| {
            let size = push(access, ScalarType::Index, index(size));
            let rem = alu(Arith::Binary(BinaryOp::Rem, a, size));
            let rem = push(access, ScalarType::Index, rem);
            let abs = Arith::Unary(hlo2dae_ir::core::UnaryOp::Abs, rem);
            push(access, ScalarType::Index, alu(abs))
        };
        let (ty, expr) = match (choices.below(6), x, id) {
            (0, _, _) => {
                let indices = vec![clamped(access, 5)];
                (S32, read(ids, indices))
            }
            (1, _, _) => {
                let indices = vec![clamped(access, 4), clamped(access, 3)];
                (F32, read(table, indices))
            }
            (2, Some(x), _) => (F32, alu(Arith::Binary(BinaryOp::Mul, x, x))),
            (3, _, Some(id)) => (
                ScalarType::Index,
                alu(Arith::Convert(id, ScalarType::Index)),
            ),
            (4, _, _) => (ScalarType::BOOL, alu(Arith::Compare(CompareOp::Lt, a, b))),
            (_, _, _) => (ScalarType::Index, index(3)),
        };
        push(access, ty, expr);
    }
}

fn callback(
    program: &mut Program,
    choices: &mut Choices,
    unit: Tu,
    event: Event,
    state: BufferId,
    scratch: BufferId,
) {
    let access = &program.access;
    let reach = match event {
        Event::Iterate => Some(unit),
        Event::Begin | Event::End => access.units[unit].parent,
    };
    let mut seen = Vec::new();
    for ty in [ScalarType::Index, S32, F32, ScalarType::BOOL] {
        seen.extend(visible(access, reach, ty));
    }
    let operands: Vec<Stream> = (0..choices.below(4))
        .filter_map(|_| seen.get(choices.below(seen.len().max(1))).copied())
        .collect();
    let tys: Vec<ScalarType> = operands
        .iter()
        .map(|&s| access.streams[s].ty.scalar())
        .collect();
    let number = program.execute.cases.len();
    let case = program
        .execute
        .cases
        .push(case(number, &tys, choices, state, scratch));
    program.access.register(Callback {
        unit,
        event,
        case,
        operands: operands
            .into_iter()
            .map(|stream| Operand {
                stream,
                span: Span::default(),
            })
            .collect(),
        span: Span::default(),
    });
}

/// `state = state * 31 + number`, and the same with each operand, some of it under a condition.
fn case(
    number: usize,
    tys: &[ScalarType],
    choices: &mut Choices,
    state: BufferId,
    scratch: BufferId,
) -> Case {
    let mut case = Case {
        name: format!("c{number}"),
        ..Case::default()
    };
    let value = |case: &mut Case, ty: ScalarType| {
        case.code.values.push(ValueData {
            name: format!("v{}", case.code.values.len()),
            ty: Type::Scalar(ty),
            span: Span::default(),
        })
    };
    let mut body = Vec::new();
    let popped: Vec<(Value, ScalarType)> = tys
        .iter()
        .map(|&ty| {
            let v = value(&mut case, ty);
            body.push(Statement::Let(v, Expr::Take(Pop)));
            (v, ty)
        })
        .collect();
    let fold = |case: &mut Case, body: &mut Vec<Statement>, arith| {
        let mut add = |case: &mut Case, expr| {
            let v = value(case, S64);
            body.push(Statement::Let(v, expr));
            v
        };
        let load = Expr::Load(Place::element(state, vec![]));
        let old = add(case, load);
        let factor = add(case, computed(Arith::Constant(Scalar::S64(31))));
        let scaled = add(case, computed(Arith::Binary(BinaryOp::Mul, old, factor)));
        let term = add(case, computed(arith));
        let new = add(case, computed(Arith::Binary(BinaryOp::Add, scaled, term)));
        body.push(Statement::Store {
            access: Place::element(state, vec![]),
            value: new,
            span: Span::default(),
        });
    };
    fold(
        &mut case,
        &mut body,
        Arith::Constant(Scalar::S64(number as i64)),
    );
    for &(v, ty) in &popped {
        if ty.is_bool() {
            let (mut then, mut otherwise) = (Vec::new(), Vec::new());
            fold(&mut case, &mut then, Arith::Constant(Scalar::S64(7)));
            if choices.below(2) == 1 {
                fold(&mut case, &mut otherwise, Arith::Constant(Scalar::S64(-7)));
            }
            body.push(Statement::If {
                condition: v,
                then,
                otherwise,
                span: Span::default(),
            });
        } else {
            fold(&mut case, &mut body, Arith::Convert(v, S64));
        }
        if ty == F32 {
            let at = case.code.values.push(ValueData {
                name: format!("at{}", case.code.values.len()),
                ty: Type::INDEX,
                span: Span::default(),
            });
            let place = Scalar::Index(choices.below(4) as i64);
            body.push(Statement::Let(at, computed(Arith::Constant(place))));
            body.push(Statement::Store {
                access: Place::element(scratch, vec![at]),
                value: v,
                span: Span::default(),
            });
        }
    }
    case.code.body = body;
    case
}
