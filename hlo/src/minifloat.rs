//! Floating-point types of eight bits and fewer.
//!
//! A format has one sign bit (`f8e8m0fnu` has none), `exponent` bits with a bias and `mantissa`
//! bits. Formats differ in what the largest codes mean:
//!
//! | formats | infinity | NaN |
//! |---|---|---|
//! | f8e5m2, f8e4m3, f8e3m4 | exponent all ones, mantissa 0 | exponent all ones, mantissa not 0 |
//! | f8e4m3fn | none | everything ones |
//! | f8e4m3b11fnuz, f8e4m3fnuz, f8e5m2fnuz | none | the code of -0, which does not exist |
//! | f8e8m0fnu | none | everything ones; there is no zero |
//! | f4e2m1fn | none | none |

use crate::shape::PrimitiveType;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Specials {
    Ieee,
    AllOnesNan,
    NegativeZeroNan,
    None,
}

struct Format {
    exponent: u32,
    mantissa: u32,
    bias: i32,
    specials: Specials,
}

fn format(element: PrimitiveType) -> Option<Format> {
    let (exponent, mantissa, bias, specials) = match element {
        PrimitiveType::F8E5M2 => (5, 2, 15, Specials::Ieee),
        PrimitiveType::F8E4M3 => (4, 3, 7, Specials::Ieee),
        PrimitiveType::F8E3M4 => (3, 4, 3, Specials::Ieee),
        PrimitiveType::F8E4M3FN => (4, 3, 7, Specials::AllOnesNan),
        PrimitiveType::F8E4M3B11FNUZ => (4, 3, 11, Specials::NegativeZeroNan),
        PrimitiveType::F8E4M3FNUZ => (4, 3, 8, Specials::NegativeZeroNan),
        PrimitiveType::F8E5M2FNUZ => (5, 2, 16, Specials::NegativeZeroNan),
        PrimitiveType::F4E2M1FN => (2, 1, 1, Specials::None),
        _ => return None,
    };
    Some(Format {
        exponent,
        mantissa,
        bias,
        specials,
    })
}

impl Format {
    fn sign_bit(&self) -> u8 {
        1 << (self.exponent + self.mantissa)
    }

    /// The magnitude codes below this one are finite.
    fn finite_codes(&self) -> u8 {
        match self.specials {
            Specials::Ieee => ((1 << self.exponent) - 1) << self.mantissa,
            Specials::AllOnesNan => self.sign_bit() - 1,
            Specials::NegativeZeroNan | Specials::None => self.sign_bit(),
        }
    }

    fn magnitude(&self, code: u8) -> f64 {
        let mantissa = f64::from(code & ((1 << self.mantissa) - 1));
        let exponent = i32::from(code >> self.mantissa);
        let one = f64::from(1u32 << self.mantissa);
        if exponent == 0 {
            mantissa / one * 2f64.powi(1 - self.bias)
        } else {
            (1.0 + mantissa / one) * 2f64.powi(exponent - self.bias)
        }
    }

    fn nan(&self) -> u8 {
        match self.specials {
            Specials::Ieee => self.finite_codes() | (1 << (self.mantissa - 1)),
            Specials::AllOnesNan => self.sign_bit() - 1,
            Specials::NegativeZeroNan => self.sign_bit(),
            Specials::None => self.finite_codes() - 1,
        }
    }
}

/// The value of an element's byte; `None` when `element` is not a type of this module.
pub fn decode(element: PrimitiveType, byte: u8) -> Option<f64> {
    if element == PrimitiveType::F8E8M0FNU {
        return Some(match byte {
            0xff => f64::NAN,
            _ => 2f64.powi(i32::from(byte) - 127),
        });
    }
    let format = format(element)?;
    let sign = format.sign_bit();
    let code = byte & (sign - 1);
    let negative = byte & sign != 0;
    if format.specials == Specials::NegativeZeroNan && negative && code == 0 {
        return Some(f64::NAN);
    }
    let finite = format.finite_codes();
    let magnitude = if code < finite {
        format.magnitude(code)
    } else if format.specials == Specials::Ieee && code == finite {
        f64::INFINITY
    } else {
        f64::NAN
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// The byte of the nearest value, ties to even; what is too large becomes infinity where there is
/// one, else NaN where there is one, else the largest value. `None` as for [`decode`].
pub fn encode(element: PrimitiveType, value: f64) -> Option<u8> {
    if element == PrimitiveType::F8E8M0FNU {
        return Some(if value > 0.0 && value.is_finite() {
            // Between two powers of two the nearer one; in the middle, the one of even code.
            let low = value.log2().floor().clamp(-127.0, 127.0);
            let (below, above) = (2f64.powf(low), 2f64.powf(low + 1.0));
            let up = match (value - below).partial_cmp(&(above - value)) {
                Some(std::cmp::Ordering::Greater) => true,
                Some(std::cmp::Ordering::Equal) => (low as i32 + 127) % 2 != 0,
                _ => false,
            };
            (low as i32 + 127 + i32::from(up)).clamp(0, 255) as u8
        } else if value == 0.0 {
            0
        } else {
            0xff
        });
    }
    let format = format(element)?;
    let sign = if value.is_sign_negative() {
        format.sign_bit()
    } else {
        0
    };
    let nan_sign = if matches!(format.specials, Specials::NegativeZeroNan | Specials::None) {
        0
    } else {
        sign
    };
    if value.is_nan() {
        return Some(format.nan() | nan_sign);
    }
    let finite = format.finite_codes();
    let overflow = match format.specials {
        Specials::Ieee => finite | sign,
        Specials::AllOnesNan | Specials::NegativeZeroNan => format.nan() | nan_sign,
        Specials::None => (finite - 1) | sign,
    };
    let magnitude = value.abs();
    if magnitude.is_infinite() {
        return Some(overflow);
    }
    // Codes grow with magnitudes, so the neighbours are found by bisection.
    let (mut low, mut high) = (0u8, finite);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if format.magnitude(middle) <= magnitude {
            low = middle;
        } else {
            high = middle;
        }
    }
    let (below, above) = (format.magnitude(low), format.magnitude(high));
    let up = match (magnitude - below).partial_cmp(&(above - magnitude)) {
        Some(std::cmp::Ordering::Greater) => true,
        Some(std::cmp::Ordering::Equal) => low % 2 == 1,
        _ => false,
    };
    let code = low + u8::from(up);
    Some(if code >= finite {
        overflow
    } else if code == 0 && format.specials == Specials::NegativeZeroNan {
        0
    } else {
        code | sign
    })
}

/// The largest finite value; `None` as for [`decode`].
pub fn largest(element: PrimitiveType) -> Option<f64> {
    if element == PrimitiveType::F8E8M0FNU {
        return Some(2f64.powi(127));
    }
    let format = format(element)?;
    Some(format.magnitude(format.finite_codes() - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_decoding_and_encoding() {
        for &element in PrimitiveType::ALL {
            for byte in 0..=u8::MAX {
                if element == PrimitiveType::F4E2M1FN && byte > 15 {
                    continue;
                }
                let Some(value) = decode(element, byte) else {
                    continue;
                };
                let again = encode(element, value).unwrap();
                if value.is_nan() {
                    assert!(
                        decode(element, again).unwrap().is_nan(),
                        "{element} {byte:#x}"
                    );
                } else {
                    assert_eq!(again, byte, "{element} {value}");
                }
            }
        }
    }

    #[test]
    fn published_extremes() {
        assert_eq!(largest(PrimitiveType::F8E4M3FN), Some(448.0));
        assert_eq!(largest(PrimitiveType::F8E5M2), Some(57344.0));
        assert_eq!(largest(PrimitiveType::F4E2M1FN), Some(6.0));
        assert_eq!(largest(PrimitiveType::F8E4M3B11FNUZ), Some(30.0));
        assert_eq!(largest(PrimitiveType::F8E3M4), Some(15.5));
    }
}
