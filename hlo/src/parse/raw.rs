//! Structures that only matter to XLA's own passes: checked, and kept as canonical text.
//!
//! ```text
//! metadata   = '{' (','? key '=' (string | integer | integers))* '}'
//! sharding   = '{' (single (',' single)*)? '}' | single
//! single     = '{' part* '}'
//! part       = 'replicated' | 'manual' | 'maximal' | 'unknown' | 'unreduced'
//!            | 'device=' integer | 'devices=' tiles (integer (',' integer)*)?
//!            | 'last_tile_dim_replicate' | 'last_tile_dims={' kind (',' kind)* '}'
//!            | ('shard_as' | 'shard_like') integer | 'metadata=' (metadata | '{' metadata, ... '}')
//!            | mesh, axes and what else a named sharding has
//! tiles      = '[' integer, ... ']' ('<=[' integer, ... ']' ('T(' integer, ... ')')?)?
//! groups     = '{{0,1},{2,3}}' | tiles | 'mesh[' axis, ... ']' ... '{' axis, ... '}'
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

fn push(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{value}");
}

fn push_integers(out: &mut String, values: &[i64]) {
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push(out, value);
    }
}

/// A string in canonical quotes and escapes.
fn quoted<'a>(input: &'a str, out: &mut String) -> Parsed<'a, bool> {
    let (rest, raw) = raw_string(input)?;
    let plain = raw.starts_with('"')
        && raw
            .bytes()
            .all(|b| (0x20..=0x7e).contains(&b) && b != b'\\' && b != b'\'');
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
            push(out, number);
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
                "op_type" | "op_name" | "source_file" | "scheduling_name"
            )
    });
    if !named {
        out.truncate(base + 1);
    }
    out.push('}');
    Ok((rest, ()))
}

/// `tiles`, and whether a device list must follow.
fn tiles<'a>(input: &'a str, out: &mut String) -> Parsed<'a, bool> {
    let (rest, shape) = list(input, "[", "]", integer)?;
    if shape.is_empty() {
        return expected(input, "the number of tiles in each dimension");
    }
    out.push('[');
    push_integers(out, &shape);
    out.push(']');
    let Some(next) = after(rest, "<=") else {
        return Ok((rest, true));
    };
    let (mut rest, reshape) = list(next, "[", "]", integer)?;
    if reshape.is_empty() {
        return expected(next, "at least one dimension");
    }
    out.push_str("<=[");
    let mut permutation = None;
    if reshape.len() > 1 {
        let Some(dims) = keyword(rest, "T") else {
            return expected(rest, "`T(`");
        };
        let (end, dims) = list(dims, "(", ")", |i| {
            let (end, dim) = integer(i)?;
            if dim < 0 || dim as usize >= reshape.len() {
                return expected(i, "a dimension of the device list");
            }
            Ok((end, dim))
        })?;
        if dims.len() != reshape.len() {
            return expected(rest, "a permutation of all dimensions");
        }
        rest = end;
        permutation = Some(dims);
    }
    // Dimensions of size 1 say nothing, and neither do those that stay neighbours.
    let (reshape, permutation) = match permutation {
        Some(permutation) => canonical_iota(&reshape, &permutation),
        None => (reshape, Vec::new()),
    };
    push_integers(out, &reshape);
    out.push(']');
    if permutation.len() > 1 {
        out.push_str("T(");
        push_integers(out, &permutation);
        out.push(')');
    }
    Ok((rest, false))
}

/// Drops dimensions of size 1 and merges dimensions that the permutation keeps together.
fn canonical_iota(dims: &[i64], permutation: &[i64]) -> (Vec<i64>, Vec<i64>) {
    let size = |dim: i64| {
        usize::try_from(dim)
            .ok()
            .and_then(|d| dims.get(d))
            .copied()
            .unwrap_or(1)
    };
    let kept: Vec<i64> = permutation
        .iter()
        .copied()
        .filter(|&d| size(d) != 1)
        .collect();
    // Runs of dimensions that follow each other before and after the permutation.
    let mut runs: Vec<Vec<i64>> = Vec::new();
    for &dim in &kept {
        let follows = runs
            .last()
            .and_then(|run| run.last())
            .is_some_and(|&previous| {
                previous < dim && (previous + 1..dim).all(|between| size(between) == 1)
            });
        match runs.last_mut() {
            Some(run) if follows => run.push(dim),
            _ => runs.push(vec![dim]),
        }
    }
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by_key(|&run| runs.get(run).and_then(|r| r.first()).copied());
    let merged = order
        .iter()
        .filter_map(|&run| runs.get(run))
        .map(|run| run.iter().map(|&d| size(d)).fold(1, i64::saturating_mul))
        .collect::<Vec<i64>>();
    if merged.is_empty() {
        return (vec![1], Vec::new());
    }
    let mut position = vec![0i64; runs.len()];
    for (new, &run) in (0i64..).zip(&order) {
        if let Some(slot) = position.get_mut(run) {
            *slot = new;
        }
    }
    (merged, position)
}

/// `sharding`.
pub(crate) fn sharding<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    let inside = punct(input, "{")?.0;
    if !matches!(peek(inside), Some(b'{' | b'}')) {
        return single_sharding(input, out);
    }
    out.push('{');
    let mut first = true;
    let (rest, _) = list(input, "{", "}", |i| {
        if !std::mem::take(&mut first) {
            out.push_str(", ");
        }
        single_sharding(i, out)
    })?;
    out.push('}');
    Ok((rest, ()))
}

/// The parts of one sharding, in the order of printing.
#[derive(Default)]
struct Sharding {
    kind: Option<&'static str>,
    device: Option<i64>,
    tiles: Option<String>,
    devices: Vec<i64>,
    /// Tiles in the last dimension, when the devices are listed.
    last_tile: Option<usize>,
    tile_kinds: Option<String>,
    group: Option<String>,
    metadata: Option<String>,
}

fn single_sharding<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    let (mut rest, ()) = punct(input, "{")?;
    let start = skip(rest);
    if ["mesh[", "maximal_mesh["]
        .iter()
        .any(|m| start.starts_with(m))
    {
        return named_sharding(input, out);
    }
    let mut sharding = Sharding::default();
    loop {
        if let Some(end) = after(rest, "}") {
            rest = end;
            break;
        }
        let word = ["replicated", "manual", "maximal", "unknown", "unreduced"]
            .into_iter()
            .find_map(|word| Some((word, keyword(rest, word)?)));
        if let Some((word, next)) = word {
            sharding.kind = Some(word);
            rest = next;
        } else if let Some(next) = keyword(rest, "last_tile_dim_replicate") {
            sharding.tile_kinds = Some("last_tile_dim_replicate".to_owned());
            rest = next;
        } else if let Some((word, next)) = ["shard_as", "shard_like"]
            .into_iter()
            .find_map(|word| Some((word, keyword(rest, word)?)))
        {
            let (next, group) = integer(next)?;
            sharding.group = Some(format!("{word} {group}"));
            rest = next;
        } else {
            rest = sharding.attribute(rest)?.0;
        }
    }
    sharding.check(input)?;
    sharding.print(out);
    Ok((rest, ()))
}

impl Sharding {
    fn attribute<'a>(&mut self, input: &'a str) -> Parsed<'a, ()> {
        let (value, key) = attribute_name(input)?;
        match key {
            "device" => {
                let (rest, device) = integer(value)?;
                self.device = Some(device);
                Ok((rest, ()))
            }
            "devices" => {
                let mut text = String::new();
                let (mut rest, listed) = tiles(value, &mut text)?;
                let tiles = text.trim_matches(['[', ']']).split(',');
                let places: i64 = tiles
                    .clone()
                    .filter_map(|t| t.parse::<i64>().ok())
                    .fold(1, i64::saturating_mul);
                let last = tiles
                    .clone()
                    .next_back()
                    .and_then(|t| t.parse::<usize>().ok());
                if listed {
                    loop {
                        let (next, device) = integer(rest)?;
                        self.devices.push(device);
                        rest = next;
                        match after(rest, ",") {
                            Some(next) => rest = next,
                            None => break,
                        }
                    }
                    self.check_devices(value, places)?;
                    self.last_tile = last;
                }
                self.tiles = Some(text);
                Ok((rest, ()))
            }
            "metadata" => {
                let mut text = String::new();
                let nested = after(value, "{").and_then(peek) == Some(b'{');
                let rest = if nested {
                    let mut first = true;
                    text.push('{');
                    let (rest, _) = list(value, "{", "}", |i| {
                        if !std::mem::take(&mut first) {
                            text.push_str(", ");
                        }
                        metadata(i, &mut text)
                    })?;
                    text.push('}');
                    rest
                } else {
                    metadata(value, &mut text)?.0
                };
                self.metadata = Some(text);
                Ok((rest, ()))
            }
            "last_tile_dims" => {
                let (rest, kinds) = list(value, "{", "}", |i| {
                    ["maximal", "replicated", "manual", "unreduced"]
                        .into_iter()
                        .find_map(|kind| Some(Ok((keyword(i, kind)?, kind))))
                        .unwrap_or_else(|| expected(i, "a kind of sharding"))
                })?;
                self.tile_kinds = Some(if kinds == ["replicated"] {
                    "last_tile_dim_replicate".to_owned()
                } else {
                    format!("last_tile_dims={{{}}}", kinds.join(", "))
                });
                Ok((rest, ()))
            }
            _ => expected(
                input,
                "`device=`, `devices=`, `metadata=` or `last_tile_dims=`",
            ),
        }
    }

    /// One device for each tile; XLA takes device 0 for those that are not listed.
    fn check_devices<'a>(&mut self, input: &'a str, places: i64) -> Parsed<'a, ()> {
        let listed = self.devices.len() as i64;
        // A list that leaves out more than it states is no list.
        if listed > places || places > listed.saturating_mul(4) {
            return expected(input, "as many devices as tiles");
        }
        if listed > 1 {
            self.devices.resize(usize::try_from(places).unwrap_or(0), 0);
        }
        Ok((input, ()))
    }

    fn check<'a>(&self, input: &'a str) -> Parsed<'a, ()> {
        let assigned = self.device.is_some() || !self.devices.is_empty();
        match self.kind {
            Some("maximal") if !assigned => expected(input, "a maximal sharding with its device"),
            Some("maximal") => Ok((input, ())),
            Some(_) if assigned => expected(input, "a sharding of this kind without devices"),
            Some(_) => Ok((input, ())),
            None if self.tiles.is_none() => {
                expected(input, "a sharding that states its kind or its tiles")
            }
            None if self.devices.len() == 1 => {
                expected(input, "more than one device, or a maximal sharding")
            }
            None => Ok((input, ())),
        }
    }

    fn print(&mut self, out: &mut String) {
        out.push('{');
        // Replicas of one tile have no order.
        if let (Some("last_tile_dim_replicate"), Some(replicas)) = (
            self.tile_kinds.as_deref(),
            self.last_tile.filter(|&n| n > 0),
        ) {
            self.devices
                .chunks_mut(replicas)
                .for_each(<[i64]>::sort_unstable);
        }
        match self.kind {
            Some("maximal") => {
                let device = self.device.or(self.devices.first().copied());
                push(out, format_args!("maximal device={}", device.unwrap_or(0)));
            }
            Some(kind) => out.push_str(kind),
            None => {
                out.push_str("devices=");
                out.push_str(self.tiles.as_deref().unwrap_or(""));
                push_integers(out, &self.devices);
                if let Some(kinds) = &self.tile_kinds {
                    out.push(' ');
                    out.push_str(kinds);
                }
            }
        }
        for part in self.group.iter() {
            out.push(' ');
            out.push_str(part);
        }
        if let Some(metadata) = &self.metadata {
            out.push_str(" metadata=");
            out.push_str(metadata);
        }
        out.push('}');
    }
}

/// `mesh['a'=2,'b'=4], [{'a'}, {'b':(2)2, ?}], replicated={...}`: checked for balance, blanks
/// made uniform.
fn named_sharding<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    structure(input, out)
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

/// `groups`.
pub(crate) fn device_groups<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    match peek(input) {
        Some(b'{') => {
            let (rest, groups) = list(input, "{", "}", integers)?;
            out.push('{');
            for (i, group) in groups.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push('{');
                push_integers(out, group);
                out.push('}');
            }
            out.push('}');
            Ok((rest, ()))
        }
        Some(b'[') => {
            let (rest, listed) = tiles(input, out)?;
            if listed {
                return expected(rest, "`<=[`");
            }
            Ok((rest, ()))
        }
        _ => mesh_groups(input, out),
    }
}

/// `mesh['a'=2,'b'=2] {'b'}`.
fn mesh_groups<'a>(input: &'a str, out: &mut String) -> Parsed<'a, ()> {
    let Some(axes) = after(input, "mesh[") else {
        return expected(input, "`{`, `[` or `mesh[`");
    };
    out.push_str("mesh[");
    let mut names = Vec::new();
    let mut rest = axes;
    let mut total: i64 = 1;
    while peek(rest) != Some(b']') {
        if !names.is_empty() {
            rest = punct(rest, ",")?.0;
            out.push(',');
        }
        let (next, name) = raw_string(rest)?;
        let (next, ()) = punct(next, "=")?;
        let (next, size) = integer(next)?;
        total = total.saturating_mul(size);
        push(out, format_args!("{name}={size}"));
        names.push(name);
        rest = next;
    }
    (rest, ()) = punct(rest, "]")?;
    out.push(']');
    if let Some(next) = after(rest, ",") {
        let (value, key) = attribute_name(next)?;
        if key != "device_ids" {
            return expected(next, "`device_ids=`");
        }
        out.push_str(", device_ids=");
        let open = punct(value, "(")?.0;
        if peek(open) == Some(b'[') {
            out.push('(');
            let (end, ()) = structure(open, out)?;
            (rest, ()) = punct(end, ")")?;
            out.push(')');
        } else {
            let (end, ids) = list(value, "(", ")", integer)?;
            if ids.len() as i64 != total {
                return expected(value, "one device for each place of the mesh");
            }
            out.push('(');
            push_integers(out, &ids);
            out.push(')');
            rest = end;
        }
    }
    out.push_str(" {");
    let mut first = true;
    let (rest, _) = list(rest, "{", "}", |i| {
        let (end, name) = raw_string(i)?;
        if !names.contains(&name) {
            return expected(i, "an axis of the mesh");
        }
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        out.push_str(name);
        if after(end, ":").is_some() {
            let part = skip(end);
            let stop = part.find([',', '}']).unwrap_or(part.len());
            out.push_str(part.get(..stop).unwrap_or("").trim_end());
            return Ok((part.get(stop..).unwrap_or(""), ()));
        }
        Ok((end, ()))
    })?;
    out.push('}');
    Ok((rest, ()))
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
                let end = sharding(value, &mut text)?.0;
                entry = Some(text);
                end
            }
            "exit" => {
                let end = sharding(value, &mut text)?.0;
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
