//! Attributes: a name, `=`, and a value whose grammar the name selects.

use std::sync::Arc;

use super::error::{ParseError, suggest};
use super::lex::{
    Parsed, after, attribute_name, boolean, fail, integer, list, name, peek, punct, skip, string,
};
use super::raw::Reader;
use super::spec::{Default, Kind, Spec};
use super::{Parser, literal, value};
use crate::attribute::{Attribute, AttributeValue, Signature};
use crate::module::ComputationId;

impl<'a> Parser<'a> {
    /// `name=value`, appended to those that are pending, of which the owner's begin at `base`; `owner` takes the
    /// attributes `own` and `common`.
    pub(super) fn attribute(
        &mut self,
        input: &'a str,
        owner: &'static str,
        own: &[Spec],
        common: &[Spec],
        base: usize,
    ) -> Parsed<'a, ()> {
        let (rest, word) = attribute_name(input)?;
        let Some(spec) = own.iter().chain(common).find(|s| s.name == word) else {
            let names = || own.iter().chain(common).map(|s| s.name);
            let allowed = suggest(word, names())
                .unwrap_or_else(|| format!("allowed: {}", names().collect::<Vec<_>>().join(", ")));
            return fail(ParseError::UnexpectedAttribute {
                owner: owner.to_owned(),
                name: word.to_owned(),
                allowed: Some(allowed),
                at: self.span(input, rest),
            });
        };
        let (end, value) = self.value(rest, spec.kind)?;
        if says_nothing(&value, spec.default) {
            return Ok((end, ()));
        }
        let span = self.span(input, end);
        let mut earlier = self.pending.iter().skip(base);
        if let Some(first) = earlier.find(|a| a.name == spec.name) {
            return fail(ParseError::Duplicate {
                what: "attribute",
                name: spec.name.to_owned(),
                at: span,
                first: first.span,
            });
        }
        self.pending.push(Attribute {
            name: spec.name,
            value,
            span,
        });
        Ok((end, ()))
    }

    pub(super) fn value(&mut self, input: &'a str, kind: Kind) -> Parsed<'a, AttributeValue> {
        use AttributeValue as V;
        fn typed<'a, T>(parsed: Parsed<'a, T>, wrap: impl FnOnce(T) -> V) -> Parsed<'a, V> {
            parsed.map(|(rest, value)| (rest, wrap(value)))
        }
        match kind {
            Kind::Bool => typed(boolean(input), V::Bool),
            Kind::Integer => typed(integer(input), V::Integer),
            Kind::Float => typed(value::float(input), V::Float),
            Kind::Integers => typed(value::integers(input), V::Integers),
            Kind::IntegerLists => typed(value::integer_lists(input), V::IntegerLists),
            Kind::Word(words) => {
                let (rest, word) = value::word(input)?;
                let Some(known) = words.iter().find(|known| **known == word) else {
                    return fail(ParseError::Syntax {
                        expected: format!("one of {}", words.join(", ")).into(),
                        found: format!("`{word}`"),
                        at: self.word_span(word, rest),
                    });
                };
                Ok((rest, V::Word(known)))
            }
            Kind::Text => typed(string(input), |s| V::Text(s.into())),
            Kind::TextOrJson => typed(value::text_or_json(input), |s| V::Text(s.into())),
            Kind::Computation => {
                let (rest, id) = self.computation_reference(input)?;
                Ok((rest, V::Computation(id)))
            }
            Kind::Computations => {
                let (mut rest, ()) = punct(input, "{")?;
                let mut ids = Vec::new();
                while peek(rest) != Some(b'}') {
                    let (next, id) = self.computation_reference(rest)?;
                    ids.push(id);
                    rest = match after(next, ",") {
                        Some(next) => next,
                        None => next,
                    };
                }
                let (rest, ()) = punct(rest, "}")?;
                Ok((rest, V::Computations(ids)))
            }
            Kind::Instructions => {
                let (rest, names) = list(input, "{", "}", |i| {
                    let (rest, used) = name(i, "an instruction's name")?;
                    Ok((rest, (used, rest)))
                })?;
                let mut ids = Vec::with_capacity(names.len());
                for (used, after_name) in names {
                    match self.scope.get(used) {
                        Some(&id) => ids.push(id),
                        None => {
                            let at = self.word_span(used, after_name);
                            self.errors.push(self.undefined("instruction", used, at));
                        }
                    }
                }
                Ok((rest, V::Instructions(ids)))
            }
            Kind::Slices => typed(value::slices(input), V::Slices),
            Kind::Padding => typed(value::padding(input), V::Padding),
            Kind::Window => typed(value::window(self.text, input), V::Window),
            Kind::ConvolutionDims => typed(value::convolution_dims(self.text, input), |d| {
                V::ConvolutionDims(Box::new(d))
            }),
            Kind::Shape => typed(self.shape(input), V::Shape),
            Kind::Shapes => {
                let (rest, shapes) = self.shapes(input, "{", "}")?;
                Ok((rest, V::Shapes(shapes)))
            }
            Kind::Signature => {
                let (rest, ()) = punct(input, "{")?;
                let (rest, parameters) = self.shapes(rest, "(", ")")?;
                let (rest, ()) = punct(rest, "->")?;
                let (rest, result) = self.shape(rest)?;
                let (rest, ()) = punct(rest, "}")?;
                Ok((
                    rest,
                    V::Signature(Box::new(Signature { parameters, result })),
                ))
            }
            Kind::Literal => typed(literal::shaped_literal(self.text, input, 0), |l| {
                V::Literal(Arc::new(l))
            }),
            Kind::Raw(read) => {
                let (rest, text) = self.structure(input, read)?;
                Ok((rest, V::Raw(text)))
            }
        }
    }

    /// The canonical text of a structure. Most stand in a text many times, and are read once.
    fn structure(&mut self, input: &'a str, read: Reader) -> Parsed<'a, Arc<str>> {
        let key = value::braced(input).map(|text| (read as usize, text));
        if let Some(key) = key
            && let Some(known) = self.structures.get(&key)
        {
            let rest = skip(input).get(key.1.len()..).unwrap_or("");
            return Ok((rest, known.clone()));
        }
        self.scratch.clear();
        let (rest, ()) = read(input, &mut self.scratch)?;
        let text: Arc<str> = self.scratch.as_str().into();
        if let Some(key) = key
            && skip(input).len() - rest.len() == key.1.len()
        {
            self.structures.insert(key, text.clone());
        }
        Ok((rest, text))
    }

    fn shapes(
        &mut self,
        input: &'a str,
        open: &'static str,
        close: &'static str,
    ) -> Parsed<'a, Vec<Arc<crate::shape::Shape>>> {
        list(input, open, close, |i| self.shape(i))
    }

    /// A computation's name, or a body in its place.
    fn computation_reference(&mut self, input: &'a str) -> Parsed<'a, ComputationId> {
        if peek(input) == Some(b'{') {
            let at = self.span(input, input);
            return self.body(input, "_", at);
        }
        let (rest, used) = name(input, "a computation's name")?;
        match self.computation_names.get(used) {
            Some(&id) => Ok((rest, id)),
            None => {
                let at = self.word_span(used, rest);
                fail(self.undefined("computation", used, at))
            }
        }
    }
}

/// Whether `value` means the same as no attribute.
fn says_nothing(value: &AttributeValue, default: Default) -> bool {
    use AttributeValue as V;
    match (default, value) {
        (Default::Any, _) | (Default::False, V::Bool(false)) => true,
        (Default::Integer(none), V::Integer(i)) => none == *i,
        (Default::Word(none), V::Word(word)) => none == *word,
        (Default::Word(none), V::Text(text) | V::Raw(text)) => none == &**text,
        (Default::Empty, V::Integers(list)) => list.is_empty(),
        (Default::Empty, V::Window(dims)) => dims.is_empty(),
        _ => false,
    }
}
