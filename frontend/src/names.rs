//! Readable names for buffers and values, taken from the HLO.

use hashbrown::{HashMap, HashSet};

/// Gives every name once.
#[derive(Clone, Default)]
pub(crate) struct Names {
    taken: HashSet<String>,
    /// The last number tried behind a name.
    numbers: HashMap<String, u32>,
}

impl Names {
    /// `wanted` as an identifier, with a number behind it if it is taken.
    pub(crate) fn fresh(&mut self, wanted: &str) -> String {
        let base = identifier(wanted);
        let number = self.numbers.entry(base.clone()).or_insert(0);
        loop {
            *number += 1;
            let name = match *number {
                1 => base.clone(),
                number => format!("{base}_{number}"),
            };
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// Letters, digits and underscores of a name, without the number that makes it unique in its module.
fn identifier(name: &str) -> String {
    let stem = match name.rsplit_once('.') {
        Some((stem, number)) if number.bytes().all(|b| b.is_ascii_digit()) => stem,
        _ => name,
    };
    let mut out = String::new();
    for c in stem.chars() {
        match c.is_ascii_alphanumeric() {
            true => out.push(c),
            false if out.ends_with('_') => {}
            false => out.push('_'),
        }
    }
    let out = out.trim_matches('_');
    match out.bytes().next() {
        Some(first) if first.is_ascii_alphabetic() => out.to_owned(),
        _ => format!("v{out}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_identifiers_and_unique() {
        let mut names = Names::default();
        assert_eq!(names.fresh("reduce_sum.14"), "reduce_sum");
        assert_eq!(names.fresh("reduce_sum.15"), "reduce_sum_2");
        assert_eq!(
            names.fresh("variables__params____kernel__.1"),
            "variables_params_kernel"
        );
        assert_eq!(names.fresh("12"), "v12");
        assert_eq!(names.fresh(""), "v");
    }
}
