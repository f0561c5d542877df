//! Half of the mutations are of words: most damaged bytes end in the lexer, while a word exchanged
//! for another of the same kind, or a line for another, often gives a module.

use std::ops::Range;

use libfuzzer_sys::{fuzz_mutator, fuzzer_mutate};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Random(u64::from(seed) | 1);
    let text = data.get(..size).and_then(|text| std::str::from_utf8(text).ok());
    if let Some(text) = text
        && random.below(2) == 0
        && let Some(mutated) = mutate(text, &mut random)
        && mutated.len() <= max_size
        && let Some(place) = data.get_mut(..mutated.len())
    {
        place.copy_from_slice(mutated.as_bytes());
        return mutated.len();
    }
    fuzzer_mutate(data, size, max_size)
});

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    fn choose<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }
}

#[derive(PartialEq, Clone, Copy)]
enum Kind {
    Number,
    Type,
    Word,
}

/// Numbers at the edges of what shapes, attributes and literals can say.
const NUMBERS: [&str; 12] = [
    "0", "1", "2", "3", "7", "-1", "16", "255", "65536", "2147483648", "9223372036854775807", "-9223372036854775808",
];

const TYPES: [&str; 12] = [
    "pred", "s4", "u4", "s8", "u8", "s32", "u64", "f16", "bf16", "f32", "f64", "c64",
];

fn words(text: &str) -> Vec<(Kind, Range<usize>)> {
    let mut words = Vec::new();
    let bytes = text.as_bytes();
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'%');
    let mut at = 0;
    while at < bytes.len() {
        let end = at + bytes[at..].iter().take_while(|&&b| is_word(b)).count();
        if end == at {
            at += 1;
            continue;
        }
        let word = &text[at..end];
        let kind = if word.parse::<f64>().is_ok() {
            Kind::Number
        } else if TYPES.contains(&word) {
            Kind::Type
        } else {
            Kind::Word
        };
        words.push((kind, at..end));
        at = end;
    }
    words
}

fn mutate(text: &str, random: &mut Random) -> Option<String> {
    let replaced = |place: &Range<usize>, with: &str| {
        format!("{}{with}{}", text.get(..place.start).unwrap_or(""), text.get(place.end..).unwrap_or(""))
    };
    if random.below(4) == 0 {
        // One line for another, or twice.
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let (from, to) = (random.below(lines.len()), random.below(lines.len()));
        let mut lines = lines;
        let line = *lines.get(from)?;
        match random.below(3) {
            0 => lines.insert(to, line),
            1 => *lines.get_mut(to)? = line,
            _ => {
                lines.remove(from);
            }
        }
        return Some(lines.concat());
    }
    let words = words(text);
    let (kind, place) = random.choose(&words)?;
    let alike: Vec<&str> = words
        .iter()
        .filter(|(other, _)| other == kind)
        .filter_map(|(_, range)| text.get(range.clone()))
        .collect();
    let word = match kind {
        Kind::Number if random.below(2) == 0 => random.choose(&NUMBERS)?,
        Kind::Type if random.below(2) == 0 => random.choose(&TYPES)?,
        _ => random.choose(&alike)?,
    };
    Some(replaced(place, word))
}
