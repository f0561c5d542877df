//! What the verifiers of all IRs check alike: names, buffers, accesses.

use std::fmt::Display;

use cranelift_entity::{EntityRef, EntitySet, PrimaryMap};
use hashbrown::HashSet;

use super::array::Array;
use super::buffer::{Buffer, BufferId, Init, Role};
use super::diag::{Diagnostics, Problem, Rule};
use super::text;
use super::types::{Span, Type};
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

    /// The same findings, under the rules of a part that several IRs share.
    pub fn within<T>(&mut self, part: &'static str, check: impl FnOnce(&mut Self) -> T) -> T {
        let ir = std::mem::replace(&mut self.ir, part);
        let result = check(self);
        self.ir = ir;
        result
    }

    /// The declarations.
    pub fn declared(&self) -> &'a PrimaryMap<BufferId, Buffer> {
        self.buffers
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
    pub fn has_type<T>(&mut self, rule: u32, value: &ValueData<T>, expected: T, span: Span)
    where
        T: Copy + PartialEq + Display + Into<Type>,
    {
        if value.ty != expected {
            let problem = Problem::Type {
                name: value.name.clone(),
                expected: expected.to_string(),
                found: value.ty.into(),
            };
            self.report(rule, span, problem);
        }
    }
}

/// The streams, or the values of a code, that can be used at a place.
///
/// A rule of the caller's, `names`, says that visible names differ and can be read back; another one,
/// `scope`, that everything is defined once, before its uses.
#[derive(Debug)]
pub struct Scope<'a, E: EntityRef> {
    table: &'a PrimaryMap<E, ValueData<Type>>,
    names: u32,
    scope: u32,
    /// Ever defined.
    defined: EntitySet<E>,
    visible: EntitySet<E>,
    /// The visible ones in the order of their definitions, and whether the name was free.
    order: Vec<(E, bool)>,
}

impl<'a, E: EntityRef + Display> Scope<'a, E> {
    /// Nothing is visible.
    pub fn new(table: &'a PrimaryMap<E, ValueData<Type>>, names: u32, scope: u32) -> Self {
        Scope {
            table,
            names,
            scope,
            defined: EntitySet::new(),
            visible: EntitySet::new(),
            order: Vec::new(),
        }
    }

    /// From here on `entity` can be used; `taken` are the names that can be seen.
    pub fn define(
        &mut self,
        entity: E,
        taken: &mut HashSet<&'a str>,
        checker: &mut Checker<'_>,
    ) -> Option<&'a ValueData<Type>> {
        let Some(data) = self.table.get(entity) else {
            let problem = Problem::Dangling(format!("%{entity}"));
            checker.report(self.scope, Span::default(), problem);
            return None;
        };
        if !self.defined.insert(entity) {
            let problem = Problem::DuplicateName(data.name.clone());
            checker.report(self.scope, data.span, problem);
            return None;
        }
        checker.name(self.names, &data.name, data.span);
        let named = taken.insert(&data.name);
        if !named {
            let problem = Problem::DuplicateName(data.name.clone());
            checker.report(self.names, data.span, problem);
        }
        self.visible.insert(entity);
        self.order.push((entity, named));
        Some(data)
    }

    /// How many are visible.
    pub fn visible(&self) -> usize {
        self.order.len()
    }

    /// Whatever was defined when more than `length` were visible is not any more.
    pub fn leave(&mut self, length: usize, taken: &mut HashSet<&'a str>) {
        for (entity, named) in self.order.drain(length.min(self.order.len())..) {
            self.visible.remove(entity);
            if let Some(data) = self.table.get(entity).filter(|_| named) {
                taken.remove(data.name.as_str());
            }
        }
    }

    /// What is used at `span`; `None`, and an error, if it is not visible there.
    pub fn used(
        &self,
        entity: E,
        span: Span,
        checker: &mut Checker<'_>,
    ) -> Option<&'a ValueData<Type>> {
        let data = self.table.get(entity);
        let problem = match data {
            Some(data) if self.visible.contains(entity) => return Some(data),
            Some(data) => Problem::NotDefined(data.name.clone()),
            None => Problem::Dangling(format!("%{entity}")),
        };
        checker.report(self.scope, span, problem);
        None
    }

    /// Everything in the table was defined.
    pub fn finish(&self, checker: &mut Checker<'_>) {
        for (entity, data) in self.table {
            if !self.defined.contains(entity) {
                let sentence = format!("%{} is defined nowhere", data.name);
                checker.broken(self.scope, data.span, sentence);
            }
        }
    }

    /// Name and type, whether visible or not.
    pub fn data(&self, entity: E) -> Option<&'a ValueData<Type>> {
        self.table.get(entity)
    }

    /// Where it is defined.
    pub fn span(&self, entity: E) -> Span {
        self.table
            .get(entity)
            .map_or_else(Span::default, |data| data.span)
    }
}
