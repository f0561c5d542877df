//! Files that hold programs of one IR, one after the other.

use hlo2dae_ir::core::Ir;
use miette::{Report, Result, WrapErr};

/// Reads and verifies all programs of a text. A program starts where a line starts with its keyword.
pub fn read<I: Ir>(text: &str) -> Result<Vec<I>> {
    split(text, I::KEYWORD)
        .into_iter()
        .map(|part| {
            let shown = |error: Report| error.with_source_code(part.to_string());
            let program: I = part.parse().map_err(|error| shown(Report::new(error)))?;
            program
                .verify()
                .map_err(|error| shown(Report::new(error)))
                .wrap_err_with(|| format!("@{} is invalid", program.name()))?;
            Ok(program)
        })
        .collect()
}

/// Verifies and prints programs, a blank line between two, and checks that the text is read back as the same programs.
pub fn print<I: Ir>(programs: &[I]) -> Result<String> {
    let texts: Vec<String> = programs
        .iter()
        .map(|program| program.to_string().trim_end().to_string() + "\n")
        .collect();
    let text = texts.join("\n");
    let again: Vec<I> = read(&text).wrap_err("what is printed is not read back")?;
    miette::ensure!(
        again.as_slice() == programs,
        "what is printed is read back as something else:\n{text}"
    );
    Ok(text)
}

/// The parts of a text that start where a line starts with `keyword`.
fn split<'a>(text: &'a str, keyword: &str) -> Vec<&'a str> {
    let mut starts = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let rest = line.strip_prefix(keyword);
        if rest.is_some_and(|rest| rest.starts_with(char::is_whitespace)) {
            starts.push(at);
        }
        at += line.len();
    }
    // What stands before the first keyword belongs to the first program, whose parser says whether it may.
    if let Some(first) = starts.first_mut() {
        *first = 0;
    } else if !text.trim().is_empty() {
        starts.push(0);
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| &text[start..end])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hlo2dae_ir::region::Region;

    const TWO: &str = "region @a {\n}\n\nregion @b {\n}\n";

    #[test]
    fn a_text_is_split_at_its_keywords() {
        assert_eq!(
            split(TWO, "region"),
            ["region @a {\n}\n\n", "region @b {\n}\n"]
        );
        assert_eq!(split("", "region"), Vec::<&str>::new());
        assert_eq!(split("regions\n", "region"), ["regions\n"]);
    }

    #[test]
    fn text_before_the_first_program_is_not_lost() {
        assert!(read::<Region>("nonsense\nregion @a {\n}\n").is_err());
    }
}
