//! Rule 2: names.

use hashbrown::HashSet;

use super::Errors;
use crate::core::{Problem, Span, text};
use crate::dlc::Program;

pub(super) fn verify(program: &Program, errors: &mut Errors) {
    let access = &program.access;
    let buffers: HashSet<&str> = program.buffers.values().map(|b| b.name.as_str()).collect();
    let mut names = Names {
        taken: HashSet::new(),
        errors,
    };
    names.readable(&program.name, Span::default());
    for buffer in program.buffers.values() {
        names.take(&buffer.name, buffer.span);
    }
    for unit in access.units.values() {
        names.take(&unit.name, unit.span);
    }
    for stream in access.streams.values() {
        names.take(&stream.name, stream.span);
    }
    let mut cases = HashSet::new();
    for case in program.execute.cases.values() {
        names.readable(&case.name, case.span);
        if !cases.insert(case.name.as_str()) {
            let sentence = format!("@{} is defined twice", case.name);
            names.errors.broken(2, case.span, sentence);
        }
        names.taken = buffers.clone();
        for value in case.values.values() {
            names.take(&value.name, value.span);
        }
    }
}

struct Names<'a, 'e> {
    taken: HashSet<&'a str>,
    errors: &'e mut Errors,
}

impl<'a> Names<'a, '_> {
    fn readable(&mut self, name: &str, span: Span) {
        if !text::is_name(name) {
            let problem = Problem::BadName(name.to_owned());
            self.errors.push(2, span, problem);
        }
    }

    fn take(&mut self, name: &'a str, span: Span) {
        self.readable(name, span);
        if !self.taken.insert(name) {
            let problem = Problem::DuplicateName(name.to_owned());
            self.errors.push(2, span, problem);
        }
    }
}
