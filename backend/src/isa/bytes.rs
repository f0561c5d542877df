//! Bytes: the numbers, names and flags that all encodings are made of.
//!
//! | item | bytes |
//! |---|---|
//! | unsigned number | LEB128: 7 bits a byte, the low ones first, the high bit set in all bytes but the last; at most 10 bytes, no longer than needed |
//! | signed number | zigzag (0, -1, 1, -2, ...), then as an unsigned number |
//! | name | its length in bytes, then UTF-8 |
//! | list | its length, then its items |
//! | optional item | one byte, 0 or 1, then the item if 1 |

use miette::Diagnostic;
use thiserror::Error;

/// Bytes that are not an artifact. All variants are your input, but for [`DecodeError::Version`], which may be our
/// limit: bytes of a later version.
#[derive(Clone, Debug, PartialEq, Eq, Error, Diagnostic)]
pub enum DecodeError {
    /// The bytes do not start with the mark of an artifact.
    #[error("these bytes are no artifact: they do not start with the mark")]
    Mark,
    /// A version that this library does not read.
    #[error("version {found} of the encoding, this library reads {expected}")]
    #[diagnostic(help("compile the program again with this library"))]
    Version {
        /// The version that this library reads.
        expected: u8,
        /// The version of the bytes.
        found: u8,
    },
    /// The bytes end inside an item.
    #[error("the bytes end at {offset}, inside {item}")]
    Truncated {
        /// Where they end.
        offset: usize,
        /// The item.
        item: &'static str,
    },
    /// A code that stands for nothing.
    #[error("at byte {offset}: {code} is no {item}")]
    Code {
        /// Where it is.
        offset: usize,
        /// What it should say.
        item: &'static str,
        /// The code.
        code: u64,
    },
    /// A number of more bits than its place has, or of more bytes than it needs.
    #[error("at byte {offset}: {item} is too large, or longer than needed")]
    Number {
        /// Where it is.
        offset: usize,
        /// What it should say.
        item: &'static str,
    },
    /// A name that is not UTF-8.
    #[error("at byte {offset}: {item} is not UTF-8")]
    Text {
        /// Where it is.
        offset: usize,
        /// What it should say.
        item: &'static str,
    },
    /// Bytes behind the last item.
    #[error("the artifact ends at byte {offset}, {extra} more bytes follow")]
    Trailing {
        /// Where the artifact ends.
        offset: usize,
        /// How many bytes follow.
        extra: usize,
    },
}

/// Appends items.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// The bytes so far.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// An unsigned number.
    pub fn unsigned(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    /// A signed number.
    pub fn signed(&mut self, number: i64) {
        self.unsigned(((number << 1) ^ (number >> 63)) as u64);
    }

    /// A name.
    pub fn name(&mut self, name: &str) {
        self.unsigned(name.len() as u64);
        self.raw(name.as_bytes());
    }
}

/// Reads items; every function leaves it behind what it read, or gives an error with the place.
#[derive(Clone, Debug)]
pub struct Decoder<'b> {
    bytes: &'b [u8],
    offset: usize,
}

impl<'b> Decoder<'b> {
    /// At the first byte.
    pub fn new(bytes: &'b [u8]) -> Self {
        Decoder { bytes, offset: 0 }
    }

    /// How many bytes were read.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// So many bytes as they are.
    pub fn raw(&mut self, count: usize, item: &'static str) -> Result<&'b [u8], DecodeError> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        match rest.get(..count) {
            Some(found) => {
                self.offset += count;
                Ok(found)
            }
            None => Err(DecodeError::Truncated {
                offset: self.bytes.len(),
                item,
            }),
        }
    }

    /// One byte.
    pub fn byte(&mut self, item: &'static str) -> Result<u8, DecodeError> {
        let byte = self.raw(1, item)?;
        Ok(byte.first().copied().unwrap_or(0))
    }

    /// An unsigned number.
    pub fn unsigned(&mut self, item: &'static str) -> Result<u64, DecodeError> {
        let offset = self.offset;
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(item)?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DecodeError::Number { offset, item })
    }

    /// A signed number.
    pub fn signed(&mut self, item: &'static str) -> Result<i64, DecodeError> {
        let number = self.unsigned(item)?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// An unsigned number of 32 bits.
    pub fn small(&mut self, item: &'static str) -> Result<u32, DecodeError> {
        let offset = self.offset;
        let number = self.unsigned(item)?;
        u32::try_from(number).map_err(|_| DecodeError::Number { offset, item })
    }

    /// A name.
    pub fn name(&mut self, item: &'static str) -> Result<String, DecodeError> {
        let length = self.small(item)?;
        let offset = self.offset;
        let bytes = self.raw(length as usize, item)?;
        let text = std::str::from_utf8(bytes);
        text.map(str::to_owned)
            .map_err(|_| DecodeError::Text { offset, item })
    }

    /// A byte that is 0 or 1.
    pub fn flag(&mut self, item: &'static str) -> Result<bool, DecodeError> {
        let offset = self.offset;
        match self.byte(item)? {
            0 => Ok(false),
            1 => Ok(true),
            code => Err(DecodeError::Code {
                offset,
                item,
                code: code.into(),
            }),
        }
    }

    /// The entry of `all` that an unsigned number counts to.
    pub fn choice<T: Copy>(&mut self, all: &[T], item: &'static str) -> Result<T, DecodeError> {
        let offset = self.offset;
        let code = self.unsigned(item)?;
        let chosen = usize::try_from(code).ok().and_then(|n| all.get(n));
        chosen
            .copied()
            .ok_or(DecodeError::Code { offset, item, code })
    }

    /// A list.
    pub fn list<T>(
        &mut self,
        item: &'static str,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        // Grown item by item: the count is not to be believed before its items are there.
        let count = self.small(item)?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// An optional item.
    pub fn optional<T>(
        &mut self,
        item: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.flag(item)? {
            read(self).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The end of the bytes.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.bytes.len() - self.offset {
            0 => Ok(()),
            extra => Err(DecodeError::Trailing {
                offset: self.offset,
                extra,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_and_names_are_read_back(unsigned: u64, signed: i64, name: String) {
            let mut encoder = Encoder::default();
            encoder.unsigned(unsigned);
            encoder.signed(signed);
            encoder.name(&name);
            let bytes = encoder.into_bytes();
            let mut decoder = Decoder::new(&bytes);
            prop_assert_eq!(decoder.unsigned("it"), Ok(unsigned));
            prop_assert_eq!(decoder.signed("it"), Ok(signed));
            prop_assert_eq!(decoder.name("it"), Ok(name));
            prop_assert_eq!(decoder.finish(), Ok(()));
        }
    }

    #[test]
    fn a_number_has_one_encoding() {
        for bytes in [&[0x80, 0][..], &[0xff; 10], &[0x80; 11]] {
            let error = Decoder::new(bytes).unsigned("it");
            let expected = DecodeError::Number {
                offset: 0,
                item: "it",
            };
            assert_eq!(error, Err(expected));
        }
        let error = Decoder::new(&[0x80]).unsigned("it");
        let expected = DecodeError::Truncated {
            offset: 1,
            item: "it",
        };
        assert_eq!(error, Err(expected));
    }
}
