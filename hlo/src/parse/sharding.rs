//! Shardings and groups of devices: see [`super::raw`] for what is kept of them.
//!
//! ```text
//! sharding   = '{' (single (',' single)*)? '}' | single
//! single     = '{' part* '}'
//! part       = 'replicated' | 'manual' | 'maximal' | 'unknown' | 'unreduced'
//!            | 'device=' integer | 'devices=' tiles (integer (',' integer)*)?
//!            | 'last_tile_dim_replicate' | 'last_tile_dims={' kind (',' kind)* '}'
//!            | ('shard_as' | 'shard_like') integer | 'metadata=' (metadata | '{' metadata, ... '}')
//!            | mesh, axes and what else a named sharding has
//! tiles      = '[' integer, ... ']' ('<=[' integer, ... ']' ('T(' integer, ... ')')?)?
//! groups     = '{{0,1},{2,3}}' | tiles | 'mesh[' axis, ... ']' ... '{' axis, ... '}'
//! ```

use super::lex::{
    Parsed, after, attribute_name, expected, integer, keyword, list, peek, punct, raw_string, skip,
};
use super::raw::{metadata, push, push_integers, structure};
use super::value::integers;

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
