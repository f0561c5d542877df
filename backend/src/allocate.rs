//! Units to the layers and lanes of a machine, streams to its queues.
//!
//! * **Layers.** A unit without a parent is on layer 0, a child one layer further in. A nest deeper than the machine's
//!   layers is split: its outermost units become loops of the host, which launches what is below at each of
//!   their positions; the unit right below the host is on layer 0.
//! * **Launches.** A unit on layer 0 and what it activates are one launch. Launches follow each other, so each has all lanes and
//!   queue bytes for itself: a program of many nests takes no more than its largest.
//! * **Lanes.** A unit that keeps `n` lookups in flight is there `n` times, and so is everything in it. Each of these shares
//!   of the lanes takes a vector unit's elements side by side, as many to a lane as it has to. Siblings are
//!   never active at one time: they may share lanes.
//! * **Queues.** Every stream has a queue in each lane that its unit takes, of as many entries as fit into the launch's lane with
//!   the most bytes, in a launch all of them the same number. A row is striped over its share of the lanes.
//! * **Chunks.** An operand lies in one chunk of the data queue.
//! * **Cores.** A root's positions are dealt to no more cores than there are.

use cranelift_entity::{PrimaryMap, SecondaryMap};
use hlo2dae_ir::core::{Arith, Span, Type};

use crate::access::{Instruction, Placement, Program, Slot, UnitId};
use crate::error::Unsupported;
use crate::machine::Machine;

/// More entries than anything profits from.
const MOST_ENTRIES: u64 = 1024;

/// Places all units of a program.
///
/// # Errors
///
/// Every resource that the program takes more of than the machine has.
pub(crate) fn allocate(program: &mut Program, machine: &Machine) -> Result<(), Vec<Unsupported>> {
    let mut allocator = Allocator {
        machine,
        shapes: shapes(program, machine),
        launches: Vec::new(),
        reasons: Vec::new(),
    };
    allocator.cores(program);
    allocator.place(program);
    allocator.fill(program);
    allocator.chunks(program);
    if allocator.reasons.is_empty() {
        Ok(())
    } else {
        Err(allocator.reasons)
    }
}

/// What is known of a unit before it is placed.
struct Shape {
    /// On the host.
    host: bool,
    layer: u32,
    /// Number of the launch that it is part of, if it is not on the host.
    launch: usize,
    /// How often it is there.
    copies: u32,
    /// Lanes of a vector unit, or 1.
    vector: u32,
    span: Span,
}

fn shapes(program: &Program, machine: &Machine) -> PrimaryMap<UnitId, Shape> {
    let units = program.code.iter().filter_map(|i| match i {
        Instruction::Unit(unit) => Some(unit),
        _ => None,
    });
    let mut height: SecondaryMap<UnitId, u32> = SecondaryMap::with_default(1);
    for unit in units.clone().rev() {
        if let Some(parent) = unit.parent {
            height[parent] = height[parent].max(height[unit.to.0] + 1);
        }
    }
    let mut shapes: PrimaryMap<UnitId, Shape> = PrimaryMap::new();
    let mut launches = 0;
    for unit in units {
        let parent = unit.parent.and_then(|parent| shapes.get(parent));
        let (outer_copies, layer, launch) = match parent {
            Some(parent) if !parent.host => (parent.copies, parent.layer + 1, parent.launch),
            Some(_) | None => (1, 0, launches),
        };
        let host = height[unit.to.0] > machine.access_unit.layers;
        launches += usize::from(layer == 0 && !host);
        let own = if host {
            1
        } else {
            unit.hints.lanes.unwrap_or(1).max(1)
        };
        shapes.push(Shape {
            host,
            layer,
            launch,
            copies: outer_copies.saturating_mul(own),
            vector: unit.vector.0.unwrap_or(1).max(1),
            span: program.units[unit.to.0].span,
        });
    }
    shapes
}

/// Bytes that one entry of every queue takes, lane by lane; lanes beyond the list have none.
#[derive(Default)]
struct Loads(Vec<u64>);

impl Loads {
    fn add(&mut self, first: u32, lanes: u32, bytes: u64) {
        let end = (first as usize).saturating_add(lanes as usize);
        if self.0.len() < end {
            self.0.resize(end, 0);
        }
        for load in self.0.iter_mut().take(end).skip(first as usize) {
            *load = load.saturating_add(bytes);
        }
    }

    fn most(&self, first: u32, lanes: u32) -> u64 {
        let lanes = self.0.iter().skip(first as usize).take(lanes as usize);
        lanes.copied().max().unwrap_or(0)
    }
}

/// A unit on layer 0 and what it activates.
#[derive(Default)]
struct Launch {
    loads: Loads,
    /// The stream that takes most bytes of a lane, and how many.
    largest: Option<(u64, Slot)>,
}

struct Allocator<'a> {
    machine: &'a Machine,
    shapes: PrimaryMap<UnitId, Shape>,
    launches: Vec<Launch>,
    reasons: Vec<Unsupported>,
}

impl Allocator<'_> {
    fn cores(&mut self, program: &Program) {
        let limit = self.machine.cores.max(1);
        for instruction in &program.code {
            let Instruction::Unit(unit) = instruction else {
                continue;
            };
            let needed = unit.hints.cores.unwrap_or(1);
            if needed > limit {
                let data = program.units.get(unit.to.0);
                let name = data.map_or("", |data| &data.name);
                self.reasons.push(Unsupported::new(
                    "cores",
                    limit.to_string(),
                    format!("{needed} for %{name}"),
                    "deal the positions to fewer cores, or take a machine that has as many",
                    data.map(|data| data.span).unwrap_or_default(),
                ));
            }
        }
    }

    /// Layers and lanes, and what the queues of each lane take.
    fn place(&mut self, program: &mut Program) {
        let lanes = self.machine.access_unit.lanes.max(1);
        let mut placed = None;
        let mut code = std::mem::take(&mut program.code);
        for instruction in &mut code {
            let Instruction::Unit(unit) = instruction else {
                if let Some(placed) = &placed
                    && let Some(slot) = queued(instruction)
                {
                    self.queue(program, slot, placed);
                }
                continue;
            };
            let Some(shape) = self.shapes.get(unit.to.0) else {
                continue;
            };
            if shape.host {
                unit.placement = Placement::Host;
                placed = None;
                continue;
            }
            let launches = self.launches.len().max(shape.launch + 1);
            self.launches.resize_with(launches, Launch::default);
            let loads = &self.launches[shape.launch].loads;
            if shape.copies > lanes {
                placed = None;
                if unit.hints.lanes.is_none() {
                    // Told of the unit around.
                    continue;
                }
                self.reasons.push(Unsupported::new(
                    "lanes of a layer",
                    lanes.to_string(),
                    format!("{} for the lookups in flight", shape.copies),
                    "keep fewer lookups in flight: `fill_lanes{lanes=N}`",
                    shape.span,
                ));
                continue;
            }
            let share = lanes / shape.copies;
            let spread = shape.vector.min(share);
            let taken = shape.copies * spread;
            // The lanes with most room; the first ones if there is a choice. Beyond those in use, all are alike.
            let candidates = (lanes - taken).min(loads.0.len() as u32);
            let first_lane = (0..=candidates)
                .min_by_key(|&first| loads.most(first, taken))
                .unwrap_or(0);
            unit.placement = Placement::Layer {
                layer: shape.layer,
                first_lane,
                lanes: taken,
                entries: 0,
            };
            let place = Place {
                launch: shape.launch,
                first_lane,
                taken,
                spread,
                copies: shape.copies,
                share,
            };
            placed = Some(place);
        }
        program.code = code;
    }

    /// A stream's queue.
    fn queue(&mut self, program: &Program, slot: Slot, place: &Place) {
        let Some(data) = program.slots.get(slot) else {
            return;
        };
        let Some(launch) = self.launches.get_mut(place.launch) else {
            return;
        };
        let one = Type::Scalar(data.ty.scalar()).bytes();
        let (first, lanes, elements) = match data.ty {
            Type::Scalar(_) => (place.first_lane, place.taken, 1),
            Type::Vector(_, lanes) => {
                let elements = lanes.div_ceil(place.spread);
                (place.first_lane, place.taken, elements.into())
            }
            Type::Row(_, elements) => {
                // No more stripes than elements; the machine's lanes may be without bound.
                let stripes = u64::from(place.share).min(elements).max(1);
                let lanes = u64::from(place.copies).saturating_mul(stripes);
                let lanes = lanes.min(u64::from(u32::MAX)) as u32;
                (0, lanes, elements.div_ceil(stripes))
            }
        };
        let bytes = elements.saturating_mul(one);
        launch.loads.add(first, lanes, bytes);
        if launch.largest.is_none_or(|(largest, _)| bytes > largest) {
            launch.largest = Some((bytes, slot));
        }
    }

    /// The entries of all queues.
    fn fill(&mut self, program: &mut Program) {
        let unit = &self.machine.access_unit;
        let least = u64::from(unit.entries.max(1));
        let mut entries = Vec::with_capacity(self.launches.len());
        for Launch { loads, largest } in &self.launches {
            let most = loads.0.iter().copied().max().unwrap_or(0);
            let fit = unit.queue_bytes.checked_div(most);
            let fit = fit.unwrap_or(MOST_ENTRIES).min(MOST_ENTRIES);
            entries.push(fit as u32);
            if fit >= least {
                continue;
            }
            let largest = largest.and_then(|(bytes, slot)| {
                let data = program.slots.get(slot)?;
                Some((bytes.saturating_mul(least), data))
            });
            let share =
                largest.map(|(bytes, data)| format!(", the largest %{} with {bytes}", data.name));
            self.reasons.push(Unsupported::new(
                "queue bytes of a lane",
                unit.queue_bytes.to_string(),
                format!(
                    "{} for {least} entries of each stream{}",
                    most.saturating_mul(least),
                    share.unwrap_or_default()
                ),
                "make rows shorter: `bufferise{row_bytes=N}`; keep fewer lookups in flight: `fill_lanes{lanes=N}`; or stream less at a time",
                largest.map(|(_, data)| data.span).unwrap_or_default(),
            ));
        }
        for instruction in &mut program.code {
            if let Instruction::Unit(unit) = instruction
                && let Placement::Layer { entries: to, .. } = &mut unit.placement
                && let Some(shape) = self.shapes.get(unit.to.0)
            {
                *to = entries.get(shape.launch).copied().unwrap_or(0);
            }
        }
    }

    fn chunks(&mut self, program: &Program) {
        let limit = self.machine.access_unit.chunk_bytes;
        for instruction in &program.code {
            let Instruction::Push(push) = instruction else {
                continue;
            };
            for &slot in &push.operands {
                if let Some(data) = program.slots.get(slot)
                    && data.ty.bytes() > limit
                {
                    self.reasons.push(Unsupported::new(
                        "bytes of a chunk of the data queue",
                        limit.to_string(),
                        format!("{} for %{}", data.ty.bytes(), data.name),
                        "make rows shorter: `bufferise{row_bytes=N}`",
                        data.span,
                    ));
                }
            }
        }
    }
}

/// The lanes of a unit.
struct Place {
    launch: usize,
    first_lane: u32,
    /// Lanes that it takes.
    taken: u32,
    /// Lanes that a vector lies over.
    spread: u32,
    copies: u32,
    /// Lanes that each copy could take.
    share: u32,
}

/// The slot that an instruction defines, if it needs a queue: a constant does not.
fn queued(instruction: &Instruction) -> Option<Slot> {
    match instruction {
        Instruction::Position(i) => Some(i.to.0),
        Instruction::Mask(i) => Some(i.to.0),
        Instruction::Read(i) => Some(i.to.0),
        Instruction::Compute(i) => match i.arith {
            Arith::Constant(_) => None,
            Arith::Unary(..)
            | Arith::Binary(..)
            | Arith::Compare(..)
            | Arith::Select(..)
            | Arith::Convert(..) => Some(i.to.0),
        },
        Instruction::Broadcast(i) => Some(i.to.0),
        Instruction::Sequence(i) => Some(i.to.0),
        Instruction::Row(i) => Some(i.to.0),
        Instruction::Unit(_)
        | Instruction::Append(_)
        | Instruction::Write(_)
        | Instruction::Push(_) => None,
    }
}
