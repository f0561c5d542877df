//! What a print shows.

use crate::literal::Literal;

/// What [`Module::print`](crate::Module::print) shows. Every choice gives a text that this parser
/// and XLA's read; what is left out is lost.
///
/// The fields are those of XLA's `HloPrintOptions` whose values all give texts that can be read:
///
/// | field | XLA | left out |
/// |---|---|---|
/// | `percent` | `print_percent` | nothing |
/// | `signatures` | `print_program_shape` | nothing: parameters and root say the same |
/// | `layouts` | `include_layout_in_shapes` | layouts other than row-major |
/// | `operand_shapes` | `print_operand_shape` | nothing: the operands' definitions say the same |
/// | `operand_numbers` | `print_operand_index_annotation_interval` | nothing: comments |
/// | `metadata` | `print_metadata` | where an instruction comes from, and the tables of files and frames |
/// | `backend_config` | `print_backend_config` | what a compiler wrote for itself |
/// | `control_dependencies` | `print_control_dependencies` | an order that operands do not ask for |
/// | `large_constants` | `print_large_constants` | the values of arrays of more than ten elements |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrintOptions {
    /// `%` before every name.
    pub percent: bool,
    /// Parameters and result after a computation's name: `f (x: f32[4]) -> f32[4]`.
    pub signatures: bool,
    /// Layouts in the shapes of results and operands: `f32[2,3]{1,0}`.
    pub layouts: bool,
    /// An operand's shape before its name: `negate(f32[4]{0} %x)`.
    pub operand_shapes: bool,
    /// The position of every fifth operand in a comment: `/*index=5*/`.
    pub operand_numbers: bool,
    /// `metadata={...}` of instructions and shardings, and the source tables of the module.
    pub metadata: bool,
    /// `backend_config=...`.
    pub backend_config: bool,
    /// `control-predecessors={...}`.
    pub control_dependencies: bool,
    /// The values of large constants, which are `{...}` otherwise.
    pub large_constants: bool,
}

impl PrintOptions {
    /// Arrays of more elements are large.
    const LARGE: usize = 10;

    /// Everything that the module says: XLA's default, with the values of large constants.
    pub const fn long() -> Self {
        PrintOptions {
            percent: true,
            signatures: true,
            layouts: true,
            operand_shapes: false,
            operand_numbers: true,
            metadata: true,
            backend_config: true,
            control_dependencies: true,
            large_constants: true,
        }
    }

    /// What a reader needs to compute the same values: XLA's `ShortParsable`.
    pub const fn short() -> Self {
        PrintOptions {
            percent: false,
            signatures: false,
            operand_numbers: false,
            metadata: false,
            control_dependencies: false,
            ..Self::long()
        }
    }

    /// Whether a common attribute is shown.
    pub(super) fn shows(&self, attribute: &str) -> bool {
        match attribute {
            "metadata" => self.metadata,
            "backend_config" => self.backend_config,
            "control-predecessors" => self.control_dependencies,
            _ => true,
        }
    }

    /// Whether a constant's values are left out. A tuple's are not: no reader takes `{...}` for one.
    pub(super) fn elides(&self, literal: &Literal) -> bool {
        let large = match literal {
            Literal::Array { shape, .. } => shape.element_count().is_some_and(|n| n > Self::LARGE),
            Literal::Leading { .. } => true,
            Literal::Elided(_) | Literal::Tuple(_) | Literal::Token => false,
        };
        large && !self.large_constants
    }
}

impl Default for PrintOptions {
    fn default() -> Self {
        Self::long()
    }
}
