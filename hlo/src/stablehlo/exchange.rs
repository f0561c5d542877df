//! Collectives, transfers, and operations in two halves.
//!
//! StableHLO has the halves of no operation: the first half becomes the whole operation, the second takes its result. An
//! asynchronous operation that ends at once is one.

use super::attributes::{common, numbers, of_leaves, raw, split};
use super::error::Reason;
use super::function::{Op, Printer, Value};
use super::operation::{called, flag, integer_of, integers_of};
use super::text::{integer, leaves, list, matrix, string, types};
use crate::attribute::AttributeValue;
use crate::groups::{Groups, devices};
use crate::module::{Instruction, InstructionId};
use crate::opcode::Opcode;
use crate::shape::Shape;

/// Most devices in all groups of a collective.
const MAX_DEVICES: i64 = 1 << 20;

/// Who talks to whom on a channel.
mod channel {
    pub(super) const DEVICE_TO_DEVICE: i64 = 1;
    pub(super) const DEVICE_TO_HOST: i64 = 2;
    pub(super) const HOST_TO_DEVICE: i64 = 3;
}

impl Printer<'_> {
    pub(super) fn all_gather(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let [dim] = integers_of(instruction, "dimensions")? else {
            return Err(Reason::form("one dimension", "another number"));
        };
        let op = self.collective(id, "stablehlo.all_gather")?;
        Ok(op.attribute("all_gather_dim", integer(*dim)).flag(
            "use_global_device_ids",
            flag(instruction, "use_global_device_ids"),
        ))
    }

    pub(super) fn all_reduce(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        let groups = self.groups(&self.module.instructions[id])?;
        let op = self.reducing(id, "stablehlo.all_reduce", groups);
        self.combining(id, op, |_| Some(0))
    }

    pub(super) fn reduce_scatter(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        let instruction = &self.module.instructions[id];
        self.one_operand(id)?;
        let [dim] = integers_of(instruction, "dimensions")? else {
            return Err(Reason::form("one dimension", "another number"));
        };
        let groups = self.groups(instruction)?;
        let op = self
            .reducing(id, "stablehlo.reduce_scatter", groups)
            .attribute("scatter_dimension", integer(*dim));
        self.combining(id, op, |_| Some(0))
    }

    /// A collective with a computation, without operands and results.
    fn reducing(&self, id: InstructionId, name: &str, groups: Vec<Vec<i64>>) -> Op {
        let instruction = &self.module.instructions[id];
        in_groups(self.op(id, name), instruction, groups).flag(
            "use_global_device_ids",
            flag(instruction, "use_global_device_ids"),
        )
    }

    pub(super) fn all_to_all(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        self.one_operand(id)?;
        let Some([dim]) = instruction.integers("dimensions") else {
            return Err(Reason::form(
                "one array that is split",
                "arrays for each device",
            ));
        };
        let mut groups = self.groups(instruction)?;
        // The number of parts is stated, so must be the devices: replicas, or partitions on a channel.
        if groups.is_empty() {
            let (replicas, partitions) = devices(self.module);
            let on_channel = instruction.integer("channel_id").is_some();
            let all = if on_channel { partitions } else { replicas };
            if !(1..=MAX_DEVICES).contains(&all) {
                return Err(Reason::form("devices that can be listed", all.to_string()));
            }
            groups.push((0..all).collect());
        }
        let parts = groups.first().map_or(0, Vec::len) as i64;
        let op = self
            .op(id, "stablehlo.all_to_all")
            .operands(self.operands(id))
            .results(types(&instruction.shape)?);
        Ok(in_groups(op, instruction, groups)
            .attribute("split_dimension", integer(*dim))
            .attribute("concat_dimension", integer(*dim))
            .attribute("split_count", integer(parts)))
    }

    pub(super) fn collective_broadcast(&self, id: InstructionId) -> Result<Op, Reason> {
        self.one_operand(id)?;
        if flag(&self.module.instructions[id], "has_dynamic_root") {
            return Err(Reason::NoAttribute("has_dynamic_root".into()));
        }
        self.collective(id, "stablehlo.collective_broadcast")
    }

    pub(super) fn collective_permute(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        self.one_operand(id)?;
        let Some(AttributeValue::IntegerLists(pairs)) =
            instruction.attribute("source_target_pairs")
        else {
            return Err(Reason::Missing("source_target_pairs"));
        };
        let op = Op::new("stablehlo.collective_permute")
            .attributes(result_attributes(instruction)?)
            .operands(self.operands(id))
            .results(types(result_shape(instruction))?)
            .attribute("source_target_pairs", matrix(pairs, 2));
        Ok(on_channel(op, instruction, channel::DEVICE_TO_DEVICE))
    }

    fn one_operand(&self, id: InstructionId) -> Result<(), Reason> {
        match self.operands(id).len() {
            1 => Ok(()),
            several => Err(Reason::form("one operand", several.to_string())),
        }
    }

    /// Operands, results, groups and channel.
    fn collective(&self, id: InstructionId, name: &str) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let op = Op::new(name)
            .attributes(result_attributes(instruction)?)
            .operands(self.operands(id))
            .results(types(result_shape(instruction))?);
        Ok(in_groups(op, instruction, self.groups(instruction)?))
    }

    /// `{{0,1},{2,3}}`, `[2,2]<=[2,2]T(1,0)` or `mesh['a'=2,'b'=2] {'b'}`.
    fn groups(&self, instruction: &Instruction) -> Result<Vec<Vec<i64>>, Reason> {
        let text = raw(&instruction.attributes, "replica_groups").unwrap_or_default();
        match Groups::of(instruction) {
            Groups::All => return Ok(Vec::new()),
            Groups::Listed(groups) => return Ok(groups),
            Groups::Tiled { .. } | Groups::Mesh => {}
        }
        tiled_groups(text)
            .or_else(|| mesh_groups(text))
            .ok_or_else(|| Reason::NoAttribute(format!("replica_groups={text}")))
    }

    pub(super) fn infeed(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let leaves = leaves(&instruction.shape)?;
        let arrays = || leaves.iter().filter_map(|shape| shape.as_array());
        if let Some(dynamic) = arrays().find(|array| array.is_dynamic()) {
            return Err(Reason::form("static dimensions", dynamic.to_string()));
        }
        let layouts = arrays().map(|array| match &array.layout {
            Some(layout) => list(&layout.minor_to_major),
            None => "[]".to_owned(),
        });
        Ok(self
            .with_all(id, "stablehlo.infeed")?
            .attribute(
                "infeed_config",
                string(text_of(instruction, "infeed_config")),
            )
            .attribute("layout", list(layouts)))
    }

    pub(super) fn outfeed(&self, id: InstructionId) -> Result<Op, Reason> {
        let instruction = &self.module.instructions[id];
        let config = string(text_of(instruction, "outfeed_config"));
        let op = self.with_all(id, "stablehlo.outfeed")?;
        Ok(op.attribute("outfeed_config", config))
    }

    /// `(data, context, token)`.
    pub(super) fn send(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        let instruction = &self.module.instructions[id];
        let [_, context, token] = three(&instruction.shape)?;
        let to_host = flag(instruction, "is_host_transfer");
        // The token is where the data is.
        let count = leaves(&instruction.shape)?.len();
        let op = Op::new("stablehlo.send")
            .attributes(of_leaves(instruction, count, &[0]))
            .operands(self.operands(id))
            .attribute("is_host_transfer", to_host.to_string())
            .results(types(token)?);
        let kind = match to_host {
            true => channel::DEVICE_TO_HOST,
            false => channel::DEVICE_TO_DEVICE,
        };
        let sent = self.emit(&instruction.name, with_channel(op, instruction, kind));
        let mut values = self.leaves_of(id, 0)?;
        values.push(self.zeros(context)?);
        values.extend(sent);
        Ok(values)
    }

    /// `(data, context, token)`.
    pub(super) fn recv(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        let instruction = &self.module.instructions[id];
        let [data, context, token] = three(&instruction.shape)?;
        let from_host = flag(instruction, "is_host_transfer");
        let count = leaves(&instruction.shape)?.len();
        let given: Vec<usize> = (0..leaves(data)?.len())
            .chain(count.checked_sub(1))
            .collect();
        let op = Op::new("stablehlo.recv")
            .attributes(of_leaves(instruction, count, &given))
            .operands(self.operands(id))
            .attribute("is_host_transfer", from_host.to_string())
            .results(types(data)?)
            .results(types(token)?);
        let kind = match from_host {
            true => channel::HOST_TO_DEVICE,
            false => channel::DEVICE_TO_DEVICE,
        };
        let mut values = self.emit(&instruction.name, with_channel(op, instruction, kind));
        let token = values.pop();
        values.push(self.zeros(context)?);
        values.extend(token);
        Ok(values)
    }

    /// The token of the transfer.
    pub(super) fn send_done(&self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        self.element(id, 2)
    }

    /// Data and token of the transfer.
    pub(super) fn recv_done(&self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        let mut values = self.element(id, 0)?;
        values.extend(self.element(id, 2)?);
        Ok(values)
    }

    /// The value, once the token is there.
    pub(super) fn add_dependency(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        let name = &self.module.instructions[id].name;
        let operands = self.operands(id);
        let results = operands
            .iter()
            .map(|value| value.of.clone())
            .collect::<Vec<_>>();
        let op = self
            .op(id, "stablehlo.optimization_barrier")
            .operands(operands)
            .results(results);
        let mut values = self.emit(name, op);
        values.truncate(self.leaves_of(id, 0)?.len());
        Ok(values)
    }

    /// `((operands), result, context...)`.
    pub(super) fn async_start(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        let instruction = &self.module.instructions[id];
        let callee = called(instruction, "calls")?;
        let op = self.call(callee, self.operands(id))?;
        let op = op.attributes(result_attributes(instruction)?);
        self.started(id, op)
    }

    /// What starting an operation gives: operands, the operation's results, context that nobody reads.
    pub(super) fn started(&mut self, id: InstructionId, op: Op) -> Result<Vec<Value>, Reason> {
        let instruction = &self.module.instructions[id];
        let mut values = self.operands(id);
        values.extend(self.emit(&instruction.name, op));
        self.context(&instruction.shape, &mut values)?;
        Ok(values)
    }

    /// `(copy, operand, context)`.
    pub(super) fn copy_start(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        let mut values = self.leaves_of(id, 0)?;
        values.extend(values.clone());
        self.context(&self.module.instructions[id].shape, &mut values)?;
        Ok(values)
    }

    fn context(&mut self, shape: &Shape, values: &mut Vec<Value>) -> Result<(), Reason> {
        let Shape::Tuple(parts) = shape else {
            return Err(Reason::form("a tuple", shape.to_string()));
        };
        for part in parts.iter().skip(2) {
            for leaf in leaves(part)? {
                values.push(self.zeros(leaf)?);
            }
        }
        Ok(())
    }
}

fn three(shape: &Shape) -> Result<[&Shape; 3], Reason> {
    match shape {
        Shape::Tuple(parts) => match &parts[..] {
            [data, context, token] => Ok([data, context, token]),
            _ => Err(Reason::form("data, context and token", shape.to_string())),
        },
        _ => Err(Reason::form("data, context and token", shape.to_string())),
    }
}

/// What a collective gives: an operation's first half has it in the second place of its value.
fn result_shape(instruction: &Instruction) -> &Shape {
    let starts = matches!(
        instruction.opcode,
        Opcode::AllGatherStart | Opcode::CollectivePermuteStart | Opcode::AsyncStart
    );
    match &*instruction.shape {
        Shape::Tuple(parts) if starts => parts.get(1).unwrap_or(&instruction.shape),
        shape => shape,
    }
}

/// The attributes of an operation with this result.
fn result_attributes(instruction: &Instruction) -> Result<Vec<(String, String)>, Reason> {
    let result = result_shape(instruction);
    if std::ptr::eq(result, &*instruction.shape) {
        return Ok(common(instruction));
    }
    let before = match &*instruction.shape {
        Shape::Tuple(parts) => parts
            .first()
            .map_or(Ok(0), |part| Ok(leaves(part)?.len()))?,
        _ => 0,
    };
    let given: Vec<usize> = (before..before + leaves(result)?.len()).collect();
    let count = leaves(&instruction.shape)?.len();
    Ok(of_leaves(instruction, count, &given))
}

fn text_of<'i>(instruction: &'i Instruction, name: &str) -> &'i str {
    match instruction.attribute(name) {
        Some(AttributeValue::Text(text)) => text,
        _ => "",
    }
}

/// Groups and channel; groups of different sizes are filled up with no device.
fn in_groups(op: Op, instruction: &Instruction, mut groups: Vec<Vec<i64>>) -> Op {
    let width = groups.iter().map(Vec::len).max().unwrap_or(0);
    groups.iter_mut().for_each(|group| group.resize(width, -1));
    let op = op.attribute("replica_groups", matrix(&groups, width));
    on_channel(op, instruction, channel::DEVICE_TO_DEVICE)
}

fn on_channel(op: Op, instruction: &Instruction, kind: i64) -> Op {
    match instruction.integer("channel_id") {
        Some(_) => with_channel(op, instruction, kind),
        None => op,
    }
}

fn with_channel(op: Op, instruction: &Instruction, kind: i64) -> Op {
    let handle = integer_of(instruction, "channel_id").unwrap_or(0);
    op.attribute(
        "channel_handle",
        format!("#stablehlo.channel_handle<handle = {handle}, type = {kind}>"),
    )
}

/// Device numbers in the order of an array of these sizes, its dimensions permuted.
fn iota(sizes: &[i64], permutation: &[i64]) -> Option<Vec<i64>> {
    let count = sizes
        .iter()
        .try_fold(1i64, |n, &size| n.checked_mul(size))?;
    if !(0..=MAX_DEVICES).contains(&count) || sizes.iter().any(|&size| size < 1) {
        return None;
    }
    let stride = |dim: i64| -> Option<i64> {
        let inner = sizes.get(usize::try_from(dim).ok()? + 1..)?;
        Some(inner.iter().product())
    };
    let mut numbers = vec![0];
    for &dim in permutation {
        let (size, stride) = (*sizes.get(usize::try_from(dim).ok()?)?, stride(dim)?);
        let extended = |number: i64| (0..size).map(move |at| number + at * stride);
        numbers = numbers.into_iter().flat_map(extended).collect();
    }
    Some(numbers)
}

/// `[groups,members]<=[sizes]T(permutation)`.
fn tiled_groups(text: &str) -> Option<Vec<Vec<i64>>> {
    let (shape, source) = text.split_once("<=")?;
    let [_, members] = numbers(shape)[..] else {
        return None;
    };
    let (sizes, permutation) = match source.split_once('T') {
        Some((sizes, permutation)) => (numbers(sizes), numbers(permutation)),
        None => {
            let sizes = numbers(source);
            let permutation = (0..sizes.len() as i64).collect();
            (sizes, permutation)
        }
    };
    let devices = iota(&sizes, &permutation)?;
    let members = usize::try_from(members).ok().filter(|&m| m > 0)?;
    Some(devices.chunks(members).map(<[i64]>::to_vec).collect())
}

/// `mesh['a'=2,'b'=2] {'b'}`: devices that differ on the named axes alone are a group. Parts of axes and stated devices
/// are not understood.
fn mesh_groups(text: &str) -> Option<Vec<Vec<i64>>> {
    let (axes, named) = text.strip_prefix("mesh[")?.split_once("] {")?;
    if axes.contains("device_ids") || named.contains(':') {
        return None;
    }
    let axes: Option<Vec<(&str, i64)>> = split(axes, ',')
        .into_iter()
        .map(|axis| {
            let (name, size) = axis.split_once('=')?;
            Some((name.trim(), size.trim().parse().ok()?))
        })
        .collect();
    let axes = axes?;
    let named: Option<Vec<i64>> = split(named.trim_end_matches('}'), ',')
        .into_iter()
        .map(|name| axes.iter().position(|axis| axis.0 == name.trim()))
        .map(|at| at.map(|at| at as i64))
        .collect();
    let named = named?;
    let sizes: Vec<i64> = axes.iter().map(|axis| axis.1).collect();
    let mut order: Vec<i64> = (0..sizes.len() as i64).collect();
    order.retain(|dim| !named.contains(dim));
    order.extend(&named);
    let devices = iota(&sizes, &order)?;
    let members: i64 = named
        .iter()
        .filter_map(|&dim| sizes.get(usize::try_from(dim).ok()?))
        .product();
    let members = usize::try_from(members).ok().filter(|&m| m > 0)?;
    Some(devices.chunks(members).map(<[i64]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_in_short_are_those_in_full() {
        let short = tiled_groups("[2,4]<=[2,2,2]T(2,0,1)");
        assert_eq!(short, Some(vec![vec![0, 2, 4, 6], vec![1, 3, 5, 7]]));
        assert_eq!(
            tiled_groups("[2,2]<=[4]"),
            Some(vec![vec![0, 1], vec![2, 3]])
        );
        let mesh = "mesh['a'=2,'b'=2] ";
        let groups = |axes: &str| mesh_groups(&format!("{mesh}{axes}"));
        assert_eq!(groups("{'b'}"), Some(vec![vec![0, 1], vec![2, 3]]));
        assert_eq!(groups("{'a'}"), Some(vec![vec![0, 2], vec![1, 3]]));
        assert_eq!(groups("{'a','b'}"), Some(vec![vec![0, 1, 2, 3]]));
        assert_eq!(groups("{'a':(1)2}"), None);
    }
}
