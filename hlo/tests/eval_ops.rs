//! The evaluator, opcode by opcode: corner cases, with the values that XLA compiles for the CPU (and
//! those of the definition for `ragged-dot`, which it does not compile).

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod support;

use hlo2dae_hlo::Literal;
use support::{array, elements, entry, with_operation};

#[test]
fn integer_division_by_zero_gives_all_ones() {
    let text = entry(
        "a = s32[4] constant({7, -8, 0, -2147483648})
         b = s32[4] constant({0, 3, 0, -1})
         q = s32[4] divide(a, b)
         r = s32[4] remainder(a, b)
         ROOT t = (s32[4], s32[4]) tuple(q, r)",
    );
    assert_eq!(
        elements::<i32>(&text, &[]),
        [-1, -2, -1, i32::MIN, 7, -2, 0, 0]
    );
    let text = entry(
        "a = u8[2] constant({7, 200})
         b = u8[2] constant({0, 7})
         ROOT q = u8[2] divide(a, b)",
    );
    assert_eq!(elements::<u8>(&text, &[]), [255, 28]);
}

#[test]
fn shifts_by_the_width_or_more_leave_no_bits() {
    let text = entry(
        "a = s8[5] constant({-128, -1, 64, 1, -2})
         b = s8[5] constant({1, 8, 9, 7, -1})
         l = s8[5] shift-left(a, b)
         r = s8[5] shift-right-logical(a, b)
         s = s8[5] shift-right-arithmetic(a, b)
         ROOT t = (s8[5], s8[5], s8[5]) tuple(l, r, s)",
    );
    let expected = [[0, 0, 0, -128, 0], [64, 0, 0, 0, 0], [-64, -1, 0, 0, -1]];
    assert_eq!(elements::<i8>(&text, &[]), expected.concat());
}

#[test]
fn narrow_integers_wrap() {
    let text = entry(
        "a = s8[3] constant({127, -128, 100})
         b = s8[3] constant({1, -1, 3})
         s = s8[3] add(a, b)
         p = s8[3] multiply(a, b)
         n = s8[3] negate(a)
         c = s8[3] count-leading-zeros(a)
         o = s8[3] popcnt(a)
         ROOT t = (s8[3], s8[3], s8[3], s8[3], s8[3]) tuple(s, p, n, c, o)",
    );
    let expected = [
        [-128, 127, 103],
        [127, -128, 44],
        [-127, -128, -100],
        [1, 0, 1],
        [7, 1, 3],
    ];
    assert_eq!(elements::<i8>(&text, &[]), expected.concat());
}

#[test]
fn integer_powers_with_negative_exponents_truncate() {
    let text = entry(
        "a = s32[6] constant({2, -1, -1, 1, 0, 3})
         b = s32[6] constant({-1, -3, -2, -5, -1, 4})
         ROOT p = s32[6] power(a, b)",
    );
    assert_eq!(elements::<i32>(&text, &[]), [0, -1, 1, 1, 0, 81]);
}

#[test]
fn maximum_and_minimum_pass_nan_on_and_order_zeros() {
    let text = entry(
        "a = f32[4] constant({nan, 1, -0.0, 0})
         b = f32[4] constant({1, nan, 0, -0.0})
         x = f32[4] maximum(a, b)
         n = f32[4] minimum(a, b)
         ROOT t = (f32[4], f32[4]) tuple(x, n)",
    );
    let values = elements::<f32>(&text, &[]);
    assert!(values[0].is_nan() && values[1].is_nan() && values[4].is_nan());
    let zeros = [values[2], values[3], values[6], values[7]].map(f32::to_bits);
    assert_eq!(zeros, [0.0, 0.0, -0.0, -0.0].map(f32::to_bits));
}

#[test]
fn comparisons_are_partial_unless_total() {
    let operands = "a = f32[4] constant({nan, -0.0, 1, -inf})
         b = f32[4] constant({nan, 0, nan, -inf})";
    let compare = |attributes: &str| {
        let text = entry(&format!(
            "{operands}\nROOT c = pred[4] compare(a, b), {attributes}"
        ));
        elements::<bool>(&text, &[])
    };
    assert_eq!(compare("direction=EQ"), [false, true, false, true]);
    assert_eq!(compare("direction=NE"), [true, false, true, false]);
    assert_eq!(compare("direction=LE"), [false, true, false, true]);
    assert_eq!(
        compare("direction=EQ, type=TOTALORDER"),
        [true, false, false, true]
    );
    assert_eq!(
        compare("direction=LT, type=TOTALORDER"),
        [false, true, true, false]
    );
}

#[test]
fn unsigned_integers_compare_unsigned() {
    let text = entry(
        "a = u32[2] constant({4294967295, 1})
         b = u32[2] constant({0, 2})
         ROOT c = pred[2] compare(a, b), direction=GT",
    );
    assert_eq!(elements::<bool>(&text, &[]), [true, false]);
}

#[test]
fn conversion_from_float_saturates_and_nan_becomes_zero() {
    let text = entry(
        "a = f32[5] constant({nan, 1e20, -1e20, 300.7, -1.9})
         i = s32[5] convert(a)
         ROOT w = s64[5] convert(i)",
    );
    let expected = [0, i64::from(i32::MAX), i64::from(i32::MIN), 300, -1];
    assert_eq!(elements::<i64>(&text, &[]), expected);
    let text = entry(
        "a = f32[5] constant({nan, 1e20, -1e20, 300.7, -1.9})
         ROOT i = u8[5] convert(a)",
    );
    assert_eq!(elements::<u8>(&text, &[]), [0, 255, 0, 255, 0]);
}

#[test]
fn conversion_between_integers_wraps() {
    let text = entry(
        "a = s32[4] constant({300, -1, 128, -129})
         ROOT i = s8[4] convert(a)",
    );
    assert_eq!(elements::<i8>(&text, &[]), [44, -1, -128, 127]);
    let text = entry(
        "a = s32[3] constant({0, 2, -1})
         ROOT i = pred[3] convert(a)",
    );
    assert_eq!(elements::<bool>(&text, &[]), [false, true, true]);
}

#[test]
fn bf16_rounds_after_every_operation() {
    let text = entry(
        "a = bf16[] constant(256)
         one = bf16[] constant(1)
         b = bf16[] add(a, one)
         c = bf16[] add(b, one)
         ROOT d = f32[] convert(c)",
    );
    assert_eq!(elements::<f32>(&text, &[]), [256.0]);
}

#[test]
fn eight_bit_floats_round_to_even_and_overflow_as_their_format_says() {
    let text = entry(
        "a = f32[4] constant({1.0625, 1.1875, 500, -1e9})
         b = f8e4m3fn[4] convert(a)
         c = f8e5m2[4] convert(a)
         d = f32[4] convert(b)
         e = f32[4] convert(c)
         ROOT t = (f32[4], f32[4]) tuple(d, e)",
    );
    let values = elements::<f32>(&text, &[]);
    assert_eq!(values[..2], [1.0, 1.25]);
    assert!(values[2].is_nan() && values[3].is_nan());
    assert_eq!(values[4..], [1.0, 1.25, 512.0, f32::NEG_INFINITY]);
}

#[test]
fn reduce_precision_keeps_what_fits() {
    let text = entry(
        "a = f32[5] constant({1.0009765625, 1.00146484375, 70000, 1e-6, -nan})
         ROOT r = f32[5] reduce-precision(a), exponent_bits=5, mantissa_bits=10",
    );
    let values = elements::<f32>(&text, &[]);
    assert_eq!(values[..4], [1.000_976_6, 1.001_953_1, f32::INFINITY, 0.0]);
    assert!(values[4].is_nan());
}

#[test]
fn clamp_with_crossed_bounds_gives_the_upper_one() {
    let text = entry(
        "low = s32[] constant(5)
         a = s32[3] constant({0, 4, 9})
         high = s32[] constant(3)
         ROOT c = s32[3] clamp(low, a, high)",
    );
    assert_eq!(elements::<i32>(&text, &[]), [3, 3, 3]);
}

#[test]
fn select_with_a_scalar_predicate_takes_one_side() {
    let text = entry(
        "p = pred[] parameter(0)
         a = f32[2] constant({1, 2})
         b = f32[2] constant({3, 4})
         ROOT s = f32[2] select(p, a, b)",
    );
    assert_eq!(elements::<f32>(&text, &[Literal::scalar(true)]), [1.0, 2.0]);
    assert_eq!(
        elements::<f32>(&text, &[Literal::scalar(false)]),
        [3.0, 4.0]
    );
}

#[test]
fn complex_division_by_zero_is_infinite() {
    let text = entry(
        "a = c64[2] constant({(1, -2), (3, 4)})
         b = c64[2] constant({(0, 0), (1, 2)})
         ROOT d = c64[2] divide(a, b)",
    );
    assert_eq!(
        elements::<[f32; 2]>(&text, &[]),
        [[f32::INFINITY, f32::NEG_INFINITY], [2.2, -0.4]]
    );
}

#[test]
fn bitcast_convert_splits_the_lowest_bits_first() {
    let text = entry(
        "a = u32[1] constant({67305985})
         ROOT b = u8[1,4] bitcast-convert(a)",
    );
    assert_eq!(elements::<u8>(&text, &[]), [1, 2, 3, 4]);
    let text = entry(
        "a = u8[2] constant({33, 248})
         b = s4[2,2] bitcast-convert(a)
         ROOT c = s8[2,2] convert(b)",
    );
    assert_eq!(elements::<i8>(&text, &[]), [1, 2, -8, -1]);
}

#[test]
fn bitcast_reads_memory_in_the_order_of_the_layouts() {
    let text = entry(
        "a = s32[2,3]{0,1} constant({{1, 2, 3}, {4, 5, 6}})
         ROOT b = s32[6]{0} bitcast(a)",
    );
    assert_eq!(elements::<i32>(&text, &[]), [1, 4, 2, 5, 3, 6]);
}

#[test]
fn pad_adds_between_and_cuts_off() {
    let text = entry(
        "a = s32[3] constant({1, 2, 3})
         z = s32[] constant(9)
         b = s32[6] pad(a, z), padding=1_0_1
         c = s32[2] pad(a, z), padding=-1_0
         d = s32[2] pad(a, z), padding=-2_-1_1
         ROOT t = (s32[6], s32[2], s32[2]) tuple(b, c, d)",
    );
    assert_eq!(elements::<i32>(&text, &[]), [9, 1, 9, 2, 9, 3, 2, 3, 2, 9]);
}

#[test]
fn dynamic_slices_clamp_their_starts() {
    let text = entry(
        "a = s32[5] constant({0, 1, 2, 3, 4})
         low = s32[] constant(-7)
         high = u64[] constant(18446744073709551615)
         u = s32[2] constant({8, 9})
         b = s32[3] dynamic-slice(a, low), dynamic_slice_sizes={3}
         c = s32[3] dynamic-slice(a, high), dynamic_slice_sizes={3}
         d = s32[5] dynamic-update-slice(a, u, high)
         ROOT t = (s32[3], s32[3], s32[5]) tuple(b, c, d)",
    );
    assert_eq!(
        elements::<i32>(&text, &[]),
        [0, 1, 2, 2, 3, 4, 0, 1, 2, 8, 9]
    );
}

#[test]
fn gather_clamps_start_indices() {
    let text = entry(
        "table = s32[4,2] constant({{0, 1}, {10, 11}, {20, 21}, {30, 31}})
         ids = s32[3] constant({-5, 2, 99})
         ROOT g = s32[3,2] gather(table, ids), offset_dims={1}, collapsed_slice_dims={0},
           start_index_map={0}, index_vector_dim=1, slice_sizes={1,2}",
    );
    assert_eq!(elements::<i32>(&text, &[]), [0, 1, 20, 21, 30, 31]);
}

#[test]
fn unsigned_indices_are_never_negative() {
    let text = entry(
        "table = s32[3] constant({0, 1, 2})
         ids = u8[2] constant({255, 1})
         ROOT g = s32[2] gather(table, ids), offset_dims={}, collapsed_slice_dims={0},
           start_index_map={0}, index_vector_dim=1, slice_sizes={1}",
    );
    assert_eq!(elements::<i32>(&text, &[]), [2, 1]);
}

#[test]
fn gather_with_batching_dimensions_stays_in_its_batch() {
    let text = entry(
        "table = s32[2,3] constant({{0, 1, 2}, {10, 11, 12}})
         ids = s32[2,2] constant({{2, 0}, {1, 7}})
         ROOT g = s32[2,2] gather(table, ids), offset_dims={}, collapsed_slice_dims={1},
           start_index_map={1}, operand_batching_dims={0}, start_indices_batching_dims={0},
           index_vector_dim=2, slice_sizes={1,1}",
    );
    assert_eq!(elements::<i32>(&text, &[]), [2, 0, 11, 12]);
}

/// A scatter of rows of 2 into `s32[3,2]` zeros.
fn scatter(computation: &str, ids: &str, updates: &str) -> Vec<i32> {
    let text = format!(
        "HloModule test
         f {{
           a = s32[] parameter(0)
           b = s32[] parameter(1)
           {computation}
         }}
         ENTRY main {{
           zero = s32[] constant(0)
           operand = s32[3,2] broadcast(zero), dimensions={{}}
           ids = s32[3] constant({ids})
           updates = s32[3,2] constant({updates})
           ROOT s = s32[3,2] scatter(operand, ids, updates), update_window_dims={{1}},
             inserted_window_dims={{0}}, scatter_dims_to_operand_dims={{0}}, index_vector_dim=1,
             to_apply=f
         }}"
    );
    elements(&text, &[])
}

#[test]
fn scatter_drops_what_is_outside_and_combines_duplicates() {
    let updates = "{{1, 2}, {3, 4}, {5, 6}}";
    let add = "ROOT c = s32[] add(a, b)";
    assert_eq!(scatter(add, "{0, 0, 2}", updates), [4, 6, 0, 0, 5, 6]);
    assert_eq!(scatter(add, "{-1, 3, 1}", updates), [0, 0, 5, 6, 0, 0]);
}

#[test]
fn the_last_overwriting_update_wins() {
    let updates = "{{1, 2}, {3, 4}, {5, 6}}";
    let replace = "ROOT c = s32[] add(b, b)";
    assert_eq!(scatter(replace, "{1, 1, 1}", updates), [0, 0, 10, 12, 0, 0]);
    let text = "HloModule test
         f { a = s32[] parameter(0)  ROOT b = s32[] parameter(1) }
         ENTRY main {
           operand = s32[2] constant({7, 7})
           ids = s32[2] constant({1, 1})
           updates = s32[2] constant({1, 2})
           ROOT s = s32[2] scatter(operand, ids, updates), update_window_dims={},
             inserted_window_dims={0}, scatter_dims_to_operand_dims={0}, index_vector_dim=1,
             to_apply=f
         }";
    assert_eq!(elements::<i32>(text, &[]), [7, 2]);
}

#[test]
fn scatter_combiners_keep_the_order_of_their_operands() {
    let subtract = "ROOT c = s32[] subtract(a, b)";
    let updates = "{{1, 2}, {3, 4}, {5, 6}}";
    assert_eq!(
        scatter(subtract, "{0, 0, 2}", updates),
        [-4, -6, 0, 0, -5, -6]
    );
}

#[test]
fn variadic_scatter_sees_all_operands() {
    let text = "HloModule test
         f {
           a = f32[] parameter(0)  i = s32[] parameter(1)
           b = f32[] parameter(2)  j = s32[] parameter(3)
           g = pred[] compare(a, b), direction=GE
           m = f32[] select(g, a, b)
           k = s32[] select(g, i, j)
           ROOT t = (f32[], s32[]) tuple(m, k)
         }
         ENTRY main {
           v = f32[2] constant({0, 0})
           w = s32[2] constant({-1, -1})
           ids = s32[3] constant({1, 1, 1})
           x = f32[3] constant({2, 5, 3})
           y = s32[3] constant({20, 50, 30})
           s = (f32[2], s32[2]) scatter(v, w, ids, x, y), update_window_dims={},
             inserted_window_dims={0}, scatter_dims_to_operand_dims={0}, index_vector_dim=1,
             to_apply=f
           ROOT r = s32[2] get-tuple-element(s), index=1
         }";
    assert_eq!(elements::<i32>(text, &[]), [-1, 50]);
}

#[test]
fn reduce_starts_from_its_initial_value_once() {
    let text = with_operation(
        "add",
        "s32",
        "x = s32[2,3] constant({{1, 2, 3}, {4, 5, 6}})
         i = s32[] constant(100)
         r = s32[3] reduce(x, i), dimensions={0}, to_apply=f
         q = s32[2] reduce(x, i), dimensions={1}, to_apply=f
         p = s32[] reduce(x, i), dimensions={1,0}, to_apply=f
         ROOT t = (s32[3], s32[2], s32[]) tuple(r, q, p)",
    );
    assert_eq!(elements::<i32>(&text, &[]), [105, 107, 109, 106, 115, 121]);
}

#[test]
fn reduce_of_nothing_is_the_initial_value() {
    let text = with_operation(
        "maximum",
        "f32",
        "x = f32[0,2] parameter(0)
         i = f32[] constant(-inf)
         ROOT r = f32[2] reduce(x, i), dimensions={0}, to_apply=f",
    );
    let empty = array::<f32>(&[0, 2], &[]);
    assert_eq!(elements::<f32>(&text, &[empty]), [f32::NEG_INFINITY; 2]);
}

#[test]
fn long_sums_of_narrow_floats_do_not_stall() {
    let text = with_operation(
        "add",
        "bf16",
        "one = bf16[] constant(1)
         x = bf16[4096] broadcast(one), dimensions={}
         z = bf16[] constant(0)
         r = bf16[] reduce(x, z), dimensions={0}, to_apply=f
         ROOT w = f32[] convert(r)",
    );
    assert_eq!(elements::<f32>(&text, &[]), [4096.0]);
}

#[test]
fn variadic_reduce_carries_positions_along() {
    let text = "HloModule test
         f {
           a = f32[] parameter(0)  i = s32[] parameter(1)
           b = f32[] parameter(2)  j = s32[] parameter(3)
           g = pred[] compare(a, b), direction=GE
           m = f32[] select(g, a, b)
           k = s32[] select(g, i, j)
           ROOT t = (f32[], s32[]) tuple(m, k)
         }
         ENTRY main {
           x = f32[2,3] constant({{1, 9, 9}, {-5, -7, -6}})
           n = s32[2,3] iota(), iota_dimension=1
           low = f32[] constant(-inf)
           zero = s32[] constant(0)
           r = (f32[2], s32[2]) reduce(x, n, low, zero), dimensions={1}, to_apply=f
           ROOT k = s32[2] get-tuple-element(r), index=1
         }";
    assert_eq!(elements::<i32>(text, &[]), [1, 0]);
}

#[test]
fn windows_at_the_edge_hold_fewer_elements() {
    let text = with_operation(
        "add",
        "s32",
        "x = s32[5] constant({1, 2, 3, 4, 5})
         z = s32[] constant(0)
         sum = s32[5] reduce-window(x, z), window={size=5 pad=4_0}, to_apply=f
         pool = s32[3] reduce-window(x, z), window={size=3 stride=2 pad=1_1}, to_apply=f
         wide = s32[3] reduce-window(x, z), window={size=2 rhs_dilate=2}, to_apply=f
         ROOT t = (s32[5], s32[3], s32[3]) tuple(sum, pool, wide)",
    );
    assert_eq!(
        elements::<i32>(&text, &[]),
        [1, 3, 6, 10, 15, 3, 9, 9, 4, 6, 8]
    );
}

#[test]
fn windows_of_padding_alone_give_the_initial_value() {
    let text = with_operation(
        "maximum",
        "s32",
        "x = s32[2] constant({1, 2})
         z = s32[] constant(-9)
         ROOT r = s32[6] reduce-window(x, z), window={size=1 pad=2_2}, to_apply=f",
    );
    assert_eq!(elements::<i32>(&text, &[]), [-9, -9, 1, 2, -9, -9]);
}

#[test]
fn select_and_scatter_goes_to_the_first_largest() {
    let text = "HloModule test
         ge { a = s32[] parameter(0)  b = s32[] parameter(1)
              ROOT c = pred[] compare(a, b), direction=GE }
         add { a = s32[] parameter(0)  b = s32[] parameter(1)
               ROOT c = s32[] add(a, b) }
         ENTRY main {
           x = s32[5] constant({1, 7, 7, 2, 9})
           s = s32[2] constant({10, 20})
           z = s32[] constant(0)
           ROOT r = s32[5] select-and-scatter(x, s, z), window={size=3 stride=2}, select=ge,
             scatter=add
         }";
    assert_eq!(elements::<i32>(text, &[]), [0, 10, 0, 0, 20]);
}

#[test]
fn sort_is_stable_and_takes_companions_along() {
    let text = "HloModule test
         less { a = s32[] parameter(0)  b = s32[] parameter(1)
                i = s32[] parameter(2)  j = s32[] parameter(3)
                ROOT c = pred[] compare(a, b), direction=LT }
         ENTRY main {
           x = s32[2,4] constant({{3, 1, 3, 1}, {0, -1, -2, -3}})
           i = s32[2,4] iota(), iota_dimension=1
           ROOT s = (s32[2,4], s32[2,4]) sort(x, i), dimensions={1}, to_apply=less
         }";
    let expected = [[1, 1, 3, 3], [-3, -2, -1, 0], [1, 3, 0, 2], [3, 2, 1, 0]];
    assert_eq!(elements::<i32>(text, &[]), expected.concat());
}

#[test]
fn a_comparator_that_is_no_order_still_ends() {
    let text = "HloModule test
         always { a = s32[] parameter(0)  b = s32[] parameter(1)
                  ROOT c = pred[] compare(a, a), direction=EQ }
         ENTRY main {
           x = s32[64] iota(), iota_dimension=0
           ROOT s = s32[64] sort(x), dimensions={0}, to_apply=always
         }";
    let mut values = elements::<i32>(text, &[]);
    values.sort_unstable();
    assert_eq!(values, (0..64).collect::<Vec<i32>>());
}

#[test]
fn topk_prefers_earlier_positions() {
    let text = entry(
        "x = f32[5] constant({2, 8, 8, nan, 1})
         t = (f32[3], s32[3]) topk(x), k=3, largest=true
         ROOT i = s32[3] get-tuple-element(t), index=1",
    );
    assert_eq!(elements::<i32>(&text, &[]), [3, 1, 2]);
}

#[test]
fn dot_puts_batch_before_left_before_right() {
    let text = entry(
        "a = s32[2,3,1] constant({{{1}, {2}, {3}}, {{4}, {5}, {6}}})
         b = s32[2,2] constant({{1, 10}, {100, 1000}})
         ROOT d = s32[3,1,2] dot(a, b), lhs_contracting_dims={0}, rhs_contracting_dims={1}",
    );
    assert_eq!(elements::<i32>(&text, &[]), [41, 4100, 52, 5200, 63, 6300]);
    let text = entry(
        "a = f32[3,2] constant({{1, 2}, {3, 4}, {5, 6}})
         b = f32[2,3] constant({{1, 2, 3}, {4, 5, 6}})
         ROOT d = f32[2,3] dot(a, b), lhs_batch_dims={1,0}, rhs_batch_dims={0,1}",
    );
    assert_eq!(
        elements::<f32>(&text, &[]),
        [1.0, 6.0, 15.0, 8.0, 20.0, 36.0]
    );
}

#[test]
fn dots_of_bytes_add_up_in_their_result_type() {
    let text = entry(
        "a = s8[3] constant({127, 127, 127})
         ROOT d = s32[] dot(a, a), lhs_contracting_dims={0}, rhs_contracting_dims={0}",
    );
    assert_eq!(elements::<i32>(&text, &[]), [3 * 127 * 127]);
}

#[test]
fn ragged_dots_keep_groups_apart() {
    let text = entry(
        "a = f32[4,2] constant({{1, 2}, {3, 4}, {5, 6}, {7, 8}})
         b = f32[2,2,1] constant({{{1}, {10}}, {{100}, {1000}}})
         n = s32[2] constant({1, 2})
         ROOT d = f32[4,1] ragged-dot(a, b, n), lhs_contracting_dims={1},
           rhs_contracting_dims={1}, lhs_ragged_dims={0}, rhs_group_dims={0}",
    );
    assert_eq!(elements::<f32>(&text, &[]), [21.0, 4300.0, 6500.0, 0.0]);
    let text = entry(
        "a = f32[1,4] constant({{1, 2, 3, 4}})
         b = f32[4,1] constant({{1}, {10}, {100}, {1000}})
         n = s32[2] constant({3, 1})
         ROOT d = f32[2,1,1] ragged-dot(a, b, n), lhs_contracting_dims={1},
           rhs_contracting_dims={0}, lhs_ragged_dims={1}",
    );
    assert_eq!(elements::<f32>(&text, &[]), [321.0, 4000.0]);
}

#[test]
fn convolution_slides_a_dot() {
    let text = entry(
        "x = f32[1,4,1] constant({{{1}, {2}, {3}, {4}}})
         k = f32[2,1,1] constant({{{1}}, {{10}}})
         a = f32[1,3,1] convolution(x, k), window={size=2}, dim_labels=b0f_0io->b0f
         b = f32[1,4,1] convolution(x, k), window={size=2 pad=1_0 rhs_reversal=1}, dim_labels=b0f_0io->b0f
         ROOT t = (f32[1,3,1], f32[1,4,1]) tuple(a, b)",
    );
    assert_eq!(
        elements::<f32>(&text, &[]),
        [21.0, 32.0, 43.0, 1.0, 12.0, 23.0, 34.0]
    );
}

#[test]
fn grouped_convolutions_keep_features_apart() {
    let text = entry(
        "x = f32[1,2,2] constant({{{1, 10}, {2, 20}}})
         k = f32[1,1,2] constant({{{3, 5}}})
         ROOT a = f32[1,2,2] convolution(x, k), window={size=1}, dim_labels=b0f_0io->b0f,
           feature_group_count=2",
    );
    assert_eq!(elements::<f32>(&text, &[]), [3.0, 50.0, 6.0, 100.0]);
}

#[test]
fn fft_and_its_inverse_cancel() {
    let text = entry(
        "x = f32[5] constant({1, -2, 3, 0.5, 4})
         f = c64[3] fft(x), fft_type=RFFT, fft_length={5}
         ROOT y = f32[5] fft(f), fft_type=IRFFT, fft_length={5}",
    );
    let values = elements::<f32>(&text, &[]);
    let pairs = std::iter::zip(values, [1.0, -2.0, 3.0, 0.5, 4.0]);
    pairs.for_each(|(found, expected)| assert!((found - expected).abs() < 1e-6));
}

#[test]
fn cholesky_factor_solves_its_matrix() {
    let text = entry(
        "a = f64[2,2] constant({{4, 2}, {2, 5}})
         b = f64[2,1] constant({{8}, {12}})
         l = f64[2,2] cholesky(a), lower=true
         y = f64[2,1] triangular-solve(l, b), left_side=true, lower=true, transpose_a=NO_TRANSPOSE
         x = f64[2,1] triangular-solve(l, y), left_side=true, lower=true, transpose_a=TRANSPOSE
         ROOT t = (f64[2,2], f64[2,1]) tuple(l, x)",
    );
    assert_eq!(elements::<f64>(&text, &[]), [2.0, 0.0, 1.0, 2.0, 1.0, 2.0]);
}

#[test]
fn random_bits_are_xlas() {
    let state = array(&[2], &[0x1234_5678_9abc_def0u64, u64::MAX - 1]);
    let bits = |algorithm: &str| {
        let text = entry(&format!(
            "s = u64[2] parameter(0)
             r = (u64[2], u32[5]) rng-bit-generator(s), algorithm={algorithm}
             ROOT b = u32[5] get-tuple-element(r), index=1"
        ));
        elements::<u32>(&text, std::slice::from_ref(&state))
    };
    assert_eq!(
        bits("rng_three_fry"),
        [
            1_010_520_186,
            1_888_741_164,
            2_754_706_343,
            569_486_026,
            1_593_802_813
        ]
    );
    assert_eq!(
        bits("rng_philox"),
        [
            3_151_517_439,
            3_080_049_825,
            2_645_875_639,
            2_972_309_415,
            1_480_449_822
        ]
    );
}

#[test]
fn conditional_takes_the_last_branch_for_any_other_index() {
    let text = "HloModule test
         double { a = s32[] parameter(0)  ROOT r = s32[] add(a, a) }
         negate { a = s32[] parameter(0)  ROOT r = s32[] negate(a) }
         ENTRY main {
           i = s32[] parameter(0)
           x = s32[] constant(21)
           ROOT c = s32[] conditional(i, x, x), branch_computations={double, negate}
         }";
    let branch = |index: i32| elements::<i32>(text, &[Literal::scalar(index)])[0];
    assert_eq!([-1, 0, 1, 2].map(branch), [-21, 42, -21, -21]);
}

#[test]
fn while_runs_until_its_condition_fails() {
    let text = "HloModule test
         going { s = (s32[], s32[4]) parameter(0)
                 i = s32[] get-tuple-element(s), index=0
                 n = s32[] constant(4)
                 ROOT c = pred[] compare(i, n), direction=LT }
         step { s = (s32[], s32[4]) parameter(0)
                i = s32[] get-tuple-element(s), index=0
                x = s32[4] get-tuple-element(s), index=1
                one = s32[] constant(1)
                j = s32[] add(i, one)
                square = s32[] multiply(i, i)
                u = s32[1] reshape(square)
                y = s32[4] dynamic-update-slice(x, u, i)
                ROOT t = (s32[], s32[4]) tuple(j, y) }
         ENTRY main {
           i = s32[] constant(0)
           x = s32[4] constant({7, 7, 7, 7})
           s = (s32[], s32[4]) tuple(i, x)
           w = (s32[], s32[4]) while(s), condition=going, body=step
           ROOT r = s32[4] get-tuple-element(w), index=1
         }";
    assert_eq!(elements::<i32>(text, &[]), [0, 1, 4, 9]);
}

#[test]
fn updates_in_place_never_change_a_value_that_is_still_used() {
    let text = entry(
        "x = s32[2] parameter(0)
         u = s32[1] constant({5})
         z = s32[] constant(0)
         y = s32[2] dynamic-update-slice(x, u, z)
         ROOT t = (s32[2], s32[2]) tuple(x, y)",
    );
    let argument = array(&[2], &[1, 2]);
    assert_eq!(
        elements::<i32>(&text, std::slice::from_ref(&argument)),
        [1, 2, 5, 2]
    );
    assert_eq!(argument, array(&[2], &[1, 2]));
}

#[test]
fn dynamic_sizes_cut_what_is_reduced() {
    let text = with_operation(
        "add",
        "s32",
        "x = s32[4] constant({1, 2, 3, 4})
         n = s32[] parameter(0)
         d = s32[<=4] set-dimension-size(x, n), dimensions={0}
         y = s32[<=4] add(d, d)
         z = s32[] constant(0)
         r = s32[] reduce(y, z), dimensions={0}, to_apply=f
         m = s32[] get-dimension-size(y), dimensions={0}
         ROOT t = (s32[], s32[]) tuple(r, m)",
    );
    assert_eq!(elements::<i32>(&text, &[Literal::scalar(3)]), [12, 3]);
    assert_eq!(elements::<i32>(&text, &[Literal::scalar(9)]), [20, 4]);
}

#[test]
fn the_scales_of_a_scaled_dot_serve_blocks() {
    let text = entry(
        "a = f32[2,4] constant({{1, 2, 3, 4}, {5, 6, 7, 8}})
         b = f8e4m3fn[4,1] constant({{1}, {1}, {1}, {2}})
         s = f32[1,2] constant({{1, 10}})
         t = f8e8m0fnu[1,1] constant({{4}})
         ROOT d = f32[2,1] scaled-dot(a, b, s, t), lhs_contracting_dims={1}, rhs_contracting_dims={0}",
    );
    let row = |x: [f32; 4]| 4.0 * (x[0] + x[1] + 10.0 * (x[2] + 2.0 * x[3]));
    assert_eq!(
        elements::<f32>(&text, &[]),
        [row([1., 2., 3., 4.]), row([5., 6., 7., 8.])]
    );
}

#[test]
fn a_group_of_a_ragged_dot_reads_no_other_groups_matrix() {
    let text = entry(
        "l = f32[3,2] constant({{1, 2}, {3, 4}, {5, 6}})
         r = f32[2,2,1] constant({{{1}, {10}}, {{nan}, {inf}}})
         g = s32[2] constant({2, 0})
         ROOT d = f32[3,1] ragged-dot(l, r, g), lhs_contracting_dims={1}, rhs_contracting_dims={1},
           lhs_ragged_dims={0}, rhs_group_dims={0}",
    );
    assert_eq!(elements::<f32>(&text, &[]), [21., 43., 0.]);
}

/// The sizes of the groups may differ by batch, and by the dimensions around the ragged one.
#[test]
fn ragged_dots_take_group_sizes_for_each_position() {
    let free = entry(
        "l = f32[2,3,1] parameter(0)
         r = f32[2,2,1,1] parameter(1)
         g = s32[2,2] parameter(2)
         ROOT d = f32[2,3,1] ragged-dot(l, r, g), lhs_batch_dims={0}, lhs_contracting_dims={2},
           rhs_batch_dims={1}, rhs_contracting_dims={2}, lhs_ragged_dims={1}, rhs_group_dims={0}",
    );
    let arguments = [
        array(&[2, 3, 1], &[1f32, 2.0, 3.0, 4.0, 5.0, 6.0]),
        array(&[2, 2, 1, 1], &[10f32, 20.0, 100.0, 200.0]),
        array(&[2, 2], &[1i32, 2, 2, 0]),
    ];
    assert_eq!(
        elements::<f32>(&free, &arguments),
        [10.0, 200.0, 300.0, 80.0, 100.0, 0.0]
    );

    let around = entry(
        "l = f32[2,2,1] parameter(0)
         r = f32[2,1,1] parameter(1)
         g = s32[2,2] parameter(2)
         ROOT d = f32[2,2,1] ragged-dot(l, r, g), lhs_contracting_dims={2}, rhs_contracting_dims={1},
           lhs_ragged_dims={1}, rhs_group_dims={0}",
    );
    let arguments = [
        array(&[2, 2, 1], &[1f32, 2.0, 3.0, 4.0]),
        array(&[2, 1, 1], &[10f32, 100.0]),
        array(&[2, 2], &[1i32, 1, 0, 2]),
    ];
    assert_eq!(
        elements::<f32>(&around, &arguments),
        [10.0, 200.0, 300.0, 400.0]
    );

    let contracted = entry(
        "l = f32[2,3] parameter(0)
         r = f32[2,3] parameter(1)
         g = s32[2,2] parameter(2)
         ROOT d = f32[2,2] ragged-dot(l, r, g), lhs_batch_dims={0}, lhs_contracting_dims={1},
           rhs_batch_dims={0}, rhs_contracting_dims={1}, lhs_ragged_dims={1}",
    );
    let arguments = [
        array(&[2, 3], &[1f32, 2.0, 3.0, 4.0, 5.0, 6.0]),
        array(&[2, 3], &[1f32, 10.0, 100.0, 1.0, 10.0, f32::INFINITY]),
        array(&[2, 2], &[1i32, 2, 1, 1]),
    ];
    // Group by batch: 1 and 4, then 20 + 300 and 50; the last element is of no group.
    assert_eq!(
        elements::<f32>(&contracted, &arguments),
        [1.0, 4.0, 320.0, 50.0]
    );
}
