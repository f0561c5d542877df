//! The deliberate bugs of `tests/mutations.txt` can still be put into the sources. `.ci/mutations` does it and runs the tests.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;

#[test]
fn every_mutation_has_one_place() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = std::fs::read_to_string(folder.join("tests/mutations.txt")).unwrap();
    let mut mutations = 0;
    for mutation in list.split("\n== ").skip(1) {
        let mut lines = mutation.lines();
        let name = lines.next().unwrap();
        let source = std::fs::read_to_string(folder.join(lines.next().unwrap())).unwrap();
        let old = lines.next().unwrap().strip_prefix("- ").unwrap();
        let new = lines.next().unwrap().strip_prefix("+ ").unwrap();
        assert_ne!(old, new, "{name}");
        assert_eq!(source.matches(old).count(), 1, "{name}: {old}");
        mutations += 1;
    }
    assert!(mutations >= 10);
}
