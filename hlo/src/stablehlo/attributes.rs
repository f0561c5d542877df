//! Attributes beside the operation's own: sharding, frontend attributes, aliasing, module attributes.

use super::text::{self, integer32, key, string, symbol};
use crate::attribute::{Attribute, AttributeValue};
use crate::groups::devices;
use crate::module::{Instruction, Module};
use crate::shape::Shape;

/// What a raw structure says.
pub(super) fn raw<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    let attribute = attributes.iter().find(|a| a.name == name)?;
    match &attribute.value {
        AttributeValue::Raw(text) => Some(text),
        _ => None,
    }
}

/// `mhlo.sharding` and `mhlo.frontend_attributes` of an instruction.
pub(super) fn common(instruction: &Instruction) -> Vec<(String, String)> {
    attributes(
        instruction,
        raw(&instruction.attributes, "sharding").map(str::to_owned),
    )
}

/// [`common`] for an operation that gives only some of the instruction's leaves, of which there are `count`.
pub(super) fn of_leaves(
    instruction: &Instruction,
    count: usize,
    leaves: &[usize],
) -> Vec<(String, String)> {
    let sharding = raw(&instruction.attributes, "sharding").and_then(|structure| {
        let all = shardings(structure, count);
        let kept: Option<Vec<&String>> = leaves.iter().map(|&leaf| all.get(leaf)).collect();
        match &kept?[..] {
            [single] => Some((*single).clone()),
            several => Some(format!("{{{}}}", text::joined(several))),
        }
    });
    attributes(instruction, sharding)
}

fn attributes(instruction: &Instruction, sharding: Option<String>) -> Vec<(String, String)> {
    let sharding = sharding.map(|sharding| ("mhlo.sharding".to_owned(), string(&sharding)));
    let frontend = frontend(&instruction.attributes);
    sharding.into_iter().chain(frontend).collect()
}

fn frontend(attributes: &[Attribute]) -> Option<(String, String)> {
    let entries = raw(attributes, "frontend_attributes").map(entries)?;
    let entries = entries
        .iter()
        .map(|(name, value)| format!("{} = {}", key(name), string(value)));
    let dictionary = format!("{{{}}}", text::joined(entries));
    (dictionary != "{}").then(|| ("mhlo.frontend_attributes".to_owned(), dictionary))
}

/// Names and values of `{a="x",b={"k":1}}`, quotes and escapes taken off.
pub(super) fn entries(structure: &str) -> Vec<(String, String)> {
    inside(structure, '{', '}')
        .map(|inner| split(inner, ','))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|entry| {
            let (name, value) = entry.split_once('=')?;
            let value = match crate::parse::lex::string(value) {
                Ok((_, text)) => text.into_owned(),
                Err(_) => value.trim().to_owned(),
            };
            Some((name.trim().to_owned(), value))
        })
        .collect()
}

/// What stands between the first `open` and the last `close`.
pub(super) fn inside(structure: &str, open: char, close: char) -> Option<&str> {
    structure.trim().strip_prefix(open)?.strip_suffix(close)
}

/// Parts between separators that stand outside of brackets and quotes.
pub(super) fn split(structure: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth, mut quoted, mut escaped) = (0, 0usize, false, false);
    for (at, c) in structure.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth = depth.saturating_sub(1),
            _ if c == separator && depth == 0 => {
                parts.extend(structure.get(start..at));
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.extend(structure.get(start..));
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// The numbers of `{0,1}`, or of any list in any brackets.
pub(super) fn numbers(list: &str) -> Vec<i64> {
    list.split(|c: char| !(c.is_ascii_digit() || c == '-'))
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// One alias: an index into a result, a parameter or operand, an index into that.
pub(super) struct Alias {
    pub(super) output: Vec<i64>,
    pub(super) operand: i64,
    pub(super) index: Vec<i64>,
}

/// `{{1}: (0, {}), ...}`, of a module or of an instruction.
pub(super) fn aliases(structure: &str) -> Vec<Alias> {
    let entries = inside(structure, '{', '}').map(|inner| split(inner, ','));
    let parsed = entries.unwrap_or_default().into_iter().filter_map(|entry| {
        let (output, source) = entry.split_once(':')?;
        let source = split(inside(source, '(', ')')?, ',');
        Some(Alias {
            output: numbers(output),
            operand: source.first()?.trim().parse().ok()?,
            index: numbers(source.get(1)?),
        })
    });
    parsed.collect()
}

/// The number of the leaf at `index` when `shape` is flattened; `None` when there is no leaf.
fn leaf(shape: &Shape, index: &[i64]) -> Option<usize> {
    let (mut shape, mut number) = (shape, 0);
    for &at in index {
        let Shape::Tuple(parts) = shape else {
            return None;
        };
        let (before, rest) = parts.split_at_checked(usize::try_from(at).ok()?)?;
        for part in before {
            number += text::leaves(part).ok()?.len();
        }
        shape = rest.first()?;
    }
    (!matches!(shape, Shape::Tuple(_))).then_some(number)
}

/// The sharding of each leaf: one for all, or one each.
fn shardings(structure: &str, leaves: usize) -> Vec<String> {
    match inside(structure, '{', '}') {
        Some(inner) if inner.trim_start().starts_with('{') => {
            let parts = split(inner, ',');
            parts
                .into_iter()
                .map(|part| part.trim().to_owned())
                .collect()
        }
        _ => vec![structure.to_owned(); leaves],
    }
}

/// What stands behind the types of a function's arguments and results: a dictionary with a blank before it, or nothing.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) arguments: Vec<String>,
    pub(super) results: Vec<String>,
}

impl Entry {
    /// Sharding, donation and frontend attributes of the entry's parameters, sharding of its result.
    pub(super) fn new(module: &Module) -> Self {
        let entry = module.entry();
        let root = &module.instructions[entry.root];
        let mut first = Vec::new();
        let mut arguments: Vec<Vec<String>> = Vec::new();
        for &parameter in &entry.parameters {
            let parameter = &module.instructions[parameter];
            let leaves = text::leaves(&parameter.shape).map_or(0, |leaves| leaves.len());
            let sharding = raw(&parameter.attributes, "sharding");
            let mut shardings = sharding.map(|s| shardings(s, leaves)).unwrap_or_default();
            shardings.resize(leaves, String::new());
            first.push(arguments.len());
            for sharding in shardings {
                let mut entries = Vec::new();
                if !sharding.is_empty() {
                    entries.push(format!("mhlo.sharding = {}", string(&sharding)));
                }
                if let Some((key, value)) = frontend(&parameter.attributes) {
                    entries.push(format!("{key} = {value}"));
                }
                arguments.push(entries);
            }
        }
        let mut say = |parameter: i64, index: &[i64], what: String| {
            let number = usize::try_from(parameter).ok();
            let instruction = number.and_then(|number| entry.parameters.get(number));
            let leaf = instruction.and_then(|&i| leaf(&module.instructions[i].shape, index));
            if let (Some(number), Some(leaf)) = (number, leaf)
                && let Some(&first) = first.get(number)
                && let Some(entries) = arguments.get_mut(first + leaf)
            {
                entries.push(what);
            }
        };
        for alias in raw(&module.attributes, "input_output_alias").map_or_else(Vec::new, aliases) {
            if let Some(output) = leaf(&root.shape, &alias.output) {
                let what = format!("tf.aliasing_output = {}", integer32(output as i64));
                say(alias.operand, &alias.index, what);
            }
        }
        let donors = raw(&module.attributes, "buffer_donor").and_then(|d| inside(d, '{', '}'));
        for donor in donors.map(|donors| split(donors, ',')).unwrap_or_default() {
            if let Some(inner) = inside(donor, '(', ')')
                && let Some((parameter, index)) = inner.split_once(',')
                && let Ok(parameter) = parameter.trim().parse()
            {
                say(parameter, &numbers(index), "jax.buffer_donor = true".into());
            }
        }
        let results = raw(&root.attributes, "sharding").map(|sharding| {
            let leaves = text::leaves(&root.shape).map_or(0, |leaves| leaves.len());
            shardings(sharding, leaves)
        });
        let results = results.into_iter().flatten();
        Entry {
            arguments: arguments.iter().map(|entries| behind(entries)).collect(),
            results: results
                .map(|sharding| behind(&[format!("mhlo.sharding = {}", string(&sharding))]))
                .collect(),
        }
    }
}

/// A dictionary with a blank before it, or nothing.
fn behind(entries: &[String]) -> String {
    if entries.is_empty() {
        String::new()
    } else {
        format!(" {{{}}}", text::joined(entries))
    }
}

/// `module @name attributes {...}`.
pub(super) fn module_head(module: &Module) -> String {
    let (replicas, partitions) = devices(module);
    let mut entries = vec![
        format!("mhlo.num_partitions = {}", integer32(partitions)),
        format!("mhlo.num_replicas = {}", integer32(replicas)),
    ];
    if let Some((key, value)) = frontend(&module.attributes) {
        entries.push(format!("{key} = {value}"));
    }
    let name = if module.name.is_empty() {
        String::new()
    } else {
        format!(" {}", symbol(&module.name))
    };
    format!("module{name} attributes {{{}}}", text::joined(entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_shape;

    #[test]
    fn leaves_are_numbered_through_nested_tuples() {
        let shape = parse_shape("((f32[], s32[]), (), f32[2])").unwrap();
        assert_eq!(leaf(&shape, &[0, 1]), Some(1));
        assert_eq!(leaf(&shape, &[2]), Some(2));
        assert_eq!(leaf(&shape, &[0]), None);
        assert_eq!(leaf(&shape, &[3]), None);
    }

    #[test]
    fn separators_inside_of_brackets_and_quotes_do_not_separate() {
        assert_eq!(
            split("a, {b, c}, \"d, \\\"e\"", ','),
            ["a", " {b, c}", " \"d, \\\"e\""]
        );
        assert_eq!(split(" ", ','), [""; 0]);
    }

    #[test]
    fn a_tuple_of_shardings_is_taken_apart() {
        assert_eq!(
            shardings("{{replicated}, {devices=[2]0,1}}", 2),
            ["{replicated}", "{devices=[2]0,1}"]
        );
        assert_eq!(shardings("{replicated}", 2), ["{replicated}"; 2]);
    }
}
