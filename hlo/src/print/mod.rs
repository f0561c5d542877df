//! [`Module`] to text, as XLA prints it.
//!
//! [`PrintOptions`] choose what is shown. An instruction's attributes stand in the order of the
//! parser's table, a module always states the layout of its entry. Order and names are those of
//! [`Canonical`].
//!
#![doc = include_str!("../../docs/print.md")]

mod literal;
mod options;

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter, Write};

use crate::attribute::{Attribute, AttributeValue, ConvolutionDims, WindowDim};
use crate::canonical::Canonical;
use crate::module::{Computation, ComputationId, Instruction, InstructionId, Module, Payload};
use crate::opcode::Opcode;
use crate::parse::spec::{COMMON, MODULE, Spec, attributes};
use crate::parse::value::is_json_object;
use crate::shape::{ArrayShape, Shape};
pub(crate) use literal::general;
use literal::{print_shaped_literal, shortest};
pub use options::PrintOptions;

/// Prints the items with `separator` between them.
pub(crate) fn join<T>(
    f: &mut Formatter<'_>,
    separator: &str,
    items: impl IntoIterator<Item = T>,
    mut print: impl FnMut(&mut Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            f.write_str(separator)?;
        }
        print(f, item)?;
    }
    Ok(())
}

fn print_array(f: &mut Formatter<'_>, array: &ArrayShape, layout: bool) -> fmt::Result {
    write!(f, "{}[", array.element)?;
    for (i, &size) in array.dims.iter().enumerate() {
        if i > 0 {
            f.write_str(",")?;
        }
        if size == ArrayShape::UNBOUNDED {
            f.write_str("?")?;
            continue;
        }
        if array.dynamic.get(i) == Some(&true) {
            f.write_str("<=")?;
        }
        write!(f, "{size}")?;
    }
    f.write_str("]")?;
    match &array.layout {
        Some(stated)
            if layout && !(stated.minor_to_major.is_empty() && stated.suffix.is_empty()) =>
        {
            f.write_str("{")?;
            join(f, ",", &stated.minor_to_major, |f, d| write!(f, "{d}"))?;
            if !stated.suffix.is_empty() {
                write!(f, ":{}", stated.suffix)?;
            }
            f.write_str("}")
        }
        _ => Ok(()),
    }
}

fn print_shape(f: &mut Formatter<'_>, shape: &Shape, layout: bool) -> fmt::Result {
    match shape {
        Shape::Array(array) => print_array(f, array, layout),
        Shape::Tuple(elements) => {
            f.write_str("(")?;
            for (i, element) in elements.iter().enumerate() {
                list_separator(f, i)?;
                print_shape(f, element, layout)?;
            }
            f.write_str(")")
        }
        Shape::Token => f.write_str("token[]"),
        Shape::Opaque => f.write_str("opaque[]"),
        Shape::Buffer(array) => {
            f.write_str("b(")?;
            print_array(f, array, layout)?;
            f.write_str(")")
        }
    }
}

/// `, ` before all but the first, with the index before every fifth.
fn list_separator(f: &mut Formatter<'_>, index: usize) -> fmt::Result {
    if index > 0 {
        f.write_str(", ")?;
        if index.is_multiple_of(5) {
            write!(f, "/*index={index}*/")?;
        }
    }
    Ok(())
}

impl Display for Shape {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print_shape(f, self, true)
    }
}

impl Display for ArrayShape {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print_array(f, self, true)
    }
}

/// A shape without its layouts.
struct Bare<'s>(&'s Shape);

impl Display for Bare<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print_shape(f, self.0, false)
    }
}

impl Display for Module {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.print(&PrintOptions::long()).fmt(f)
    }
}

impl Module {
    /// The module's text in a form of one's choice; `Display` prints [`PrintOptions::long`].
    ///
    /// ```
    /// use hlo2dae_hlo::PrintOptions;
    ///
    /// let module = hlo2dae_hlo::parse_module("ENTRY f {\n  x = f32[4] parameter(0)\n  ROOT y = f32[4] negate(x)\n}")?;
    /// let short = module.print(&PrintOptions::short()).to_string();
    /// assert!(short.contains("  ROOT y = f32[4]{0} negate(x)\n"));
    /// let long = module.to_string();
    /// assert!(long.contains("  ROOT %y = f32[4]{0} negate(%x)\n"));
    /// # Ok::<(), hlo2dae_hlo::ParseErrors>(())
    /// ```
    pub fn print<'m>(&'m self, options: &'m PrintOptions) -> impl Display + use<'m> {
        Printed {
            module: self,
            options,
        }
    }
}

struct Printed<'m> {
    module: &'m Module,
    options: &'m PrintOptions,
}

impl Display for Printed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let printer = Printer {
            module: self.module,
            canonical: &Canonical::new(self.module),
            options: self.options,
        };
        printer.header(f)?;
        let canonical = printer.canonical;
        let printed = canonical.computations.iter();
        printed
            .filter(|&&id| !canonical.is_folded(id))
            .try_for_each(|&id| printer.computation(f, id))
    }
}

struct Printer<'m> {
    module: &'m Module,
    canonical: &'m Canonical,
    options: &'m PrintOptions,
}

impl Printer<'_> {
    fn header(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let module = self.module;
        write!(f, "HloModule {}", module.name)?;
        let stated = |name: &str| module.attributes.iter().find(|a| a.name == name);
        for spec in MODULE {
            match stated(spec.name) {
                Some(attribute) => self.attribute(f, attribute)?,
                None if spec.name == "entry_computation_layout" => {
                    let entry = module.entry();
                    f.write_str(", entry_computation_layout={(")?;
                    for (i, &parameter) in entry.parameters.iter().enumerate() {
                        list_separator(f, i)?;
                        write!(f, "{}", module.instructions[parameter].shape)?;
                    }
                    write!(f, ")->{}}}", module.instructions[entry.root].shape)?;
                }
                None => {}
            }
        }
        let tables = if self.options.metadata {
            &*module.source_tables
        } else {
            &[]
        };
        for table in tables {
            write!(f, "\n\n{}", table.name)?;
            for (number, row) in &table.rows {
                write!(f, "\n{number} {row}")?;
            }
        }
        f.write_str(if tables.is_empty() { "\n\n" } else { "\n\n\n" })
    }

    fn computation(&self, f: &mut Formatter<'_>, id: ComputationId) -> fmt::Result {
        let module = self.module;
        let computation = &module.computations[id];
        if id == module.entry {
            f.write_str("ENTRY ")?;
        }
        self.computation_name(f, id)?;
        if self.options.signatures {
            self.signature(f, computation)?;
        }
        f.write_str(" {\n")?;
        for &member in &self.canonical.instructions[id] {
            f.write_str(if member == computation.root {
                "  ROOT "
            } else {
                "  "
            })?;
            self.instruction(f, member)?;
            f.write_str("\n")?;
        }
        f.write_str("}")?;
        for attribute in &computation.attributes {
            self.attribute(f, attribute)?;
        }
        f.write_str("\n\n")
    }

    fn signature(&self, f: &mut Formatter<'_>, computation: &Computation) -> fmt::Result {
        let module = self.module;
        f.write_str(" (")?;
        join(f, ", ", &computation.parameters, |f, &parameter| {
            let name = self.canonical.name(module, parameter);
            write!(f, "{name}: {}", Bare(&module.instructions[parameter].shape))
        })?;
        let root = &module.instructions[computation.root];
        write!(f, ") -> {}", Bare(&root.shape))
    }

    fn instruction(&self, f: &mut Formatter<'_>, id: InstructionId) -> fmt::Result {
        let instruction = &self.module.instructions[id];
        let folded = self.canonical.folded(id);
        self.name(f, id)?;
        f.write_str(" = ")?;
        print_shape(f, &instruction.shape, self.options.layouts)?;
        f.write_str(" ")?;
        match folded {
            Some(operation) => {
                let suffix = match instruction.opcode {
                    Opcode::AsyncStart => "start",
                    Opcode::AsyncUpdate => "update",
                    _ => "done",
                };
                write!(
                    f,
                    "{}-{suffix}(",
                    self.module.instructions[operation].opcode
                )?;
            }
            None => write!(f, "{}(", instruction.opcode)?,
        }
        self.arguments(f, instruction)?;
        f.write_str(")")?;
        match folded.map(|operation| &self.module.instructions[operation]) {
            Some(operation) if instruction.opcode == Opcode::AsyncStart => {
                let own = attributes(Opcode::AsyncStart).iter();
                let own: Vec<Spec> = own.copied().filter(|s| s.name != "calls").collect();
                self.attributes(f, instruction, &own)?;
                self.attributes(f, operation, attributes(operation.opcode))?;
            }
            _ => self.attributes(f, instruction, attributes(instruction.opcode))?,
        }
        self.attributes(f, instruction, COMMON)
    }

    fn arguments(&self, f: &mut Formatter<'_>, instruction: &Instruction) -> fmt::Result {
        match &instruction.payload {
            Payload::Parameter(number) => write!(f, "{number}"),
            Payload::Constant(literal) if self.options.elides(literal) => f.write_str("{...}"),
            Payload::Constant(literal) => write!(f, "{literal}"),
            Payload::None => {
                for (i, &operand) in instruction.operands.iter().enumerate() {
                    if self.options.operand_numbers {
                        list_separator(f, i)?;
                    } else if i > 0 {
                        f.write_str(", ")?;
                    }
                    if self.options.operand_shapes {
                        let shape = &self.module.instructions[operand].shape;
                        print_shape(f, shape, self.options.layouts)?;
                        f.write_str(" ")?;
                    }
                    self.name(f, operand)?;
                }
                Ok(())
            }
        }
    }

    fn attributes(
        &self,
        f: &mut Formatter<'_>,
        instruction: &Instruction,
        specs: &[Spec],
    ) -> fmt::Result {
        if instruction.attributes.is_empty() {
            return Ok(());
        }
        specs
            .iter()
            .filter(|spec| self.options.shows(spec.name))
            .filter_map(|spec| {
                let stated = &instruction.attributes;
                stated.iter().find(|a| a.name == spec.name)
            })
            .try_for_each(|attribute| self.attribute(f, attribute))
    }

    fn name(&self, f: &mut Formatter<'_>, id: InstructionId) -> fmt::Result {
        f.write_str(if self.options.percent { "%" } else { "" })?;
        f.write_str(self.canonical.name(self.module, id))
    }

    fn computation_name(&self, f: &mut Formatter<'_>, id: ComputationId) -> fmt::Result {
        f.write_str(if self.options.percent { "%" } else { "" })?;
        f.write_str(self.canonical.computation_name(self.module, id))
    }

    fn attribute(&self, f: &mut Formatter<'_>, attribute: &Attribute) -> fmt::Result {
        write!(f, ", {}=", attribute.name)?;
        match &attribute.value {
            AttributeValue::Bool(value) => write!(f, "{value}"),
            AttributeValue::Integer(value) => write!(f, "{value}"),
            AttributeValue::Float(value) => f.write_str(&shortest(*value, 6, 9, |s| {
                s.parse::<f32>().ok() == Some(*value as f32)
            })),
            AttributeValue::Integers(values) => print_integers(f, values),
            AttributeValue::IntegerLists(lists) => {
                f.write_str("{")?;
                join(f, ",", lists, |f, list| print_integers(f, list))?;
                f.write_str("}")
            }
            AttributeValue::Word(word) => f.write_str(word),
            AttributeValue::Raw(text) if self.options.metadata => f.write_str(text),
            AttributeValue::Raw(text) => f.write_str(&without_metadata(text)),
            AttributeValue::Text(text) => {
                if attribute.name == "backend_config" && is_json_object(text) {
                    f.write_str(text)
                } else {
                    print_quoted(f, text)
                }
            }
            AttributeValue::Computation(id) => self.computation_name(f, *id),
            AttributeValue::Computations(ids) => {
                f.write_str("{")?;
                join(f, ", ", ids, |f, &id| self.computation_name(f, id))?;
                f.write_str("}")
            }
            AttributeValue::Instructions(ids) => {
                f.write_str("{")?;
                join(f, ", ", ids, |f, &id| self.name(f, id))?;
                f.write_str("}")
            }
            AttributeValue::Slices(slices) => {
                // Strides are stated for all dimensions or for none.
                let strided = slices.iter().any(|s| s.2 != 1);
                f.write_str("{")?;
                join(f, ", ", slices, |f, &(start, limit, stride)| {
                    write!(f, "[{start}:{limit}")?;
                    if strided {
                        write!(f, ":{stride}")?;
                    }
                    f.write_str("]")
                })?;
                f.write_str("}")
            }
            AttributeValue::Padding(dims) => {
                let interior = dims.iter().any(|d| d.2 != 0);
                join(f, "x", dims, |f, &(low, high, between)| {
                    write!(f, "{low}_{high}")?;
                    if interior {
                        write!(f, "_{between}")?;
                    }
                    Ok(())
                })
            }
            AttributeValue::Window(dims) => print_window(f, dims),
            AttributeValue::ConvolutionDims(dims) => print_convolution_dims(f, dims),
            AttributeValue::Shape(shape) => write!(f, "{shape}"),
            AttributeValue::Shapes(shapes) => {
                f.write_str("{")?;
                join(f, ", ", shapes, |f, shape| write!(f, "{shape}"))?;
                f.write_str("}")
            }
            AttributeValue::Signature(signature) => {
                f.write_str("{(")?;
                for (i, parameter) in signature.parameters.iter().enumerate() {
                    list_separator(f, i)?;
                    write!(f, "{parameter}")?;
                }
                write!(f, ")->{}}}", signature.result)
            }
            AttributeValue::Literal(literal) => print_shaped_literal(f, literal),
        }
    }
}

/// The canonical text of a sharding without the metadata inside of it.
fn without_metadata(text: &str) -> Cow<'_, str> {
    const METADATA: &str = " metadata={";
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(start) = outside_strings(rest, |rest| rest.starts_with(METADATA)) {
        let (before, metadata) = rest.split_at(start);
        let mut depth = 0;
        let end = outside_strings(metadata, |rest| {
            depth += i32::from(rest.starts_with('{')) - i32::from(rest.starts_with('}'));
            depth == 0 && rest.starts_with('}')
        });
        let Some(end) = end else { break };
        kept.push_str(before);
        rest = metadata.get(end + 1..).unwrap_or_default();
    }
    if kept.is_empty() {
        return Cow::Borrowed(text);
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

/// The first place outside of quoted strings whose rest of the text is `wanted`.
fn outside_strings(text: &str, mut wanted: impl FnMut(&str) -> bool) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if wanted(text.get(at..).unwrap_or_default()) => return Some(at),
            None if c == '"' || c == '\'' => quote = Some(c),
            None => {}
        }
    }
    None
}

fn print_integers(f: &mut Formatter<'_>, values: &[i64]) -> fmt::Result {
    f.write_str("{")?;
    join(f, ",", values, |f, v| write!(f, "{v}"))?;
    f.write_str("}")
}

/// A string in double quotes, C escapes, bytes outside ASCII in octal.
pub(crate) fn print_quoted(f: &mut impl Write, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for b in text.bytes() {
        match b {
            b'\n' => f.write_str("\\n")?,
            b'\r' => f.write_str("\\r")?,
            b'\t' => f.write_str("\\t")?,
            b'"' | b'\'' | b'\\' => write!(f, "\\{}", char::from(b))?,
            0x20..=0x7e => f.write_char(char::from(b))?,
            _ => write!(f, "\\{b:03o}")?,
        }
    }
    f.write_char('"')
}

fn print_window(f: &mut Formatter<'_>, dims: &[WindowDim]) -> fmt::Result {
    f.write_str("{")?;
    let mut first = true;
    let mut part =
        |f: &mut Formatter<'_>,
         name: &str,
         stated: &dyn Fn(&WindowDim) -> bool,
         print: &dyn Fn(&mut Formatter<'_>, &WindowDim) -> fmt::Result| {
            if !dims.iter().any(stated) {
                return Ok(());
            }
            if !std::mem::take(&mut first) {
                f.write_str(" ")?;
            }
            write!(f, "{name}=")?;
            join(f, "x", dims, print)
        };
    part(f, "size", &|_| true, &|f, d| write!(f, "{}", d.size))?;
    part(f, "stride", &|d| d.stride != 1, &|f, d| {
        write!(f, "{}", d.stride)
    })?;
    part(
        f,
        "pad",
        &|d| d.padding_low != 0 || d.padding_high != 0,
        &|f, d| write!(f, "{}_{}", d.padding_low, d.padding_high),
    )?;
    part(f, "lhs_dilate", &|d| d.base_dilation != 1, &|f, d| {
        write!(f, "{}", d.base_dilation)
    })?;
    part(f, "rhs_dilate", &|d| d.window_dilation != 1, &|f, d| {
        write!(f, "{}", d.window_dilation)
    })?;
    part(f, "rhs_reversal", &|d| d.reversal, &|f, d| {
        write!(f, "{}", i32::from(d.reversal))
    })?;
    f.write_str("}")
}

fn print_convolution_dims(f: &mut Formatter<'_>, dims: &ConvolutionDims) -> fmt::Result {
    let group =
        |f: &mut Formatter<'_>, rank: usize, roles: [(Option<i64>, char); 2], spatial: &[i64]| {
            for dim in 0..rank as i64 {
                if let Some(&(_, letter)) = roles.iter().find(|(role, _)| *role == Some(dim)) {
                    f.write_char(letter)?;
                } else if let Some(number) = spatial.iter().position(|&s| s == dim) {
                    write!(f, "{number}")?;
                } else {
                    f.write_char('?')?;
                }
            }
            Ok(())
        };
    let [input, kernel, output] = dims.ranks;
    group(
        f,
        input,
        [(dims.input_batch, 'b'), (dims.input_feature, 'f')],
        &dims.input_spatial,
    )?;
    f.write_str("_")?;
    group(
        f,
        kernel,
        [
            (dims.kernel_input_feature, 'i'),
            (dims.kernel_output_feature, 'o'),
        ],
        &dims.kernel_spatial,
    )?;
    f.write_str("->")?;
    group(
        f,
        output,
        [(dims.output_batch, 'b'), (dims.output_feature, 'f')],
        &dims.output_spatial,
    )
}
