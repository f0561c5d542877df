//! Where things are, and which files the project consists of.

use std::path::{Path, PathBuf};

use miette::{Context, IntoDiagnostic, Result, miette};

/// The workspace's root folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// The path of `path` inside the workspace, as messages show it.
pub fn display(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Reads a text file; the error names it.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot read {}", display(path)))
}

/// The entries of a folder, sorted by name.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths = std::fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    read()
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot list {}", display(folder)))
}

/// The last component of a path.
pub fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The shared library, which cargo builds with the crate and puts beside the tests.
pub fn library() -> Result<PathBuf> {
    let test = std::env::current_exe().into_diagnostic()?;
    let name = format!(
        "{}hlo2dae{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let path = test.with_file_name(&name);
    if path.exists() {
        Ok(path)
    } else {
        Err(miette!("cargo built no {name} beside {}", test.display()))
    }
}

/// All files of the project, sorted: everything in the tree but what building leaves behind and what version control keeps.
pub fn files() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            let name = file_name(&path);
            if path.is_dir() {
                let left_behind = ["target", "build", "__pycache__", ".git", ".pytest_cache"];
                if !left_behind.contains(&name.as_str()) && !name.ends_with(".egg-info") {
                    folders.push(path);
                }
            } else if name != ".git" {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
