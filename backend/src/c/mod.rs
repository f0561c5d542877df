//! Artifacts as C: the two units as two functions, and a queue between them.
//!
//! The text is C11 and needs nothing but the standard library. Its one entry is
//!
//! ```text
//! int32_t hlo2dae_NAME(const void *const *inputs, void *const *outputs);
//! ```
//!
//! with one pointer for each input and each output, in the order of the declarations, to row-major elements (`index` and `bool`
//! never are elements of a caller's array but as `s64` and one byte of 0 or 1). It gives 0, or what stopped it: 1 for an
//! index outside a buffer or row, 2 for a row that is pushed before it is full or overflows, 3 for too little memory. Reading what
//! was never written is not noticed.
//!
//! The access unit is a function that returns where the queue has no room for a callback, and goes on there when it is called again;
//! the execute unit is one that returns when there is no token. The entry calls them in turn. `HLO2DAE_TOKENS` and
//! `HLO2DAE_BYTES` may be defined to other capacities of the queue; one callback has to fit.
//!
//! Float arithmetic is what the machine's would be if the compiler does not contract (`-ffp-contract=off`). The transcendental
//! functions are those of the C library, whose last bit may differ.

mod access;
mod arith;
mod execute;
mod value;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hlo2dae_ir::core::{Array, Diagnostics, Init, Role};

use crate::access::Instruction;
use crate::artifact::Artifact;
use value::{c_type, constant, identifier};

/// The C text of an artifact.
///
/// # Errors
///
/// The artifact breaks a rule of [`crate::verify`].
pub fn print(artifact: &Artifact) -> Result<String, Diagnostics> {
    artifact.verify()?;
    let mut helpers = Helpers::default();
    let access = access::print(artifact, &mut helpers);
    let execute = execute::print(artifact, &mut helpers);
    // No capacity is 0, which no array can be.
    let largest = largest_callback(artifact).max(1);
    let mut text = HEAD.replace("{program}", &artifact.name);
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "\n#ifndef HLO2DAE_TOKENS\n#define HLO2DAE_TOKENS 64\n#endif\n\
         #ifndef HLO2DAE_BYTES\n#define HLO2DAE_BYTES {}\n#endif\n\
         #if HLO2DAE_TOKENS < 1 || HLO2DAE_BYTES < {largest}\n#error \"a callback does not fit\"\n#endif\n",
        largest.max(4096)
    );
    text.push_str(&machine(artifact));
    text.push_str(QUEUE);
    for helper in &helpers.order {
        text.push('\n');
        text.push_str(&helpers.known[helper]);
    }
    text.push('\n');
    text.push_str(&access);
    text.push('\n');
    text.push_str(&execute);
    text.push('\n');
    text.push_str(&entry(artifact));
    Ok(text)
}

/// The name of the entry.
pub fn entry_name(artifact: &Artifact) -> String {
    format!("hlo2dae_{}", identifier(&artifact.name))
}

const HEAD: &str = "/* @{program}: access unit, execute unit, and the queue between them. Compile without contraction of floats. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
";

const QUEUE: &str = "
static int room(const struct machine *m, size_t bytes) {
  return m->tokens < HLO2DAE_TOKENS && HLO2DAE_BYTES - m->bytes >= bytes;
}

static void push_token(struct machine *m, uint32_t token) {
  m->token[(m->first_token + m->tokens) % HLO2DAE_TOKENS] = token;
  m->tokens += 1;
}

static void push(struct machine *m, const void *from, size_t size) {
  const unsigned char *bytes = from;
  size_t at = (m->first_byte + m->bytes) % HLO2DAE_BYTES;
  size_t whole = HLO2DAE_BYTES - at < size ? HLO2DAE_BYTES - at : size;
  memcpy(m->data + at, bytes, whole);
  memcpy(m->data, bytes + whole, size - whole);
  m->bytes += size;
}

static void pop(struct machine *m, void *to, size_t size) {
  unsigned char *bytes = to;
  size_t at = m->first_byte;
  size_t whole = HLO2DAE_BYTES - at < size ? HLO2DAE_BYTES - at : size;
  memcpy(bytes, m->data + at, whole);
  memcpy(bytes + whole, m->data, size - whole);
  m->first_byte = (at + size) % HLO2DAE_BYTES;
  m->bytes -= size;
}

/* Whether lane k of a loop at a position stands below the end. */
static inline uint8_t lane_active(int64_t position, int64_t end, uint64_t step, uint64_t k) {
  return position < end && (k == 0 || step <= ((uint64_t)end - (uint64_t)position - 1) / k);
}

static inline int stop(struct machine *m, int32_t status) {
  m->status = status;
  return 1;
}
";

/// Functions of the text that are there if they are used, each after those that it uses.
#[derive(Default)]
struct Helpers {
    known: BTreeMap<String, String>,
    order: Vec<String>,
}

impl Helpers {
    /// Whether a function still has to be given.
    fn missing(&self, name: &str) -> bool {
        !self.known.contains_key(name)
    }

    fn give(&mut self, name: &str, text: String) {
        if self.missing(name) {
            self.known.insert(name.to_owned(), text);
            self.order.push(name.to_owned());
        }
    }
}

/// Bytes of the operands of the largest callback.
fn largest_callback(artifact: &Artifact) -> u64 {
    let pushes = artifact.access.code.iter().filter_map(|i| match i {
        Instruction::Push(push) => Some(push),
        _ => None,
    });
    let bytes = pushes.map(|push| {
        let slots = push
            .operands
            .iter()
            .filter_map(|&s| artifact.access.slots.get(s));
        slots.map(|data| data.ty.bytes()).sum()
    });
    bytes.max().unwrap_or(0)
}

/// The buffers, the access unit's slots and the queue.
fn machine(artifact: &Artifact) -> String {
    let mut text = "\nstruct machine {\n  int32_t status;\n".to_owned();
    for (id, buffer) in &artifact.buffers {
        let constant = if buffer.is_written() { "" } else { "const " };
        let ty = c_type(buffer.element.into());
        let _ = writeln!(
            text,
            "  {constant}{ty} *b{}; /* %{} */",
            id.as_u32(),
            buffer.name
        );
    }
    text.push_str("  uint32_t at;\n");
    text.push_str(&access::state(artifact));
    text.push_str(
        "  uint32_t token[HLO2DAE_TOKENS];\n  size_t first_token, tokens;\n  \
         unsigned char data[HLO2DAE_BYTES];\n  size_t first_byte, bytes;\n};\n",
    );
    text
}

/// The function that the caller calls: memory, initial values, turns.
fn entry(artifact: &Artifact) -> String {
    let mut text = format!(
        "int32_t {}(const void *const *inputs, void *const *outputs) {{\n  \
         struct machine *m = calloc(1, sizeof *m);\n  if (!m) return 3;\n",
        entry_name(artifact)
    );
    for (n, (id, _)) in artifact.inputs().enumerate() {
        let _ = writeln!(text, "  m->b{} = inputs[{n}];", id.as_u32());
    }
    for (n, (id, _)) in artifact.outputs().enumerate() {
        let _ = writeln!(text, "  m->b{} = outputs[{n}];", id.as_u32());
    }
    let size = |buffer: &hlo2dae_ir::core::Buffer| {
        Array::byte_size(buffer.element, &buffer.dims).unwrap_or(0)
    };
    for (id, buffer) in &artifact.buffers {
        let (b, bytes) = (id.as_u32(), size(buffer));
        let init = match &buffer.role {
            Role::Input => continue,
            Role::Output(init) => init,
            Role::Temp(init) => {
                // Of no elements there is still a place.
                let _ = writeln!(
                    text,
                    "  m->b{b} = malloc({});\n  if (!m->b{b}) m->status = 3;",
                    bytes.max(1)
                );
                init
            }
        };
        let guard = match buffer.role {
            Role::Temp(_) => "if (!m->status) ",
            Role::Input | Role::Output(_) => "",
        };
        match init {
            Init::Undefined => {}
            Init::Splat(value) => {
                let count = bytes / buffer.element.bytes();
                let _ = writeln!(
                    text,
                    "  {guard}for (size_t i = 0; i < {count}; i++) m->b{b}[i] = {};",
                    constant(*value)
                );
            }
            Init::Copy(from) => {
                let from = from.as_u32();
                let _ = writeln!(
                    text,
                    "  {guard}if ({bytes}) memcpy(m->b{b}, m->b{from}, {bytes});"
                );
            }
        }
    }
    text.push_str(
        "  for (int done = 0; !done && !m->status;) {\n    done = access_unit(m);\n    \
         if (!m->status) execute_unit(m);\n  }\n  int32_t status = m->status;\n",
    );
    for (id, buffer) in &artifact.buffers {
        if let Role::Temp(_) = buffer.role {
            let _ = writeln!(text, "  free(m->b{});", id.as_u32());
        }
    }
    text.push_str("  free(m);\n  return status;\n}\n");
    text
}
