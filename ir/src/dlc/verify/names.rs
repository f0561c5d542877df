//! Rule 2: names.

use hashbrown::HashSet;

use crate::core::check::Checker;
use crate::core::{Problem, Span};
use crate::dlc::Program;

pub(super) fn verify(program: &Program, checker: &mut Checker<'_>) {
    let access = &program.access;
    let mut taken = checker.program_names(2, &program.name);
    for unit in access.units.values() {
        take(checker, &mut taken, &unit.name, unit.span);
    }
    for stream in access.streams.values() {
        take(checker, &mut taken, &stream.name, stream.span);
    }
    let mut cases = HashSet::new();
    for case in program.execute.cases.values() {
        checker.name(2, &case.name, case.span);
        if !cases.insert(case.name.as_str()) {
            let sentence = format!("@{} is defined twice", case.name);
            checker.broken(2, case.span, sentence);
        }
    }
}

fn take<'a>(checker: &mut Checker<'_>, taken: &mut HashSet<&'a str>, name: &'a str, span: Span) {
    checker.name(2, name, span);
    if !taken.insert(name) {
        checker.report(2, span, Problem::DuplicateName(name.to_owned()));
    }
}
