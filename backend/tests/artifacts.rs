//! Artifacts as bytes and as text, and what is wrong with them.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;

use hlo2dae_backend::Artifact;
use hlo2dae_backend::isa::{DecodeError, page};
use proptest::prelude::*;

const EVERYTHING: &str = include_str!("artifacts/everything.tmu");

fn everything() -> Artifact {
    let artifact = EVERYTHING.parse::<Artifact>().unwrap();
    artifact.verify().unwrap();
    artifact
}

#[test]
fn every_instruction_is_printed_as_it_was_read() {
    let artifact = everything();
    assert_eq!(artifact.to_string(), EVERYTHING);
    for (table, code) in [
        (
            rows::<hlo2dae_backend::access::Instruction>(),
            artifact
                .access
                .code
                .iter()
                .map(hlo2dae_backend::isa::Table::row)
                .map(|row| row.name)
                .collect::<Vec<_>>(),
        ),
        (
            rows::<hlo2dae_backend::execute::Instruction>(),
            artifact
                .execute
                .cases
                .values()
                .flat_map(|case| &case.code)
                .map(hlo2dae_backend::isa::Table::row)
                .map(|row| row.name)
                .collect(),
        ),
    ] {
        for name in table {
            assert!(code.contains(&name), "{name} is not in the text");
        }
    }
}

fn rows<T: hlo2dae_backend::isa::Table>() -> Vec<&'static str> {
    T::ROWS.iter().map(|row| row.name).collect()
}

#[test]
fn bytes_are_read_back_as_the_same_artifact() {
    let artifact = everything();
    let bytes = artifact.encode();
    assert_eq!(Artifact::decode(&bytes), Ok(artifact));
    // Short: the shipped form is meant to be.
    assert!(bytes.len() < EVERYTHING.len() / 3, "{}", bytes.len());
}

#[test]
fn what_is_no_artifact_is_told_with_its_place() {
    let bytes = everything().encode();
    assert_eq!(Artifact::decode(b"hlo"), Err(DecodeError::Mark));
    let mut later = bytes.clone();
    later[4] = 9;
    let version = DecodeError::Version {
        expected: 1,
        found: 9,
    };
    assert_eq!(Artifact::decode(&later), Err(version));
    let mut longer = bytes.clone();
    longer.push(0);
    let trailing = DecodeError::Trailing {
        offset: bytes.len(),
        extra: 1,
    };
    assert_eq!(Artifact::decode(&longer), Err(trailing));
    for length in 0..bytes.len() {
        assert!(Artifact::decode(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/isa.md");
    let page = page::page();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, page, "{}: BLESS=1 rewrites it", path.display());
}

/// What the verifier says of the text with one piece replaced.
fn broken(from: &str, to: &str) -> String {
    assert!(EVERYTHING.contains(from), "{from}");
    let text = EVERYTHING.replacen(from, to, 1);
    let artifact: Artifact = match text.parse() {
        Ok(artifact) => artifact,
        Err(error) => return format!("no text: {error}"),
    };
    match artifact.verify() {
        Ok(()) => "accepted".to_owned(),
        Err(errors) => {
            let errors = errors.errors.iter();
            let lines = errors.map(|error| format!("{}: {error}", error.rule));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

#[test]
fn every_rule_is_checked() {
    let cases = [
        (
            "%ids: s32[6] {sorted}",
            "%ids: s32[99999999999,99999999999]",
            "isa::1: %ids is too large",
        ),
        (
            "cores 2 prefetch 4 at host",
            "cores 0 at host",
            "isa::4: a hint of u0 is 0, where 1 is the least",
        ),
        (
            "in u0 lanes 2 at layer",
            "in u0 lanes 2 cores 2 at layer",
            "isa::4: u1 is dealt to cores, which only a root can be",
        ),
        (
            "in u1 at layer 1 lane 0 lanes 8 entries 8",
            "in u1 at host",
            "isa::4: u2 runs on the host, its parent does not",
        ),
        (
            "step 1 in u0 lanes 2",
            "step 1 in u3 lanes 2",
            "isa::4: u3, the parent of u1, is not defined before it",
        ),
        (
            "dense 0 to 3 step 1",
            "dense 0 to 3 step 0",
            "isa::5: a step of 0, where 1 is the least",
        ),
        (
            "vector 8 mask r4 %m: <8 x bool> until 10",
            "vector 8 mask r4 %m: <4 x bool> until 10",
            "isa::8: %m has type <4 x bool>, expected <8 x bool>",
        ),
        (
            "    s17 %m: <8 x bool> = mask\n",
            "    s17 %m: <8 x bool> = ge s15, s15\n",
            "isa::5: a loop of lanes without mask",
        ),
        (
            "range s5 to s6",
            "range s3 to s6",
            "isa::8: %begin32 has type s32, expected index",
        ),
        (
            "range s5 to s6",
            "range s7 to s6",
            "isa::7: s7 %l has no value here",
        ),
        (
            "push end @accumulate(s0, s12, s15)",
            "push end @accumulate(s16, s12, s15)",
            "isa::7: s16 %d has no value here",
        ),
        (
            "s2 %b1: index = add s0, s1",
            "s2 %b1: index = add s0, s3",
            "isa::7: s3 %begin32 has no value here",
        ),
        (
            "s6 %end: index = convert s4 to index",
            "s6 %end: index = convert s4 to s64",
            "isa::8: %end has type index, expected s64",
        ),
        (
            "s12 %values: [20 x f32] = row",
            "s12 %values: [0 x f32] = row",
            "isa::8: a row of 0 elements",
        ),
        (
            "s8 %id: s32 = read %ids[s7]",
            "s8 %id: s32 = read %ids[s7, s7]",
            "isa::9: %ids has 1 dimensions, found 2 indices",
        ),
        (
            "read %offsets[s0]",
            "read %out[s0, s0]",
            "isa::9: the access unit reads %out, which is no input",
        ),
        (
            "to<8> %copy[s7, s16]",
            "to<8> %out[s7, s16]",
            "isa::9: %out is written by the access unit and used in @accumulate",
        ),
        (
            "store r0 to %sum[]",
            "store r0 to %ids[]",
            "isa::9: %ids is an input",
        ),
        (
            "append s18 to s12 mask s17",
            "append s17 to s12 mask s17",
            "isa::10: <8 x bool> is appended to [20 x f32]",
        ),
        (
            "push end @accumulate(s0, s12, s15)",
            "push end @accumulate(s0, s12)",
            "isa::11: 2 operands are pushed for @accumulate, which pops 3",
        ),
        (
            "push end @accumulate(s0, s12, s15)",
            "push end @accumulate(s7, s15, s15)",
            "isa::11: %picked: <4 x f32> is pushed, but @accumulate pops it as %row: [20 x f32]",
        ),
        (
            "20: r15 %j: index = for 0 to 2 step 1 until 23\n    21: r16 %one: f32 = element r1[r15]",
            "20: r15 %j: index = for 0 to 2 step 1 until 23\n    21: r16 %one: f32 = pop",
            "isa::12: @accumulate: an operand may not be popped, or more than once",
        ),
        (
            "branch_unless r13 to 20",
            "branch_unless r13 to 21",
            "isa::13",
        ),
        (
            "jump 23",
            "jump 3",
            "isa::13: @accumulate: a jump from 19 to 3",
        ),
        (
            "next 20",
            "next 3",
            "isa::13: @accumulate: `next` at 22 does not end the loop at 20",
        ),
        (
            "until 10",
            "until 12",
            "isa::13: @accumulate: `next` at 9 does not end the loop at 3",
        ),
        (
            "10: r9 %old: f32 = load %sum[]",
            "10: r9 %old: f32 = element r1[r3]",
            "isa::14: @accumulate: r3 %d may have no value here",
        ),
        (
            "21: r16 %one: f32 = element r1[r15]",
            "21: r16 %one: f32 = element r1[r14]",
            "isa::14: @accumulate: r14 %i may have no value here",
        ),
    ];
    let mut missed = Vec::new();
    for (from, to, expected) in cases {
        let found = broken(from, to);
        if !found.contains(expected) {
            missed.push(format!("{to}\n found: {found}\n expected: {expected}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    let mut artifact = everything();
    for case in artifact.execute.cases.values_mut() {
        case.name = "same".to_owned();
    }
    artifact.machine = "a machine".to_owned();
    let errors = artifact.verify().unwrap_err().errors;
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        ["`a machine` is not a name", "%same is defined twice"]
    );
}

#[test]
fn numbers_out_of_order_are_no_text() {
    for (from, to) in [
        ("s2 %b1", "s3 %b1"),
        ("c1 @acc", "c2 @acc"),
        ("    1: store", "    2: store"),
    ] {
        let text = EVERYTHING.replacen(from, to, 1);
        assert!(text.parse::<Artifact>().is_err(), "{to}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever the bytes: an error, or an artifact with exactly these bytes; and if it keeps the rules, its text is read
    /// back as the same artifact.
    #[test]
    fn bytes_have_one_meaning(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..4),
    ) {
        let mut bytes = everything().encode();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes[at] = bytes[at].wrapping_add(byte % 3).wrapping_sub(1),
                2 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        if let Ok(artifact) = Artifact::decode(&bytes) {
            prop_assert_eq!(artifact.encode(), bytes);
            if artifact.verify().is_ok() {
                prop_assert_eq!(artifact.to_string().parse::<Artifact>(), Ok(artifact));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Artifact::decode(&bytes);
        bytes.splice(0..0, *b"h2da\x01");
        let _ = Artifact::decode(&bytes);
    }
}
