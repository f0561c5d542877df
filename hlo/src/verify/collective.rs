//! Rules of collectives: groups that name each device once, and results whose sizes follow from how
//! many devices a group has.
//!
//! How groups are meant depends on what the instruction states:
//!
//! | `channel_id` | `use_global_device_ids` | members of a group |
//! |---|---|---|
//! | no | no | replicas |
//! | yes | no | replicas, with all partitions of each |
//! | yes | yes | replicas times partitions, numbered in one sequence |
//! | yes | cannot be stated (`all-to-all`, `collective-permute`) | partitions |
//!
//! A module that does not state how many replicas or partitions there are has one, and is not held to it:
//! then the number of devices is that of the groups.

use crate::attribute::AttributeValue;
use crate::groups::{Groups, devices};
use crate::infer::{Inferred, Rule, broken, in_rank, require, shapes_fit, size_of};
use crate::module::{Instruction, Module};
use crate::opcode::Opcode;
use crate::shape::{ArrayShape, Shape};

/// Checks a collective; other instructions pass.
pub(super) fn check(module: &Module, instruction: &Instruction) -> Inferred<()> {
    use Opcode as O;
    let collective = Collective {
        module,
        instruction,
    };
    match instruction.opcode {
        O::AllGather | O::AllGatherStart => collective.all_gather(),
        O::AllReduce | O::AllReduceStart => {
            collective.groups(false)?;
            collective.result(collective.together(collective.operands()?))
        }
        O::AllReduceDone => collective.result(collective.operand(0)?.clone()),
        O::AllGatherDone | O::CollectivePermuteDone => collective.done(),
        O::ReduceScatter => collective.reduce_scatter(),
        O::AllToAll => collective.all_to_all(),
        O::RaggedAllToAll => collective.ragged_all_to_all(),
        O::CollectivePermute | O::CollectivePermuteStart => collective.permute(),
        _ => Ok(()),
    }
}

struct Collective<'m> {
    module: &'m Module,
    instruction: &'m Instruction,
}

impl<'m> Collective<'m> {
    fn operand(&self, index: usize) -> Inferred<&'m Shape> {
        match self.instruction.operands.get(index) {
            Some(&operand) => Ok(&self.module.instructions[operand].shape),
            None => broken(Rule::OperandCount, format!("{} operands", index + 1), index),
        }
    }

    fn operands(&self) -> Inferred<Vec<Shape>> {
        (0..self.instruction.operands.len())
            .map(|i| self.operand(i).cloned())
            .collect()
    }

    fn arrays(&self) -> Inferred<Vec<&'m ArrayShape>> {
        (0..self.instruction.operands.len())
            .map(|i| {
                let shape = self.operand(i)?;
                match shape.as_array() {
                    Some(array) => Ok(array),
                    None => broken(Rule::OperandKind, format!("an array as operand {i}"), shape),
                }
            })
            .collect()
    }

    /// One shape, or a tuple of several.
    fn together(&self, mut shapes: Vec<Shape>) -> Shape {
        if shapes.len() == 1 {
            shapes.remove(0)
        } else {
            Shape::Tuple(shapes)
        }
    }

    /// The result must be this.
    fn result(&self, expected: Shape) -> Inferred<()> {
        require(
            shapes_fit(&expected, &self.instruction.shape),
            Rule::Result,
            || expected.to_string(),
            || self.instruction.shape.to_string(),
        )
    }

    /// The result of a start must be operands, result, and any context.
    fn started(&self, result: Shape) -> Inferred<()> {
        let operands = self.together(self.operands()?);
        match &*self.instruction.shape {
            Shape::Tuple(parts)
                if parts.len() >= 2
                    && shapes_fit(&operands, &parts[0])
                    && shapes_fit(&result, &parts[1]) =>
            {
                Ok(())
            }
            found => broken(Rule::Result, format!("({operands}, {result})"), found),
        }
    }

    /// The result of an end is the second part of what the start gave.
    fn done(&self) -> Inferred<()> {
        match self.operand(0)? {
            Shape::Tuple(parts) if parts.len() >= 2 => self.result(parts[1].clone()),
            other => broken(Rule::OperandKind, "a started operation as operand 0", other),
        }
    }

    fn has_flag(&self, name: &str) -> bool {
        self.instruction.attribute(name) == Some(&AttributeValue::Bool(true))
    }

    /// Devices that the groups number, and how many devices stand behind each member.
    fn population(&self) -> Inferred<(i64, i64)> {
        let (replicas, partitions) = devices(self.module);
        let channel = self.instruction.attribute("channel_id").is_some();
        let by_partition = matches!(
            self.instruction.opcode,
            Opcode::AllToAll
                | Opcode::CollectivePermute
                | Opcode::CollectivePermuteStart
                | Opcode::RaggedAllToAll
        );
        match (channel, self.has_flag("use_global_device_ids")) {
            (true, _) if by_partition => Ok((partitions, 1)),
            (true, true) => Ok((replicas.saturating_mul(partitions), 1)),
            (true, false) => Ok((replicas, partitions)),
            (false, false) => Ok((replicas, 1)),
            (false, true) => broken(
                Rule::AttributeRange,
                "a `channel_id` beside `use_global_device_ids`",
                "none",
            ),
        }
    }

    /// Checks the groups; how many devices each has, if known.
    fn groups(&self, uniform: bool) -> Inferred<Option<i64>> {
        let (devices, behind) = self.population()?;
        let (named, size) = match Groups::of(self.instruction) {
            Groups::Mesh => return Ok(None),
            Groups::All => {
                require(
                    !self.has_flag("use_global_device_ids"),
                    Rule::AttributeLength,
                    || "`replica_groups` beside `use_global_device_ids`".to_owned(),
                    || "none".to_owned(),
                )?;
                return Ok(Some(devices.saturating_mul(behind)));
            }
            Groups::Tiled { groups, size } => (groups.saturating_mul(size), size),
            Groups::Listed(groups) => {
                let size = groups.first().map_or(0, Vec::len);
                let odd = groups
                    .iter()
                    .find(|g| g.is_empty() || uniform && g.len() != size);
                if let Some(odd) = odd {
                    return broken(
                        Rule::AttributeLength,
                        if uniform && size > 0 {
                            format!("replica groups of {size} devices each")
                        } else {
                            "replica groups of at least one device".to_owned()
                        },
                        odd.len(),
                    );
                }
                let members = groups.concat();
                let mut named = vec![false; members.len()];
                for &device in &members {
                    let slot = usize::try_from(device).ok();
                    match slot.and_then(|slot| named.get_mut(slot)) {
                        Some(seen) if !*seen => *seen = true,
                        _ => {
                            return broken(
                                Rule::AttributeRange,
                                format!(
                                    "devices 0..{}, each once in `replica_groups`",
                                    members.len()
                                ),
                                device,
                            );
                        }
                    }
                }
                (members.len() as i64, size as i64)
            }
        };
        require(
            devices == 1 || named == devices,
            Rule::AttributeLength,
            || format!("{devices} devices in `replica_groups`"),
            || named.to_string(),
        )?;
        Ok(Some(size.saturating_mul(behind)))
    }

    /// How many devices a group has according to the sizes `larger` and `smaller`, which must be
    /// what the groups say.
    fn shards(&self, larger: i64, smaller: i64, size: Option<i64>) -> Inferred<Option<i64>> {
        if larger == ArrayShape::UNBOUNDED || smaller == ArrayShape::UNBOUNDED {
            return Ok(size);
        }
        let shards = if smaller > 0 {
            larger / smaller + i64::from(larger % smaller > 0)
        } else {
            size.unwrap_or(1)
        };
        match size {
            Some(size) if size > 1 && size != shards => broken(
                Rule::Result,
                format!("{size} shards along the dimension, one for each device of a group"),
                shards,
            ),
            _ => Ok(Some(shards)),
        }
    }

    /// The one dimension of `dimensions={d}`.
    fn dimension(&self, array: &ArrayShape) -> Inferred<usize> {
        match self.instruction.integers("dimensions") {
            Some(&[dim]) => in_rank("dimensions", dim, array.rank()),
            other => broken(
                Rule::AttributeLength,
                "one dimension in `dimensions`",
                other.map_or(0, <[i64]>::len),
            ),
        }
    }

    /// The parts of the result, one for each of `count` operands.
    fn parts(result: &Shape, count: usize) -> Inferred<Vec<&Shape>> {
        match result {
            Shape::Tuple(parts) if count > 1 && parts.len() == count => Ok(parts.iter().collect()),
            other if count == 1 => Ok(vec![other]),
            other => broken(Rule::Result, format!("a tuple of {count} arrays"), other),
        }
    }

    fn all_gather(&self) -> Inferred<()> {
        let size = self.groups(true)?;
        let start = self.instruction.opcode == Opcode::AllGatherStart;
        let stated = match &*self.instruction.shape {
            Shape::Tuple(parts) if start && parts.len() >= 2 => &parts[1],
            other if start => {
                return broken(Rule::Result, "(operands, results)", other);
            }
            other => other,
        };
        let operands = self.arrays()?;
        let stated = Self::parts(stated, operands.len())?;
        let mut shards = size;
        let mut expected = Vec::with_capacity(operands.len());
        for (i, (operand, stated)) in operands.iter().zip(stated).enumerate() {
            let along = self.dimension(operand)?;
            if i == 0 {
                let whole = stated.as_array().map_or(1, |array| size_of(array, along));
                shards = self.shards(whole, size_of(operand, along), size)?;
            }
            let mut gathered = (*operand).clone();
            if let (Some(extent), Some(shards)) = (gathered.dims.get_mut(along), shards)
                && *extent != ArrayShape::UNBOUNDED
            {
                *extent = extent.saturating_mul(shards);
            }
            expected.push(Shape::Array(gathered));
        }
        let expected = self.together(expected);
        if start {
            self.started(expected)
        } else {
            self.result(expected)
        }
    }

    fn reduce_scatter(&self) -> Inferred<()> {
        let size = self.groups(true)?;
        let operands = self.arrays()?;
        let stated = Self::parts(&self.instruction.shape, operands.len())?;
        let mut shards = size;
        let mut expected = Vec::with_capacity(operands.len());
        for (i, (operand, stated)) in operands.iter().zip(stated).enumerate() {
            let along = self.dimension(operand)?;
            if i == 0 {
                let part = stated.as_array().map_or(1, |array| size_of(array, along));
                shards = self.shards(size_of(operand, along), part, size)?;
            }
            let mut scattered = (*operand).clone();
            if let (Some(extent), Some(shards)) = (scattered.dims.get_mut(along), shards)
                && *extent != ArrayShape::UNBOUNDED
            {
                require(
                    shards > 0 && *extent % shards == 0,
                    Rule::Dimensions,
                    || format!("a size of dimension {along} that {shards} divides"),
                    || operand.to_string(),
                )?;
                *extent /= shards;
            }
            expected.push(Shape::Array(scattered));
        }
        self.result(self.together(expected))
    }

    fn all_to_all(&self) -> Inferred<()> {
        let size = self.groups(true)?;
        let operands = self.arrays()?;
        if self.instruction.integers("dimensions").is_some() {
            let &[operand] = &operands[..] else {
                return broken(
                    Rule::OperandCount,
                    "one operand to split along `dimensions`",
                    operands.len(),
                );
            };
            let along = self.dimension(operand)?;
            let extent = size_of(operand, along);
            let divides = size.is_none_or(|size| size > 0 && extent % size == 0);
            require(
                divides || extent == ArrayShape::UNBOUNDED,
                Rule::Dimensions,
                || {
                    let size = size.unwrap_or(1);
                    format!("a size of dimension {along} that {size} divides")
                },
                || operand.to_string(),
            )?;
            return self.result(Shape::Array(operand.clone()));
        }
        if let Some(size) = size.filter(|&size| size > 1) {
            require(
                operands.len() as i64 == size,
                Rule::OperandCount,
                || format!("{size} operands, one for each device of a group"),
                || operands.len().to_string(),
            )?;
        }
        let shapes = self.operands()?;
        if let Some(odd) = shapes.iter().find(|shape| !shapes_fit(shape, &shapes[0])) {
            return broken(
                Rule::Dimensions,
                format!("operands like {}", shapes[0]),
                odd,
            );
        }
        // One operand alone may stand in a tuple or not.
        match &*self.instruction.shape {
            Shape::Tuple(_) => self.result(Shape::Tuple(shapes)),
            _ => self.result(self.together(shapes)),
        }
    }

    fn ragged_all_to_all(&self) -> Inferred<()> {
        self.groups(true)?;
        let operands = self.arrays()?;
        let &[input, output, ref offsets @ ..] = &operands[..] else {
            return broken(Rule::OperandCount, "6 operands", operands.len());
        };
        let &[first, ..] = offsets else {
            return broken(Rule::OperandCount, "6 operands", operands.len());
        };
        require(
            operands.len() == 6,
            Rule::OperandCount,
            || "6 operands".to_owned(),
            || operands.len().to_string(),
        )?;
        require(
            input.element == output.element && input.rank() == output.rank(),
            Rule::OperandKind,
            || format!("an array to write to with the type and rank of {input}"),
            || output.to_string(),
        )?;
        let alike = |array: &ArrayShape| {
            array.element.is_integer() && (1..=2).contains(&array.rank()) && first.same_dims(array)
        };
        if let Some(odd) = offsets.iter().find(|array| !alike(array)) {
            return broken(
                Rule::Dimensions,
                "offsets and sizes of one integer type, one or two dimensions and the same sizes",
                odd,
            );
        }
        self.result(Shape::Array(output.clone()))
    }

    fn permute(&self) -> Inferred<()> {
        let (devices, _) = self.population()?;
        let operands = self.operands()?;
        // The form that writes into a given buffer may send several slices from one device.
        let in_place = operands.len() == 4 && matches!(operands[2], Shape::Tuple(_));
        let listed: &[Vec<i64>] = match self.instruction.attribute("source_target_pairs") {
            Some(AttributeValue::IntegerLists(pairs)) => pairs,
            _ => &[],
        };
        for (what, end) in [("source", 0), ("target", 1)] {
            let mut seen = hashbrown::HashSet::new();
            for pair in listed {
                let device = match pair.get(end) {
                    Some(&device) if pair.len() == 2 => device,
                    _ => return broken(Rule::AttributeLength, "pairs of devices", pair.len()),
                };
                require(
                    device >= 0 && (devices == 1 || device < devices),
                    Rule::AttributeRange,
                    || format!("a {what} among the devices"),
                    || device.to_string(),
                )?;
                require(
                    seen.insert(device) || in_place,
                    Rule::AttributeRange,
                    || format!("each {what} once in `source_target_pairs`"),
                    || format!("{device} twice"),
                )?;
            }
        }
        let start = self.instruction.opcode == Opcode::CollectivePermuteStart;
        match (in_place, start) {
            (true, false) => self.result(operands[1].clone()),
            // What a start of this form holds is the target's own affair.
            (true, true) => Ok(()),
            (false, false) => self.result(self.together(operands)),
            (false, true) => self.started(self.together(operands)),
        }
    }
}
