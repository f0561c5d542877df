//! Custom calls.
//!
//! | HLO | StableHLO |
//! |---|---|
//! | `api_version` | `api_version = 1` to `4` |
//! | `backend_config` of a typed call | a dictionary of attributes, as it stands: `{program = "...", n = 3 : i64}` |
//! | `backend_config` of any other call | a string |
//! | `operand_layout_constraints`, and the result's layout with them | `operand_layouts`, `result_layouts` |
//! | `output_to_operand_aliasing` | `output_operand_aliases` |
//! | `custom_call_has_side_effect` | `has_side_effect` |
//! | `to_apply`, `called_computations` | `called_computations`, functions |
//! | `schedule` | nothing, it is a hint |
//! | a tuple as an operand | a `tuple` |
//! | a tuple as the result | several results; a `tuple` if it is nested or has one element |
//! | `window`, `dim_labels`, `literal`, ... | an error |

use super::attributes::{aliases, raw, split};
use super::error::Reason;
use super::function::{Op, Printer, Value};
use super::operation::{flag, word};
use super::text::{integer32, layout, leaves, list, string, types, whole_type};
use crate::attribute::AttributeValue;
use crate::module::{Instruction, InstructionId};
use crate::shape::Shape;

/// Attributes that say what a call means, and that StableHLO's has no place for.
const NO_PLACE: [&str; 7] = [
    "batch_group_count",
    "dim_labels",
    "feature_group_count",
    "literal",
    "operand_precision",
    "padding_type",
    "window",
];

impl Printer<'_> {
    pub(super) fn custom_call(&mut self, id: InstructionId) -> Result<Vec<Value>, Reason> {
        let instruction = &self.module.instructions[id];
        if let Some(name) = NO_PLACE
            .iter()
            .find(|name| instruction.attribute(name).is_some())
        {
            return Err(Reason::NoAttribute((*name).to_owned()));
        }
        let Some(AttributeValue::Text(target)) = instruction.attribute("custom_call_target") else {
            return Err(Reason::Missing("custom_call_target"));
        };
        let version = api_version(instruction)?;
        let mut op = self
            .op(id, "stablehlo.custom_call")
            .attribute("call_target_name", string(target))
            .attribute("api_version", integer32(version))
            .attribute("backend_config", backend_config(instruction, version)?);
        if flag(instruction, "custom_call_has_side_effect") {
            op = op.attribute("has_side_effect", "true");
        }
        let computations: Vec<_> = instruction.called_computations().collect();
        if !computations.is_empty() {
            let symbols: Vec<String> = computations.into_iter().map(|c| self.symbol(c)).collect();
            op = op.attribute("called_computations", list(symbols));
        }
        if let Some(text) = raw(&instruction.attributes, "output_to_operand_aliasing") {
            op = op.attribute("output_operand_aliases", list(operand_aliases(text)));
        }
        let is_flat = match &*instruction.shape {
            Shape::Tuple(parts) => {
                parts.len() != 1 && !parts.iter().any(|part| matches!(part, Shape::Tuple(_)))
            }
            Shape::Array(_) | Shape::Token | Shape::Opaque | Shape::Buffer(_) => true,
        };
        if let Some(AttributeValue::Shapes(operands)) =
            instruction.attribute("operand_layout_constraints")
        {
            let is_tuple = |shape: &Shape| matches!(shape, Shape::Tuple(_));
            if !is_flat || operands.iter().any(|shape| is_tuple(shape)) {
                return Err(Reason::NoAttribute(
                    "operand_layout_constraints of tuples".into(),
                ));
            }
            let results = leaves(&instruction.shape)?.into_iter().map(layout);
            op = op
                .attribute(
                    "operand_layouts",
                    list(operands.iter().map(|shape| layout(shape))),
                )
                .attribute("result_layouts", list(results));
        }
        for number in 0..instruction.operands.len() {
            let value = self.whole_operand(id, number)?;
            op = op.operands([value]);
        }
        if is_flat {
            let op = op.results(types(&instruction.shape)?);
            return Ok(self.emit(&instruction.name, op));
        }
        leaves(&instruction.shape)?;
        let op = op.results([whole_type(&instruction.shape)?]);
        let whole = self.emit_one(&instruction.name, op)?;
        let mut values = Vec::new();
        self.take_apart(&instruction.name, whole, &instruction.shape, &mut values)?;
        Ok(values)
    }

    /// An operand as one value.
    fn whole_operand(&mut self, id: InstructionId, number: usize) -> Result<Value, Reason> {
        let values = self.leaves_of(id, number)?;
        let operand = self.module.instructions[id].operands.get(number);
        let operand = operand.map(|&operand| &*self.module.instructions[operand].shape);
        let shape = operand.ok_or_else(|| Reason::form("an operand", "none"))?;
        self.put_together(shape, &mut values.into_iter())
    }

    /// The next leaves as one value; `shape` has few levels, or its leaves had not been found.
    fn put_together(
        &mut self,
        shape: &Shape,
        values: &mut impl Iterator<Item = Value>,
    ) -> Result<Value, Reason> {
        let Shape::Tuple(parts) = shape else {
            let next = values.next();
            return next.ok_or_else(|| Reason::form("a flattened tuple", "too few values"));
        };
        let mut members = Vec::new();
        for part in parts {
            members.push(self.put_together(part, values)?);
        }
        let op = Op::new("stablehlo.tuple")
            .operands(members)
            .results([whole_type(shape)?]);
        self.emit_one("tuple", op)
    }

    /// The leaves of a value.
    fn take_apart(
        &mut self,
        hint: &str,
        value: Value,
        shape: &Shape,
        leaves: &mut Vec<Value>,
    ) -> Result<(), Reason> {
        let Shape::Tuple(parts) = shape else {
            leaves.push(value);
            return Ok(());
        };
        for (number, part) in (0i64..).zip(parts) {
            let op = Op::new("stablehlo.get_tuple_element")
                .operands([value.clone()])
                .attribute("index", integer32(number))
                .results([whole_type(part)?]);
            let element = self.emit_one(hint, op)?;
            self.take_apart(hint, element, part, leaves)?;
        }
        Ok(())
    }
}

fn api_version(instruction: &Instruction) -> Result<i64, Reason> {
    match word(instruction, "api_version") {
        Ok("API_VERSION_ORIGINAL") | Err(_) => Ok(1),
        Ok("API_VERSION_STATUS_RETURNING") => Ok(2),
        Ok("API_VERSION_STATUS_RETURNING_UNIFIED") => Ok(3),
        Ok("API_VERSION_TYPED_FFI") => Ok(4),
        Ok(other) => Err(Reason::NoAttribute(other.to_owned())),
    }
}

fn backend_config(instruction: &Instruction, version: i64) -> Result<String, Reason> {
    let config = match instruction.attribute("backend_config") {
        Some(AttributeValue::Text(text)) => text,
        _ => "",
    };
    if version != 4 {
        return Ok(string(config));
    }
    if config.is_empty() {
        return Ok("{}".to_owned());
    }
    check_dictionary(config)?;
    Ok(config.to_owned())
}

/// Refuses what is no dictionary of MLIR: keys are names or strings, followed by `=` and a value or by nothing.
pub(super) fn check_dictionary(text: &str) -> Result<(), Reason> {
    let refused = || Reason::form("a dictionary of attributes, `{key = value}`", text);
    let inner = super::attributes::inside(text, '{', '}').ok_or_else(refused)?;
    let is_key = |key: &str| {
        let quoted = key.len() >= 2 && key.starts_with('"') && key.ends_with('"');
        quoted || super::text::key(key) == key
    };
    let is_entry = |entry: &&str| match entry.split_once('=') {
        Some((key, value)) => is_key(key.trim()) && !value.trim().is_empty(),
        None => is_key(entry.trim()),
    };
    if split(inner, ',').iter().all(is_entry) {
        Ok(())
    } else {
        Err(refused())
    }
}

fn operand_aliases(text: &str) -> Vec<String> {
    let spelled = |alias: super::attributes::Alias| {
        format!(
            "#stablehlo.output_operand_alias<output_tuple_indices = {}, operand_index = {}, operand_tuple_indices = {}>",
            list(alias.output),
            alias.operand,
            list(alias.index)
        )
    };
    aliases(text).into_iter().map(spelled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_no_dictionary() {
        assert!(check_dictionary(r#"{program = "a, b", n = 3 : i64, "q r" = [1], unit}"#).is_ok());
        assert!(check_dictionary("{}").is_ok());
        assert!(check_dictionary(r#"{"a": {"b": 1}}"#).is_err());
        assert!(check_dictionary("opaque").is_err());
    }
}
