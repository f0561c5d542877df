//! What the parser concludes from an instruction that is read: shapes and attributes that the text
//! may leave out, and the few rules without which an instruction means nothing.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Parser;
use super::instruction::Draft;
use super::shape::MAX_TUPLE_DEPTH;
use super::spec::arity;
use crate::attribute::{Attribute, AttributeValue};
use crate::infer::{Outcome, Site, infer, shapes_fit};
use crate::opcode::Opcode;
use crate::shape::{ArrayShape, PrimitiveType, Shape};

impl Draft<'_> {
    fn value(&self, name: &str) -> Option<&AttributeValue> {
        self.attributes
            .iter()
            .find(|a| a.name == name)
            .map(|a| &a.value)
    }

    fn integers(&self, name: &str) -> Option<&[i64]> {
        match self.value(name)? {
            AttributeValue::Integers(values) => Some(values),
            _ => None,
        }
    }

    fn integer(&self, name: &str) -> Option<i64> {
        match self.value(name)? {
            AttributeValue::Integer(value) => Some(*value),
            _ => None,
        }
    }
}

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}

impl Parser<'_> {
    /// Completes `draft`, or says why it means nothing.
    pub(super) fn conclude(&mut self, draft: &mut Draft<'_>) -> Result<(), String> {
        if let Some(arity) = arity(draft.opcode) {
            let found = draft.operands.len();
            ensure(found == arity, || {
                format!("{} takes {arity} operands, found {found}", draft.opcode)
            })?;
        }
        self.check_operands(draft)?;
        self.check_attributes(draft)?;
        self.add_defaults(draft);
        if draft.shape.is_none() {
            self.infer_shape(draft)?;
        }
        self.derive_shape(draft)?;
        self.add_shaped_defaults(draft)
    }

    /// Shapes that follow from the operands whatever the text states.
    fn derive_shape(&mut self, draft: &mut Draft<'_>) -> Result<(), String> {
        let part = |shape: Option<&Shape>| match shape {
            Some(Shape::Tuple(parts)) => parts.first().cloned(),
            _ => None,
        };
        let word = || Shape::Array(ArrayShape::new(PrimitiveType::U32, []));
        let derived = match draft.opcode {
            Opcode::Send => self
                .operand_shape(draft, 0)
                .map(|data| vec![(**data).clone(), word(), Shape::Token]),
            Opcode::Recv => {
                part(draft.shape.as_deref()).map(|data| vec![data, word(), Shape::Token])
            }
            Opcode::RecvDone => part(self.operand_shape(draft, 0).map(|s| &**s))
                .map(|data| vec![data, Shape::Token]),
            Opcode::Infeed => part(draft.shape.as_deref()).map(|data| vec![data, Shape::Token]),
            Opcode::Outfeed | Opcode::SendDone | Opcode::AfterAll => {
                draft.shape = Some(self.share(Shape::Token));
                None
            }
            _ => None,
        };
        if let Some(parts) = derived {
            draft.shape = Some(self.made(Shape::Tuple(parts))?);
        }
        Ok(())
    }

    /// Shares a shape that the text does not state: short lines can stand for large and deep tuples.
    fn made(&mut self, shape: Shape) -> Result<Arc<Shape>, String> {
        let (leaves, depth) = extent(&shape);
        self.made_leaves += leaves;
        ensure(self.made_leaves <= MAX_MADE_LEAVES, || {
            format!("more than {MAX_MADE_LEAVES} arrays in shapes that are not stated")
        })?;
        ensure(depth <= MAX_TUPLE_DEPTH, || {
            format!("a tuple nested deeper than {MAX_TUPLE_DEPTH} levels")
        })?;
        Ok(self.share(shape))
    }

    fn operand_shape(&self, draft: &Draft<'_>, index: usize) -> Option<&Arc<Shape>> {
        let id = *draft.operands.get(index)?;
        Some(&self.instructions.get(id)?.shape)
    }

    fn operand_array(&self, draft: &Draft<'_>, index: usize) -> Option<&ArrayShape> {
        self.operand_shape(draft, index)?.as_array()
    }

    fn check_operands(&mut self, draft: &mut Draft<'_>) -> Result<(), String> {
        use Opcode as O;
        let n = draft.operands.len();
        let rank = |parser: &Self| parser.operand_array(draft, 0).map_or(0, ArrayShape::rank);
        let one_vector = |parser: &Self, first: usize| {
            n == first + 1
                && parser
                    .operand_array(draft, first)
                    .is_some_and(|a| a.rank() == 1)
        };
        match draft.opcode {
            O::Reduce | O::ReduceWindow => ensure(n > 0 && n.is_multiple_of(2), || {
                format!(
                    "{} takes inputs and as many initial values, found {n} operands",
                    draft.opcode
                )
            }),
            O::Scatter => ensure(n % 2 == 1, || {
                format!(
                    "scatter takes operands, indices and as many updates as operands, found {n}"
                )
            }),
            O::DynamicSlice => ensure(
                n > 0 && (one_vector(self, 1) || n == 1 + rank(self)),
                || {
                    format!(
                        "dynamic-slice takes an array and a start for each dimension, found {n} operands"
                    )
                },
            ),
            O::DynamicUpdateSlice => ensure(
                n > 1 && (one_vector(self, 2) || n == 2 + rank(self)),
                || {
                    format!(
                        "dynamic-update-slice takes an array, an update and a start for each dimension, found {n} operands"
                    )
                },
            ),
            O::DynamicReshape | O::RngBitGenerator | O::Sort | O::Map | O::Concatenate => {
                ensure(n > 0, || {
                    format!("{} takes at least one operand", draft.opcode)
                })
            }
            O::Dot | O::ScaledDot => ensure(n > 1, || {
                format!("{} takes at least two operands", draft.opcode)
            }),
            O::Conditional => {
                let selector = self.operand_array(draft, 0);
                ensure(
                    selector.is_some_and(|s| {
                        s.rank() == 0
                            && matches!(s.element, PrimitiveType::Pred | PrimitiveType::S32)
                    }),
                    || "the first operand of a conditional is a pred or s32 scalar".to_owned(),
                )
            }
            O::Tuple => match draft.shape.as_deref() {
                Some(Shape::Tuple(parts)) => ensure(parts.len() == n, || {
                    format!(
                        "the stated tuple has {} elements, found {n} operands",
                        parts.len()
                    )
                }),
                Some(other) => Err(format!("the result of a tuple is a tuple, found {other}")),
                None => Ok(()),
            },
            O::Infeed | O::Recv => ensure(
                matches!(draft.shape.as_deref(), Some(Shape::Tuple(parts)) if !parts.is_empty()),
                || format!("the result of {} is a tuple", draft.opcode),
            ),
            O::RecvDone | O::SendDone => {
                let started = draft
                    .operands
                    .first()
                    .and_then(|&o| self.instructions.get(o));
                let channel = started
                    .filter(|s| matches!(s.opcode, O::Send | O::Recv))
                    .map(|s| s.integer("channel_id"));
                ensure(
                    channel.is_none_or(|channel| channel == draft.integer("channel_id")),
                    || {
                        format!(
                            "the channel of {} differs from that of its operand",
                            draft.opcode
                        )
                    },
                )
            }
            O::AsyncStart | O::AsyncUpdate | O::AsyncDone => self.check_chain(draft),
            _ => Ok(()),
        }
    }

    fn check_attributes(&mut self, draft: &mut Draft<'_>) -> Result<(), String> {
        use Opcode as O;
        let one_dimension = |draft: &Draft<'_>| {
            ensure(
                draft.integers("dimensions").is_some_and(|d| d.len() == 1),
                || format!("`dimensions` of {} is one dimension", draft.opcode),
            )
        };
        if let Some(AttributeValue::Raw(list)) = draft.value("parameter_replication")
            && let Some(shape) = draft.shape.as_deref()
        {
            let stated = list.matches(['t', 'f']).count();
            let (leaves, _) = extent(shape);
            ensure(stated == leaves, || {
                format!(
                    "parameter_replication states {stated} values, the parameter has {leaves} leaves"
                )
            })?;
        }
        match draft.opcode {
            O::Sort | O::Concatenate => one_dimension(draft),
            O::AllGather | O::AllGatherStart | O::GetDimensionSize | O::SetDimensionSize => ensure(
                draft.integers("dimensions").is_some_and(|d| !d.is_empty()),
                || format!("`dimensions` of {} is a dimension", draft.opcode),
            ),
            O::AllToAll | O::RaggedAllToAll if draft.integers("dimensions").is_some() => {
                one_dimension(draft)
            }
            O::AllReduce | O::AllReduceStart | O::ReduceScatter => {
                let global = draft.value("use_global_device_ids").is_some();
                ensure(!global || draft.value("channel_id").is_some(), || {
                    "use_global_device_ids=true needs a channel_id".to_owned()
                })?;
                if draft.opcode == O::ReduceScatter {
                    one_dimension(draft)?;
                }
                Ok(())
            }
            O::CollectivePermute | O::CollectivePermuteStart => {
                let pairs = match draft.value("source_target_pairs") {
                    Some(AttributeValue::IntegerLists(lists)) => lists.iter().all(|l| l.len() == 2),
                    _ => true,
                };
                ensure(pairs, || {
                    "source_target_pairs is a list of pairs".to_owned()
                })
            }
            O::Broadcast => {
                let scalar = self.operand_array(draft, 0).is_some_and(|a| a.rank() == 0);
                ensure(scalar || draft.value("dimensions").is_some(), || {
                    "broadcast of an array needs `dimensions`".to_owned()
                })
            }
            O::Conditional => {
                let branches = match draft.value("branch_computations") {
                    Some(AttributeValue::Computations(ids)) => ids.len(),
                    _ => 2,
                };
                ensure(branches > 0 && draft.operands.len() == branches + 1, || {
                    format!(
                        "a conditional of {branches} branches takes {} operands",
                        branches + 1
                    )
                })
            }
            O::CustomCall => self.check_custom_call(draft),
            O::Scan => self.check_scan(draft),
            _ => Ok(()),
        }
    }

    fn check_custom_call(&mut self, draft: &mut Draft<'_>) -> Result<(), String> {
        if let Some(AttributeValue::Shapes(constraints)) = draft.value("operand_layout_constraints")
        {
            let found = draft.operands.len();
            ensure(constraints.len() == found, || {
                format!(
                    "{} layout constraints for {found} operands",
                    constraints.len()
                )
            })?;
            for (i, constraint) in constraints.iter().enumerate() {
                if let Some(operand) = self.operand_shape(draft, i) {
                    ensure(constraint.same_dims(operand), || {
                        format!("layout constraint {constraint} for operand {i} of shape {operand}")
                    })?;
                }
            }
        }
        // One called computation is spelled as a list of one.
        for attribute in &mut draft.attributes {
            if let ("to_apply", AttributeValue::Computation(id)) =
                (attribute.name, &attribute.value)
            {
                attribute.value = AttributeValue::Computations(vec![*id]);
                attribute.name = "called_computations";
            }
        }
        Ok(())
    }

    /// The carries of a scan are the last operands that have their parameters' shapes.
    fn check_scan(&mut self, draft: &mut Draft<'_>) -> Result<(), String> {
        let dims = draft.integers("dimensions").unwrap_or(&[]);
        ensure(!dims.is_empty() && dims.iter().all(|&d| d >= 0), || {
            "`dimensions` of scan is a dimension".to_owned()
        })?;
        let called = match draft.value("to_apply") {
            Some(AttributeValue::Computation(id)) => self.computations.get(*id),
            _ => None,
        };
        let parameters = called.map_or(&[][..], |c| c.parameters.as_slice());
        let operands = draft.operands.len();
        ensure(parameters.len() == operands, || {
            format!(
                "scan has {operands} operands, its computation {} parameters",
                parameters.len()
            )
        })?;
        let fits = |(&operand, &parameter): (&_, &_)| match (
            self.instructions.get(operand),
            self.instructions.get(parameter),
        ) {
            (Some(o), Some(p)) => shapes_fit(&o.shape, &p.shape),
            _ => false,
        };
        let inferred = draft
            .operands
            .iter()
            .zip(parameters)
            .rev()
            .take_while(|&pair| fits(pair))
            .count();
        let carries = match draft.integer("num_carries") {
            Some(stated) => usize::try_from(stated).unwrap_or(0),
            None => inferred,
        };
        ensure(carries > 0 && carries < operands, || {
            format!("scan takes inputs and carries, found {carries} carries of {operands} operands")
        })?;
        self.default(
            draft,
            "num_carries",
            AttributeValue::Integer(carries as i64),
        );
        Ok(())
    }

    /// Adds an attribute unless it is stated.
    fn default(&mut self, draft: &mut Draft<'_>, name: &'static str, value: AttributeValue) {
        if draft.value(name).is_none() {
            draft.attributes.push(Attribute {
                name,
                value,
                span: draft.span,
            });
        }
    }

    /// Attributes that are always there.
    fn add_defaults(&mut self, draft: &mut Draft<'_>) {
        use Opcode as O;
        match draft.opcode {
            O::AllGather
            | O::AllGatherStart
            | O::AllReduce
            | O::AllReduceStart
            | O::ReduceScatter
            | O::AllToAll
            | O::RaggedAllToAll
            | O::CollectiveBroadcast => {
                self.scratch.clear();
                self.scratch.push_str("{}");
                let none = AttributeValue::Raw(self.intern_scratch());
                self.default(draft, "replica_groups", none);
            }
            O::Broadcast => {
                self.default(
                    draft,
                    "dimensions",
                    AttributeValue::Integers(SmallVec::new()),
                );
            }
            O::Dot | O::ScaledDot | O::RaggedDot => {
                for name in ["lhs_contracting_dims", "rhs_contracting_dims"] {
                    self.default(draft, name, AttributeValue::Integers(SmallVec::new()));
                }
            }
            O::Topk => self.default(draft, "largest", AttributeValue::Bool(true)),
            O::Scan => self.default(draft, "is_associative", AttributeValue::Bool(false)),
            O::Outfeed => {
                if let Some(shape) = self.operand_shape(draft, 0).cloned() {
                    self.default(draft, "outfeed_shape", AttributeValue::Shape(shape));
                }
            }
            O::Compare => {
                let usual = match self.operand_array(draft, 0).map(|a| a.element) {
                    Some(e) if e.is_float() || e.is_complex() => "FLOAT",
                    Some(e) if e.is_signed_integer() => "SIGNED",
                    _ => "UNSIGNED",
                };
                draft.attributes.retain(|a| {
                    a.name != "type" || !matches!(&a.value, AttributeValue::Word(w) if *w == usual)
                });
            }
            _ => {}
        }
        // Precisions that are all the default say nothing.
        draft.attributes.retain(|a| {
            a.name != "operand_precision"
                || !matches!(&a.value, AttributeValue::Raw(text)
                    if text.trim_matches(['{', '}']).split(',').all(|p| p == "default" || p.is_empty()))
        });
    }

    /// Attributes that follow from the result's shape.
    fn add_shaped_defaults(&mut self, draft: &mut Draft<'_>) -> Result<(), String> {
        // One sharding of a tuple is the sharding of each of its leaves.
        if let Some(shape @ Shape::Tuple(parts)) = draft.shape.as_deref()
            && !parts.is_empty()
        {
            let (leaves, _) = extent(shape);
            for attribute in &mut draft.attributes {
                if attribute.name == "sharding"
                    && let AttributeValue::Raw(text) = &mut attribute.value
                    && !text.starts_with("{{")
                    && &**text != "{}"
                {
                    let bytes = leaves.saturating_mul(text.len());
                    self.repeated_shardings = self.repeated_shardings.saturating_add(bytes);
                    let allowed = self.text.len().saturating_mul(16).saturating_add(1 << 20);
                    ensure(self.repeated_shardings <= allowed, || {
                        format!(
                            "one sharding for {leaves} leaves, which makes more than {allowed} bytes of shardings"
                        )
                    })?;
                    self.scratch.clear();
                    let opening = std::iter::once("{").chain(std::iter::repeat(", "));
                    for separator in opening.take(leaves) {
                        self.scratch.push_str(separator);
                        self.scratch.push_str(text);
                    }
                    self.scratch.push('}');
                    *text = self.intern_scratch();
                }
            }
        }
        if draft.opcode == Opcode::Map {
            let rank = draft
                .shape
                .as_deref()
                .and_then(Shape::as_array)
                .map_or(0, ArrayShape::rank);
            let all = (0..rank as i64).collect();
            self.default(draft, "dimensions", AttributeValue::Integers(all));
        }
        Ok(())
    }

    fn infer_shape(&mut self, draft: &mut Draft<'_>) -> Result<(), String> {
        ensure(can_be_omitted(draft.opcode), || {
            format!(
                "the shape of a {} cannot be inferred and must be stated",
                draft.opcode
            )
        })?;
        let outcome = infer(&Site {
            instructions: &self.instructions,
            computations: &self.computations,
            opcode: draft.opcode,
            operands: &draft.operands,
            attributes: &draft.attributes,
            payload: &draft.payload,
            stated: None,
        });
        match outcome {
            Ok(Outcome::Exactly(shape)) => {
                draft.shape = Some(self.made(shape)?);
                Ok(())
            }
            Ok(Outcome::Stated) => Err(format!(
                "the shape of a {} cannot be inferred and must be stated",
                draft.opcode
            )),
            Err(violation) => Err(format!(
                "the shape cannot be inferred: expected {}, found {}",
                violation.expected, violation.found
            )),
        }
    }
}

/// Arrays in all shapes that the text does not state.
const MAX_MADE_LEAVES: usize = 1 << 20;

/// Whether the text may leave out the result's shape.
fn can_be_omitted(opcode: Opcode) -> bool {
    use Opcode as O;
    !matches!(
        opcode,
        O::AsyncStart
            | O::AsyncUpdate
            | O::AsyncDone
            | O::AllGather
            | O::AllGatherStart
            | O::AllGatherDone
            | O::AllReduce
            | O::AllReduceStart
            | O::AllReduceDone
            | O::AllToAll
            | O::CollectiveBroadcast
            | O::CollectivePermute
            | O::CollectivePermuteStart
            | O::CollectivePermuteDone
            | O::CopyDone
            | O::CopyStart
            | O::DynamicReshape
            | O::DynamicSlice
            | O::DynamicUpdateSlice
            | O::RaggedAllToAll
            | O::Recv
            | O::RecvDone
            | O::ReduceScatter
            | O::Send
            | O::SendDone
            | O::Slice
            | O::Bitcast
            | O::BitcastConvert
            | O::Constant
            | O::Convert
            | O::CustomCall
            | O::Fusion
            | O::Infeed
            | O::Iota
            | O::Outfeed
            | O::Parameter
            | O::ReducePrecision
            | O::Reshape
            | O::Rng
            | O::RngBitGenerator
            | O::RngGetAndUpdateState
            | O::StochasticConvert
    )
}

/// Arrays and other leaves of a shape, and how deep its tuples are nested.
fn extent(shape: &Shape) -> (usize, usize) {
    match shape {
        Shape::Tuple(parts) => parts
            .iter()
            .map(extent)
            .fold((0, 1), |all, part| (all.0 + part.0, all.1.max(part.1 + 1))),
        Shape::Array(_) | Shape::Token | Shape::Opaque | Shape::Buffer(_) => (1, 0),
    }
}
