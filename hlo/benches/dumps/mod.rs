//! Texts like optimised dumps: fused computations with metadata and layouts, and an entry that calls them.

use std::fmt::Write;

pub const SIZES: [usize; 4] = [100_000, 1_000_000, 10_000_000, 100_000_000];

/// A module of at least `bytes` bytes.
pub fn dump(bytes: usize) -> String {
    let mut computations = String::new();
    let mut entry = String::new();
    let mut n = 0;
    while computations.len() + entry.len() < bytes {
        let metadata = format!(
            "metadata={{op_name=\"jit(train_step)/model/layer_{}/embedding_bag/gather\" source_file=\"model/embedding.py\" source_line={}}}",
            n % 40,
            100 + n % 7
        );
        let _ = write!(
            computations,
            "%fused_computation.{n} (param_0.{n}: f32[1000,64], param_1.{n}: s32[320,1]) -> f32[32,64] {{\n  \
               %param_0.{n} = f32[1000,64]{{1,0}} parameter(0)\n  \
               %param_1.{n} = s32[320,1]{{1,0}} parameter(1)\n  \
               %zero.{n} = f32[] constant(0), {metadata}\n  \
               %gather.{n} = f32[320,64]{{1,0}} gather(%param_0.{n}, %param_1.{n}), offset_dims={{1}}, collapsed_slice_dims={{0}}, start_index_map={{0}}, index_vector_dim=1, slice_sizes={{1,64}}, {metadata}\n  \
               %bitcast.{n} = f32[32,10,64]{{2,1,0}} bitcast(%gather.{n}), {metadata}\n  \
               ROOT %reduce.{n} = f32[32,64]{{1,0}} reduce(%bitcast.{n}, %zero.{n}), dimensions={{1}}, to_apply=%add, {metadata}\n\
             }}\n\n"
        );
        let _ = writeln!(
            entry,
            "  %bag.{n} = f32[32,64]{{1,0}} fusion(%table, %ids), kind=kLoop, calls=%fused_computation.{n}, {metadata}"
        );
        n += 1;
    }
    format!(
        "HloModule dump, is_scheduled=true\n\n\
         %add (x: f32[], y: f32[]) -> f32[] {{\n  %x = f32[] parameter(0)\n  %y = f32[] parameter(1)\n  ROOT %sum = f32[] add(%x, %y)\n}}\n\n\
         {computations}ENTRY %main (table: f32[1000,64], ids: s32[320,1]) -> f32[32,64] {{\n  \
           %table = f32[1000,64]{{1,0}} parameter(0)\n  %ids = s32[320,1]{{1,0}} parameter(1)\n\
         {entry}  ROOT %out = f32[32,64]{{1,0}} copy(%bag.0)\n}}\n"
    )
}
