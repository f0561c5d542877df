//! Writes the texts of the crate's tests into a folder, one module a file: seeds for fuzzing.
#![allow(clippy::print_stdout, reason = "a program says what it did")]

use std::path::PathBuf;

#[path = "../tests/text/snippets.rs"]
mod snippets;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err(std::io::Error::other("usage: snippets FOLDER"));
    };
    std::fs::create_dir_all(&folder)?;
    let mut count = 0;
    let lists = snippets::LISTS.map(|(name, _)| (name, snippets::list(name)));
    let files = snippets::FOLDERS.map(|(name, _)| (name, snippets::files(name)));
    for (name, texts) in lists.into_iter().chain(files) {
        for (number, snippet) in texts?.into_iter().enumerate() {
            std::fs::write(folder.join(format!("{name}-{number}.hlo")), snippet.text)?;
            count += 1;
        }
    }
    println!("{count} texts in {}", folder.display());
    Ok(())
}
