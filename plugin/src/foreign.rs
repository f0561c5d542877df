//! Foreign memory, checked before use.
//!
//! A caller describes memory by pointers and sizes. Everything that can be checked is checked
//! here, once, for the C ABI and for XLA: null, alignment, overflow, element type, rank,
//! dimensions, byte size, overlap. What cannot be checked is that the memory is there and that
//! nobody else writes it meanwhile; that is the caller's part of the contract.
#![allow(unsafe_code, reason = "turns foreign pointers into slices")]

use hlo2dae_ir::core::ElementType;

use crate::element;
use crate::program::{Port, Signature};
use crate::status::BoundaryError;

/// A slice of `size` elements at `data`; `data` may be null if `size` is 0.
///
/// # Safety
/// If `data` is aligned and `size` elements fit into the address space, `size` initialised
/// elements are readable at `data`, and nothing writes them during `'a`.
pub unsafe fn slice<'a, T>(
    what: &str,
    data: *const T,
    size: usize,
) -> Result<&'a [T], BoundaryError> {
    if size == 0 {
        return Ok(&[]);
    }
    check_pointer(what, data)?;
    let bytes = size.checked_mul(size_of::<T>());
    if bytes.is_none_or(|bytes| isize::try_from(bytes).is_err()) {
        return Err(BoundaryError::TooLarge {
            what: what.to_owned(),
            size: size as i128,
        });
    }
    // SAFETY: non-null, aligned and of a representable size by the checks; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(data, size) })
}

/// A UTF-8 text of `size` bytes at `data`.
///
/// # Safety
/// As for [`slice`].
pub unsafe fn text<'a>(what: &str, data: *const u8, size: usize) -> Result<&'a str, BoundaryError> {
    // SAFETY: the caller's promise is that of `slice`.
    let bytes = unsafe { slice(what, data, size) }?;
    std::str::from_utf8(bytes).map_err(|error| BoundaryError::NotUtf8 {
        what: what.to_owned(),
        offset: error.valid_up_to(),
    })
}

/// Refuses null and misaligned pointers.
pub fn check_pointer<T>(what: &str, pointer: *const T) -> Result<(), BoundaryError> {
    if pointer.is_null() {
        return Err(BoundaryError::Null {
            what: what.to_owned(),
        });
    }
    if !pointer.is_aligned() {
        return Err(BoundaryError::Misaligned {
            what: what.to_owned(),
            align: align_of::<T>(),
        });
    }
    Ok(())
}

/// An array as a caller described it.
#[derive(Debug)]
pub struct Described<'a> {
    /// Number of the element type.
    pub element: i32,
    /// Size of each dimension.
    pub dims: &'a [i64],
    /// First byte; may be null if there are none.
    pub data: *mut u8,
    /// Number of bytes, if the caller says.
    pub bytes: Option<usize>,
}

/// The memory of one run, checked.
pub struct Bound<'a> {
    /// One for each input of the program, in order; empty for an input that stands in an output.
    pub inputs: Vec<&'a [u8]>,
    /// One for each output of the program, in order.
    pub outputs: Vec<&'a mut [u8]>,
}

/// Checks the described arrays against `signature`.
///
/// # Safety
/// During `'a` the memory of every array that passes the checks is readable, that of an output
/// writable, and nobody else writes the inputs or touches the outputs.
pub unsafe fn bind<'a>(
    signature: &Signature,
    inputs: &[Described<'_>],
    outputs: &[Described<'_>],
) -> Result<Bound<'a>, BoundaryError> {
    let inputs = Checked::all("input", &signature.inputs, inputs)?;
    let outputs = Checked::all("output", &signature.outputs, outputs)?;
    // SAFETY: the caller's promise.
    unsafe { bound(&inputs, &outputs) }
}

/// As [`bind`], but an input may share memory with outputs, as when XLA puts a result in the place of an argument that nothing
/// else needs. Such an input is read before anything is written, into `copies`; unless `in_place`, one for each output, says that
/// the program may find it in the output whose memory it is.
///
/// # Safety
/// As for [`bind`], but that nobody else touches the memory of an output means: nobody but this call.
pub unsafe fn bind_in_place<'a>(
    signature: &Signature,
    in_place: &[Option<usize>],
    inputs: &[Described<'_>],
    outputs: &[Described<'_>],
    copies: &'a mut Vec<Vec<u64>>,
) -> Result<Bound<'a>, BoundaryError> {
    let mut inputs = Checked::all("input", &signature.inputs, inputs)?;
    let outputs = Checked::all("output", &signature.outputs, outputs)?;
    for (position, input) in inputs.iter_mut().enumerate() {
        let mut met = (0..)
            .zip(&outputs)
            .filter(|(_, output)| output.meets(input));
        let Some((first, output)) = met.next() else {
            continue;
        };
        let same = output.data == input.data && output.bytes == input.bytes;
        if same && met.next().is_none() && in_place.get(first) == Some(&Some(position)) {
            input.stands = true;
        } else {
            // Words, since they are aligned for every element type.
            let mut copy = vec![0u64; input.bytes.div_ceil(size_of::<u64>())];
            let place = copy.as_mut_ptr().cast::<u8>();
            // SAFETY: the input is readable, the copy has as many bytes, and nothing else has it.
            unsafe { std::ptr::copy_nonoverlapping(input.data, place, input.bytes) };
            input.data = place;
            copies.push(copy);
        }
    }
    // SAFETY: the caller's promise; the copies live for `'a`, and nobody has them but what is bound.
    unsafe { bound(&inputs, &outputs) }
}

/// # Safety
/// As for [`bind`].
unsafe fn bound<'a>(inputs: &[Checked], outputs: &[Checked]) -> Result<Bound<'a>, BoundaryError> {
    refuse_overlaps(inputs, outputs)?;
    Ok(Bound {
        inputs: inputs
            .iter()
            .map(|array| match array.bytes {
                _ if array.stands => &[][..],
                0 => &[][..],
                // SAFETY: non-null and of a representable size by `Checked`, not overlapping any output;
                // the rest is the caller's promise.
                bytes => unsafe { std::slice::from_raw_parts(array.data, bytes) },
            })
            .collect(),
        outputs: outputs
            .iter()
            .map(|array| match array.bytes {
                0 => &mut [][..],
                // SAFETY: as above, and no two outputs overlap.
                bytes => unsafe { std::slice::from_raw_parts_mut(array.data, bytes) },
            })
            .collect(),
    })
}

/// An array that fits its port.
struct Checked {
    name: String,
    data: *mut u8,
    bytes: usize,
    /// It is an input and stands in an output.
    stands: bool,
}

impl Checked {
    /// Whether two arrays have a byte in common.
    fn meets(&self, other: &Checked) -> bool {
        let (a, b) = (self.data.addr(), other.data.addr());
        self.bytes > 0
            && other.bytes > 0
            && a < b.saturating_add(other.bytes)
            && b < a.saturating_add(self.bytes)
    }

    fn all(
        what: &str,
        ports: &[Port],
        arrays: &[Described<'_>],
    ) -> Result<Vec<Checked>, BoundaryError> {
        if ports.len() != arrays.len() {
            return Err(BoundaryError::Count {
                what: format!("{what}s"),
                expected: ports.len(),
                found: arrays.len(),
            });
        }
        ports
            .iter()
            .zip(arrays)
            .map(|(port, array)| Checked::one(what, port, array))
            .collect()
    }

    fn one(what: &str, port: &Port, array: &Described<'_>) -> Result<Checked, BoundaryError> {
        let name = format!("{what} %{}", port.name);
        let mismatch = |aspect, expected: String, found: String| BoundaryError::Array {
            what: name.clone(),
            aspect,
            expected,
            found,
        };
        let found = element::from_number(array.element);
        if found != Some(port.element) {
            let found = found.map_or_else(
                || format!("the unsupported type number {}", array.element),
                |element| element.to_string(),
            );
            return Err(mismatch("element type", port.element.to_string(), found));
        }
        if port.signed_dims != array.dims {
            return Err(mismatch(
                "shape",
                shape(port.element, &port.signed_dims),
                shape(port.element, array.dims),
            ));
        }
        let bytes = port.bytes;
        if let Some(found) = array.bytes
            && found != bytes
        {
            return Err(mismatch(
                "size",
                format!("{bytes} bytes"),
                format!("{found} bytes"),
            ));
        }
        if bytes > 0 && array.data.is_null() {
            return Err(BoundaryError::Null {
                what: format!("the data of {name}"),
            });
        }
        let align = port.element.bytes();
        if bytes > 0 && !array.data.addr().is_multiple_of(align) {
            return Err(BoundaryError::Misaligned {
                what: format!("the data of {name}"),
                align,
            });
        }
        Ok(Checked {
            name,
            data: array.data,
            bytes,
            stands: false,
        })
    }
}

fn shape(element: ElementType, dims: &[i64]) -> String {
    let dims: Vec<String> = dims.iter().map(i64::to_string).collect();
    format!("{element}[{}]", dims.join(","))
}

/// An output may share memory with no other array; inputs may share with each other.
fn refuse_overlaps(inputs: &[Checked], outputs: &[Checked]) -> Result<(), BoundaryError> {
    for (position, output) in outputs.iter().enumerate() {
        let inputs = inputs.iter().filter(|input| !input.stands);
        let mut others = inputs.chain(outputs.iter().take(position));
        if let Some(other) = others.find(|other| output.meets(other)) {
            return Err(BoundaryError::Overlap {
                output: output.name.clone(),
                other: other.name.clone(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn port(name: &str, element: ElementType, dims: &[u64]) -> Port {
        Port {
            name: name.to_owned(),
            element,
            dims: dims.to_vec(),
            signed_dims: dims
                .iter()
                .map(|&dim| i64::try_from(dim).unwrap())
                .collect(),
            bytes: hlo2dae_ir::core::Array::byte_size(element, dims).unwrap(),
        }
    }

    #[test]
    fn an_empty_slice_needs_no_memory() {
        // SAFETY: nothing is read.
        let empty = unsafe { slice::<u64>("x", std::ptr::null(), 0) };
        assert_eq!(empty, Ok(&[][..]));
    }

    #[test]
    fn slices_of_null_misaligned_or_endless_memory_are_refused() {
        let words = [0u64; 2];
        let misaligned = words.as_ptr().wrapping_byte_add(1);
        // SAFETY: every one of them is refused before anything is read.
        unsafe {
            assert!(matches!(
                slice::<u64>("x", std::ptr::null(), 1),
                Err(BoundaryError::Null { .. })
            ));
            assert!(matches!(
                slice("x", misaligned, 1),
                Err(BoundaryError::Misaligned { align: 8, .. })
            ));
            for size in [
                usize::MAX,
                usize::MAX / 8 + 1,
                isize::MAX.unsigned_abs() / 8 + 1,
            ] {
                assert!(matches!(
                    slice("x", words.as_ptr(), size),
                    Err(BoundaryError::TooLarge { .. })
                ));
            }
        }
    }

    #[test]
    fn a_text_must_be_utf8() {
        let bytes = *b"ab\xc3(";
        // SAFETY: the bytes are there.
        let text = unsafe { text("the text", bytes.as_ptr(), bytes.len()) };
        assert_eq!(
            text,
            Err(BoundaryError::NotUtf8 {
                what: "the text".to_owned(),
                offset: 2
            })
        );
    }

    #[test]
    fn an_input_in_the_place_of_an_output_keeps_its_values() {
        let mut block: [u16; 4] = [1, 2, 3, 4];
        let base = block.as_mut_ptr();
        let array = |start: usize| Described {
            element: element::to_number(ElementType::U16),
            dims: &[3],
            data: base.wrapping_add(start).cast(),
            bytes: None,
        };
        let signature = Signature {
            inputs: vec![port("x", ElementType::U16, &[3])],
            outputs: vec![port("y", ElementType::U16, &[3])],
        };
        let mut copies = Vec::new();
        // SAFETY: both arrays lie in the block, and nothing else touches it.
        let bound = unsafe {
            bind_in_place(
                &signature,
                &[Some(0)],
                &[array(0)],
                &[array(1)],
                &mut copies,
            )
        };
        let mut bound = bound.unwrap();
        bound.outputs[0].fill(0);
        let kept: Vec<u8> = [1u16, 2, 3].iter().flat_map(|x| x.to_ne_bytes()).collect();
        assert_eq!(bound.inputs[0], kept);
    }

    #[test]
    fn an_output_takes_over_the_memory_of_its_own_input_only() {
        let mut block: [u16; 3] = [1, 2, 3];
        let array = Described {
            element: element::to_number(ElementType::U16),
            dims: &[3],
            data: block.as_mut_ptr().cast(),
            bytes: None,
        };
        let signature = Signature {
            inputs: vec![port("x", ElementType::U16, &[3])],
            outputs: vec![port("y", ElementType::U16, &[3])],
        };
        for (in_place, copied) in [(Some(0), 0), (None, 1), (Some(1), 1)] {
            let mut copies = Vec::new();
            // SAFETY: the array lies in the block, and nothing else touches it.
            let bound = unsafe {
                bind_in_place(
                    &signature,
                    &[in_place],
                    std::slice::from_ref(&array),
                    std::slice::from_ref(&array),
                    &mut copies,
                )
            };
            assert_eq!(bound.unwrap().inputs[0].is_empty(), copied == 0);
            assert_eq!(copies.len(), copied);
        }
    }

    proptest! {
        /// Arrays in one block of memory are bound exactly when no output meets another array.
        #[test]
        fn outputs_meet_no_other_array(starts in prop::array::uniform4(0usize..24), sizes in prop::array::uniform4(0u64..8)) {
            let mut block = [0u8; 32];
            let ports: Vec<Port> = sizes.iter().map(|&size| port("x", ElementType::U8, &[size])).collect();
            let base = block.as_mut_ptr();
            let arrays: Vec<Described<'_>> = ports
                .iter()
                .zip(starts)
                .map(|(port, start)| Described {
                    element: element::to_number(ElementType::U8),
                    dims: &port.signed_dims,
                    data: base.wrapping_add(start),
                    bytes: None,
                })
                .collect();
            let signature = Signature { inputs: ports[..2].to_vec(), outputs: ports[2..].to_vec() };
            let ranges: Vec<_> = starts.iter().zip(sizes).map(|(&start, size)| start..start + size as usize).collect();
            let meet = |a: usize, b: usize| ranges[a].clone().any(|byte| ranges[b].contains(&byte));
            let apart = !(meet(2, 0) || meet(2, 1) || meet(3, 0) || meet(3, 1) || meet(3, 2));
            // SAFETY: all arrays lie in the block, and nothing else touches it.
            let bound = unsafe { bind(&signature, &arrays[..2], &arrays[2..]) };
            prop_assert_eq!(bound.is_ok(), apart);
            let mut copies = Vec::new();
            // SAFETY: as above.
            let in_place = unsafe { bind_in_place(&signature, &[], &arrays[..2], &arrays[2..], &mut copies) };
            prop_assert_eq!(in_place.is_ok(), !meet(3, 2));
            if let Ok(bound) = bound {
                let lengths: Vec<u64> = bound.inputs.iter().map(|array| array.len() as u64).chain(bound.outputs.iter().map(|array| array.len() as u64)).collect();
                prop_assert_eq!(lengths, sizes.to_vec());
            }
        }
    }
}
