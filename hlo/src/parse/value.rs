//! Values of attributes.
//!
//! ```text
//! integers = '{' (integer (',' integer)*)? '}'
//! slices   = '{' ('[' integer ':' integer (':' integer)? ']' ','?)* '}'
//! padding  = pad ('x' pad)*  where  pad = integer '_' integer ('_' integer)?
//! window   = '{' (','? ('size=' | 'stride=' | 'pad=' | 'lhs_dilate=' | 'rhs_dilate='
//!            | 'rhs_reversal=') (padding | integer ('x' integer)*))* '}'
//! dims     = dims of input '_' dims of kernel '->' dims of output, see [`lex::dim_labels`]
//! ```

use smallvec::SmallVec;

use super::error::ParseError;
use super::lex::{
    self, Parsed, after, attribute_name, dim_labels, each, expected, fail, ident, integer, list,
    peek, punct, skip, span_of, string,
};
use crate::attribute::{ConvolutionDims, WindowDim};

/// `integers`.
pub(crate) fn integers(input: &str) -> Parsed<'_, SmallVec<[i64; 2]>> {
    let mut values = SmallVec::new();
    let (rest, ()) = each(input, "{", "}", |i| {
        let (rest, value) = integer(i)?;
        values.push(value);
        Ok((rest, ()))
    })?;
    Ok((rest, values))
}

/// `{{0,1},{2,3}}`.
pub(crate) fn integer_lists(input: &str) -> Parsed<'_, Vec<Vec<i64>>> {
    list(input, "{", "}", |i| list(i, "{", "}", integer))
}

/// A floating-point or integer number.
pub(crate) fn float(input: &str) -> Parsed<'_, f64> {
    let start = skip(input);
    let end = start
        .bytes()
        .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))
        .unwrap_or(start.len());
    match start.split_at_checked(end).and_then(|(word, rest)| {
        let value = word.parse::<f64>().ok()?;
        Some((rest, value))
    }) {
        Some(parsed) => Ok(parsed),
        None => expected(input, "a number"),
    }
}

/// `slices`.
pub(crate) fn slices(input: &str) -> Parsed<'_, Vec<(i64, i64, i64)>> {
    let (mut rest, ()) = punct(input, "{")?;
    let mut slices = Vec::new();
    loop {
        if let Some(end) = after(rest, "}") {
            return Ok((end, slices));
        }
        let (next, ()) = punct(rest, "[")?;
        let (next, start) = integer(next)?;
        let (next, ()) = punct(next, ":")?;
        let (mut next, limit) = integer(next)?;
        let mut stride = 1;
        if let Some(third) = after(next, ":") {
            (next, stride) = integer(third)?;
        }
        let (next, ()) = punct(next, "]")?;
        slices.push((start, limit, stride));
        rest = after(next, ",").unwrap_or(next);
    }
}

/// The letters up to the first that cannot stand in a padding or a list of sizes.
fn glued(input: &str) -> (&str, &str) {
    let start = skip(input);
    let end = start
        .bytes()
        .position(|b| !(b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'x')))
        .unwrap_or(start.len());
    start.split_at_checked(end).unwrap_or((start, ""))
}

/// `padding`.
pub(crate) fn padding(input: &str) -> Parsed<'_, Vec<(i64, i64, i64)>> {
    let (word, rest) = glued(input);
    let parsed: Option<Vec<_>> = word
        .split('x')
        .map(|dim| {
            let mut parts = dim.split('_').map(|part| part.parse::<i64>().ok());
            let low = parts.next()??;
            let high = parts.next()??;
            let interior = match parts.next() {
                Some(interior) => interior?,
                None => 0,
            };
            parts.next().is_none().then_some((low, high, interior))
        })
        .collect();
    match parsed {
        Some(padding) => Ok((rest, padding)),
        None => expected(input, "padding such as `0_1x2_3`"),
    }
}

/// Sizes such as `2x2`.
fn sizes(input: &str) -> Parsed<'_, Vec<i64>> {
    let (word, rest) = glued(input);
    let parsed: Option<Vec<i64>> = word.split('x').map(|dim| dim.parse().ok()).collect();
    match parsed {
        Some(sizes) => Ok((rest, sizes)),
        None => expected(input, "sizes such as `2x2`"),
    }
}

/// `window`; `text` is the whole text.
pub(crate) fn window<'a>(text: &str, input: &'a str) -> Parsed<'a, Vec<WindowDim>> {
    let (mut rest, ()) = punct(input, "{")?;
    let mut dims: Vec<WindowDim> = Vec::new();
    let mut stated: Vec<(&str, Vec<(i64, i64)>)> = Vec::new();
    loop {
        rest = after(rest, ",").unwrap_or(rest);
        if let Some(end) = after(rest, "}") {
            rest = end;
            break;
        }
        let (next, name) = attribute_name(rest)?;
        let (end, values) = match name {
            "pad" => {
                let (end, padding) = padding(next)?;
                if padding.iter().any(|p| p.2 != 0)
                    || glued(next)
                        .0
                        .split('x')
                        .any(|p| p.matches('_').count() != 1)
                {
                    return expected(next, "window padding, low and high only");
                }
                (
                    end,
                    padding
                        .into_iter()
                        .map(|(low, high, _)| (low, high))
                        .collect(),
                )
            }
            "size" | "stride" | "lhs_dilate" | "rhs_dilate" | "rhs_reversal" => {
                let (end, sizes) = sizes(next)?;
                (end, sizes.into_iter().map(|s| (s, 0)).collect())
            }
            _ => {
                return expected(
                    rest,
                    "`size=`, `stride=`, `pad=`, `lhs_dilate=`, `rhs_dilate=` or `rhs_reversal=`",
                );
            }
        };
        if stated.iter().any(|(n, _)| *n == name) {
            return expected(rest, "each part of a window once");
        }
        stated.push((name, values));
        rest = end;
    }
    let rank = stated
        .iter()
        .find(|(name, _)| *name == "size")
        .map_or(0, |(_, values)| values.len());
    dims.resize(rank, WindowDim::default());
    for (name, values) in stated {
        if values.len() != rank {
            return fail(ParseError::Invalid {
                message: format!(
                    "`{name}` states {} dimensions, `size` states {rank}",
                    values.len()
                ),
                at: span_of(text, input, rest),
            });
        }
        for (dim, (value, high)) in dims.iter_mut().zip(values) {
            match name {
                "size" => dim.size = value,
                "stride" => dim.stride = value,
                "pad" => (dim.padding_low, dim.padding_high) = (value, high),
                "lhs_dilate" => dim.base_dilation = value,
                "rhs_dilate" => dim.window_dilation = value,
                _ => dim.reversal = value != 0,
            }
        }
    }
    Ok((rest, dims))
}

/// `dims`; `text` is the whole text.
pub(crate) fn convolution_dims<'a>(text: &str, input: &'a str) -> Parsed<'a, ConvolutionDims> {
    let start = skip(input);
    let Some((rest, labels)) = dim_labels(start) else {
        return expected(input, "dimension labels such as `b01f_01io->b01f`");
    };
    let invalid = |message: String| {
        fail(ParseError::Invalid {
            message,
            at: span_of(text, start, rest),
        })
    };
    let mut parts = Vec::new();
    for (labels, roles, what) in [
        (labels[0], ['b', 'f'], "input"),
        (labels[1], ['i', 'o'], "kernel"),
        (labels[2], ['b', 'f'], "output"),
    ] {
        match roles_of(labels, roles) {
            Ok(part) => parts.push(part),
            Err(problem) => return invalid(format!("{what} dimensions `{labels}`: {problem}")),
        }
    }
    let Ok([input, kernel, output]) = <[Roles; 3]>::try_from(parts) else {
        return expected(start, "three groups of dimension labels");
    };
    let spatial = [
        input.spatial.len(),
        kernel.spatial.len(),
        output.spatial.len(),
    ];
    if spatial[0] != spatial[1] || spatial[0] != spatial[2] {
        return invalid(format!(
            "input, kernel and output must have equally many spatial dimensions, found {spatial:?}"
        ));
    }
    Ok((
        rest,
        ConvolutionDims {
            input_batch: input.roles[0],
            input_feature: input.roles[1],
            input_spatial: input.spatial,
            kernel_input_feature: kernel.roles[0],
            kernel_output_feature: kernel.roles[1],
            kernel_spatial: kernel.spatial,
            output_batch: output.roles[0],
            output_feature: output.roles[1],
            output_spatial: output.spatial,
            ranks: [labels[0].len(), labels[1].len(), labels[2].len()],
        },
    ))
}

struct Roles {
    roles: [Option<i64>; 2],
    spatial: Vec<i64>,
}

/// Which dimension plays which part; digits number the spatial ones from 0 without a gap.
fn roles_of(labels: &str, names: [char; 2]) -> Result<Roles, String> {
    let mut roles = [None; 2];
    let mut spatial: Vec<Option<i64>> = vec![None; labels.len()];
    for (dim, label) in (0i64..).zip(labels.chars()) {
        let slot = match label.to_digit(10) {
            Some(digit) => spatial
                .get_mut(digit as usize)
                .ok_or_else(|| format!("spatial dimension {digit} of only {}", labels.len()))?,
            None if label == names[0] => &mut roles[0],
            None if label == names[1] => &mut roles[1],
            None => continue,
        };
        if slot.replace(dim).is_some() {
            return Err(format!("`{label}` occurs twice"));
        }
    }
    let known: Vec<i64> = spatial.iter().map_while(|s| *s).collect();
    if spatial.iter().skip(known.len()).any(Option::is_some) {
        return Err("spatial dimensions are not numbered from 0 without a gap".to_owned());
    }
    Ok(Roles {
        roles,
        spatial: known,
    })
}

/// Text up to where the value ends, braces and brackets balanced, strings skipped.
pub(crate) fn balanced(input: &str) -> Parsed<'_, &str> {
    let start = skip(input);
    let mut rest = start;
    let mut depth = 0usize;
    while let Some(b) = rest.bytes().next() {
        match b {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' if depth == 0 => break,
            b'}' | b']' | b')' => depth -= 1,
            b'"' | b'\'' => {
                rest = lex::raw_string(rest)?.0;
                continue;
            }
            b',' | b'\n' if depth == 0 => break,
            _ => {}
        }
        let width = rest.chars().next().map_or(1, char::len_utf8);
        rest = rest.get(width..).unwrap_or("");
    }
    match start.get(..start.len() - rest.len()).map(str::trim_end) {
        Some(value) if depth == 0 && !value.is_empty() => Ok((rest, value)),
        _ => expected(input, "a value with balanced braces"),
    }
}

/// `{` to the brace that closes it, strings skipped; nothing else is looked at.
pub(crate) fn braced(input: &str) -> Option<&str> {
    let start = skip(input);
    if !start.starts_with('{') {
        return None;
    }
    let bytes = start.as_bytes();
    let mut depth = 0usize;
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        i += 1;
        match b {
            b'{' => depth += 1,
            b'}' if depth == 1 => return start.get(..i),
            b'}' => depth -= 1,
            b'"' | b'\'' => i += lex::string_end(bytes.get(i..)?, b)?,
            _ => {}
        }
    }
    None
}

/// A JSON object, exactly as written.
fn json(input: &str) -> Parsed<'_, &str> {
    if peek(input) != Some(b'{') {
        return expected(input, "a quoted string or `{`");
    }
    let start = skip(input);
    let bytes = start.as_bytes();
    let mut depth = 0usize;
    let mut i = 0;
    let mut quoted = false;
    while let Some(&b) = bytes.get(i) {
        i += 1;
        match b {
            b'\\' if quoted => i += 1,
            b'"' => quoted = !quoted,
            b'{' if !quoted => depth += 1,
            b'}' if !quoted => {
                depth -= 1;
                if depth == 0
                    && let Some((json, rest)) = start.split_at_checked(i)
                {
                    return Ok((rest, json));
                }
            }
            _ => {}
        }
    }
    expected(input, "an object with balanced braces")
}

/// A quoted string's content, or a JSON object as written.
pub(crate) fn text_or_json(input: &str) -> Parsed<'_, std::borrow::Cow<'_, str>> {
    if matches!(peek(input), Some(b'"' | b'\'')) {
        return string(input);
    }
    let (rest, json) = json(input)?;
    Ok((rest, json.into()))
}

/// Whether `text` is one JSON-like object from its first to its last byte.
pub(crate) fn is_json_object(text: &str) -> bool {
    text.starts_with('{') && json(text).is_ok_and(|(rest, _)| rest.is_empty())
}

/// A bare word.
pub(crate) fn word(input: &str) -> Parsed<'_, &str> {
    ident(input, "a word")
}
