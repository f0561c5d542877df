//! What the verifiers of all IRs check alike: names, buffers, accesses.

use cranelift_entity::PrimaryMap;
use hashbrown::HashSet;

use super::array::Array;
use super::buffer::{Buffer, BufferId, Init, Role};
use super::diag::{Diagnostics, Problem, Rule};
use super::text;
use super::types::{ScalarType, Span};
use super::value::ValueData;

/// Gathers what one program breaks. The number of the rule is the caller's: each IR documents its own list.
#[derive(Debug)]
pub struct Checker<'a> {
    ir: &'static str,
    buffers: &'a PrimaryMap<BufferId, Buffer>,
    found: Diagnostics,
}

impl<'a> Checker<'a> {
    /// Nothing found yet.
    pub fn new(ir: &'static str, buffers: &'a PrimaryMap<BufferId, Buffer>) -> Self {
        Checker {
            ir,
            buffers,
            found: Diagnostics::default(),
        }
    }

    /// Records a broken rule.
    pub fn report(&mut self, rule: u32, span: Span, problem: Problem) {
        let rule = Rule {
            ir: self.ir,
            number: rule,
        };
        self.found.push(rule, span, problem);
    }

    /// Records a broken rule that a sentence tells.
    pub fn broken(&mut self, rule: u32, span: Span, sentence: impl Into<String>) {
        self.report(rule, span, Problem::Broken(sentence.into()));
    }

    /// What was found.
    pub fn finish(self) -> Result<(), Diagnostics> {
        self.found.finish()
    }

    /// The name is one that can be read back.
    pub fn name(&mut self, rule: u32, name: &str, span: Span) {
        if !text::is_name(name) {
            self.report(rule, span, Problem::BadName(name.to_owned()));
        }
    }

    /// The names of the program and its buffers can be read back, and no two buffers have one name. Gives
    /// the buffers' names, as a start for those of the values.
    pub fn program_names(&mut self, rule: u32, program: &str) -> HashSet<&'a str> {
        self.name(rule, program, Span::default());
        let mut names = HashSet::new();
        for buffer in self.buffers.values() {
            self.name(rule, &buffer.name, buffer.span);
            if !names.insert(buffer.name.as_str()) {
                let problem = Problem::DuplicateName(buffer.name.clone());
                self.report(rule, buffer.span, problem);
            }
        }
        names
    }

    /// Every buffer can be allocated, `{sorted}` stands on inputs that have an axis, and every
    /// initial value can be its buffer's.
    pub fn buffers(&mut self, rule: u32) {
        for buffer in self.buffers.values() {
            if Array::byte_size(buffer.element, &buffer.dims).is_none() {
                self.report(rule, buffer.span, Problem::TooLarge(buffer.name.clone()));
            }
            if buffer.sorted && (buffer.role != Role::Input || buffer.dims.is_empty()) {
                let sentence = format!("%{} cannot be promised sorted", buffer.name);
                self.broken(rule, buffer.span, sentence);
            }
            let (Role::Output(init) | Role::Temp(init)) = &buffer.role else {
                continue;
            };
            let (init, reason) = match init {
                Init::Undefined => continue,
                Init::Splat(value) if value.ty() == buffer.element.into() => continue,
                Init::Splat(value) => {
                    let reason = format!("it has type {}, not {}", value.ty(), buffer.element);
                    (value.to_string(), reason)
                }
                Init::Copy(from) => match self.buffers.get(*from) {
                    None => (format!("%{from}"), "it does not exist".to_owned()),
                    Some(from) => {
                        let reason = if from.role != Role::Input {
                            "it is not an input".to_owned()
                        } else if from.element != buffer.element || from.dims != buffer.dims {
                            let (this, that) = (
                                text::shape(buffer.element, &buffer.dims),
                                text::shape(from.element, &from.dims),
                            );
                            format!("it is {that}, not {this}")
                        } else {
                            continue;
                        };
                        (format!("%{}", from.name), reason)
                    }
                },
            };
            let problem = Problem::Init {
                buffer: buffer.name.clone(),
                init,
                reason,
            };
            self.report(rule, buffer.span, problem);
        }
    }

    /// The buffer exists.
    pub fn buffer(&mut self, rule: u32, buffer: BufferId, span: Span) -> Option<&'a Buffer> {
        let declared = self.buffers.get(buffer);
        if declared.is_none() {
            self.report(rule, span, Problem::Dangling(format!("%{buffer}")));
        }
        declared
    }

    /// The buffer exists and takes that many indices.
    pub fn access(
        &mut self,
        rule: u32,
        buffer: BufferId,
        indices: usize,
        span: Span,
    ) -> Option<&'a Buffer> {
        let declared = self.buffer(rule, buffer, span)?;
        if declared.dims.len() != indices {
            let problem = Problem::Rank {
                buffer: declared.name.clone(),
                expected: declared.dims.len(),
                found: indices,
            };
            self.report(rule, span, problem);
        }
        Some(declared)
    }

    /// As [`Checker::access`], of a buffer that is not an input.
    pub fn write(
        &mut self,
        rule: u32,
        buffer: BufferId,
        indices: usize,
        span: Span,
    ) -> Option<&'a Buffer> {
        let declared = self.access(rule, buffer, indices, span)?;
        if !declared.is_written() {
            self.report(rule, span, Problem::ReadOnly(declared.name.clone()));
        }
        Some(declared)
    }

    /// The value has this type.
    pub fn has_type(&mut self, rule: u32, value: &ValueData, expected: ScalarType, span: Span) {
        if value.ty != expected {
            let problem = Problem::Type {
                name: value.name.clone(),
                expected: expected.to_string(),
                found: value.ty,
            };
            self.report(rule, span, problem);
        }
    }
}
