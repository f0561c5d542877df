//! Structures that only matter to XLA's own passes: checked, and kept as canonical text.
//!
//! ```text
//! metadata   = '{' (','? key '=' (string | integer | integers))* '}'
//! frontend   = '{' (name '=' (string | object) (',' ...)*)? '}'
//! statistics = '{' ('visualizing_index=' integer (',' name '=' number)*)? '}'
//! origin     = '{' ('[synthetic_call]' | tree) '}'  where  tree = '(' tree, ... ')' | leaf
//! leaf       = '{' (string index?)? '}'  where  index = integers
//! aliasing   = '{' (index ':' '(' integer ',' index (',' kind)? ')' ','?)* '}'
//! ```
//!
//! Every function appends the canonical spelling of what it has read to `out`.

use std::fmt::Write;

use super::lex::{
    Parsed, after, attribute_name, boolean, expected, ident, integer, keyword, list, peek, punct,
    raw_string, skip, string,
};
use super::value::{float, integers, text_or_json};
use crate::print::{general, print_quoted};

/// A reader of one structure.
pub(crate) type Reader = for<'a> fn(&'a str, &mut String) -> Parsed<'a, ()>;

/// Greatest nesting of a tree.
const MAX_DEPTH: usize = 100;

/// Keys of metadata in the order of printing; true for strings.
const METADATA: [(&str, bool); 12] = [
    ("op_type", true),
    ("op_name", true),
    ("source_file", true),
    ("source_line", false),
    ("source_end_line", false),
    ("source_column", false),
    ("source_end_column", false),
    ("stack_frame_id", false),
    ("profile_type", false),
    ("deduplicated_name", true),
    ("metadata_payload", true),
    ("scheduling_name", true),
];

pub(super) fn push(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{value}");
}

pub(super) fn push_integers(out: &mut String, values: &[i64]) {
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_integer(out, *value);
    }
}

/// What `push` does with a number, faster.
fn push_integer(out: &mut String, value: i64) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// A string in canonical quotes and escapes.
fn quoted<'a>(input: &'a str, out: &mut String) -> Parsed<'a, bool> {
    let (rest, raw) = raw_string(input)?;
    // Every byte is looked at, so that many are at once.
    let plain = raw.bytes().fold(true, |plain, b| {
        plain & (b.wrapping_sub(0x20) < 0x5f) & (b != b'\\') & (b != b'\'')
    });
    if plain {
        out.push_str(raw);
        return Ok((rest, raw.len() > 2));
    }
    let (rest, text) = string(input)?;
    let _ = print_quoted(out, &text);
    Ok((rest, !text.is_empty()))
}

/// `metadata`.
pub(crate) fn metadata<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    let (mut rest, ()) = punct(input, "{")?;
    let base = out.len();
    out.push('{');
    let mut in_order = true;
    let mut last = 0;
    let mut seen = [(0usize, 0usize); METADATA.len()];
    loop {
        if let Some(end) = after(rest, "}") {
            rest = end;
            break;
        }
        rest = after(rest, ",").unwrap_or(rest);
        let (value, key) = attribute_name(rest)?;
        let Some(slot) = METADATA.iter().position(|(name, _)| *name == key) else {
            return expected(
                rest,
                "`op_type=`, `op_name=`, `source_file=`, `source_line=` or another key of metadata",
            );
        };
        let start = out.len();
        if start > base + 1 {
            out.push(' ');
        }
        out.push_str(key);
        out.push('=');
        let (next, stated) = if METADATA.get(slot).is_some_and(|m| m.1) {
            quoted(value, out)?
        } else if key == "profile_type" {
            let (next, values) = integers(value)?;
            out.push('{');
            push_integers(out, &values);
            out.push('}');
            (next, !values.is_empty())
        } else {
            let (next, number) = integer(value)?;
            push_integer(out, number);
            (next, number != 0)
        };
        rest = next;
        if !stated {
            out.truncate(start);
            continue;
        }
        match seen.get_mut(slot) {
            Some(range) if range.1 == 0 => *range = (start, out.len()),
            _ => return expected(value, "each key of metadata once"),
        }
        in_order &= slot >= last;
        last = slot;
    }
    if !in_order {
        let parts: Vec<String> = seen
            .iter()
            .filter_map(|&(from, to)| Some(out.get(from..to)?.trim_start().to_owned()))
            .filter(|part| !part.is_empty())
            .collect();
        out.truncate(base + 1);
        out.push_str(&parts.join(" "));
    }
    // Metadata of which XLA prints nothing is nothing.
    let named = METADATA.iter().zip(&seen).any(|((key, _), range)| {
        range.1 > 0
            && matches!(
                *key,
                "op_type"
                    | "op_name"
                    | "source_file"
                    | "stack_frame_id"
                    | "metadata_payload"
                    | "scheduling_name"
            )
    });
    if !named {
        out.truncate(base + 1);
    }
    out.push('}');
    Ok((rest, ()))
}

/// Balanced text with one blank after each comma outside brackets of numbers and names.
pub(crate) fn structure<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    let (rest, text) = super::value::balanced(input)?;
    let mut left = text;
    let mut blank = false;
    loop {
        let next = skip(left);
        blank |= next.len() < left.len();
        left = next;
        let Some(c) = left.chars().next() else {
            return Ok((rest, ()));
        };
        if blank && !matches!(c, '}' | ']' | ')' | ',') && !out.ends_with(['{', '[', '(']) {
            out.push(' ');
        }
        blank = false;
        if matches!(c, '"' | '\'') {
            let (next, raw) = raw_string(left)?;
            out.push_str(raw);
            left = next;
        } else {
            out.push(c);
            left = left.get(c.len_utf8()..).unwrap_or("");
        }
    }
}

/// `frontend`, sorted by name.
pub(crate) fn frontend_attributes<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    let (rest, mut entries) = list(input, "{", "}", |i| {
        let (value, name) = attribute_name(i)?;
        let (end, text) = text_or_json(value)?;
        Ok((end, (name, text)))
    })?;
    // A name stated twice has its last value.
    entries.reverse();
    entries.sort_by_key(|(name, _)| *name);
    entries.dedup_by_key(|(name, _)| *name);
    out.push('{');
    for (i, (name, text)) in entries.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(name);
        out.push('=');
        if super::value::is_json_object(text) {
            out.push_str(text);
        } else {
            let _ = print_quoted(out, text);
        }
    }
    out.push('}');
    Ok((rest, ()))
}

/// `statistics`.
pub(crate) fn statistics<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    let mut first = true;
    out.push('{');
    let (rest, _) = list(input, "{", "}", |i| {
        let (value, name) = attribute_name(i)?;
        if std::mem::take(&mut first) {
            if name != "visualizing_index" {
                return expected(i, "`visualizing_index=`");
            }
            let (end, index) = integer(value)?;
            push(out, format_args!("visualizing_index={index}"));
            return Ok((end, ()));
        }
        let (end, number) = float(value)?;
        push(out, format_args!(",{name}={}", general(number, 6)));
        Ok((end, ()))
    })?;
    out.push('}');
    Ok((rest, ()))
}

/// `origin`.
pub(crate) fn origin<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    let (rest, ()) = punct(input, "{")?;
    out.push('{');
    let rest = if peek(rest) == Some(b'[') {
        let (next, ()) = punct(rest, "[")?;
        let Some(next) = keyword(next, "synthetic_call") else {
            return expected(next, "`synthetic_call`");
        };
        out.push_str("[synthetic_call]");
        punct(next, "]")?.0
    } else if peek(rest) == Some(b'}') {
        rest
    } else {
        origin_tree(rest, out, 0)?.0
    };
    let (rest, ()) = punct(rest, "}")?;
    out.push('}');
    Ok((rest, ()))
}

fn origin_tree<'a>(input: &'a str, out: &mut String, depth: usize) -> Parsed<'a, ()> {
    if depth > MAX_DEPTH {
        return expected(input, "a tree of at most 100 levels");
    }
    if peek(input) != Some(b'(') {
        return origin_leaf(input, out);
    }
    out.push('(');
    let mut first = true;
    let (rest, _) = list(input, "(", ")", |i| {
        if !std::mem::take(&mut first) {
            out.push_str(", ");
        }
        origin_tree(i, out, depth + 1)
    })?;
    out.push(')');
    Ok((rest, ()))
}

fn origin_leaf<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    let (mut rest, ()) = punct(input, "{")?;
    out.push('{');
    if matches!(peek(rest), Some(b'"' | b'\'')) {
        (rest, _) = quoted(rest, out)?;
        if peek(rest) == Some(b'{') {
            let (next, index) = integers(rest)?;
            if !index.is_empty() {
                out.push_str(" {");
                push_integers(out, &index);
                out.push('}');
            }
            rest = next;
        }
    }
    let (rest, ()) = punct(rest, "}")?;
    out.push('}');
    Ok((rest, ()))
}

/// `{true,false}`, or one of the two.
pub(crate) fn booleans<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    let (rest, values) = if peek(input) == Some(b'{') {
        list(input, "{", "}", boolean)?
    } else {
        let (rest, value) = boolean(input)?;
        (rest, vec![value])
    };
    out.push('{');
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push(out, value);
    }
    out.push('}');
    Ok((rest, ()))
}

/// `{high,default}`.
pub(crate) fn precisions<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    let (rest, words) = list(input, "{", "}", |i| {
        let (end, word) = ident(i, "a precision")?;
        let word = word.to_ascii_lowercase();
        if !["default", "high", "highest", "packed_nibble"].contains(&word.as_str()) {
            return expected(i, "`default`, `high`, `highest` or `packed_nibble`");
        }
        Ok((end, word))
    })?;
    push(out, format_args!("{{{}}}", words.join(",")));
    Ok((rest, ()))
}

/// `{kind="sharding", entry=sharding, exit=sharding}`.
pub(crate) fn domain<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    let (mut rest, ()) = punct(input, "{")?;
    let mut kind = None;
    let (mut entry, mut exit) = (None, None);
    loop {
        if let Some(end) = after(rest, "}") {
            rest = end;
            break;
        }
        rest = after(rest, ",").unwrap_or(rest);
        let (value, key) = attribute_name(rest)?;
        let mut text = String::new();
        rest = match key {
            "kind" => {
                let (end, word) = string(value)?;
                if word != "sharding" {
                    return expected(value, "`\"sharding\"`");
                }
                kind = Some(());
                end
            }
            "entry" => {
                let end = super::sharding::sharding(value, &mut text)?.0;
                entry = Some(text);
                end
            }
            "exit" => {
                let end = super::sharding::sharding(value, &mut text)?.0;
                exit = Some(text);
                end
            }
            _ => return expected(rest, "`kind=`, `entry=` or `exit=`"),
        };
    }
    match (kind, entry, exit) {
        (Some(()), Some(entry), Some(exit)) => {
            push(
                out,
                format_args!("{{kind=\"sharding\", entry={entry}, exit={exit}}}"),
            );
            Ok((rest, ()))
        }
        _ => expected(input, "a domain with kind, entry and exit"),
    }
}

/// `{mode=highest}` or `{tolerance={atol=1,rtol=2,ulps=3}}`.
pub(crate) fn accuracy<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    let (rest, ()) = punct(input, "{")?;
    let (value, key) = attribute_name(rest)?;
    let rest = match key {
        "mode" => {
            let (end, word) = ident(value, "`default` or `highest`")?;
            let word = word.to_ascii_lowercase();
            if !["default", "highest"].contains(&word.as_str()) {
                return expected(value, "`default` or `highest`");
            }
            push(out, format_args!("{{mode={word}}}"));
            end
        }
        "tolerance" => {
            let mut parts = [0.0; 3];
            let (end, _) = list(value, "{", "}", |i| {
                let (value, key) = attribute_name(i)?;
                let Some(slot) = ["atol", "rtol", "ulps"].iter().position(|k| *k == key) else {
                    return expected(i, "`atol=`, `rtol=` or `ulps=`");
                };
                let (end, number) = float(value)?;
                if let Some(part) = parts.get_mut(slot) {
                    *part = number;
                }
                Ok((end, ()))
            })?;
            push(
                out,
                format_args!(
                    "{{tolerance={{atol={},rtol={},ulps={}}}}}",
                    general(parts[0], 6),
                    general(parts[1], 6),
                    general(parts[2], 6)
                ),
            );
            end
        }
        _ => return expected(rest, "`mode=` or `tolerance=`"),
    };
    punct(rest, "}")
}

/// `(parameter, index, kind)` of an alias, printed in the order of the text.
fn alias<'a>(input: &'a str, out: &mut String, kinds: bool) -> Parsed<'a, ()> {
    let (rest, ()) = punct(input, "(")?;
    let (rest, number) = integer(rest)?;
    let (rest, ()) = punct(rest, ",")?;
    let (mut rest, index) = integers(rest)?;
    push(out, format_args!("({number}, {{"));
    push_integers(out, &index);
    out.push('}');
    if kinds {
        let mut kind = "may-alias";
        if let Some(next) = after(rest, ",") {
            let (end, word) = ident(next, "`may-alias` or `must-alias`")?;
            kind = match word {
                "may-alias" => "may-alias",
                "must-alias" => "must-alias",
                _ => return expected(next, "`may-alias` or `must-alias`"),
            };
            rest = end;
        }
        push(out, format_args!(", {kind}"));
    }
    out.push(')');
    punct(rest, ")")
}

fn aliases<'a>(input: &'a str, out: &mut String, kinds: bool) -> Parsed<'a, ()> {
    let (mut rest, ()) = punct(input, "{")?;
    out.push_str(if kinds { "{ " } else { "{" });
    let mut first = true;
    while peek(rest) != Some(b'}') {
        if !std::mem::take(&mut first) {
            out.push_str(", ");
        }
        let (next, index) = integers(rest)?;
        out.push('{');
        push_integers(out, &index);
        out.push_str("}: ");
        let (next, ()) = punct(next, ":")?;
        let (next, ()) = alias(next, out, kinds)?;
        match after(next, ",") {
            Some(next) => rest = next,
            None => {
                rest = next;
                break;
            }
        }
    }
    out.push_str(if kinds { " }" } else { "}" });
    punct(rest, "}")
}

/// `aliasing` of a module's results and parameters.
pub(crate) fn module_aliasing<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    aliases(input, out, true)
}

/// `aliasing` of an instruction's results and operands.
pub(crate) fn operand_aliasing<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    aliases(input, out, false)
}

/// `{ (0, {0}), (0, {1}) }`.
pub(crate) fn buffer_donors<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    let mut first = true;
    out.push_str("{ ");
    let (rest, _) = list(input, "{", "}", |i| {
        if !std::mem::take(&mut first) {
            out.push_str(", ");
        }
        alias(i, out, false)
    })?;
    out.push_str(" }");
    Ok((rest, ()))
}

/// `{ leaf : leaf, "module" ... }`.
pub(crate) fn recovery_table<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    let (mut rest, ()) = punct(input, "{")?;
    out.push_str("{\n");
    while peek(rest) != Some(b'}') {
        out.push_str("  ");
        (rest, ()) = origin_leaf(rest, out)?;
        (rest, ()) = punct(rest, ":")?;
        out.push_str(" : ");
        (rest, ()) = origin_leaf(rest, out)?;
        if let Some(next) = after(rest, ",") {
            let (next, module) = raw_string(next)?;
            out.push_str(",\n  ");
            out.push_str(module);
            rest = next;
        }
        out.push('\n');
    }
    out.push_str("}\n");
    punct(rest, "}")
}

/// `{ {"constant"}:({log_mode=default,callback_id=1,partitioned=true}) }`.
pub(crate) fn debug_attributes<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    let (mut rest, ()) = punct(input, "{")?;
    out.push_str("{\n");
    while peek(rest) != Some(b'}') {
        out.push_str("  ");
        (rest, ()) = origin_leaf(rest, out)?;
        (rest, ()) = punct(rest, ":")?;
        (rest, ()) = punct(rest, "(")?;
        out.push_str(":({");
        let mut first = true;
        (rest, _) = list(rest, "{", "}", |i| {
            let (value, key) = attribute_name(i)?;
            let (end, word) = match key {
                "log_mode" => {
                    let (end, word) = ident(value, "a log mode")?;
                    if !["default", "fusion_debugger"].contains(&word) {
                        return expected(value, "`default` or `fusion_debugger`");
                    }
                    (end, word.to_owned())
                }
                "callback_id" => {
                    let (end, id) = integer(value)?;
                    (end, id.to_string())
                }
                "partitioned" => {
                    let (end, value) = boolean(value)?;
                    (end, value.to_string())
                }
                _ => return expected(i, "`log_mode=`, `callback_id=` or `partitioned=`"),
            };
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            push(out, format_args!("{key}={word}"));
            Ok((end, ()))
        })?;
        out.push_str("})");
        (rest, ()) = punct(rest, ")")?;
        if let Some(next) = after(rest, ",") {
            out.push(',');
            rest = next;
        }
        out.push('\n');
    }
    out.push('}');
    punct(rest, "}")
}
