//! Tests that need all crates: case folders, engines against each other, frameworks.
