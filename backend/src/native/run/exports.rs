//! The columns that an effect takes, wherever they are.

use std::ops::Range;

use hlo2dae_ir::core::ScalarType;

use super::Run;
use crate::native::kernels::column::Column;
use crate::native::plan::level::Place;
use crate::native::plan::source::BufferNumber;

/// Exports of lookups one behind the other, by the numbers that the effect gives them.
#[derive(Clone, Copy)]
pub(crate) struct Exports<'a> {
    columns: &'a [Column],
    /// Where they are among the columns; none if the columns are the exports.
    places: Option<&'a [(Place, ScalarType)]>,
    /// The first lookup, and how many there are; none if all that follow are.
    start: usize,
    len: Option<usize>,
}

impl<'a> Exports<'a> {
    /// Columns from a lookup on.
    pub fn from(columns: &'a [Column], start: usize) -> Exports<'a> {
        Exports {
            columns,
            places: None,
            start,
            len: None,
        }
    }

    /// Some of the columns of a block of `n` lookups; none if an export is no column.
    pub fn among(
        columns: &'a [Column],
        places: &'a [(Place, ScalarType)],
        n: usize,
    ) -> Option<Exports<'a>> {
        let are_columns = places
            .iter()
            .all(|(place, _)| matches!(place, Place::Column(_)));
        are_columns.then_some(Exports {
            columns,
            places: Some(places),
            start: 0,
            len: Some(n),
        })
    }

    /// An export, with lookups that do not count.
    pub fn column(&self, export: usize) -> Option<&'a Column> {
        let column = match self.places {
            None => export,
            Some(places) => match places.get(export)? {
                (Place::Column(column), _) => *column,
                (Place::Constant(_) | Place::Uniform(_), _) => return None,
            },
        };
        self.columns.get(column)
    }

    /// The lookups that count.
    pub fn part<'b, T>(&self, column: &'b [T]) -> &'b [T] {
        let column = column.get(self.start..).unwrap_or(&[]);
        match self.len {
            None => column,
            Some(len) => column.get(..len).unwrap_or(&[]),
        }
    }

    /// An export of offsets.
    pub fn index(&self, export: usize) -> &'a [i64] {
        self.part(self.column(export).map_or(&[][..], Column::as_index))
    }

    /// An export of `f32`, if there is one.
    pub fn f32(&self, export: Option<usize>) -> &'a [f32] {
        let column = export.and_then(|export| self.column(export));
        self.part(column.map_or(&[][..], Column::as_f32))
    }

    /// Repeats the values of `rows` of an export along tiles of `size` elements.
    pub fn spread(&self, export: usize, rows: Range<usize>, size: usize, tile: &mut Column) {
        if let Some(column) = self.column(export) {
            tile.spread(column, self.start + rows.start, rows.len(), size);
        }
    }

    /// Fetches rows of `size` elements into the second cache.
    pub fn fetch(
        &self,
        run: &Run<'_>,
        buffer: BufferNumber,
        export: usize,
        rows: Range<usize>,
        size: usize,
    ) {
        let element = run.source.buffers.get(buffer);
        let bytes = size * element.map_or(1, |data| data.element.bytes());
        let offsets = self.index(export);
        let rows = rows.start.min(offsets.len())..rows.end.min(offsets.len());
        let offsets = offsets.get(rows).unwrap_or(&[]);
        run.memory.fetch_rows(buffer, offsets, bytes);
    }
}
