//! Files that hold programs, one after the other.

use hlo2dae::compile::Ladder;
use hlo2dae::emit::{Stage, emit_ladder};
use hlo2dae_ir::Program;
use miette::{Report, Result};

/// Every program of a text, read, verified and lowered.
pub fn ladders(text: &str) -> Result<Vec<Ladder>> {
    split(text)
        .into_iter()
        .map(|part| {
            Ladder::parse(part)
                .map_err(|error| Report::new(error).with_source_code(part.to_string()))
        })
        .collect()
}

/// A stage of every program of a text, one after the other.
pub fn emit(text: &str, stage: Stage) -> Result<String> {
    let texts = ladders(text)?
        .iter()
        .map(|ladder| Ok(emit_ladder(ladder, stage)?))
        .collect::<Result<Vec<_>>>()?;
    Ok(texts.join("\n"))
}

/// An error unless every program of a text is read back as itself.
pub fn check_round_trip(text: &str) -> Result<()> {
    for part in split(text) {
        let shown = |error| Report::new(error).with_source_code(part.to_string());
        let program: Program = part.parse().map_err(shown)?;
        let again = program.to_string();
        miette::ensure!(
            again.trim_end() == part.trim_end(),
            "what is printed is read back as something else:\n{part}\n{again}"
        );
        miette::ensure!(
            again.parse::<Program>().map_err(shown)? == program,
            "what is read back is another program:\n{again}"
        );
    }
    Ok(())
}

/// The parts of a text that start where a line starts with the keyword of a program.
fn split(text: &str) -> Vec<&str> {
    let mut starts = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let word = line.split_whitespace().next().unwrap_or("");
        if Program::KEYWORDS.contains(&word) && line.starts_with(word) {
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

    #[test]
    fn a_text_is_split_at_its_keywords() {
        assert_eq!(
            split("region @a {\n}\n\nscf.func @b {\n}\n"),
            ["region @a {\n}\n\n", "scf.func @b {\n}\n"]
        );
        assert_eq!(split(""), Vec::<&str>::new());
        assert_eq!(split("regions\n"), ["regions\n"]);
    }

    #[test]
    fn text_before_the_first_program_is_not_lost() {
        assert!(ladders("nonsense\nregion @a {\n}\n").is_err());
    }
}
