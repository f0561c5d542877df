//! What is shipped: the two programs of a decoupled machine, and what they expect of their caller.
//!
//! # Binary form
//!
//! [`Artifact::encode`] and [`Artifact::decode`]; [`crate::isa::bytes`] says how numbers, names and lists are written.
//!
//! | part | contents |
//! |---|---|
//! | mark | the four bytes `h2da` |
//! | version | one byte, 1 |
//! | names | of the program, of the machine that it was compiled for |
//! | buffers | list: name, element type, list of sizes, flags (one byte: 0 input, 1 output, 2 temporary; plus 4 if sorted), for outputs and temporaries the initial value: a byte 0 (none), 1 (a value: its bits, an unsigned number), 2 (a copy: number of the buffer) |
//! | slots | list: name, type |
//! | units | list: name |
//! | access program | list of instructions |
//! | cases | list: name; registers, a list of name and type; list of instructions |
//!
//! An instruction is its opcode, one byte, and its fields as the reference page lists them. What a text's spans say
//! is not part of it.
//!
//! # Text form
//!
//! [`Artifact::access_text`] and [`Artifact::execute_text`] print the two programs; one behind the other, they are read
//! back by [`Artifact::assemble`].

use std::fmt::{self, Write as _};

use cranelift_entity::PrimaryMap;
use hlo2dae_ir::core::{
    Buffer, BufferId, Diagnostics, ElementType, Init, ParseError, Role, Scalar, ScalarType, Span,
    text,
};

use crate::access::{Instruction, UnitData};
use crate::execute::{Case, CaseId};
use crate::isa::{Assembler, DecodeError, Decoder, Encoder, Field, Names, Table};
use crate::value::ValueData;
use crate::{access, execute, verify};

/// A compiled program.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    /// Name without `@`.
    pub name: String,
    /// The machine that it was compiled for.
    pub machine: String,
    /// The buffers. The caller gives the inputs and takes the outputs, both in this order.
    pub buffers: PrimaryMap<BufferId, Buffer>,
    /// What the access unit runs.
    pub access: access::Program,
    /// What the execute unit runs.
    pub execute: execute::Program,
}

const MARK: &[u8; 4] = b"h2da";

/// The version of the encoding that this library writes, and the only one that it reads.
pub const VERSION: u8 = 1;

impl Artifact {
    /// The buffers that the caller gives, in order.
    pub fn inputs(&self) -> impl Iterator<Item = (BufferId, &Buffer)> {
        self.buffers.iter().filter(|(_, buffer)| match buffer.role {
            Role::Input => true,
            Role::Output(_) | Role::Temp(_) => false,
        })
    }

    /// The buffers that the caller takes, in order.
    pub fn outputs(&self) -> impl Iterator<Item = (BufferId, &Buffer)> {
        self.buffers.iter().filter(|(_, buffer)| match buffer.role {
            Role::Output(_) => true,
            Role::Input | Role::Temp(_) => false,
        })
    }

    /// Checks the rules of [`verify`].
    ///
    /// # Errors
    ///
    /// Everything that breaks one.
    pub fn verify(&self) -> Result<(), Diagnostics> {
        verify::verify(self)
    }

    /// The binary form.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::default();
        to.raw(MARK);
        to.byte(VERSION);
        to.name(&self.name);
        to.name(&self.machine);
        to.unsigned(self.buffers.len() as u64);
        for buffer in self.buffers.values() {
            encode_buffer(buffer, &mut to);
        }
        encode_values(self.access.slots.values(), &mut to);
        to.unsigned(self.access.units.len() as u64);
        for unit in self.access.units.values() {
            to.name(&unit.name);
        }
        encode_code(&self.access.code, &mut to);
        to.unsigned(self.execute.cases.len() as u64);
        for case in self.execute.cases.values() {
            to.name(&case.name);
            encode_values(case.registers.values(), &mut to);
            encode_code(&case.code, &mut to);
        }
        to.into_bytes()
    }

    /// Reads the binary form. What is read may still break the rules of [`verify`].
    ///
    /// # Errors
    ///
    /// The bytes are no artifact.
    pub fn decode(bytes: &[u8]) -> Result<Artifact, DecodeError> {
        let mut from = Decoder::new(bytes);
        match from.raw(MARK.len(), "mark") {
            Ok(mark) if mark == MARK => {}
            Ok(_) | Err(_) => return Err(DecodeError::Mark),
        }
        let version = from.byte("version")?;
        if version != VERSION {
            return Err(DecodeError::Version {
                expected: VERSION,
                found: version,
            });
        }
        let name = from.name("name of the program")?;
        let machine = from.name("name of the machine")?;
        let buffers = from.list("buffers", decode_buffer)?;
        let slots = decode_values(&mut from)?;
        let units = from.list("units", |from| {
            Ok(UnitData {
                name: from.name("name of a unit")?,
                span: Span::default(),
            })
        })?;
        let code = from.list("instructions", Instruction::decode)?;
        let cases = from.list("cases", |from| {
            Ok(Case {
                name: from.name("name of a case")?,
                registers: decode_values(from)?.into_iter().collect(),
                code: from.list("instructions", execute::Instruction::decode)?,
                span: Span::default(),
            })
        })?;
        from.finish()?;
        Ok(Artifact {
            name,
            machine,
            buffers: buffers.into_iter().collect(),
            access: access::Program {
                slots: slots.into_iter().collect(),
                units: units.into_iter().collect(),
                code,
            },
            execute: execute::Program {
                cases: cases.into_iter().collect(),
            },
        })
    }

    /// The access program, with the declarations of the buffers.
    pub fn access_text(&self) -> impl fmt::Display + '_ {
        AccessText(self)
    }

    /// The execute program.
    pub fn execute_text(&self) -> impl fmt::Display + '_ {
        ExecuteText(self)
    }

    /// Reads both texts, the access program first. What is read may still break the rules of [`verify`].
    ///
    /// # Errors
    ///
    /// The first place where the text is not what the syntax takes.
    pub fn assemble(text: &str) -> Result<Artifact, ParseError> {
        let mut from = Assembler::new(text)?;
        from.cursor.expect_word("access")?;
        let name = from.cursor.symbol()?.0.to_owned();
        from.cursor.expect_word("for")?;
        let machine = from.cursor.symbol()?.0.to_owned();
        from.cursor.expect("{")?;
        let buffers = from.cursor.buffers(&mut text::Scope::new(), |id| id)?;
        for (id, buffer) in &buffers {
            from.buffers.insert(buffer.name.clone(), id);
        }
        let code = assemble_access(&mut from)?;
        from.cursor.expect_word("execute")?;
        let (again, span) = from.cursor.symbol()?;
        if again != name {
            return Err(ParseError::Unexpected {
                expected: format!("`@{name}`"),
                found: format!("`@{again}`"),
                span,
            });
        }
        from.cursor.expect("{")?;
        let mut cases = PrimaryMap::new();
        while !from.cursor.eat("}") {
            let id: CaseId = cases.next_key();
            from.next_entity(id)?;
            cases.push(assemble_case(&mut from)?);
        }
        from.cursor.expect_end()?;
        Ok(Artifact {
            name,
            machine,
            buffers,
            access: access::Program {
                slots: from.slots,
                units: from.units,
                code,
            },
            execute: execute::Program { cases },
        })
    }
}

impl std::str::FromStr for Artifact {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Artifact, ParseError> {
        Artifact::assemble(text)
    }
}

/// Both texts.
impl fmt::Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        AccessText(self).fmt(f)?;
        ExecuteText(self).fmt(f)
    }
}

fn encode_buffer(buffer: &Buffer, to: &mut Encoder) {
    to.name(&buffer.name);
    let element = ElementType::ALL.iter().position(|&e| e == buffer.element);
    to.unsigned(element.unwrap_or(0) as u64);
    to.unsigned(buffer.dims.len() as u64);
    for &dim in &buffer.dims {
        to.unsigned(dim);
    }
    let (role, init) = match &buffer.role {
        Role::Input => (0, None),
        Role::Output(init) => (1, Some(init)),
        Role::Temp(init) => (2, Some(init)),
    };
    to.byte(role + if buffer.sorted { 4 } else { 0 });
    match init {
        None => {}
        Some(Init::Undefined) => to.byte(0),
        Some(Init::Splat(value)) => {
            to.byte(1);
            to.unsigned(value.bits());
        }
        Some(Init::Copy(from)) => {
            to.byte(2);
            to.unsigned(from.as_u32().into());
        }
    }
}

fn decode_buffer(from: &mut Decoder<'_>) -> Result<Buffer, DecodeError> {
    let name = from.name("name of a buffer")?;
    let element = from.choice(ElementType::ALL, "element type")?;
    let dims = from.list("sizes", |from| from.unsigned("size"))?;
    let offset = from.offset();
    let code = from.byte("role of a buffer")?;
    let no_code = |offset, item, code: u8| DecodeError::Code {
        offset,
        item,
        code: code.into(),
    };
    let (role, sorted) = (code & 3, code & 4 != 0);
    let role = match role {
        0 if code < 8 => Role::Input,
        1 if code < 8 => Role::Output(decode_init(element, from)?),
        2 if code < 8 => Role::Temp(decode_init(element, from)?),
        _ => return Err(no_code(offset, "role of a buffer", code)),
    };
    Ok(Buffer {
        name,
        element,
        dims,
        role,
        sorted,
        span: Span::default(),
    })
}

fn decode_init(element: ElementType, from: &mut Decoder<'_>) -> Result<Init, DecodeError> {
    let item = "initial value";
    let offset = from.offset();
    Ok(match from.byte(item)? {
        0 => Init::Undefined,
        1 => {
            let offset = from.offset();
            let bits = from.unsigned(item)?;
            let value = Scalar::from_bits(ScalarType::Element(element), bits);
            if value.bits() != bits {
                return Err(DecodeError::Number { offset, item });
            }
            Init::Splat(value)
        }
        2 => Init::Copy(crate::isa::decode_id(from, item)?),
        code => {
            return Err(DecodeError::Code {
                offset,
                item,
                code: code.into(),
            });
        }
    })
}

fn encode_values<'a>(values: impl ExactSizeIterator<Item = &'a ValueData>, to: &mut Encoder) {
    to.unsigned(values.len() as u64);
    for value in values {
        to.name(&value.name);
        value.ty.encode(to);
    }
}

fn decode_values(from: &mut Decoder<'_>) -> Result<Vec<ValueData>, DecodeError> {
    from.list("values", |from| {
        Ok(ValueData {
            name: from.name("name of a value")?,
            ty: Field::decode(from)?,
            span: Span::default(),
        })
    })
}

fn encode_code<T: Table>(code: &[T], to: &mut Encoder) {
    to.unsigned(code.len() as u64);
    for instruction in code {
        instruction.encode(to);
    }
}

struct AccessText<'a>(&'a Artifact);

impl fmt::Display for AccessText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let artifact = self.0;
        writeln!(f, "access @{} for @{} {{", artifact.name, artifact.machine)?;
        text::print_buffers(f, "  ", &artifact.buffers)?;
        let registers = PrimaryMap::new();
        let names = Names::access(artifact, &registers);
        let mut open = false;
        for instruction in &artifact.access.code {
            if let Instruction::Unit(_) = instruction {
                if open {
                    writeln!(f, "  }}")?;
                }
                open = true;
                f.write_str("  ")?;
                instruction.print(f, &names)?;
                writeln!(f, " {{")?;
            } else {
                f.write_str("    ")?;
                instruction.print(f, &names)?;
                f.write_char('\n')?;
            }
        }
        if open {
            writeln!(f, "  }}")?;
        }
        writeln!(f, "}}")
    }
}

fn assemble_access(from: &mut Assembler<'_>) -> Result<Vec<Instruction>, ParseError> {
    let mut code = Vec::new();
    while !from.cursor.eat("}") {
        let unit = from.instruction()?;
        if !matches!(unit, Instruction::Unit(_)) {
            return from.cursor.unexpected("`unit`");
        }
        code.push(unit);
        from.cursor.expect("{")?;
        while !from.cursor.eat("}") {
            let instruction = from.instruction()?;
            if let Instruction::Unit(_) = instruction {
                return from.cursor.unexpected("`}` before the next unit");
            }
            code.push(instruction);
        }
    }
    Ok(code)
}

struct ExecuteText<'a>(&'a Artifact);

impl fmt::Display for ExecuteText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let artifact = self.0;
        writeln!(f, "execute @{} {{", artifact.name)?;
        for (id, case) in &artifact.execute.cases {
            let names = Names::case(artifact, case);
            writeln!(f, "  {id} @{} {{", case.name)?;
            for (at, instruction) in case.code.iter().enumerate() {
                write!(f, "    {at}: ")?;
                instruction.print(f, &names)?;
                f.write_char('\n')?;
            }
            writeln!(f, "  }}")?;
        }
        writeln!(f, "}}")
    }
}

fn assemble_case(from: &mut Assembler<'_>) -> Result<Case, ParseError> {
    from.registers = PrimaryMap::new();
    let (name, span) = from.cursor.symbol()?;
    from.cursor.expect("{")?;
    let mut code = Vec::new();
    while !from.cursor.eat("}") {
        let number = from.cursor.peek();
        if from.cursor.integer::<usize>("the instruction's number")? != code.len() {
            return Err(ParseError::Unexpected {
                expected: format!("`{}`, the instruction's number", code.len()),
                found: "another number".to_owned(),
                span: number.span,
            });
        }
        from.cursor.expect(":")?;
        code.push(from.instruction()?);
    }
    Ok(Case {
        name: name.to_owned(),
        registers: std::mem::take(&mut from.registers),
        code,
        span: from.cursor.since(span),
    })
}
