//! Where the framework's user wrote what an instruction computes.
//!
//! Older dumps state file and line in the instruction's `metadata`; newer ones state a frame of the
//! module's `StackFrames`, which leads to a file and a line through `FileLocations` and `FileNames`.

use crate::attribute::AttributeValue;
use crate::module::{InstructionId, Module};

/// A line of a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// File name as the framework recorded it.
    pub file: String,
    /// Line, from 1; `None` where it recorded none.
    pub line: Option<u64>,
}

impl Module {
    /// The line that an instruction's metadata names, if it does.
    pub fn source_line(&self, id: InstructionId) -> Option<SourceLine> {
        let Some(AttributeValue::Raw(metadata)) = self.instructions.get(id)?.attribute("metadata")
        else {
            return None;
        };
        if let Some(frame) = field(metadata, "stack_frame_id") {
            let frame = self.row("StackFrames", frame)?;
            let location = self.row("FileLocations", field(frame, "file_location_id")?)?;
            let file = self.row("FileNames", field(location, "file_name_id")?)?;
            return Some(SourceLine {
                file: file.trim().trim_matches('"').to_owned(),
                line: field(location, "line").and_then(|line| line.parse().ok()),
            });
        }
        let file = field(metadata, "source_file").filter(|file| !file.is_empty())?;
        Some(SourceLine {
            file: file.to_owned(),
            line: field(metadata, "source_line").and_then(|line| line.parse().ok()),
        })
    }

    fn row(&self, table: &str, number: &str) -> Option<&str> {
        let number: u64 = number.parse().ok()?;
        let table = self.source_tables.iter().find(|t| t.name == table)?;
        // Rows are numbered from 1 without gaps, but nothing says that they must be.
        let guess = usize::try_from(number)
            .ok()
            .and_then(|n: usize| table.rows.get(n.checked_sub(1)?));
        let row = guess
            .filter(|row| row.0 == number)
            .or_else(|| table.rows.iter().find(|row| row.0 == number))?;
        Some(&row.1)
    }
}

/// The value of `name=` in `{a="x y" b=3}`, without quotes.
fn field<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = fields
        .trim()
        .strip_prefix('{')?
        .strip_suffix('}')?
        .trim_start();
    while let Some((key, value)) = rest.split_once('=') {
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_at(closing_quote(quoted)?),
            None => value.split_at(value.find([' ', ',']).unwrap_or(value.len())),
        };
        if key.trim() == name {
            return Some(value);
        }
        rest = after.trim_start_matches(['"', ' ', ',']);
    }
    None
}

/// Where the quote that is not escaped stands.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_module;

    #[test]
    fn fields_are_found_past_quoted_ones() {
        let fields = r#"{op_name="a b=\"c\"" source_file="x.py" source_line=7}"#;
        assert_eq!(field(fields, "source_file"), Some("x.py"));
        assert_eq!(field(fields, "source_line"), Some("7"));
        assert_eq!(field(fields, "b"), None);
        assert_eq!(field("{op_name=\"unclosed", "op_name"), None);
    }

    #[test]
    fn both_spellings_of_a_place_are_read() {
        let module = parse_module(
            r#"HloModule m

FileNames
1 "model.py"

FileLocations
1 {file_name_id=1 function_name_id=1 line=21 end_line=22 column=0 end_column=9}

StackFrames
1 {file_location_id=1 parent_frame_id=1}

ENTRY e {
  a = f32[] parameter(0), metadata={op_name="a" stack_frame_id=1}
  b = f32[] negate(a), metadata={op_name="b" source_file="old.py" source_line=3}
  ROOT c = f32[] negate(b)
}
"#,
        )
        .unwrap();
        let places: Vec<_> = module
            .instructions
            .keys()
            .map(|id| module.source_line(id))
            .collect();
        assert_eq!(
            places[0],
            Some(SourceLine {
                file: "model.py".into(),
                line: Some(21)
            })
        );
        assert_eq!(
            places[1],
            Some(SourceLine {
                file: "old.py".into(),
                line: Some(3)
            })
        );
        assert_eq!(places[2], None);
    }
}
