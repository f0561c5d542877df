//! Files of what is expected.

use std::fs;
use std::path::Path;

/// Compares with the file `path`, or rewrites it when `BLESS` is set.
pub fn check(path: &Path, found: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, found).unwrap();
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == found {
        return;
    }
    let mut lines = expected.lines().zip(found.lines()).zip(1..);
    let path = path.display();
    match lines.find(|((expected, found), _)| expected != found) {
        Some(((expected, found), line)) => panic!(
            "{path}:{line}:\n  expected {expected}\n  found    {found}\nBLESS=1 rewrites the file"
        ),
        None => panic!(
            "{path}: {} lines expected, {} found\nBLESS=1 rewrites the file",
            expected.lines().count(),
            found.lines().count()
        ),
    }
}
