//! Verdicts and prints.

use hlo2dae_hlo::{parse_attribute, parse_module, parse_shape, verify};
use serde_json::Value;

use super::{Collection, Outcome, read};

/// Name and text.
type Text = (String, String);

pub fn accepted(texts: &[Text]) -> Outcome {
    Outcome::of(texts, |(name, text)| {
        Some(format!("{name}: {}", parse_module(text).err()?))
    })
}

pub fn refused(texts: &[Text]) -> Outcome {
    Outcome::of(texts, |(name, text)| {
        parse_module(text)
            .is_ok()
            .then(|| format!("{name}: accepted"))
    })
}

pub fn verified(texts: &[Text]) -> Outcome {
    Outcome::of(texts, |(name, text)| match parse_module(text) {
        Ok(module) => Some(format!("{name}: {}", verify(&module).err()?)),
        Err(errors) => Some(format!("{name}: {errors}")),
    })
}

/// Texts that are accepted; their print is read as the same module and printed the same.
pub fn survivors(texts: &[Text]) -> Outcome {
    Outcome::of(texts, |(name, text)| {
        let module = match parse_module(text) {
            Ok(module) => module,
            Err(errors) => return Some(format!("{name}: {errors}")),
        };
        let printed = module.to_string();
        match parse_module(&printed) {
            Err(errors) => Some(format!("{name} printed: {errors}")),
            Ok(again) if again != module => Some(format!("{name}: the module changes")),
            Ok(again) => {
                let difference = difference(&printed, &again.to_string())?;
                Some(format!("{name}: {difference}"))
            }
        }
    })
}

pub fn round_trips(collection: &Collection) -> Outcome {
    let mut all = collection.files("xla/valid", ".hlo");
    all.extend(collection.files("xla/newer", ".hlo"));
    all.extend(collection.files("xla/valid_big", ".hlo.gz"));
    all.extend(collection.broad());
    survivors(&all)
}

/// The first line that differs, both ways.
fn difference(expected: &str, found: &str) -> Option<String> {
    let (expected, found) = (expected.trim_end(), found.trim_end());
    if expected == found {
        return None;
    }
    let (mut a, mut b) = (expected.lines(), found.lines());
    loop {
        match (a.next(), b.next()) {
            (Some(x), Some(y)) if x == y => {}
            (x, y) => {
                let (x, y) = (x.unwrap_or(""), y.unwrap_or(""));
                return Some(format!("\n  xla  {x}\n  ours {y}"));
            }
        }
    }
}

pub fn probes(collection: &Collection) -> Outcome {
    Outcome::of(&collection.cases("xla/probes.json"), |case| {
        let name = case["name"].as_str().unwrap();
        let ok = case["ok"].as_bool().unwrap();
        match parse_module(case["text"].as_str().unwrap()) {
            Err(errors) if ok => Some(format!("{name}: {errors}")),
            Ok(_) if !ok => Some(format!("{name}: accepted")),
            // The values of an elided constant are arbitrary.
            Ok(module) if !name.starts_with("literal_elided") => {
                // XLA prints -0.0 as `-0`, which it reads as 0: here the sign is kept.
                let printed = module.to_string().replace("-0.0", "-0");
                let difference = difference(case["canon"].as_str().unwrap(), &printed)?;
                Some(format!("{name}: {difference}"))
            }
            _ => None,
        }
    })
}

pub fn canonical_prints(collection: &Collection) -> Outcome {
    let folder = collection.0.join("xla");
    let mut entries = collection.lines("xla/index.jsonl");
    entries.retain(|entry| entry["canon_roundtrips"] == true);
    let texts: Vec<_> = entries
        .iter()
        .filter_map(|entry| {
            let file = entry["file"].as_str().unwrap();
            let path = folder.join(file);
            let canon = path.with_extension("canon.txt");
            let text = canon.exists().then(|| read(&path))?;
            // The values of an elided constant are arbitrary.
            (!text.contains("{...}")).then(|| (file, text, read(&canon)))
        })
        .collect();
    Outcome::of(&texts, |(file, text, canon)| match parse_module(text) {
        Ok(module) => Some(format!(
            "{file}: {}",
            difference(canon, &module.to_string())?
        )),
        Err(errors) => Some(format!("{file}: {errors}")),
    })
}

pub fn parts(collection: &Collection) -> Outcome {
    Outcome::of(&collection.cases("xla/subparsers.json"), |case| {
        let input = case["input"].as_str().unwrap();
        let function = case["function"].as_str().unwrap();
        let attribute = |name| parse_attribute(name, input).is_ok();
        let accepted = match function {
            "ParseShape" => parse_shape(input).is_ok(),
            "ParseSharding" => attribute("sharding"),
            "ParseFrontendAttributes" => attribute("frontend_attributes"),
            "ParseConvolutionDimensionNumbers" => attribute("dim_labels"),
            "ParsePaddingConfig" => attribute("padding"),
            "ParseReplicaGroupsOnly" | "ParseCollectiveDeviceListBase" => {
                attribute("replica_groups")
            }
            "LexesAsJsonDict" => attribute("backend_config"),
            other => return Some(format!("{other} is not known")),
        };
        (accepted != (case["expect"] == "ok")).then(|| format!("{function} {input}"))
    })
}

pub fn operands_in_place(collection: &Collection) -> Outcome {
    // The expected prints are short: neither `%` nor signatures.
    let short = |text: &str| {
        let text = text.replace('%', "");
        let lines = text.lines().map(|line| match line.strip_prefix("ENTRY ") {
            Some(entry) => format!("ENTRY {} {{", entry.split(' ').next().unwrap_or("")),
            None => line.to_owned(),
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    let named = |case: &Value| match parse_module(case["input"].as_str().unwrap()) {
        Err(errors) => Some(errors.to_string()),
        Ok(module) => difference(
            case["output"].as_str().unwrap(),
            &short(&module.to_string()),
        ),
    };
    Outcome::of(&collection.cases("xla/nonroundtrip.json"), named)
}
