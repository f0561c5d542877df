//! Values: what every IR records of the results that its programs compute.

use super::types::{ScalarType, Span};

/// Name, type and place of a value, or of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueData<T = ScalarType> {
    /// Name without `%`, distinct from all names visible where it is defined.
    pub name: String,
    /// Type of the value.
    pub ty: T,
    /// Where it is defined, or the HLO instruction that it stands for.
    pub span: Span,
}
