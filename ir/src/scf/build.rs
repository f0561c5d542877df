//! Programs made from the first statement to the last, and walked the same way.

use cranelift_entity::{EntitySet, PrimaryMap};

use super::{Block, Bound, Expr, Func, Statement, Value, ValueData};
use crate::core::{Buffer, BufferId, ScalarType, Span};

/// Makes a program in the order of its text, which numbers values and blocks as they should be.
///
/// Statements go to the end of the innermost open block.
#[derive(Clone, Debug)]
pub struct Builder {
    func: Func,
    /// The open blocks inside the body of the function, outermost first.
    open: Vec<Block>,
}

impl Builder {
    /// A program without statements.
    pub fn new(name: impl Into<String>, buffers: PrimaryMap<BufferId, Buffer>) -> Builder {
        let mut blocks = PrimaryMap::new();
        let body = blocks.push(Vec::new());
        Builder {
            func: Func {
                name: name.into(),
                buffers,
                values: PrimaryMap::new(),
                blocks,
                body,
            },
            open: Vec::new(),
        }
    }

    /// The program so far.
    pub fn func(&self) -> &Func {
        &self.func
    }

    /// The program; open blocks end here.
    pub fn finish(self) -> Func {
        self.func
    }

    /// `%name = expr`.
    pub fn define(&mut self, data: ValueData, expr: Expr) -> Value {
        let value = self.func.values.push(data);
        self.push(Statement::Let(value, expr));
        value
    }

    /// `store %value, %buffer[indices]`.
    pub fn store(&mut self, value: Value, buffer: BufferId, indices: Vec<Value>, span: Span) {
        self.push(Statement::Store {
            value,
            buffer,
            indices,
            span,
        });
    }

    /// `scf.for %name = begin to end step step {`, and gives the position. The body is open until [`Builder::close`].
    pub fn open_for(
        &mut self,
        name: impl Into<String>,
        (begin, end, step): (Bound, Bound, i64),
        span: Span,
    ) -> Value {
        let position = self.func.values.push(ValueData {
            name: name.into(),
            ty: ScalarType::Index,
            span,
        });
        let body = self.func.blocks.push(Vec::new());
        self.push(Statement::For {
            position,
            begin,
            end,
            step,
            body,
        });
        self.open.push(body);
        position
    }

    /// `scf.if %condition {`. The block is open until [`Builder::close`] or [`Builder::open_else`].
    pub fn open_if(&mut self, condition: Value, span: Span) {
        let on_true = self.func.blocks.push(Vec::new());
        self.push(Statement::If {
            condition,
            on_true,
            on_false: None,
            span,
        });
        self.open.push(on_true);
    }

    /// `} else {`: ends the first block of the innermost open `scf.if`, and opens the second one.
    /// False, and nothing done, where the innermost open block is no first block of an `scf.if`.
    pub fn open_else(&mut self) -> bool {
        let Some(block) = self.open.pop() else {
            return false;
        };
        let around = self.innermost();
        let else_block = self.func.blocks.next_key();
        if let Some(Statement::If {
            on_true,
            on_false: on_false @ None,
            ..
        }) = self.func.blocks[around].last_mut()
            && *on_true == block
        {
            *on_false = Some(else_block);
            self.open.push(self.func.blocks.push(Vec::new()));
            true
        } else {
            self.open.push(block);
            false
        }
    }

    /// `}`: ends the innermost open block. False where only the body of the function is open.
    pub fn close(&mut self) -> bool {
        self.open.pop().is_some()
    }

    /// Number of open blocks inside the body of the function.
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    fn push(&mut self, statement: Statement) {
        let block = self.innermost();
        self.func.blocks[block].push(statement);
    }

    fn innermost(&self) -> Block {
        self.open.last().copied().unwrap_or(self.func.body)
    }
}

/// What a walk over a program meets.
#[derive(Clone, Copy, Debug)]
pub enum Visit<'f> {
    /// A statement; the first block of a `scf.for` or `scf.if` comes next.
    Statement(&'f Statement),
    /// The end of the first block of this `scf.if`, and the start of the second one.
    Else(&'f Statement),
    /// The end of the last block of this statement.
    End(&'f Statement),
}

/// A place in a walk: in a block, before a statement.
struct Place<'f> {
    statements: std::slice::Iter<'f, Statement>,
    /// The statement that the block belongs to, and its second block if that is still to come.
    owner: Option<(&'f Statement, Option<Block>)>,
}

impl Func {
    /// Everything in the order of the text. A block is entered once, whatever the program says.
    pub fn walk(&self) -> impl Iterator<Item = Visit<'_>> {
        let mut walk = Walk {
            func: self,
            places: Vec::new(),
            entered: EntitySet::new(),
        };
        walk.enter(self.body, None);
        walk
    }

    /// The statements of a block; none if it does not exist.
    pub fn statements(&self, block: Block) -> &[Statement] {
        self.blocks.get(block).map_or(&[], Vec::as_slice)
    }
}

struct Walk<'f> {
    func: &'f Func,
    places: Vec<Place<'f>>,
    entered: EntitySet<Block>,
}

impl<'f> Walk<'f> {
    fn enter(&mut self, block: Block, owner: Option<(&'f Statement, Option<Block>)>) {
        let statements: &[Statement] = match self.func.blocks.get(block) {
            Some(statements) if self.entered.insert(block) => statements,
            _ => &[],
        };
        self.places.push(Place {
            statements: statements.iter(),
            owner,
        });
    }
}

impl<'f> Iterator for Walk<'f> {
    type Item = Visit<'f>;

    fn next(&mut self) -> Option<Visit<'f>> {
        let place = self.places.last_mut()?;
        if let Some(statement) = place.statements.next() {
            match statement {
                Statement::Let(..) | Statement::Store { .. } => {}
                Statement::For { body, .. } => self.enter(*body, Some((statement, None))),
                Statement::If {
                    on_true, on_false, ..
                } => self.enter(*on_true, Some((statement, *on_false))),
            }
            return Some(Visit::Statement(statement));
        }
        let owner = self.places.pop()?.owner;
        match owner {
            None => None,
            Some((statement, Some(second))) => {
                self.enter(second, Some((statement, None)));
                Some(Visit::Else(statement))
            }
            Some((statement, None)) => Some(Visit::End(statement)),
        }
    }
}
