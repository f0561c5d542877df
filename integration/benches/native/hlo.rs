//! Modules as JAX prints them, line by line.

use std::fmt::Write;

/// A module under construction.
#[derive(Default)]
pub struct Hlo {
    body: String,
    parameters: usize,
    /// Ids with their negative values counted from the end, as JAX prints it.
    wrapped: Vec<String>,
}

impl Hlo {
    /// A parameter of a type.
    pub fn parameter(&mut self, name: &str, ty: &str) {
        self.line(&format!("{name} = {ty} parameter({})", self.parameters));
        self.parameters += 1;
    }

    pub fn line(&mut self, line: &str) {
        let _ = writeln!(self.body, "  {line}");
    }

    /// The ids, of shape `dims`, as start indices into a table of `rows` rows.
    pub fn start(&mut self, ids: &str, dims: &str, rows: usize) {
        if self.wrapped.iter().any(|known| known == ids) {
            return;
        }
        self.wrapped.push(ids.to_owned());
        for line in [
            format!("{ids}_0 = s32[] constant(0)"),
            format!("{ids}_zeros = s32[{dims}] broadcast({ids}_0), dimensions={{}}"),
            format!("{ids}_below = pred[{dims}] compare({ids}, {ids}_zeros), direction=LT"),
            format!("{ids}_n = s32[] constant({rows})"),
            format!("{ids}_rows = s32[{dims}] broadcast({ids}_n), dimensions={{}}"),
            format!("{ids}_up = s32[{dims}] add({ids}, {ids}_rows)"),
            format!("{ids}_in = s32[{dims}] select({ids}_below, {ids}_up, {ids})"),
            format!("{ids}_start = s32[{dims},1] reshape({ids}_in)"),
        ] {
            self.line(&line);
        }
    }

    /// Rows of a table of `[rows, size]`, or elements of one of `[rows]` if no size is given.
    pub fn gather(
        &mut self,
        name: &str,
        element: &str,
        (table, rows, size): (&str, usize, Option<usize>),
        (ids, dims): (&str, &str),
    ) {
        self.start(ids, dims, rows);
        let rank = dims.split(',').count();
        let (shape, offset, slice) = match size {
            Some(size) => (
                format!("{dims},{size}"),
                rank.to_string(),
                format!("1,{size}"),
            ),
            None => (dims.to_owned(), String::new(), "1".to_owned()),
        };
        self.line(&format!(
            "{name} = {element}[{shape}] gather({table}, {ids}_start), offset_dims={{{offset}}}, collapsed_slice_dims={{0}}, \
             start_index_map={{0}}, index_vector_dim={rank}, slice_sizes={{{slice}}}"
        ));
    }

    /// Rows `x` of `[lookups, size]` added to those of `into`.
    pub fn scatter(
        &mut self,
        name: &str,
        (into, rows, size): (&str, usize, usize),
        ids: &str,
        x: &str,
        lookups: usize,
    ) {
        self.line(&format!("{name}_at = s32[{lookups},1] reshape({ids})"));
        self.line(&format!(
            "{name} = f32[{rows},{size}] scatter({into}, {name}_at, {x}), update_window_dims={{1}}, \
             inserted_window_dims={{0}}, scatter_dims_to_operand_dims={{0}}, index_vector_dim=1, to_apply=add"
        ));
    }

    pub fn zeros(&mut self, name: &str, dims: &str) {
        self.line(&format!("{name}_0 = f32[] constant(0)"));
        self.line(&format!(
            "{name} = f32[{dims}] broadcast({name}_0), dimensions={{}}"
        ));
    }

    /// The module; its result is the tuple of these values.
    pub fn text(&self, results: &[(String, String)]) -> String {
        let types: Vec<&str> = results.iter().map(|(_, ty)| ty.as_str()).collect();
        let names: Vec<&str> = results.iter().map(|(name, _)| name.as_str()).collect();
        format!(
            "HloModule bench

add {{
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT sum = f32[] add(a, b)
}}

ENTRY main {{
{}  ROOT results = ({}) tuple({})
}}
",
            self.body,
            types.join(", "),
            names.join(", ")
        )
    }
}
