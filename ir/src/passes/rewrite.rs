//! What passes share: names, numbering, definitions of streams, putting code together.

use cranelift_entity::packed_option::ReservedValue as _;
use cranelift_entity::{PrimaryMap, SecondaryMap};
use hashbrown::{HashMap, HashSet};

use crate::core::text::Names;
use crate::core::{Access, Arith, Code, Compute, LoopHints, Scalar, Span, Type, Value, ValueData};
use crate::slc::{
    Body, Bound, Callback, Effect, Expr, Func, Loop, Statement, Step, Stream, StreamDef, StreamExpr,
};

/// Names that no buffer and no stream of a program has.
pub(super) fn names(func: &Func) -> Names {
    let mut names = Names::default();
    let buffers = func.buffers.values().map(|buffer| &buffer.name);
    for name in buffers.chain(func.streams.values().map(|data| &data.name)) {
        names.fresh(name);
    }
    names
}

/// A new stream.
pub(super) fn stream(
    func: &mut Func,
    names: &mut Names,
    name: &str,
    ty: Type,
    span: Span,
) -> Stream {
    let name = names.fresh(name);
    func.streams.push(ValueData { name, ty, span })
}

/// A new value; [`normalise`] sees to it that names differ.
pub(super) fn value(code: &mut Code<Stream>, name: &str, ty: Type, span: Span) -> Value {
    let name = name.to_owned();
    code.values.push(ValueData { name, ty, span })
}

/// Appends `%name = expr`.
pub(super) fn define(
    code: &mut Code<Stream>,
    into: &mut Vec<Statement>,
    name: &str,
    ty: Type,
    expr: Expr,
) -> Value {
    let defined = value(code, name, ty, Span::default());
    into.push(Statement::Let(defined, expr));
    defined
}

/// Appends a constant.
pub(super) fn constant(
    code: &mut Code<Stream>,
    into: &mut Vec<Statement>,
    name: &str,
    scalar: Scalar,
) -> Value {
    let expr = Expr::Compute(Compute::Arith(Arith::Constant(scalar)));
    define(code, into, name, scalar.ty().into(), expr)
}

/// Renumbers streams and values in the order of the text, drops those that nothing defines, and gives values of one code
/// names that differ. A program that is its own text read back stays so under passes that end with this.
pub(super) fn normalise(func: &mut Func) {
    let mut order = Vec::new();
    number(&func.body, &mut order);
    let mut renumbered = SecondaryMap::with_default(Stream::reserved_value());
    let mut streams = PrimaryMap::new();
    for old in order {
        if let Some(data) = func.streams.get(old) {
            renumbered[old] = streams.push(data.clone());
        }
    }
    func.streams = streams;
    let taken: HashSet<String> = func
        .buffers
        .values()
        .map(|buffer| buffer.name.clone())
        .chain(func.streams.values().map(|data| data.name.clone()))
        .collect();
    func.body = map_body(&func.body, &|s| renumbered[s], &|code| {
        number_code(code, &taken)
    });
}

/// The streams in the order in which the text defines them; recursion is as deep as loops nest.
fn number(body: &Body, order: &mut Vec<Stream>) {
    order.extend(body.streams.iter().map(|def| def.stream));
    for inner in body.loops() {
        order.push(inner.induction);
        order.extend(inner.lanes.and_then(|lanes| lanes.mask));
        number(&inner.body, order);
    }
}

fn number_code(code: &Code<Stream>, taken: &HashSet<String>) -> Code<Stream> {
    let mut order = Vec::new();
    for statement in code.statements() {
        match statement {
            Statement::Let(value, _) => order.push(*value),
            Statement::For(inner) => {
                order.push(inner.position);
                order.extend(inner.lanes.and_then(|lanes| lanes.mask));
            }
            Statement::Store { .. } | Statement::If { .. } => {}
        }
    }
    let mut names = taken.clone();
    let mut renumbered = SecondaryMap::with_default(Value::reserved_value());
    let mut values = PrimaryMap::new();
    for old in order {
        if let Some(data) = code.values.get(old) {
            let mut data = data.clone();
            let mut n = 2u64;
            let wish = data.name.clone();
            while !names.insert(data.name.clone()) {
                data.name = format!("{wish}_{n}");
                n += 1;
            }
            renumbered[old] = values.push(data);
        }
    }
    let body = code.body.iter();
    let body = body.map(|s| s.map(&mut |v| renumbered[v], &mut |stream| *stream));
    Code {
        values,
        body: body.collect(),
    }
}

/// The same body of other streams, its code changed.
fn map_body(
    body: &Body,
    stream: &dyn Fn(Stream) -> Stream,
    code: &dyn Fn(&Code<Stream>) -> Code<Stream>,
) -> Body {
    let streams = body.streams.iter().map(|def| StreamDef {
        stream: stream(def.stream),
        expr: def.expr.map(|&s| stream(s)),
    });
    let steps = body.steps.iter().map(|step| match step {
        Step::For(inner) => Step::For(Loop {
            induction: stream(inner.induction),
            lower: inner.lower.map(stream),
            upper: inner.upper.map(stream),
            step: inner.step,
            lanes: inner.lanes.map(|lanes| lanes.map(stream)),
            hints: inner.hints,
            body: map_body(&inner.body, stream, code),
            span: inner.span,
        }),
        Step::Callback(callback) => Step::Callback(Callback {
            code: code(&callback.code.map(|&s| stream(s))),
            span: callback.span,
        }),
    });
    Body {
        streams: streams.collect(),
        effects: body.effects.iter().map(|e| e.map(|&s| stream(s))).collect(),
        steps: steps.collect(),
    }
}

/// Uses other streams in place of some.
pub(super) fn replace_streams(func: &mut Func, with: &HashMap<Stream, Stream>) {
    let find = |s: Stream| with.get(&s).copied().unwrap_or(s);
    func.body = map_body(&func.body, &find, &Code::clone);
}

/// Every access to memory of a code.
pub(super) fn accesses(code: &Code<Stream>) -> impl Iterator<Item = &Access<Value>> {
    code.statements().filter_map(|statement| match statement {
        Statement::Let(_, Expr::Load(access)) | Statement::Store { access, .. } => Some(access),
        Statement::Let(_, _) | Statement::If { .. } | Statement::For(_) => None,
    })
}

/// How many effects append to each row; recursion is as deep as loops nest.
pub(super) fn appends(body: &Body, found: &mut HashMap<Stream, usize>) {
    for effect in &body.effects {
        if let Effect::ToBuffer { row, .. } = effect {
            *found.entry(*row).or_default() += 1;
        }
    }
    for inner in body.loops() {
        appends(&inner.body, found);
    }
}

/// What defines a stream.
#[derive(Clone, Debug)]
pub(super) enum Definition {
    /// The position of a loop.
    Position(LoopShape),
    /// The mask of a loop.
    Mask(LoopShape),
    /// A line of a body.
    Line(StreamExpr),
}

/// A loop without what is in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoopShape {
    pub induction: Stream,
    pub lower: Bound,
    pub upper: Bound,
    pub step: i64,
    pub lanes: Option<u32>,
    pub hints: LoopHints,
}

/// What defines each stream.
pub(super) fn definitions(func: &Func) -> SecondaryMap<Stream, Option<Definition>> {
    let mut definitions = SecondaryMap::new();
    for body in func.bodies() {
        for def in &body.streams {
            definitions[def.stream] = Some(Definition::Line(def.expr.clone()));
        }
        for inner in body.loops() {
            let shape = LoopShape {
                induction: inner.induction,
                lower: inner.lower,
                upper: inner.upper,
                step: inner.step,
                lanes: inner.lanes.map(|lanes| lanes.count),
                hints: inner.hints,
            };
            definitions[inner.induction] = Some(Definition::Position(shape));
            if let Some(mask) = inner.lanes.and_then(|lanes| lanes.mask) {
                definitions[mask] = Some(Definition::Mask(shape));
            }
        }
    }
    definitions
}

/// One code after the other. What both take, the second has from the first.
pub(super) fn append(first: &mut Code<Stream>, second: &Code<Stream>) {
    let mut taken: HashMap<Stream, Value> = HashMap::new();
    for statement in &first.body {
        if let Statement::Let(value, Expr::Take(stream)) = statement {
            taken.entry(*stream).or_insert(*value);
        }
    }
    let mut moved: HashMap<Value, Value> = HashMap::new();
    for (value, data) in &second.values {
        moved.insert(value, first.values.push(data.clone()));
    }
    for statement in &second.body {
        if let Statement::Let(value, Expr::Take(stream)) = statement
            && let Some(&known) = taken.get(stream)
        {
            moved.insert(*value, known);
            continue;
        }
        let find = |v: Value| moved.get(&v).copied().unwrap_or(v);
        first
            .body
            .push(statement.map(&mut |v| find(v), &mut |stream| *stream));
    }
}

/// Uses other values in place of some.
pub(super) fn replace_values(statements: &mut [Statement], with: &HashMap<Value, Value>) {
    let find = |v: Value| with.get(&v).copied().unwrap_or(v);
    for statement in statements {
        *statement = statement.map(&mut |v| find(v), &mut |stream| *stream);
    }
}
