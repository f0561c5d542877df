//! The one data movement that all others are made of: elements walked by strides.

use super::error::{Fault, Outcome};

/// Copies a box of elements from one row-major array to another, each walked by its own strides.
///
/// A stride of 0 in the source broadcasts, a negative one reverses, exchanged ones transpose.
pub(super) struct StridedCopy {
    size: usize,
    /// `(count, source stride, destination stride)`, outermost first; neighbours that are one
    /// run in both arrays are merged. Strides are in elements.
    dims: Vec<(usize, isize, isize)>,
}

impl StridedCopy {
    /// A copy of elements of `size` bytes; the three slices have one entry a dimension.
    pub(super) fn new(size: usize, counts: &[usize], source: &[isize], target: &[isize]) -> Self {
        let mut dims: Vec<(usize, isize, isize)> = Vec::with_capacity(counts.len());
        for ((&count, &source), &target) in counts.iter().zip(source).zip(target) {
            match dims.last_mut() {
                _ if count == 1 => {}
                Some(outer)
                    if outer.1 == source.saturating_mul(count as isize)
                        && outer.2 == target.saturating_mul(count as isize) =>
                {
                    *outer = (outer.0 * count, source, target);
                }
                _ => dims.push((count, source, target)),
            }
        }
        StridedCopy { size, dims }
    }

    /// Copies the box that begins at element `from` of `source` and `to` of `target`; a fault
    /// when it reaches outside of either.
    pub(super) fn run(
        &self,
        source: &[u8],
        from: isize,
        target: &mut [u8],
        to: isize,
    ) -> Outcome<()> {
        if self.dims.iter().any(|d| d.0 == 0) {
            return Ok(());
        }
        self.check(from, source.len(), |d| d.1)?;
        self.check(to, target.len(), |d| d.2)?;
        match self.size {
            1 => self.copy::<1>(source, from, target, to),
            2 => self.copy::<2>(source, from, target, to),
            4 => self.copy::<4>(source, from, target, to),
            8 => self.copy::<8>(source, from, target, to),
            16 => self.copy::<16>(source, from, target, to),
            size => Err(Fault::unsupported(format!("elements of {size} bytes"))),
        }
    }

    /// Whether all elements lie inside of `bytes`.
    fn check(
        &self,
        start: isize,
        bytes: usize,
        stride: impl Fn(&(usize, isize, isize)) -> isize,
    ) -> Outcome<()> {
        let (mut low, mut high) = (start as i128, start as i128);
        for dim in &self.dims {
            let reach = (dim.0 as i128 - 1) * stride(dim) as i128;
            if reach < 0 {
                low += reach;
            } else {
                high += reach;
            }
        }
        if low >= 0 && high < (bytes / self.size) as i128 {
            Ok(())
        } else {
            Err(Fault::malformed(
                "elements outside of an array are accessed",
            ))
        }
    }

    fn copy<const N: usize>(
        &self,
        source: &[u8],
        from: isize,
        target: &mut [u8],
        to: isize,
    ) -> Outcome<()> {
        let (source, _) = source.as_chunks::<N>();
        let (target, _) = target.as_chunks_mut::<N>();
        self.for_each_run(from, to, |from, to, count, source_stride, target_stride| {
            let (f, t) = (from as usize, to as usize);
            if source_stride == 1 && target_stride == 1 {
                target[t..t + count].copy_from_slice(&source[f..f + count]);
            } else if source_stride == 0 && target_stride == 1 {
                target[t..t + count].fill(source[f]);
            } else {
                let (mut f, mut t) = (from, to);
                for _ in 0..count {
                    target[t as usize] = source[f as usize];
                    f += source_stride;
                    t += target_stride;
                }
            }
            Ok(())
        })
    }

    /// Calls `visit` for each run along the innermost dimension: its first source and target
    /// element, how many it has, and their strides.
    pub(super) fn for_each_run(
        &self,
        mut from: isize,
        mut to: isize,
        mut visit: impl FnMut(isize, isize, usize, isize, isize) -> Outcome<()>,
    ) -> Outcome<()> {
        if self.dims.iter().any(|d| d.0 == 0) {
            return Ok(());
        }
        let (outer, (count, source_stride, target_stride)) = match self.dims.split_last() {
            Some((&inner, outer)) => (outer, inner),
            None => (&[][..], (1, 1, 1)),
        };
        let mut counter = vec![0usize; outer.len()];
        loop {
            visit(from, to, count, source_stride, target_stride)?;
            let mut dim = outer.len();
            loop {
                if dim == 0 {
                    return Ok(());
                }
                dim -= 1;
                let (count, source_stride, target_stride) = outer[dim];
                counter[dim] += 1;
                from += source_stride;
                to += target_stride;
                if counter[dim] < count {
                    break;
                }
                counter[dim] = 0;
                from -= source_stride * count as isize;
                to -= target_stride * count as isize;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(counts: &[usize], source: &[isize], from: isize, target: &[isize]) -> Vec<u8> {
        let mut out = vec![0; 6];
        StridedCopy::new(1, counts, source, target)
            .run(&[1, 2, 3, 4, 5, 6], from, &mut out, 0)
            .unwrap();
        out
    }

    #[test]
    fn strides_say_what_moves() {
        assert_eq!(copy(&[2, 3], &[3, 1], 0, &[3, 1]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(copy(&[3, 2], &[1, 3], 0, &[2, 1]), [1, 4, 2, 5, 3, 6]);
        assert_eq!(copy(&[2, 3], &[3, -1], 2, &[3, 1]), [3, 2, 1, 6, 5, 4]);
        assert_eq!(copy(&[2, 3], &[1, 0], 0, &[3, 1]), [1, 1, 1, 2, 2, 2]);
        assert_eq!(copy(&[0, 3], &[1, 0], 0, &[3, 1]), [0; 6]);
        assert_eq!(copy(&[], &[], 5, &[]), [6, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn nothing_outside_of_the_arrays_is_touched() {
        let mut out = [0; 6];
        let copy = StridedCopy::new(1, &[7], &[1], &[0]);
        assert!(copy.run(&[0; 6], 0, &mut out, 0).is_err());
        let copy = StridedCopy::new(1, &[6], &[0], &[-1]);
        assert!(copy.run(&[0; 6], 0, &mut out, 4).is_err());
        assert!(copy.run(&[0; 6], 0, &mut out, 5).is_ok());
    }
}
